"""The baseline network: the parameters of the starting point, and pixels in, probabilities out."""

import keras
import numpy as np
import pytest

from cifar_helpers.baseline.network import build_baseline


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build_baseline()


def test_it_has_the_starting_points_parameters(model):
    trainable = sum(int(np.prod(weights.shape)) for weights in model.trainable_weights)
    assert (model.count_params(), trainable) == (552_874, 551_722)


def test_it_scales_pixels_itself_and_gives_probabilities(model):
    pixels = np.full((4, 32, 32, 3), 255, np.uint8)
    np.testing.assert_allclose(keras.Model(model.inputs, model.get_layer("scale").output)(pixels), 1.0)
    probabilities = model(pixels).numpy()
    assert probabilities.shape == (4, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)


def test_the_same_seed_gives_the_same_weights(model):
    keras.utils.set_random_seed(0)
    assert all(map(np.array_equal, model.get_weights(), build_baseline().get_weights()))
