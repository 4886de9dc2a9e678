"""Which items are relevant to which user, as two flat arrays, and where they stand in rankings."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq.arguments import shown

__all__ = ["Csr", "check_csr", "check_ranked", "unique_per_user", "where_relevant"]

Csr: TypeAlias = tuple[ArrayLike, ArrayLike]


class _Flat(NamedTuple):
    items: NDArray[np.int64]  # (n,)
    offsets: NDArray[np.int64]  # (U + 1,)


def check_csr(name: str, value: Any, users: int) -> _Flat:
    """Return (items, offsets) as int64: those of user u are items[offsets[u] : offsets[u + 1]].

    Raises:
        TypeError: no pair of whole numbers.
        ValueError: offsets are not one more than users, or do not rise from 0 to the number of items.

    Example:
        >>> check_csr("truth", ([7, 8, 9], [0, 2, 3]), 2).offsets.tolist()
        [0, 2, 3]
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name}: expected a pair (items, offsets), got {shown(value)}")
    items, offsets = (_whole(f"{name} {part}", array) for part, array in zip(("items", "offsets"), value, strict=True))
    if len(offsets) != users + 1:
        raise ValueError(f"{name} offsets: expected {users + 1} for {users} users, got {len(offsets)}")
    if offsets[0] != 0 or offsets[-1] != len(items) or (np.diff(offsets) < 0).any():
        raise ValueError(f"{name} offsets: expected to rise from 0 to the number of items {len(items)}")
    return _Flat(items, offsets)


def check_ranked(ranked: Any) -> NDArray[np.int64]:
    """Return rankings (U, K) of items, best first, -1 where there is none; no item stands twice in a row.

    Raises:
        TypeError: no whole numbers.
        ValueError: another shape, or an item twice; the message names the first user with one.

    Example:
        >>> check_ranked([[3, 1], [1, -1]]).shape
        (2, 2)
    """
    array = np.asarray(ranked)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"ranked: expected shape (U, K), got {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"ranked: expected whole numbers, got {array.dtype}")
    rows = array.astype(np.int64, copy=False)
    ordered = np.sort(rows, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        user, place = (int(number) for number in np.argwhere(twice)[0])
        raise ValueError(f"ranked: expected each item once, user {user} has {int(ordered[user, place])} twice")
    return rows


def unique_per_user(flat: _Flat) -> _Flat:
    """Return the relevant items of each user once, by ascending item; negative ones, which are no items, go.

    Example:
        >>> [part.tolist() for part in unique_per_user(check_csr("truth", ([5, 5, 2, -1], [0, 3, 4]), 2))]
        [[2, 5], [0, 2, 2]]
    """
    keys, width = _keys(flat)
    users, items = np.divmod(np.unique(keys), width)
    counts = np.bincount(users, minlength=len(flat.offsets) - 1)
    return _Flat(items, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def where_relevant(
    ranked: NDArray[np.int64],  # (U, K)
    truth: _Flat,  # as `unique_per_user` leaves it
) -> NDArray[np.bool_]:
    """Return which places of the rankings hold a relevant item, (U, K).

    Example:
        >>> where_relevant(np.array([[3, 1, 2]]), check_csr("truth", ([1, 2], [0, 2]), 1)).tolist()
        [[False, True, True]]
    """
    keys, width = _keys(truth)
    if len(keys) == 0:
        return np.zeros(ranked.shape, dtype=bool)
    asked = ranked + width * np.arange(len(ranked), dtype=np.int64)[:, None]
    places = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return (keys[places] == asked) & (ranked >= 0) & (ranked < width)


def _keys(flat: _Flat) -> tuple[NDArray[np.int64], int]:
    """Return user x width + item for each entry that is an item, and the width, which is above all items."""
    users = len(flat.offsets) - 1
    width = int(flat.items.max(initial=0)) + 1
    if users * width >= 2**63:
        raise ValueError(f"truth: expected items below {2**63 // users} for {users} users, got {width - 1}")
    keys = np.repeat(np.arange(users, dtype=np.int64), np.diff(flat.offsets)) * width + flat.items
    return keys[flat.items >= 0], width


def _whole(name: str, value: Any) -> NDArray[np.int64]:
    array = np.asarray(value)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected shape (n,), got {array.shape}")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected whole numbers, got {array.dtype}")
    return array.astype(np.int64, copy=False)
