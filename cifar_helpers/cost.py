"""What a network costs: multiply-adds per image, and how many a processor manages in a second."""

import time

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)

import tensorflow as tf
from keras import layers


def multiply_adds(model, size=32):
    """Return the multiply-adds of one image's way through ``model``: {layer: number}.

    Convolutions and dense layers are counted, all others cost next to nothing.  size: height and
    width of the image in pixels.  A training step costs three times as much per image: the
    way forward, the gradients of the maps and those of the weights.
    """
    shape, counted = (1, size, size, 3), {}
    for layer in model.layers:
        shape = layer.compute_output_shape(shape)
        if isinstance(layer, layers.Conv2D):
            counted[layer.name] = shape[1] * shape[2] * layer.kernel.shape.num_elements()
        elif isinstance(layer, layers.Dense):
            counted[layer.name] = layer.kernel.shape.num_elements()
    return counted


def peak(dtype, size=2048, repeats=20):
    """Return the floating-point operations per second of the best of several matrix products."""
    matrix = tf.cast(tf.random.stateless_normal((size, size), (0, 0)), dtype)
    product = tf.function(lambda a, b: tf.matmul(a, b))
    best = float("inf")
    for _ in range(repeats + 1):  # the first one also builds the graph
        started = time.perf_counter()
        product(matrix, matrix)[0, 0].numpy()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best
