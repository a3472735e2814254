"""The numbers in the prose of pages and README, and the list of those that may be typed there."""

import ast
import importlib
import json
import math
import re
import tomllib
import unicodedata
from dataclasses import dataclass, field

from runner import readme
from runner.chapters import PROJECT, all_chapters, source, tags

LIST = PROJECT / "tests" / "allowed_numbers.toml"
EVERYWHERE = "every_page"
GAP = "…"  # what stands for a computed value
FILLED = {"result", "cost"}  # cells that a run writes; test_pages.py compares them with the page's stamp

# Digits with separators of thousands and decimals; superscripts, subscripts and fractions such as ½.
RAISED = r"[\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2089\u2150-\u2189]"
NUMBER = re.compile(rf"\d{{1,3}}(?:,\d{{3}})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+|{RAISED}")
LABEL = r"\d(?!\d|[.,]\d|\s?%)"  # one digit: "chapter 3", and never an accuracy
# What holds digits and states no number.
NOT_PROSE = {
    "code fence": re.compile(r"^ *```.*?^ *```", re.M | re.S),
    "comment": re.compile(r"<!--.*?-->", re.S),
    "target of a link": re.compile(r"\]\([^)\s]*\)"),
    "address": re.compile(r"https?://[^\s)]+|arXiv:\d{4}\.\d{4,5}"),
    "word that begins with a letter, such as float32": re.compile(rf"\b(?!{RAISED})[^\W\d_]\w*"),
    "file name of a chapter": re.compile(r"\b\d\d_[a-z]\w*"),
    "number of a heading": re.compile(rf"^#+ {LABEL}\. ", re.M),
    "reference": re.compile(rf"\b(?:chapter|exercise|trick|block)\s+{LABEL}", re.I),
    "references": re.compile(
        rf"\b(?:chapter|exercise|trick|block)s\s+{LABEL}(?:(?:,\s+|\s+and\s+|\s+or\s+|\s+to\s+){LABEL})*", re.I
    ),
}  # fmt: skip
SOURCE = re.compile(r"https://\S+|arXiv:\d{4}\.\d{4,5}|results/\w+\.json")


