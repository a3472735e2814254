"""The fast network's operations: the same values and gradients as TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf

from cifar_helpers import processor
from cifar_helpers.fast import operations


def random(*shape, seed=0, dtype="float32"):
    return tf.cast(tf.random.stateless_normal(shape, (seed, 0)), dtype)


def gradients(function, *inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = function(*inputs)
    return [output, *tape.gradient(output, inputs, output_gradients=random(*output.shape, seed=9, dtype=output.dtype))]


def assert_close(ours, theirs, tolerance):
    for a, b in zip(ours, theirs, strict=True):
        a, b = tf.cast(a, "float32").numpy(), tf.cast(b, "float32").numpy()
        assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


@pytest.fixture(params=[*processor.KINDS, "other"])
def kind(request, monkeypatch):
    monkeypatch.setattr(processor, "kind", lambda: request.param)


@pytest.mark.parametrize("size", [3, 7, 15])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.1)])
def test_convolution_and_its_gradients_are_tensorflows_on_every_kind_of_processor(kind, size, dtype, tolerance):
    maps, kernel = random(6, size, size, 8, dtype=dtype), random(3, 3, 8, 4, seed=1)
    # In 32 bits: where a processor has no bfloat16, sums in it, TensorFlow's own too, are several per cent off.
    theirs = gradients(lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), tf.cast(maps, "float32"), kernel)
    assert_close(gradients(operations.conv3x3, maps, kernel), theirs, tolerance)


@pytest.mark.parametrize("way", operations.KERNEL_GRADIENTS)
def test_every_way_to_a_kernels_gradient_is_the_same_in_chunks_too(way, monkeypatch):
    maps, upstream = random(7, 5, 4, 3), random(7, 5, 4, 2, seed=1)
    monkeypatch.setattr(operations, "CHUNK", 3)
    found = operations.KERNEL_GRADIENTS[way](maps, upstream)
    assert_close([found], [operations.kernel_gradient(maps, upstream)], 1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.02)])
def test_silu_and_its_gradient_are_tensorflows_on_every_kind_of_processor(kind, dtype, tolerance):
    maps = random(100, 7, dtype=dtype)
    assert_close(gradients(operations.silu, maps), gradients(tf.nn.silu, maps), tolerance)
