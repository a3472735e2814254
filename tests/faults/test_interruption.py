"""Signals at random moments: what readers see is always old or new, and the next run brings all to its end."""

import contextlib
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from test_downloads import announced, sends, serving

from toy import PROJECT, Toy, clean_environment

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SENTENCE = "Interrupted. Each page, network and result is the old one or the new one, whole."
MOMENT = 120  # seconds: a limit even for a busy machine; what ends at once takes less than one


def started(command, folder, answers=False, **variables):
    """A process with a group of its own that takes every signal, even if the tests run in a background or under nohup.

    answers: whether to wait until it has handlers of its own; what comes before is Python's start, not the project's.
    """

    def take_all():
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    process = subprocess.Popen(
        command, cwd=folder, env=clean_environment(folder, **variables), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=take_all, start_new_session=True,
    )  # fmt: skip
    status, deadline = Path(f"/proc/{process.pid}/status"), time.monotonic() + MOMENT
    while answers and status.exists() and process.poll() is None and time.monotonic() < deadline:
        answers = not int(status.read_text().partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGTERM - 1) & 1
        time.sleep(0.01)
    return process


def hits(process, number, seconds=0):
    """Send a signal after some seconds; returns whether it hit, and not a process that had ended or was just ending.

    Ctrl-C reaches the whole group.
    """
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        assert process.returncode == 0, process.communicate()[1]
        return False
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, process.errors = process.communicate(timeout=MOMENT)
    return process.returncode != 0


def assert_ended_by(process, number):
    """See that the process ended with one sentence."""
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), process.errors
    assert process.errors == ("" if number == signal.SIGKILL else f"\n{SENTENCE}\n")


def left_behind(folder):
    """The processes that were started for ``folder``, after a moment to end in."""
    deadline = time.monotonic() + MOMENT
    while found := [p.pid for p in psutil.process_iter(["environ"]) if str(folder) in str(p.info["environ"])]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return found


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="This system has no /proc to look into."
)


# --- publishing ---

NAMES = ["notebooks/01_first.ipynb", "models/a.keras", "models/b.keras", "results/value.json", "results/runs/x.json"]
PUBLISHING = f"""
from runner.ending import in_one_sentence
with in_one_sentence({SENTENCE!r}):
    import sys
    from runner import publish
    from runner.project import HERE
    names = {NAMES}
    first = int(sys.argv[1])
    for generation in range(first, first + 8):
        with publish.only_one(HERE):
            if generation == first:
                print(*{{(HERE.root / name).read_text()[:6] for name in names}}, flush=True)
            made = {{}}
            for name in names:
                path = HERE.build / "made" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{{generation:5}}\\n" * 50_000)
                made[HERE.root / name] = path
            publish.together(HERE, made)
"""


def publishing(tmp_path):
    """A miniature project with five files that are published together, all of generation 0."""
    toy = Toy.build(tmp_path / "project")
    for name in NAMES:
        toy.path(name).parent.mkdir(parents=True, exist_ok=True)
        toy.path(name).write_text(f"{0:5}\n" * 50_000)
    return toy


@needs_proc
def test_files_that_are_published_together_are_each_whole_and_in_the_end_all_of_one_run(tmp_path, fault, rng, times):
    toy = publishing(tmp_path)

    def run(first):
        return started([sys.executable, "-c", PUBLISHING, str(first)], toy.folder, answers=True)

    process = run(1)
    begun = time.monotonic()
    assert process.communicate(timeout=MOMENT)[0].split() == ["0"]
    duration, kills, wanted = time.monotonic() - begun, 0, times(9, 40)
    for attempt in range(1, 5 * wanted + 1):
        if kills == wanted:
            break
        process, number = run(100 * attempt), SIGNALS[attempt % 3]
        if not hits(process, number, rng.uniform(0, duration)):
            continue
        kills += 1
        with fault("kill, while publishing"):
            assert_ended_by(process, number)
            found = {toy.path(name).read_text() for name in NAMES}
            assert all(text == text[:6] * 50_000 for text in found)
            if attempt % 5 == 0:  # whatever the kill left, the next run begins with one generation
                last = run(100 * attempt + 50)
                assert len(last.stdout.readline().split()) == 1
                last.kill()
                last.communicate()
    assert kills == wanted


HALF = """
    whole, done = os.replace, []

    def half(made, target):
        done.append(target)
        whole(made, target) if len(done) < 8 else os._exit(9)

    os.replace = half
"""
NONE = "\n    publish.finish = lambda project: project.ready.exists() and os._exit(9)\n"


