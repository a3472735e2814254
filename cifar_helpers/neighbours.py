"""A network that learns, without labels, to put an image and its neighbours into the same one of ten clusters.

The loss is that of SCAN (Van Gansbeke and others, *SCAN: Learning to Classify Images without Labels*, 2020,
arXiv:2005.12320).  Neighbours can come from ``patch_features``; network and step are those of chapter 6.
"""

import time

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)
import numpy as np
import tensorflow as tf
from sklearn.neighbors import NearestNeighbors

from cifar_helpers.fast_recipe import Recipe
from cifar_helpers.fast_training import FastTraining, epoch_images, forward

COUNT = 5  # neighbours of each image
SPREAD = 3.0  # how much it counts that all clusters are used
RECIPE = Recipe(
    widths=(32, 64, 128), epochs=8, kernel_rate=0.12, bias_rate=100.0, head_rate=300.0, whiten_bias_epochs=1
)


def nearest(points, count=COUNT):
    """Return the numbers of the ``count`` other points nearest to each, nearest first, shape (n, count).

    points: shape (n, d).  Distances are Euclidean and exact (scikit-learn's search by comparing all).
    """
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(points)
    return search.kneighbors(return_distance=False)


def agreement_loss(logits, mates, spread=SPREAD):
    """Return SCAN's loss, a scalar: low where pairs agree on a cluster, and all clusters are used.

    logits and mates: of images and of one neighbour each, shape (n, clusters), row by row.  The first term is
    the mean of -log of the probability that both fall into the same cluster; the second, ``spread`` times the
    entropy of the mean probabilities in nats, keeps all images from ending up in one cluster.
    """
    ours, theirs = tf.nn.log_softmax(logits), tf.nn.log_softmax(mates)
    apart = -tf.reduce_mean(tf.reduce_logsumexp(ours + theirs, axis=1))
    share = tf.reduce_mean(tf.exp(tf.concat([ours, theirs], axis=0)), axis=0)
    entropy = -tf.reduce_sum(share * tf.math.log(share + 1e-8))
    return apart - spread * entropy


class NeighbourTraining(FastTraining):
    """A training of the fast network on pairs of neighbours instead of images with labels.

    neighbours: numbers of images, shape (n, count), for each of ``images``.  In every epoch, half of the
    images are shown as they would be to ``FastTraining``, each beside one of its neighbours, drawn at random and
    shifted and mirrored by a draw of its own.  ``epochs`` holds "loss", "agreement" (the share of pairs whose
    two images fall into the same cluster) and "seconds".
    """

    def __init__(self, recipe, images, neighbours, seed, dtype="float32", spread=SPREAD):
        super().__init__(recipe, images, np.zeros(len(images)), seed, dtype)
        self.labels, self.spread = np.asarray(neighbours), spread  # what is learned from, instead of labels
        self.pairs = self.batch_size // 2

    def run_epoch(self):
        """Train for one more epoch; returns its row of ``epochs``."""
        started, epoch = time.perf_counter(), len(self.epochs)
        rng = np.random.default_rng((self.seed, 3, epoch))
        mates = self.labels[np.arange(len(self.labels)), rng.integers(0, self.labels.shape[1], len(self.labels))]
        ours, order = epoch_images(self.recipe, self.images, self.seed, 2 * epoch)
        theirs, _ = epoch_images(self.recipe, self.images, self.seed, 2 * epoch + 1)
        losses, agreed = [], 0
        for step in range(self.steps_per_epoch):
            chosen = order[step * self.pairs : (step + 1) * self.pairs]
            done = epoch + step / self.steps_per_epoch
            shares = 1 - done / self.recipe.epochs, max(0.0, 1 - done / self.recipe.whiten_bias_epochs)
            pixels = np.concatenate([ours[chosen], theirs[mates[chosen]]])
            loss, same = self._step(tf.constant(pixels), None, *map(tf.constant, shares), shares[1] > 0)
            losses.append(float(loss))
            agreed += int(same)
        row = {
            "loss": float(np.mean(losses)),
            "agreement": agreed / (self.steps_per_epoch * self.pairs),
            "seconds": round(time.perf_counter() - started, 2),
        }
        self.epochs.append(row)
        return row

    def gradients(self, pixels, labels, train_whiten=True, training=True):
        """As in ``FastTraining``, for images of which the second half are neighbours of the first."""
        with tf.GradientTape() as tape:
            logits, statistics = forward(self.model, pixels, self.dtype, training, train_whiten)
            ours, theirs = tf.split(logits, 2)
            loss = agreement_loss(ours, theirs, self.spread)
        variables = [*self.kernels, self.head, *self.biases, *([self.whiten_bias] if train_whiten else [])]
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        same = tf.reduce_sum(tf.cast(tf.argmax(ours, 1) == tf.argmax(theirs, 1), tf.int32))
        return variables, gradients, statistics, loss, same
