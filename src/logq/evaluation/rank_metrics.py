"""Metrics of a ranking, one value a user: hit rate, recall, NDCG, reciprocal rank, average precision.

The letters: r is a place of the ranking from 1 on, h_r is 1 where a relevant item stands there, else 0, and n is how
many relevant items the user has. A user without any has no value: NaN.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq.arguments import check_int
from logq.evaluation.relevant_items import Csr, check_csr, check_ranked, unique_per_user, where_relevant

__all__ = ["METRICS", "Hits", "average_precision", "find_hits", "hit_rate", "ndcg", "recall", "reciprocal_rank"]

Floats: TypeAlias = NDArray[np.float64]


class Hits(NamedTuple):
    """Where the relevant items stand; all metrics follow from it.

    Attributes:
        at: (U, K) bool, h: whether a place of the ranking holds a relevant item.
        relevant: (U,) n: how many different relevant items the user has.

    Example:
        >>> hits = Hits(at=np.array([[False, True]]), relevant=np.array([3]))
    """

    at: NDArray[np.bool_]
    relevant: NDArray[np.int64]


def find_hits(
    ranked: Any,  # (U, K) items, best first, -1 where there is none
    truth: Csr,
) -> Hits:
    """Compare rankings with the relevant items of each user.

    Args:
        ranked: (U, K) whole numbers; no item stands twice in a row.
        truth: (items, offsets): those relevant to user u are items[offsets[u] : offsets[u + 1]]. An item that comes
            twice counts once; -1, an item that nobody knows, does not count.

    Raises:
        TypeError: no whole numbers.
        ValueError: shapes do not fit, or an item stands twice in a ranking.

    Example:
        >>> hits = find_hits([[3, 1, 2], [4, 5, -1]], ([2, 9, 4], [0, 2, 3]))
        >>> hits.at.tolist(), hits.relevant.tolist()
        ([[False, False, True], [True, False, False]], [2, 1])
    """
    rows = check_ranked(ranked)
    relevant = unique_per_user(check_csr("truth", truth, len(rows)))
    return Hits(where_relevant(rows, relevant), np.diff(relevant.offsets))


def hit_rate(hits: Hits, k: int) -> Floats:
    """Return whether a relevant item is among the first k, (U,).

        HR@k = 1 if h_1 + ... + h_k > 0 else 0

    Equivalent to: success_k of trec_eval.

    Raises:
        ValueError: the rankings have fewer than k places.

    Example:
        >>> hit_rate(find_hits([[3, 1, 2], [4, 5, 6]], ([2, 7], [0, 1, 2])), 3).tolist()
        [1.0, 0.0]
    """
    return _of_users(hits, np.any(_first(hits, k), axis=1))


def recall(hits: Hits, k: int) -> Floats:
    """Return the share of the relevant items that is among the first k, (U,).

        Recall@k = (h_1 + ... + h_k) / n

    Equivalent to: recall_k of trec_eval. With a single relevant item it is the hit rate.

    Raises:
        ValueError: the rankings have fewer than k places.

    Example:
        >>> recall(find_hits([[3, 1, 2]], ([2, 9], [0, 2])), 3).tolist()
        [0.5]
    """
    return _of_users(hits, _first(hits, k).sum(axis=1) / np.maximum(hits.relevant, 1))


def ndcg(hits: Hits, k: int) -> Floats:
    """Return the normalized discounted cumulative gain of the first k, every relevant item worth the same, (U,).

        NDCG@k = sum_{r <= k} h_r / log2(r + 1)  /  sum_{r <= min(n, k)} 1 / log2(r + 1)

    Equivalent to: ndcg_cut_k of trec_eval with grades 0 and 1.

    Raises:
        ValueError: the rankings have fewer than k places.

    References:
        Jaervelin and Kekaelaeinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002.

    Example:
        >>> ndcg(find_hits([[3, 1, 2]], ([2], [0, 1])), 3).tolist()
        [0.5]
    """
    gains = 1 / np.log2(np.arange(2, check_int("k", k) + 2))
    ideal = np.concatenate([[1.0], np.cumsum(gains)])[np.minimum(hits.relevant, k)]
    return _of_users(hits, (_first(hits, k) @ gains) / ideal)


def reciprocal_rank(hits: Hits, k: int) -> Floats:
    """Return one divided by the place of the first relevant item, 0 where none is among the first k, (U,).

        RR@k = 1 / min { r <= k : h_r = 1 };  its mean over users is MRR@k

    Equivalent to: recip_rank of trec_eval for rankings of k items.

    Raises:
        ValueError: the rankings have fewer than k places.

    Example:
        >>> reciprocal_rank(find_hits([[3, 1, 2], [4, 5, 6]], ([1, 2, 7], [0, 2, 3])), 3).tolist()
        [0.5, 0.0]
    """
    first = _first(hits, k)
    return _of_users(hits, np.where(first.any(axis=1), 1 / (1 + first.argmax(axis=1)), 0.0))


def average_precision(hits: Hits, k: int) -> Floats:
    """Return the mean, over all relevant items, of the precision where each is found, 0 for those that are not, (U,).

        AP@k = sum_{r <= k} h_r (h_1 + ... + h_r) / r  /  n;  its mean over users is MAP@k

    Equivalent to: map_cut_k of trec_eval. Some libraries divide by min(n, k) in the place of n.

    Raises:
        ValueError: the rankings have fewer than k places.

    Example:
        >>> average_precision(find_hits([[3, 1, 2]], ([1, 2, 8, 9], [0, 4])), 3).round(4).tolist()
        [0.2917]
    """
    first = _first(hits, k)
    precision = np.cumsum(first, axis=1) / np.arange(1, first.shape[1] + 1)
    return _of_users(hits, (precision * first).sum(axis=1) / np.maximum(hits.relevant, 1))


METRICS: Final[Mapping[str, Callable[[Hits, int], Floats]]] = MappingProxyType(
    {"HR": hit_rate, "Recall": recall, "NDCG": ndcg, "MRR": reciprocal_rank, "MAP": average_precision}
)
"""The metrics by the names under which papers report their means."""


def _first(hits: Hits, k: int) -> NDArray[np.bool_]:
    if check_int("k", k) > hits.at.shape[1]:
        raise ValueError(f"k: expected at most the {hits.at.shape[1]} places of the rankings, got {k}")
    return hits.at[:, :k]


def _of_users(hits: Hits, values: Any) -> Floats:
    return np.where(hits.relevant > 0, values, np.nan)
