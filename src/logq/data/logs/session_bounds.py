"""Where sessions begin and end in a log."""

import numpy as np
from numpy.typing import NDArray

from logq.arguments import check_float
from logq.data.logs.interactions import Interactions

__all__ = ["sessions"]


def sessions(log: Interactions, *, gap: float | None = None) -> NDArray[np.int64]:
    """Offsets of the sessions of a log: session s is rows offsets[s] to offsets[s+1].

    A session ends with its user, where columns["session"] changes, and with `gap` where the next event comes more than
    that later. Events are in time order, so two sessions of a user that go on at the same time are cut at each change.
    Where there is neither a column nor a gap, all events of a user are one session.

    Args:
        log: the log.
        gap: the longest pause within a session, in the unit of the log's times.

    Returns:
        (S+1,) int64; [0] for a log without events.

    Raises:
        ValueError: a gap where the log has no times.

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
            raise ValueError("gap: expected a log with times, it has none")
        cuts |= log.timestamps[1:] - log.timestamps[:-1] > gap
    return np.concatenate([[0], np.flatnonzero(cuts) + 1, [len(log)]]).astype(np.int64)
