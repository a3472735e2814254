"""Settings: what the comment beside one allows, on the command line and where it is typed in a notebook."""

import sys

import IPython
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import cifar_helpers.page
from cifar_helpers.settings import NotAllowed, Parameter
from runner.chapters import PROFILES, BadRequest, Chapter, all_chapters
from toy import Toy

PAGES = all_chapters()
LINES = {
    "LIMIT": "LIMIT = 0  # how many [0 | 300..50000]",
    "RATE": "RATE = 0.001  # how far a step goes [0.001 | 0.01]",
    "TRAIN": "TRAIN = False  # train here [True | False]",
    "DATA": 'DATA = "cifar10"  # which images [cifar10 | stand-in]',
    "SEED": "SEED = 0  # of every draw [0..9]",
    "NOTE": 'NOTE = "# 1"  # what to write [text]',
}
WORDS = {
    "LIMIT": "0 or a whole number from 300 to 50000",
    "RATE": "one of 0.001, 0.01",
    "TRAIN": "one of True, False",
    "DATA": "one of cifar10, stand-in",
    "SEED": "a whole number from 0 to 9",
    "NOTE": "a text",
}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("LIMIT", "0", 0), ("LIMIT", "300", 300), ("LIMIT", "50000", 50000), ("RATE", "0.01", 0.01),
     ("TRAIN", "True", True), ("DATA", "stand-in", "stand-in"), ("SEED", "7", 7), ("NOTE", "7", "7")],
)  # fmt: skip
def test_the_command_line_gives_what_may_be_typed(name, text, value):
    parameter = Parameter(LINES[name])
    assert parameter.parse(text) == value and type(parameter.parse(text)) is type(value)
    parameter.require(value)
    parameter.require(parameter.default)


@pytest.mark.parametrize(
    ("name", "texts"),
    [("LIMIT", ["1", "299", "50001", "-1", "300.0", "", "9" * 5000]), ("RATE", ["0.1", "high"]),
     ("TRAIN", ["1", "true"]), ("DATA", ["cifar100", "'cifar10'"]), ("SEED", ["10", "1.5"])],
)  # fmt: skip
def test_the_command_line_refuses_the_rest(name, texts):
    for text in texts:
        with pytest.raises(NotAllowed) as refused:
            Parameter(LINES[name]).parse(text)
        assert str(refused.value) == f"{name}={text}: expected {WORDS[name]}."


@pytest.mark.parametrize(
    ("name", "values"),
    [("LIMIT", [100, 100_000, "300", 300.0, True, None]), ("RATE", ["high", "0.001", 1, 0.002]),
     ("TRAIN", [1, "False"]), ("DATA", ["CIFAR10", 10]), ("SEED", [False, 0.0]), ("NOTE", [7])],
)  # fmt: skip
def test_what_is_typed_has_to_be_of_the_same_kind_too(name, values):
    for value in values:
        with pytest.raises(NotAllowed) as refused:
            Parameter(LINES[name]).require(value)
        assert str(refused.value) == f"{name} = {value!r}: expected {WORDS[name]}."


@pytest.mark.parametrize(
    "line", ["LIMIT = 0", "limit = 0  # how many [0..9]", "x = 1  # [0..9]", "LIMIT = 0  # how many"]
)
def test_a_line_without_a_contract_is_no_setting(line):
    with pytest.raises(ValueError, match="no `NAME = value  # meaning"):
        Parameter(line)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("START = 1", "01_first: no `NAME = value  # meaning [contract]`: START = 1"),
        ("START = 1 + 1  # where [1..9]", "01_first: the default is not a plain value: START = 1 + 1  # where [1..9]"),
    ],
)
def test_a_chapter_says_which_of_its_settings_is_none(tmp_path, line, sentence):
    toy = Toy.miniature(tmp_path / "toy")
    toy.edit_cell("01_first", "START = 1  # where to begin [1..100]", line)
    with pytest.raises(BadRequest) as refused:
        Chapter(toy.path("notebooks/01_first.ipynb"), toy.project).parameters  # noqa: B018
    assert str(refused.value) == sentence


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_allows_its_defaults_and_what_the_profiles_set(page):
    for profile in PROFILES:
        for name, value in page.settings(profile).items():
            page.parameters[name].require(value)


# ---- In a notebook ----


@pytest.fixture
def run(monkeypatch):
    """Run cells in a fresh kernel that has not imported the helpers: returns what stopped one, or None."""
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))  # which leaves nothing behind
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    for module in (cifar_helpers.page, cifar_helpers.settings):
        monkeypatch.delitem(sys.modules, module.__name__)
        monkeypatch.setattr(cifar_helpers, module.__name__.partition(".")[2], module)  # as it is to be again
    return lambda cell: shell.run_cell(cell, store_history=True).error_in_exec


def cell(**values):
    """The cell with settings in which a reader has typed other values."""
    lines = dict(LINES)
    for name, value in values.items():
        before, comment = lines[name].split("  # ", 1)
        lines[name] = f"{name} = {value}  # {comment}"
    return "\n".join(lines.values())


IMPORT = "from cifar_helpers.page import notice"


def test_a_reader_is_stopped_before_anything_runs_with_it_and_goes_on_when_it_is_mended(run, capsys):
    assert run(cell(LIMIT="100 * 3 - 1")) is None  # nothing of the tutorial is there yet
    capsys.readouterr()
    assert str(run(IMPORT)) == "LIMIT = 299: expected 0 or a whole number from 300 to 50000."
    shown = capsys.readouterr()
    assert (shown.out + shown.err).strip() == "LIMIT = 299: expected 0 or a whole number from 300 to 50000."
    assert run(cell(LIMIT=300)) is None
    assert run(IMPORT) is None


def test_later_it_is_the_cell_with_the_settings_that_stops(run):
    assert run(cell()) is None and run(IMPORT) is None
    assert str(run(cell(RATE='"high"'))) == "RATE = 'high': expected one of 0.001, 0.01."
    assert run("x = 1") is None
    assert run(cell(RATE=0.01, LIMIT=500)) is None
    run("import importlib, cifar_helpers.page; importlib.reload(cifar_helpers.page)")
    assert str(run(cell(TRAIN='"False"'))) == "TRAIN = 'False': expected one of True, False."


def test_settings_that_a_run_injects_are_held_against_the_cell_above_them(run):
    run(cell())
    run('# Parameters\nDATA = "stand-in"\nLIMIT = 7\n')
    assert str(run(IMPORT)) == "LIMIT = 7: expected 0 or a whole number from 300 to 50000."


def test_a_line_whose_comment_is_gone_is_held_against_what_it_was(run):
    assert run(cell()) is None and run(IMPORT) is None
    assert str(run('DATA = "cifar10"\nLIMIT = 7')) == "LIMIT = 7: expected 0 or a whole number from 300 to 50000."


def test_no_other_cell_is_one_with_settings(run):
    assert run("COLOURS = 3  # as in a picture [see above]") is None and run(cell()) is None and run(IMPORT) is None
    assert run("COLOURS = 9  # as in a picture [0..3]\nDATASET = COLOURS") is None
