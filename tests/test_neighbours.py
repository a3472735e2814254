"""Learning from pairs of neighbours: the search, the loss, and a training in miniature."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from cifar_helpers import fast_run
from cifar_helpers.neighbours import RECIPE, NeighbourTraining, agreement_loss, nearest

TINY = dataclasses.replace(RECIPE, widths=(8, 8, 16), epochs=3, batch_size=40)


def test_nearest_leaves_out_the_point_itself_and_sorts_by_distance():
    points = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert nearest(points, 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]


def logits(clusters, sure=20.0):
    return tf.constant(sure * np.eye(10)[clusters])


def test_agreement_with_all_clusters_in_use_is_the_best_there_is():
    everywhere = logits(range(10))
    assert agreement_loss(everywhere, everywhere, spread=3.0).numpy() == pytest.approx(-3 * np.log(10), abs=1e-3)


def test_one_cluster_for_everything_is_worse():
    together = logits([4] * 10)
    assert agreement_loss(together, together, spread=3.0).numpy() == pytest.approx(0, abs=1e-3)


def test_disagreement_costs_its_improbability():
    ours, theirs = logits(range(10), sure=2.0), logits(np.roll(range(10), 1), sure=2.0)
    likely, unlikely = np.exp(2) / (np.exp(2) + 9), 1 / (np.exp(2) + 9)
    expected = -np.log(2 * likely * unlikely + 8 * unlikely**2) - np.log(10)
    assert agreement_loss(ours, theirs, spread=1.0).numpy() == pytest.approx(expected, abs=1e-3)


def kinds(count, seed=0):
    """Images of two kinds, bright and dark stripes, and neighbours of the same kind."""
    rng = np.random.default_rng(seed)
    kind = np.arange(count) % 2
    stripes = np.where((np.arange(32) // 4 % 2).astype(bool), 200, 30)
    images = np.where(kind[:, None, None], stripes[None, :, None], stripes[None, None, :])
    images = np.repeat(images[..., np.newaxis], 3, axis=3) + rng.integers(-20, 20, (count, 32, 32, 3))
    mates = (np.arange(count)[:, np.newaxis] + [2, 4, 6]) % count
    return images.astype(np.uint8), mates, kind


@pytest.fixture(scope="module")
def trained():
    images, mates, _ = kinds(80)
    training = NeighbourTraining(TINY, images, mates, seed=0)
    for _ in range(TINY.epochs):
        training.run_epoch()
    return training


def test_a_training_keeps_its_history(trained):
    assert [set(row) for row in trained.epochs] == [{"loss", "agreement", "seconds"}] * TINY.epochs
    assert all(0 <= row["agreement"] <= 1 for row in trained.epochs)
    assert trained.epochs[-1]["loss"] < trained.epochs[0]["loss"]


def test_it_ends_the_same_twice_even_if_interrupted(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_CHECKPOINTS", str(tmp_path))
    images, mates, _ = kinds(80)

    def stop(line):
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fast_run.finish("toy", NeighbourTraining(TINY, images, mates, seed=0), show=stop)
    resumed = fast_run.finish("toy", NeighbourTraining(TINY, images, mates, seed=0), show=str)
    for ours, theirs in zip(trained.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_its_gradient_is_that_of_the_loss_between_the_two_halves():
    images, mates, _ = kinds(8)
    training = NeighbourTraining(TINY, images, mates, seed=0)
    pixels = tf.constant(np.concatenate([images, images[mates[:, 0]]]))
    variables, gradients, *_ = training.gradients(pixels, None)
    head = next(i for i, variable in enumerate(variables) if variable is training.head)
    with tf.GradientTape() as tape:
        both = training.model(tf.cast(pixels, tf.float32), training=True)
        loss = agreement_loss(both[:8], both[8:])
    expected = tape.gradient(loss, training.head.value)
    np.testing.assert_allclose(gradients[head], expected, rtol=1e-3, atol=1e-5)
