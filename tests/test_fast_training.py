"""The fast network's training: its images, its forward pass, its step, on one device and on two."""

import contextlib
import dataclasses
import subprocess
import sys
from unittest.mock import Mock, call

import numpy as np
import pytest
import tensorflow as tf

from cifar_helpers.checkpoint import Checkpoint
from cifar_helpers.fast import training as fast_training
from cifar_helpers.fast.network import six_views
from cifar_helpers.fast.recipe import ABLATION, FAST84, FAST94, Recipe
from cifar_helpers.fast.training import FastTraining, epoch_images, fast_logits, forward, orthogonalise, train
from cifar_helpers.stand_in import load_stand_in
from runner.project import HERE

TINY = Recipe(widths=(4, 8, 8), epochs=2, batch_size=64, whiten_bias_epochs=1)


@pytest.fixture(scope="module", autouse=True)
def eager():
    """Without graphs, which take seconds to build; the test with two devices and chapter 6 use them."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def drawings():
    return load_stand_in(128, 10)[0]


@pytest.fixture(scope="module")
def untrained(drawings):
    return FastTraining(TINY, *drawings, seed=0)


@pytest.fixture(scope="module")
def trained(drawings):
    """A model after its training of two epochs, and the biases of its first layer after one."""
    training = FastTraining(TINY, *drawings, seed=0)
    training.run_epoch()
    biases = training.model.get_layer("whiten").bias.numpy()
    training.run_epoch()
    return training.model, biases


# ---- Images ----


def test_two_epochs_in_a_row_show_every_image_both_ways(drawings):
    recipe = dataclasses.replace(TINY, crop=False)
    first, _ = epoch_images(recipe, drawings[0], 0, 0)
    second, _ = epoch_images(recipe, drawings[0], 0, 1)
    np.testing.assert_array_equal(first[:, :, ::-1], second)
    assert 0.3 < np.mean([np.array_equal(a, b) for a, b in zip(first, drawings[0], strict=True)]) < 0.7


def test_shifted_images_are_windows_of_the_padded_ones():
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    moved = fast_training.shift(images, np.random.default_rng(1))
    places = [(top, left) for top in range(5) for left in range(5)]
    windows = [padded[:, top : top + 8, left : left + 8] for top, left in places]
    found = np.array([(moved == window).all(axis=(1, 2, 3)) for window in windows])
    assert found.any(axis=0).all() and found.any(axis=1).sum() > 15


def test_an_epochs_images_depend_on_seed_and_number_alone(drawings):
    first, again, other = (epoch_images(TINY, drawings[0], seed, 1) for seed in (3, 3, 4))
    assert all(map(np.array_equal, first, again)) and not np.array_equal(first[0], other[0])


# ---- The forward pass ----


@pytest.mark.parametrize(
    ("dtype", "training", "tolerance"), [("float32", False, 1e-5), ("bfloat16", False, 0.1), ("float32", True, 1e-4)]
)
def test_the_forward_pass_is_the_keras_models(trained, drawings, dtype, training, tolerance):
    batch = drawings[0][:20]
    ours, statistics = forward(trained[0], batch, dtype, training)
    expected = trained[0](batch, training=training).numpy()
    assert np.abs(ours - expected).max() < tolerance * np.abs(expected).max() + 1e-6 and len(statistics) == 6


# ---- The step ----


def test_gradients_are_those_of_the_keras_model(untrained, drawings):
    images, labels = drawings[0][:32], untrained.labels[:32]
    variables, ours, *_ = untrained.gradients(images, labels, training=False)
    target = tf.one_hot(labels, 10) * 0.8 + 0.02
    with tf.GradientTape() as tape:
        logits = untrained.model(images, training=False)
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, logits))
    theirs = tape.gradient(loss, [variable.value for variable in variables])
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-3, atol=1e-5 * np.abs(their).max())


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (3, 3, 2, 6)])
def test_an_orthogonalised_update_has_singular_values_near_one(shape):
    update = tf.random.stateless_normal(shape, (0, 0))
    before, after = (
        np.linalg.svd(tf.reshape(tensor, (-1, shape[-1])), compute_uv=False)
        for tensor in (update, orthogonalise(update))
    )
    assert 0.4 < after.min() and after.max() < 1.4 and before.max() / before.min() > after.max() / after.min()


@pytest.mark.parametrize("name", ABLATION)
def test_every_recipe_learns(drawings, name):
    recipe = dataclasses.replace(ABLATION[name], widths=TINY.widths, epochs=3, batch_size=64)
    first, *_, last = train(recipe, *drawings, 0, "float32").epochs
    assert last["loss"] < first["loss"]


def test_frozen_and_trained_variables(untrained, trained):
    model, biases = trained
    for name, part in [("whiten", "kernel"), ("group1_norm1", "gamma")]:
        before, after = (getattr(network.get_layer(name), part) for network in (untrained.model, model))
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(model.get_layer("whiten").bias, biases)  # they learn in the first epoch only
    assert biases.any()


def test_the_recipes_use_every_trick_but_the_one_that_an_ablation_leaves_out():
    first, *others = (set(dataclasses.asdict(recipe).items()) for recipe in ABLATION.values())
    assert all(len(first - other) == 1 for other in others)
    for recipe in (FAST84, FAST94):
        assert all(value for value in dataclasses.asdict(recipe).values() if isinstance(value, bool))


# ---- Whole trainings ----


def test_an_interrupted_training_ends_with_the_same_bits(drawings, tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_CHECKPOINTS", str(tmp_path))
    arguments = TINY, *drawings, 0, "float32"
    whole = train(*arguments)
    with pytest.raises(KeyboardInterrupt):
        train(*arguments, Checkpoint("run", TINY), show=Mock(side_effect=KeyboardInterrupt))
    checkpoint, show, progress = Checkpoint("run", TINY), Mock(), Mock(return_value=contextlib.nullcontext())
    resumed = train(*arguments, checkpoint, show, progress)
    assert progress.call_args_list == [call("epoch 2 of 2")] and checkpoint.seconds == resumed.epochs[0]["seconds"]
    assert all(map(np.array_equal, whole.model.get_weights(), resumed.model.get_weights()))
    assert [row["loss"] for row in whole.epochs] == [row["loss"] for row in resumed.epochs]
    assert show.call_args_list == [call(row, number, 2) for number, row in enumerate(resumed.epochs, start=1)]


def test_averaged_logits_weigh_the_six_views(untrained, drawings):
    images, model = drawings[0][:30], untrained.model
    plain, averaged = fast_logits(model, images, "float32", batch_size=20)
    expected = sum(weight * model(view).numpy() for weight, view in six_views(images))
    for ours, theirs in [(plain, model(images)), (averaged, expected)]:
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


# ---- Several devices ----


@pytest.mark.full
def test_two_devices_average_to_the_gradients_of_one():
    code = """
import cifar_helpers
import tensorflow as tf
processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np
from cifar_helpers.fast.recipe import Recipe
from cifar_helpers.fast.training import FastTraining

rng = np.random.default_rng(0)
images, labels = rng.integers(0, 256, (32, 32, 32, 3), np.uint8), rng.integers(0, 10, 32)
recipe = Recipe(widths=(4, 8, 8), epochs=1, batch_size=32)
found = []
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with strategy.scope():
        training = FastTraining(recipe, images, labels, seed=0)
        batch = training._spread(images), training._spread(training.labels)
        gradients = strategy.run(lambda *part: training.gradients(*part, training=False)[1], batch)
        found.append([strategy.experimental_local_results(gradient)[0].numpy() for gradient in gradients])
with strategy.scope():
    assert np.isfinite(training.run_epoch()["loss"])  # as a graph
for one, two in zip(*found):
    np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-5 * np.abs(two).max())
print(len(found[0]), "gradients agree")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE.root, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "14 gradients agree", done.stderr
