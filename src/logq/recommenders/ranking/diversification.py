"""Diversification: from the best items of each row those that are also unlike each other, by marginal relevance."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["POOL", "diversified"]

POOL = 10
"""How many candidates there are for each item that is chosen."""

Alike: TypeAlias = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""How alike an item of each row (n,) and others (n, p) are, (n, p)."""


def diversified(
    scores: NDArray[np.float32],  # (n, p), best first
    codes: NDArray[np.int64],  # (n, p), -1 where there are fewer
    k: int,
    diversity: float,
    alike: Alike,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores and codes (n, k) of the items chosen one after the other by maximal marginal relevance.

        next = argmax over i not chosen:  (1 - diversity) r_i - diversity max over chosen j: alike(i, j)
        r_i  = (s_i - min s) / (max s - min s)  over the p candidates of the row

    The first is the best candidate; of equal ones the better candidate comes first.

    Args:
        scores: of the candidates.
        codes: of the candidates.
        k: how many are chosen, at most p.
        diversity: 0 leaves the order as it is, 1 looks at nothing but likeness.
        alike: cosines of items, or another measure.

    References:
        Carbonell and Goldstein, The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
        Summaries, SIGIR 1998. Their lambda is 1 - diversity.

    Example:
        >>> kinds = np.array([0, 0, 1])
        >>> same = lambda items, others: (kinds[items][:, None] == kinds[others]).astype(np.float32)
        >>> scores = np.array([[0.9, 0.8, 0.5]], dtype=np.float32)
        >>> diversified(scores, np.array([[0, 1, 2]]), 2, 0.5, same)[1].tolist()
        [[0, 2]]
    """
    rows = np.arange(len(codes))
    left = codes >= 0
    high = scores.max(axis=1, where=left, initial=-np.inf)
    low = scores.min(axis=1, where=left, initial=np.inf)
    span = np.where(high > low, high - low, 1.0)
    relevance = (1 - diversity) * np.where(left, (np.where(left, scores, 0) - low[:, None]) / span[:, None], 0)
    nearest = np.full(codes.shape, -np.inf)
    chosen = np.empty((len(codes), k), dtype=np.int64)
    for place in range(k):
        value = relevance - diversity * nearest if place else relevance
        best = np.where(left, value, -np.inf).argmax(axis=1)
        if not place:
            best[:] = 0
        best = np.where(left[rows, best], best, -1)
        chosen[:, place] = best
        left[rows, best] &= best < 0
        if place + 1 < k:
            nearest = np.maximum(nearest, alike(codes[rows, np.maximum(best, 0)], codes))
    there = chosen >= 0
    at = np.maximum(chosen, 0)
    picked = np.where(there, np.take_along_axis(scores, at, axis=1), -np.inf).astype(np.float32)
    return picked, np.where(there, np.take_along_axis(codes, at, axis=1), -1)
