"""Computed text, warnings on pages that are not the real ones, and TensorFlow's chatter held back."""

import os
import re
import time

import pytest

from cifar_helpers import page, quiet


@pytest.fixture
def said(monkeypatch):
    texts = []
    monkeypatch.setattr(page, "display", lambda shown: texts.append(shown.data))
    return texts


def test_text_is_displayed_as_it_is(said):
    page.say("**86 %** of it")
    assert said == ["**86 %** of it"]


def test_the_full_data_needs_no_warning(said):
    page.notice("cifar10", 0)
    assert said == []


@pytest.mark.parametrize("limit", [0, 2000])
def test_drawings_are_called_drawings(said, limit):
    page.notice("stand-in", limit)
    assert len(said) == 1
    assert "drawings" in said[0] and "mean nothing for CIFAR-10" in said[0]


def test_a_quick_run_names_its_number_of_images(said):
    page.notice("cifar10", 2000)
    assert len(said) == 1
    assert "2,000 training images" in said[0]


def test_native_messages_are_held_back(capfd):
    with quiet.held_back():
        os.write(2, b"start-up chatter")
    os.write(2, b"later")
    assert capfd.readouterr().err == "later"


def test_native_messages_are_shown_after_a_failure(capfd, monkeypatch):
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
