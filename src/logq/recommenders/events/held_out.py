"""HeldOut: the events that are kept from training to be measured on meanwhile, and which those are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.logs.interactions import Interactions
from logq.logs.joining import joined_log
from logq.logs.splits import Split

__all__ = ["HeldOut", "training_part"]

SHARED_OUT = 16
"""Seed of the choice of users who validate: the same for all seeds of a training, so that these can be compared."""


class HeldOut(NamedTuple):
    """The held-out events that are measured on while a model is trained.

    Args:
        truth: what users did.
        history: what they did before; None for what the recommender remembers.
        log: that both are parts of; None where they are of two logs. A random split without times has no other order.
        part: (N,) of each event of that log: 1 if it is of the history, 2 if it is of the truth, 0 if of neither.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_arrays([1, 1], [5, 7])
        >>> len(HeldOut(log, log).truth)
        2
    """

    truth: Interactions
    history: Interactions | None
    log: Interactions | None = None
    part: NDArray[np.int8] | None = None

    @classmethod
    def of(cls, split: Split) -> "HeldOut | None":
        """The validation part of a split, and what precedes it; None where there is none.

        Example:
            >>> from logq.logs import split_at_random
            >>> split = split_at_random(Interactions.from_sessions([["tea", "cup", "nut", "oil"]] * 9), 0.2, 0.3)
            >>> HeldOut.of(split).together().fingerprint() == split.history("test").fingerprint()
            True
        """
        if split.validation is None:
            return None
        part = split.history_rows("validation").astype(np.int8)
        part[split.rows("validation")] = 2
        return cls(split.validation, split.history("validation"), split.log, part)

    def together(self) -> Interactions:
        """What users did before and then, as one log, in the order that it has in the log of both.

        Of two logs the order is that of times, or without times what they did before comes first.

        Raises:
            ArgumentError: the two have other users or items, or other values in a column.

        Example:
            >>> from logq.logs import leave_one_out
            >>> split = leave_one_out(Interactions.from_arrays([1, 1, 1, 2], [5, 7, 9, 7]))
            >>> held_out = HeldOut(split.validation, split.train)
            >>> held_out.together().fingerprint() == split.history("test").fingerprint()
            True
        """
        if self.log is not None and self.part is not None:
            return self.log.select(self.part > 0)
        return self._joined()[0]

    def known_by(self, knows: Callable[[Interactions], NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """Which events (N,) of the truth are known to who says that of a log, which has those of the history too.

        Example:
            >>> from logq.logs import leave_one_out
            >>> split = leave_one_out(Interactions.from_sessions([["tea", "cup", "nut"]] * 2))
            >>> HeldOut(split.validation, split.train).known_by(lambda log: log.users == 0).tolist()
            [True, False]
        """
        if self.part is not None:
            return knows(self.together())[self.part[self.part > 0] == 2]
        log, order = self._joined()
        is_known = np.empty(len(log), dtype=np.bool_)
        is_known[order] = knows(log)
        return is_known[len(log) - len(self.truth) :]

    def _joined(self) -> tuple[Interactions, NDArray[Any]]:
        """Both, which are two logs, as one, and which rows of one after the other it has."""
        if self.history is None:
            raise ArgumentError("validation", "what came before it", Verbatim("none"))
        parts = (self.history, self.truth)
        for name in ("user_ids", "item_ids"):
            ours, theirs = (getattr(part, name) for part in parts)
            if ours is not theirs and not np.array_equal(ours.keys, theirs.keys):
                got = Verbatim(f"other {name.partition('_')[0]}s in it than in log")
                raise ArgumentError("validation", "the users and items of log, as the parts of a Split have them", got)

        for name in (name for name in self.history.columns if name in self.truth.columns):
            ours, theirs = (part.column_ids.get(name) for part in parts)
            if ours is not theirs and (ours is None or theirs is None or not np.array_equal(ours.keys, theirs.keys)):
                got = Verbatim(f"other values of {name!r} in it than in log")
                raise ArgumentError("validation", "the columns of log, as the parts of a Split have them", got)
        return joined_log(parts)

    def shared_out(
        self, train: Interactions, users: int, is_known: NDArray[np.bool_] | None = None
    ) -> tuple[Interactions, "HeldOut"]:
        """What is learned from if some users validate and what was held out of all others is learned from, too.

        Args:
            train: what is learned from otherwise. A history has more where nothing is to be learned of a user.
            users: how many validate; they are the same ones whenever the same users have something held out.
            is_known: events (N,) of the truth that were learned from before, which therefore validate nothing.

        Returns:
            The events to learn from, and what is measured on: the users are chosen at random.

        Example:
            >>> from logq.logs import leave_one_out
            >>> split = leave_one_out(Interactions.from_sessions([["tea", "cup", "nut", "oil"]] * 5))
            >>> train, held_out = HeldOut(split.validation, split.train).shared_out(split.train, 2)
            >>> len(split.train), len(train), len(held_out.truth)
            (10, 13, 2)
        """
        may = np.ones(len(self.truth), dtype=np.bool_) if is_known is None else ~is_known
        everyone = np.unique(self.truth.users[may])
        chosen = np.random.default_rng(SHARED_OUT).permutation(everyone)[:users]
        validates = np.isin(self.truth.users, chosen) & may
        if validates.all():
            return train, self
        truth, part = self.truth.select(validates), self.part
        if self.log is None or part is None:
            before = HeldOut(self.truth.select(~validates), self.history).together()
        else:
            part = part.copy()
            part[np.flatnonzero(part == 2)[~validates]] = 1
            before = self.log.select(part == 1)
        held_out = HeldOut(truth, before, self.log, part)
        is_given = np.zeros(before.num_users, dtype=np.bool_)  # users who validate, and of whom nothing is learned
        is_given[chosen] = np.diff(train.offsets)[chosen] == 0
        if is_given.any():
            before = before.select(~is_given[before.users])
        return before, held_out


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
        return log.train, HeldOut.of(log)
    if not isinstance(log, Interactions):
        raise ArgumentTypeError("log", "Interactions or a Split of them", log)
    return log, None if validation is None else HeldOut(validation, log)
