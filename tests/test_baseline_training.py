"""The baseline's training: interrupted or not, on chapter 4's page or for a study, it ends with the same bits."""

import ast
import dataclasses
import re

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf

from cifar_helpers import progress
from cifar_helpers.baseline.batches import training_batches
from cifar_helpers.baseline.network import build_baseline
from cifar_helpers.baseline.recipe import Recipe
from cifar_helpers.baseline.training import EpochByEpoch, described, train
from cifar_helpers.checkpoint import Checkpoint
from cifar_helpers.progress import Steps, show_epoch
from runner.chapters import Chapter, source
from runner.project import HERE

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (48, 32, 32, 3), dtype=np.uint8)
LABELS = (np.arange(48) % 10).astype(np.uint8)[:, None]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    tf.config.experimental.enable_op_determinism()  # as in chapter 4 and in studies
    tf.config.run_functions_eagerly(True)  # graphs take seconds to build; chapters use them
    monkeypatch.setenv("TUTORIAL_CHECKPOINTS", str(tmp_path))
    monkeypatch.delenv("TUTORIAL_FINISHED", raising=False)
    yield
    tf.config.run_functions_eagerly(False)


def same(first, second):
    return all(map(np.array_equal, first.get_weights(), second.get_weights()))


# ---- A small network, for what needs many trainings ----


