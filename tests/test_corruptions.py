"""Spoiled images: each way does what its name says, and more of it with every step."""

import numpy as np
import pytest

from cifar_helpers.corruptions import WAYS, corrupt, turn

SQUARE = np.full((2, 32, 32, 3), 40, np.uint8)
SQUARE[:, 4:20, 8:24] = 200


@pytest.mark.parametrize("way", WAYS)
def test_step_0_changes_nothing_and_later_steps_change_more(way):
    assert (corrupt(SQUARE, way, 0) == SQUARE).all()
    distances = [np.abs(corrupt(SQUARE, way, step).astype(float) - SQUARE).mean() for step in range(6)]
    assert 0 < distances[1] < distances[5] and corrupt(SQUARE, way, 5).dtype == np.uint8


def test_noise_depends_on_the_seed_alone():
    assert (corrupt(SQUARE, "noise (deviation)", 3) == corrupt(SQUARE, "noise (deviation)", 3)).all()
    assert (corrupt(SQUARE, "noise (deviation)", 3) != corrupt(SQUARE, "noise (deviation)", 3, seed=1)).any()


@pytest.mark.parametrize("way, step, value", [("brightness (added)", 1, 65), ("contrast (% left)", 2, 84)])
def test_brightness_and_contrast_move_values_as_said(way, step, value):
    assert (corrupt(SQUARE, way, step)[0, 0, 0] == value).all()


def test_blur_keeps_the_mean_and_lowers_the_contrast():
    blurred = corrupt(SQUARE, "blur (deviation, pixels)", 5)
    assert blurred.mean() == pytest.approx(SQUARE.mean(), abs=1) and blurred.std() < SQUARE.std()


def test_a_quarter_turn_is_a_quarter_turn():
    np.testing.assert_allclose(turn(SQUARE, 90), np.rot90(SQUARE, axes=(1, 2)), atol=1e-3)
