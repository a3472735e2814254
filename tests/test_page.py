"""Values that a page states, claims, warnings on pages that are not the real ones, TensorFlow's chatter."""

import json
import math
import os
import re
import time
from types import SimpleNamespace

import numpy as np
import pytest

from cifar_helpers import page, quiet


@pytest.fixture
def said(monkeypatch):
    texts = []
    monkeypatch.setattr(page, "display", lambda shown: texts.append(shown.data))
    return texts


@pytest.mark.parametrize(
    "data, limit, words",
    [
        ("cifar10", 0, []),
        ("stand-in", 0, ["drawings", "mean nothing for CIFAR-10"]),
        ("stand-in", 2000, ["drawings", "mean nothing for CIFAR-10"]),
        ("cifar10", 2000, ["2,000 training images"]),
    ],
)
def test_all_but_the_full_data_need_a_warning(said, data, limit, words):
    page.notice(data, limit)
    assert len(said) == bool(words) and all(word in said[0] for word in words)


def test_native_messages_are_held_back_unless_something_fails(capfd):
    with quiet.held_back():
        os.write(2, b"start-up chatter")
    os.write(2, b"later")
    assert capfd.readouterr().err == "later"
    with pytest.raises(ImportError), quiet.held_back():
        os.write(2, b"what went wrong")
        raise ImportError
    assert "what went wrong" in capfd.readouterr().err


@pytest.fixture
def lab(monkeypatch):
    """A kernel in which no page is made."""
    monkeypatch.setattr(page, "get_ipython", object)
    monkeypatch.delenv("TUTORIAL_ARTEFACTS", raising=False)


def test_a_reader_in_jupyterlab_sees_the_seconds_pass_until_it_ends(lab, capfd):
    shown, patience = "", time.monotonic() + 30
    with pytest.raises(KeyboardInterrupt), page.ticking("epoch 1", every=0.01):
        while shown.count("\repoch 1  ") < 2 and time.monotonic() < patience:
            shown += capfd.readouterr().out
        raise KeyboardInterrupt
    shown += capfd.readouterr().out
    assert re.match(r"(\repoch 1  \d+ s \.{3} *){2}", shown)
    assert shown.endswith(" \r")
    time.sleep(0.1)
    assert capfd.readouterr().out == ""


def test_a_page_that_is_being_made_shows_no_seconds(lab, monkeypatch, capfd):
    monkeypatch.setenv("TUTORIAL_ARTEFACTS", "somewhere")
    with page.ticking("epoch 1", every=0.01):
        time.sleep(0.1)
    assert capfd.readouterr().out == ""


# ---- Values and claims ----


@pytest.fixture
def shown(monkeypatch):
    outputs = []
    monkeypatch.setattr(page, "display", lambda data, raw: outputs.append(data))
    return outputs


def test_a_value_is_shown_as_text_and_kept_with_its_number_and_kind(shown):
    page.state(
        last=page.trained(np.float64(0.80741), ".2%", "baseline15"), images=np.int64(5000).item(),
        steps=page.count(704.0, ",.0f"), size=page.fixed(2.345, ".1f"), took=page.seconds(1229),
        hardest="fire engine", none=page.fixed(math.nan, ".1%"),
    )  # fmt: skip
    (data,) = shown
    assert data["text/plain"].splitlines()[:2] == ["last = 80.74%", "images = 5,000"]
    assert json.loads(json.dumps(data[page.STATED], allow_nan=False))["values"] == {
        "last": {"text": "80.74%", "kind": "training", "number": 0.80741, "record": "baseline15"},
        "images": {"text": "5,000", "kind": "count", "number": 5000},
        "steps": {"text": "704", "kind": "count", "number": 704.0},
        "size": {"text": "2.3", "kind": "fixed", "number": 2.345},
        "took": {"text": "1,229", "kind": "seconds", "number": 1229},
        "hardest": {"text": "fire\u00a0engine", "kind": "word"},
        "none": {"text": "none", "kind": "fixed"},
    }


@pytest.mark.parametrize("value, error", [(0.5, TypeError), (True, TypeError), ("a (b)", ValueError), ("", ValueError)])
def test_what_cannot_stand_in_a_text_is_refused(shown, value, error):
    with pytest.raises(error, match="^odd: "):
        page.state(odd=value)
    assert shown == []


def test_a_claim_never_stops_a_run(shown):
    page.claim("it rose", np.bool_(True))
    page.claim("it fell", math.nan < 1)
    assert [data[page.STATED] for data in shown] == [
        {"claim": "it rose", "holds": True},
        {"claim": "it fell", "holds": False},
    ]
    assert "text/markdown" not in shown[0]
    assert shown[1]["text/markdown"] == "> **Not so in this run:** it fell"


@pytest.mark.parametrize("place", ["JPY_SESSION_NAME", "__vsc_ipynb_file__", "__session__"])
def test_jupyterlab_says_where_this_run_differs_from_the_page(shown, monkeypatch, tmp_path, place):
    notebook = tmp_path / "open.ipynb"
    monkeypatch.delenv("TUTORIAL_ARTEFACTS", raising=False)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    names = {} if place == "JPY_SESSION_NAME" else {place: str(notebook)}
    if not names:
        monkeypatch.setenv(place, str(notebook))
    monkeypatch.setattr(page, "get_ipython", lambda: SimpleNamespace(user_ns=names))

    def lines():
        page.state(last=page.fixed(0.612, ".2%"), best=page.fixed(0.9, ".0%"), draft=1, took=page.seconds(7))
        return shown.pop()["text/plain"].splitlines()

    same = ["last = 61.20%", "best = 90%", "draft = 1", "took = 7"]
    assert lines() == same  # nothing is said where the page cannot be found
    text = "**80.74%<!--last-->**, 90%<!--best-->, ?<!--draft-->, 9<!--took--> s"
    notebook.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": [text]}]}))
    assert lines() == ["last: page 80.74%, here 61.20%", *same[1:]]
    monkeypatch.setenv("TUTORIAL_ARTEFACTS", "somewhere")
    assert lines() == same
