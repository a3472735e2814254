"""The drawings: reproducible, balanced, and neither trivial nor too hard for the models of the chapters."""

import dataclasses
import hashlib

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from cifar_helpers import data, stand_in
from cifar_helpers.fast.recipe import FAST84
from cifar_helpers.fast.training import fast_logits, train
from cifar_helpers.scoring import top1


@pytest.fixture(scope="module")
def images():
    return data.load_images("stand-in", limit=1000)


def test_shapes_and_types_are_those_of_cifar10(images):
    arrays = [array for pair in images for array in pair]
    assert [array.shape for array in arrays] == [(1000, 32, 32, 3), (1000, 1), (200, 32, 32, 3), (200, 1)]
    assert {array.dtype for array in arrays} == {np.dtype(np.uint8)}
    assert len(set(stand_in.CLASSES)) == 10 and data.class_names("stand-in") == stand_in.CLASSES


def test_full_size_is_drawn_without_a_limit(monkeypatch):
    monkeypatch.setattr(stand_in, "FULL_SIZES", (300, 200))
    assert [len(x) for x, _ in data.load_images("stand-in")] == [300, 200]


def test_drawings_are_the_same_on_every_machine_and_a_small_set_begins_a_large_one():
    x, y = stand_in.draw(200, seed=0)
    found = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    assert found == "c10c492caabf3b7a238b5d22fd4d684381fae3b784de70878cba024f2c494924"
    assert all(map(np.array_equal, stand_in.draw(130, seed=0), (x[:130], y[:130])))
    assert not np.array_equal(stand_in.draw(10, seed=1)[0], x[:10])


def test_images_use_the_range_of_pixels_and_no_test_image_is_a_training_image(images):
    (x_train, _), (x_test, _) = images
    assert not {image.tobytes() for image in x_train} & {image.tobytes() for image in x_test}
    assert (x_train.min(), x_train.max()) == (0, 255) and 30 < x_train.std() < 100


def test_classes_are_shuffled_and_balanced_but_for_wrong_labels_which_keep_models_below_97_percent(images, monkeypatch):
    (_, y_train), _ = images
    assert (np.diff(y_train[:100, 0].astype(int)) < 0).sum() > 20
    counts = np.bincount(y_train.ravel(), minlength=10)
    assert counts.min() > 85 and counts.max() < 115
    _, labels = stand_in.draw(1000, seed=[0, 1])
    monkeypatch.setattr(stand_in, "WRONG_LABELS", 0)
    _, drawn = stand_in.draw(1000, seed=[0, 1])
    assert (np.bincount(drawn[100:200, 0]) == 10).all()
    assert 0.92 < (labels == drawn).mean() < 0.97


def test_a_network_learns_what_a_linear_model_cannot_and_never_all(images):
    # Ridge regression is as linear as logistic regression, and solved in one step instead of hundreds.
    (x_train, y_train), (x_test, y_test) = images
    flat = [x.reshape(len(x), -1).astype(np.float32) / 255 for x in (x_train, x_test)]
    linear = RidgeClassifier(alpha=1000).fit(flat[0], y_train.ravel()).score(flat[1], y_test.ravel())
    recipe = dataclasses.replace(FAST84, widths=(16, 32, 64), batch_size=50)
    model = train(recipe, x_train, y_train, 0, "float32").model
    network = top1(y_test, fast_logits(model, x_test, "float32")[0])
    assert 0.15 < linear < 0.6 and linear + 0.15 <= network <= 0.97
