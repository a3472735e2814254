"""Augmentation and batches: values, not only shapes."""

import numpy as np
import pytest

from cifar_helpers.baseline import batches as augmentation

IMAGES = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(64, dtype=np.uint8)[:, None]


def batches(**changes):
    settings = {"epochs": 2, "batch_size": 24, "seed": 5, **changes}
    made = augmentation.training_batches(IMAGES, LABELS, **settings)
    return [(images.numpy(), labels.numpy()) for images, labels in made]


def test_without_shift_an_image_is_itself_or_its_mirror(monkeypatch):
    monkeypatch.setattr(augmentation, "SHIFT", 0.0)
    out = augmentation.augment(IMAGES, (1, 2)).numpy()
    kept = np.array([np.array_equal(a, b) for a, b in zip(out, IMAGES, strict=True)])
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(out, IMAGES, strict=True)])
    assert (kept ^ mirrored).all()
    assert 16 < mirrored.sum() < 48


def test_shifts_stay_within_a_tenth_and_differ_between_images():
    ramp = np.broadcast_to(np.arange(32.0)[None, None, :, None] * 4, (200, 32, 32, 3))
    middle = augmentation.augment(ramp, (3, 4)).numpy()[:, 16, 16, 0] / 4
    offset = np.minimum(abs(middle - 16), abs(middle - 15))
    assert offset.max() <= 3.2 + 1e-4
    assert offset.std() > 0.5


def test_whole_pixels_are_moved_but_not_blurred():
    ramp = np.broadcast_to(np.arange(32.0)[None, None, :, None], (200, 32, 32, 3))
    middle = augmentation.augment(ramp, (3, 4), whole_pixels=True).numpy()[:, 16, 16, 0]
    assert set(middle) <= set(range(12, 20))
    assert len(set(middle)) > 5


def test_edge_pixels_are_repeated():
    assert (augmentation.augment(np.full((20, 32, 32, 3), 77), (0, 1)).numpy() == 77).all()


def test_the_same_seed_gives_the_same_images():
    first, again = (augmentation.augment(IMAGES, (1, 2)).numpy() for _ in range(2))
    other = augmentation.augment(IMAGES, (1, 3)).numpy()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_epoch_visits_every_image_once_in_another_order():
    labels = [labels[:, 0] for _, labels in batches()]
    assert [len(batch) for batch in labels] == [24, 24, 16, 24, 24, 16]
    first, second = np.concatenate(labels[:3]), np.concatenate(labels[3:])
    assert sorted(first) == sorted(second) == list(range(64))
    assert list(first) != list(second)


def test_labels_stay_with_their_images():
    for images, labels in batches(augmented=False):
        assert np.array_equal(images, IMAGES[labels[:, 0]])


def test_starting_at_a_later_epoch_gives_that_epochs_batches():
    whole, rest = batches()[3:], batches(first_epoch=1)
    for (a, la), (b, lb) in zip(whole, rest, strict=True):
        assert np.array_equal(a, b) and np.array_equal(la, lb)


@pytest.mark.parametrize("seed", [0, 1])
def test_seeds_decide_the_order(seed):
    same = np.array_equal(batches(seed=seed)[0][1], batches(seed=0)[0][1])
    assert same == (seed == 0)
