"""A training that was interrupted goes on after its last finished epoch; damaged files, two at once, other keys."""

import dataclasses
import errno
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import pytest
import tensorflow as tf

from cifar_helpers import checkpoint as module
from cifar_helpers.artefacts import PROJECT
from cifar_helpers.checkpoint import Checkpoint
from cifar_helpers.fast.recipe import FAST84

HISTORY = [{"loss": 0.1 + 0.2, "seconds": 1.5}, {"loss": 1e-17, "seconds": 2.25}]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_CHECKPOINTS", str(tmp_path))
    monkeypatch.delenv("TUTORIAL_FINISHED", raising=False)
    return tmp_path


def variables(start=0.0):
    kinds = {(3, 2): "float32", (): "int64", (2,): "uint32"}
    return [tf.Variable(tf.cast(tf.fill(shape, start), kind)) for shape, kind in kinds.items()]


def restored(checkpoint):
    """What a new process would find: the history, and the first number of each variable."""
    fresh = variables()
    return checkpoint.restore(fresh), [float(tf.reshape(variable, [-1])[0]) for variable in fresh]


def saved(name="test", key="key", **more):
    checkpoint = Checkpoint(name, key, **more)
    checkpoint.save(variables(7), HISTORY)
    return checkpoint


def test_what_was_saved_comes_back_to_the_last_bit():
    assert restored(Checkpoint("test", "key")) == ([], [0, 0, 0])
    saved()
    again = Checkpoint("test", "key")
    assert restored(again) == (HISTORY, [7, 7, 7]) and again.seconds == 3.75


PIXELS = np.zeros((2, 2), np.uint8)
OTHERS = {
    "name": ("other", ["key", FAST84], [PIXELS]),
    "key": ("test", ["other", FAST84], [PIXELS]),
    "recipe": ("test", ["key", dataclasses.replace(FAST84, epochs=3)], [PIXELS]),
    "pixel": ("test", ["key", FAST84], [PIXELS + 1]),
    "shape": ("test", ["key", FAST84], [PIXELS.reshape(4, 1)]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_training_has_another_place(name):
    same = [Checkpoint("test", ["key", FAST84], [PIXELS]).folder for _ in range(2)]
    assert same[0] == same[1] != Checkpoint(*OTHERS[name]).folder


def test_other_code_and_other_versions_have_another_place(monkeypatch):
    folders = [Checkpoint("test", "key").folder]
    for code in ("one", "two"):
        monkeypatch.setenv("TUTORIAL_CODE", code)
        folders.append(Checkpoint("test", "key").folder)
    monkeypatch.setattr(module.importlib.metadata, "version", lambda package: "0")
    folders.append(Checkpoint("test", "key").folder)
    assert len(set(folders)) == 4


def test_a_longer_training_goes_on_from_a_shorter_one():
    short = saved("short")
    assert restored(Checkpoint("long", "other key", earlier="short")) == ([], [0, 0, 0])
    assert short.folder.exists()
    longer = Checkpoint("long", "key", earlier="short")
    assert restored(longer) == (HISTORY, [7, 7, 7])
    assert longer.folder.exists() and not short.folder.exists()
    longer.save(variables(9), HISTORY)
    saved("short")
    assert restored(Checkpoint("long", "key", earlier="short"))[1] == [9, 9, 9]


def with_another_history(content, path):
    with np.load(path) as parts:
        arrays = [parts[name] for name in parts.files]
    arrays[-2] = np.array("[]")
    np.savez(path, *arrays)
    return path.read_bytes()


DAMAGE = {
    "empty": lambda content, _: b"",
    "half": lambda content, _: content[: len(content) // 2],
    "its end is missing": lambda content, _: content[:-10],
    "text": lambda content, _: b"not an archive",
    "a flipped bit": lambda content, _: content.replace(b"\x00\x00\xe0\x40", b"\x01\x00\xe0\x40", 1),  # of a float 7
    "another history, whole in itself": with_another_history,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_counts_as_not_there_and_can_be_replaced(capfd, kind):
    path = saved().path
    path.write_bytes(DAMAGE[kind](path.read_bytes(), path))
    assert restored(Checkpoint("test", "key")) == ([], [0, 0, 0])
    assert capfd.readouterr().err == f"{path.parent.name} cannot be read: the training begins anew.\n"
    saved()
    assert restored(Checkpoint("test", "key")) == (HISTORY, [7, 7, 7])


def test_a_file_of_another_network_changes_none_of_its_variables(capfd):
    saved()
    others = [*variables(1)[:2], tf.Variable([1, 1, 1])]
    assert Checkpoint("test", "key").restore(others) == []
    assert all((variable.numpy() == 1).all() for variable in others)


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "too many open files")])
def test_a_file_that_may_be_whole_stays(monkeypatch, error):
    checkpoint = saved()
    with monkeypatch.context() as patched, pytest.raises(type(error)):
        patched.setattr(np, "load", Mock(side_effect=error))
        restored(checkpoint)
    assert restored(checkpoint) == (HISTORY, [7, 7, 7])


SAVING = """
import sys
import numpy as np
from cifar_helpers.checkpoint import Checkpoint

class Variable:
    shape = (1000,)
    def assign(self, value):
        self.value = value
    def __array__(self, dtype=None, copy=None):
        return self.value

checkpoint, variable = Checkpoint("test", "key"), Variable()
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[1]), 200, 2):
    variable.assign(np.full(1000, number))
    checkpoint.save([variable], [{"number": number, "seconds": 1}])
    (row,) = checkpoint.restore([variable])
    assert (variable.value == row["number"]).all()
"""


def test_two_processes_at_once_never_leave_or_see_half_a_file():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([sys.executable, "-c", SAVING, str(n)], cwd=PROJECT, **pipes) for n in (0, 1)]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    for process in both:
        print("go", file=process.stdin, flush=True)
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in both] == [("", 0)] * 2


def test_a_finished_training_leaves_nothing_but_while_a_page_is_made_waits_for_it(
    own_folder, monkeypatch, tmp_path_factory
):
    """A kill between the end of a training and its publication would cost the training otherwise."""
    saved().finish()
    assert not list(own_folder.iterdir())
    notes = tmp_path_factory.mktemp("notes")
    monkeypatch.setenv("TUTORIAL_FINISHED", str(notes))
    checkpoint = saved()
    checkpoint.finish()
    (note,) = notes.iterdir()
    assert (note.name, float(note.read_text())) == (checkpoint.folder.name, 0)
    again = Checkpoint("test", "key")
    assert restored(again) == (HISTORY, [7, 7, 7])
    again.finish()
    assert float(note.read_text()) == 3.75
