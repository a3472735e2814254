"""Features learned without labels: each image becomes a histogram of the patches that are in it.

After Coates, Lee and Ng, *An Analysis of Single-Layer Networks in Unsupervised Feature Learning*, 2011
(https://proceedings.mlr.press/v15/coates11a.html), written anew for TensorFlow.
"""

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)

import numpy as np
import tensorflow as tf
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

CONTRAST = 10.0  # added to a patch's variance, so that noise in even patches is not blown up
WHITENING = 0.1  # added to the covariance's eigenvalues, for the same reason


class PatchFeatures(TransformerMixin, BaseEstimator):
    """Learns a dictionary of small patches and describes images by it, in scikit-learn's manner.

    words: the number of patches in the dictionary.  size: their height and width in pixels.
    sample: the number of patches to learn from.  rounds: of k-means; 0 takes random patches as they are.
    seed: of all random draws.

    After ``fit``: ``mean_``, shape (d,), and ``whiten_``, shape (d, d), with d = 3 · size², and the
    dictionary ``words_``, shape (words, d), in the whitened space.
    """

    def __init__(self, words=1600, size=6, sample=400_000, rounds=12, seed=0):
        self.words, self.size, self.sample, self.rounds, self.seed = words, size, sample, rounds, seed

    def fit(self, images, y=None):
        """Learn from ``images``, shape (n, height, width, 3), values 0 to 255.  Returns itself."""
        rng = np.random.default_rng(self.seed)
        patches = normalise_contrast(random_patches(images, self.sample, self.size, rng))
        self.mean_, self.whiten_ = whitening(patches)
        patches = (patches - self.mean_) @ self.whiten_
        self.words_ = patches[rng.choice(len(patches), self.words, replace=False)]
        for _ in range(self.rounds):
            self.words_ = lloyd_round(patches, self.words_, rng)
        return self

    def transform(self, images, batch_size=50):
        """Return the features of ``images``, shape (n, 4 · words), float32."""
        batches = range(0, len(images), batch_size)
        return np.concatenate([self._histograms(images[i : i + batch_size]).numpy() for i in batches])

    def _histograms(self, images):
        if not hasattr(self, "_compute"):
            self._compute = tf.function(self._responses, reduce_retracing=True)
        return self._compute(tf.constant(images, tf.float32))

    def _responses(self, images):
        """Whitened patches at every place, compared with every word, summed up in each quadrant."""
        size, words = self.size, tf.constant(self.words_)
        patches = tf.image.extract_patches(images, [1, size, size, 1], [1] * 4, [1] * 4, "VALID")
        patches = tf.matmul(normalise_contrast(patches) - self.mean_, self.whiten_)
        lengths = tf.reduce_sum(patches**2, axis=-1, keepdims=True)
        return triangle_histograms(tf.tensordot(patches, words, ([3], [1])), lengths, tf.reduce_sum(words**2, axis=1))


class PatchEmbedding(TransformerMixin, BaseEstimator):
    """Brings histograms of patches to a few numbers in which distance means difference.

    Square roots keep frequent words from deciding alone; the roots are standardised and reduced to principal
    components, which are scaled, and each row is brought to length one.
    components: how many are kept, at most.  whitening: how far the components are brought to equal variance, from 0,
    not at all, to 1, wholly.  seed: of the approximate decomposition.
    """

    def __init__(self, components=256, whitening=0.5, seed=0):
        self.components, self.whitening, self.seed = components, whitening, seed

    def fit(self, features, y=None):
        """Learn from ``features``, shape (n, d), none negative.  Returns itself."""
        roots = np.sqrt(features)
        self.mean_, self.deviation_ = roots.mean(axis=0), roots.std(axis=0) + 1e-6
        components = min(self.components, *features.shape)
        self.pca_ = PCA(components, svd_solver="randomized", random_state=self.seed).fit(self._standard(roots))
        self.scale_ = self.pca_.explained_variance_ ** (-self.whitening / 2)
        return self

    def transform(self, features):
        """Return the embedding of ``features``, shape (n, components), most variance first, rows of length one."""
        return normalize(self.pca_.transform(self._standard(np.sqrt(features))) * self.scale_)

    def _standard(self, roots):
        """In place, and in 32 bits: scikit-learn's scaler would need twice the memory for a moment."""
        roots -= self.mean_
        roots /= self.deviation_
        return roots


