"""Splits of a log into train, validation and test: leave-one-out, by time and by session."""

import dataclasses
import math
import os
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import (
    ArgumentError,
    ArgumentTypeError,
    BadArgumentError,
    Verbatim,
    check_bool,
    check_float,
    check_int,
)
from logq.logs.interactions import Interactions
from logq.logs.storage import load_arrays, save_arrays
from logq.logs.text_layout import is_number
from logq.logs.time_values import UNITS_A_SECOND, epoch_unit, read_times

__all__ = ["Split", "leave_one_out", "sessions", "split_by_session", "split_by_time"]

_TRAIN, _VALIDATION, _TEST, _LEFT_OUT = 0, 1, 2, 3
_NAMES = {"train": _TRAIN, "validation": _VALIDATION, "test": _TEST}
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
        part: (N,) int8: 0 train, 1 validation, 2 test, 3 left out.
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
        sizes = ", ".join(f"{name} {np.count_nonzero(self.part == code):,}" for name, code in _NAMES.items())
        return f"Split({self.how['by']}: {sizes})"

    def rows(self, part: Literal["train", "validation", "test"]) -> NDArray[np.bool_]:
        """Return a mask of the rows of a part: (N,).

        Raises:
            ArgumentError: there is no such part.
        """
        if part not in _NAMES:
            raise ArgumentError("part", '"train", "validation" or "test"', part)
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
        """Return what is to be said of events that no time tells apart where the log is cut; "" where there are none.

        Example:
            >>> log = Interactions.from_arrays([1, 1, 1], [5, 7, 9], [1, 2, 2])
            >>> leave_one_out(log, validation=False).remark()
            'equal times at the cut: the test event of 1 of 1 users; the order of rows told it from the one before'
        """
        counts = {
            name: (self.how.get(f"{name}_ties", 0), int(np.count_nonzero(self.part == _NAMES[name])))
            for name in ("test", "validation")
        }
        tied = {name: f"{count:,} of {size:,}" for name, (count, size) in counts.items() if count}
        if not tied:
            return ""
        if self.how["by"] == "leave_one_out":
            events = ", ".join(f"the {name} event of {some} users" for name, some in tied.items())
            return f"equal times at the cut: {events}; the order of rows told it from the one before"
        events = ", ".join(f"{some} events of the {name} part" for name, some in tied.items())
        return f"equal times at the cut: {events}, beyond its share of the log, to keep equal times together"

    def history(self, part: Literal["validation", "test"]) -> Interactions:
        """Return the events that precede a part: train for validation; train and validation for test.

        Raises:
            ArgumentError: there is no such part.

        Example:
            >>> split = leave_one_out(Interactions.from_arrays([1, 1, 1], [5, 7, 9]))
            >>> len(split.history("validation")), len(split.history("test"))
            (1, 2)
        """
        if part not in ("validation", "test"):
            raise ArgumentError("part", '"validation" or "test"', part)
        return self.train if part == "validation" else self.log.select(self.part < _TEST)

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
        if part is None or part.dtype != np.int8 or part.shape != (len(log),) or (part < 0).any() or (part > 3).any():
            raise ValueError(f"{os.fspath(folder)}: expected a part in [0, 3] for each of {len(log)} events")
        return cls(log, part, dict(how))


def leave_one_out(log: Interactions, validation: bool = True, *, min_train: int = 1) -> Split:
    """Leave out the last event of each user for the test, and the one before it for validation.

    Users that would keep fewer than `min_train` events stay in train with all of theirs, and are counted in `how` as
    "users_too_short". Items that do not occur in train keep their codes; their events are counted. So are users whose
    last two events have the same time ("test_ties"): which of them is the last, the order of rows decided; likewise
    the two before ("validation_ties").

    Args:
        log: the log.
        validation: whether to leave out the last two.
        min_train: minimum number of events of a user that must remain in train.

    Raises:
        ArgumentError: no user has enough events.

    Example:
        >>> split = leave_one_out(Interactions.from_arrays([1, 1, 1], [5, 7, 9]), validation=False)
        >>> split.test.items.tolist(), split.validation
        ([2], None)
    """
    check_bool("validation", validation)
    check_int("min_train", min_train, 0)
    needed = min_train + 1 + validation
    counts = np.diff(log.offsets)
    last = log.offsets[1:][counts >= needed] - 1
    if not len(last):
        raise ArgumentError("log", f"users with at least {needed} events", Verbatim(f"at most {counts.max(initial=0)}"))
    part = np.zeros(len(log), dtype=np.int8)
    part[last] = _TEST
    if validation:
        part[last - 1] = _VALIDATION
    how = {"by": "leave_one_out", "validation": validation, "min_train": min_train}
    short = int(np.count_nonzero((counts > 0) & (counts < needed)))
    ties = {"test_ties": _ties_before(log, last, 1)}
    if validation:
        ties["validation_ties"] = _ties_before(log, last, 2)
    return _counted(log, part, how, users_too_short=short, **ties)


