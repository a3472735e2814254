"""The prose of pages: values in marked spans, claims, and numbers that need their source beside them.

Everything here works on notebooks as dictionaries and on text; nothing is executed and nothing imported for it.
"""

import ast
import functools
import re

from cifar_helpers.page import SPAN, STATED, spans
from runner.chapters import BadRequest, alt, source, tags

# Where a marker would show, or break what it stands in.
FORBIDDEN = {
    "a heading": re.compile(r"^#{1,6} .*$", re.M),
    "code": re.compile(r"^ *```.*?^ *```|`[^`\n]*`", re.M | re.S),
    "a link or an alt text": re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\([^)]*\)"),
    "an HTML tag": re.compile(r"<[A-Za-z/](?:[^>]|-->)*?<!--.*?-->[^<]*?>"),
    "a formula": re.compile(r"\$\$.+?\$\$|\$(?:[^$\n]|\n(?!\s*\n))+\$", re.S),
}


# ---- What a chapter's code says that it will state -----------------------------------------------------------------


def require(chapter):
    """Raise BadRequest, before anything runs, for spans and statements of a chapter that do not fit together."""
    stated = {}
    for number, cell in enumerate(chapter.notebook["cells"], start=1):
        place = f"{chapter.name}, cell {number}"
        if cell["cell_type"] == "code" and "state" in source(cell):
            for name in _names(ast.parse(source(cell)).body, place):
                if name in stated:
                    raise BadRequest(
                        f"{place}: {name} is stated twice, first in {stated[name]}: give one another name."
                    )
                stated[name] = f"cell {number}"
        if "<!--" in alt(cell):
            raise BadRequest(f"{place}: an alt text cannot hold a marker: say the result in words.")
    for number, cell in _markdown(chapter.notebook):
        _require_places(source(cell), stated, f"{chapter.name}, cell {number}")


def _names(statements, place):
    """The names that statements will state, in order: those of one branch where both branches state the same."""
    found = []
    for node in statements:
        if isinstance(node, ast.If):
            then, otherwise = (_names(branch, place) for branch in (node.body, node.orelse))
            if unequal := sorted(set(then) ^ set(otherwise)):
                raise BadRequest(f"{place}: only one branch of `if {ast.unparse(node.test)}` states {unequal[0]}.")
            found += then
        elif isinstance(node, ast.Expr) and _is_state(node.value):
            if node.value.args or any(keyword.arg is None for keyword in node.value.keywords):
                raise BadRequest(f"{place}: state(...) takes values by name, each written out.")
            found += [keyword.arg for keyword in node.value.keywords]
        elif any(map(_is_state, ast.walk(node))):
            raise BadRequest(f"{place}: state(...) is a statement of its own, or stands in an if with an else.")
    return found


def _is_state(node):
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("state", "page.state")


def _require_places(text, stated, place):
    for span in spans(text):
        name = span["name"]
        if name not in stated:
            raise BadRequest(f"{place}: no cell states {name}, which a marker in its text names.")
        if not span["value"]:
            raise BadRequest(f"{place}: nothing stands before the marker of {name}: write ?<!--{name}--> there.")
        for where, pattern in FORBIDDEN.items():
            if any(found.start() <= span.end("value") < found.end() for found in pattern.finditer(text)):
                raise BadRequest(f"{place}: the marker of {name} stands in {where}, where it cannot be filled in.")


# ---- What a run stated ---------------------------------------------------------------------------------------------


def fill(notebook):
    """Return an executed notebook with its values in its text.  Raises BadRequest for a name without a value."""
    values = stated_values(notebook)

    def filled(span):
        if span["name"] not in values:
            raise BadRequest(f"No cell of this run stated {span['name']}, which a marker in the text names.")
        return f"{values[span['name']]['text']}<!--{span['name']}-->"

    cells = [
        {**cell, "source": SPAN.sub(filled, source(cell)).splitlines(keepends=True)}
        if cell["cell_type"] == "markdown"
        else cell
        for cell in notebook["cells"]
    ]
    return {**notebook, "cells": cells}


def stated_values(notebook):
    """{name: {"text", "kind", "number", "record"}} as the outputs of a notebook state them."""
    return {name: value for part in _stated(notebook) for name, value in part.get("values", {}).items()}


def not_so(notebook):
    """The words of the claims that did not hold when a notebook was executed."""
    return [part["claim"] for part in _stated(notebook) if not part.get("holds", True)]


def differences(notebook):
    """What the text of a page says otherwise than its cells stated: a list of phrases.  Seconds are free."""
    values, found = stated_values(notebook), []
    for number, cell in _markdown(notebook):
        for span in spans(source(cell)):
            name, value = span["name"], values.get(span["name"])
            if value is None:
                found.append(f"cell {number} names {name}, which no cell has stated")
            elif value["kind"] != "seconds" and value["text"] != span["value"]:
                found.append(f"{name} in cell {number} is {span['value']} on the page, and {value['text']} was stated")
    return found


def counts(cell, output):
    """Whether an output of a cell belongs to what its page proves: of cells tagged "timing", only what they state."""
    return "timing" not in tags(cell) or STATED in output.get("data", {})


