"""`Split`: a log whose events each belong to train, validation or test; and the sessions of a log."""

import dataclasses
import os
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim, check_bool, check_float, check_int
from logq.logs.interactions import Interactions
from logq.logs.mapped_arrays import MappedEvents
from logq.logs.ordering import count_codes, pieces
from logq.logs.storage import load_arrays, save_arrays

__all__ = [
    "GIVEN",
    "LEFT_OUT",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Split",
    "count_where",
    "counted",
    "leave_one_out",
    "sessions",
]

TRAIN, VALIDATION, TEST, LEFT_OUT, GIVEN = range(5)
_NAMES = {"train": TRAIN, "validation": VALIDATION, "test": TEST, "given": GIVEN}
_VERSION = 1


def sessions(log: Interactions, *, gap: float | None = None) -> NDArray[np.int64]:
    """Return the offsets of the sessions of a log: session s is the rows in [offsets[s], offsets[s+1]).

    A session ends with its user, where columns["session"] changes, and where the next event comes more than `gap`
    later. Events are in time order, so two simultaneous sessions of a user are cut at each change. Without a column and
    a gap, all events of a user are one session.

    Args:
        log: the log.
        gap: maximum pause within a session, in the unit of the log's times.

    Returns:
        (S+1,) int64; [0] for a log without events.

    Raises:
        ArgumentError: a gap is given, but the log has no times.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 1], [5, 7, 9], [0, 10, 5000])
        >>> sessions(log, gap=1800).tolist()
        [0, 2, 3]
    """
    if not len(log):
        return np.zeros(1, dtype=np.int64)
    cuts = log.users[1:] != log.users[:-1]
    column = log.columns.get("session")
    if column is not None:
        cuts |= column[1:] != column[:-1]
    if gap is not None:
        check_float("gap", gap, at_least=0)
        if log.timestamps is None:
            raise ArgumentError("gap", "None for a log without times", gap)
        cuts |= log.timestamps[1:] - log.timestamps[:-1] > gap
    return np.concatenate([[0], np.flatnonzero(cuts) + 1, [len(log)]]).astype(np.int64)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Split:
    """A log whose events each belong to train, validation or test.

    All parts have the users and items of the whole log, with the same codes: items that only occur in the test keep
    theirs, are ranked like all others, and are counted in `how`.

    Codes of items are ordered by frequency in the whole log, including the test. So a ranking that leaves equal scores
    in the order of codes leaks a little of the test: of items that are equally frequent in train, those of the test
    come first.

    Attributes:
        log: the whole log.
        part: (N,) int8: 0 train, 1 validation, 2 test, 3 left out, 4 given: the history of a user of whom nothing is
            learned.
        how: the kind and settings of the split, and counts of special cases.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 1, 2], [5, 7, 9, 7])
        >>> split = leave_one_out(log)
        >>> len(split.train), len(split.validation), len(split.test), split.how["users_too_short"]
        (2, 1, 1, 1)
    """

    log: Interactions
    part: NDArray[np.int8]
    how: dict[str, Any]

    def __repr__(self) -> str:
        """Show the kind of split and the sizes of its parts."""
        sizes = {name: int(np.count_nonzero(self.part == code)) for name, code in _NAMES.items()}
        shown = ", ".join(f"{name} {size:,}" for name, size in sizes.items() if size or name != "given")
        return f"Split({self.how['by']}: {shown})"

    def rows(self, part: Literal["train", "validation", "test", "given"]) -> NDArray[np.bool_]:
        """Return a mask of the rows of a part: (N,).

        Raises:
            ArgumentError: there is no such part.
        """
        if part not in _NAMES:
            raise ArgumentError("part", '"train", "validation", "test" or "given"', part)
        return self.part == _NAMES[part]

    @cached_property
    def train(self) -> Interactions:
        """The part to train on."""
        return self.log.select(self.rows("train"))

    @cached_property
    def validation(self) -> Interactions | None:
        """The part to predict during training, or None."""
        rows = self.rows("validation")
        return self.log.select(rows) if rows.any() else None

    @cached_property
    def test(self) -> Interactions:
        """The part to predict in the end."""
        return self.log.select(self.rows("test"))

    def remark(self) -> str:
        """Return what a reader of figures must know of this split, such as of events that no time tells apart; or "".

        Example:
            >>> log = Interactions.from_arrays([1, 1, 1], [5, 7, 9], [1, 2, 2])
            >>> leave_one_out(log, validation=False).remark()
            'equal times at the cut: the test event of 1 of 1 users; the order of rows told it from the one before'
        """
        by, last = self.how["by"], self.how.get("last", 1)
        if by == "random":
            return (
                "events were drawn at random: the model learns from events that came after those to be found, which "
                "no recommender can do in use, so that figures are too high"
            )
        if by == "user":
            users = {
                name: len(np.unique(self.log.users[self.rows(name)]))
                for name in ("validation", "test")
                if self.rows(name).any()
            }
            held_out = " and ".join(f"{count:,} for {name}" for name, count in users.items())
            return (
                f"users held out whole, of whom nothing is learned: {held_out}; their first events are their histories"
            )
        counts = {
            name: (self.how.get(f"{name}_ties", 0), int(np.count_nonzero(self.part == _NAMES[name])))
            for name in ("test", "validation")
        }
        if by == "leave_one_out":
            counts = {name: (count, size // last) for name, (count, size) in counts.items()}
        tied = {name: f"{count:,} of {size:,}" for name, (count, size) in counts.items() if count}
        if not tied:
            return ""
        if by == "leave_one_out":
            which = "event" if last == 1 else "events"
            events = ", ".join(f"the {name} {which} of {some} users" for name, some in tied.items())
            told = "it from the one" if last == 1 else "them from those"
            return f"equal times at the cut: {events}; the order of rows told {told} before"
        events = ", ".join(f"{some} events of the {name} part" for name, some in tied.items())
        return f"equal times at the cut: {events}, beyond its share of the log, to keep equal times together"

    def history(self, part: Literal["validation", "test"]) -> Interactions:
        """Return the events that precede a part: train for validation; train and validation for test; and those given.

        Of users who are asked about in the test, nothing is given for validation: whoever trains on train and
        validation in the end learns nothing of them.

        Raises:
            ArgumentError: there is no such part.

        Example:
            >>> split = leave_one_out(Interactions.from_arrays([1, 1, 1], [5, 7, 9]))
            >>> len(split.history("validation")), len(split.history("test"))
            (1, 2)
        """
        rows = self.history_rows(part)
        return self.train if part == "validation" and not self.rows("given").any() else self.log.select(rows)

    def history_rows(self, part: Literal["validation", "test"]) -> NDArray[np.bool_]:
        """Return a mask of the rows (N,) that precede a part, which are those of `history`.

        Raises:
            ArgumentError: there is no such part.

        Example:
            >>> split = leave_one_out(Interactions.from_arrays([1, 1, 1], [5, 7, 9]))
            >>> split.history_rows("test").tolist()
            [True, True, False]
        """
        if part not in ("validation", "test"):
            raise ArgumentError("part", '"validation" or "test"', part)
        given = self.rows("given")
        if part == "test":
            return (self.part < TEST) | given
        if not given.any():
            return self.part == TRAIN
        tested = np.zeros(self.log.num_users, dtype=np.bool_)
        tested[self.log.users[self.rows("test")]] = True
        return (self.part == TRAIN) | (given & ~tested[self.log.users])

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the part of each row, and the fingerprint of the log, which is saved separately.

        Raises:
            OSError: a file cannot be written.

        Example:
            >>> import tempfile
            >>> split = leave_one_out(Interactions.from_arrays([1, 1, 1], [5, 7, 9]))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     split.save(folder)
            ...     Split.load(folder, split.log)
            Split(leave_one_out: train 1, validation 1, test 1)
        """
        save_arrays(folder, "split", _VERSION, {"part": self.part}, {"how": self.how, "log": self.log.fingerprint()})

    @classmethod
    def load(cls, folder: str | os.PathLike[str], log: Interactions, *, check: bool = True) -> Self:
        """Read what `save` wrote, for the same log; with `check` the digest of its file is compared.

        Raises:
            FileNotFoundError: the folder does not hold a split.
            ValueError: it belongs to another log, or is damaged.
        """
        arrays, metadata = load_arrays(folder, "split", _VERSION, mmap=False, check=check)
        if metadata.get("log") != log.fingerprint():
            raise ValueError(f"{os.fspath(folder)}: expected a split of the given log, it belongs to another log")
        part, how = arrays.get("part"), metadata.get("how")
        if not isinstance(how, dict) or not isinstance(how.get("by"), str):
            raise ValueError(f"{os.fspath(folder)}: split.json is damaged, it does not say how the log was split")
        if part is None or part.dtype != np.int8 or part.shape != (len(log),) or (part < 0).any() or (part > 4).any():
            raise ValueError(f"{os.fspath(folder)}: expected a part in [0, 4] for each of {len(log)} events")
        return cls(log, part, dict(how))


def leave_one_out(log: Interactions, validation: bool = True, *, last: int = 1, min_train: int = 1) -> Split:
    """Leave out the last event of each user for the test, and the one before it for validation; or the last few.

    Users that would keep fewer than `min_train` events stay in train with all of theirs, and are counted in `how` as
    "users_too_short". Items that do not occur in train keep their codes; their events are counted. So are users whose
    events on both sides of a cut have the same time ("test_ties", "validation_ties"): which of them comes first, the
    order of rows decided.

    Args:
        log: the log.
        validation: whether to leave out as many for validation.
        last: how many events of each user the test has.
        min_train: minimum number of events of a user that must remain in train.

    Raises:
        ArgumentError: no user has enough events.

    Example:
        >>> split = leave_one_out(Interactions.from_arrays([1, 1, 1], [5, 7, 9]), validation=False)
        >>> split.test.items.tolist(), split.validation
        ([2], None)
        >>> leave_one_out(Interactions.from_arrays([1] * 5, [5, 7, 9, 5, 7]), last=2)
        Split(leave_one_out: train 1, validation 2, test 2)
    """
    check_bool("validation", validation)
    check_int("min_train", min_train, 0)
    last = check_int("last", last)
    needed = min_train + last * (1 + validation)
    counts = np.diff(log.offsets)
    able = counts >= needed
    if not able.any():
        raise ArgumentError("log", f"users with at least {needed} events", Verbatim(f"at most {counts.max(initial=0)}"))
    part = np.zeros(len(log), dtype=np.int8)
    ends, lengths = log.offsets[1:][able], counts[able]
    for number in range(needed - min_train):  # from the last event of a user back
        part[ends - 1 - number] = TEST if number < last else VALIDATION
    how = {"by": "leave_one_out", "validation": validation, "last": last, "min_train": min_train}
    short = int(np.count_nonzero((counts > 0) & ~able))
    ties = {"test_ties": _ties_before(log, ends[lengths > last] - last)}
    if validation:
        ties["validation_ties"] = _ties_before(log, ends[lengths > 2 * last] - 2 * last)
    return counted(log, part, how, users_too_short=short, **ties)


def _ties_before(log: Interactions, cuts: NDArray[np.int64]) -> int:
    """How many of these events, in rising order, have the same time as the event before."""
    ties = 0
    if log.timestamps is not None:
        for piece in pieces(len(log), mapped=log.mapped):
            some = slice(*np.searchsorted(cuts, (piece.start, piece.stop)))
            ties += int(np.count_nonzero(log.timestamps[cuts[some]] == log.timestamps[cuts[some] - 1]))
    return ties


def counted(log: Interactions, part: NDArray[np.int8], how: dict[str, Any], **counts: int) -> Split:
    """Return a split, with counts of events of items that do not occur in train.

    Raises:
        ArgumentError: a part that was asked for is empty.

    Example:
        >>> log = Interactions.from_arrays([1, 1], [5, 7])
        >>> split = counted(log, np.array([TRAIN, TEST], dtype=np.int8), {"by": "hand"})
        >>> split.how["test_events_of_items_not_in_train"]
        1
    """
    sizes = count_codes(part, 4)
    needed = ["train", "test"] + ["validation"] * (how.get("validation") not in (None, False))
    for name in needed:
        if not sizes[_NAMES[name]]:
            raise ArgumentError("log", f"events for {name}", Verbatim(f"none by {how}"))
    new = count_where(log.items, log.num_items, part, TRAIN, log.mapped) == 0
    for name in ("validation", "test"):
        of_new = count_where(log.items, log.num_items, part, _NAMES[name], log.mapped)[new]
        counts[f"{name}_events_of_items_not_in_train"] = int(of_new.sum())
    return Split(log, part, {**how, **counts})


def count_where(
    codes: NDArray[Any], size: int, part: NDArray[np.int8], code: int, mapped: MappedEvents | None = None
) -> NDArray[np.int64]:
    """How often each code below `size` occurs in a part: (size,), some rows at a time.

    Example:
        >>> count_where(np.array([1, 1, 0]), 2, np.array([TRAIN, TEST, TEST], dtype=np.int8), TEST).tolist()
        [1, 1]
    """
    counts = np.zeros(size, dtype=np.int64)
    for piece in pieces(len(codes), size, mapped):
        counts += np.bincount(codes[piece][part[piece] == code], minlength=size)
    return counts
