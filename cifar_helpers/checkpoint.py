"""Trainings that can be interrupted: after each epoch, everything needed to go on is on disk.

What Keras's own ``BackupAndRestore`` lacks is the history, and a ``.keras`` file does not hold the random state of
dropout layers.  Here both are kept, so that a training that was interrupted ends with the same weights, to the last
bit, as one that was not.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import sys
from pathlib import Path

import numpy as np

from cifar_helpers import processor
from cifar_helpers.artefacts import PROJECT, discard, replace


class Checkpoint:
    """The state of one training on disk: its variables and its history after the last finished epoch.

    name: what to call it.  key: whatever makes this training what it is (seed, epochs, ...), as JSON values or
    recipes.  arrays: more of that, such as the images, as NumPy arrays.  earlier: the name of a shorter training with
    the same key, whose checkpoint this one takes over where it has none of its own.

    A training goes on only from a checkpoint with the same key, made by the same code, by the same versions of
    TensorFlow, Keras and NumPy, and on the same kind of processor.  Its folder is in ``$TUTORIAL_CHECKPOINTS``, or in
    ``build/checkpoints``.
    """

    def __init__(self, name, key, arrays=(), earlier=None):
        places = Path(os.environ.get("TUTORIAL_CHECKPOINTS", PROJECT / "build" / "checkpoints"))
        versions = [importlib.metadata.version(package) for package in ("tensorflow", "keras", "numpy")]
        digests = [_digest(np.ascontiguousarray(array)) for array in arrays]
        made_by = [versions, _code(), processor.kind()]
        text = json.dumps([key, digests, made_by], sort_keys=True, default=dataclasses.asdict)
        self.folder, self.earlier = (
            places / f"{one}-{_digest(text.encode())[:16]}" if one else None for one in (name, earlier)
        )
        self.path = self.folder / "state.npz"
        self.seconds = 0  # spent on epochs that were restored

    def restore(self, variables):
        """Give ``variables`` the values that were saved, in place, and return the history, a list of dictionaries.

        Returns an empty list where nothing was saved.  What a damaged disk made unreadable counts as not there: the
        training then begins anew, and says so.  Raises MemoryError and OSError where the file may be whole.
        """
        if self.earlier and self.earlier.exists() and not self.folder.exists():
            os.rename(self.earlier, self.folder)
        try:
            arrays, history = self._read(variables)
        except FileNotFoundError:
            return []
        except Exception as error:  # what a damaged file raises is anything
            if isinstance(error, MemoryError) or getattr(error, "errno", None):  # the file may be whole
                raise
            print(f"{self.folder.name} cannot be read: the training begins anew.", file=sys.__stderr__, flush=True)
            return []
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        self.seconds = sum(row["seconds"] for row in history)
        return history

    def _read(self, variables):
        with np.load(self.path) as saved:
            *arrays, history, digest = (saved[name] for name in saved.files)
        if str(digest) != _digest(*arrays, history):
            raise ValueError
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
            raise ValueError
        return arrays, json.loads(str(history))

    def save(self, variables, history):
        """Keep the values of ``variables`` and ``history``, whose rows have their "seconds", in one step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self.folder / f"new-{os.getpid()}.npz"  # two may train the same
        parts = [*(np.asarray(variable) for variable in variables), np.array(json.dumps(history))]
        np.savez(scratch, *parts, np.array(_digest(*parts)))
        replace(scratch, self.path)

    def finish(self):
        """Say that the training's result is safe elsewhere: the checkpoint may go.

        While the runner makes a page or a result, it stays until that is published: the runner is told, and removes
        it then.
        """
        if "TUTORIAL_FINISHED" in os.environ:
            note = Path(os.environ["TUTORIAL_FINISHED"], self.folder.name)
            note.write_text(f"{self.seconds}\n", encoding="utf-8")
        else:
            discard(self.folder)


def _digest(*parts):
    """SHA-256 of bytes, or of the content of arrays."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part if isinstance(part, bytes) else f"{part.dtype} {part.shape}".encode() + part.tobytes())
    return sha.hexdigest()


def _code():
    """What stands for the code of a training: the runner's digest of it, or all helper modules."""
    if code := os.environ.get("TUTORIAL_CODE"):
        return code
    return [_digest(path.read_bytes()) for path in sorted(Path(__file__).parent.rglob("*.py"))]
