"""Recall against sets."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from logq.retrieval import ExactIndex, index_recall, make_index

RNG = np.random.default_rng(0)
VECTORS, QUERIES = RNG.standard_normal((500, 6)), RNG.standard_normal((40, 6))


def test_recall_is_the_share_of_the_truth():
    exact, other = ExactIndex(VECTORS), ExactIndex(VECTORS + 0.5 * RNG.standard_normal(VECTORS.shape))
    found, truth = (index.search(QUERIES, 7).ids.tolist() for index in (other, exact))
    expected = np.mean([len(set(a) & set(b)) / 7 for a, b in zip(found, truth, strict=True)])
    assert 0.2 < expected < 0.9
    assert index_recall(other, exact, QUERIES, 7) == (pytest.approx(expected), 40, 7)
    assert index_recall(exact, exact, QUERIES, 600) == (1.0, 40, 600)


def test_more_effort_finds_more():
    exact = ExactIndex(VECTORS)
    lazy, eager = (
        index_recall(make_index("faiss-ivf", VECTORS, nlist=25, nprobe=nprobe), exact, QUERIES, 10).recall
        for nprobe in (1, 20)
    )
    assert lazy < 0.8 < 0.95 < eager


def test_queries_without_an_answer_do_not_count():
    exact = ExactIndex(VECTORS)
    everything = np.arange(500), np.array([0, 500, *[500] * 39])
    assert index_recall(exact, exact, QUERIES, 3, exclude=everything).queries == 39
    assert np.isnan(index_recall(exact, exact, QUERIES, 3, allow=[]).recall)


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor had that was made."""

    def __init__(self):
        super().__init__()
        self.size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        self.size = max([self.size, *(one.numel() for one in tree_leaves(made) if isinstance(one, torch.Tensor))])
        return made


def test_answers_are_compared_a_part_at_a_time():
    exact, queries = ExactIndex(VECTORS), RNG.standard_normal((600, 6))
    with Largest() as largest:
        assert index_recall(exact, exact, queries, 100) == (1.0, 600, 100)
    assert largest.size <= 1 << 22 < len(queries) * 100 * 100


def test_unlike_indexes_are_not_compared():
    exact = ExactIndex(VECTORS)
    with pytest.raises(ValueError, match=r"exact: expected metric inner_product of 6 .*got cosine of 6"):
        index_recall(exact, ExactIndex(VECTORS, metric="cosine"), QUERIES)
    with pytest.raises(ValueError, match=r"exact: expected the same items, got 499 instead of 500"):
        index_recall(exact, ExactIndex(VECTORS[:499]), QUERIES)
