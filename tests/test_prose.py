"""Prose with numbers: what stands in marked spans, what is claimed, and what needs its source beside it."""

import ast
import json
import re

import pytest

from cifar_helpers.page import STATED
from runner import prose, readme
from runner.chapters import BadRequest, Chapter, all_chapters, source
from runner.project import HERE

PAGES = all_chapters()
WRITTEN = [HERE.readme, HERE.root / "CONTRIBUTING.md", *sorted((HERE.root / "docs").glob("*.md"))]


# ---- The pages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_number_on_a_page_has_its_source_beside_it(page):
    shared = "\n".join(source(cell) for other in PAGES if other.number == page.number for cell in other.code_cells)
    assert prose.unsourced_on(page, shared) == []


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_every_number_in_a_written_page_has_its_source_beside_it(path):
    assert prose.unsourced(readme.BETWEEN.sub("", path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_its_cells_state(page):
    prose.require(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_computes_and_text_speaks(page):
    lines = [line for cell in page.code_cells for line in source(cell).splitlines() if line.strip()]
    speaking = [node for node in ast.walk(page.tree) if isinstance(node, ast.Expr | ast.Assign) and _speaks(node)]
    assert sum(node.end_lineno - node.lineno + 1 for node in speaking) <= len(lines) / 20


def _speaks(statement):
    """Whether a literal of a statement holds three words; a docstring is none."""
    if isinstance(getattr(statement, "value", None), ast.Constant):
        return False
    literals = [node.value for node in ast.walk(statement) if isinstance(node, ast.Constant)]
    return any(isinstance(text, str) and re.search(r"[a-z]{2,}\W?( \W?[a-z]{2,}){2}", text, re.I) for text in literals)


# ---- A page in miniature ----------------------------------------------------------------------------------------


def text(*lines, tags=()):
    return {"cell_type": "markdown", "id": "t", "metadata": {"tags": list(tags)}, "source": "\n".join(lines)}


def code(*lines, stated=(), alt=""):
    outputs = [
        {"output_type": "display_data", "data": {"text/plain": "", STATED: part}, "metadata": {}} for part in stated
    ]
    metadata = {"mystnb": {"image": {"alt": alt}}} if alt else {}
    return {"cell_type": "code", "id": "c", "metadata": metadata, "source": "\n".join(lines), "outputs": outputs}


def values(**stated):
    return {
        "values": {
            name: {"text": shown, "kind": "seconds" if name == "took" else "fixed"} for name, shown in stated.items()
        }
    }


def chapter(folder, *cells):
    path = folder / "03_small.ipynb"
    path.write_text(json.dumps({"cells": list(cells), "metadata": {}}), encoding="utf-8")
    return Chapter(path, folder)


PLACES = [
    ("It is ?<!--last-->, at last.", "It is 80.74%<!--last-->, at last."),
    ("It is **61.2 %<!--last--> now**.", "It is **61.2 80.74%<!--last--> now**."),  # so a space ends a value
    ("It is **?<!--last-->**.", "It is **80.74%<!--last-->**."),
    ("* (+0.3<!--last-->)\n* “?<!--last-->”", "* (80.74%<!--last-->)\n* “80.74%<!--last-->”"),
    (
        "| a | b |\n|---|---|\n|?<!--last-->|1,229<!--last-->|",
        "| a | b |\n|---|---|\n|80.74%<!--last-->|80.74%<!--last-->|",
    ),
    ("after `code` ?<!--last-->", "after `code` 80.74%<!--last-->"),
    ("a fire\u00a0engine<!--last--> here", "a 80.74%<!--last--> here"),
    ("±2.0<!--last-->, 3<!--last-->?<!--last-->", "±80.74%<!--last-->, 80.74%<!--last-->80.74%<!--last-->"),
]


@pytest.mark.parametrize("before, after", PLACES)
def test_a_value_is_put_before_its_marker(before, after):
    notebook = {"cells": [text(before), code(stated=[values(last="80.74%")])]}
    filled = prose.fill(notebook)
    assert source(filled["cells"][0]) == after
    assert prose.fill(filled) == filled and prose.differences(filled) == []
    assert source(notebook["cells"][0]) == before


def test_a_number_changed_by_hand_is_named_and_a_name_without_a_value_stops_the_page():
    page = {"cells": [text("80.74%<!--last--> in 9<!--took--> s"), code(stated=[values(last="80.75%", took="8")])]}
    assert prose.differences(page) == ["last in cell 1 is 80.74% on the page, and 80.75% was stated"]
    assert prose.differences({"cells": page["cells"][:1]})[0] == "cell 1 names last, which no cell has stated"
    with pytest.raises(BadRequest, match="No cell of this run stated last"):
        prose.fill({"cells": page["cells"][:1]})


def test_claims_that_do_not_hold_are_listed_and_the_result_is_read_off_its_cell():
    stated = [{"claim": "it fell", "holds": False}, {"claim": "it rose", "holds": True}, values(last="1")]
    result = text("**Result.** It reaches 80.74%<!--last-->\nin all.", tags=["result"])
    assert prose.not_so({"cells": [code(stated=stated), result]}) == ["it fell"]
    assert prose.result({"cells": [result]}) == "It reaches 80.74% in all."
    assert prose.result({"cells": []}) == ""


def test_no_digest_sees_what_a_clock_showed():
    def output(took):
        shown = {"text/plain": f"last = 80.74%\ntook = {took}", STATED: values(last="80.74%", took=took)}
        return {"output_type": "display_data", "data": shown}

    assert prose.without_seconds(output("8")) == prose.without_seconds(output("9"))
    assert prose.without_seconds(output("8"))["data"] == {"text/plain": "last = 80.74%", STATED: values(last="80.74%")}
    assert prose.without_seconds({"output_type": "stream", "text": "8"}) == {"output_type": "stream", "text": "8"}


BRANCHES = ["if TRAIN:", "    state(last=train())", "else:", "    state(last=load())"]


def test_both_branches_may_state_the_same_names(tmp_path):
    prose.require(chapter(tmp_path, text("?<!--last-->"), code(*BRANCHES)))


@pytest.mark.parametrize(
    "cells, problem",
    [
        ([code(*BRANCHES[:3], "    state(last=load(), first=1)")], "only one branch of `if TRAIN` states first"),
        ([code(*BRANCHES[:2])], "only one branch of `if TRAIN` states last"),
        ([text("?<!--last-->")], "cell 1: no cell states last"),
        ([code("state(last=1)"), code("state(last=2)")], "cell 2: last is stated twice, first in cell 1"),
        ([code("state(last=1)\nstate(last=2)")], "cell 1: last is stated twice"),
        ([code("for i in x:\n    state(last=i)")], "is a statement of its own"),
        ([code("state(**found)")], "takes values by name"),
        ([code("state(last=1)"), text("the <!--last-->")], "nothing stands before the marker of last"),
        ([code("state(last=1)"), text("# It is ?<!--last-->")], "stands in a heading"),
        ([code("state(last=1)"), text("See [the ?<!--last-->](a.md)")], "stands in a link or an alt text"),
        ([code("state(last=1)"), text("![a ?<!--last-->](a.png)")], "stands in a link or an alt text"),
        ([code("state(last=1)"), text('a <img alt="?<!--last-->">')], "stands in an HTML tag"),
        ([code("state(last=1)"), text("so $x = ?<!--last-->$")], "stands in a formula"),
        ([code("state(last=1)"), text("so `?<!--last-->`")], "stands in code"),
        ([code("plot()", alt="ends at ?<!--last-->")], "an alt text cannot hold a marker"),
    ],
)
def test_what_cannot_be_filled_in_stops_the_run_before_its_first_cell(tmp_path, cells, problem):
    with pytest.raises(BadRequest, match=re.escape(problem)) as error:
        prose.require(chapter(tmp_path, *cells))
    assert str(error.value).startswith("03_small, cell ")


# ---- Numbers and their sources ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_an_accuracy_typed_on_any_page_is_found(page):
    cells = [*page.notebook["cells"], text("Trained for longer,\nthe network reaches 93.4% of\nthe test images.")]
    longer = Chapter(page.path)
    longer.notebook = {**page.notebook, "cells": cells}
    assert prose.unsourced_on(longer)[-1].startswith(f"cell {len(cells)}: 93.4% in 'Trained for longer, the network")


@pytest.mark.parametrize(
    "typed, found",
    [
        ("It reaches 93 % in 0.75 of 1,234 cases, or 12345.", ["93 %", "0.75", "1,234", "12345"]),
        ("* It reaches 93%.\n* See https://example.org", ["93%"]),
        ("| 93.4 |\n| arXiv:2404.00498 |", ["93.4"]),
        ("## Is it 90%?\n\nYes.", ["90%"]),
        ("We train `15` epochs at `rate=0.5`: 0.25", ["0.25"]),
        ("80.74%<!--last--> of 93.4%", ["93.4%"]),
        ("Right in 50% of them.", ["50%"]),
    ],
)
def test_what_needs_a_source(typed, found):
    problems = prose.unsourced(typed, "SHARE = 0.5")
    assert [problem.split(" in '")[0] for problem in problems] == found


@pytest.mark.parametrize(
    "typed",
    [
        "It reaches 93.4% ([Jordan, 2023](https://arxiv.org/abs/2304.01910)).",
        "It reaches 93.4%, says arXiv:2304.01910, or `results/float32.json`.",
        "The rate is 0.002 (`LEARNING_RATE=0.002`), and falls by 0.0002.",
        "Answers of 70% <!-- from: an example -->.",
        "It is 80.74%<!--last--> after 1,229<!--took--> s.",
        "Chapter 4 trains 15 epochs on 50,000 images in float32; the 94% network, a **95% interval**, 100%.",
        "```\nmake execute RATE=0.1234\n```",
        "## Is it 90%?\n\nSee https://example.org",
    ],
)
def test_what_needs_no_source(typed):
    assert prose.unsourced(typed, "decay(2e-4)") == []


def test_what_a_cell_says_counts_and_how_it_formats_does_not(tmp_path):
    said = code('text = f"{share:.1%} of {row[KEY]}, 94.5%"', 'say(text + "{:.2f}".format(share))')
    assert [p.split(" in ")[0] for p in prose.unsourced_on(chapter(tmp_path, said, code('title("94.5%")')))] == [
        "cell 1: 94.5%"
    ]
    (problem,) = prose.unsourced_on(chapter(tmp_path, code("plot()", alt="ends at 93.4%")))
    assert problem.startswith("cell 1: 93.4%")
