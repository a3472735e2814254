"""Answers to the exercises: the solutions keep them, and readers check their own against them, in words."""

import math
import re

from IPython import get_ipython

from cifar_helpers import artefacts

NUMBER = re.compile(r"(?P<chapter>[1-9]\d?)\.[1-9]\d?")
_KEPT = {}  # {name of a chapter's answers: what they hold}, as this kernel has kept them


def keep(number, answer, within=0):
    """Keep the answer to an exercise: the last line of its solution, ``keep("2.1", answer, within=0.005)``.

    Parameters
    ----------
    number : str
        Of the exercise: chapter and place, "2.1".
    answer : int, float, a scalar of NumPy or TensorFlow, or str
        A number, or a word.
    within : float
        How far a reader's number may be from it and is right.

    Raises
    ------
    ValueError
        If ``number`` is not that of an exercise, or ``within`` is negative.
    TypeError
        If ``answer`` is neither a number nor a word.
    """
    value, name = _plain(answer), answers_of(number)
    if value is None or value != value or value in ("", math.inf, -math.inf):
        raise TypeError(f"The answer to exercise {number} has to be a number or a word, not {answer!r}.")
    if not within >= 0:
        raise ValueError(f"The answer to exercise {number} cannot be right within {within!r}.")
    _KEPT.setdefault(name, {})[number] = {"answer": value, "within": float(within)}
    artefacts.write_json(artefacts.write(name), _KEPT[name])


def check(number, answer):
    """Say whether ``answer`` to an exercise is right, compared with that of its published solution.

    Prints a sentence, whatever ``answer`` is: what is right, or in which way it is not, without the answer.

    Parameters
    ----------
    number : str
        Of the exercise: "2.1".
    answer : int, float, a scalar of NumPy or TensorFlow, or str
        The reader's answer; ``...`` where there is none yet.

    Raises
    ------
    ValueError
        If ``number`` is not that of an exercise.
    """
    try:
        answers = artefacts.read_json(artefacts.published(answers_of(number)))
    except artefacts.MissingArtefact as reason:
        print(reason)
        return
    if number not in answers:
        print(f"There is no exercise {number} to check; there are {', '.join(sorted(answers, key=_place))}.")
    elif answer is None or answer is ...:
        print("Put your answer in place of ..., then run this cell again.")
    else:
        print(_judged(answer, answers[number]["answer"], answers[number]["within"]))


def answers_of(number):
    """The name of the file with the answers to the exercises of a chapter: "results/answers/02.json" for "2.1"."""
    match = NUMBER.fullmatch(number) if isinstance(number, str) else None
    if not match:
        raise ValueError(f'An exercise has a number such as "2.1", not {number!r}.')
    return f"results/answers/{int(match['chapter']):02}.json"


def _place(number):
    return [int(part) for part in number.split(".")]


def _plain(answer):
    """A word as a str, a number as an int or a float, whatever holds it; None for anything else."""
    if isinstance(answer, str):
        return str(answer).strip()
    value = answer.numpy() if hasattr(answer, "numpy") else answer
    value = value.item() if getattr(value, "size", 0) == 1 and hasattr(value, "item") else value
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _judged(answer, expected, within):
    """A sentence on a reader's answer, compared with the one that was kept."""
    value, is_word = _plain(answer), isinstance(expected, str)
    if value is None or isinstance(value, str) != is_word:
        return (
            f"The answer is a {'word' if is_word else 'single number'}, and yours is of type {type(answer).__name__}."
        )
    if value != value:
        return "Your answer is nan: on the way to it, something has no value."

    def is_right(value):
        if is_word:
            return value.casefold() == expected.casefold()
        return math.isclose(value, expected, rel_tol=1e-9, abs_tol=within)

    shown = value if is_word else f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
    if is_right(value):
        return f"Right: {shown}."
    if is_word:
        return f"Not {shown}: the answer is another word.{_aside()}"
    slips = {0.01: "is a hundred times the answer", 100: "is a hundredth of the answer", -1: "has the wrong sign"}
    if abs(expected) > 10 * within:  # otherwise much would be near it
        for factor, words in slips.items():
            if is_right(factor * value):
                return f"{shown} {words}."
    return f"{shown} is too {'large' if value > expected else 'small'}.{_aside()}"


def _aside():
    """What else may be the reason for another answer: that it was not found on the images of the solution."""
    names = getattr(get_ipython(), "user_ns", {})
    if names.get("DATA") == "stand-in":
        return " It is compared with the answer on CIFAR-10, and this notebook has drawings instead."
    if names.get("LIMIT"):
        return f" It is compared with the answer on all images, and this notebook has {names['LIMIT']:,} of them."
    return ""
