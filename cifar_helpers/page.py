"""What a page says of its own run: values for its prose, claims that are tested, and warnings."""

import contextlib
import json
import math
import os
import re
import threading
import time
from pathlib import Path
from typing import NamedTuple

from IPython import get_ipython
from IPython.display import Markdown, display

import cifar_helpers.settings  # noqa: F401  (stops where a reader's setting is none that its comment allows)

STATED = "application/vnd.cifar10-tutorial+json"  # the type under which values and claims stand in a cell's output
# A value and its marker, ``80.74%<!--last-->``.  The value is all that stands directly before the marker, back to a
# space, a bracket, a quotation mark or one of * _ | = ~ ± ≈ – — $ `.  Several words are joined by no-break spaces.
SPAN = re.compile(r"(?P<value>(?:\u00a0|[^\s()\[\]<>\"“”‘*_|=~±≈–—$`])*)<!--(?P<name>[a-z][a-z0-9_]*)-->")


class Value(NamedTuple):
    """A value as a page shows it, as a number, and what it belongs to, so that two runs can be compared by it."""

    text: str
    kind: str  # "word", "count", "fixed", "training" or "seconds"
    number: float | int | None = None
    record: str = ""  # of a training: the name of its records in results/runs/


def count(number, spec=","):
    """A number that is exact: of images, steps, parameters."""
    return _number(number, spec, "count")


def fixed(number, spec):
    """What data or a given network give, nearly the same wherever it is computed: ``fixed(share, ".1%")``."""
    return _number(number, spec, "fixed")


def trained(number, spec, record):
    """What a training that this page runs ended with; another seed gives another value.

    record: the name of the trainings to compare it with, as in results/runs/: "baseline15".
    """
    return _number(number, spec, "training", record)


def seconds(number, spec=",.0f"):
    """What a clock showed, in any unit: it is never compared."""
    return _number(number, spec, "seconds")


def _number(number, spec, kind, record=""):
    number = number.item() if hasattr(number, "item") else number
    if not math.isfinite(number):  # nothing was measured
        return Value("none", kind, None, record)
    return Value(format(number, spec), kind, number, record)


def state(**values):
    """State the values that the prose of this page names: ``state(last=trained(accuracy, ".2%", "baseline15"))``.

    values: what count, fixed, trained or seconds return; a str is a word, an int a count.  The runner puts each where
    Markdown has its marker, ``?<!--last-->``.  Raises TypeError for anything else, and ValueError for a text that
    cannot be told from what stands around it.
    """
    stated = {name: _value(name, value) for name, value in values.items()}
    on_page = _on_page() if is_live() else {}
    lines = []
    for name, value in stated.items():
        before = on_page.get(name, "?")
        same = value.kind == "seconds" or before in ("?", value.text)
        lines.append(f"{name} = {value.text}" if same else f"{name}: page {before}, here {value.text}")
    _show({"text/plain": "\n".join(lines)}, {"values": {name: _as_json(value) for name, value in stated.items()}})


def _value(name, value):
    if isinstance(value, str):
        value = Value(value.replace(" ", "\u00a0"), "word")
    if isinstance(value, int) and not isinstance(value, bool):
        value = count(value)
    if not isinstance(value, Value):
        raise TypeError(f"{name}: state a word, a whole number, or what count, fixed, trained or seconds return.")
    if not value.text or not SPAN.fullmatch(f"{value.text}<!--x-->"):
        raise ValueError(f"{name}: a value in the text of a page cannot be {value.text!r}; say the rest in the text.")
    return value


def _as_json(value):
    return {key: part for key, part in value._asdict().items() if part not in (None, "")}


def claim(words, condition):
    """Say whether what the prose beside it claims holds in this run: ``claim("the curve fell", late < early)``.

    The page that is being made shows a claim that does not hold, and stays: nothing is raised.
    """
    holds = bool(condition)
    shown = {"text/plain": f"{'Holds' if holds else 'Not so in this run'}: {words}"}
    if not holds:
        shown["text/markdown"] = f"> **Not so in this run:** {words}"
    _show(shown, {"claim": words, "holds": holds})


def _show(shown, stated):
    display({**shown, STATED: stated}, raw=True)


def spans(text):
    """The matches of SPAN in Markdown."""
    return list(SPAN.finditer(text))


def _on_page():
    """{name: value} as it stands in the text of the notebook that is open; {} if that cannot be found."""
    names = get_ipython().user_ns
    places = [os.environ.get("JPY_SESSION_NAME"), names.get("__vsc_ipynb_file__"), names.get("__session__")]
    for place in filter(None, places):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            cells = json.loads(Path(place).read_text(encoding="utf-8"))["cells"]
            texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
            return {span["name"]: span["value"] for text in texts for span in spans(text)}
    return {}


def say(text):
    """Display ``text`` as Markdown: how every number reaches the prose."""
    display(Markdown(text))


def notice(data="cifar10", limit=0):
    """Display a warning if the figures on this page are not those of the full CIFAR-10.

    data: "cifar10" or "stand-in".  limit: number of training images used, 0 for all.
    """
    if data == "stand-in":
        say(
            "> **These are drawings, not photographs.** CIFAR-10 could not be had, so this page was "
            "made with the stand-in: ten kinds of shapes drawn by code. Every step runs as it "
            "would on CIFAR-10, but the figures mean nothing for CIFAR-10."
        )
    elif limit:
        say(
            f"> **A quick run.** This page was made with {limit:,} training images instead of all of "
            "them, to check that every step works. Its figures are not the tutorial's."
        )


def is_live():
    """Whether a reader watches this code run in JupyterLab, and no page is being made of it."""
    return get_ipython() is not None and "TUTORIAL_ARTEFACTS" not in os.environ


@contextlib.contextmanager
def ticking(what, every=2):
    """Show a reader in JupyterLab for how long ``what`` has been going on, on a line that vanishes at its end.

    every: seconds between two looks at the clock.
    """
    over, started = threading.Event(), time.perf_counter()

    def tick():
        while not over.wait(every):
            print(f"\r{what}  {time.perf_counter() - started:.0f} s ...", end="", flush=True)
        print("\r" + " " * (len(what) + 20) + "\r", end="", flush=True)

    thread = threading.Thread(target=tick, daemon=True)
    if is_live():
        thread.start()
    try:
        yield
    finally:
        over.set()
        if thread.ident:
            thread.join()
