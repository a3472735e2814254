"""Faster layers compute what Keras's own compute, keep the same averages and have the same weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cifar_helpers.baseline.layers import FusedBatchNormalization, with_fast_layers
from cifar_helpers.baseline.network import build_baseline

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(6, 4, 4, 5), (6, 5)])
@pytest.mark.parametrize("training", [True, False])
def test_fused_batch_normalization_equals_kerass(shape, training):
    inputs = tf.constant(RNG.normal(3, 2, shape), "float32")
    found = []
    for kind in keras.layers.BatchNormalization, FusedBatchNormalization:
        layer = kind()
        layer.build(shape)
        layer.set_weights(1 + np.linspace(0.1, 1, 20).reshape(4, 5))
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=training)
            total = tf.reduce_sum(outputs**3)
        gradients = tape.gradient(total, [inputs, layer.gamma.value, layer.beta.value])
        found.append([outputs, *gradients, *layer.get_weights()])
    for usual, fused in zip(*found, strict=True):
        np.testing.assert_allclose(usual, fused, rtol=2e-3, atol=2e-3)


def test_its_averages_are_kept_in_float32():
    layer = FusedBatchNormalization()
    outputs = layer(tf.ones((2, 3, 3, 4), "bfloat16"), training=True)
    assert (outputs.dtype, {variable.dtype for variable in layer.variables}) == (tf.bfloat16, {"float32"})


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.03)])
def test_a_model_with_fast_layers_gives_the_same_answers_saved_or_not(tmp_path, dtype, tolerance):
    keras.utils.set_random_seed(0)
    usual = build_baseline()
    faster = with_fast_layers(usual, dtype)
    for a, b in zip(usual.weights, faster.weights, strict=True):
        assert (a.path, "float32") == (b.path, b.dtype)
        np.testing.assert_array_equal(a, b)
    images = RNG.integers(0, 256, (8, 32, 32, 3), np.uint8)
    answers = faster(images)
    np.testing.assert_allclose(usual(images), answers, atol=tolerance)
    computes = {layer.compute_dtype for layer in faster.layers if "conv" in layer.name}
    assert (computes, answers.dtype) == ({dtype}, tf.float32)
    faster.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(images), answers)
