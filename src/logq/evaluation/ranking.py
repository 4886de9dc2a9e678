"""Evaluation of full rankings: how high the items that come next are in the ranking of ALL items.

Every item is ranked. Metrics of rankings among a few sampled items are not offered: they are different numbers, which
can rank models differently (Krichene and Rendle, On sampled metrics for item recommendation, KDD 2020; a computed
example is in docs/ranking-evaluation.md).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_float, check_int
from logq.evaluation.ranking_metrics import (
    METRICS,
    Csr,
    Flat,
    Hits,
    check_csr,
    check_ranked,
    unique_per_user,
    where_relevant,
)
from logq.evaluation.ranking_scores import Interval, RankingScores, bootstrap_interval, mean_of
from logq.evaluation.ranking_ties import tie_order
from logq.evaluation.ranking_variety import coverage, diversity, gini, mean_popularity, novelty, serendipity
from logq.logs.features import Features

__all__ = ["evaluate_ranking", "top_items"]

Scores: TypeAlias = NDArray[np.floating[Any]]
Floats: TypeAlias = NDArray[np.float64]
Ties: TypeAlias = Literal["random", "lower"]


def top_items(
    scores: Scores,  # (U, C)
    k: int,
    *,
    exclude: Csr | None = None,
    ties: Ties = "random",
) -> NDArray[np.int64]:
    """Return the k items with the highest scores of each user, best first.

    Args:
        scores: one for each user and item, not NaN; -inf is never ranked.
        k: length of the rankings.
        exclude: items to exclude for each user, such as those seen before: (items, offsets), those of user u are
            items[offsets[u] : offsets[u + 1]].
        ties: how equal scores are ranked. "random" takes an order that looks random and is always the same
            (`tie_order`); "lower" puts the lower item first, and favors the most frequent items where items are
            numbered by frequency, as those of Interactions are.

    Returns:
        (U, k) int64; -1 where no item is left.

    Raises:
        ArgumentTypeError: `scores` are not floating point numbers, or `exclude` is not a pair of arrays of integers.
        ArgumentError: a shape does not fit, a score is NaN, an item is not in [0, C), or `ties` is not one of the two.

    Example:
        >>> top_items(np.array([[0.1, 0.9, 0.5, 0.5]]), 3, ties="lower").tolist()
        [[1, 2, 3]]
        >>> top_items(np.array([[0.1, 0.9, 0.5, 0.4]]), 3, exclude=([1, 2], [0, 2])).tolist()
        [[3, 0, -1]]
    """
    values = np.asarray(scores)
    k = check_int("k", k)
    if ties not in ("random", "lower"):
        raise ArgumentError("ties", "'random' or 'lower'", ties)
    if values.dtype.kind != "f":
        raise ArgumentTypeError("scores", "floating point numbers", Verbatim(values.dtype))
    if values.ndim != 2:
        raise ArgumentError("scores", "shape (U, C)", values.shape)
    users, items = values.shape
    negative = np.negative(values)  # the lowest is the best
    if np.isnan(negative.max(initial=-np.inf)):
        user, item = (int(number) for number in np.argwhere(np.isnan(values))[0])
        raise ArgumentError("scores", "numbers", Verbatim(f"nan for user {user}, item {item}"))
    if exclude is not None:
        unwanted, offsets = check_csr("exclude", exclude, users)
        wrong = unwanted[(unwanted < 0) | (unwanted >= items)]
        if len(wrong):
            raise ArgumentError("exclude", f"items in [0, {items})", int(wrong[0]))
        negative[np.repeat(np.arange(users), np.diff(offsets)), unwanted] = np.inf
    ranked = np.full((users, k), -1, dtype=np.int64)
    if users and items:
        order = np.argsort(tie_order(np.arange(items))) if ties == "random" else np.arange(items)
        if ties == "random":
            negative = negative[:, order]
        found = _lowest(negative, min(k, items))
        left = np.take_along_axis(negative, found, 1) < np.inf
        ranked[:, : found.shape[1]] = np.where(left, order[found], -1)
    return ranked


def _lowest(values: Scores, k: int) -> NDArray[np.int64]:
    """Return the columns of the k lowest values of each row, (U, k), equal ones in order of column."""
    if k == values.shape[1]:
        return np.argsort(values, axis=1, kind="stable")
    columns = np.argpartition(values, k, axis=1)  # the k lowest, then the next one
    chosen = np.sort(columns[:, :k], axis=1)
    lowest = np.take_along_axis(values, chosen, 1)
    order = np.argsort(lowest, axis=1, kind="stable")
    ranked = np.take_along_axis(chosen, order, 1)
    # Which of those that share the last value are among the first k is arbitrary: such rows are sorted.
    following = np.take_along_axis(values, columns[:, k : k + 1], 1)[:, 0]
    last = lowest.max(axis=1)
    tied = np.flatnonzero((following == last) & (last < np.inf))
    if len(tied):
        ranked[tied] = np.argsort(values[tied], axis=1, kind="stable")[:, :k]
    return ranked


def evaluate_ranking(
    ranked: Any,  # (U, K) items, best first, -1 where there is none
    truth: Csr,
    *,
    ks: Sequence[int] = (10, 50),
    num_items: int | None = None,
    item_counts: ArrayLike | None = None,  # (C,)
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    per_user: Mapping[str, ArrayLike] | None = None,
    item_vectors: ArrayLike | Features | None = None,  # (C, D)
    item_segments: Mapping[str, ArrayLike] | None = None,  # each (C,)
    user_segments: Mapping[str, ArrayLike] | None = None,  # each (U,)
) -> RankingScores:
    """Evaluate rankings by HR, Recall, NDCG, MRR and MAP, and what is recommended by its popularity and variety.

    HR, Recall, NDCG, MRR and MAP are means over users of what logq.evaluation.ranking_metrics defines; novelty,
    serendipity and diversity of what logq.evaluation.ranking_variety does, which also defines gini. Moreover:

        coverage@k        = |union of the first k of all users| / C
        popularity_bias@k = mean_u mean_{i in first k of u} count(i)  /  mean_u mean_{i relevant to u} count(i)

    A popularity bias of 1 means that recommended items are as popular as relevant ones, above 1 that they are more
    popular. Its value for a user is the first inner mean divided by the whole denominator. There is no interval of
    coverage and gini: a resample has fewer different users, so its coverage is always too low.

    Args:
        ranked: (U, K) rankings. Items that were seen before may be in them or not, and these numbers are not
            comparable: note in `about` which it is.
        truth: (items, offsets): those relevant to user u are items[offsets[u] : offsets[u + 1]].
        ks: lengths to cut the rankings at, each at most K.
        num_items: C; coverage and gini are computed where it or `item_counts` is given.
        item_counts: how often each item occurs in the training data, for popularity bias, novelty and serendipity.
        resamples: of the bootstrap over users; 0 for no intervals.
        confidence: share of resamples inside an interval, below 1.
        seed: of the bootstrap.
        about: how the rankings were made, stored with the scores.
        per_user: (U,) by names such as "NDCG@10", values that take the place of those of the rankings, such as the
            mean over all orders of equal scores (logq.evaluation.ranking_ties).
        item_vectors: vectors of items, or Features of them, for the diversity.
        item_segments: masks of items by name, such as "tail items": `segments` of the result has HR, Recall, NDCG, MRR
            and MAP with these items alone as relevant, of the users who have one. They are those of the rankings,
            without what `per_user` says.
        user_segments: masks of users by name, such as "cold users": the same of these users alone.

    Raises:
        ArgumentTypeError: an argument has a wrong type or dtype.
        ArgumentError: a shape or number does not fit; the message names the first.

    References:
        Yin, Cui, Li, Yao and Chen, Challenging the long tail recommendation, VLDB 2012, for the mean popularity.

    Example:
        >>> scores = evaluate_ranking([[3, 1, 2], [4, 0, 1]], ([2, 4], [0, 1, 2]), ks=[1, 3], num_items=5)
        >>> scores["HR@1"], scores["HR@3"], scores["NDCG@3"], scores["coverage@1"]
        (0.5, 1.0, 0.75, 0.4)
        >>> tail = {"tail items": [False, False, False, True, True]}
        >>> scores = evaluate_ranking([[3, 1, 2], [4, 0, 1]], ([2, 4], [0, 1, 2]), ks=[1], item_segments=tail)
        >>> scores.segments["tail items"].users, scores.segments["tail items"]["HR@1"]
        (1, 1.0)
    """
    rows = check_ranked(ranked)
    given = check_csr("truth", truth, len(rows))
    relevant = unique_per_user(given)
    hits = Hits(where_relevant(rows, relevant), np.diff(relevant.offsets))
    ks = tuple(dict.fromkeys(check_int("ks", k) for k in ks))
    if not ks or max(ks) > rows.shape[1]:
        raise ArgumentError("ks", f"integers from 1 to {rows.shape[1]}, the length of the rankings", list(ks))
    resamples = check_int("resamples", resamples, 0)
    confidence = check_float("confidence", confidence, above=0, at_most=1 - 1e-9)
    items, counts = _catalog(num_items, item_counts, ranked=rows, truth=relevant.items)
    means = _Means(hits.relevant > 0, resamples, confidence, seed)
    judged = means.judged
    means.keep_all(hits, ks, per_user or {})
    if items is not None:
        for name, measure in (("coverage", coverage), ("gini", gini)):
            means.values |= {f"{name}@{k}": measure(rows[judged, :k], items) for k in ks}
    if counts is not None:
        users = np.repeat(np.arange(len(rows)), hits.relevant)
        popular = np.bincount(users, counts[relevant.items], len(rows)) / np.maximum(hits.relevant, 1)
        for k in ks:
            means.keep(f"popularity_bias@{k}", mean_popularity(rows[:, :k], counts), popular)
        for k in ks:
            means.keep(f"novelty@{k}", novelty(rows[:, :k], counts))
        for k in ks:
            means.keep(f"serendipity@{k}", serendipity(rows[:, :k], hits.at[:, :k], hits.relevant, counts))
    if item_vectors is not None:
        described = _described(item_vectors, items, rows)
        for k in ks:
            means.keep(f"diversity@{k}", diversity(rows[:, :k], described))
    segments: dict[str, RankingScores] = {}
    for name, mask in (item_segments or {}).items():
        kept = _mask(f"item_segments[{name!r}]", mask, items)
        segments[name] = means.of_items(rows, relevant, kept, ks)
    for name, mask in (user_segments or {}).items():
        segments[name] = means.of_users(_mask(f"user_segments[{name!r}]", mask, len(rows)), ks)
    how = {"confidence": confidence, "resamples": resamples, "seed": seed, "num_items": items, **(about or {})}
    return RankingScores(
        ks=ks,
        values=means.values,
        intervals=means.intervals,
        per_user=means.per_user,
        users=int(judged.sum()),
        left_out=int((~judged).sum()),
        unknown_items=int((given.items < 0).sum()),
        about=how,
        segments=segments,
    )


class _Means:
    """Means over the users who have a relevant item, with their intervals.

    Args:
        judged: who they are (U,).
        resamples, confidence, seed: of the bootstrap.
    """

    def __init__(self, judged: NDArray[np.bool_], resamples: int, confidence: float, seed: int) -> None:
        self.judged = judged
        self.bootstrap: dict[str, Any] = {"resamples": resamples, "confidence": confidence, "seed": seed}
        self.values: dict[str, float] = {}
        self.intervals: dict[str, Interval] = {}
        self.per_user: dict[str, Floats] = {}

    def keep(self, name: str, numerators: Floats, denominators: Floats | None = None) -> None:
        """Take a metric of users (U,); its mean is the ratio of two where there is a denominator."""
        numerators = np.where(self.judged, numerators, np.nan)
        below = np.ones(len(numerators)) if denominators is None else denominators
        counted = ~np.isnan(numerators)
        sums = np.stack([numerators[counted], below[counted]], 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            self.values[name] = float(mean_of(sums.sum(0, keepdims=True))[0])
            self.per_user[name] = numerators / below[counted].mean() if counted.any() else numerators
            if self.bootstrap["resamples"]:
                self.intervals[name] = bootstrap_interval(sums, mean_of, **self.bootstrap)

    def keep_all(self, hits: Hits, ks: Sequence[int], given: Mapping[str, ArrayLike]) -> None:
        """Take the metrics of hits, or what is given for them."""
        for name, metric in METRICS.items():
            for k in ks:
                value = given.get(f"{name}@{k}")
                self.keep(f"{name}@{k}", metric(hits, k) if value is None else np.asarray(value))

    def of_items(self, ranked: NDArray[np.int64], relevant: Flat, kept: NDArray[np.bool_], ks: Sequence[int]) -> Any:
        """The scores where of the relevant items some are kept."""
        mine = kept[relevant.items]
        part = Flat(relevant.items[mine], np.concatenate([[0], np.cumsum(mine)])[relevant.offsets])
        hits = Hits(where_relevant(ranked, part), np.diff(part.offsets))
        means = _Means(hits.relevant > 0, **self.bootstrap)
        means.keep_all(hits, ks, {})
        return means.scores(ks)

    def of_users(self, kept: NDArray[np.bool_], ks: Sequence[int]) -> RankingScores:
        """The scores of some users."""
        means = _Means(self.judged & kept, **self.bootstrap)
        for name in (f"{metric}@{k}" for metric in METRICS for k in ks):
            means.keep(name, self.per_user[name])
        return means.scores(ks)

    def scores(self, ks: Sequence[int]) -> RankingScores:
        """The means as they are so far."""
        count = int(self.judged.sum())
        about = {name: value for name, value in self.bootstrap.items() if name == "confidence"}
        return RankingScores(tuple(ks), self.values, self.intervals, self.per_user, users=count, about=about)


def _mask(name: str, value: ArrayLike, size: int | None) -> NDArray[np.bool_]:
    mask = np.asarray(value)
    if mask.dtype != np.bool_ or mask.ndim != 1 or (size is not None and len(mask) != size):
        raise ArgumentError(name, f"a mask of {'C' if size is None else size}", Verbatim(f"{mask.dtype} {mask.shape}"))
    return mask


def _described(value: ArrayLike | Features, items: int | None, ranked: NDArray[np.int64]) -> NDArray[Any] | Features:
    """Check the vectors, or features, of items."""
    table = value if isinstance(value, Features) else np.asarray(value)
    if not isinstance(table, Features) and (table.ndim != 2 or table.dtype.kind not in "iuf"):
        raise ArgumentError("item_vectors", "shape (C, D) of numbers", Verbatim(f"{table.dtype} {table.shape}"))
    least = int(ranked.max(initial=-1)) + 1
    if len(table) < least or (items is not None and len(table) != items):
        expected = f"{items} rows" if items is not None else f"at least {least} rows"
        raise ArgumentError("item_vectors", expected, len(table))
    return table


def _catalog(
    num_items: int | None, item_counts: ArrayLike | None, **items_of: NDArray[np.int64]
) -> tuple[int | None, Floats | None]:
    """Return C and the counts of items, if known, and check the items of arguments against C."""
    counts = None
    if item_counts is not None:
        counts = np.asarray(item_counts)
        if counts.ndim != 1 or counts.dtype.kind not in "iuf" or (num_items is not None and len(counts) != num_items):
            raise ArgumentError(
                "item_counts",
                f"shape ({'C' if num_items is None else num_items},) of numbers",
                Verbatim(f"{counts.dtype} {counts.shape}"),
            )
        counts = counts.astype(np.float64)
        wrong = ~(np.isfinite(counts) & (counts >= 0))
        if wrong.any():
            raise ArgumentError("item_counts", "finite numbers >= 0", Verbatim(f"{counts[wrong][0]:g}"))
    items = check_int("num_items", num_items) if num_items is not None else None if counts is None else len(counts)
    for name, found in items_of.items():
        if items is not None and found.max(initial=-1) >= items:
            raise ArgumentError(name, f"items below {items}", int(found.max()))
    return items, counts
