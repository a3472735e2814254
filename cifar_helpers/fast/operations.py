"""Two operations of the fast network, each with a gradient that is quicker than TensorFlow's own."""

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)

import tensorflow as tf

STRIDES = [1, 1, 1, 1]
SMALL = 8  # up to this height, a map's filter gradient is computed as a convolution
CHUNK = 500  # images in one such convolution: more would not fit the processor's caches


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
        on_processor = not tf.config.list_logical_devices("GPU")
        if on_processor and maps.dtype == tf.bfloat16 and maps.shape[1] <= SMALL:
            to_kernel = kernel_gradient(maps, upstream)
        else:
            to_kernel = tf.raw_ops.Conv2DBackpropFilter(
                input=maps, filter_sizes=kernel.shape, out_backprop=upstream, strides=STRIDES, padding="SAME"
            )
        return to_maps, tf.cast(to_kernel, kernel.dtype)

    return tf.nn.conv2d(maps, cast, 1, "SAME"), gradient


def kernel_gradient(maps, upstream):
    """The gradient of ``conv3x3`` for its kernel, computed as a convolution of its own.

    A kernel's gradient at offset (i, j) is the sum over images and positions of the shifted map
    times the gradient from above.  With the axes renamed (channels as images, images as
    channels) that is a convolution whose "kernel" is the gradient from above, which the
    library computes faster than its own filter gradient where maps are small.
    """
    parts = []
    for first in range(0, maps.shape[0], CHUNK):
        channels_as_images = tf.transpose(maps[first : first + CHUNK], (3, 1, 2, 0))
        images_as_channels = tf.transpose(upstream[first : first + CHUNK], (1, 2, 0, 3))
        edges = [[0, 0], [1, 1], [1, 1], [0, 0]]
        part = tf.nn.conv2d(channels_as_images, images_as_channels, 1, edges)
        parts.append(tf.cast(tf.transpose(part, (1, 2, 0, 3)), tf.float32))
    return tf.add_n(parts)


@tf.custom_gradient
def silu(maps):
    """``maps`` times their sigmoid; the gradient is compiled into a single pass over memory."""
    return tf.nn.silu(maps), lambda upstream: _silu_gradient(maps, upstream)


@tf.function(jit_compile=True)
def _silu_gradient(maps, upstream):
    x, above = tf.cast(maps, tf.float32), tf.cast(upstream, tf.float32)
    gate = tf.sigmoid(x)
    return tf.cast(above * gate * (1 + x * (1 - gate)), maps.dtype)
