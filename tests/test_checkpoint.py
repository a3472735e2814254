"""An interrupted training goes on after its last finished epoch, and leaves nothing behind at its end."""

import errno
import json

import keras
import numpy as np
import pytest

from cifar_helpers import checkpoint as module
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


def small_network(filters=4):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((32, 32, 3)),
        keras.layers.Conv2D(filters, 3, strides=4, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    rate = keras.optimizers.schedules.InverseTimeDecay(1e-2, 1, 0.1)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(recipe="same", interrupt_at=None, network=small_network):
    checkpoint = Checkpoint("test", recipe)
    model = checkpoint.restore(network())
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


def test_a_resumed_training_ends_with_the_same_bits():
    whole, checkpoint = train()
    checkpoint.finish()
    for epoch in (1, 3):  # interrupted twice
        with pytest.raises(Interruption):
            train(interrupt_at=epoch)
    resumed, later = train()
    assert later.restored == 3
    assert later.epochs == checkpoint.epochs
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_a_history_ahead_of_its_model_is_cut_to_it(own_folder):
    """As a kill between writing the history and writing the model leaves them."""
    whole, checkpoint = train()
    checkpoint.finish()
    with pytest.raises(Interruption):
        train(interrupt_at=2)
    (folder,) = own_folder.iterdir()
    kept = (folder / "epoch-0002.keras").read_bytes()
    with pytest.raises(Interruption):
        train(interrupt_at=3)
    (folder / "epoch-0003.keras").unlink()
    (folder / "epoch-0002.keras").write_bytes(kept)
    resumed, later = train()
    assert later.restored == 2 and later.epochs == checkpoint.epochs
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_another_recipe_starts_afresh():
    with pytest.raises(Interruption):
        train(interrupt_at=2)
    _, checkpoint = train(recipe="another")
    assert checkpoint.restored == 0


def with_half_the_rate():
    model = small_network()
    model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def in_another_type():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return small_network()
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("network", [lambda: small_network(filters=5), with_half_the_rate, in_another_type])
def test_an_edited_network_starts_afresh_and_leaves_the_other_as_it_is(network):
    """As when a reader in JupyterLab interrupts a training, changes the cell, runs it again, and changes it back."""
    with pytest.raises(Interruption):
        train(interrupt_at=2)
    _, checkpoint = train(network=network)
    assert checkpoint.restored == 0 and len(checkpoint.epochs) == 4
    _, checkpoint = train()
    assert checkpoint.restored == 2


def test_a_network_is_known_again_whatever_its_layers_are_called():
    def functional():
        inputs = keras.Input((4,))
        hidden = keras.layers.Dense(3)(inputs)
        model = keras.Model(inputs, keras.layers.Add()([keras.layers.Dense(3)(hidden), hidden]))
        model.compile("adam", "mse")
        return module._network(model)

    assert functional() == functional()


def change(history, **parts):
    """The text of a history whose parts were changed."""
    return json.dumps({**json.loads(history), **parts}).encode()


DAMAGE = {
    "empty model": ("epoch-0002.keras", lambda _: b""),
    "half a model": ("epoch-0002.keras", lambda content: content[: len(content) // 2]),
    "a model with a flipped bit": ("epoch-0002.keras", lambda content: content[:-2000] + bytes([content[-2000] ^ 1]) + content[-1999:]),
    "empty history": ("history.json", lambda _: b""),
    "another history": ("history.json", lambda _: b"{}"),
    "other draws": ("history.json", lambda content: change(content, draws={"1": [[1, 1]], "2": [[9, 9]]})),
    "no epochs": ("history.json", lambda content: change(content, epochs=[])),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_checkpoint_that_cannot_be_read_starts_afresh(own_folder, capfd, kind):
    whole, checkpoint = train()
    checkpoint.finish()
    with pytest.raises(Interruption):
        train(interrupt_at=2)
    (folder,) = own_folder.iterdir()
    name, damage = DAMAGE[kind]
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    again, later = train()
    assert later.restored == 0 and later.epochs == checkpoint.epochs
    assert "cannot be read: the training begins anew." in capfd.readouterr().err
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "too many open files")])
def test_a_checkpoint_that_may_be_whole_stays(own_folder, monkeypatch, error):
    def fail(_):
        raise error

    with pytest.raises(Interruption):
        train(interrupt_at=2)
    with monkeypatch.context() as patched:
        patched.setattr(keras.models, "load_model", fail)
        with pytest.raises(type(error)):
            train()
    assert train()[1].restored == 2


def test_an_interruption_while_a_model_is_written_costs_one_epoch(monkeypatch):
    def half(_, path):
        path.write_bytes(b"half")
        raise Interruption

    with pytest.raises(Interruption):
        train(interrupt_at=2)
    with monkeypatch.context() as patched, pytest.raises(Interruption):
        patched.setattr(keras.Model, "save", half)
        train()
    assert train()[1].restored == 2


def test_a_finished_training_leaves_nothing_behind(own_folder):
    _, checkpoint = train()
    checkpoint.finish()
    assert not list(own_folder.iterdir())


def test_while_a_page_is_made_a_finished_trainings_checkpoint_waits_for_the_page(own_folder, monkeypatch, tmp_path_factory):
    """A kill between the end of a training and its publication would cost the training otherwise."""
    notes = tmp_path_factory.mktemp("notes")
    monkeypatch.setenv("TUTORIAL_FINISHED", str(notes))
    whole, checkpoint = train()
    checkpoint.finish()
    (folder,) = own_folder.iterdir()
    assert [float(note.read_text()) for note in notes.iterdir()] == [0]
    again, later = train()
    later.finish()
    assert later.restored == 4 and later.epochs == checkpoint.epochs
    assert float((notes / folder.name).read_text()) == sum(checkpoint.seconds)
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_a_reader_in_jupyterlab_sees_the_steps_pass(monkeypatch, capfd):
    monkeypatch.setattr(module, "is_live", lambda: True)
    monkeypatch.setattr(Checkpoint, "EVERY", 0)
    train()
    first = capfd.readouterr().out.split("\n")[0].split("\r")
    assert first[1:3] == ["epoch   1  step 1 of 2", "epoch   1  step 2 of 2"]
    assert first[3].startswith("epoch   1  learning rate")
    assert len(first[3]) > len(first[2])


def test_a_page_that_is_being_made_gets_one_line_per_epoch(capfd):
    train()
    assert [line[:9] for line in capfd.readouterr().out.splitlines()] == [f"epoch   {number}" for number in range(1, 5)]
