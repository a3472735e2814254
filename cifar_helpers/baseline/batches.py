"""The baseline's augmentation, introduced with a picture in chapter 4, and the batches it makes."""

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)

import keras
import tensorflow as tf

SHIFT = 0.1  # largest shift, as a fraction of the image's width and height


def augment(images, seed, whole_pixels=False):
    """Return a batch of images, each shifted and mirrored by its own random draw.

    images: shape (n, height, width, channels), values 0 to 255.  seed: two integers; the same
    seed gives the same result.  Every image moves by up to ``SHIFT`` of its size in either
    direction, edge pixels are repeated, and half of the images, on average, are mirrored left to
    right.  whole_pixels: move by whole pixels; otherwise by fractions too, with bilinear
    interpolation, which blurs a little.  Returns float32, same shape.

    With fractions it is the augmentation of Keras's former ``ImageDataGenerator(width_shift_range=0.1,
    height_shift_range=0.1, horizontal_flip=True)``, for a whole batch in one operation.
    """
    images = tf.cast(images, tf.float32)
    count, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    draws = tf.random.stateless_uniform((count, 3), seed, -1.0, 1.0)
    mirrored = tf.cast(draws[:, 0] < 0, tf.float32)
    # Output pixel (x, y) is taken from input pixel (a·x + c, y + f).
    a = 1 - 2 * mirrored
    right, down = draws[:, 1] * SHIFT * width, draws[:, 2] * SHIFT * height
    if whole_pixels:
        right, down = tf.round(right), tf.round(down)
    c, f = mirrored * (width - 1) + right, down
    zero, one = tf.zeros_like(a), tf.ones_like(a)
    transforms = tf.stack([a, zero, c, zero, one, f, zero, zero], axis=1)
    return keras.ops.image.affine_transform(images, transforms, interpolation="bilinear", fill_mode="nearest")


def training_batches(images, labels, epochs, batch_size, seed, augmented=True, whole_pixels=False, first_epoch=0):
    """Return a ``tf.data.Dataset`` with the batches of all epochs, one epoch after the other.

    images: shape (n, 32, 32, 3), uint8.  labels: shape (n, 1).  Each epoch visits every image
    once, in an order and with an augmentation that depend on ``seed`` and the epoch's number
    alone: a training that starts again at ``first_epoch`` sees exactly what it would have seen.
    Use it with ``steps_per_epoch=ceil(n / batch_size)``; the last batch of an epoch is smaller.
    """
    images, labels = tf.constant(images), tf.constant(labels)

    def one_epoch(epoch):
        epoch_seed = tf.random.experimental.stateless_fold_in((seed, 0), epoch)
        order = tf.random.experimental.stateless_shuffle(tf.range(len(images)), epoch_seed)

        def one_batch(step, chosen):
            batch = tf.gather(images, chosen)
            if augmented:
                step_seed = tf.random.experimental.stateless_fold_in(epoch_seed, step)
                batch = augment(batch, step_seed, whole_pixels)
            return tf.cast(batch, tf.float32), tf.gather(labels, chosen)

        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size).enumerate().map(one_batch)

    return tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch).prefetch(2)
