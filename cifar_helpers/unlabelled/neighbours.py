"""Clusters, found without labels, that an image and its neighbours agree on.

The loss is that of SCAN (Van Gansbeke and others, *SCAN: Learning to Classify Images without Labels*, 2020,
arXiv:2005.12320).  Neighbours and points can come from ``patches``.
"""

import dataclasses

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.neighbors import NearestNeighbors

from cifar_helpers.fast.recipe import FAST84

# For the fast network that then learns the clusters from the images themselves; epochs chosen on validation images.
RECIPE = dataclasses.replace(FAST84, epochs=4)


def nearest(points, count):
    """Return the numbers of the ``count`` other points nearest to each, nearest first, shape (n, count).

    points: shape (n, d).  Distances are Euclidean and exact (scikit-learn's search by comparing all).
    """
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(points)
    return search.kneighbors(return_distance=False)


def agreement_loss(logits, mates, spread=3.0):
    """Return SCAN's loss, a scalar: low where pairs agree on a cluster, and all clusters are used.

    logits and mates: of images and of one neighbour each, shape (n, clusters), row by row.
    The first term is the mean of -log of the probability that both fall into the same cluster;
    the second, ``spread`` times the entropy of the mean probabilities in nats, keeps all images
    from ending up in one cluster.
    """
    ours, theirs = tf.nn.log_softmax(logits), tf.nn.log_softmax(mates)
    apart = -tf.reduce_mean(tf.reduce_logsumexp(ours + theirs, axis=1))
    share = tf.reduce_mean(tf.exp(tf.concat([ours, theirs], axis=0)), axis=0)
    entropy = -tf.reduce_sum(share * tf.math.log(share + 1e-8))
    return apart - spread * entropy


class NeighbourClusters(ClusterMixin, BaseEstimator):
    """A small network that sorts points into clusters on which neighbours agree, in scikit-learn's manner.

    clusters: how many.  neighbours: of each point, one of which is drawn in each epoch.  hidden: units of the
    layer between.  epochs: passes over the points, in batches of up to 1,000.  starts: trainings, of which the
    one with the lowest loss in its last epoch is kept.  seed: of all random draws.

    After ``fit``: ``network_``, a keras.Model; ``labels_``, the clusters of the points, shape (n,);
    ``losses_``, the mean loss of every epoch, shape (starts, epochs).
    """

    def __init__(self, clusters=10, neighbours=20, hidden=512, epochs=30, starts=5, seed=0):
        self.clusters, self.neighbours, self.hidden = clusters, neighbours, hidden
        self.epochs, self.starts, self.seed = epochs, starts, seed

    def fit(self, points, y=None):
        """Learn from ``points``, shape (n, d).  Returns itself."""
        mates = nearest(points, self.neighbours)
        trained = [self._train(_scaled(points), mates, start) for start in range(self.starts)]
        self.losses_ = np.array([losses for _, losses in trained])
        self.network_ = trained[self.losses_[:, -1].argmin()][0]
        self.labels_ = self.predict(points)
        return self

    def predict(self, points):
        """Return the cluster of each of ``points``, shape (n,), from 0 to clusters - 1."""
        return self.network_.predict(_scaled(points), batch_size=5000, verbose=0).argmax(axis=1)

    def _train(self, points, mates, start):
        rng = np.random.default_rng((self.seed, start))
        seeds = [int(seed) for seed in rng.integers(0, 2**31, 3)]
        network = keras.Sequential([
            keras.Input(points.shape[1:]),
            layers.Dense(self.hidden, "relu", kernel_initializer=keras.initializers.GlorotUniform(seeds[0])),
            layers.Dropout(0.2, seed=seeds[1]),
            layers.Dense(self.clusters, kernel_initializer=keras.initializers.GlorotUniform(seeds[2])),
        ])  # fmt: skip
        step, batch_size, losses = _step(network, keras.optimizers.Adam(1e-3)), min(1000, len(points)), []
        for _ in range(self.epochs):
            theirs = mates[np.arange(len(mates)), rng.integers(0, self.neighbours, len(mates))]
            order = rng.permutation(len(points))[: len(points) // batch_size * batch_size]
            batches = order.reshape(-1, batch_size)
            losses.append(np.mean([step(points[batch], points[theirs[batch]]) for batch in batches]))
        return network, losses


def _scaled(points):
    """Rows of length one as numbers of about one, for which the networks' first weights are made."""
    return np.asarray(points, np.float32) * np.sqrt(np.float32(points.shape[1]))


def _step(network, optimizer):
    """One step of training, compiled; takes points and neighbours of these, returns the loss."""

    @tf.function
    def step(points, mates):
        with tf.GradientTape() as tape:
            loss = agreement_loss(network(points, training=True), network(mates, training=True))
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return loss

    return step
