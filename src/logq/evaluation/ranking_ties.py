"""Items with equal scores: an order of them that knows nothing of any log, and what metrics expect of a random order.

Codes of items are ordered by frequency in the whole log, the test included. A ranking that leaves equal scores in that
order gives a model that learned nothing the numbers of the most popular items; here it gets those of chance.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentTypeError, Verbatim
from logq.evaluation.ranking_metrics import Hits

__all__ = ["expected_metrics", "tie_order"]

Floats: TypeAlias = NDArray[np.float64]

_SEED = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def tie_order(
    ids: ArrayLike,  # (C,) different integers or strings
) -> NDArray[np.int64]:
    """Return the place (C,) of each id in an order that looks random: that of 64-bit hashes with a constant seed.

    The order of two ids is the same in all logs and models, and does not depend on what else there is.

    References:
        Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014, for the mixing function.

    Example:
        >>> tie_order([10, 20, 30]).tolist(), tie_order([30, 10]).tolist(), tie_order(["tea", "cup"]).tolist()
        ([0, 1, 2], [1, 0], [1, 0])
    """
    keys = np.asarray(ids)
    if keys.dtype.kind == "U":
        hashes = np.full(len(keys), _SEED)
        letters = np.ascontiguousarray(keys).view(np.uint32).reshape(len(keys), -1) if keys.dtype.itemsize else []
        for column in np.asarray(letters).T:  # padding leaves a hash as it is, however wide the array
            hashes = np.where(column == 0, hashes, _mixed(hashes ^ column))
    elif keys.dtype.kind in "iu":
        hashes = _mixed(keys.astype(np.uint64) + _SEED)
    else:
        raise ArgumentTypeError("ids", "integers or strings", Verbatim(f"values of {keys.dtype}"))
    places = np.empty(len(keys), dtype=np.int64)
    places[np.argsort(hashes, kind="stable")] = np.arange(len(keys))
    return places


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * _MIX[0]
    values = (values ^ (values >> np.uint64(27))) * _MIX[1]
    return values ^ (values >> np.uint64(31))


def expected_metrics(
    scores: NDArray[np.floating[Any]],  # (U, C), descending
    hits: Hits,
    ks: Sequence[int],
) -> dict[str, Floats]:
    """Return what each metric is in the mean over all orders of equal scores, (U,) by names such as "NDCG@10".

    Of the e items that share a score, s items before them, m are relevant, and c of the s. In a random order the item
    at each of their ranks is relevant with probability m / e, from which Recall, NDCG and (with the probability of
    pairs) MAP follow; HR and MRR follow from the chance that the first j of them have none that is relevant.

    Args:
        scores: of whole rankings, -inf where there is no item.
        hits: which items of the rankings are relevant, in any order of equal scores.
        ks: cut-offs, at most C.

    References:
        McSherry and Najork, Computing information retrieval performance measures efficiently in the presence of tied
        scores, ECIR 2008.

    Example:
        >>> hits = Hits(at=np.array([[True, False, False, False]]), relevant=np.array([1]))
        >>> found = expected_metrics(np.zeros((1, 4)), hits, [2])
        >>> round(found["HR@2"].item(), 6), round(found["MRR@2"].item(), 6)
        (0.5, 0.375)
    """
    users, items = scores.shape
    rank = np.arange(items)
    is_first = np.ones((users, items), dtype=bool)
    is_first[:, 1:] = scores[:, 1:] != scores[:, :-1]
    starts = np.maximum.accumulate(np.where(is_first, rank, 0), axis=1)
    is_last = np.ones((users, items), dtype=bool)
    is_last[:, :-1] = is_first[:, 1:]
    ends = np.minimum.accumulate(np.where(is_last, rank + 1, items)[:, ::-1], axis=1)[:, ::-1]
    found = np.concatenate([np.zeros((users, 1), dtype=np.int64), np.cumsum(hits.at, axis=1)], axis=1)
    width = max(ks)
    s, e = starts[:, :width], (ends - starts)[:, :width]
    c = np.take_along_axis(found, s, axis=1)
    m = np.take_along_axis(found, s + e, axis=1) - c
    j = rank[:width] - s  # items with the same score before this one
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, items + 2)))])  # of factorials

    def log_choose(n: NDArray[np.int64], k: NDArray[np.int64]) -> Floats:
        good = (k >= 0) & (n >= k)
        n, k = np.where(good, n, 0), np.where(good, k, 0)
        return np.where(good, logs[n] - logs[k] - logs[n - k], -np.inf)

    chance = m / e
    # That none of the relevant ones is among the first j + 1 of them; and that the first one is the (j + 1)-th.
    none = np.where(c > 0, 0.0, np.exp(log_choose(e - m, j + 1) - log_choose(e, j + 1)))
    first = np.where((c == 0) & (m > 0), np.exp(log_choose(e - j - 1, m - 1) - log_choose(e, m)), 0.0)
    precision = chance * (c + 1 + j * (m - 1) / np.maximum(e - 1, 1)) / (rank[:width] + 1)
    gains = 1 / np.log2(np.arange(2, width + 2))
    n = np.maximum(hits.relevant, 1)
    values: dict[str, Floats] = {}
    for k in ks:
        ideal = np.concatenate([[1.0], np.cumsum(gains[:k])])[np.minimum(hits.relevant, k)]
        values[f"HR@{k}"] = 1 - none[:, k - 1]
        values[f"Recall@{k}"] = chance[:, :k].sum(axis=1) / n
        values[f"NDCG@{k}"] = (chance[:, :k] @ gains[:k]) / ideal
        values[f"MRR@{k}"] = (first / (rank[:width] + 1))[:, :k].sum(axis=1)
        values[f"MAP@{k}"] = precision[:, :k].sum(axis=1) / n
    return {name: np.where(hits.relevant > 0, found, np.nan) for name, found in values.items()}
