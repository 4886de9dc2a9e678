"""Walks against the transition probabilities of their graph."""

import numpy as np
import pytest
from scipy.stats import chi2

from frequencies import FAILURE_RATE
from logq.logs import ItemGraph, walks

# 0 has a heavy and a light edge, 3 is a dead end, 4 is reached by nobody, 5 has no edge at all.
GRAPH = ItemGraph.from_edges([0, 0, 0, 1, 2, 2, 4], [1, 2, 3, 0, 0, 3, 0], [5, 3, 2, 1, 0.25, 0.75, 9], num_items=6)


def probabilities(graph):
    matrix = np.zeros((graph.num_items, graph.num_items))
    for source, target, weight in zip(graph.sources, graph.targets, graph.weights, strict=True):
        matrix[source, target] = weight
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-300)


def test_steps_follow_the_weights(seed):
    expected = probabilities(GRAPH)
    walked = walks(GRAPH, per_node=20_000, length=5, seed=seed)
    statistic, free = 0.0, 0
    for step in range(4):
        for item in range(GRAPH.num_items):
            following = walked[walked[:, step] == item, step + 1]
            if len(following) < 1000:
                continue
            if not expected[item].any():
                assert (following == -1).all()
                continue
            counts = np.bincount(following, minlength=GRAPH.num_items)
            assert (counts[expected[item] == 0] == 0).all()
            possible = expected[item] > 0
            mean = len(following) * expected[item][possible]
            statistic += ((counts[possible] - mean) ** 2 / mean).sum()
            free += possible.sum() - 1
    assert free > 8
    assert statistic < chi2.isf(FAILURE_RATE, free)


def test_each_item_that_an_edge_leaves_starts_as_many_walks():
    walked = walks(GRAPH, per_node=7, length=3, seed=1)
    assert np.bincount(walked[:, 0], minlength=6).tolist() == [7, 7, 7, 0, 7, 0]
    assert walked.dtype == np.int32
    assert walked.shape == (28, 3)


def test_a_walk_that_has_ended_stays_ended():
    walked = walks(GRAPH, per_node=100, length=6, seed=2)
    over = walked == -1
    assert over.any()
    assert (over[:, 1:] >= over[:, :-1]).all()
    last = (~over).sum(axis=1) - 1
    assert (walked[over.any(axis=1), last[over.any(axis=1)]] == 3).all()


def test_walks_start_where_they_are_told_to():
    assert sorted(walks(GRAPH, 2, 2, seed=1, starts=[5, 3]).tolist()) == [[3, -1], [3, -1], [5, -1], [5, -1]]
    assert walks(GRAPH, 3, 4, seed=1, starts=np.array([], dtype=np.int64)).shape == (0, 4)


def test_the_same_seed_walks_the_same():
    first, second, other = (walks(GRAPH, 50, 5, seed=seed) for seed in (3, 3, 4))
    assert first.tolist() == second.tolist()
    assert first.tolist() != other.tolist()


def test_tiny_weights_beside_large_ones_are_walked(seed):
    graph = ItemGraph.from_edges([0, 0, 1, 1], [1, 0, 0, 1], [1e12, 1e12, 1e-3, 1e-3])
    walked = walks(graph, per_node=20_000, length=2, seed=seed)
    for item in (0, 1):
        share = (walked[walked[:, 0] == item, 1] == item).mean()
        assert abs(share - 0.5) < 0.02  # 5.6 standard deviations: fails with one seed in 25 million


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"per_node": 0}, ValueError, "per_node"),
        ({"length": 0}, ValueError, "length"),
        ({"seed": -1}, ValueError, "seed"),
        ({"starts": [6]}, ValueError, r"starts.*\[0, 6\), got 6"),
        ({"starts": [0.5]}, TypeError, "starts"),
    ],
)
def test_bad_arguments_are_named(arguments, error, match):
    with pytest.raises(error, match=match):
        walks(GRAPH, **{"per_node": 1, "length": 2, **arguments})
