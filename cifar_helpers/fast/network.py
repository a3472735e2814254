"""The fast network of chapter 6: its layers, its first weights and its test-time augmentation.

Design and numbers follow airbench94 by Keller Jordan (*94% on CIFAR-10 in 3.29 Seconds on a Single
GPU*, 2024, arXiv:2404.00498), written anew for Keras; the last layer's first weights and the scale of the logits follow
its variant with Muon (airbench94_muon.py in github.com/KellerJordan/cifar10-airbench).
"""

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)

import keras
import numpy as np
from keras import layers
from numpy.lib.stride_tricks import sliding_window_view

MEAN = np.array([0.4914, 0.4822, 0.4465]) * 255  # of each colour in CIFAR-10's training images
STD = np.array([0.2470, 0.2435, 0.2616]) * 255
# x · sigmoid(1.702 x) is GELU to within 0.02 (Hendrycks and Gimpel, 2016, arXiv:1606.08415).  It is
# SiLU of 1.702 x, but for a factor that the next batch normalisation takes out again.
SLOPE = 1.702


def build_fast_network(widths=(64, 256, 256)):
    """Return the untrained fast network: a ``keras.Model`` of standard layers.

    It takes images of shape (n, 32, 32, 3), any numeric dtype, with values from 0 to 255, and
    returns logits of shape (n, 10), float32.  widths: the number of filters in each of the three
    groups of two convolutions.
    """
    model = keras.Sequential(name="fast")
    model.add(keras.Input((32, 32, 3), name="pixels"))
    scale, offset = [*map(float, 1 / STD)], [*map(float, -MEAN / STD)]
    model.add(layers.Rescaling(scale, offset, name="normalise"))
    model.add(layers.Conv2D(24, 2, name="whiten"))
    model.add(layers.Activation("silu", name="whiten_silu"))
    for group, width in enumerate(widths, start=1):
        for number in (1, 2):
            name = f"group{group}_{{}}{number}".format
            model.add(layers.Conv2D(width, 3, padding="same", use_bias=False, name=name("conv")))
            if number == 1:
                model.add(layers.MaxPooling2D(2, name=f"group{group}_pool"))
            slope = keras.initializers.Constant(SLOPE)
            model.add(layers.BatchNormalization(momentum=0.6, epsilon=1e-6, gamma_initializer=slope, name=name("norm")))
            model.add(layers.Activation("silu", name=name("silu")))
    model.add(layers.GlobalMaxPooling2D(name="pool"))
    model.add(layers.Dense(10, use_bias=False, name="head"))
    model.add(layers.Rescaling(1 / (256 * SLOPE), name="logits"))
    return model


def set_first_weights(model, images, seed, whiten=True, identity=True):
    """Give ``model``, a fast network, the weights that a training starts from.

    images: the training images, shape (n, 32, 32, 3), uint8; the whitening filters come from the
    first 5,000.  seed: of all random weights.  whiten and identity: without them, the layers
    concerned start from random weights, as PyTorch would draw them.
    """
    rng = np.random.default_rng((seed, 0))
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            kernel = _uniform(rng, layer.kernel.shape)
            if layer.name == "whiten" and whiten:
                kernel = SLOPE * whitening_filters(images[:5000])
            elif layer.name != "whiten" and identity:
                shared = np.arange(min(kernel.shape[2:]))
                kernel[..., shared] = 0
                kernel[1, 1, shared, shared] = 1
            layer.kernel.assign(kernel)
    head = _uniform(rng, model.get_layer("head").kernel.shape)
    model.get_layer("head").kernel.assign(head / head.std())


def _uniform(rng, shape):
    bound = 1 / np.sqrt(np.prod(shape[:-1]))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def whitening_filters(images):
    """Return 24 filters, shape (2, 2, 3, 24), float32, whose responses are uncorrelated.

    images: shape (n, height, width, 3), values 0 to 255.  The filters are the eigenvectors of the
    covariance of all 2×2 patches, divided by the root of their eigenvalues, largest first, and
    then their negatives, because an activation keeps little of a negative response.
    """
    pixels = (images.astype(np.float32) - MEAN.astype(np.float32)) / STD.astype(np.float32)
    patches = sliding_window_view(pixels, (2, 2), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    patches = patches.reshape(-1, 12)
    variances, directions = np.linalg.eigh(patches.T @ patches / len(patches))
    filters = directions[:, ::-1] / np.sqrt(variances[::-1] + 5e-4)
    filters = filters.reshape(2, 2, 3, 12)
    return np.concatenate([filters, -filters], axis=-1).astype(np.float32)


def six_views(images):
    """Return the views that test-time augmentation averages over: a list of (weight, images).

    images: shape (n, height, width, 3).  The image and its mirror image count one quarter each;
    the image moved by one pixel along the diagonal, up and down, and the mirror images of these,
    one eighth each.  Edge pixels are reflected.
    """
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    up, down = padded[:, :height, :width], padded[:, 2:, 2:]
    return [
        (weight, view)
        for weight, moved in [(1 / 4, images), (1 / 8, up), (1 / 8, down)]
        for view in (moved, moved[:, :, ::-1])
    ]
