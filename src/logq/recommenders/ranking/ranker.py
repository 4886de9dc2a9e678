"""Ranking by a recommender: what an evaluation asks of it, and what cannot be found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq._launch import ALONE
from logq._progress import Progress
from logq.evaluation import RankingScores, evaluate_ranking
from logq.evaluation.ranking_metrics import find_hits
from logq.evaluation.ranking_ties import expected_metrics
from logq.evaluation.ranking_variety import head_items
from logq.logs.features import Features
from logq.logs.identifiers import translated
from logq.logs.interactions import Interactions
from logq.logs.splits import Split
from logq.process_start import check_same
from logq.processes import all_rows, is_joined, meeting_device, world
from logq.recommenders.events.histories import Histories, gather_rows
from logq.recommenders.events.known_log import KnownLog
from logq.training.checkpoint import fingerprint

__all__ = [
    "KEEPS_SEEN",
    "EvaluationWarning",
    "Ranker",
    "RankingTest",
    "Ties",
    "histories_of_log",
    "leak",
    "without_unknown",
]

Ties: TypeAlias = Literal["random", "expected"]

KEEPS_SEEN = "exclude_seen=False (--keep-seen)"
"""What ranks items that users had before, too."""

MANY_HAD = 0.05
"""Share of events of items that users had before from which on it is said that they do not count."""

HEAD = 0.8
"""Share of the events of a log that the head of its items has."""

NUMBERS = 1 << 22
"""Scores that are looked at at a time where whole rankings are."""


class EvaluationWarning(UserWarning):
    """An evaluation says less, or more, than it seems to; the message says why, and what to do.

    Example:
        >>> import warnings
        >>> warnings.simplefilter("error", EvaluationWarning)  # doctest: +SKIP
    """


class Ranker(Protocol):
    """Ranks all items for users.

    Example:
        See logq.recommenders.Recommender, which is one.
    """

    known: KnownLog
    """What it remembers of its log."""

    def answerable(self, request: Histories) -> NDArray[np.bool_]:
        """Which rows (n,) have something that it ranks by."""
        ...

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


@dataclass(frozen=True)
class RankingTest:
    """What a test asks of a recommender: histories, and the items that are to be found for each of them.

    What cannot be found is not asked for: events that the recommender knew already, users that it does not know or
    who have nothing that it ranks by, and, where rankings leave out what a history has, items that it has.

    Attributes:
        request: histories of n users.
        relevant: codes of what they did then, -1 for items that the recommender does not know, and offsets (n + 1,).
        exclude_seen: whether rankings leave out what a history has.
        already_had: number of events of items that a history has; `relevant` has them where rankings do.
        known_events: number of events that the recommender knew already.
        skipped: number of users who are not asked about, by reason.

    Example:
        >>> from logq import Popularity
        >>> log = Interactions.from_arrays(["ann", "ann", "bob"], ["tea", "cup", "cup"], [1, 2, 3])
        >>> grown = Interactions.from_arrays(["ann", "bob", "bob"], ["tea", "cup", "tea"], [1, 3, 4])
        >>> test = RankingTest.of(Popularity().fit(log), grown)
        >>> test.known_events, len(test.request)
        (2, 1)
    """

    request: Histories
    relevant: tuple[NDArray[np.int64], NDArray[np.int64]]
    exclude_seen: bool
    already_had: int
    known_events: int
    skipped: Mapping[str, int]

    @classmethod
    def of(
        cls,
        ranker: Ranker,
        truth: Interactions,
        history: Interactions | None = None,
        *,
        exclude_seen: bool = True,
        known_events: int = 0,
    ) -> "RankingTest":
        """Prepare the test of a recommender.

        Args:
            ranker: a fitted recommender.
            truth: what users did.
            history: what they did before, with the ids of `truth`, none of which is in `truth`; None for what the
                recommender has seen, whose events in `truth` are left out of it.
            exclude_seen: leave out what a user's history has.
            known_events: number of events that were left out of `truth` because they are known.

        Raises:
            ArgumentTypeError: `truth` is not a log.
            ValueError: nothing is left that could be found.
        """
        if not isinstance(truth, Interactions):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentTypeError("data", "a Split or Interactions", truth)
        known = ranker.known
        if history is None:
            is_known = known.knows(truth)
            known_events += int(is_known.sum())
            truth = truth.select(~is_known) if is_known.any() else truth
        users = np.unique(np.asarray(truth.users, dtype=np.int64))  # codes in the log of the test
        own_users = translated(truth.user_ids, known.user_ids)
        own_items = translated(truth.item_ids, known.item_ids)
        skipped: dict[str, int] = {}
        if history is None:
            is_user = own_users[users] >= 0
            skipped["unknown_users"] = int((~is_user).sum())
            users = users[is_user]
            request = known.of_codes(own_users[users])
        else:
            items, offsets = history.histories(users)
            times = history.timestamps
            times = None if times is None else gather_rows(times, history.offsets, users, history.mapped)[0]
            request = without_unknown(own_items[items], offsets, own_users[users], times)
            request = replace(request, features=known.features_of(request.users))
        # The context of a request is that of the first event of the user in the test.
        first = np.asarray(truth.offsets, dtype=np.int64)[users]
        request = replace(request, context=ranker.context_at(truth, first))
        keeps = ranker.answerable(request)
        skipped["no_history"] = int((~keeps).sum())
        users, request = users[keeps], request.select(keeps)
        relevant, offsets = gather_rows(
            own_items[np.asarray(truth.items, dtype=np.int64)], np.asarray(truth.offsets, dtype=np.int64), users
        )
        had = _had(request, relevant, offsets, known.num_items)
        if exclude_seen:
            offsets = np.concatenate([[0], np.cumsum(~had)])[offsets]
            relevant = relevant[~had]
        skipped = {name: count for name, count in skipped.items() if count}
        test = cls(request, (relevant, offsets), exclude_seen, int(had.sum()), known_events, skipped)
        if not (relevant >= 0).any():
            raise test._nothing_left()
        return test

    @property
    def events(self) -> int:
        """Number of events of the users who are asked about, whether or not their items can be found."""
        return len(self.relevant[0]) + self.already_had * self.exclude_seen

    def measure(
        self,
        ranker: Ranker,
        ks: Sequence[int] | int,
        *,
        ties: Ties = "random",
        progress: bool | None = False,
        resamples: int = 1000,
        segments: bool = False,
        item_vectors: ArrayLike | Features | None = None,
        together: bool = False,
    ) -> RankingScores:
        """Rank all items for the users of the test, and compare with what they did.

        Args:
            ranker: the recommender that the test was prepared for.
            ks: cut-offs, or one.
            ties: see Recommender.evaluate.
            progress: as for `fit`.
            resamples: of the bootstrap for intervals; 0 makes none.
            segments: see Recommender.evaluate.
            item_vectors: see Recommender.evaluate.
            together: whether all processes that have joined call it, each of which then ranks for its part of the
                users; for all users where each has a part of the items.

        Returns:
            Scores over the users who could be evaluated; `about` counts "unknown_users", whom the recommender does not
            know, and "no_history"; `unknown_items` what users did with items that it does not know.

        Raises:
            ArgumentError: `ks` or `ties` is not as described, or processes are asked about different users or items.
        """
        cutoffs = sorted({check_int("ks", k) for k in ([ks] if isinstance(ks, int) else ks)})
        if not cutoffs:
            raise ArgumentError("ks", "at least one cut-off", ks)
        known = ranker.known
        if ties not in ("random", "expected"):
            raise ArgumentError("ties", "'random' or 'expected'", ties)
        there = world() if together and is_joined() else ALONE
        progress = progress if there.is_first else False
        if there.size > 1:
            asked = (self.request.users, self.request.items, self.request.lengths, *self.relevant)
            check_same(
                {"data": fingerprint((), *asked), "ks": cutoffs, "ties": ties, "exclude_seen": self.exclude_seen}
            )
        if getattr(ranker, "in_parts", False):
            there = ALONE
        ends = [len(self.request) * rank // there.size for rank in range(there.size + 1)]
        begin, end = ends[there.rank : there.rank + 2]
        # One of more processes than users ranks for a user of another one, and forgets it.
        own = self._part(begin, end) if begin < end else self._part(0, 1)
        per_user = None
        if ties == "expected":
            ranked, per_user = own._expected(ranker, cutoffs, progress)
        else:
            _, ranked = ranker.rank_all(own.request, cutoffs[-1], self.exclude_seen, None, progress)
        if there.size > 1:
            counts = np.diff(ends).tolist()
            ranked = _of_all(ranked[: end - begin], counts)
            if per_user is not None:
                per_user = {name: _of_all(each[: end - begin], counts) for name, each in per_user.items()}
        about: dict[str, Any] = {"exclude_seen": self.exclude_seen, "ties": ties, **self.skipped}
        of_items: dict[str, NDArray[np.bool_]] = {}
        of_users: dict[str, NDArray[np.bool_]] = {}
        if segments:
            head = head_items(known.item_counts().astype(np.float64), HEAD)
            cold = int(np.median(self.request.lengths))
            is_cold = self.request.lengths <= cold
            of_items = {"head items": head, "tail items": ~head}
            of_users = {"cold users": is_cold, "warm users": ~is_cold}
            about |= {"head_items": int(head.sum()), "head_share": HEAD, "cold_history": cold}
        scores = evaluate_ranking(
            ranked,
            self.relevant,
            ks=cutoffs,
            per_user=per_user,
            num_items=known.num_items,
            item_counts=known.item_counts(),
            resamples=resamples,
            about=about,
            item_vectors=item_vectors,
            item_segments=of_items,
            user_segments=of_users,
        )
        return replace(scores, already_had=self.already_had, known_events=self.known_events)

    def _part(self, begin: int, end: int) -> "RankingTest":
        """The test of some of its users."""
        items, offsets = self.relevant
        relevant = items[offsets[begin] : offsets[end]], offsets[begin : end + 1] - offsets[begin]
        return replace(self, request=self.request.part(begin, end), relevant=relevant)

    def _expected(
        self, ranker: Ranker, ks: list[int], progress: bool | None
    ) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
        """Rankings (n, max(ks)), and the mean of each metric over all orders of equal scores, from whole rankings."""
        num_items = ranker.known.num_items
        ranked = np.empty((len(self.request), ks[-1]), dtype=np.int64)
        found: list[dict[str, NDArray[np.float64]]] = []
        step = max(1, NUMBERS // num_items)
        with Progress(len(self.request), "users", "ranking all items", progress) as bar:
            for begin in range(0, len(ranked), step):
                part = self.request.part(begin, min(len(ranked), begin + step))
                scores, codes = ranker.rank_all(part, num_items, self.exclude_seen, None)
                truth = self._part(begin, begin + len(part)).relevant
                found.append(expected_metrics(scores, find_hits(codes, truth), ks))
                ranked[begin : begin + len(part)] = codes[:, : ks[-1]]
                bar.advance(len(part))
        return ranked, {name: np.concatenate([one[name] for one in found]) for name in found[0]}

    def remark(self) -> str:
        """What is to be said where more than a few events are of items that users had; "" where not."""
        if not self.exclude_seen or self.already_had <= MANY_HAD * self.events:
            return ""
        share = f"{100 * self.already_had / self.events:.1f} %"
        return (
            f"{share} of the {self.events:,} events to be found are of items that their users had before: rankings "
            f"leave these out, so that they do not count; {KEEPS_SEEN} ranks them too"
        )

    def _nothing_left(self) -> ArgumentError:
        reasons = {
            "known events": self.known_events,
            "events of items that their users had before": self.already_had if self.exclude_seen else 0,
            **{name.replace("_", " "): count for name, count in self.skipped.items()},
        }
        told = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
        hint = ""
        if self.already_had and self.exclude_seen:
            hint = f"{KEEPS_SEEN} ranks what users had before too"
        elif self.known_events:
            hint = "hold out a part of the log before training, as leave_one_out and split_by_time (--validation) do"
        got = Verbatim(f"none ({told or 'no known items'})")
        return ArgumentError("data", "users and items that the model knows", got, hint)


def _of_all(own: NDArray[Any], counts: Sequence[int]) -> NDArray[Any]:
    """The rows of all processes, in the order of ranks."""
    rows = torch.from_numpy(np.ascontiguousarray(own)).to(meeting_device())
    return all_rows(rows, counts, doing="gather the rankings of all").cpu().numpy()


def _had(request: Histories, items: NDArray[np.int64], offsets: NDArray[np.int64], num_items: int) -> NDArray[np.bool_]:
    """Which items, those of row i in items[offsets[i] : offsets[i + 1]], are in the history of their row."""
    rows = np.arange(len(request))
    seen = np.unique(np.repeat(rows, request.lengths) * num_items + request.items)
    asked = np.repeat(rows, np.diff(offsets)) * num_items + items
    if not len(seen):
        return np.zeros(len(items), dtype=np.bool_)
    return (items >= 0) & (seen[np.minimum(np.searchsorted(seen, asked), len(seen) - 1)] == asked)


def without_unknown(
    items: NDArray[np.int64],
    offsets: NDArray[np.int64],
    users: NDArray[np.int64],
    times: NDArray[Any] | None = None,
) -> Histories:
    """Histories of codes of which those of -1 are left out, with the times of events where they are known.

    Example:
        >>> without_unknown(np.array([5, -1, 9]), np.array([0, 2, 3]), np.array([0, 1])).offsets.tolist()
        [0, 1, 2]
    """
    known = items >= 0
    if known.all():
        return Histories(items, offsets, users, times=times)
    before = np.concatenate([[0], np.cumsum(known)])
    times = None if times is None else times[known]
    return Histories(items[known], before[offsets], users, times=times)


def histories_of_log(
    log: Interactions, codes: NDArray[np.int64], users: NDArray[np.int64], items: NDArray[np.int64]
) -> Histories:
    """What users of a log did and when, without items that a model does not know.

    Args:
        log: where they did it.
        codes: (n,) of the users there, -1 for nobody.
        users: (n,) the model's codes of them.
        items: the model's code of each item of the log, -1 where it does not know it.

    Example:
        >>> log = Interactions.from_arrays(["ann", "ann"], ["tea", "cup"])
        >>> histories_of_log(log, np.array([0, -1]), np.array([5, 6]), np.array([-1, 9])).items.tolist()
        [9]
    """
    done, offsets = gather_rows(log.items, log.offsets, codes)
    times = None if log.timestamps is None else gather_rows(log.timestamps, log.offsets, codes)[0]
    return without_unknown(items[done], offsets, users, times)


def leak(known: KnownLog, split: Split) -> str:
    """What is to be said where the model was fitted with events of the test; "" where it was not."""
    past = split.history("test")
    users = translated(past.user_ids, known.user_ids)
    remembered = np.where(users >= 0, np.diff(known.offsets, append=known.offsets[-1])[users], 0)
    if not (remembered > np.diff(past.offsets)).any():
        return ""
    count = int(known.knows(split.log)[split.rows("test")].sum())
    if not count:
        return ""
    return (
        f"{count:,} of {len(split.test):,} events of the test are among those that the model was fitted with: the "
        "numbers say how well it remembers; fit(split) or fit(split.train) leaves the test out"
    )
