"""Two operations of the fast network, whose gradients go the way that is fastest on this processor.

Which way that is stands in ``cifar_helpers.processor``; on a GPU, it is TensorFlow's own.
"""

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)

import tensorflow as tf

from cifar_helpers import processor

STRIDES = [1, 1, 1, 1]
EDGES = [[0, 0], [1, 1], [1, 1], [0, 0]]
CHUNK = 500  # images in one convolution of a kernel's gradient: more would not fit the processor's caches


def _way(step, maps):
    return processor.OWN if tf.config.list_logical_devices("GPU") else processor.way(step, maps.dtype.name)


# ---- Convolution ----


@tf.custom_gradient
def conv3x3(maps, kernel):
    """Convolve ``maps``, shape (n, height, width, c_in), with ``kernel``, shape (3, 3, c_in, c_out).

    kernel: of any float type; it is cast to that of the maps, and its gradient has its own type.
    Zeros are added at the edges.  Returns shape (n, height, width, c_out).
    """
    cast = tf.cast(kernel, maps.dtype)

    def gradient(upstream):
        to_maps = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(maps), filter=cast, out_backprop=upstream, strides=STRIDES, padding="SAME"
        )
        way = _way(f"kernel gradient, {maps.shape[1]}×{maps.shape[2]}", maps)
        return to_maps, tf.cast(KERNEL_GRADIENTS[way](maps, upstream), kernel.dtype)

    return tf.nn.conv2d(maps, cast, 1, "SAME"), gradient


def kernel_gradient(maps, upstream):
    """The gradient of ``conv3x3`` for its kernel, by TensorFlow's own operation."""
    shape = [3, 3, maps.shape[-1], upstream.shape[-1]]
    return tf.raw_ops.Conv2DBackpropFilter(
        input=maps, filter_sizes=shape, out_backprop=upstream, strides=STRIDES, padding="SAME"
    )


def kernel_gradient_by_products(maps, upstream):
    """The same as nine matrix products.

    A kernel's gradient at offset (i, j) is the sum, over images and positions, of the map moved by that offset
    times the gradient from above: a product of two matrices with a row for each image and position.
    """
    height, width, channels = maps.shape[1:]
    padded, above = tf.pad(maps, EDGES), tf.reshape(upstream, (-1, upstream.shape[-1]))
    moved = [tf.reshape(padded[:, i : i + height, j : j + width], (-1, channels)) for i in range(3) for j in range(3)]
    products = [tf.matmul(matrix, above, transpose_a=True) for matrix in moved]
    return tf.reshape(tf.stack(products), (3, 3, channels, upstream.shape[-1]))


def kernel_gradient_by_convolution(maps, upstream):
    """The same as a convolution of its own.

    With the axes renamed, channels as images and images as channels, the sum of ``kernel_gradient_by_products`` is
    a convolution of the map whose "kernel" is the gradient from above.
    """
    parts = []
    for first in range(0, maps.shape[0], CHUNK):
        channels_as_images = tf.transpose(maps[first : first + CHUNK], (3, 1, 2, 0))
        images_as_channels = tf.transpose(upstream[first : first + CHUNK], (1, 2, 0, 3))
        part = tf.nn.conv2d(channels_as_images, images_as_channels, 1, EDGES)
        parts.append(tf.cast(tf.transpose(part, (1, 2, 0, 3)), tf.float32))
    return tf.add_n(parts)


KERNEL_GRADIENTS = {
    processor.OWN: kernel_gradient,
    "nine products": kernel_gradient_by_products,
    "convolution": kernel_gradient_by_convolution,
}


# ---- Activation ----


def silu(maps):
    """``maps`` times their sigmoid, of any shape and float type."""
    return ACTIVATIONS[_way("activation gradient", maps)](maps)


@tf.custom_gradient
def compiled_silu(maps):
    """The same with a gradient that is compiled into a single pass over memory."""
    return tf.nn.silu(maps), lambda upstream: _silu_gradient(maps, upstream)


@tf.function(jit_compile=True)
def _silu_gradient(maps, upstream):
    x, above = tf.cast(maps, tf.float32), tf.cast(upstream, tf.float32)
    gate = tf.sigmoid(x)
    return tf.cast(above * gate * (1 + x * (1 - gate)), maps.dtype)


ACTIVATIONS = {processor.OWN: tf.nn.silu, "compiled": compiled_silu}