@pytest.mark.parametrize("stop", [HALF, NONE], ids=["half of them", "none of them"])
def test_what_a_killed_run_was_publishing_is_finished_by_check_but_for_what_was_edited_since(tmp_path, fault, stop):
    """The moment that random kills seldom meet."""
    toy = publishing(tmp_path)
    with fault("kill, between two published files"):
        broken = PUBLISHING.replace("    for generation", f"    import os{stop}    for generation", 1)
        process = started([sys.executable, "-c", broken, "7"], toy.folder)
        process.communicate(timeout=MOMENT)
        assert process.returncode == 9
        assert len({toy.path(name).read_text()[:6] for name in NAMES}) == (2 if stop == HALF else 1)
        toy.path(NAMES[0]).write_text("edited")  # not a page: `check` shall look no further
        toy.run("check")
        assert toy.path(NAMES[0]).read_text() == "edited"
        assert {toy.path(name).read_text()[:6] for name in NAMES[1:]} == {"    7\n"}


# --- make execute, with real kernels ---


@needs_proc
def test_execute_killed_at_any_moment_leaves_each_file_old_or_new_and_no_process(tmp_path, fault, rng, times):
    toy = Toy.build(tmp_path / "project")
    toy.edit_cell("01_first", "print('value', value)", "print('value', value); time.sleep(1)")
    begun = time.monotonic()
    assert toy.run("execute").returncode == 0
    duration, kills = time.monotonic() - begun, 0
    for attempt in range(times(3, 6)):
        before = toy.published()
        process, number = started(toy.command("execute"), toy.folder, answers=True), SIGNALS[attempt % 3]
        if not hits(process, number, rng.uniform(0, duration)):
            continue
        kills += 1
        with fault("kill, make execute"):
            assert_ended_by(process, number)
            assert left_behind(toy.folder) == []
            changed = {name for name, content in toy.published().items() if content != before[name]}
            for name in changed:  # whole: a page is JSON with its stamp, as is what it wrote
                assert name.endswith(".md") or toy.path(name).read_text().endswith(("}\n", "2\n"))
    assert kills > 0
    assert toy.run("execute").returncode == 0
    assert toy.run("check").returncode == 0


ENDLESS = """
import os, time
print("training", os.getpid(), flush=True)
time.sleep(600)
"""


@needs_proc
@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGHUP, *(pytest.param(other, marks=pytest.mark.full) for other in SIGNALS[1:])]
)
def test_study_takes_its_training_with_it(tmp_path, fault, number):
    toy = Toy.build(tmp_path / "project")
    toy.give_study(ENDLESS)
    process = started(toy.command("study"), toy.folder)
    assert process.stdout.readline().startswith("training ")
    with fault("kill, make study"):
        assert hits(process, number)
        assert_ended_by(process, number)
        assert left_behind(toy.folder) == []
        second = started(toy.command("study"), toy.folder)  # nothing holds the lock
        assert second.stdout.readline().startswith("training ")
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=MOMENT)


@needs_proc
def test_ctrl_c_ends_a_study_in_one_sentence_whatever_its_training_is_doing(tmp_path, fault, rng, times):
    """Also while that is starting: a terminal sends the signal to all processes of a command."""
    toy = Toy.build(tmp_path / "project")
    toy.give_study(ENDLESS)
    for _ in range(times(3, 6)):
        process = started(toy.command("study"), toy.folder, answers=True)
        with fault("kill, make study"):
            assert hits(process, signal.SIGINT, rng.uniform(0, 0.6))
            assert_ended_by(process, signal.SIGINT)
            assert left_behind(toy.folder) == []


@needs_proc
def test_a_second_run_is_refused_while_a_killed_runs_training_lives(tmp_path, fault):
    """Where a training outlives its runner, as it may on other systems, nobody writes into its files."""
    toy = Toy.build(tmp_path / "project")
    toy.give_study(ENDLESS)
    toy.edit_file("runner/ending.py", "if libc:", "if False:")
    process = started(toy.command("study"), toy.folder)
    training = int(process.stdout.readline().split()[1])
    try:
        with fault("two at once"):
            process.kill()
            second = toy.run("study")
            assert second.returncode == 2 and "being executed in this folder already" in second.stderr
            assert "Traceback" not in second.stderr
    finally:
        os.kill(training, signal.SIGKILL)
        process.communicate()


# --- training ---

