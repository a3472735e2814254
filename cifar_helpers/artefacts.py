"""Files that chapters pass on by name, such as ``models/baseline.keras``.

A chapter writes an artefact with ``artefacts.write(name)`` and a later one reads it with
``artefacts.read(name)``; both return a path.  Names are string literals, so that which chapter
needs what can be read off its cells.  While the runner executes a chapter, what it writes goes
to a folder of its own and takes its place only when the chapter has finished; in JupyterLab it
goes to ``build/lab/`` and the published artefacts stay as they are.
"""

import json
import os
import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


class MissingArtefact(RuntimeError):
    """An earlier chapter has not yet written what this one reads."""


def read(name):
    """Return the path of the artefact ``name`` (a ``pathlib.Path``).

    Raises MissingArtefact with a sentence that says what to do if it does not exist.  Whether a model is the one that
    was published together with its page, the runner looks before it executes a chapter.
    """
    path = Path(os.environ.get("TUTORIAL_ARTEFACTS", PROJECT)) / name
    if not path.exists():
        raise MissingArtefact(f"{name} is missing: run the earlier chapter that writes it, or `make execute`.")
    return path


def published(name):
    """Return the path of a committed result, the same in every profile.

    For results of long trainings, which no chapter writes.  Raises MissingArtefact.
    """
    path = PROJECT / name
    if not path.exists():
        raise MissingArtefact(f"{name} is missing: it comes with the project; restore it from git.")
    return path


def write(name):
    """Return the path to write the artefact ``name`` to; its folder exists."""
    path = Path(os.environ.get("TUTORIAL_NEW_ARTEFACTS", PROJECT / "build" / "lab")) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def replace(made, target):
    """Move the finished file ``made`` to ``target``, on the same disk, in one step, once its content is on the disk."""
    with open(made, "rb") as file:
        os.fsync(file.fileno())
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(made, target)


def discard(folder):
    """Remove a folder; while its files go one by one, nobody takes it for whole."""
    if folder.exists():
        going = folder.with_name("removed")
        shutil.rmtree(going, ignore_errors=True)
        os.replace(folder, going)
        shutil.rmtree(going, ignore_errors=True)


def read_json(path):
    """Return what the JSON file at ``path`` holds."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_json(path, value):
    """Write ``value`` to ``path`` as JSON with sorted keys: equal values give equal bytes."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
    Path(path).write_text(text + "\n", encoding="utf-8")
