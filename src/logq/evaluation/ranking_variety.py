"""What is recommended, whatever users did: coverage, Gini, popularity, novelty and diversity; and serendipity."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq._arguments import check_float, check_int
from logq.evaluation.ranking_ties import tie_order
from logq.logs.features import Features

__all__ = [
    "coverage",
    "diversity",
    "gini",
    "head_items",
    "mean_popularity",
    "novelty",
    "serendipity",
]

Ranked: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

_NUMBERS = 1 << 22  # in memory at a time


def coverage(
    ranked: Ranked,  # (U, K), -1 where there is none
    num_items: int,
) -> float:
    """Return the share of all items that are recommended to some user.

        |{ i : i in the ranking of some user }| / C

    Example:
        >>> coverage(np.array([[0, 1], [1, -1]]), 8)
        0.25
    """
    seen = np.zeros(check_int("num_items", num_items), dtype=bool)
    seen[ranked[ranked >= 0]] = True
    return float(seen.mean())


def gini(
    ranked: Ranked,  # (U, K), -1 where there is none
    num_items: int,
) -> float:
    """Return how unequally recommendations are spread over all items: 0 all alike, near 1 all of a few items.

        sum_{j = 1 .. C} (2 j - C - 1) n_(j)  /  (C sum_j n_(j)),   n_(1) <= n_(2) <= ...: recommendations of each item

    NaN where nothing is recommended.

    References:
        Fleder and Hosanagar, Blockbuster culture's next rise or fall, Management Science 2009.

    Example:
        >>> gini(np.array([[0], [1]]), 2), gini(np.array([[0], [0]]), 2)
        (0.0, 0.5)
    """
    items = check_int("num_items", num_items)
    counts = np.sort(np.bincount(ranked[ranked >= 0], minlength=items))
    total = int(counts.sum())
    ranks = 2 * np.arange(1, items + 1) - items - 1
    return float(ranks @ counts / (items * total)) if total else float("nan")


def mean_popularity(
    ranked: Ranked,  # (U, K), -1 where there is none
    item_counts: Floats,  # (C,)
) -> Floats:
    """Return the mean count of the items in each ranking, (U,); NaN for an empty ranking.

    Example:
        >>> mean_popularity(np.array([[0, 1], [1, -1]]), np.array([10.0, 4.0])).tolist()
        [7.0, 4.0]
    """
    present = ranked >= 0
    sizes = present.sum(axis=1)
    sums = np.where(present, item_counts[np.where(present, ranked, 0)], 0).sum(axis=1)
    return np.where(sizes > 0, sums / np.maximum(sizes, 1), np.nan)


def novelty(
    ranked: Ranked,  # (U, K), -1 where there is none
    item_counts: Floats,  # (C,)
) -> Floats:
    """Return the mean self-information of the items in each ranking, (U,), in bits; NaN for an empty ranking.

        mean_i -log2 p(i),   p(i) = max(count(i), 1) / sum of all counts

    An item that one event in a thousand is of has 10 bits.

    References:
        Zhou, Kuscsik, Liu, Medo, Wakeling and Zhang, Solving the apparent diversity-accuracy dilemma of recommender
        systems, PNAS 2010; Vargas and Castells, Rank and relevance in novelty and diversity metrics, RecSys 2011.

    Example:
        >>> novelty(np.array([[0, 1], [1, -1]]), np.array([6.0, 2.0])).round(3).tolist()
        [1.208, 2.0]
    """
    bits = np.log2(max(item_counts.sum(), 1)) - np.log2(np.maximum(item_counts, 1))
    return mean_popularity(ranked, bits)


def diversity(
    ranked: Ranked,  # (U, K), -1 where there is none
    items: NDArray[np.floating] | Features,  # (C, D)
) -> Floats:
    """Return how different the items in each ranking are, (U,); NaN for a ranking of fewer than two.

        mean over pairs of items of 1 - cos(v_i, v_j)

    Args:
        ranked: the rankings.
        items: vectors v (C, D); or Features, of which v has a 1 for each known value of an item and a 0 for others, so
            that two items with a of n and m values in common have a cosine of a / sqrt(n m). A vector of zeros has a
            cosine of 0 to all.

    References:
        Smyth and McClave, Similarity vs. diversity, ICCBR 2001; Ziegler, McNee, Konstan and Lausen, Improving
        recommendation lists through topic diversification, WWW 2005.

    Example:
        >>> vectors = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
        >>> diversity(np.array([[0, 1, -1], [0, 2, -1], [0, 1, 2]]), vectors).round(3).tolist()
        [1.0, 0.0, 0.667]
    """
    users, length = ranked.shape
    table = _FeatureRows(items) if isinstance(items, Features) else _UnitRows(items)
    found = np.full(users, np.nan)
    step = max(1, _NUMBERS // max(1, length * table.width))
    for begin in range(0, users, step):
        part = ranked[begin : begin + step]
        squares, own = table.sums(part)
        sizes = (part >= 0).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            # The squared length of the sum of unit vectors is the sum of the cosines of all ordered pairs.
            found[begin : begin + step] = 1 - np.where(sizes > 1, (squares - own) / (sizes * (sizes - 1)), np.nan)
    return found


class _UnitRows:
    """Items as vectors of length one."""

    def __init__(self, vectors: NDArray[np.floating]) -> None:
        rows = np.asarray(vectors, dtype=np.float64)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        self.rows = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
        self.own = (norms[:, 0] > 0).astype(np.float64)
        self.width = rows.shape[1]

    def sums(self, ranked: Ranked) -> tuple[Floats, Floats]:
        """The squared length (U,) of the sum of the vectors of each ranking, and the sum of their squared lengths."""
        present = ranked >= 0
        at = np.where(present, ranked, 0)
        total = np.einsum("ukd,uk->ud", self.rows[at], present.astype(np.float64))
        return np.einsum("ud,ud->u", total, total), (self.own[at] * present).sum(axis=1)


class _FeatureRows:
    """Items as the sets of their known values, each set a vector of length one."""

    def __init__(self, features: Features) -> None:
        columns: list[NDArray[np.int64]] = []
        self.values = 0
        for name, size in features.sizes.items():
            codes = np.asarray(features.values[name], dtype=np.int64).reshape(len(features), -1)
            columns.append(np.where(codes > 0, codes + self.values, -1))
            self.values += size
        self.codes = np.concatenate(columns, axis=1) if columns else np.full((len(features), 1), -1)
        self.width = self.codes.shape[1]
        known = (self.codes >= 0).sum(axis=1)
        self.weights = 1 / np.sqrt(np.maximum(known, 1))
        self.own = (known > 0).astype(np.float64)

    def sums(self, ranked: Ranked) -> tuple[Floats, Floats]:
        """As _UnitRows.sums, by the sum of each value that occurs in a ranking."""
        present = ranked >= 0
        at = np.where(present, ranked, 0)
        codes = np.where(present[..., None], self.codes[at], -1)
        users, places, _ = np.nonzero(codes >= 0)
        keys, inverse = np.unique(users * (self.values + 1) + codes[codes >= 0], return_inverse=True)
        totals = np.bincount(inverse.reshape(-1), self.weights[at[users, places]], minlength=len(keys))
        squares = np.bincount(keys // (self.values + 1), totals**2, minlength=len(ranked))
        return squares.astype(np.float64), (self.own[at] * present).sum(axis=1)


def serendipity(
    ranked: Ranked,  # (U, K), -1 where there is none
    at: NDArray[np.bool_],  # (U, K)
    relevant: NDArray[np.int64],  # (U,)
    item_counts: Floats,  # (C,)
) -> Floats:
    """Return the share of relevant items in each ranking that popularity would not have recommended, (U,).

        |{ i in the ranking : i relevant, i not among the K items with most events }|  /  n

    At most the recall. It is what Ge et al. call useful and unexpected, with popularity as the primitive model; they
    divide by the number of unexpected items in the ranking instead of n. NaN for users without a relevant item.

    Args:
        ranked: the rankings, of K items.
        at: whether the item at a rank is relevant.
        relevant: the number n of relevant items.
        item_counts: how often each item occurs in the training data.

    References:
        Ge, Delgado-Battenfeld and Jannach, Beyond accuracy: evaluating recommender systems by coverage and serendipity,
        RecSys 2010; Kotkov, Wang and Veijalainen, A survey of serendipity in recommender systems, KBS 2016.

    Example:
        >>> hits, counts = np.array([[True, False], [True, False]]), np.array([9.0, 8.0, 7.0])
        >>> serendipity(np.array([[2, 0], [0, 2]]), hits, np.array([1, 1]), counts).tolist()
        [1.0, 0.0]
    """
    expected = np.zeros(len(item_counts), dtype=bool)
    order = np.lexsort((tie_order(np.arange(len(item_counts))), -item_counts))
    expected[order[: ranked.shape[1]]] = True
    surprising = at & ~expected[np.maximum(ranked, 0)]
    return np.where(relevant > 0, surprising.sum(axis=1) / np.maximum(relevant, 1), np.nan)


def head_items(
    item_counts: Floats,  # (C,)
    share: float = 0.8,
) -> NDArray[np.bool_]:
    """Return which items are the head, (C,): the fewest that have this share of all events; the others are the tail.

    Items with as many events as the last of them are of the tail unless they are needed.

    Raises:
        ArgumentError: the share is not in (0, 1].

    Example:
        >>> head_items(np.array([1.0, 6.0, 1.0, 2.0])).tolist()
        [False, True, False, True]
    """
    share = check_float("share", share, above=0, at_most=1)
    order = np.lexsort((tie_order(np.arange(len(item_counts))), -item_counts))
    before = np.concatenate([[0.0], np.cumsum(item_counts[order])[:-1]])
    head = np.zeros(len(item_counts), dtype=bool)
    head[order[before < share * item_counts.sum()]] = True
    return head