TRAINING = """
import json, sys
import cifar_helpers.quiet
import keras, numpy as np, tensorflow as tf
from cifar_helpers.baseline.batches import training_batches
from cifar_helpers.baseline.training import EpochByEpoch
from cifar_helpers.checkpoint import Checkpoint
from cifar_helpers.fast.recipe import FAST84
from cifar_helpers.fast.training import train
from cifar_helpers.progress import show_epoch
import dataclasses
tf.config.experimental.enable_op_determinism()
rng = np.random.default_rng(0)
images, labels = rng.integers(0, 256, (100, 32, 32, 3), dtype=np.uint8), (np.arange(100) % 10).astype(np.uint8)[:, None]
print("ready", flush=True)
keras.utils.set_random_seed(0)
model = keras.Sequential([
    keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3, strides=4), keras.layers.BatchNormalization(),
    keras.layers.Dropout(0.5), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax"),
])
model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
kept = EpochByEpoch(model, Checkpoint("chain", "recipe"), show_epoch)
done = len(kept.history)
model.fit(
    training_batches(images, labels, 12, 20, 0, first_epoch=done), steps_per_epoch=5, epochs=12, initial_epoch=done,
    callbacks=[kept], verbose=0,
)
recipe = dataclasses.replace(FAST84, widths=(8, 8, 8), epochs=6, batch_size=25)
fast = train(recipe, images, labels, 0, "float32", Checkpoint("fast", recipe), show_epoch)
rows = [{key: value for key, value in row.items() if key != "seconds"} for row in fast.epochs]
np.savez(sys.argv[1], *model.get_weights(), *fast.model.get_weights(), json.dumps([kept.epochs, rows], sort_keys=True))
"""


def test_trainings_killed_again_and_again_end_with_the_same_bits(tmp_path, fault, rng, times):
    def run(name):
        folder = tmp_path / f"checkpoints-{name}"
        process = started(
            [sys.executable, "-c", TRAINING, str(tmp_path / f"{name}.npz")], PROJECT,
            TUTORIAL_CHECKPOINTS=str(folder), PYTHONHASHSEED="0",
        )  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        return process

    output, errors = run("whole").communicate(timeout=240)
    epochs, done, kills = output.count("\n"), 0, 0
    assert epochs == 18, errors
    while True:
        process, until = (
            run("killed"),
            done + rng.integers(*times((5, 8), (2, 6))),
        )  # lines: finished epochs are printed again
        for _ in range(min(until, epochs)):
            process.stdout.readline()
        if until >= epochs:
            break
        time.sleep(rng.uniform(0, 0.06))  # most of so short an epoch goes into saving it
        process.kill()
        done = until + process.communicate()[0].count("\n")
        kills += process.returncode == -signal.SIGKILL
    with fault("kill, training", kills):
        assert kills > 1 and process.wait(timeout=240) == 0
        with np.load(tmp_path / "whole.npz") as expected, np.load(tmp_path / "killed.npz") as found:
            assert expected.files == found.files
            assert all(np.array_equal(expected[name], found[name]) for name in found.files)


# --- the data cache ---

DOWNLOADING = """
import sys
from cifar_helpers import fetch
digest, fetch.URL = sys.argv[1:]
fetch._PYTHON = fetch._PYTHON._replace(archive_sha256=digest)
print("ready", flush=True)
print(fetch._download().stat().st_size, flush=True)
"""


def test_two_clones_that_download_at_once_share_a_whole_file_or_none(tmp_path, fault, rng, times):
    content = rng.bytes(3 * 10**6)

    def slowly(connection, over):
        for start in range(0, len(content), 10**5):
            connection.sendall(content[start : start + 10**5])
            over.wait(0.03)

    with serving(itertools.repeat(sends(announced(len(content)), then=slowly))) as server:
        command = [sys.executable, "-c", DOWNLOADING, hashlib.sha256(content).hexdigest(), server.url]
        variables = {"KERAS_HOME": str(tmp_path / "keras"), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        cache = tmp_path / "keras" / "datasets" / "cifar-10-batches-py-target_archive"
        for _ in range(times(2, 4)):
            cache.unlink(missing_ok=True)
            clones = [started(command, PROJECT, **variables) for _ in range(2)]
            for clone in clones:
                assert clone.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0, 1.5))
            with fault("kill, one of two downloads" if hits(clones[0], signal.SIGKILL) else "two at once"):
                assert not cache.exists() or cache.read_bytes() == content
                output, errors = clones[1].communicate(timeout=MOMENT)
                assert output == f"{len(content)}\n", errors
                assert cache.read_bytes() == content
