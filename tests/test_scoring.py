"""Scores: shares of right answers, and clusters against classes."""

import numpy as np
import pytest

from cifar_helpers.scoring import best_names, clustering_scores, top1

LABELS = np.repeat(np.arange(10), 50).reshape(-1, 1)  # the shape of Keras's labels


def test_right_answers_are_counted():
    logits = np.eye(10)[[3, 1, 2, 2]]
    assert top1(np.array([[3], [1], [2], [5]]), logits) == 0.75


def test_renamed_classes_score_full_marks_unless_names_are_given():
    shuffled = np.random.default_rng(0).permutation(10)
    scores = clustering_scores(LABELS, shuffled[LABELS.ravel()])
    assert scores == {"accuracy": 1, "NMI": pytest.approx(1), "ARI": pytest.approx(1)}
    assert clustering_scores(LABELS, LABELS.ravel(), names=np.roll(np.arange(10), 1))["accuracy"] == 0


def test_every_cluster_gets_a_name_of_its_own():
    # Cluster 0 holds all of classes 0 and 1, cluster 1 nothing: one of the two classes goes unnamed.
    clusters = np.where(LABELS == 1, 0, LABELS).ravel()
    assert sorted(best_names(LABELS, clusters)) == list(range(10))
    assert clustering_scores(LABELS, clusters)["accuracy"] == pytest.approx(0.9)


def test_chance_scores_nearly_nothing():
    scores = clustering_scores(LABELS, np.random.default_rng(0).integers(0, 10, len(LABELS)))
    assert abs(scores["ARI"]) < 0.02 and scores["accuracy"] < 0.2
