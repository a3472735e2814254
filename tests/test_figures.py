"""Figures: drawn where asked, with the pixels they were given."""

import base64
import io

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.core.pylabtools import print_figure
from PIL import Image

from cifar_helpers import figures
from cifar_helpers.baseline.network import build_baseline


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_images_stand_row_by_row_with_their_titles():
    images = np.arange(3)[:, None, None, None] * np.ones((3, 32, 32, 3), np.uint8)
    ax = figures.show_images(images, titles=pd.Index(["a", "b", "c"]), columns=2)
    assert [(text.get_text(), drawn.get_array().max()) for text, drawn in zip(ax.texts, ax.images, strict=True)] == [
        ("a", 0), ("b", 1), ("c", 2),
    ]  # fmt: skip
    left, top = zip(*((drawn.get_extent()[0], drawn.get_extent()[3]) for drawn in ax.images))
    assert left[0] == left[2] < left[1] and top[0] == top[1] < top[2]
    one, two = (figures.show_images(images, [title] * 3, columns=1) for title in ("a", "a\nb"))
    assert two.get_ylim()[0] > one.get_ylim()[0]  # two lines get more room
    assert not figures.show_images(images[:0]).images


def test_float_images_are_rounded_and_clipped():
    ax = figures.show_images(np.array([[[[-3.0, 99.6, 300.0]]]]))
    assert ax.images[0].get_array()[0, 0].tolist() == [0, 100, 255]


def test_curves_count_epochs_from_one_and_use_the_axes_given():
    ax = figures.plot_curve([1, 2])
    assert figures.plot_curve([5, 6, 7], "loss", ax=ax) is ax
    assert ax.lines[1].get_xydata().tolist() == [[1, 5], [2, 6], [3, 7]] and ax.lines[1].get_label() == "loss"
    assert figures.plot_curve([1, 2]).figure is not ax.figure


def test_every_class_has_a_colour_and_a_marker_of_its_own():
    points, labels = np.arange(20.0).reshape(10, 2), np.arange(10)[::-1]
    drawn = figures.scatter_classes(points, labels, list("abcdefghij")).collections
    assert [(group.get_label(), *group.get_offsets().tolist()) for group in drawn] == [
        *zip("abcdefghij", points[::-1].tolist())
    ]
    looks = [(group.get_facecolor().tobytes(), group.get_paths()[0].vertices.tobytes()) for group in drawn]
    assert [len(set(look)) for look in zip(*looks)] == [10, 10]


def test_maps_share_one_scale_and_small_ones_show_their_numbers():
    photo, small, large = np.full((2, 2, 3), 300), np.array([[-4, 0.25]]), np.ones((6, 6))
    axes = figures.show_maps([photo, small, large], "abc", columns=2)
    assert [ax.get_title() for ax in axes] == list("abc") and axes[0].images[0].get_array().dtype == np.uint8
    assert axes[1].images[0].get_clim() == axes[2].images[0].get_clim() and axes[1].images[0].get_clim()[1] <= 4
    assert [[(text.get_text(), text.get_color()) for text in ax.texts] for ax in axes] == [
        [], [("−4", "white"), ("0.25", "black")], [],
    ]  # fmt: skip
    assert len(axes[0].figure.axes) == 5  # a grid of four, and the colour bar
    assert len(figures.show_maps([small], ["a"], columns=1)[0].figure.axes) == 1  # numbers need none


def test_a_network_is_drawn_box_by_box_from_its_layers():
    network = build_baseline()
    ax = figures.draw_network(network)
    boxes, texts = ax.patches, [text.get_text() for text in ax.texts]
    drawn = [layer for layer in network.layers if layer.name not in ("scale", "flatten")]
    assert len(boxes) == len(drawn) and [box.get_x() for box in boxes] == sorted(box.get_x() for box in boxes)
    assert texts[:4] == ["32×32\n×32", "block1\nconv1", "32×32\n×32", "block1\nconv2"]
    assert texts[-4:] == ["128", "dense", "10", "probabilities"]
    heights = {layer.name: box.get_height() for layer, box in zip(drawn, boxes)}
    assert heights["block1_conv1"] == 2 * heights["block1_pool"] == 4 * heights["block3_conv2"]
    looks = {(box.get_facecolor(), box.get_hatch()) for box in boxes}
    assert len(looks) == 5 == len(ax.get_legend().get_texts())


def test_a_page_gets_a_small_picture_with_twice_the_pixels_of_its_size_and_the_colours_of_photos():
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    figure = figures.show_images(images, columns=2, size=2).figure
    coded, size = figures._sharp_and_small(figure)
    picture = Image.open(io.BytesIO(base64.b64decode(coded)))
    assert (picture.width // 2, picture.height // 2) == (size["width"], size["height"])
    drawn = np.asarray(Image.open(io.BytesIO(print_figure(figure, fmt="retina"))).convert("RGB"), int)
    assert np.abs(np.asarray(picture.convert("RGB"), int) - drawn).max() <= 4
    curve = base64.b64decode(figures._sharp_and_small(figures.plot_curve([1, 3, 2]).figure)[0])
    assert Image.open(io.BytesIO(curve)).mode == "P"
    assert figures._sharp_and_small(plt.figure()) is None