def _ties_before(log: Interactions, last: NDArray[np.int64], steps: int) -> int:
    """How many users have the same time on both sides of a cut, which is so many events before the end of theirs."""
    if log.timestamps is None:
        return 0
    able = last[np.diff(log.offsets)[log.users[last]] > steps]
    return int(np.count_nonzero(log.timestamps[able - steps + 1] == log.timestamps[able - steps]))


def split_by_time(log: Interactions, test: object, validation: object = None, *, known_users: bool = False) -> Split:
    """Split at points in time: train before `validation`, validation before `test`, test from then on.

    Args:
        log: a log with times.
        test: a date, such as "2024-01-01" or a datetime (in UTC without a time zone); a time in the unit of the log; or
            a number in (0, 1), the share of all events before that time. Events at the same time stay together: those
            that a share alone would have put before the cut are counted in `how` as "test_ties".
        validation: the same, or None.
        known_users: leave out events in validation and test of users without events in train; counted as "cold".

    Raises:
        ArgumentError: the log has no times, `validation` is not before `test`, or a part would be empty.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 2, 2], [5, 7, 7, 9], [10, 20, 30, 40])
        >>> split_by_time(log, test=0.75, validation=20)
        Split(time: train 1, validation 2, test 1)
        >>> log = Interactions.from_arrays([1, 1], [5, 7], ["2023-12-31", "2024-01-01"])
        >>> split_by_time(log, "2024-01-01")
        Split(time: train 1, validation 0, test 1)
    """
    check_bool("known_users", known_users)
    if log.timestamps is None:
        raise ArgumentError("log", "a log with times", log, "leave_one_out splits by the order of events")
    at_test, ties = _time("test", test, log.timestamps)
    counts = {"test_ties": ties}
    at_validation = at_test
    if validation is not None:
        at_validation, counts["validation_ties"] = _time("validation", validation, log.timestamps)
    if validation is not None and at_validation >= at_test:
        raise ArgumentError("validation", f"a time before that of the test, {at_test}", at_validation)
    part = np.zeros(len(log), dtype=np.int8)
    part[log.timestamps >= at_validation] = _VALIDATION
    part[log.timestamps >= at_test] = _TEST
    cold = np.bincount(log.users[part == _TRAIN], minlength=log.num_users) == 0
    unknown = cold[log.users] & (part > _TRAIN)
    if known_users:
        part[unknown] = _LEFT_OUT
    how: dict[str, Any] = {"by": "time", "test": at_test, "validation": None if validation is None else at_validation}
    how["known_users"] = known_users
    return _counted(log, part, how, cold_user_events=int(np.count_nonzero(unknown)), **counts)