@dataclass(frozen=True)
class Page:
    """Prose in one file.  name: as the list calls it; a chapter and its solutions share a name."""

    name: str
    path: str
    texts: tuple  # of (where it stands, prose)
    code: str = ""
    parameters: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One line of the list: a phrase with numbers, and why they may stand there."""

    page: str
    kind: str
    phrase: str
    reason: str

    @property
    def pattern(self):
        """The phrase, wherever its lines are broken."""
        return re.compile(r"\s+".join(map(re.escape, self.phrase.split())))

    def __str__(self):
        return f"[{self.page}.{self.kind}] {self.phrase!r}"


def chapter_page(chapter):
    """The prose of a chapter, but for the cells that a run writes."""
    cells = chapter.notebook["cells"]
    texts = tuple(
        (f"cell {number} of {len(cells)}, {kind}", text)
        for number, cell in enumerate(cells, start=1)
        for kind, text in _prose(cell)
    )
    code = "\n".join(map(source, chapter.code_cells))
    defaults = {name: parameter.default for name, parameter in chapter.parameters.items()}
    return Page(chapter.path.stem, f"notebooks/{chapter.name}.ipynb", texts, code, defaults)


def _prose(cell):
    """What a cell tells readers in words: pairs of its kind and the text."""
    if cell["cell_type"] == "markdown":
        return [] if FILLED & set(tags(cell)) else [("", source(cell))]
    alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
    return [("alt text, ", alt), *(("", text) for text in said(source(cell)))]


def said(code):
    """The strings in a cell that calls ``say``, on their lines, with GAP for computed values."""
    tree = ast.parse(code)
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    strings = _Strings()
    if "say" in calls:
        strings.visit(tree)
    return strings.found


class _Strings(ast.NodeVisitor):
    """Collects strings, through whatever variable they reach the reader; keys in brackets do not."""

    def __init__(self):
        self.found = []

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            self._add(node, re.sub(r"\{.*?\}", GAP, node.value))  # as in "{:.1f}%".format

    def visit_JoinedStr(self, node):
        self._add(node, "".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values))
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)

    def visit_Subscript(self, node):
        self.visit(node.value)

    def _add(self, node, text):
        self.found.append("\n" * (node.lineno - 1) + text)


def readme_page(text):
    """The README without the table that a run writes."""
    prose = readme.BETWEEN.sub(lambda table: "\n" * table[0].count("\n"), text)
    return Page("README", "README.md", (("", prose),))


def written_page(path):
    """A page of the site that is written by hand."""
    return Page(path.stem, path.relative_to(PROJECT).as_posix(), (("", path.read_text(encoding="utf-8")),))


def all_pages():
    """The chapters, each followed by its solutions, the README and the pages of docs/."""
    readme = readme_page((PROJECT / "README.md").read_text(encoding="utf-8"))
    written = [*sorted((PROJECT / "docs").glob("*.md")), PROJECT / "CONTRIBUTING.md"]
    return [*map(chapter_page, all_chapters()), readme, *map(written_page, written)]


def read_list(text):
    """The names that may hold digits everywhere, and the entries."""
    tables = tomllib.loads(text)
    words = tables.pop("names", [])
    entries = [
        Entry(page, kind, phrase, reason)
        for page, kinds in tables.items()
        for kind, phrases in kinds.items()
        for phrase, reason in phrases.items()
    ]
    return words, entries


def numbers(text, words=()):
    """The numbers that ``text`` states: a list of matches."""
    names = [re.compile(rf"(?<!\w){re.escape(word)}(?!\w)") for word in words]
    passed_over = [match.span() for rule in (*NOT_PROSE.values(), *names) for match in rule.finditer(text)]
    passed_over += _list_numbers(text)
    return [number for number in NUMBER.finditer(text) if not _within(number, passed_over)]


def _within(number, spans):
    return any(start <= number.start() and number.end() <= end for start, end in spans)


def _list_numbers(text):
    """Where the items of lists are numbered.  They count up; a broken line that begins with "94." does not."""
    found, due = [], 1
    for item in re.finditer(r"^ {0,3}(\d+)\. ", text, re.M):
        if int(item[1]) in (1, due):
            found.append(item.span())
            due = int(item[1]) + 1
    return found


def value(number):
    """What a match of NUMBER is worth."""
    text = number[0].replace(",", "")
    return float(text) if text.isascii() else unicodedata.numeric(text)


def unlisted(page, words, entries):
    """The numbers of a page that no entry covers, as a list of messages."""
    mine = [entry for entry in entries if entry.page in (page.name, EVERYWHERE)]
    found = []
    for where, text in page.texts:
        covered = [match.span() for entry in mine for match in entry.pattern.finditer(text)]
        found += [
            _message(page, where, text, number)
            for number in numbers(text, words)
            if not _within(number, covered)
        ]
    return found


def _message(page, where, text, number):
    """What is typed, where, and the line to paste into the list, with a few words around it."""
    before = re.search(r"(?:\S+\s+){0,3}\S*$", text[: number.start()])[0]
    after = re.match(r"\S*(?:\s+\S+){0,3}", text[number.end() :])[0]
    phrase = json.dumps(" ".join(f"{before}{number[0]}{after}".split()), ensure_ascii=False)
    line = text[: number.start()].count("\n") + 1
    return (
        f"{page.path}, {where}line {line}: {number[0]} is typed in {phrase}. A result belongs into a cell that "
        "computes it, say(f'...'), or into the README's table; an alt text says it in words. Any other number is "
        "listed in tests/allowed_numbers.toml, whose first lines explain the kinds:\n"
        f'    [{page.name}.code]  # or year, published, definition\n    {phrase} = "?"'
    )


def left_over(pages, words, entries):
    """Lines of the list that no number on a page needs any more, as a list of messages."""
    stale = [
        f"{entry} stands on no such page: correct it in tests/allowed_numbers.toml, or remove it."
        for entry in entries
        if not any(_stands(entry, page, words) for page in pages if entry.page in (page.name, EVERYWHERE))
    ]
    prose = "\n".join(text for page in pages for _, text in page.texts)
    return stale + [f"No page has the name {word!r}: remove it from the list." for word in words if word not in prose]


def _stands(entry, page, words):
    """Whether a phrase is on a page with a number that needs it."""
    for _, text in page.texts:
        spans = [match.span() for match in entry.pattern.finditer(text)]
        if spans and any(_within(number, spans) for number in numbers(text, words)):
            return True
    return False


def unfounded(entry, words):
    """What an entry lacks; "" if it is whole."""
    if entry.kind not in ("code", "year", "published", "definition"):
        return f"{entry}: the kinds are code, year, published and definition."
    if not re.search(r"[^\W\d_]{2}", entry.phrase):
        return f"{entry}: a word or two must stand with the number, so that it is allowed nowhere else."
    if entry.kind in ("year", "published") and not SOURCE.search(entry.reason):
        return f"{entry}: give the source, as an address, an arXiv number or a file in results/."
    if entry.kind == "year" and not all(1900 < value(year) < 2100 for year in numbers(entry.phrase, words)):
        return f"{entry}: that is no year."
    if entry.kind == "definition" and len(entry.reason.split()) < 3:
        return f"{entry}: say in a few words why the number could be no other."
    return ""


# ---- Numbers that the code must agree with ----------------------------------------------------------


class Code(dict):
    """What an expression in the list can name: parameters, ``here``, ``read`` and the modules of the project."""

    def __init__(self, pages):
        super().__init__(read=_read, here=self._here)
        self.pages = pages  # the chapter, then its solutions
        for page in reversed(pages):
            self.update(page.parameters)

    def __missing__(self, name):
        for package in ("cifar_helpers", "runner"):
            if (PROJECT / package / f"{name}.py").exists():
                return importlib.import_module(f"{package}.{name}")
        raise KeyError(name)  # Python then looks among its own names

    def _here(self, snippet):
        """The numbers at ``{}`` in ``snippet``, which stands in a code cell of the chapter, or of its solutions."""
        found = next((found for page in self.pages if (found := _find(page.code, snippet))), [])
        return _only(found, snippet, "the code cells")


def _read(path, snippet):
    """The numbers at ``{}`` in ``snippet``, which stands in a file of the project."""
    return _only(_find((PROJECT / path).read_text(encoding="utf-8"), snippet), snippet, path)


def _find(text, snippet):
    """What stands at ``{}``: a tuple of numbers for each place where the snippet is found, without repetitions."""
    pattern = r"\s+".join(map(re.escape, snippet.split())).replace(r"\{\}", r"(\d[\d_]*(?:\.\d+)?(?:e-?\d+)?)")
    return sorted({tuple(map(float, match.groups())) for match in re.finditer(pattern, text)})


def _only(found, snippet, place):
    if len(found) != 1:
        raise LookupError(f"{snippet!r} stands in {place} {'with several numbers' if found else 'no more'}")
    return found[0] if len(found[0]) > 1 else found[0][0]


def disagreement(entry, pages, words):
    """What is wrong about an entry of kind "code"; "" if the code says what the prose says."""
    said = [value(number) for number in numbers(entry.phrase, words)]
    code = Code([page for page in pages if page.name == entry.page])
    try:
        computed = eval(f"({entry.reason})", {}, code)
        computed = [float(number) for number in (computed if isinstance(computed, (list, tuple)) else [computed])]
    except Exception as error:  # whatever the expression raises, its line in the list is what to mend
        return f"{entry}: {entry.reason.strip()} cannot be computed: {type(error).__name__}: {error}."
    if len(said) == len(computed) and all(map(math.isclose, said, computed)):
        return ""
    return (
        f"{entry}: the prose says {_row(said)}, the code {_row(computed)} ({entry.reason.strip()}). "
        "Change the prose and its line in tests/allowed_numbers.toml, or the code."
    )


def _row(values):
    return ", ".join(f"{number:,.10g}" for number in values)
