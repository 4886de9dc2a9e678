"""`Sequences`: windows of histories with the next item at each place, for models that read a history once."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq.arguments import check_bool, check_int
from logq.data.logs.examples import gather, whole_numbers
from logq.data.logs.interactions import Interactions

__all__ = ["Sequences"]


class Sequences:
    """Windows of a user's events: the items, and at each place the item that comes next.

        history = items[s : e],   targets = items[s+1 : e+1],   e - s <= max_length

    A long user is cut into windows from the end, so that each event but the first is a target exactly once. With
    `overlap` a window begins with so many items that are only read: their targets are -1, as they are targets of the
    window before.

    Args:
        log: the log; users with one event are left out.
        max_length: L, the most places of a window.
        overlap: how many items a window repeats from the one before, less than L.
        last_only: only the last window of each user, as SASRec is trained (Kang & McAuley 2018).
        pad: always give L columns; else as many as the longest window in the batch has.

    Raises:
        ValueError: no user has two events, or `overlap` is not below L.
        TypeError: an argument of a wrong type.

    References:
        Kang, McAuley, Self-attentive sequential recommendation, ICDM 2018, arXiv 1808.09781.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 1, 1], [5, 6, 7, 8])
        >>> batch = Sequences(log, max_length=2).batch([0, 1])
        >>> batch["history"].tolist(), batch["targets"].tolist()
        ([[0, -1], [1, 2]], [[1, -1], [2, 3]])
    """

    def __init__(
        self, log: Interactions, max_length: int, *, overlap: int = 0, last_only: bool = False, pad: bool = False
    ) -> None:
        """See the class."""
        self.log = log
        self.max_length = check_int("max_length", max_length)
        self.overlap = check_int("overlap", overlap, 0)
        self.pad = check_bool("pad", pad)
        if overlap >= max_length:
            raise ValueError(f"overlap: expected less than max_length, {max_length}, got {overlap}")
        step = max_length - overlap
        targets = np.maximum(np.diff(log.offsets) - 1, 0)  # each event but the first is a target
        # The first window may have L targets, as there is nothing to repeat before it.
        windows = np.where(targets > 0, 1 + np.maximum(-(-(targets - max_length) // step), 0), 0)
        if check_bool("last_only", last_only):
            windows = np.minimum(windows, 1)
        if not windows.any():
            raise ValueError("log: expected users with at least two events, there is none")
        users = np.repeat(np.arange(log.num_users), windows)
        rank = np.arange(len(users)) - np.repeat(np.cumsum(windows) - windows, windows)
        behind = windows[users] - 1 - rank  # how many windows come after this one
        ends = log.offsets[users + 1] - 1 - behind * step  # the history ends before this row
        self._starts = np.maximum(ends - max_length, log.offsets[users])
        self._lengths = ends - self._starts
        first = self._starts == log.offsets[users]
        only_read = overlap if not last_only else 0
        self._read = np.where(first, 0, only_read)
        self._users = users

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._users)

    def lengths(self) -> NDArray[np.int64]:
        """How many places each window has: (E,)."""
        return self._lengths

    def batch(self, indices: ArrayLike) -> dict[str, NDArray[Any]]:
        """Windows as arrays.

        Args:
            indices: (B,) numbers of windows in [0, len).

        Returns:
            "history" (B, L) int64, then -1; "targets" (B, L) int64, -1 where there is none; "user" (B,) int64.

        Raises:
            IndexError: a number is out of range.
        """
        chosen = whole_numbers("indices", indices, len(self))
        starts, lengths = self._starts[chosen], self._lengths[chosen]
        width = self.max_length if self.pad else int(lengths.max(initial=1))
        targets = gather(self.log.items, starts + 1, lengths, width)
        if self.overlap:
            targets[np.arange(width) < self._read[chosen][:, None]] = -1
        return {
            "history": gather(self.log.items, starts, lengths, width),
            "targets": targets,
            "user": self._users[chosen],
        }