def small_network():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((32, 32, 3)),
        keras.layers.Conv2D(4, 3, strides=4, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    rate = keras.optimizers.schedules.InverseTimeDecay(1e-2, 1, 0.1)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(*callbacks, epochs=3, interrupted=None):
    """Train the small network as the cell of chapter 4 does it; raise KeyboardInterrupt after epoch ``interrupted``."""

    def show(row, number):
        show_epoch(row, number)
        if number == interrupted:
            raise KeyboardInterrupt

    model = small_network()
    kept = EpochByEpoch(model, Checkpoint("test", described(model)), show)
    done = len(kept.history)
    model.fit(
        training_batches(IMAGES, LABELS, epochs, 24, 0, first_epoch=done), steps_per_epoch=2, epochs=epochs,
        initial_epoch=done, validation_data=(IMAGES, LABELS), callbacks=[*callbacks, kept], verbose=0,
    )  # fmt: skip
    return model, kept


def test_a_training_interrupted_twice_ends_with_the_same_bits_and_prints_all_its_epochs(capsys):
    whole, kept = fit()
    kept.checkpoint.finish()
    expected = capsys.readouterr().out
    assert [line[:15] for line in expected.splitlines()] == [f"epoch   {n}  rate" for n in range(1, 4)]
    for epoch in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            fit(interrupted=epoch)
    capsys.readouterr()
    resumed, later = fit()
    assert capsys.readouterr().out == expected
    assert later.epochs == kept.epochs and later.checkpoint.seconds == sum(row["seconds"] for row in later.history[:2])
    assert same(whole, resumed)


def functional(width=3, rate=1e-2, dtype=None):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(width, dtype=dtype)(inputs)
    model = keras.Model(inputs, keras.layers.Add()([keras.layers.Dense(width)(hidden), hidden]))
    model.compile(keras.optimizers.Adam(rate), "mse")
    return model


def test_a_network_is_known_again_whatever_its_layers_are_called_unless_built_or_compiled_otherwise():
    """As when a reader in JupyterLab interrupts a training, changes the cell, runs it again, and changes it back."""
    others = [functional(width=4), functional(rate=5e-3), functional(dtype="mixed_bfloat16")]
    assert len({described(network) for network in [functional(), *others, functional()]}) == 4
    assert described(small_network()) == described(small_network())


@pytest.mark.parametrize("is_live", [True, False], ids=["in JupyterLab", "on a page that is being made"])
def test_only_a_reader_in_jupyterlab_sees_the_steps_pass(monkeypatch, capfd, is_live):
    monkeypatch.setattr(progress, "is_live", lambda: is_live)
    monkeypatch.setattr(Steps, "EVERY", 0)
    fit(Steps(), epochs=1)
    *steps, line = capfd.readouterr().out.split("\n")[0].split("\r")
    both = ["epoch   1  step 1 of 2", "epoch   1  step 2 of 2"]
    assert steps == (["", *both, " " * len(both[1])] if is_live else [])
    assert line.startswith("epoch   1  rate")


# ---- The baseline itself ----


FEW = IMAGES[:12], LABELS[:12]
SMALL = Recipe(epochs=2, batch_size=5, type="bfloat16")  # three steps in an epoch, the last of them with fewer images


CHAPTER = Chapter(HERE.notebooks / "04_train_model.ipynb")


def on_the_page(recipe, **names):
    """What the cells of chapter 4 that make up the recipe define and train, on our images, with these settings."""
    settings = {name.upper(): value for name, value in dataclasses.asdict(recipe).items()}
    names = {name: parameter.default for name, parameter in CHAPTER.parameters.items()} | settings | names
    names |= {"x_train": FEW[0], "y_train": FEW[1], "x_val": FEW[0], "y_val": FEW[1], "steps_per_epoch": 3}
    imports = [node for node in CHAPTER.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    for part in [ast.Module(imports, []), *map(source, CHAPTER.cells_tagged("recipe"))]:
        if "compute_type" in names:
            names["compute_type"] = lambda: recipe.type
        exec(compile(part, CHAPTER.path.name, "exec"), names)
    plt.close("all")
    return names


def test_chapter_4_and_the_studies_train_alike():
    names = on_the_page(SMALL, TRAIN=True)
    model, history = train(SMALL, FEW, FEW, 0)
    for row in history:
        del row["seconds"]
    assert history == names["kept"].epochs == names["epochs"] and same(names["model"], model)
    assert names["recipe"] == {"data": "cifar10", "limit": 0, "seed": 0, **dataclasses.asdict(SMALL)}


def test_chapter_4_and_the_studies_make_the_same_batches():
    pipeline = on_the_page(SMALL)["batches"]
    for augmented, first_epoch in [(True, 0), (True, 1), (False, 0)]:
        shown = pipeline(*FEW, 3, augmented, first_epoch)
        ours = training_batches(*FEW, 3, SMALL.batch_size, 0, augmented, first_epoch=first_epoch)
        pairs = list(zip(shown, ours, strict=True))
        assert len(pairs) == 3 * (3 - first_epoch)
        assert all(np.array_equal(x, y) and x.dtype == y.dtype for pair in pairs for x, y in zip(*pair, strict=True))


def test_the_recipe_is_that_of_the_chapters_parameters():
    ours = dataclasses.asdict(Recipe())
    shared = {name: ours[name] for name in ours if name.upper() in CHAPTER.parameters}
    assert shared == {name: CHAPTER.parameters[name.upper()].default for name in shared}
    assert {*shared} == {"epochs", "batch_size", "learning_rate"}


# ---- The first training, which needs nothing of the project ----


def test_the_first_training_runs_in_an_empty_notebook(monkeypatch):
    """The network's function from chapter 3, the lines from the folded text, the cells: that is all there is."""
    text = "\n".join(source(cell) for cell in CHAPTER.notebook["cells"] if cell["cell_type"] == "markdown")
    [pasted] = re.findall(r"^```python\n(.*?)^```", text, flags=re.M | re.S)
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: (FEW, FEW))
    names = {"build_model": build_baseline}
    for part in [pasted, *map(source, CHAPTER.cells_tagged("few"))]:
        assert "cifar_helpers" not in part
        exec(part, names)
    names |= {"EPOCHS": 1, "BATCH_SIZE": 6}
    history = names["first_training"]().history
    assert {*history} == {"loss", "accuracy", "val_loss", "val_accuracy"} and len(history["loss"]) == 1


@pytest.mark.parametrize("tag", ["few", "recipe"])
def test_a_training_call_is_short(tag):
    trees = [ast.parse(source(cell)) for cell in CHAPTER.cells_tagged(tag)]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    lines = [
        node.end_lineno - node.lineno + 1
        for node in calls
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("compile", "fit")
    ]
    assert len(lines) == 2 and sum(lines) <= 10


# ---- What is printed ----


def test_the_line_about_an_epoch_fits_a_page_and_says_all(capsys):
    row = {"loss": 12.34567, "accuracy": 1.0, "val_loss": 0.5, "val_accuracy": 0.8024, "learning_rate": 3.21e-4}
    show_epoch(row, 100)
    show_epoch({"loss": 0.5, "accuracy": 0.8}, 3, epochs=12)
    long, short = capsys.readouterr().out.splitlines()
    assert long == "epoch 100  rate 3.2e-04  training 12.3457 100.00%  validation 0.5000  80.24%" and len(long) <= 76
    assert short == "epoch 3 of 12  loss 0.5000  accuracy  80.00%"
