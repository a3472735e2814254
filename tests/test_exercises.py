"""Exercises: answers that are kept and checked."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from cifar_helpers import artefacts, exercises
from cifar_helpers.exercises import check, keep


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """The folder of a project whose published answers are those that are kept."""
    monkeypatch.setattr(exercises, "_KEPT", {})
    monkeypatch.setattr(artefacts, "PROJECT", tmp_path)
    monkeypatch.setenv("TUTORIAL_NEW_ARTEFACTS", str(tmp_path))
    return tmp_path


@pytest.fixture
def said(kept, capsys):
    """``said(number, answer)``: what a check says, after some answers have been kept."""
    keep("2.1", np.float32(0.349), within=0.005)
    keep("2.2", 1_578_506)
    keep("2.3", "frog")
    keep("2.10", -2.0, within=0.5)
    keep("2.4", 0.02, within=0.01)

    def say(number, answer):
        check(number, answer)
        return capsys.readouterr().out.removesuffix("\n")

    return say


class Tensor:
    """As TensorFlow's."""

    def numpy(self):
        return np.float32(0.35)


@pytest.mark.parametrize(
    ("number", "answer", "sentence"),
    [
        ("2.1", 0.349, "Right: 0.349."),
        ("2.1", np.float64(0.3441), "Right: 0.3441."),
        ("2.1", np.array([0.35]), "Right: 0.35."),
        ("2.1", Tensor(), "Right: 0.35."),
        ("2.1", 1, "1 is too large."),
        ("2.1", 0.34, "0.34 is too small."),
        ("2.1", 34.9, "34.9 is a hundred times the answer."),
        ("2.1", -0.351, "-0.351 has the wrong sign."),
        ("2.1", math.inf, "inf is too large."),
        ("2.1", math.nan, "Your answer is nan: on the way to it, something has no value."),
        ("2.1", "0.349", "The answer is a single number, and yours is of type str."),
        ("2.1", [0.3, 0.4], "The answer is a single number, and yours is of type list."),
        ("2.1", np.zeros(9), "The answer is a single number, and yours is of type ndarray."),
        ("2.1", True, "The answer is a single number, and yours is of type bool."),
        ("2.1", ..., "Put your answer in place of ..., then run this cell again."),
        ("2.1", None, "Put your answer in place of ..., then run this cell again."),
        ("2.2", 1_578_506.0, "Right: 1,578,506."),
        ("2.2", np.int64(1_578_506), "Right: 1,578,506."),
        ("2.2", 1_578_505, "1,578,505 is too small."),
        ("2.3", np.str_(" Frog "), "Right: Frog."),
        ("2.3", "cat", "Not cat: the answer is another word."),
        ("2.3", 6, "The answer is a word, and yours is of type int."),
        ("2.4", 1.5, "1.5 is too large."),
        ("2.10", -2.5, "Right: -2.5."),
        ("2.5", 1, "There is no exercise 2.5 to check; there are 2.1, 2.2, 2.3, 2.4, 2.10."),
        ("3.1", 1, "results/answers/03.json is missing: it comes with the project; restore it from git."),
    ],
)
def test_an_answer_is_judged_in_a_sentence_that_does_not_give_it_away(said, number, answer, sentence):
    assert said(number, answer) == sentence


@pytest.mark.parametrize(
    ("names", "words"),
    [({"DATA": "stand-in", "LIMIT": 300}, "has drawings instead"), ({"LIMIT": 300}, "has 300 of them"), ({}, "small.")],
)
def test_a_wrong_answer_may_come_from_other_images(said, monkeypatch, names, words):
    monkeypatch.setattr(exercises, "get_ipython", lambda: SimpleNamespace(user_ns=names))
    assert said("2.1", 0.2).startswith("0.2 is too small.") and words in said("2.1", 0.2)
    assert said("2.1", 0.35) == "Right: 0.35."


def test_what_is_kept_stands_in_one_file_for_each_chapter_and_a_cell_can_be_run_twice(kept):
    for number, answer in [("2.2", np.int64(3)), ("2.1", 7), ("2.1", 0.5), ("10.1", " a word ")]:
        keep(number, answer, within=0.25)
    texts = {path.relative_to(kept).as_posix(): json.loads(path.read_text()) for path in kept.rglob("*.json")}
    assert texts == {
        "results/answers/02.json": {"2.1": {"answer": 0.5, "within": 0.25}, "2.2": {"answer": 3, "within": 0.25}},
        "results/answers/10.json": {"10.1": {"answer": "a word", "within": 0.25}},
    }


@pytest.mark.parametrize("answer", [None, ..., math.nan, -math.inf, "", True, [1, 2], np.zeros(3), 1j])
def test_only_numbers_and_words_can_be_kept(kept, answer):
    with pytest.raises(TypeError, match="^The answer to exercise 2.1 has to be a number or a word, not "):
        keep("2.1", answer)
    assert not list(kept.rglob("*.json"))


@pytest.mark.parametrize(
    ("number", "within"), [("2", 0), (2.1, 0), ("0.1", 0), ("a.b", 0), ("2.1", -1), ("2.1", math.nan)]
)
def test_a_number_that_no_exercise_has_and_a_tolerance_below_zero_are_refused(kept, number, within):
    with pytest.raises(ValueError, match=r"such as \"2.1\"|within"):
        keep(number, 1, within)