def without_seconds(output):
    """A cell's output without what a clock showed, for digests."""
    stated = output.get("data", {}).get(STATED, {})
    clocks = [name for name, value in stated.get("values", {}).items() if value["kind"] == "seconds"]
    if not clocks:
        return output
    kept = {name: value for name, value in stated["values"].items() if name not in clocks}
    lines = "".join(output["data"]["text/plain"]).splitlines()
    plain = "\n".join(line for line in lines if line.split(" = ")[0] not in clocks)
    return {**output, "data": {**output["data"], "text/plain": plain, STATED: {"values": kept}}}


def plain(text):
    """Markdown without markers: what a reader sees."""
    return re.sub(r"<!--.*?-->", "", text, flags=re.S)


def result(notebook):
    """The sentence of a page's result, from the cell tagged "result"; "" for a page without one."""
    cells = [source(cell) for _, cell in _markdown(notebook) if "result" in tags(cell)]
    return " ".join(plain(cells[0]).removeprefix("**Result.**").split()) if cells else ""


def _stated(notebook):
    outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", []))
    return [output["data"][STATED] for output in outputs if STATED in output.get("data", {})]


def _markdown(notebook):
    cells = enumerate(notebook["cells"], start=1)
    return [(number, cell) for number, cell in cells if cell["cell_type"] == "markdown"]


# ---- Numbers without a source --------------------------------------------------------------------------------------

# A percentage, a decimal, or a number of four digits and more.
NUMBER = re.compile(r"(?<![\w.,])(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d{4,}|\d+(?=\s?%))(?![\w,]\d|\w|\.\d)\s?%?")
SOURCE = re.compile(r"https?://|arXiv:\d{4}\.\d{4,5}|results/[\w/.-]+\.json|<!-- from: \S")
CODE = re.compile(r"`[^`\n]*`")
# What holds such digits and states nothing that was measured: a level, certainty, what two networks are called, the
# sizes of CIFAR-10 and of its parts, versions.
NAMES = re.compile(
    r"95\s?%[\s-]+(?=\**interval)|\b100\s?%|\b(?:84|94)%\s+(?=network|recipe)|\b(?:10|45|50|60),000\b"
    r"|(?<=on the )5,000(?= validation)|Python 3\.[\d., or]+|CC BY 4\.0"
)
UNSEEN = re.compile(r"^ *```.*?^ *```|^---\n.*?^---\n|(?<=\]\()[^)\s]*(?=\))", re.M | re.S)


def unsourced(text, code=""):
    """The numbers in Markdown that stand in no span and have no source beside them: a list of phrases.

    A source is a link, an arXiv number, a file in results/, the number in a code literal such as `0.001`, or a comment,
    ``<!-- from: why it can be no other -->``, in the same paragraph, list item or row; or, but for percentages, the
    same number in the page's ``code``.
    """
    found, literals = [], _literals(code)
    for block in _blocks(text):
        bare = NAMES.sub(" ", CODE.sub(" ", plain(SPAN.sub(" ", UNSEEN.sub(" ", block)))))
        if not SOURCE.search(block):
            quoted = " ".join(CODE.findall(block))
            found += [
                f"{number[0].strip()} in {' '.join(bare.split())[:60]!r}"
                for number in NUMBER.finditer(bare)
                if (value := number[0].strip(" %")) not in quoted
                and ("%" in number[0] or float(value.replace(",", "")) not in literals)
            ]
    return found


def unsourced_on(page, code=""):
    """What ``unsourced`` finds on a page: in its Markdown, its alt texts and the strings of cells that say something.

    page: a Chapter.  code: that of other cells that belong to it, such as those of its solutions.
    """
    code = "\n".join([code, *map(source, page.code_cells)])
    found = []
    for number, cell in enumerate(page.notebook["cells"], start=1):
        if cell["cell_type"] == "markdown":
            texts = [] if "cost" in tags(cell) else [source(cell)]
        else:
            texts = [alt(cell), *_said(source(cell))]
        found += [f"cell {number}: {problem}" for text in texts for problem in unsourced(text, code)]
    return found


def _said(code):
    """The strings of a cell that calls ``say``, with a gap for each computed value."""
    tree = ast.parse(code)
    if not any(isinstance(node, ast.Call) and ast.unparse(node.func) == "say" for node in ast.walk(tree)):
        return []
    specs = {id(node.format_spec) for node in ast.walk(tree) if isinstance(node, ast.FormattedValue)}
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) and id(node) not in specs]
    inside = {id(part) for node in joined for part in ast.walk(node)}
    texts = ["".join(part.value if isinstance(part, ast.Constant) else " " for part in node.values) for node in joined]
    plain_strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in inside]
    return [re.sub(r"\{.*?\}", " ", text) for text in [*texts, *plain_strings] if isinstance(text, str)]


@functools.cache
def _literals(code):
    return {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}


def _blocks(text):
    """Paragraphs, a heading with what follows it, items of lists and rows of tables."""
    joined = re.sub(r"^(#.*)\n+", r"\1\n", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S), flags=re.M)
    return re.split(r"\n\s*\n|\n(?=\s*[*-] |\s*\d+\. |\|)", joined)
