"""The fast network: standard layers, whitened patches, identity convolutions, six views."""

import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from cifar_helpers.fast import network as fast_network
from cifar_helpers.stand_in import load_stand_in
from cifar_helpers.tensorflow_tutorial import build_tensorflow_tutorial

WIDTHS = (8, 16, 16)


@pytest.fixture(scope="module")
def images():
    return load_stand_in(200, 10)[0][0]


def with_first_weights(images, seed=0, **tricks):
    model = fast_network.build_fast_network(WIDTHS)
    fast_network.set_first_weights(model, images, seed=seed, **tricks)
    return model


@pytest.fixture(scope="module")
def model(images):
    return with_first_weights(images)


def test_it_has_airbenchs_parameters():
    model = fast_network.build_fast_network()
    kernels = 2 * 2 * 3 * 24 + 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256) + 256 * 10
    biases, normalisation = 24, 4 * (2 * 64 + 4 * 256)
    assert (model.count_params(), model.output_shape) == (kernels + biases + normalisation, (None, 10))


def test_it_reloads_without_our_code(model, images, tmp_path):
    model.save(tmp_path / "fast.keras")
    reloaded = keras.models.load_model(tmp_path / "fast.keras")
    assert all(type(layer).__module__.startswith("keras.") for layer in reloaded.layers)
    np.testing.assert_array_equal(reloaded(images[:5]), model(images[:5]))


def test_whitened_patches_are_uncorrelated(images):
    filters = fast_network.whitening_filters(images).reshape(12, 24)
    pixels = (images - fast_network.MEAN) / fast_network.STD
    patches = sliding_window_view(pixels, (2, 2), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3).reshape(-1, 12)
    responses = patches @ filters[:, :12]
    covariance = responses.T @ responses / len(responses)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-3 and np.diag(covariance).max() < 1.001
    np.testing.assert_array_equal(filters[:, 12:], -filters[:, :12])


def test_convolutions_pass_their_maps_on_unchanged(model):
    kernel = model.get_layer("group1_conv2").kernel.numpy()  # 8 maps in, 8 maps out
    expected = np.zeros_like(kernel)
    expected[1, 1] = np.eye(8)
    np.testing.assert_array_equal(kernel, expected)


def test_without_the_tricks_first_weights_are_random(images):
    model = with_first_weights(images, whiten=False, identity=False)
    for name in ("whiten", "group1_conv2"):
        kernel = model.get_layer(name).kernel.numpy()
        assert len(np.unique(kernel)) > 0.9 * kernel.size
        assert np.abs(kernel).max() <= 1 / np.sqrt(np.prod(kernel.shape[:-1]))


def test_the_seed_decides_the_first_weights(model, images):
    again, other = with_first_weights(images), with_first_weights(images, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))
    assert not np.array_equal(model.get_layer("head").get_weights(), other.get_layer("head").get_weights())


def test_six_views_are_the_image_its_neighbours_and_their_mirror_images(images):
    views = fast_network.six_views(images[:3])
    assert sum(weight for weight, _ in views) == 1
    np.testing.assert_array_equal(views[0][1], images[:3])
    np.testing.assert_array_equal(views[2][1][:, 1:, 1:], images[:3, :-1, :-1])
    np.testing.assert_array_equal(views[4][1][:, :-1, :-1], images[:3, 1:, 1:])
    for (_, view), (_, mirrored) in zip(views[::2], views[1::2], strict=True):
        np.testing.assert_array_equal(view[:, :, ::-1], mirrored)


def test_tensorflows_tutorial_has_its_published_size():
    model = build_tensorflow_tutorial()
    assert model.count_params() == 122_570
    assert model(np.zeros((2, 32, 32, 3), np.uint8)).shape == (2, 10)
