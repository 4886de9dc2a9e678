import numpy as np
import pytest

from logq.evaluation.map_layout import nearest, unit
from logq.evaluation.map_points import WordSource, arrange
from logq.vectors import KeyedVectors


@pytest.mark.parametrize(("points", "count"), [(1, 8), (2, 8), (9, 8), (300, 8), (2500, 8), (3001, 5)])
def test_the_nearest_are_those_of_all_cosines(points, count):
    """The larger ones are found in chunks, of which one is not full."""
    rng = np.random.default_rng(points)
    directions = unit(rng.normal(size=(points, 7)))
    near, cosines = nearest(directions, count)
    table = directions @ directions.T
    np.fill_diagonal(table, -np.inf)
    expected = np.argsort(-table, axis=1, kind="stable")[:, : min(count, points - 1)]
    assert np.array_equal(near, expected)
    assert cosines == pytest.approx(np.take_along_axis(table, expected, axis=1))


def test_equal_cosines_stand_in_the_order_of_points_and_never_the_point_itself():
    near, _ = nearest(unit(np.ones((3000, 3))), 8)
    assert all(row == sorted(row) for row in near.tolist())
    assert all(own not in row for own, row in enumerate(near.tolist()))


def test_of_unknown_ids_nothing_is_near():
    source = WordSource(KeyedVectors(["tea", "cup", "rail"], [[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]]))
    found = source.neighbors(["gold", "rail", "tea", "iron", "cup"], 2, False)
    assert found.lists() == [[], [2, 4], [4, 1], [], [2, 1]]
    assert found.thousandths()[2] == [995, 100]
    assert source.known(["gold", "cup"]) == [False, True]


def test_points_are_the_most_frequent_and_size_is_of_all():
    words = KeyedVectors(["a", "b", "c"], np.eye(3), counts=[1, 3, 2])
    points = arrange(WordSource(words), top=2, layout="pca")
    assert (points.ids, points.size, points.counts.tolist()) == (["b", "c"], 3, [3, 2])
