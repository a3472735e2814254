"""Exercise notebooks: made from the solutions, checked like pages, and their readers' own once these have begun."""

import json

import pytest

from cifar_helpers import data
from runner import execute, exercises
from runner.chapters import Chapter, all_chapters, source
from runner.studies import catalogue
from toy import Toy

PATH = "notebooks/exercises/01_first.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A project whose only page, solutions, has been executed: no training is looked at, and no image."""
    toy = Toy.miniature(tmp_path_factory.mktemp("toy") / "project")
    toy.give_solutions()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "outdated", lambda *_: {})
        patch.setattr(data, "load_cifar10", lambda: None)
        patch.setattr(execute, "environment_size", lambda: 3.0)
        done = toy.call("execute")
        assert done.returncode == 0, done.stderr
        yield toy


@pytest.fixture
def toy(executed, tmp_path):
    return executed.copy(tmp_path / "project")


def notebook(toy):
    return json.loads(toy.path(PATH).read_text())


def edit(toy, place, text, **more):
    """Let a reader put ``text`` into a cell."""
    toy.edit_page("exercises/01_first", lambda page: page["cells"][place].update(source=text, **more))


def check(toy):
    done = toy.call("check")
    return done.returncode, done.stdout.partition("\n")[0]


FRESH = (0, "All 1 pages are fresh.")
OTHER = f"{PATH}: it is not what its solutions give"


def test_solutions_keep_their_answers_and_the_exercises_have_tasks_starters_and_a_cell_for_each_answer(executed):
    assert json.loads(executed.path("results/answers/01.json").read_text()) == {
        "1.1": {"answer": 4, "within": 0.5}, "1.3": {"answer": "even", "within": 0.0},
    }  # fmt: skip
    assert executed.page("solutions/01_first")["metadata"]["tutorial"]["writes"].keys() == {"results/answers/01.json"}
    page = notebook(executed)
    opening, parameters, *cells = page["cells"]
    assert source(opening).startswith("# Exercises for chapter 1: First\n")
    assert "(../01_first.ipynb)" in source(opening) and "(../solutions/01_first.ipynb)" in source(opening)
    assert parameters["metadata"]["tags"] == ["parameters"]
    assert [source(cell) for cell in cells] == [
        "from cifar_helpers.page import state\n\ntwo = 2", exercises.CHECK,
        "## Exercise 1: twice\n\nDouble it. ", "number = two", 'answer = ...\ncheck("1.1", answer)',
        "## Exercise 2: a picture\n\nDraw it.",
        "## Exercise 3: the word\n\nIs it odd or even?", "rest = number % two", 'answer = ...\ncheck("1.3", answer)',
    ]  # fmt: skip
    assert page["metadata"]["kernelspec"] == executed.page("solutions/01_first")["metadata"]["kernelspec"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in page["cells"])
    assert check(executed) == FRESH


def test_they_follow_the_solutions_without_a_run_and_come_back_with_the_same_bytes(toy):
    before = toy.published()
    toy.path(PATH).unlink()
    assert check(toy) == (1, f"{PATH}: it is missing.")
    assert toy.call("refresh").stdout == "All 1 pages are fresh.\n"
    assert toy.published() == before
    toy.edit_cell("solutions/01_first", "Double it.", "Twice!")
    assert check(toy) == (1, f"{OTHER}.")
    assert toy.call("refresh").returncode == 0 and check(toy) == FRESH
    assert "Twice!" in toy.path(PATH).read_text()


def test_a_starter_that_was_edited_is_one_too(toy):
    toy.edit_cell("solutions/01_first", "rest = number % two", "rest = number % two  # here")
    assert check(toy) == (1, f"{OTHER}.")


PRINTED = [{"output_type": "stream", "name": "stdout", "text": "4"}]
NOTE = {"cell_type": "markdown", "metadata": {}, "source": "Mine."}
WORK = {
    "an answer": lambda toy: edit(toy, 6, 'answer = 4\ncheck("1.1", answer)'),
    "an output": lambda toy: edit(toy, 5, "number = two", outputs=PRINTED),
    "a note": lambda toy: toy.edit_page("exercises/01_first", lambda page: page["cells"].append(NOTE)),
}


@pytest.mark.parametrize("work", WORK)
def test_a_readers_work_makes_nothing_stale_and_is_never_replaced(toy, work):
    WORK[work](toy)
    before = toy.published()
    assert check(toy) == FRESH
    assert toy.call("refresh").stdout == "All 1 pages are fresh.\n" and toy.published() == before
    toy.edit_cell("solutions/01_first", "Double it.", "Twice!")
    theirs = "it is not what its solutions give, and somebody has worked in it: move it elsewhere for a new one."
    assert check(toy) == (1, f"{PATH}: {theirs}")
    assert f"{PATH} stays: {theirs}\n" in toy.call("refresh").stdout
    assert toy.published()[PATH] == before[PATH]
    toy.path(PATH).rename(toy.path("mine.ipynb"))
    assert toy.call("refresh").returncode == 0 and check(toy) == FRESH


def test_a_task_that_was_edited_here_is_named(toy):
    edit(toy, 4, "## Exercise 1: thrice")
    assert check(toy)[1].startswith(OTHER)


def test_a_damaged_one_is_one_sentence_before_anything_runs(toy):
    toy.path(PATH).write_text("{")
    for command in ("check", "execute", "refresh"):
        done = toy.call(command)
        assert done.returncode == 2 and f"{PATH} is not whole: restore it from git" in done.stderr
        assert done.stderr.count("\n") == 1 and "code cell" not in done.stdout


def test_other_settings_write_none(toy):
    toy.path(PATH).unlink()
    assert toy.call("execute", "LIMIT=7").returncode == 0
    assert not toy.path(PATH).exists() and toy.path("build/full+LIMIT=7/results/answers/01.json").exists()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("keep('2.1', 4)", "solutions/01_first: keep('2.1', ...) names no exercise of this chapter."),
        ("keep(1.1, 4)", "solutions/01_first: keep(1.1, ...) names no exercise of this chapter."),
        ("keep(name, 4)", "solutions/01_first: write the name in keep(...) as a plain string."),
    ],
)
def test_an_answer_of_no_exercise_is_refused_before_anything_runs(toy, call, sentence):
    toy.edit_cell("solutions/01_first", "keep('1.3', answer)", call)
    done = toy.call("execute")
    assert (done.returncode, done.stderr) == (2, f"{sentence}\n") and "code cell" not in done.stdout


def test_only_solutions_with_exercises_have_one(toy):
    [page] = all_chapters(toy.project)
    page.notebook["cells"] = page.notebook["cells"][:5]
    assert exercises.made(page) is None
    assert exercises.made(Chapter(toy.path("notebooks/01_first.ipynb"), toy.project)) is None
