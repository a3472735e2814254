"""What the site's extension makes of cells, stamps, records and docstrings, without Sphinx and without a browser."""

import runpy
import sys

import nbformat
import pytest

from cifar_helpers.page import STATED
from runner import exercises, project, site
from runner.chapters import all_chapters
from runner.ending import BadRequest
from runner.project import HERE, Project

sys.path.insert(0, str(site.DOCS))
from tutorial import cells, facts, reference

FACTS = facts.known(HERE)
STATE = {STATED: {"values": {"a": {"text": "1"}}}, "text/plain": "a = 1"}


def shown(cell):
    """What readers see of a cell: its type, text and tags; nothing if it is left out."""
    notebook = nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))
    return [(cell.cell_type, cell.source, cell.metadata.tags) for cell in cells.read(notebook).cells]


@pytest.mark.parametrize(
    "outputs, expected",
    [
        ([{"text/markdown": "**42**"}, {"text/markdown": "!"}], [("markdown", "**42**\n\n!", ["hide-input"])]),
        ([], []),
        ([{"image/png": "..."}], [("code", "f()", ["hide-input", "remove-input"])]),
        ([STATE], []),
        ([STATE, {**STATE, "text/markdown": "**Not so**"}], [("markdown", "**Not so**", ["hide-input"])]),
    ],
)
def test_of_a_hidden_cell_readers_see_what_it_says(outputs, expected):
    outputs = [nbformat.v4.new_output("display_data", data) for data in outputs]
    assert shown(nbformat.v4.new_code_cell("f()", outputs=outputs, metadata={"tags": ["hide-input"]})) == expected


def test_markers_leave_no_trace_and_the_result_is_framed():
    text = "**Result.** *1*<!--a-->, [**2**<!--b_c-->](x)\n\n| 3<!--d--> | <!-- from: x -->"
    [(_, source, _)] = shown(nbformat.v4.new_markdown_cell(text, metadata={"tags": ["result"]}))
    assert source == ":::{admonition} Result\n:class: result\n*1*, [**2**](x)\n\n| 3 | \n:::"


def test_every_directive_says_what_the_files_say():
    said = {path.stem: facts.say(path.stem, FACTS) for path in facts.TEMPLATES.glob("*.md")}
    for page in FACTS["pages"]:
        assert page["lessons"] in said["cards"] and len(page["lessons"]) > 50
    for stamp in FACTS["stamps"]:
        assert stamp["headline"] in said["results"] and stamp["data"]["checksum"] in said["data"]
        assert all(f"| {name} | {version} |" in said["machine"] for name, version in stamp["versions"].items())
    assert all(f"| `{name}` | {row['seeds']} |" in said["trainings"] for name, row in FACTS["trainings"].items())
    assert all(f"| {way['name']} | " in said["determinism"] for way in FACTS["determinism"]["ways"])


def test_mean_spread_and_hardware_come_from_the_runs():
    runs = [
        {"seed": seed, "hardware": {"cpu": "Abacus", "cores": 2}, "timing": {"training": 50 + seed, "evaluation": 9},
         "scored": {"on": "test", "images": 100, "accuracy": score}}
        for seed, score in enumerate((0.5, 0.6, 0.7))
    ]  # fmt: skip
    row = facts.summary(runs)
    assert (row["n"], row["seeds"], row["machine"], row["seconds"]) == (3, "0, 1, 2", "2 cores of Abacus", 60)
    assert (round(row["mean"], 6), round(row["std"], 6)) == (60, 10)
    assert facts.summary(runs[:1])["std"] is None


def test_reference_is_read_without_importing(tmp_path):
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "noun.py").write_text(
        '"""A noun."""\nimport nothing_of_that_name\n\n'
        'def act(x, n=1):\n    """Do it.\n\n    Returns\n    -------\n    x\n    """\n\ndef _hidden():\n    pass\n\n'
        'class Thing:\n    """A thing."""\n\n    def __init__(self, size):\n        pass\n\n'
        '    @property\n    def half(self):\n        """Half of it."""\n'
    )
    for name in ("__init__.py", "room/__init__.py", "_private.py"):
        (tmp_path / name).write_text('"""Of the package."""\n')
    text = reference.modules(tmp_path)
    assert all(f"## {name}\n\n```{{py:module}} {tmp_path.name}.{name}\n" in text for name in ("room", "room.noun"))
    parts = "A noun.", "function} act(x, n=1)\n\nDo it.", "**Returns**", "class} Thing(size)", "property} half\n"
    assert all(part in text for part in parts)
    assert "hidden" not in text and "private" not in text and "---" not in text


def test_site_shows_the_pages_of_the_project_whatever_else_lies_beside_them():
    shown = [name for name in runpy.run_path(site.DOCS / "conf.py")["include_patterns"] if name.endswith(".ipynb")]
    pages = [f"notebooks/{page.name}.ipynb" for page in all_chapters()]
    assert shown == pages + [exercises.name_of(page) for page in all_chapters() if exercises.made(page)]


def test_exercises_are_shown_without_what_their_reader_computed():
    output = nbformat.v4.new_output("stream", text="mine")
    cell, metadata = nbformat.v4.new_code_cell("answer = 4", outputs=[output]), {exercises.WRITTEN: "digest"}
    read = [
        cells.read(nbformat.writes(nbformat.v4.new_notebook(cells=[cell], metadata=which))) for which in ({}, metadata)
    ]
    assert [len(notebook.cells[0].outputs) for notebook in read] == [1, 0]


def test_site_without_pages_says_what_to_do(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "chapters.txt").write_text("01_first")
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_raw_cell()]), tmp_path / "notebooks/01_first.ipynb")
    with pytest.raises(BadRequest, match="make execute"):
        facts.known(Project(tmp_path))


def test_a_second_site_at_once_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(HERE, "build", tmp_path)
    monkeypatch.setattr(project, "PATIENCE", 0)
    with HERE.alone("site.lock", ""), pytest.raises(BadRequest, match=r"^The site is being made .*\.$"):
        site.build()
