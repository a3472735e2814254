"""The images that the chapters work with: CIFAR-10, or drawings in its place; their names, limits and split.

Where the photographs come from is `cifar_helpers.fetch`'s business: whatever it brings is used only with the right
checksum. Importing this module costs NumPy and nothing else: what needs pooch or scikit-learn imports it when called.
"""

import hashlib

import numpy as np

from cifar_helpers import fetch, stand_in
from cifar_helpers.fetch import DataDamaged, DataUnavailable

__all__ = [
    "CHECKSUM",
    "CLASSES",
    "DataDamaged",
    "DataUnavailable",
    "checksum",
    "class_names",
    "load_cifar10",
    "load_images",
    "split_indices",
    "split_validation",
]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# SHA-256 of the decoded data set; see `checksum`.
CHECKSUM = "80387ddb9a0edf3fc4a964ee3770296169bb26a651050df20035579673099660"

LEAST_TEST_IMAGES = 100


def load_images(name="cifar10", limit=None):
    """Load a data set by name.

    Parameters
    ----------
    name : "cifar10" or "stand-in"
        The photographs, or ten classes of drawings (see `cifar_helpers.stand_in`) for machines without them.
    limit : int, optional
        Keep the first `limit` training images and a fifth as many test images, but at least 100. 0 or None keeps all.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Images of shape (n, 32, 32, 3) and labels of shape (n, 1), both uint8; pixels 0-255, labels 0-9.

    Raises
    ------
    ValueError
        For an unknown name or a negative limit.
    DataUnavailable
        When CIFAR-10 is asked for and cannot be had.
    """
    _require_known(name)
    if limit is not None and limit < 0:
        raise ValueError(f"limit must be a number of training images, or 0 for all, not {limit}.")
    sizes = (limit, max(limit // 5, LEAST_TEST_IMAGES)) if limit else (None, None)
    if name == "stand-in":
        return stand_in.load_stand_in(*(size or full for size, full in zip(sizes, stand_in.FULL_SIZES)))
    return tuple((x[:size], y[:size]) for (x, y), size in zip(load_cifar10(), sizes))


def class_names(name="cifar10"):
    """Return the ten class names of the data set `name` ("cifar10" or "stand-in"), in label order."""
    _require_known(name)
    return stand_in.CLASSES if name == "stand-in" else CLASSES


def load_cifar10():
    """Load CIFAR-10, verified against the checksum of its images.

    `cifar_helpers.fetch` looks for it in the place that the environment variable CIFAR10_DIR names, or in Keras's
    cache, or downloads it.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        What `keras.datasets.cifar10.load_data()` returns: uint8 images of shape (50000, 32, 32, 3) and
        (10000, 32, 32, 3) with pixels 0-255, uint8 labels 0-9 of shape (50000, 1) and (10000, 1).

    Raises
    ------
    DataUnavailable
        When the images are in none of these places, or CIFAR10_DIR is set and lacks them.
    DataDamaged
        When CIFAR10_DIR holds a file that is not the official one.

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
    https://www.cs.toronto.edu/~kriz/cifar.html
    """
    images = fetch.cifar10()
    if (found := checksum(images)) != CHECKSUM:
        raise DataDamaged(f"The images that were read are not CIFAR-10 (their SHA-256 is {found}); {fetch.WAYS_OUT}.")
    return images


def split_indices(y_train, fraction=0.1, seed=0):
    """Divide the positions of the training images into those to train on and those to validate on.

    The split is stratified (every class gives the same share) and seeded.

    Returns
    -------
    train, validation : two sorted integer arrays, together 0 … len(y_train) - 1
    """
    from sklearn.model_selection import train_test_split

    labels = np.ravel(y_train)
    train, validation = train_test_split(np.arange(len(labels)), test_size=fraction, stratify=labels, random_state=seed)
    return np.sort(train), np.sort(validation)


def split_validation(x_train, y_train, fraction=0.1, seed=0):
    """Set a stratified, seeded share of the training images aside for validation.

    Returns `(x_train, y_train), (x_val, y_val)`, each in the order of the input: of 50,000 CIFAR-10 images and a
    fraction of 0.1, 45,000 and 5,000, with 500 validation images of every class. `split_indices` gives the positions.
    """
    train, validation = split_indices(y_train, fraction, seed)
    return (x_train[train], y_train[train]), (x_train[validation], y_train[validation])


def checksum(images):
    """Return the SHA-256 (hex) of `(x_train, y_train), (x_test, y_test)`: the four arrays' bytes, in this order."""
    digest = hashlib.sha256()
    for x, y in images:
        digest.update(np.ascontiguousarray(x))
        digest.update(np.ascontiguousarray(y))
    return digest.hexdigest()


def _require_known(name):
    if name not in ("cifar10", "stand-in"):
        raise ValueError(f'The data set must be "cifar10" or "stand-in", not {name!r}.')
