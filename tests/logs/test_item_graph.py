"""Graphs of items against a dictionary that a loop over sessions fills."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.logs import ItemGraph


def edges_of(graph):
    return dict(
        zip(zip(graph.sources.tolist(), graph.targets.tolist(), strict=True), graph.weights.tolist(), strict=True)
    )


def flat(sessions):
    items = np.array([item for session in sessions for item in session], dtype=np.int64)
    return items, np.cumsum([0, *map(len, sessions)])


@given(st.lists(st.lists(st.integers(0, 6), max_size=8), max_size=6), st.booleans())
def test_sessions_make_the_edges_that_a_loop_counts(sessions, self_loops):
    expected = Counter(
        (session[i], session[i + 1])
        for session in sessions
        for i in range(len(session) - 1)
        if self_loops or session[i] != session[i + 1]
    )
    graph = ItemGraph.from_sessions(*flat(sessions), num_items=7, self_loops=self_loops)
    assert edges_of(graph) == expected
    assert graph.num_items == 7
    assert graph.num_edges == len(expected)
    assert graph.out_weights.sum() == expected.total()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([0.5, 1.0, 3.0])), max_size=20))
def test_equal_edges_are_added_up(edges):
    expected = Counter()
    for source, target, weight in edges:
        expected[source, target] += weight
    sources, targets, weights = (np.array([edge[i] for edge in edges]) for i in range(3))
    graph = ItemGraph.from_edges(sources, targets, weights, num_items=5)
    assert edges_of(graph) == expected
    assert graph.offsets.tolist() == [sum(source < i for source, _ in expected) for i in range(6)]
    assert graph.out_weights.tolist() == [sum(w for (s, _), w in expected.items() if s == i) for i in range(5)]


def test_the_number_of_items_follows_from_the_largest():
    assert ItemGraph.from_edges([0, 4], [2, 1]).num_items == 5
    assert ItemGraph.from_sessions([3, 9, 3], [0, 1, 3]).num_items == 10
    assert repr(ItemGraph.from_edges([0, 4], [2, 1])) == "ItemGraph(5 items, 2 edges)"


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: ItemGraph.from_edges([], []), ValueError, "num_items.*no edges"),
        (lambda: ItemGraph.from_edges([0, 1], [1]), ValueError, r"targets.*\(2,\)"),
        (lambda: ItemGraph.from_edges([0, -1], [1, 1]), ValueError, "sources.*-1 at position 1"),
        (lambda: ItemGraph.from_edges([0, 1], [1, 3], num_items=3), ValueError, r"targets.*\[0, 3\), got 3"),
        (lambda: ItemGraph.from_edges([0.5], [1]), TypeError, "sources"),
        (lambda: ItemGraph.from_edges([0], [1], [0.0]), ValueError, "weights.*> 0, got 0"),
        (lambda: ItemGraph.from_edges([0, 1], [1, 0], [1, np.nan]), ValueError, "weights.*nan at position 1"),
        (lambda: ItemGraph.from_edges([0], [1], ["a"]), TypeError, "weights"),
        (lambda: ItemGraph.from_edges([0], [1], [1, 2]), ValueError, "weights.*one for each edge"),
        (lambda: ItemGraph.from_sessions([0, 1], [0, 1]), ValueError, "offsets.*0 to 2"),
        (lambda: ItemGraph.from_sessions([0, 1], [0, 2, 1, 2]), ValueError, "offsets"),
        (lambda: ItemGraph([0, 2, 1], [0], [1.0]), ValueError, "offsets"),
        (lambda: ItemGraph([0, 1], [1], [1.0]), ValueError, r"targets.*\[0, 1\)"),
        (lambda: ItemGraph([0], [], []), ValueError, "offsets"),
    ],
)
def test_bad_arguments_are_named(make, error, match):
    with pytest.raises(error, match=match):
        make()
