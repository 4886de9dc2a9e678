"""Measuring a recommender on what users did afterwards, by full ranking."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from logq.arguments import check_int, shown
from logq.data.logs import Identifiers, Interactions
from logq.evaluation import RankingScores, evaluate_ranking
from logq.recommenders.histories import Histories
from logq.recommenders.ranker import Ranker
from logq.recommenders.seen import gather_rows

__all__ = ["measure"]


def measure(
    ranker: Ranker,
    truth: Interactions,
    history: Interactions | None,
    ks: Sequence[int],
    exclude_seen: bool,
    progress: bool | None = False,
    resamples: int = 1000,
) -> RankingScores:
    """Rank all items for the users of a test, and compare with what they did.

    Args:
        ranker: a fitted recommender.
        truth: what users did.
        history: what they did before, with the ids of `truth`; None for what the recommender has seen.
        ks: cut-offs, or one.
        exclude_seen: leave out what a user's history has.
        progress: as for `fit`.
        resamples: of the bootstrap for intervals; 0 makes none.

    Returns:
        Scores over the users who could be asked about; `about` counts "unknown_users", whom the recommender does not
        know, and "no_history", `unknown_items` what users did with items that it does not know.

    Raises:
        TypeError: `truth` is no log.
        ValueError: nobody is left.
    """
    if not isinstance(truth, Interactions):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"data: expected a Split or Interactions, got {shown(truth)}")
    cutoffs = sorted({check_int("ks", k) for k in ([ks] if isinstance(ks, int) else ks)})
    if not cutoffs:
        raise ValueError(f"ks: expected at least one cut-off, got {shown(ks)}")
    seen = ranker.seen
    users = np.unique(np.asarray(truth.users, dtype=np.int64))  # codes in the log of the test
    own_users = _translated(truth.user_ids, seen.user_ids)
    own_items = _translated(truth.item_ids, seen.item_ids)
    skipped: dict[str, int] = {}
    if history is None:
        known = own_users[users] >= 0
        skipped["unknown_users"] = int((~known).sum())
        users = users[known]
        request = seen.of_codes(own_users[users])
    else:
        items, offsets = history.histories(users)
        request = _without_unknown(own_items[items], offsets, own_users[users])
        request = Histories(request.items, request.offsets, request.users, seen.features_of(request.users))
    # Who asks does so at the moment of the first event of the test.
    first = np.asarray(truth.offsets, dtype=np.int64)[users]
    request = replace(request, context=ranker.context_at(truth, first))
    if ranker.needs_history and not (request.features or request.context):
        keeps = request.lengths > 0
        skipped["no_history"] = int((~keeps).sum())
        users, request = users[keeps], request.select(keeps)
    wanted = gather_rows(
        own_items[np.asarray(truth.items, dtype=np.int64)], np.asarray(truth.offsets, dtype=np.int64), users
    )
    if not (wanted[0] >= 0).any():
        told = ", ".join(f"{count} {reason}" for reason, count in skipped.items() if count)
        raise ValueError(f"data: expected users and items that the model knows, got none ({told or 'no known items'})")
    _, ranked = ranker.rank_all(request, cutoffs[-1], exclude_seen, None, progress)
    return evaluate_ranking(
        ranked,
        wanted,
        ks=cutoffs,
        num_items=seen.num_items,
        item_counts=seen.item_counts(),
        resamples=resamples,
        about={"exclude_seen": exclude_seen, **{name: count for name, count in skipped.items() if count}},
    )


def _translated(theirs: Identifiers, ours: Identifiers) -> NDArray[np.int64]:
    """Our code of each of their codes, -1 for what we do not know."""
    if theirs is ours or (len(theirs) == len(ours) and np.array_equal(theirs.keys, ours.keys)):
        return np.arange(len(ours))
    return np.asarray(ours.codes(theirs.keys), dtype=np.int64)


def _without_unknown(items: NDArray[np.int64], offsets: NDArray[np.int64], users: NDArray[np.int64]) -> Histories:
    known = items >= 0
    if known.all():
        return Histories(items, offsets, users)
    before = np.concatenate([[0], np.cumsum(known)])
    return Histories(items[known], before[offsets], users)
