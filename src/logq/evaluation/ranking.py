"""Full rankings measured: how well the items that come next stand in the ranking of ALL items.

Every item is ranked. Metrics of a ranking among a few sampled items are not offered: they are other numbers, which can
put models in another order (Krichene and Rendle, On sampled metrics for item recommendation, KDD 2020; a computed
example is in docs/ranking-evaluation.md).
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import check_float, check_int
from logq.evaluation.ranking_metrics import METRICS, Csr, Hits, check_csr, check_ranked, unique_per_user, where_relevant
from logq.evaluation.ranking_scores import Interval, RankingScores, bootstrap_interval, mean_of

__all__ = ["coverage", "evaluate_ranking", "mean_popularity", "top_items"]

Scores: TypeAlias = NDArray[np.floating[Any]]


def top_items(
    scores: Scores,  # (U, C)
    k: int,
    *,
    exclude: Csr | None = None,
) -> NDArray[np.int64]:
    """Return the k items with the highest scores of each user, best first; of equal scores the lower item first.

    Args:
        scores: one for each user and item, no NaN; -inf is never ranked. It is not changed.
        k: how long the rankings shall be.
        exclude: items that a user must not get, such as those seen before: (items, offsets), those of user u are
            items[offsets[u] : offsets[u + 1]].

    Returns:
        (U, k) int64; -1 where no item is left.

    Raises:
        TypeError: `scores` are no floating numbers, or `exclude` is no pair of integers.
        ValueError: a shape does not fit, a score is NaN, or an item is none of C.

    Example:
        >>> top_items(np.array([[0.1, 0.9, 0.5, 0.5]]), 3).tolist()
        [[1, 2, 3]]
        >>> top_items(np.array([[0.1, 0.9, 0.5, 0.5]]), 3, exclude=([1, 2], [0, 2])).tolist()
        [[3, 0, -1]]
    """
    values = np.asarray(scores)
    k = check_int("k", k)
    if values.dtype.kind != "f":
        raise TypeError(f"scores: expected floating numbers, got {values.dtype}")
    if values.ndim != 2:
        raise ValueError(f"scores: expected shape (U, C), got {values.shape}")
    users, items = values.shape
    negative = np.negative(values)  # so that the first is the best
    if np.isnan(negative.max(initial=-np.inf)):
        user, item = (int(number) for number in np.argwhere(np.isnan(values))[0])
        raise ValueError(f"scores: expected numbers, got nan for user {user}, item {item}")
    if exclude is not None:
        unwanted, offsets = check_csr("exclude", exclude, users)
        wrong = unwanted[(unwanted < 0) | (unwanted >= items)]
        if len(wrong):
            raise ValueError(f"exclude: expected items from 0 to {items - 1}, got {int(wrong[0])}")
        negative[np.repeat(np.arange(users), np.diff(offsets)), unwanted] = np.inf
    ranked = np.full((users, k), -1, dtype=np.int64)
    if users and items:
        found = _lowest(negative, min(k, items))
        ranked[:, : found.shape[1]] = np.where(np.take_along_axis(negative, found, 1) == np.inf, -1, found)
    return ranked


def _lowest(values: Scores, k: int) -> NDArray[np.int64]:
    """Return the places of the k lowest values of each row, (U, k), equal ones by place."""
    if k == values.shape[1]:
        return np.argsort(values, axis=1, kind="stable")
    places = np.argpartition(values, k, axis=1)  # the first k are the lowest, and then comes the next one
    chosen = np.sort(places[:, :k], axis=1)
    lowest = np.take_along_axis(values, chosen, 1)
    order = np.argsort(lowest, axis=1, kind="stable")
    ranked = np.take_along_axis(chosen, order, 1)
    # Which of those that share the last value are among the first k is chance: such rows are sorted.
    following = np.take_along_axis(values, places[:, k : k + 1], 1)[:, 0]
    last = lowest.max(axis=1)
    tied = np.flatnonzero((following == last) & (last < np.inf))
    if len(tied):
        ranked[tied] = np.argsort(values[tied], axis=1, kind="stable")[:, :k]
    return ranked


Floats: TypeAlias = NDArray[np.float64]


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
) -> RankingScores:
    """Measure rankings by HR, Recall, NDCG, MRR, MAP, coverage and popularity bias.

    HR, Recall, NDCG, MRR and MAP are means over users of what logq.evaluation.ranking_metrics defines. Over users too:

        coverage@k        = |union of the first k of all users| / C
        popularity_bias@k = mean_u mean_{i in first k of u} count(i)  /  mean_u mean_{i relevant to u} count(i)

    A popularity bias of 1 says that what is recommended is as popular as what is relevant; above 1 it is more popular.
    Its value of a user is the first inner mean divided by the whole denominator. No interval is given for coverage: a
    resample has fewer different users, so that its coverage is always too low.

    Args:
        ranked: (U, K) rankings; items that were seen before are in them or not, as the caller ranked them: say which
            in `about`, as the numbers are not comparable.
        truth: (items, offsets): those relevant to user u are items[offsets[u] : offsets[u + 1]].
        ks: numbers of places to look at, each at most K.
        num_items: C; coverage is measured where it or `item_counts` is given.
        item_counts: how often each item occurs in what the model was trained on, for the popularity bias.
        resamples: of the bootstrap over users; 0 gives no intervals.
        confidence: share of resamples inside of an interval, below 1.
        seed: of the bootstrap.
        about: how the rankings came about, kept with the scores.

    Raises:
        TypeError: an argument has a type or dtype that it cannot have.
        ValueError: a shape or number does not fit; the message names the first.

    References:
        Yin, Cui, Li, Yao and Chen, Challenging the long tail recommendation, VLDB 2012, for the mean popularity.

    Example:
        >>> scores = evaluate_ranking([[3, 1, 2], [4, 0, 1]], ([2, 4], [0, 1, 2]), ks=[1, 3], num_items=5)
        >>> scores["HR@1"], scores["HR@3"], scores["NDCG@3"], scores["coverage@1"]
        (0.5, 1.0, 0.75, 0.4)
    """
    rows = check_ranked(ranked)
    given = check_csr("truth", truth, len(rows))
    relevant = unique_per_user(given)
    hits = Hits(where_relevant(rows, relevant), np.diff(relevant.offsets))
    ks = tuple(dict.fromkeys(check_int("ks", k) for k in ks))
    if not ks or max(ks) > rows.shape[1]:
        raise ValueError(f"ks: expected numbers from 1 to the {rows.shape[1]} places of the rankings, got {list(ks)}")
    resamples = check_int("resamples", resamples, 0)
    confidence = check_float("confidence", confidence, above=0, at_most=1 - 1e-9)
    items, counts = _catalogue(
        num_items, item_counts, max(int(rows.max(initial=-1)), int(relevant.items.max(initial=-1)))
    )
    judged = hits.relevant > 0

    values: dict[str, float] = {}
    intervals: dict[str, Interval] = {}
    per_user: dict[str, Floats] = {}

    def keep(name: str, numerators: Floats, denominators: Floats) -> None:
        told = ~np.isnan(numerators) & judged
        sums = np.stack([numerators[told], denominators[told]], 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            values[name] = float(mean_of(sums.sum(0, keepdims=True))[0])
            per_user[name] = numerators / denominators[told].mean() if told.any() else numerators
            if resamples:
                intervals[name] = bootstrap_interval(
                    sums, mean_of, resamples=resamples, confidence=confidence, seed=seed
                )

    for name, metric in METRICS.items():
        for k in ks:
            keep(f"{name}@{k}", metric(hits, k), np.ones(len(rows)))
    if items is not None:
        values |= {f"coverage@{k}": coverage(rows[judged, :k], items) for k in ks}
    if counts is not None:
        users = np.repeat(np.arange(len(rows)), hits.relevant)
        popular = np.bincount(users, counts[relevant.items], len(rows)) / np.maximum(hits.relevant, 1)
        for k in ks:
            keep(f"popularity_bias@{k}", np.where(judged, mean_popularity(rows[:, :k], counts), np.nan), popular)
    how = {"confidence": confidence, "resamples": resamples, "seed": seed, "num_items": items, **(about or {})}
    return RankingScores(
        ks=ks,
        values=values,
        intervals=intervals,
        per_user=per_user,
        users=int(judged.sum()),
        left_out=int((~judged).sum()),
        unknown_items=int((given.items < 0).sum()),
        about=how,
    )


def coverage(
    ranked: NDArray[np.int64],  # (U, K), -1 where there is none
    num_items: int,
) -> float:
    """Return the share of all items that somebody gets.

        |{ i : i in the ranking of some user }| / C

    Example:
        >>> coverage(np.array([[0, 1], [1, -1]]), 8)
        0.25
    """
    seen = np.zeros(check_int("num_items", num_items), dtype=bool)
    seen[ranked[ranked >= 0]] = True
    return float(seen.mean())


def mean_popularity(
    ranked: NDArray[np.int64],  # (U, K), -1 where there is none
    item_counts: NDArray[np.float64],  # (C,)
) -> Floats:
    """Return the mean count of the items in each ranking, (U,); NaN for an empty ranking.

    Example:
        >>> mean_popularity(np.array([[0, 1], [1, -1]]), np.array([10.0, 4.0])).tolist()
        [7.0, 4.0]
    """
    there = ranked >= 0
    sizes = there.sum(axis=1)
    sums = np.where(there, item_counts[np.where(there, ranked, 0)], 0).sum(axis=1)
    return np.where(sizes > 0, sums / np.maximum(sizes, 1), np.nan)


def _catalogue(num_items: int | None, item_counts: ArrayLike | None, last: int) -> tuple[int | None, Floats | None]:
    """Return C and the counts of items, as far as they are known."""
    counts = None
    if item_counts is not None:
        counts = np.asarray(item_counts)
        if counts.ndim != 1 or counts.dtype.kind not in "iuf" or (num_items is not None and len(counts) != num_items):
            raise ValueError(
                f"item_counts: expected ({'C' if num_items is None else num_items},) numbers, "
                f"got {counts.dtype} {counts.shape}"
            )
        counts = counts.astype(np.float64)
        wrong = ~(np.isfinite(counts) & (counts >= 0))
        if wrong.any():
            raise ValueError(f"item_counts: expected finite numbers >= 0, got {counts[wrong][0]:g}")
    items = check_int("num_items", num_items) if num_items is not None else None if counts is None else len(counts)
    if items is not None and last >= items:
        raise ValueError(f"ranked, truth: expected items below {items}, got {last}")
    return items, counts
