"""A stand-in for CIFAR-10: ten classes of 32×32 colour drawings, made by code from a seed.

It lets every chapter run, and be tested, on a machine without the photographs. What a model scores on it says nothing
about CIFAR-10. The classes differ in shape or texture; colour only leans towards the class, brightness says nothing,
and a few labels are wrong, as in real data sets. So a linear model learns a little, a convolutional network much, and
no model all.
"""

import numpy as np

CLASSES = ("disc", "ring", "square", "cross", "triangle", "rows", "columns", "diagonals", "checks", "dots")

FULL_SIZES = (10_000, 2_000)  # training and test images, where no limit is set

BLOCK = 100  # images drawn at once
WRONG_LABELS = 0.06
HUE_SPREAD = 0.2  # standard deviation of the hue around its class's, as a share of the colour circle
GRAIN = 0.06  # standard deviation of the pixel noise


def load_stand_in(train=FULL_SIZES[0], test=FULL_SIZES[1], seed=0):
    """Draw a training and a test set.

    Returns `(x_train, y_train), (x_test, y_test)` in the shapes and types of `data.load_cifar10`: uint8 images
    (n, 32, 32, 3) with pixels 0-255, uint8 labels (n, 1) from 0 to 9. A smaller set is the beginning of a larger one.
    """
    return draw(train, [seed, 0]), draw(test, [seed, 1])


def draw(count, seed):
    """Draw `count` images, `seed` being an integer or a list of integers; the same seed gives the same bytes.

    Returns
    -------
    x : uint8 array (count, 32, 32, 3), pixels 0-255
    y : uint8 array (count, 1), labels 0-9, shuffled. Every hundred images hold ten drawings of each class, a few of
        which carry another's label.
    """
    blocks = [_draw_block(np.random.default_rng([*np.ravel(seed), block])) for block in range(-(-count // BLOCK))]
    x, y = (np.concatenate(parts)[:count] for parts in zip(*blocks))
    return x, y.reshape(-1, 1)


def _draw_block(rng):
    drawn = rng.permutation(np.arange(BLOCK) % len(CLASSES))
    coverage = _coverage(drawn, rng)[..., np.newaxis]
    inside, outside = _colours(drawn, rng)
    pixels = outside + coverage * (inside - outside) + rng.normal(0, GRAIN, (BLOCK, 32, 32, 3))
    wrong = rng.random(BLOCK) < WRONG_LABELS
    labels = (drawn + wrong * rng.integers(1, len(CLASSES), BLOCK)) % len(CLASSES)
    return np.clip(np.rint(255 * pixels), 0, 255).astype(np.uint8), labels.astype(np.uint8)


def _coverage(drawn, rng):
    """Return how much of each pixel the class's pattern covers, 0-1, of shape (BLOCK, 32, 32)."""

    def one_per_image(low, high):
        return rng.uniform(low, high, (BLOCK, 1, 1))

    # Pixel coordinates about a centre, turned a little, so that no two drawings of a class lie alike.
    rows, columns = np.mgrid[-15.5:16.5, -15.5:16.5]
    v, u = rows - one_per_image(-3, 3), columns - one_per_image(-3, 3)
    turn = one_per_image(-0.1, 0.1)
    u, v = u + turn * v, v - turn * u
    radius, period = one_per_image(7, 11), one_per_image(5, 8)
    side = np.where(one_per_image(-1, 1) < 0, -1, 1)  # diagonals lean either way: a mirrored drawing keeps its class

    distance = np.hypot(u, v)
    across, down = np.maximum(abs(u), abs(v)), np.minimum(abs(u), abs(v))
    wave_u, wave_v = _wave(u, period), _wave(v, period)
    # Each entry is the distance in pixels from the pattern's edge, negative inside.
    edges = (
        distance - radius,
        abs(distance - radius) - 2,
        across - 0.9 * radius,
        np.maximum(across - 1.2 * radius, down - 2),
        np.maximum(0.87 * abs(u) - 0.5 * v, v) - 0.6 * radius,
        wave_v,
        wave_u,
        _wave((u + side * v) * 0.7, period),
        np.maximum(np.minimum(wave_u, wave_v), -np.maximum(wave_u, wave_v)),
        np.hypot(wave_u + period / 4, wave_v + period / 4) - period / 3,
    )
    chosen = np.stack(edges)[drawn, np.arange(BLOCK)]
    return np.clip(0.5 - chosen, 0, 1)


def _wave(x, period):
    """Return the distance from the nearest stripe's edge, for stripes that are half a period wide; negative inside."""
    return abs((x + period / 2) % period - period / 2) - period / 4


def _colours(drawn, rng):
    """Return the colour of the pattern and that of its ground, each of shape (BLOCK, 1, 1, 3), values 0-1."""
    hue = np.stack([drawn / len(CLASSES) + rng.normal(0, HUE_SPREAD, BLOCK), rng.random(BLOCK)])
    # One of the two is light and the other dark, by the toss of a coin.
    light, dark = rng.uniform(0.75, 1.0, BLOCK), rng.uniform(0.0, 0.3, BLOCK)
    tossed = rng.random(BLOCK) < 0.5
    brightness = np.stack([np.where(tossed, light, dark), np.where(tossed, dark, light)])
    # Hue to red, green and blue: each is full over a third of the colour circle and fades over the next sixth.
    pure = np.clip(abs((6 * hue[..., np.newaxis] + (0, 4, 2)) % 6 - 3) - 1, 0, 1)
    colours = brightness[..., np.newaxis] * (0.5 + 0.5 * pure)
    return colours[:, :, np.newaxis, np.newaxis]