def split_by_session(
    log: Interactions,
    validation: bool = True,
    *,
    gap: float | None = None,
    fraction: float | None = None,
    seed: int = 0,
) -> Split:
    """Leave out whole sessions: the last of each user for the test, the one before it for validation.

    Where each session is a user of its own there is no last one; with `fraction` sessions are chosen at random instead,
    that share of all for the test and as many for validation. Users with too few sessions stay in train, and are
    counted in `how` as "users_too_short".

    Args:
        log: a log with columns["session"], or with times and a `gap`.
        validation: whether to leave out sessions for validation.
        gap: maximum pause within a session, in the unit of the log's times.
        fraction: choose this share of sessions at random, in (0, 0.5].
        seed: of that choice.

    Raises:
        ArgumentError: the log has neither sessions nor a `gap`; or a part would be empty.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 1, 1], [5, 7, 9, 5], sessions=["a", "a", "b", "b"])
        >>> split_by_session(log, validation=False).test.items.tolist()
        [2, 0]
    """
    check_bool("validation", validation)
    bounds = sessions(log, gap=gap)
    lengths = np.diff(bounds)
    owners = log.users[bounds[:-1]]
    codes = np.zeros(len(lengths), dtype=np.int8)
    short = 0
    how: dict[str, Any] = {"by": "session", "validation": validation, "gap": gap}
    if fraction is not None:
        check_float("fraction", fraction, above=0, at_most=0.5)
        count = round(fraction * len(lengths))
        drawn = np.random.default_rng(seed).permutation(len(lengths))
        codes[drawn[:count]] = _TEST
        codes[drawn[count : (1 + validation) * count]] = _VALIDATION
        how |= {"fraction": fraction, "seed": seed}
    else:
        counts = np.bincount(owners, minlength=log.num_users)
        enough = counts >= 2 + validation
        last = np.cumsum(counts)[enough] - 1
        codes[last] = _TEST
        if validation:
            codes[last - 1] = _VALIDATION
        short = int(np.count_nonzero((counts > 0) & ~enough))
    if not (codes == _TEST).any():
        got = f"{len(lengths)} sessions of {len(np.unique(owners))} users"
        hint = "where each user has one session, give fraction=0.1"
        raise ArgumentError("log", "sessions to leave out for the test", Verbatim(got), hint)
    return _counted(log, np.repeat(codes, lengths), how, users_too_short=short)


def _time(name: str, value: object, times: NDArray[Any]) -> tuple[float, int]:
    """Return a time that is given as such, as a date, or as the share of events before it; and the ties at a share."""
    if not isinstance(value, (int, float, np.integer, np.floating)):
        return _within(name, value, _date(name, value, times), times), 0
    time = check_float(name, value)
    if not 0 < time < 1:
        return _within(name, value, time, times), 0
    rank = min(int(time * len(times)), len(times) - 1)
    cut = np.partition(times, rank)[rank].item()
    return cut, rank - int(np.count_nonzero(times < cut))


def _within(name: str, value: object, time: float, times: NDArray[Any]) -> float:
    """Check that a time cuts the log."""
    low, high = times.min().item(), times.max().item()
    if not low < time <= high:
        unit = epoch_unit(times)
        ends = [low, high] if unit is None else [np.datetime64(round(end), unit).item() for end in (low, high)]
        shown = [str(end) for end in ends]
        raise ArgumentError(name, f"a time after {shown[0]} and up to {shown[1]}, those of the log, or a share", value)
    return time


def _date(name: str, value: object, times: NDArray[Any]) -> float:
    """Return a date in the unit of the times."""
    try:
        seconds = read_times([value], name).values[0].item()
    except BadArgumentError:  # such as 1/2/2024, which is two dates
        seconds = math.nan
    if math.isnan(seconds) or (isinstance(value, str) and is_number(value) and len(value) != len("20240131")):
        raise ArgumentTypeError(name, "a date such as '2024-01-31', a time of the log, or a share in (0, 1)", value)
    unit = epoch_unit(times)
    if unit is None:
        span = f"the times of the log are numbers from {times.min().item()} to {times.max().item()}"
        raise ArgumentError(name, "a number", value, f"{span}, not dates")
    return seconds * UNITS_A_SECOND[unit]


def _counted(log: Interactions, part: NDArray[np.int8], how: dict[str, Any], **counts: int) -> Split:
    """Return the split, with counts of items that do not occur in train."""
    sizes = np.bincount(part, minlength=4)
    needed = ["train", "test"] + ["validation"] * (how.get("validation") not in (None, False))
    for name in needed:
        if not sizes[_NAMES[name]]:
            raise ArgumentError("log", f"events for {name}", Verbatim(f"none by {how}"))
    new = np.bincount(log.items[part == _TRAIN], minlength=log.num_items) == 0
    for name in ("validation", "test"):
        counts[f"{name}_events_of_items_not_in_train"] = int(np.count_nonzero(new[log.items[part == _NAMES[name]]]))
    return Split(log, part, {**how, **counts})
