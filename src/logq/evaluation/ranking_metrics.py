"""Metrics of rankings, one value for each user, from the ranks of relevant items: hit rate, recall, NDCG, MRR, MAP.

Relevant items are flat arrays, so that nothing of size users x items is allocated.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int, check_integers

__all__ = [
    "METRICS",
    "Csr",
    "Flat",
    "Hits",
    "average_precision",
    "check_csr",
    "check_ranked",
    "find_hits",
    "hit_rate",
    "ndcg",
    "recall",
    "reciprocal_rank",
    "unique_per_user",
    "where_relevant",
]

Csr: TypeAlias = tuple[ArrayLike, ArrayLike]
"""(items, offsets): those of user u are items[offsets[u] : offsets[u + 1]]."""

Floats: TypeAlias = NDArray[np.float64]


class Flat(NamedTuple):
    """Items of users, one user after the other: those of user u are items[offsets[u] : offsets[u + 1]].

    Example:
        >>> flat = Flat(np.array([7, 8, 9]), np.array([0, 2, 3]))
    """

    items: NDArray[np.int64]  # (n,)
    offsets: NDArray[np.int64]  # (U + 1,)


def check_csr(name: str, value: Any, users: int) -> Flat:
    """Return (items, offsets) as int64: those of user u are items[offsets[u] : offsets[u + 1]].

    Raises:
        ArgumentTypeError: it is not a pair of arrays of integers.
        ArgumentError: there is not one offset more than users, or they do not rise from 0 to the number of items.

    Example:
        >>> check_csr("truth", ([7, 8, 9], [0, 2, 3]), 2).offsets.tolist()
        [0, 2, 3]
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ArgumentTypeError(name, "a pair (items, offsets)", value)
    items, offsets = (
        check_integers(name, array, kind=part) for part, array in zip(("items", "offsets"), value, strict=True)
    )
    if len(offsets) != users + 1:
        raise ArgumentError(name, f"{users + 1} offsets for {users} users", len(offsets))
    if offsets[0] != 0 or offsets[-1] != len(items) or (np.diff(offsets) < 0).any():
        raise ArgumentError(
            name, f"offsets that rise from 0 to {len(items)}, the number of items", offsets[:8].tolist()
        )
    return Flat(items, offsets)


