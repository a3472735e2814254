"""What a network costs, counted."""

from cifar_helpers import cost
from cifar_helpers.baseline.network import build_baseline
from cifar_helpers.fast.network import build_fast_network


def test_multiply_adds_are_counted_layer_by_layer():
    counted = cost.multiply_adds(build_fast_network((64, 256, 256)))
    assert counted["whiten"] == 31 * 31 * 2 * 2 * 3 * 24
    assert counted["group2_conv1"] == 15 * 15 * 3 * 3 * 64 * 256
    assert counted["head"] == 256 * 10
    assert sum(counted.values()) == 118_147_360


def test_the_baselines_are_those_of_chapter_2():
    assert round(sum(cost.multiply_adds(build_baseline()).values()) / 1e6, 1) == 38.9


def test_a_peak_is_a_plausible_speed():
    assert 1e8 < cost.peak("float32", size=256, repeats=2) < 1e15
