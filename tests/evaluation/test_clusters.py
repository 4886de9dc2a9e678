import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.evaluation.map_layout import cluster


def bundles(sizes, seed=0, noise=0.05):
    rng = np.random.default_rng(seed)
    centers = np.eye(len(sizes), 8)
    points = np.concatenate([centers[i] + noise * rng.normal(size=(n, 8)) for i, n in enumerate(sizes)])
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_bundles_are_found_largest_first():
    labels = cluster(bundles([5, 20, 10]), 3)
    assert labels.tolist() == [2] * 5 + [0] * 20 + [1] * 10


def test_the_same_seed_gives_the_same_groups():
    points = bundles([30, 30, 30], noise=2.0)
    assert np.array_equal(cluster(points, 4, seed=3), cluster(points, 4, seed=3))
    assert any(not np.array_equal(cluster(points, 4, seed=3), cluster(points, 4, seed=s)) for s in range(4, 8))


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 99))
def test_each_vector_is_nearest_to_the_center_of_its_group(words, groups, seed):
    points = bundles([words, 2 * words], seed=seed, noise=1.0)
    labels = cluster(points, groups, seed=seed)
    assert labels.min() == 0
    assert labels.max() < groups
    sizes = np.bincount(labels)
    assert (np.diff(sizes) <= 0).all()
    centers = np.stack([points[labels == g].sum(axis=0) for g in range(labels.max() + 1)])
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    for point, label in zip(points, labels, strict=True):
        assert point @ centers[label] >= (centers @ point).max() - 1e-9


def test_there_are_no_more_groups_than_directions():
    assert cluster(np.ones((5, 2)) / np.sqrt(2), 3).tolist() == [0] * 5


def test_no_vectors_no_groups():
    assert cluster(np.zeros((0, 3)), 2).shape == (0,)


def test_no_groups_is_refused():
    with pytest.raises(ValueError, match="groups"):
        cluster(np.eye(2), 0)
