"""Sorting and counting the rows of a log some at a time, which takes little memory beside theirs."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.logs.identifiers import code_type

__all__ = ["chosen_rows", "count_codes", "order_rows", "pieces", "value_at"]

_PIECE = 1 << 18  # rows


class _Mapped(Protocol):
    def release(self) -> None: ...


def order_rows(users: NDArray[Any], times: NDArray[Any] | None) -> NDArray[Any]:
    """Return the positions of rows, sorted by user, then time, then position: (N,) int32 or int64.

    Example:
        >>> order_rows(np.array([1, 0, 1]), np.array([5, 9, 3])).tolist()
        [1, 2, 0]
    """
    if len(users) <= _PIECE or int(users.max()) == 0:
        return _order_of(users, times)
    # Some users at a time: sorting all at once takes 24 bytes a row more.
    ends = np.cumsum(count_codes(users))
    order = np.empty(len(users), dtype=code_type(len(users)))
    sorted_users = bool((users[1:] >= users[:-1]).all())
    low = done = 0
    while done < len(users):
        goal = done + max(_PIECE, len(users) // 32)
        high = max(int(np.searchsorted(ends, goal, side="right")), low + 1)
        end = int(ends[high - 1])
        rows = np.arange(done, end) if sorted_users else np.flatnonzero((users >= low) & (users < high))
        order[done:end] = rows[_order_of(users[rows] - low, None if times is None else times[rows])]
        low, done = high, end
    return order


def _order_of(users: NDArray[Any], times: NDArray[Any] | None) -> NDArray[np.int64]:
    if times is None:
        return _order_of_users(users)
    if times.dtype.kind in "iu":
        lowest, highest = int(times.min()), int(times.max())
        span = highest - lowest + 1
        if (int(users.max()) + 1) * span < 2**63:  # one key takes half the time of two
            key = users.astype(np.int64)
            key *= span
            key += times - lowest if lowest else times
            return np.arange(len(key)) if (key[1:] >= key[:-1]).all() else np.argsort(key, kind="stable")
    return np.lexsort((times, users))


def _order_of_users(users: NDArray[Any]) -> NDArray[np.int64]:
    if (users[1:] >= users[:-1]).all():
        return np.arange(len(users))
    # numpy sorts 16 bits by counting, which done twice is faster than comparing.
    if int(users.max()) >= 2**32:
        return np.argsort(users, kind="stable")
    order = np.argsort((users & 0xFFFF).astype(np.uint16), kind="stable")
    return order[np.argsort((users[order] >> 16).astype(np.uint16), kind="stable")]


def pieces(size: int, least: int = 0, mapped: _Mapped | None = None) -> Iterator[slice]:
    """Yield slices of some rows each, or of `least`, which together are all of them.

    Where rows are those of a log whose files are `mapped`, the memory of a piece is given back before the next one.

    Example:
        >>> list(pieces(5))
        [slice(0, 5, None)]
    """
    step = max(_PIECE, least)
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))
        if mapped is not None:
            mapped.release()


def count_codes(codes: NDArray[Any], size: int = 0, mapped: _Mapped | None = None) -> NDArray[np.int64]:
    """Return how often each code occurs: (size,), or up to the largest. numpy would copy all codes to 64 bits.

    Example:
        >>> count_codes(np.array([1, 1, 0], np.int32)).tolist()
        [1, 2]
    """
    size = size or int(codes.max(initial=-1)) + 1
    counts = np.zeros(size, dtype=np.int64)
    for piece in pieces(len(codes), size, mapped):
        found = np.bincount(codes[piece], minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    return counts


def chosen_rows(rows: ArrayLike, size: int) -> NDArray[Any]:
    """Return a mask of rows as it is, and indices of rows in rising order.

    Args:
        rows: (size,) bool, or indices of rows in any order.
        size: how many rows there are.

    Raises:
        ArgumentTypeError: they are neither.
        ArgumentError: the mask has another length.
        IndexError: an index is not in [0, size).

    Example:
        >>> chosen_rows([2, 0], 3).tolist()
        [0, 2]
    """
    which = np.asarray(rows)
    if which.dtype == np.bool_:
        if which.shape != (size,):
            raise ArgumentError("rows", f"a mask of {size} rows", Verbatim(f"shape {which.shape}"))
        return which
    if which.dtype.kind not in "iu" and which.size:
        raise ArgumentTypeError("rows", "a mask or indices", Verbatim(f"values of {which.dtype}"))
    which = np.sort(which.astype(np.int64, copy=False))
    if len(which) and (which[0] < 0 or which[-1] >= size):
        wrong = which[0] if which[0] < 0 else which[-1]
        raise IndexError(f"rows: expected indices in [0, {size}), got {wrong}")
    return which


def value_at(values: NDArray[Any], rank: int) -> Any:
    """Return the value that would be at a position if all were sorted; of many values with little memory.

    Some values that were drawn show between which two it lies, and only those in between are sorted.

    Example:
        >>> value_at(np.array([30, 10, 20]), 1)
        20
    """
    if len(values) <= _PIECE:
        return np.partition(values, rank)[rank].item()
    drawn = np.sort(values[np.sort(np.random.default_rng(rank).integers(len(values), size=_PIECE // 4))])
    place, spread = rank * len(drawn) // len(values), 4 * int(len(drawn) ** 0.5)
    low = drawn[place - spread] if place >= spread else values.min()
    high = drawn[place + spread] if place + spread < len(drawn) else values.max()
    below, between = 0, list[NDArray[Any]]()
    for piece in pieces(len(values)):
        part = values[piece]
        below += int(np.count_nonzero(part < low))
        between.append(part[(part >= low) & (part <= high)])
    found = np.concatenate(between)
    if not below <= rank < below + len(found):  # chance, once in thousands of years
        return np.partition(values, rank)[rank].item()
    return np.partition(found, rank - below)[rank - below].item()
