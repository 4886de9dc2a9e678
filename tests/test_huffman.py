"""The tree: as short as a heap makes it, its paths those of one tree, its ties as documented; and gensim's numbers."""

import heapq
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logq.huffman import HuffmanTree

GOLDEN = Path(__file__).parent / "golden"

some_counts = st.lists(st.one_of(st.integers(0, 9), st.integers(0, 10**6)), min_size=1, max_size=60)


def cost_by_heap(counts):
    """The smallest possible sum of count * length: what all joins of the two smallest add up to."""
    heap = list(counts)
    heapq.heapify(heap)
    cost = 0
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        cost += both
        heapq.heappush(heap, both)
    return cost


def lengths(tree):
    return np.diff(tree.offsets).tolist()


def nested(tree, classes, at=0):
    """The tree as pairs of pairs, from the codes alone."""
    if len(classes) == 1:
        assert len(tree.path(classes[0])[0]) == at
        return classes[0]
    sides = [[c for c in classes if tree.path(c)[1][at] == code] for code in (0, 1)]
    assert len({int(tree.path(c)[0][at]) for c in classes}) == 1
    return tuple(nested(tree, side, at + 1) for side in sides)


@given(some_counts)
def test_the_weighted_length_is_what_a_heap_finds(counts):
    tree = HuffmanTree.from_counts(counts)
    assert sum(c * n for c, n in zip(counts, lengths(tree), strict=True)) == cost_by_heap(counts)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40))
def test_the_weighted_length_of_fractions(counts):
    cost = np.dot(counts, lengths(HuffmanTree.from_counts(counts)))
    np.testing.assert_allclose(cost, float(cost_by_heap(map(Fraction, counts))), rtol=1e-12)


@given(some_counts)
def test_the_paths_are_those_of_one_tree(counts):
    tree = HuffmanTree.from_counts(counts)
    assert sum(Fraction(1, 2**n) for n in lengths(tree)) == 1
    nested(tree, list(range(len(counts))))
    assert sorted(set(tree.points.tolist())) == list(range(len(counts) - 1))
    again = HuffmanTree.from_paths(tree.offsets, tree.points, tree.codes)
    for name in ("offsets", "points", "codes"):
        assert np.array_equal(getattr(again, name), getattr(tree, name))
        assert getattr(again, name).dtype == getattr(tree, name).dtype
    assert [tree.offsets.dtype, tree.points.dtype, tree.codes.dtype] == [np.int64, np.int32, np.uint8]


@given(some_counts)
def test_ties_give_the_smaller_id_the_shorter_path(counts):
    found = lengths(HuffmanTree.from_counts(counts))
    order = sorted(range(len(counts)), key=lambda i: (-counts[i], i))
    assert [found[i] for i in order] == sorted(found)


@given(some_counts)
def test_a_tie_makes_no_path_longer_than_it_must_be(counts):
    """A heap that looks at the height second is the classical way to the smallest longest path."""
    heap = [(count, 0) for count in counts]
    heapq.heapify(heap)
    while len(heap) > 1:
        (a, high), (b, higher) = heapq.heappop(heap), heapq.heappop(heap)
        heapq.heappush(heap, (a + b, 1 + max(high, higher)))
    assert HuffmanTree.from_counts(counts).depth == heap[0][1]


@pytest.mark.parametrize("kind", [np.int32, np.uint64, np.float64, list])
def test_the_type_of_the_counts_does_not_matter(kind):
    counts = [7, 0, 7, 3, 3, 1]
    one, two = HuffmanTree.from_counts(counts), HuffmanTree.from_counts(kind(counts))
    assert np.array_equal(one.points, two.points)
    assert np.array_equal(one.codes, two.codes)


def test_gensim_makes_the_same_tree_where_there_are_no_ties():
    with np.load(GOLDEN / "gensim_huffman.npz") as golden:
        tree = HuffmanTree.from_counts(golden["counts"])
        for name in ("offsets", "points", "codes"):
            assert np.array_equal(getattr(tree, name), golden[name]), name


def test_by_hand():
    tree = HuffmanTree.from_counts([5, 1, 2])
    assert nested(tree, [0, 1, 2]) == ((1, 2), 0)
    tree = HuffmanTree.from_counts([1, 1, 1, 1])  # joins 3 and 2, then 1 and 0; the older one comes first
    assert nested(tree, [0, 1, 2, 3]) == ((3, 2), (1, 0))
    assert tree.path(3)[0].tolist() == [2, 0]


def test_few_classes():
    one = HuffmanTree.from_counts([0])
    assert (one.num_classes, one.depth, one.offsets.tolist(), len(one.points)) == (1, 0, [0, 0], 0)
    assert [len(part) for part in one.path(0)] == [0, 0]
    two = HuffmanTree.from_counts([0, 9])
    assert (two.num_classes, two.depth, two.points.tolist(), two.codes.tolist()) == (2, 1, [0, 0], [0, 1])


def test_classes_that_never_occur_make_no_chain():
    assert HuffmanTree.from_counts(np.zeros(1024, dtype=np.int64)).depth == 10
    assert HuffmanTree.from_counts([1000, *[0] * 1024]).depth == 11


@pytest.mark.parametrize("counts", [[2.0**i for i in range(300)], [1.7e308] * 4, [1e308, 1e-300, 1e308, 1.0]])
def test_counts_at_the_ends_of_their_range(counts):
    tree = HuffmanTree.from_counts(counts)
    assert sum(Fraction(1, 2**n) for n in lengths(tree)) == 1
    exact = cost_by_heap(map(Fraction, counts))
    assert sum(Fraction(c) * n for c, n in zip(counts, lengths(tree), strict=True)) == exact


