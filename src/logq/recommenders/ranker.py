"""Ranking by a recommender: what an evaluation asks of it, and the items nearest by cosine."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq.evaluation import RankingScores, evaluate_ranking
from logq.logs.identifiers import Identifiers
from logq.logs.interactions import Interactions
from logq.logs.splits import Split
from logq.recommenders.histories import Histories, gather_rows
from logq.recommenders.known_log import KnownLog
from logq.retrieval import ExactIndex

__all__ = ["HeldOut", "Ranker", "measure", "nearest_items", "training_part"]


class Ranker(Protocol):
    """Ranks all items for users.

    Example:
        See logq.recommenders.Recommender, which is one.
    """

    needs_history: ClassVar[bool]
    """Whether a user must have done something to be answered."""

    known: KnownLog
    """What it remembers of its log."""

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
        """Context that some events have in the log, by column: the codes (n,) that Histories takes as `context`."""
        ...


class HeldOut(NamedTuple):
    """The held-out events that are measured on while a model is trained.

    Args:
        truth: what users did.
        history: what they did before.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_arrays([1, 1], [5, 7])
        >>> len(HeldOut(log, log).truth)
        2
    """

    truth: Interactions
    history: Interactions


def training_part(log: Interactions | Split, validation: Interactions | None) -> tuple[Interactions, HeldOut | None]:
    """The part to learn from, and the part to measure on meanwhile.

    Raises:
        ArgumentTypeError: `log` is neither.
        ArgumentError: a Split was given, and a validation part with it.

    Example:
        >>> from logq.logs import leave_one_out
        >>> train, held_out = training_part(leave_one_out(Interactions.from_arrays([1, 1, 1], [5, 7, 9])), None)
        >>> len(train), held_out is not None and len(held_out.truth)
        (1, 1)
    """
    if isinstance(log, Split):
        if validation is not None:
            raise ArgumentError("validation", "none beside a Split, which has its own")
        return log.train, None if log.validation is None else HeldOut(log.validation, log.history("validation"))
    if not isinstance(log, Interactions):
        raise ArgumentTypeError("log", "Interactions or a Split of them", log)
    return log, None if validation is None else HeldOut(validation, log)


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
        Scores over the users who could be evaluated; `about` counts "unknown_users", whom the recommender does not
        know, and "no_history", `unknown_items` what users did with items that it does not know.

    Raises:
        ArgumentTypeError: `truth` is not a log.
        ValueError: nobody is left.
    """
    if not isinstance(truth, Interactions):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentTypeError("data", "a Split or Interactions", truth)
    cutoffs = sorted({check_int("ks", k) for k in ([ks] if isinstance(ks, int) else ks)})
    if not cutoffs:
        raise ArgumentError("ks", "at least one cut-off", ks)
    known = ranker.known
    users = np.unique(np.asarray(truth.users, dtype=np.int64))  # codes in the log of the test
    own_users = _translated(truth.user_ids, known.user_ids)
    own_items = _translated(truth.item_ids, known.item_ids)
    skipped: dict[str, int] = {}
    if history is None:
        is_known = own_users[users] >= 0
        skipped["unknown_users"] = int((~is_known).sum())
        users = users[is_known]
        request = known.of_codes(own_users[users])
    else:
        items, offsets = history.histories(users)
        request = _without_unknown(own_items[items], offsets, own_users[users])
        request = Histories(request.items, request.offsets, request.users, known.features_of(request.users))
    # The context of a request is that of the first event of the user in the test.
    first = np.asarray(truth.offsets, dtype=np.int64)[users]
    request = replace(request, context=ranker.context_at(truth, first))
    if ranker.needs_history and not (request.features or request.context):
        keeps = request.lengths > 0
        skipped["no_history"] = int((~keeps).sum())
        users, request = users[keeps], request.select(keeps)
    relevant = gather_rows(
        own_items[np.asarray(truth.items, dtype=np.int64)], np.asarray(truth.offsets, dtype=np.int64), users
    )
    if not (relevant[0] >= 0).any():
        told = ", ".join(f"{count} {reason}" for reason, count in skipped.items() if count)
        got = Verbatim(f"none ({told or 'no known items'})")
        raise ArgumentError("data", "users and items that the model knows", got)
    _, ranked = ranker.rank_all(request, cutoffs[-1], exclude_seen, None, progress)
    return evaluate_ranking(
        ranked,
        relevant,
        ks=cutoffs,
        num_items=known.num_items,
        item_counts=known.item_counts(),
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
