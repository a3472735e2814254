"""Put finished files in their places: each in one step, and those of one run together.

What belongs together is first gathered in ``build/ready/``, whole.  From then on it counts as published: a run that
is killed while it moves the files is finished by the next command.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import time

from cifar_helpers.artefacts import replace
from runner.chapters import PROJECT, BadRequest
from runner.ending import for_children

BUILD = PROJECT / "build"
READY, BEFORE = BUILD / "ready", "before.json"
CHECKPOINTS = BUILD / "checkpoints"
PATIENCE = 3  # seconds: a killed run's kernel may be there a moment longer

_held = []  # the descriptor of the lock


@contextlib.contextmanager
def only_one():
    """Hold the project's execution lock, or raise BadRequest if another process keeps it."""
    with alone("lock", "Chapters are being executed in this folder already; wait for that to end.") as lock:
        finish()
        _held.append(lock.fileno())
        try:
            yield
        finally:
            _held.clear()


@contextlib.contextmanager
def alone(name, busy):
    """Hold the lock of that name, or raise BadRequest with the sentence ``busy`` if another process keeps it."""
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / name, "w") as lock:
        _take(lock, busy)
        yield lock


def _take(lock, busy):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise BadRequest(busy) from None
            time.sleep(0.1)


def for_workers():
    """Options for ``subprocess``: a process that computes for this one ends with it, and holds the lock until then."""
    return for_children(*_held)


def finished_trainings(notes):
    """{checkpoint: seconds spent before an interruption} of the trainings that have ended, from the folder ``notes``."""
    return {CHECKPOINTS / note.name: float(note.read_text(encoding="utf-8")) for note in sorted(notes.iterdir())}


def require_places(targets):
    """Raise OSError or BadRequest, before hours are spent, if one of ``targets`` could not be replaced in the end."""
    BUILD.mkdir(exist_ok=True)
    for target in targets:
        folder = next(parent for parent in target.parents if parent.exists())
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        if folder.stat().st_dev != BUILD.stat().st_dev:
            raise BadRequest(f"{folder} and {BUILD} are on different disks, so that nothing can be moved in one step: put both on one.")


def together(made):
    """Publish several files; made: {target: path of the finished file}."""
    gathering = READY.with_name("gathering")
    shutil.rmtree(gathering, ignore_errors=True)
    names = {target.relative_to(PROJECT).as_posix(): path for target, path in made.items()}
    for name, path in names.items():
        replace(path, gathering / name)
    before = {name: _digest(PROJECT / name) for name in names}
    (gathering / "before").write_text(json.dumps(before), encoding="utf-8")
    replace(gathering / "before", gathering / BEFORE)
    os.rename(gathering, READY)
    finish()


def finish():
    """Move to their places what is ready; what somebody has edited since then stays as they left it."""
    if not READY.exists():
        return
    before = {}
    with contextlib.suppress(FileNotFoundError, TypeError, ValueError):  # damaged since: then what was published before stays
        before = dict(json.loads((READY / BEFORE).read_text(encoding="utf-8")))
    for name, digest in before.items():
        if (READY / name).exists() and _digest(PROJECT / name) == digest:
            (PROJECT / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(READY / name, PROJECT / name)
    (READY / BEFORE).unlink(missing_ok=True)  # first: without it, what is left is only to be removed
    shutil.rmtree(READY)


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