def test_large_whole_numbers_stay_whole():
    counts = [2**62, 2**62 + 1, 2**62 + 2, 2**62 + 3, 2**62 + 4]
    assert lengths(HuffmanTree.from_counts(counts)) == [3, 3, 2, 2, 2]
    assert lengths(HuffmanTree.from_counts(counts[::-1])) == [2, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        ([], ValueError, r"^counts: expected shape \(V,\) with V >= 1, got \(0,\)$"),
        (3, ValueError, r"^counts: expected shape \(V,\) with V >= 1, got \(\)$"),
        ([[1, 2]], ValueError, r"got \(1, 2\)$"),
        ([[1], [1, 2]], ValueError, r"^counts: expected shape \(V,\)"),
        ([3, -1, -2], ValueError, r"^counts: expected finite numbers >= 0, got -1 for class 1$"),
        ([3.0, np.nan], ValueError, r"got nan for class 1$"),
        ([np.inf, 2.0], ValueError, r"got inf for class 0$"),
        (["a"], TypeError, r"^counts: expected numbers"),
        ([True, False], TypeError, r"^counts: expected numbers"),
        ([None], TypeError, r"^counts: expected numbers"),
    ],
)
def test_counts_that_are_none(counts, error, message):
    with pytest.raises(error, match=message):
        HuffmanTree.from_counts(counts)


def test_a_tree_of_ones_own():
    """((0, 1), ((2, 3), 4)), numbered from the root down."""
    offsets, points = [0, 2, 4, 7, 10, 12], [0, 1, 0, 1, 0, 2, 3, 0, 2, 3, 0, 2]
    codes = [0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1]
    tree = HuffmanTree.from_paths(offsets, points, codes)
    assert nested(tree, list(range(5))) == ((0, 1), ((2, 3), 4))
    assert HuffmanTree.from_paths([0, 0], [], []).num_classes == 1


@pytest.mark.parametrize(
    ("offsets", "points", "codes", "error", "message"),
    [
        ([0, 1, 2], [0, 0], [0, 0], ValueError, "code 0 of inner node 0 leads to two places"),
        ([0, 1, 2, 3], [0, 0, 1], [0, 1, 0], ValueError, "class 0 starts at inner node 0, class 2 at 1"),
        ([0, 1, 3, 5], [0, 0, 1, 0, 0], [0, 1, 0, 1, 1], ValueError, "code 1 of inner node 0 leads to two places"),
        ([0, 1, 2, 4], [0, 0, 0, 1], [0, 1, 1, 0], ValueError, "code 1 of inner node 0 leads to two places"),
        ([0, 2, 4, 6], [0, 1, 0, 1, 0, 1], [0, 0, 0, 1, 0, 1], ValueError, "code 1 of inner node 1 leads to two"),
        ([0, 2, 4], [0, 0, 0, 0], [0, 0, 0, 1], ValueError, "code 0 of inner node 0 leads to two places"),
        ([0, 1, 2], [0, 1], [0, 1], ValueError, r"points: expected numbers in \[0, 1\), got 1 at position 1"),
        ([0, 1, 2], [0, 0], [0, 2], ValueError, r"codes: expected numbers in \[0, 2\), got 2 at position 1"),
        ([0, 1, 2], [0, 0], [0], ValueError, r"codes: expected shape \(2,\) as points, got \(1,\)"),
        ([0, 2, 2], [0, 0], [0, 1], ValueError, "offsets: expected a path of at least one node, got 0 for class 1"),
        ([0, 2, 1, 2], [0, 0], [0, 1], ValueError, "offsets: expected a path of at least one node, got -1 for class 1"),
        ([0, 1, 3], [0, 0], [0, 1], ValueError, "offsets: expected V"),
        ([1, 2], [0, 0], [0, 1], ValueError, "offsets: expected V"),
        ([0], [], [], ValueError, "offsets: expected V"),
        ([0, 1], [0], [0], ValueError, r"points: expected numbers in \[0, 0\)"),
        ([0.0, 1, 2], [0, 0], [0, 1], TypeError, "offsets: expected integers"),
        ([0, 1, 2], [[0, 0]], [0, 1], ValueError, r"points: expected one dimension, got shape \(1, 2\)"),
    ],
)
def test_paths_of_no_tree(offsets, points, codes, error, message):
    with pytest.raises(error, match=message):
        HuffmanTree.from_paths(offsets, points, codes)


@given(st.data())
def test_paths_that_are_accepted_are_those_of_a_tree(data):
    """Whatever small thing is changed in a tree, the result is refused or again a tree."""
    counts = data.draw(st.lists(st.integers(0, 5), min_size=2, max_size=5))
    tree = HuffmanTree.from_counts(counts)
    points, codes = tree.points.copy(), tree.codes.copy()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(points) - 1))
        points[at] = data.draw(st.integers(0, len(counts) - 2))
        codes[data.draw(st.integers(0, len(points) - 1))] ^= 1
    try:
        changed = HuffmanTree.from_paths(tree.offsets, points, codes)
    except ValueError:
        return
    nested(changed, list(range(len(counts))))


@pytest.mark.parametrize("wrong", [-1, 3, True, "a"])
def test_a_class_that_is_none(wrong):
    with pytest.raises((TypeError, ValueError), match="class_id: expected"):
        HuffmanTree.from_counts([1, 2, 3]).path(wrong)
