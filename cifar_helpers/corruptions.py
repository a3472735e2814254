"""Six ways to spoil images, in five steps each.

After the idea of Hendrycks and Dietterich, *Benchmarking Neural Network Robustness to Common Corruptions*,
2019 (arXiv:1903.12261); kinds and levels are this tutorial's own.
"""

import io

import numpy as np
from PIL import Image
from scipy import ndimage


def corrupt(images, way, step, seed=0):
    """Return ``images``, shape (n, height, width, 3), spoiled in one of WAYS, as uint8 from 0 to 255.

    step: from 1 to 5; 0 leaves them as they are.  seed: of the noise.
    """
    levels, change = WAYS[way]
    changed = change(images.astype(np.float32), levels[step - 1], seed) if step else images
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def turn(images, degrees, seed=0):
    """Return ``images`` turned about their centres, float32; what comes in at the edges is a reflection."""
    images = images.astype(np.float32)
    return ndimage.rotate(images, degrees, axes=(2, 1), reshape=False, order=1, mode="reflect")


def _noise(images, deviation, seed):
    return images + deviation * np.random.default_rng(seed).normal(size=images.shape)


def _blur(images, deviation, seed):
    return ndimage.gaussian_filter(images, (0, deviation, deviation, 0))


def _contrast(images, percent, seed):
    return 128 + percent / 100 * (images - 128)


def _brightness(images, added, seed):
    return images + added


def _jpeg(images, quality, seed):
    return np.stack([_through_jpeg(image, quality) for image in images.astype(np.uint8)])


def _through_jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


# {what is changed: (the level of each step, the function that does it)}
WAYS = {
    "noise (deviation)": ((8, 16, 24, 32, 48), _noise),
    "blur (deviation, pixels)": ((0.5, 0.8, 1.1, 1.5, 2), _blur),
    "contrast (% left)": ((75, 50, 35, 20, 10), _contrast),
    "brightness (added)": ((25, 50, 75, 100, 125), _brightness),
    "JPEG (quality)": ((60, 40, 20, 10, 5), _jpeg),
    "rotation (degrees)": ((10, 20, 30, 45, 60), turn),
}
