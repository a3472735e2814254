"""Scores: how many answers are right, and how well clusters, found without labels, agree with classes."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, confusion_matrix, normalized_mutual_info_score


def top1(labels, logits):
    """Share of ``logits``, shape (n, 10), whose largest belongs to the right label, shape (n, 1) or (n,)."""
    return float(np.mean(logits.argmax(axis=1) == np.asarray(labels).reshape(-1)))


def best_names(y_true, clusters, count=10):
    """Return the class of each cluster, shape (count,), in the one-to-one assignment that scores best.

    y_true: labels from 0 to count - 1, any shape.  clusters: as many cluster numbers from 0 to count - 1.
    The assignment is found by the Hungarian algorithm (Kuhn, 1955), from SciPy.
    """
    table = confusion_matrix(clusters, np.ravel(y_true), labels=range(count))
    return linear_sum_assignment(table, maximize=True)[1]


def clustering_scores(y_true, clusters, names=None, count=10):
    """Return how well ``clusters`` agree with the labels, a dictionary of three numbers.

    "accuracy": the share of images whose cluster has their class's name, 0 to 1.  names: the class of each
    cluster; where not given, the best one-to-one assignment to these very labels.  "NMI": normalised mutual
    information, 0 to 1.  "ARI": adjusted Rand index, 0 for chance, 1 for the same partition.
    """
    y_true = np.ravel(y_true)
    names = best_names(y_true, clusters, count) if names is None else np.asarray(names)
    return {
        "accuracy": float((names[clusters] == y_true).mean()),
        "NMI": float(normalized_mutual_info_score(y_true, clusters)),
        "ARI": float(adjusted_rand_score(y_true, clusters)),
    }
