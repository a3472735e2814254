"""Training the baseline, as chapter 4 does it on its page; for studies, which train it many times."""

import json
import math
import time

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)

import keras
from keras.optimizers import schedules

from cifar_helpers.baseline.batches import training_batches
from cifar_helpers.baseline.layers import with_fast_layers
from cifar_helpers.baseline.network import build_baseline


class EpochByEpoch(keras.callbacks.Callback):
    """Collects the history of a training and keeps the training in a checkpoint after each epoch.

    model: compiled.  checkpoint: a ``Checkpoint``, or None to keep nothing; if an interrupted training has left its
    state there, the model and its optimiser get it, in place.  show: called with each epoch's row of the history and
    its number, from 1, also for epochs that were restored.

    ``history``: a list of dictionaries, one per finished epoch: "loss", "accuracy", "val_loss" and "val_accuracy" if
    there are validation images, "learning_rate" at its end, "seconds".  ``epochs``: the same without "seconds", which
    differ each time.  ``seconds``: their sum.
    """

    def __init__(self, model, checkpoint=None, show=None):
        super().__init__()
        self.checkpoint, self.show = checkpoint, show
        model.optimizer.build(model.trainable_variables)
        self._variables = [*model.variables, *model.optimizer.variables]
        self.history = checkpoint.restore(self._variables) if checkpoint else []
        for number, row in enumerate(self.history, start=1):
            self._show(row, number)

    @property
    def epochs(self):
        return [{key: value for key, value in row.items() if key != "seconds"} for row in self.history]

    @property
    def seconds(self):
        return sum(row["seconds"] for row in self.history)

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        logs = {key: float(value) for key, value in (logs or {}).items()}
        seconds = round(time.perf_counter() - self._started, 2)
        self.history.append({**logs, "learning_rate": rate, "seconds": seconds})
        if self.checkpoint:
            self.checkpoint.save(self._variables, self.history)
        self._show(self.history[-1], epoch + 1)

    def _show(self, row, number):
        if self.show:
            self.show(row, number)


def train(
    recipe, train_set, validation_set, seed, augmented=True, dropout=True, checkpoint=None, show=None, callbacks=()
):
    """Train a new baseline, or go on with one that was interrupted; return the model and its history.

    train_set and validation_set: images, shape (n, 32, 32, 3), uint8, and labels, shape (n, 1).  augmented and
    dropout: without them, for comparisons.  checkpoint: see ``EpochByEpoch``, as for show and the history; the caller
    calls its ``finish`` when the result is safe.  callbacks: more of Keras's.
    """
    images, labels = train_set
    steps = math.ceil(len(images) / recipe.batch_size)
    keras.utils.set_random_seed(seed)
    model = new_baseline(recipe, dropout)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate(recipe, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    kept = EpochByEpoch(model, checkpoint, show)
    done, whole = len(kept.history), recipe.shifts == "whole"
    model.fit(
        training_batches(images, labels, recipe.epochs, recipe.batch_size, seed, augmented, whole, done),
        steps_per_epoch=steps,
        epochs=recipe.epochs,
        initial_epoch=done,
        validation_data=validation_set,
        validation_batch_size=250,
        callbacks=[*callbacks, kept],
        verbose=0,
    )
    return model, kept.history


def learning_rate(recipe, steps_per_epoch):
    """The learning rate as a function of the step."""
    if recipe.schedule == "linear-to-zero":
        last = recipe.epochs * steps_per_epoch
        return schedules.PolynomialDecay(recipe.learning_rate, last, end_learning_rate=0.0)
    return schedules.InverseTimeDecay(recipe.learning_rate, decay_steps=1, decay_rate=2e-4)


def new_baseline(recipe, dropout=True):
    """Return an untrained baseline, with or without dropout, that computes as ``recipe`` says."""
    model = build_baseline()
    if not dropout:
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
    return with_fast_layers(model, recipe.type) if recipe.compute == "fast" else model


def described(model):
    """Return what ``model``, compiled, consists of, as JSON text for a checkpoint's key.

    Two models that are built and compiled alike have the same: the names and addresses in Keras's own description
    differ each time a cell runs.
    """
    numbers = {layer.name: number for number, layer in enumerate([model, *model.layers])}

    def plain(value):
        if isinstance(value, list):
            return [plain(part) for part in value]
        if isinstance(value, dict) and value.get("class_name") != "DTypePolicy":  # whose name is what it does
            return {key: plain(part) for key, part in value.items() if key not in ("name", "shared_object_id")}
        return numbers.get(value, value) if isinstance(value, str) else value

    return json.dumps(plain(json.loads(model.to_json())), sort_keys=True)
