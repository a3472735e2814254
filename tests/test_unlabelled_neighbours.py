"""Learning from pairs of neighbours: the search, the loss, and clusters of a few points."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import adjusted_rand_score

from cifar_helpers.unlabelled.neighbours import NeighbourClusters, agreement_loss, nearest


def test_nearest_leaves_out_the_point_itself_and_sorts_by_distance():
    points = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert nearest(points, 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]


def logits(clusters, sure=20.0):
    return tf.constant(sure * np.eye(10)[clusters])


@pytest.mark.parametrize("clusters, loss", [(range(10), -3 * np.log(10)), ([4] * 10, 0)])
def test_agreement_is_best_with_all_clusters_in_use(clusters, loss):
    assert agreement_loss(logits(clusters), logits(clusters), spread=3.0).numpy() == pytest.approx(loss, abs=1e-3)


def test_disagreement_costs_its_improbability():
    ours, theirs = logits(range(10), sure=2.0), logits(np.roll(range(10), 1), sure=2.0)
    likely, unlikely = np.exp(2) / (np.exp(2) + 9), 1 / (np.exp(2) + 9)
    expected = -np.log(2 * likely * unlikely + 8 * unlikely**2) - np.log(10)
    assert agreement_loss(ours, theirs, spread=1.0).numpy() == pytest.approx(expected, abs=1e-3)


@pytest.fixture(scope="module")
def heaps():
    """Points on the unit sphere in three heaps, and the heap of each."""
    rng = np.random.default_rng(0)
    heap = np.arange(120) % 3
    points = np.eye(3, 8)[heap] + 0.05 * rng.standard_normal((120, 8))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), heap


def clustering(**settings):
    return NeighbourClusters(**{"clusters": 3, "neighbours": 5, "hidden": 16, "epochs": 40, "starts": 2} | settings)


@pytest.fixture(scope="module")
def fitted(heaps):
    return clustering().fit(heaps[0])


def test_heaps_become_clusters_and_losses_fall(fitted, heaps):
    points, heap = heaps
    assert adjusted_rand_score(heap, fitted.labels_) == 1
    assert adjusted_rand_score(heap, fitted.predict(points + 0.01)) == 1
    assert fitted.losses_.shape == (2, 40) and (fitted.losses_[:, -1] < fitted.losses_[:, 0]).all()


def test_the_start_with_the_lowest_loss_is_kept_and_the_seed_decides(fitted, heaps):
    inputs = heaps[0] * np.sqrt(np.float32(8)), nearest(heaps[0], 5)
    (best, losses), (_, others) = (
        clustering(seed=seed)._train(*inputs, int(fitted.losses_[:, -1].argmin())) for seed in (0, 1)
    )
    for ours, theirs in zip(fitted.network_.get_weights(), best.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert min(fitted.losses_[:, -1]) == losses[-1] != others[-1]