def check_ranked(ranked: Any) -> NDArray[np.int64]:
    """Return rankings (U, K) of items, best first, -1 where there is none; no item is twice in a row.

    Raises:
        ArgumentTypeError: they are not integers.
        ArgumentError: they have another shape, or an item twice; the message names the first user with one.

    Example:
        >>> check_ranked([[3, 1], [1, -1]]).shape
        (2, 2)
    """
    array = np.asarray(ranked)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ArgumentError("ranked", "shape (U, K)", array.shape)
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError("ranked", "integers", Verbatim(array.dtype))
    rows = array.astype(np.int64, copy=False)
    ordered = np.sort(rows, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        user, column = (int(number) for number in np.argwhere(twice)[0])
        raise ArgumentError("ranked", "each item once", Verbatim(f"{ordered[user, column]} twice for user {user}"))
    return rows


def unique_per_user(flat: Flat) -> Flat:
    """Return the relevant items of each user once, in increasing order, without negative ones, which are not items.

    Example:
        >>> [part.tolist() for part in unique_per_user(check_csr("truth", ([5, 5, 2, -1], [0, 3, 4]), 2))]
        [[2, 5], [0, 2, 2]]
    """
    keys, width = _keys(flat)
    users, items = np.divmod(np.unique(keys), width)
    counts = np.bincount(users, minlength=len(flat.offsets) - 1)
    return Flat(items, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def where_relevant(
    ranked: NDArray[np.int64],  # (U, K)
    truth: Flat,  # as `unique_per_user` returns it
) -> NDArray[np.bool_]:
    """Return which items of the rankings are relevant, (U, K).

    Example:
        >>> where_relevant(np.array([[3, 1, 2]]), check_csr("truth", ([1, 2], [0, 2]), 1)).tolist()
        [[False, True, True]]
    """
    keys, width = _keys(truth)
    if len(keys) == 0:
        return np.zeros(ranked.shape, dtype=bool)
    asked = ranked + width * np.arange(len(ranked), dtype=np.int64)[:, None]
    nearest = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return (keys[nearest] == asked) & (ranked >= 0) & (ranked < width)


def _keys(flat: Flat) -> tuple[NDArray[np.int64], int]:
    """Return user x width + item for each entry that is an item, and the width, which is larger than all items."""
    users = len(flat.offsets) - 1
    width = int(flat.items.max(initial=0)) + 1
    if users * width >= 2**63:
        raise ArgumentError("truth", f"items below {2**63 // users} for {users} users", width - 1)
    keys = np.repeat(np.arange(users, dtype=np.int64), np.diff(flat.offsets)) * width + flat.items
    return keys[flat.items >= 0], width


class Hits(NamedTuple):
    """The relevant items of rankings, from which all metrics are computed.

    Attributes:
        at: (U, K) bool, h: whether the item at a rank is relevant.
        relevant: (U,) n: the number of different relevant items of each user.

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
        ranked: (U, K) integers; no item is twice in a row.
        truth: (items, offsets): those relevant to user u are items[offsets[u] : offsets[u + 1]]. An item that comes
            twice counts once; -1, an unknown item, does not count.

    Raises:
        ArgumentTypeError: they are not integers.
        ArgumentError: shapes do not fit, or an item is twice in a ranking.

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
        ArgumentError: the rankings are shorter than k.

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
        ArgumentError: the rankings are shorter than k.

    Example:
        >>> recall(find_hits([[3, 1, 2]], ([2, 9], [0, 2])), 3).tolist()
        [0.5]
    """
    return _of_users(hits, _first(hits, k).sum(axis=1) / np.maximum(hits.relevant, 1))


def ndcg(hits: Hits, k: int) -> Floats:
    """Return the normalized discounted cumulative gain of the first k, with equal gains of relevant items, (U,).

        NDCG@k = sum_{r <= k} h_r / log2(r + 1)  /  sum_{r <= min(n, k)} 1 / log2(r + 1)

    Equivalent to: ndcg_cut_k of trec_eval with grades 0 and 1.

    Raises:
        ArgumentError: the rankings are shorter than k.

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
    """Return one divided by the rank of the first relevant item, 0 where none is among the first k, (U,).

        RR@k = 1 / min { r <= k : h_r = 1 };  its mean over users is MRR@k

    Equivalent to: recip_rank of trec_eval for rankings of k items.

    Raises:
        ArgumentError: the rankings are shorter than k.

    Example:
        >>> reciprocal_rank(find_hits([[3, 1, 2], [4, 5, 6]], ([1, 2, 7], [0, 2, 3])), 3).tolist()
        [0.5, 0.0]
    """
    first = _first(hits, k)
    return _of_users(hits, np.where(first.any(axis=1), 1 / (1 + first.argmax(axis=1)), 0.0))


def average_precision(hits: Hits, k: int) -> Floats:
    """Return the mean, over all relevant items, of the precision at the rank of each, 0 if it is not found, (U,).

        AP@k = sum_{r <= k} h_r (h_1 + ... + h_r) / r  /  n;  its mean over users is MAP@k

    Equivalent to: map_cut_k of trec_eval. Some libraries divide by min(n, k) instead of n.

    Raises:
        ArgumentError: the rankings are shorter than k.

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
        raise ArgumentError("k", f"at most {hits.at.shape[1]}, the length of the rankings", k)
    return hits.at[:, :k]


def _of_users(hits: Hits, values: Any) -> Floats:
    return np.where(hits.relevant > 0, values, np.nan)
