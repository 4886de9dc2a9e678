"""Click sessions: what was clicked, what was booked next, and the market that each listing is in."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["click_sessions", "markets_of_items"]


def click_sessions(
    items: NDArray[np.int64],  # (n,)
    offsets: NDArray[np.int64],  # (sessions + 1,)
    booked: NDArray[np.bool_] | None,  # (n,)
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None]:
    """Sessions without repeats in a row, and for each place the listing that was booked next in its session.

    A run of events with one listing becomes one event, which is a booking if one of them is. The place of a booking
    itself has none.

    Args:
        items: codes of all sessions, one after the other.
        offsets: where each begins, and n.
        booked: which events are bookings; None where that is not known.

    Returns:
        items (m,), offsets (sessions + 1,), and (m,) codes of what is booked next, -1 for nothing; None if `booked` is.

    Example:
        >>> made = click_sessions(np.array([4, 4, 7, 8, 9]), np.array([0, 4, 5]), np.array([0, 0, 1, 0, 1]) > 0)
        >>> [array.tolist() for array in made]
        [[4, 7, 8, 9], [0, 3, 4], [7, -1, -1, -1]]
    """
    session = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    starts = np.ones(len(items), dtype=np.bool_)
    starts[1:] = (items[1:] != items[:-1]) | (session[1:] != session[:-1])
    first = np.flatnonzero(starts)
    kept, of = items[first], session[first]
    bounds = np.searchsorted(of, np.arange(len(offsets)))
    if booked is None:
        return kept, bounds, None
    books = np.logical_or.reduceat(booked, first) if len(first) else booked
    # The nearest booking behind each place: the places of bookings, with the minimum taken from the end.
    last = len(kept)
    at = np.where(books, np.arange(last), last)
    following = np.append(np.minimum.accumulate(at[::-1])[::-1][1:], last)
    inside = following < bounds[1:][of] if last else following[:0] < 0
    following = following[:last]
    return kept, bounds, np.where(inside[:last] & ~books, kept[np.minimum(following, max(0, last - 1))], -1)


def markets_of_items(
    items: NDArray[np.int64],  # (n,)
    markets: NDArray[Any],  # (n,)
    num_items: int,
) -> NDArray[np.int64]:
    """The market of most events of each item, the lowest where several are; items without an event share one more.

    Example:
        >>> markets_of_items(np.array([0, 0, 0, 2]), np.array([5, 7, 7, 5]), 3)
        array([1, 2, 0])
    """
    values, codes = np.unique(markets, return_inverse=True)
    pairs, counts = np.unique(items * len(values) + codes, return_counts=True)
    found = np.full(num_items, len(values), dtype=np.int64)
    order = np.lexsort((-pairs, counts))  # the most frequent last, which is what stays
    found[pairs[order] // len(values)] = pairs[order] % len(values)
    return found
