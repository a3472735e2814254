"""Running a training of the fast network: epochs that survive an interruption, and scores."""

import dataclasses
import hashlib
import json
import os
import sys
from pathlib import Path

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)
import keras
import numpy as np
import tensorflow as tf

from cifar_helpers.artefacts import PROJECT, replace
from cifar_helpers.checkpoint import finish as finish_checkpoint
from cifar_helpers.fast_network import six_views
from cifar_helpers.fast_training import FastTraining, forward
from cifar_helpers.page import ticking
from cifar_helpers.provenance import digest


def fast_logits(model, images, dtype, batch_size=1000):
    """Return the logits of ``images`` twice, as NumPy arrays of shape (n, 10), float32.

    First as they are, then averaged over six views of each image (``six_views``).
    """
    compute = tf.function(lambda pixels: forward(model, pixels, dtype)[0], reduce_retracing=True)
    plain, averaged = [], []
    for first in range(0, len(images), batch_size):
        views = six_views(images[first : first + batch_size])
        logits = [compute(tf.constant(view)).numpy() for _, view in views]
        plain.append(logits[0])
        averaged.append(sum(weight * part for (weight, _), part in zip(views, logits, strict=True)))
    return np.concatenate(plain), np.concatenate(averaged)


def top1(labels, logits):
    """Share of ``logits``, shape (n, 10), whose largest belongs to the right label, shape (n, 1) or (n,)."""
    return float(np.mean(logits.argmax(axis=1) == np.asarray(labels).reshape(-1)))


def train(name, recipe, images, labels, seed, dtype, show=print):
    """Train the fast network and return the finished ``FastTraining``; see ``finish``."""
    return finish(name, FastTraining(recipe, images, labels, seed, dtype), show)


def finish(name, training, show=print):
    """Run the epochs that ``training`` still lacks, and return it.

    After each epoch everything needed to go on is on disk: called again with the same name and an equal
    training, the same helper modules and the same versions, an interrupted training goes on and ends with the
    same weights.  show: called with one line per epoch.
    """
    state = _State(name, training)
    state.restore()
    for number in range(training.recipe.epochs):
        if number == len(training.epochs):
            with ticking(f"epoch {number + 1} of {training.recipe.epochs}"):
                training.run_epoch()
            state.save()
        row = training.epochs[number]
        show(
            f"epoch {number + 1} of {training.recipe.epochs}  loss {row['loss']:.4f}  accuracy {row['accuracy']:7.2%}"
        )
    state.finish()
    return training


class _State:
    """The state of a training on disk: weights, momenta and history after the last finished epoch."""

    def __init__(self, name, training):
        folder = Path(os.environ.get("TUTORIAL_CHECKPOINTS", PROJECT / "build" / "checkpoints"))
        self.training, self.seconds = training, 0  # spent on epochs that were restored
        self.path = folder / f"{name}-{_digest(training)[:16]}" / "state.npz"

    def _variables(self):
        return [*self.training.model.variables, *self.training.momenta]

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_name(f"new-{os.getpid()}.npz")  # two may train the same
        history = np.array(json.dumps(self.training.epochs))
        np.savez(scratch, history, *[np.asarray(variable) for variable in self._variables()])
        replace(scratch, self.path)

    def restore(self):
        """Go on from the last finished epoch; what a damaged disk made unreadable counts as not there."""
        try:
            with np.load(self.path) as saved:
                history, *arrays = (saved[name] for name in saved.files)
            epochs = json.loads(str(history))
        except FileNotFoundError:
            return
        except Exception as error:  # what a damaged file raises is anything
            if isinstance(error, MemoryError) or getattr(error, "errno", None):  # the file may be whole
                raise
            print(f"{self.path.parent.name} cannot be read: the training begins anew.", file=sys.__stderr__, flush=True)
            return
        for variable, array in zip(self._variables(), arrays, strict=True):
            variable.assign(array)
        self.training.epochs = epochs
        self.seconds = sum(row["seconds"] for row in epochs)

    def finish(self):
        finish_checkpoint(self.path.parent, self.seconds)


def _digest(training):
    """Digest of everything that decides how this training goes on."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    state = {
        "recipe": dataclasses.asdict(training.recipe),
        "seed": training.seed,
        "dtype": training.dtype,
        "data": [hashlib.sha256(part.tobytes()).hexdigest() for part in (training.images, training.labels)],
        "helpers": [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources],
        "versions": [tf.__version__, keras.__version__, np.__version__],
    }
    return digest(state)
