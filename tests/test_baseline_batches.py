"""Augmentation and batches: values, not only shapes."""

import numpy as np

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
    kept, mirrored = (out == IMAGES).all(axis=(1, 2, 3)), (out == IMAGES[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ mirrored).all() and 16 < mirrored.sum() < 48


def test_shifts_stay_within_a_tenth_differ_between_images_and_repeat_the_edge():
    ramp = np.broadcast_to(np.arange(32.0)[None, None, :, None] * 4, (200, 32, 32, 3))
    middle = augmentation.augment(ramp, (3, 4)).numpy()[:, 16, 16, 0] / 4
    offset = np.minimum(abs(middle - 16), abs(middle - 15))
    assert offset.max() <= 3.2 + 1e-4 and offset.std() > 0.5
    whole = augmentation.augment(ramp / 4, (3, 4), whole_pixels=True).numpy()[:, 16, 16, 0]
    assert set(whole) <= set(range(12, 20)) and len(set(whole)) > 5  # moved, not blurred
    assert (augmentation.augment(np.full((20, 32, 32, 3), 77), (0, 1)).numpy() == 77).all()


def test_the_seed_alone_decides():
    augmented = [augmentation.augment(IMAGES, seed).numpy() for seed in [(1, 2), (1, 2), (1, 3)]]
    orders = [batches(seed=seed)[0][1] for seed in (0, 0, 1)]
    for first, again, other in (augmented, orders):
        assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_every_epoch_visits_every_image_once_in_another_order_with_its_label():
    found = batches(augmented=False)
    assert all(np.array_equal(images, IMAGES[labels[:, 0]]) for images, labels in found)
    labels = [labels[:, 0] for _, labels in found]
    assert [len(batch) for batch in labels] == [24, 24, 16, 24, 24, 16]
    first, second = np.concatenate(labels[:3]), np.concatenate(labels[3:])
    assert sorted(first) == sorted(second) == list(range(64)) and list(first) != list(second)


def test_starting_at_a_later_epoch_gives_that_epochs_batches():
    expected, found = (sum(whole, ()) for whole in (batches()[3:], batches(first_epoch=1)))
    assert len(found) == len(expected) == 6 and all(map(np.array_equal, found, expected))
