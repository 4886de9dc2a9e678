"""Ranking by a recommender: what an evaluation asks of it, and items that are nearest by cosine."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from logq._arguments import check_int, shown
from logq.evaluation import RankingScores, evaluate_ranking
from logq.logs import Identifiers, Interactions
from logq.recommenders.histories import Histories, Seen, gather_rows
from logq.retrieval import ExactIndex

__all__ = ["Ranker", "measure", "nearest_items"]


class Ranker(Protocol):
    """Ranks all items for users.

    Example:
        See logq.recommenders.Recommender, which is one.
    """

    needs_history: ClassVar[bool]
    """Whether a user must have done something to be answered."""

    seen: Seen
    """What it was fitted on."""

    def rank_all(
        self,
        request: Histories,
        k: int,
        exclude_seen: bool,
        allow: NDArray[np.bool_] | None,
        progress: bool | None = False,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and codes (n, k) of the best items of users, -1 where there are fewer."""
        ...

    def context_at(self, events: Interactions, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """What is known of the moments of some events, by column: the codes (n,) that Histories takes as `context`."""
        ...


def nearest_items(
    table: Tensor,  # (C, D)
    vectors: Tensor | None,  # (n, D)
    own: NDArray[np.int64] | None,  # (n,)
    k: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cosines and codes (n, k) of the nearest items.

    Args:
        table: vectors of all items.
        vectors: of what is new; None for the items in `own`.
        own: codes of items, which are left out of their own rows; None for what is new.
        k: how many.

    Example:
        >>> nearest_items(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 3.0]]), None, np.array([0]), 2)[1].tolist()
        [[1, 2]]
    """
    unit = normalize(table, dim=1)
    if vectors is not None:
        queries = normalize(vectors.detach().float(), dim=1)
    else:
        queries = unit[torch.from_numpy(own).to(unit.device)]  # pyright: ignore[reportArgumentType]
    exclude = None if own is None else (own, np.arange(len(own) + 1))
    scores, codes = ExactIndex(unit).search(queries, k, exclude=exclude)
    return scores.cpu().numpy(), codes.cpu().numpy()


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
