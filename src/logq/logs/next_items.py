"""Examples for predicting next items: `NextItems`, one for each event, and `Sequences`, windows of events."""

import copy
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim, check_bool, check_int
from logq.logs.column_names import unknown_column
from logq.logs.event_rows import EventRows, at_most, count_items, rows_with_history
from logq.logs.examples import check_indices, gather, gather_ages
from logq.logs.interactions import Interactions
from logq.logs.ordering import pieces

__all__ = ["NextItems", "Sequences"]


class Sequences:
    """Windows of the events of users: the items, and at each position the item that comes next.

        history = items[s : e],   targets = items[s+1 : e+1],   e - s <= max_length

    The events of a user are cut into windows from the end, so that each event but the first is a target exactly once.
    With `overlap` a window begins with that many items that are only input: their targets are -1, as they are targets
    of the window before.

    Args:
        log: the log; users with one event are left out.
        max_length: L, the maximum length of a window.
        overlap: number of items that a window repeats from the one before, less than L.
        last_only: only the last window of each user, as SASRec is trained (Kang & McAuley 2018).
        pad: always return L columns; otherwise as many as the longest window of the batch has.
        times: return "history.time" (B, L), how long before the last event of its row each was, in the unit of the
            log's times, padded with -1.

    Raises:
        ArgumentError: no user has two events, or `overlap` is not below L.
        ArgumentTypeError: an argument has a wrong type.

    References:
        Kang, McAuley, Self-attentive sequential recommendation, ICDM 2018, arXiv 1808.09781.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 1, 1], [5, 6, 7, 8])
        >>> batch = Sequences(log, max_length=2).batch([0, 1])
        >>> batch["history"].tolist(), batch["targets"].tolist()
        ([[0, -1], [1, 2]], [[1, -1], [2, 3]])
    """

    def __init__(
        self,
        log: Interactions,
        max_length: int,
        *,
        overlap: int = 0,
        last_only: bool = False,
        pad: bool = False,
        times: bool = False,
    ) -> None:
        """See the class."""
        self.log = log
        self.max_length = check_int("max_length", max_length)
        self.overlap = check_int("overlap", overlap, 0)
        self.pad = check_bool("pad", pad)
        self.times = _times_of_histories(log, times)
        if overlap >= max_length:
            raise ArgumentError("overlap", f"an integer below max_length = {max_length}", overlap)
        step = max_length - overlap
        targets = np.maximum(np.diff(log.offsets) - 1, 0)  # each event but the first is a target
        # The first window may have L targets, as there is nothing to repeat before it.
        windows = np.where(targets > 0, 1 + np.maximum(-(-(targets - max_length) // step), 0), 0)
        if check_bool("last_only", last_only):
            windows = np.minimum(windows, 1)
        if not windows.any():
            raise ArgumentError("log", "users with at least two events", Verbatim("none"))
        self._step, self._only_input = step, 0 if last_only else overlap
        self._ends = np.cumsum(windows)  # (U,) windows of the users up to each one; nothing is stored for a window
        self._chosen: NDArray[np.int64] | None = None
        self._may_be_targets: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Return the number of windows."""
        return int(self._ends[-1]) if self._chosen is None else len(self._chosen)

    def lengths(self, indices: ArrayLike | None = None) -> NDArray[np.int64]:
        """Return the length of each window, or of each of these numbers."""
        return self._windows(np.arange(len(self)) if indices is None else np.asarray(indices))[1]

    def _windows(self, numbers: NDArray[Any]) -> tuple[NDArray[np.int64], ...]:
        """The first rows (B,) of windows, their lengths, how many of their items are only input, and the users."""
        if self._chosen is not None:
            numbers = self._chosen[numbers]
        users = np.searchsorted(self._ends, numbers, side="right")
        after = self._ends[users] - 1 - numbers  # windows of the same user after this one
        begins = self.log.offsets[users]
        ends = self.log.offsets[users + 1] - 1 - after * self._step  # the history ends before this row
        starts = np.maximum(ends - self.max_length, begins)
        return starts, ends - starts, np.where(starts == begins, 0, self._only_input), users

    def batch(self, indices: ArrayLike) -> dict[str, NDArray[Any]]:
        """Return windows as arrays.

        Args:
            indices: (B,) numbers of windows in [0, len).

        Returns:
            "history" (B, L) int64, padded with -1; "targets" (B, L) int64, -1 where there is none; "events" (B, L)
            int64, the rows of the log that these are of; "user" (B,) int64; "history.time" (B, L) with `times`.

        Raises:
            IndexError: a number is out of range.
        """
        chosen = check_indices("indices", indices, len(self))
        starts, lengths, only_input, users = self._windows(chosen)
        width = self.max_length if self.pad else int(lengths.max(initial=1))
        targets = gather(self.log.items, starts + 1, lengths, width)
        if self._may_be_targets is not None:
            targets[~gather(self._may_be_targets, starts + 1, lengths, width)] = -1
        if self.overlap:
            targets[np.arange(width) < only_input[:, None]] = -1
        found = {
            "history": gather(self.log.items, starts, lengths, width),
            "targets": targets,
            "events": np.where(targets >= 0, starts[:, None] + np.arange(1, width + 1), -1),
            "user": users,
        }
        if self.times is not None:
            found["history.time"] = gather_ages(self.times, starts, lengths, width)
        return found

    def with_targets(self, rows: NDArray[np.bool_]) -> Self:
        """The windows that have targets among some events (N,) of the log; their other targets are -1.

        Raises:
            ArgumentError: none has.

        Example:
            >>> log = Interactions.from_arrays([1, 1, 1, 1], [5, 6, 7, 8])
            >>> Sequences(log, max_length=2).with_targets(log.items == 3).batch([0])["targets"].tolist()
            [[-1, 3]]
        """
        before = np.concatenate([[0], np.cumsum(rows)])
        numbers = np.arange(len(self))
        starts, lengths, only_input, _ = self._windows(numbers)
        kept = before[starts + 1 + lengths] > before[starts + 1 + only_input]
        if not kept.any():
            raise ArgumentError("log", "events with one of the same user before them", Verbatim("none"))
        found = copy.copy(self)
        found._chosen = (numbers if self._chosen is None else self._chosen)[kept]
        found._may_be_targets = rows
        return found


class NextItems:
    """For each event of a user: the items before it, and its item as the target.

        history(e) = the last `max_length` items of user(e) before e,   target(e) = item(e)
        age(e) = (end of the log - time(e)) [/ (end - begin)]

    The history ends before the target, so that nothing is predicted from itself or from later events (Covington et al.
    2016, section 3.4). With `last` there is one query for each user, with all events as its history and no target.

    Args:
        log: the log; it may be mapped from files, batches copy what they need.
        max_length: L, the maximum length of a history.
        min_history: events with fewer items before them are left out; by default 1, and 0 with `last`.
        last: make one query for each user instead of one example for each event.
        users: codes of the users to make queries for, in that order; None for all users of the log. Only with `last`;
            a user without events has an empty history.
        rows: which events may be targets: a mask (N,) or indices. With `split.rows("test")` of the whole log each
            test event is predicted from all before it.
        max_per_user: use at most this many examples of each user, chosen at random, so that very active users do not
            dominate the loss (Covington et al. 2016, section 3.3).
        seed: of that choice.
        age: "fraction" of the log's duration, "seconds" (the unit of the log's times), or None. A query has age 0.
        context: columns of the target that are known at prediction time: "context.<name>". A query with `last` has
            those of the user's last event, or 0.
        history_columns: columns to return for the history: "history.<name>", padded with -1; also "label".
        recent_first: reverse histories, the most recent item first.
        pad: always return L columns; otherwise as many as the longest history of the batch has.
        times: return "history.time" (B, L), how long before the last event of its row each was, in the unit of the
            log's times, padded with -1.

    Raises:
        ArgumentError: no event has enough before it, or a column is missing.
        ArgumentTypeError: an argument has a wrong type.
        IndexError: one of `rows` is out of range.

    References:
        Covington, Adams, Sargin, Deep neural networks for YouTube recommendations, RecSys 2016.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 1], [5, 7, 9], [10, 20, 30])
        >>> batch = NextItems(log, max_length=2).batch([0, 1])
        >>> batch["history"].tolist(), batch["target"].tolist(), batch["age"].tolist()
        ([[0, -1], [0, 1]], [1, 2], [0.5, 0.0])
    """

    def __init__(
        self,
        log: Interactions,
        max_length: int,
        *,
        min_history: int | None = None,
        last: bool = False,
        users: ArrayLike | None = None,
        rows: ArrayLike | None = None,
        max_per_user: int | None = None,
        seed: int = 0,
        age: Literal["fraction", "seconds"] | None = "fraction",
        context: Sequence[str] = (),
        history_columns: Sequence[str] = (),
        recent_first: bool = False,
        pad: bool = False,
        times: bool = False,
    ) -> None:
        """See the class."""
        self.log = log
        self.max_length = check_int("max_length", max_length)
        self.last = check_bool("last", last)
        self.recent_first = check_bool("recent_first", recent_first)
        self.pad = check_bool("pad", pad)
        self.times = _times_of_histories(log, times)
        if age not in ("fraction", "seconds", None):
            raise ArgumentError("age", '"fraction", "seconds" or None', age)
        self.min_history = check_int("min_history", (0 if last else 1) if min_history is None else min_history, 0)
        self.age = None if log.timestamps is None else age
        self.context = {name: _column(log, name, "context") for name in context}
        self.history_columns = {name: _column(log, name, "history_columns") for name in history_columns}
        self._end, self._duration = (0.0, 1.0) if self.age is None or last else _times(log)
        if last:
            if rows is not None or max_per_user is not None:
                name = "max_per_user" if rows is None else "rows"
                raise ArgumentError(name, "None with last=True, as queries have no targets")
            self._queries = _users(log, users)
            self._positions: NDArray[Any] | EventRows = log.offsets[self._queries + 1]
            if self.min_history:
                enough = np.diff(log.offsets)[self._queries] >= self.min_history
                self._queries, self._positions = self._queries[enough], self._positions[enough]
            return
        if users is not None:
            raise ArgumentError("users", "None without last=True", hint="choose events by rows")
        self._max_per_user = None if max_per_user is None else check_int("max_per_user", max_per_user)
        self._seed = seed
        self._may_be_targets = None if rows is None else _mask(log, rows)
        self._positions = self._chosen(self._may_be_targets)

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._positions)

    @property
    def targets(self) -> NDArray[np.int64]:
        """The targets of all examples: (E,), for samplers that need their counts; empty with `last`."""
        rows = self._positions[:0] if self.last else self._positions[:]
        return self.log.items[rows].astype(np.int64)

    def target_counts(self) -> NDArray[np.int64]:
        """Return how often each item is the target of an example: (C,)."""
        return count_items(self.log, self._positions)

    def lengths(self, indices: ArrayLike | None = None) -> NDArray[np.int64]:
        """Return the length of the history of each example, or of each of these numbers."""
        chosen = slice(None) if indices is None else np.asarray(indices)
        rows = self._positions[chosen]
        users = self._queries[chosen] if self.last else self.log.users[rows]
        return np.minimum(rows - self.log.offsets[users], self.max_length)

    def batch(self, indices: ArrayLike) -> dict[str, NDArray[Any]]:
        """Return examples as arrays.

        Args:
            indices: (B,) numbers of examples in [0, len).

        Returns:
            "history" (B, L) int64, the most recent item last, padded with -1; "target" (B,) int64 and "event" (B,)
            int64, the row of the log that it is of (not with `last`); "user" (B,) int64; "age" (B,) float32 where there
            are times; "context.<name>" (B,); "history.<name>" (B, L); "history.time" (B, L) with `times`.

        Raises:
            IndexError: a number is out of range.
        """
        chosen = check_indices("indices", indices, len(self))
        positions = self._positions[chosen].astype(np.int64, copy=False)
        users = self._queries[chosen] if self.last else self.log.users[positions].astype(np.int64)
        begins = self.log.offsets[users]
        lengths = np.minimum(positions - begins, self.max_length)
        width = self.max_length if self.pad else max(int(lengths.max(initial=1)), 1)
        found = {"history": self._rows(self.log.items, positions, lengths, width), "user": users}
        if not self.last:
            found["target"] = self.log.items[positions].astype(np.int64)
            found["event"] = positions
        if self.age is not None and self.log.timestamps is not None:
            if self.last:
                found["age"] = np.zeros(len(users), dtype=np.float32)
            else:
                ages = self._end - self.log.timestamps[positions]
                scale = self._duration if self.age == "fraction" else 1.0
                found["age"] = (ages / scale).astype(np.float32)
        for name, column in self.context.items():
            known = positions - self.last >= begins
            values = (
                column[np.where(known, positions - self.last, 0)] if len(column) else np.zeros(len(users), np.int64)
            )
            found[f"context.{name}"] = _widen(np.where(known, values, 0))
        for name, column in self.history_columns.items():
            found[f"history.{name}"] = self._rows(column, positions, lengths, width)
        if self.times is not None:
            starts = positions - lengths
            found["history.time"] = gather_ages(self.times, starts, lengths, width, backwards=self.recent_first)
        return found

    def with_targets(self, rows: NDArray[np.bool_]) -> Self:
        """The examples whose targets are among some events (N,) of the log.

        Raises:
            ArgumentError: none is.

        Example:
            >>> log = Interactions.from_arrays([1, 1, 1], [5, 7, 9])
            >>> NextItems(log, max_length=2).with_targets(log.items == 2).targets.tolist()
            [2]
        """
        found = copy.copy(self)
        found._positions = self._chosen(rows if self._may_be_targets is None else self._may_be_targets & rows)
        return found

    def _chosen(self, rows: NDArray[np.bool_] | None) -> NDArray[Any] | EventRows:
        if self.log.mapped is not None and rows is None and self._max_per_user is None:
            positions: NDArray[Any] | EventRows = EventRows(self.log.offsets, self.min_history)
        else:
            positions = rows_with_history(self.log, self.min_history, rows)
            if self._max_per_user is not None:
                positions = at_most(self.log, positions, self._max_per_user, self._seed)
        if not len(positions):
            raise ArgumentError("log", f"events with at least {self.min_history} before them", Verbatim("none"))
        return positions

    def _rows(
        self, flat: NDArray[Any], ends: NDArray[np.int64], lengths: NDArray[np.int64], width: int
    ) -> NDArray[Any]:
        return gather(flat, ends - lengths, lengths, width, backwards=self.recent_first)


def _widen(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.int64, copy=False) if values.dtype.kind in "iu" else values


def _column(log: Interactions, name: str, argument: str) -> NDArray[Any]:
    if name == "label" and log.labels is not None:
        return log.labels
    if name not in log.columns:
        raise unknown_column(argument, name, log.columns)
    return log.columns[name]


def _times_of_histories(log: Interactions, wanted: bool) -> NDArray[Any] | None:
    if not check_bool("times", wanted):
        return None
    if log.timestamps is None:
        raise ArgumentError("times", "False, as the log has no times", wanted)
    return log.timestamps


def _times(log: Interactions) -> tuple[float, float]:
    """The end of the log, and its duration."""
    if log.timestamps is None or not len(log):
        return 0.0, 1.0
    parts = (log.timestamps[piece] for piece in pieces(len(log), mapped=log.mapped))
    ends = [(part.min().item(), part.max().item()) for part in parts]
    lowest, highest = min(low for low, _ in ends), max(high for _, high in ends)
    return highest, float(highest - lowest) or 1.0


def _users(log: Interactions, users: ArrayLike | None) -> NDArray[np.int64]:
    if users is None:
        return np.arange(log.num_users)
    codes = np.asarray(users, dtype=np.int64)
    wrong = codes[(codes < 0) | (codes >= log.num_users)]
    if codes.ndim != 1 or wrong.size:
        got = f"{wrong.flat[0]}" if wrong.size else f"shape {codes.shape}"
        raise ArgumentError("users", f"one code in [0, {log.num_users}) for each query", Verbatim(got))
    return codes


def _mask(log: Interactions, rows: ArrayLike) -> NDArray[np.bool_]:
    """Return which events (N,) are meant by a mask, or by indices."""
    chosen = np.asarray(rows)
    if chosen.dtype != np.bool_:
        chosen = check_indices("rows", chosen, len(log))
    elif chosen.shape != (len(log),):
        raise ArgumentError("rows", f"a mask of {len(log)} rows", Verbatim(f"shape {chosen.shape}"))
    mask = np.zeros(len(log), dtype=np.bool_)
    mask[chosen] = True
    return mask
