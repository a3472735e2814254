"""An interrupted training goes on after its last finished epoch, and leaves nothing behind at its end."""

import keras
import numpy as np
import pytest

from cifar_helpers.augmentation import training_batches
from cifar_helpers.checkpoint import Checkpoint

IMAGES = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
LABELS = (np.arange(32) % 10).astype(np.uint8)[:, None]


class Interruption(Exception):
    pass


class InterruptAt(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Interruption


def small_network(dropout):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((32, 32, 3)),
        keras.layers.Conv2D(4, 3, strides=4, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(dropout),
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    rate = keras.optimizers.schedules.InverseTimeDecay(1e-2, 1, 0.1)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(recipe="same", interrupt_at=None, dropout=0.5):
    checkpoint = Checkpoint("test", recipe)
    model = checkpoint.restore(small_network(dropout))
    done = len(checkpoint.epochs)
    callbacks = [checkpoint] + ([InterruptAt(interrupt_at)] if interrupt_at else [])
    model.fit(
        training_batches(IMAGES, LABELS, 4, 16, 0, first_epoch=done), steps_per_epoch=2, epochs=4,
        initial_epoch=done, validation_data=(IMAGES, LABELS), callbacks=callbacks, verbose=0,
    )  # fmt: skip
    return model, checkpoint


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_CHECKPOINTS", str(tmp_path))
    return tmp_path


def test_a_resumed_training_prints_all_its_epochs(capsys):
    with pytest.raises(Interruption):
        train(interrupt_at=2)
    before = capsys.readouterr().out
    _, checkpoint = train()
    after = capsys.readouterr().out
    assert checkpoint.restored == 2
    assert before.count("\n") == 2 and after.count("\n") == 4
    assert after.startswith(before)
    assert len(checkpoint.epochs) == len(checkpoint.seconds) == 4


def test_without_dropout_a_resumed_training_ends_with_the_same_bits():
    whole, checkpoint = train(dropout=0)
    checkpoint.remove()
    with pytest.raises(Interruption):
        train(interrupt_at=2, dropout=0)
    resumed, later = train(dropout=0)
    assert later.epochs == checkpoint.epochs
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_another_recipe_starts_afresh():
    with pytest.raises(Interruption):
        train(interrupt_at=2)
    _, checkpoint = train(recipe="another")
    assert checkpoint.restored == 0


def test_a_half_written_model_is_never_taken(own_folder):
    with pytest.raises(Interruption):
        train(interrupt_at=2)
    (folder,) = own_folder.iterdir()
    (folder / "new.keras").write_bytes(b"half")
    _, checkpoint = train()
    assert checkpoint.restored == 2


def test_a_finished_training_leaves_nothing_behind(own_folder):
    _, checkpoint = train()
    checkpoint.remove()
    assert not list(own_folder.iterdir())