def random_patches(images, count, size, rng):
    """Return ``count`` patches of ``images`` at random places, shape (count, 3 · size²), float32."""
    images = np.asarray(images)
    which = rng.integers(0, len(images), (count, 1, 1))
    top = rng.integers(0, images.shape[1] - size + 1, (count, 1, 1)) + np.arange(size)[:, np.newaxis]
    left = rng.integers(0, images.shape[2] - size + 1, (count, 1, 1)) + np.arange(size)
    return images[which, top, left].reshape(count, -1).astype(np.float32)


def normalise_contrast(patches):
    """Return ``patches``, shape (..., d), each with mean 0 and a variance of about 1."""
    xp = tf if tf.is_tensor(patches) else np
    mean = tf.reduce_mean if xp is tf else np.mean
    patches = patches - mean(patches, axis=-1, keepdims=True)
    return patches / xp.sqrt(mean(patches**2, axis=-1, keepdims=True) + CONTRAST)


def whitening(patches):
    """Return mean and ZCA matrix, float32: (patches - mean) @ matrix is uncorrelated, and still looks like patches."""
    mean = patches.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(patches, rowvar=False))
    matrix = (directions / np.sqrt(variances + WHITENING)) @ directions.T
    return mean, matrix.astype(np.float32)


def lloyd_round(points, centres, rng):
    """Return better centres: the means of the points that are nearest to each of ``centres``.

    A centre that is nearest to none moves to a random point.
    """
    sums, counts = (value.numpy() for value in _nearest_sums(tf.constant(points), tf.constant(centres)))
    moved = sums / np.maximum(counts, 1)[:, np.newaxis]
    empty = counts == 0
    moved[empty] = points[rng.choice(len(points), empty.sum())]
    return moved


@tf.function
def _nearest_sums(points, centres, chunk=20_000):
    sums, counts = tf.zeros_like(centres), tf.zeros(len(centres))
    for start in tf.range(0, len(points), chunk):
        some = points[start : start + chunk]
        closeness = tf.matmul(some, centres, transpose_b=True) - tf.reduce_sum(centres**2, axis=1) / 2
        nearest = tf.argmax(closeness, axis=1)
        sums += tf.math.unsorted_segment_sum(some, nearest, len(centres))
        counts += tf.math.unsorted_segment_sum(tf.ones(len(some)), nearest, len(centres))
    return sums, counts


@tf.function(jit_compile=True)  # all of it in one pass over memory
def triangle_histograms(products, lengths, word_lengths):
    """Return the sum of every word's triangle activation in each quadrant, shape (n, 4 · words).

    products: of patches with words, shape (n, rows, columns, words).  lengths: the patches'
    squared lengths, shape (n, rows, columns, 1).  word_lengths: the words', shape (words,).
    The activation of a word is how much nearer than the average word it is, or 0:
    max(0, mean distance - distance).
    """
    distances = tf.sqrt(tf.maximum(lengths + word_lengths - 2 * products, 0))
    nearer = tf.nn.relu(tf.reduce_mean(distances, axis=-1, keepdims=True) - distances)
    rows, columns = ((size + 1) // 2 for size in nearer.shape[1:3])
    upper, lower = nearer[:, :rows], nearer[:, rows:]
    quarters = [
        upper[:, :, :columns], upper[:, :, columns:],
        lower[:, :, :columns], lower[:, :, columns:],
    ]  # fmt: skip
    return tf.concat([tf.reduce_sum(quarter, axis=(1, 2)) for quarter in quarters], axis=1)
