"""Features from a dictionary of patches, each step against a plain computation of the same."""

import numpy as np
import pytest
from sklearn.base import clone

from cifar_helpers.unlabelled import patches as pf

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (30, 12, 14, 3), dtype=np.uint8)


def small(**changes):
    return pf.PatchFeatures(**{"words": 8, "size": 4, "sample": 500, "rounds": 2, **changes})


def test_random_patches_are_parts_of_the_images():
    numbered = np.arange(2 * 5 * 5 * 3).reshape(2, 5, 5, 3)
    for patch in pf.random_patches(numbered, 20, 2, np.random.default_rng(0)):
        image, row, column = np.unravel_index(int(patch[0]), (2, 5, 5, 3))[:3]
        assert (patch == numbered[image, row : row + 2, column : column + 2].ravel()).all()


def test_contrast_is_normalised_and_even_patches_stay_even():
    patches = np.stack([np.linspace(0, 255, 48), np.full(48, 99.0)]).astype(np.float32)
    wide, even = pf.normalise_contrast(patches)
    assert wide.mean() == pytest.approx(0, abs=1e-5) and wide.std() == pytest.approx(1, abs=0.01)
    assert (even == 0).all()


def test_whitened_patches_are_uncorrelated():
    mixed = RNG.normal(size=(5000, 6)) @ RNG.normal(size=(6, 6)) * 100
    mean, matrix = pf.whitening(mixed)
    covariance = np.cov((mixed - mean) @ matrix, rowvar=False)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.02
    assert np.abs(matrix - matrix.T).max() < 1e-4  # ZCA: the whitened patch still looks like the patch


def test_a_round_of_k_means_moves_centres_to_the_means_of_their_points():
    points = RNG.normal(size=(500, 5)).astype(np.float32)
    centres = points[:7].copy()
    nearest = np.linalg.norm(points[:, np.newaxis] - centres, axis=2).argmin(axis=1)
    means = np.stack([points[nearest == k].mean(axis=0) for k in range(7)])
    np.testing.assert_allclose(pf.lloyd_round(points, centres, np.random.default_rng(0)), means, atol=1e-5)


def test_a_centre_that_nobody_is_near_moves_to_a_point():
    points = RNG.normal(size=(100, 3)).astype(np.float32)
    centres = np.stack([points[0], np.full(3, 1e3, np.float32)])
    moved = pf.lloyd_round(points, centres, np.random.default_rng(0))[1]
    assert (moved == points).all(axis=1).any()


def test_features_are_the_triangle_activations_of_every_quadrant():
    features = small().fit(IMAGES)
    image = IMAGES[3]
    rows, columns = 12 - 4 + 1, 14 - 4 + 1
    activations = np.empty((rows, columns, 8))
    for row in range(rows):
        for column in range(columns):
            patch = image[row : row + 4, column : column + 4].ravel().astype(np.float32)
            white = (pf.normalise_contrast(patch) - features.mean_) @ features.whiten_
            distances = np.linalg.norm(white - features.words_, axis=1)
            activations[row, column] = np.maximum(0, distances.mean() - distances)
    quarters = [activations[:5, :6], activations[:5, 6:], activations[5:, :6], activations[5:, 6:]]
    expected = np.concatenate([quarter.sum(axis=(0, 1)) for quarter in quarters])
    np.testing.assert_allclose(features.transform(IMAGES[3:4])[0], expected, rtol=1e-3, atol=1e-3)


def test_features_depend_on_seed_and_rounds_and_not_on_the_batch():
    features = small().fit(IMAGES)
    whole = features.transform(IMAGES)
    assert whole.shape == (30, 32) and whole.dtype == np.float32
    np.testing.assert_allclose(features.transform(IMAGES, batch_size=7), whole, rtol=1e-4, atol=1e-4)
    again = clone(features)  # as scikit-learn copies an estimator: its settings and nothing it has learnt
    assert not hasattr(again, "words_")
    assert (again.fit_transform(IMAGES) == whole).all()
    assert not np.allclose(small(rounds=0).fit(IMAGES).words_, features.words_)


# ---- The embedding ----


@pytest.mark.parametrize("whitening, power", [(0, 1.0), (0.5, 0.5), (1, 0.0)])
def test_an_embedding_goes_as_far_to_whitening_as_asked(whitening, power):
    features = np.random.default_rng(0).gamma(1.0, size=(500, 12)).astype(np.float32)
    features[:, 1:6] += features[:, :1] * 3
    embedding = pf.PatchEmbedding(4, whitening).fit(features)
    before = embedding.pca_.explained_variance_
    np.testing.assert_allclose(before * embedding.scale_**2, before**power, rtol=1e-4)
    embedded = embedding.transform(features)
    assert embedded.shape == (500, 4)
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, rtol=1e-5)
