"""Training that can be interrupted: after each epoch, everything needed to go on is on disk.

Used in chapter 3.  What Keras's own ``BackupAndRestore`` lacks is the history: a training that
was interrupted prints and returns all its epochs here, not the last ones only.  And a ``.keras`` file
does not hold the random state of dropout layers; here it is kept too, so that a training that was
interrupted ends with the same weights, to the last bit, as one that was not.
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)
import keras
import numpy
import tensorflow

from cifar_helpers.artefacts import PROJECT, discard, read_json, replace, write_json
from cifar_helpers.page import is_live
from cifar_helpers.provenance import digest


class Checkpoint(keras.callbacks.Callback):
    """Print one line per epoch and save the model, the optimiser and the history after it.

    A reader in JupyterLab also sees the steps pass; the line of the epoch takes their place.

    recipe: whatever makes this training what it is (seed, epochs, data, ...), as JSON values.
    A training goes on only from a checkpoint with the same recipe, the same helper modules and
    the same versions of TensorFlow, Keras and NumPy.

    ``epochs``: a list of dictionaries, one per finished epoch: "learning_rate" at its end, "loss",
    "accuracy", "val_loss", "val_accuracy".  ``seconds``: a list, one per finished epoch.
    ``restored``: how many of these epochs an earlier, interrupted training had finished.
    """

    EVERY = 2  # seconds

    def __init__(self, name, recipe):
        super().__init__()
        folder = Path(os.environ.get("TUTORIAL_CHECKPOINTS", PROJECT / "build" / "checkpoints"))
        self.folder = folder / f"{name}-{_digest(recipe)[:16]}"
        self.epochs, self.seconds, self.restored = [], [], 0
        self._draws = {}  # number of finished epochs: random states after them

    def place(self, model):
        """Return the folder for the training of ``model``: one that is built or compiled otherwise has another."""
        return self.folder.with_name(self.folder.name + _network(model)[:8])

    def restore(self, model):
        """Return the model to train: ``model``, or its copy from the last finished epoch.

        What a damaged disk made unreadable counts as not there: training then begins anew, and says so.
        """
        self.folder = self.place(model)
        saved = sorted(self.folder.glob("epoch-*.keras"))
        if saved:
            try:
                history = read_json(self.folder / "history.json")
                if history.pop("digest") != digest(history):
                    raise ValueError
                copy = keras.models.load_model(saved[-1])
            except Exception as error:  # what a damaged file raises is anything
                if isinstance(error, MemoryError) or getattr(error, "errno", None):  # the file may be whole
                    raise
                print(f"{self.folder.name} cannot be read: the training begins anew.", file=sys.__stderr__, flush=True)
                discard(self.folder)
                return model
            model, self.restored = copy, int(saved[-1].stem.removeprefix("epoch-"))
            self.epochs = history["epochs"][: self.restored]
            self.seconds = history["seconds"][: self.restored]
            # Under the model's own number: the history may be one epoch ahead of it.
            self._draws = history["draws"]
            for state, values in zip(_random_states(model), self._draws[str(self.restored)], strict=True):
                state.assign(values)
            for number in range(self.restored):
                self._print(number)
        return model

    def finish(self):
        """Say that the training's result is safe elsewhere: the checkpoint may go."""
        finish(self.folder, sum(self.seconds[: self.restored]))

    def on_epoch_begin(self, epoch, logs=None):
        self._started = self._shown = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if is_live() and time.perf_counter() - self._shown > self.EVERY:
            self._shown = time.perf_counter()
            print(f"\repoch {len(self.epochs) + 1:3}  step {batch + 1} of {self.params['steps']}", end="", flush=True)

    def on_epoch_end(self, epoch, logs=None):
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        logs = {key: float(value) for key, value in (logs or {}).items()}
        self.epochs.append({**logs, "learning_rate": rate})
        self.seconds.append(round(time.perf_counter() - self._started, 2))
        self._save(epoch + 1)
        self._print(epoch)

    def _save(self, done):
        # The history first, then the model under its own number: the newest model that is there
        # whole always has its history, whenever the process is killed.
        self.folder.mkdir(parents=True, exist_ok=True)
        history = self.folder / "history.json"
        states = [keras.ops.convert_to_numpy(state).tolist() for state in _random_states(self.model)]
        self._draws = {str(done - 1): self._draws.get(str(done - 1)), str(done): states}
        kept = {"epochs": self.epochs, "seconds": self.seconds, "draws": self._draws}
        kept["digest"] = digest(kept)
        scratch = self.folder / f"new-{os.getpid()}.keras"  # two may train the same
        write_json(scratch.with_suffix(".json"), kept)
        replace(scratch.with_suffix(".json"), history)
        self.model.save(scratch)
        replace(scratch, self.folder / f"epoch-{done:04}.keras")
        (self.folder / f"epoch-{done - 1:04}.keras").unlink(missing_ok=True)

    def _print(self, number):
        row = self.epochs[number]
        line = (
            f"epoch {number + 1:3}  learning rate {row['learning_rate']:.2e}"
            f"  loss {row['loss']:.4f}  accuracy {row['accuracy']:7.2%}"
        )
        if "val_accuracy" in row:
            line += f"  validation loss {row['val_loss']:.4f}  accuracy {row['val_accuracy']:7.2%}"
        print("\r" * is_live() + line, flush=True)  # over the step that was shown last


def finish(folder, seconds):
    """Let a finished training's checkpoint go.

    seconds: how long the epochs took that an earlier, interrupted run had finished.  While the runner makes a page
    or a result, the checkpoint stays until that is published: the runner is told, and removes it then.
    """
    if "TUTORIAL_FINISHED" in os.environ:
        Path(os.environ["TUTORIAL_FINISHED"], folder.name).write_text(f"{seconds}\n", encoding="utf-8")
    else:
        discard(folder)


def _network(model):
    """Digest of a model's layers, optimiser and loss; the names and addresses in it differ each time a cell runs."""
    numbers = {layer.name: number for number, layer in enumerate([model, *model.layers])}

    def plain(value):
        if isinstance(value, list):
            return [plain(part) for part in value]
        if isinstance(value, dict) and value.get("class_name") != "DTypePolicy":  # whose name is what it does
            return {key: plain(part) for key, part in value.items() if key not in ("name", "shared_object_id")}
        return numbers.get(value, value) if isinstance(value, str) else value

    return digest(plain(json.loads(model.to_json())))


def _random_states(model):
    """The variables that dropout layers take their next draws from."""
    return [layer.seed_generator.state for layer in model.layers if hasattr(layer, "seed_generator")]


def _digest(recipe):
    sources = sorted(Path(__file__).parent.glob("*.py"))
    state = {
        "recipe": recipe,
        "page": os.environ.get("TUTORIAL_CODE", ""),
        "helpers": [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources],
        "versions": [tensorflow.__version__, keras.__version__, numpy.__version__],
    }
    return digest(state)
