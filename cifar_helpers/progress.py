"""What a reader sees of a training while it goes on; trainings know nothing of it, it is handed to them."""

import time

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)

import keras

from cifar_helpers.page import is_live


def show_epoch(row, number, epochs=None):
    """Print one line about a finished epoch, short enough for a page: loss and accuracy of one set after the other.

    row: its "loss" and "accuracy", and where there are any its "learning_rate", "val_loss" and "val_accuracy".
    number: of the epoch, from 1.  epochs: how many there will be, to be said too.
    """
    line = f"epoch {number} of {epochs}" if epochs else f"epoch {number:3}"
    if "learning_rate" in row:
        line += f"  rate {row['learning_rate']:.1e}"
    if "val_accuracy" in row:
        line += f"  training {row['loss']:.4f} {row['accuracy']:7.2%}"
        line += f"  validation {row['val_loss']:.4f} {row['val_accuracy']:7.2%}"
    else:
        line += f"  loss {row['loss']:.4f}  accuracy {row['accuracy']:7.2%}"
    print(line, flush=True)


class Steps(keras.callbacks.Callback):
    """Show a reader in JupyterLab the steps of ``model.fit`` pass, on a line that vanishes when an epoch ends."""

    EVERY = 2  # seconds

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._shown, self._width = epoch + 1, time.perf_counter(), 0

    def on_train_batch_end(self, batch, logs=None):
        if is_live() and time.perf_counter() - self._shown > self.EVERY:
            text = f"epoch {self._epoch:3}  step {batch + 1} of {self.params['steps']}"
            print(f"\r{text}", end="", flush=True)
            self._shown, self._width = time.perf_counter(), len(text)

    def on_epoch_end(self, epoch, logs=None):
        if self._width:
            print(f"\r{' ' * self._width}\r", end="", flush=True)
