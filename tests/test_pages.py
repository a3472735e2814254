"""The published pages: fresh, whole, readable, and nothing of the machine on them."""

import ast
import base64
import builtins
import json
import re
import struct

import pytest

from runner import commands, digests, exercises
from runner.chapters import Chapter, all_chapters, alt, source, tags
from runner.project import HERE

CHAPTERS = all_chapters()
MAIN = [chapter for chapter in CHAPTERS if not chapter.is_solution]
WITH_EXERCISES = [chapter for chapter in CHAPTERS if exercises.made(chapter)]
by_name = {"argvalues": CHAPTERS, "ids": lambda chapter: chapter.name}


def outputs(chapter):
    return [output for cell in chapter.code_cells for output in cell["outputs"]]


def test_pages_results_and_the_readme_are_fresh(capsys):
    assert commands.main(["check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("chapter", **by_name)
def test_page_is_small_and_its_cells_ran_in_order_without_error(chapter):
    assert chapter.path.stat().st_size <= 1_750_000
    counts = [cell["execution_count"] for cell in chapter.code_cells]
    assert counts == list(range(1, len(counts) + 1))
    assert all(output["output_type"] != "error" and output.get("name") != "stderr" for output in outputs(chapter))


@pytest.mark.parametrize("chapter", **by_name)
def test_no_path_of_a_machine_is_on_the_page(chapter):
    text = json.dumps([source(cell) for cell in chapter.notebook["cells"]])
    text += json.dumps([{k: v for k, v in o.get("data", o).items() if k != "image/png"} for o in outputs(chapter)])
    text += json.dumps(chapter.notebook["metadata"])
    assert re.findall(r"(?:/home|/root|/tmp|/work|/Users|/private|/var|/opt)/[\w./-]*", text) == []


@pytest.mark.parametrize("chapter", **by_name)
def test_every_figure_is_said_in_words_and_sharp_on_a_screen_of_twice_the_density(chapter):
    words = [alt(cell) for cell in chapter.code_cells if alt(cell)]
    assert all(len(said) > 20 for said in words) and len(set(words)) == len(words)
    for cell in chapter.code_cells:
        drawn = [output for output in cell["outputs"] if "image/png" in output.get("data", {})]
        assert len(drawn) == bool(alt(cell)), source(cell)  # so that a figure that is missing is noticed in each run
    for output in (output for output in outputs(chapter) if "image/png" in output.get("data", {})):
        pixels = struct.unpack(">II", base64.b64decode(output["data"]["image/png"])[16:24])
        shown = output["metadata"]["image/png"]
        assert (shown["width"], shown["height"]) == (pixels[0] // 2, pixels[1] // 2)


@pytest.mark.parametrize("chapter", MAIN, ids=lambda chapter: chapter.name)
def test_chapter_has_its_fixed_parts(chapter):
    assert [len(chapter.cells_tagged(tag)) for tag in ("parameters", "result", "cost")] == [1, 1, 1]
    prose = "\n".join(source(cell) for cell in chapter.notebook["cells"] if cell["cell_type"] == "markdown")
    parts = "**What you'll do**", "**What you'll learn**", "**What you need**", "## Recap", "## Exercises"
    assert [part for part in parts if part not in prose] == []
    assert CHAPTERS[CHAPTERS.index(chapter) + 1].name == f"solutions/{chapter.name}"
    assert chapter.path == HERE.notebooks / f"{chapter.name}.ipynb" and re.fullmatch(r"\d\d_\w+", chapter.name)


@pytest.mark.parametrize("chapter", **by_name)
def test_code_cells_are_short_and_those_that_show_seconds_are_not_compared(chapter):
    for cell in chapter.code_cells:
        lines = [line for line in source(cell).splitlines() if line.strip()]
        assert len(lines) <= 25 and max(map(len, lines)) <= 100, source(cell)
        assert ("timing" in tags(cell)) == ("nbval-ignore-output" in tags(cell))


@pytest.mark.parametrize("chapter", WITH_EXERCISES, ids=lambda chapter: chapter.name)
def test_every_exercise_has_a_hint_a_starter_and_an_answer_and_needs_nothing_of_the_solution(chapter):
    tasks, starters = chapter.cells_tagged("exercise"), chapter.cells_tagged("starter")
    assert all("<details>" in source(task) for task in tasks) and len(starters) == len(tasks)
    assert set(chapter.kept) == {f"{int(chapter.number)}.{place}" for place, _ in enumerate(tasks, start=1)}
    code = [source(cell) for cell in exercises.made(chapter)["cells"] if cell["cell_type"] == "code"]
    bound = {*vars(builtins), "display"}
    for statement in ast.parse("\n".join(code)).body:
        binds, takes, _ = digests._names(statement)
        assert takes <= bound | binds, ast.unparse(statement)
        bound |= binds


EXERCISES = [Chapter(exercises.path_of(chapter)) for chapter in WITH_EXERCISES]


@pytest.mark.parametrize(
    "chapter", [*CHAPTERS, *EXERCISES], ids=lambda chapter: f"{chapter.path.parent.name}/{chapter.path.stem}"
)
def test_links_lead_somewhere(chapter):
    text = "\n".join(source(cell) for cell in chapter.notebook["cells"] if cell["cell_type"] == "markdown")
    targets = re.findall(r"\]\((?!http)([^)#]+)", text)
    assert [target for target in targets if not (chapter.path.parent / target).exists()] == []


def test_no_chapter_reads_what_a_later_one_writes():
    written = set()
    for chapter in CHAPTERS:
        assert set(chapter.reads) <= written, chapter.name
        written |= set(chapter.writes)


def test_the_seeds_of_published_pages_are_their_defaults():
    for chapter in CHAPTERS:
        used = chapter.notebook["metadata"]["tutorial"]["parameters"]
        changed = {name for name, p in chapter.parameters.items() if used[name] != p.default}
        assert changed <= {"TRAIN"}, chapter.name


@pytest.mark.parametrize("text", [HERE.root / "README.md", *(c.path for c in CHAPTERS)], ids=lambda p: p.name)
def test_every_command_that_is_named_exists(text):
    targets = re.findall(r"^([a-z-]+):.*## ", (HERE.root / "Makefile").read_text(encoding="utf-8"), re.M)
    named = re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", text.read_text(encoding="utf-8"), re.M)
    assert {first or second for first, second in named} <= set(targets)
