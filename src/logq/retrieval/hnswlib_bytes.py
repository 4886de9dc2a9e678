"""The bytes of an index of hnswlib, checked before hnswlib reads them.

hnswlib believes every number in them, and its search every neighbor, so that changed bytes end the process. Here they
are gone through as version 0.8 lays them out (hnswlib/hnswalg.h):

    head      96 bytes: sizes and offsets, number of slots, highest level, slot to start from, number of neighbors
    slots     of each: number of neighbors and a mark if it was removed, room for 2 M of them, vector, label
    levels    of each: bytes of its upper levels, each with a number of neighbors and room for M of them
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_hnswlib_bytes"]

_HEAD: Final = np.dtype(
    [
        *((name, "<u8") for name in ("first", "room", "slots", "slot_bytes", "label_at", "vector_at")),
        ("top", "<i4"),
        ("entry", "<u4"),
        *((name, "<u8") for name in ("upper", "lowest", "links")),
        ("mult", "<f8"),
        ("ef_construction", "<u8"),
    ]
)
_COUNT, _LABEL = 4, 8  # bytes
_MOST_LINKS, _MOST_CANDIDATES = 10_000, 1 << 24
_REMOVED = 1 << 16  # in the number of neighbors
_SLOTS = 1 << 16  # at a time


def check_hnswlib_bytes(data: NDArray[np.uint8], dim: int, slots: int, live: NDArray[np.int64]) -> None:
    """Check that bytes are an index of hnswlib that hnswlib can read and search.

    Args:
        data: what `hnswlib.Index.save_index` wrote.
        dim: D, the dimension of its vectors.
        slots: how many there are, removed ones too; their labels are 0 to slots - 1.
        live: the labels that were not removed.

    Raises:
        ValueError: they are not, or are laid out in a way that is not known here; the message says what is wrong.

    Example:
        >>> check_hnswlib_bytes(np.zeros(4, np.uint8), 4, 3, np.arange(3))
        Traceback (most recent call last):
        ...
        ValueError: expected the bytes of an index of hnswlib, got 4 bytes
    """
    if len(data) < _HEAD.itemsize:
        raise ValueError(f"expected the bytes of an index of hnswlib, got {len(data)} bytes")
    head: Any = np.frombuffer(data.data, _HEAD, 1)[0]
    width = _check_head(head, dim, slots)
    start = _HEAD.itemsize
    if len(data) < start + slots * width + _COUNT * slots:
        raise ValueError(f"expected {slots} slots of {width} bytes, got {len(data)} bytes")
    table = data[start : start + slots * width].reshape(slots, width)
    links = int(head["links"])
    levels, starts = _levels(data, start + slots * width, slots, _COUNT * (links + 1))
    top, entry = int(head["top"]), int(head["entry"])
    if slots and not (entry < slots and top == levels.max() and levels[entry] == top):
        raise ValueError(f"expected to start from the highest of {slots} slots")
    vectors = _COUNT * (2 * links + 1)
    removed = np.zeros(slots, dtype=bool)
    labels = np.zeros(slots, dtype=np.uint64)
    for first in range(0, slots, _SLOTS):
        part = table[first : first + _SLOTS]
        lists = part[:, :vectors].copy().view("<u4")
        removed[first : first + _SLOTS] = lists[:, 0] & _REMOVED != 0
        lists[:, 0] &= ~np.uint32(_REMOVED)
        _check_neighbors(lists, 0, levels)
        if not np.isfinite(np.ascontiguousarray(part[:, vectors : vectors + 4 * dim]).view("<f4")).all():
            raise ValueError("expected finite vectors")
        labels[first : first + _SLOTS] = np.ascontiguousarray(part[:, -_LABEL:]).view("<u8")[:, 0]
    if not np.array_equal(np.sort(labels), np.arange(slots, dtype=np.uint64)):
        raise ValueError(f"expected labels below {slots}, each once")
    if not np.array_equal(np.sort(labels[~removed]), np.sort(live).astype(np.uint64)):
        raise ValueError(f"expected the labels of {len(live)} items, got others")
    upper = _COUNT * (links + 1)
    for level in range(1, top + 1):
        reach = np.flatnonzero(levels >= level)
        for first in range(0, len(reach), _SLOTS):
            places = starts[reach[first : first + _SLOTS]] + upper * (level - 1)
            _check_neighbors(data[places[:, None] + np.arange(upper)].view("<u4"), level, levels)


def _check_head(head: Any, dim: int, slots: int) -> int:
    """Check the numbers of the head, and return the bytes of a slot."""
    links, room = int(head["links"]), int(head["room"])
    if not 1 <= links <= _MOST_LINKS:
        raise ValueError(f"expected up to {_MOST_LINKS} neighbors, got {links}")
    vector_at = _COUNT * (2 * links + 1)
    label_at = vector_at + 4 * dim
    if int(head["label_at"]) - int(head["vector_at"]) != 4 * dim:
        raise ValueError(f"expected vectors of dimension {dim}, got {head['slot_bytes']} bytes for each slot")
    names = ("first", "slots", "slot_bytes", "label_at", "vector_at", "upper", "lowest")
    expected = (0, slots, label_at + _LABEL, label_at, vector_at, links, 2 * links)
    found = tuple(int(head[name]) for name in names)
    if found != expected:
        raise ValueError(f"expected {', '.join(names)} = {expected} for dimension {dim}, got {found}")
    if not max(1, slots) <= room <= 2 * max(1, slots):
        raise ValueError(f"expected room for {slots} slots, and at most twice as many, got {room}")
    if not np.isclose(head["mult"], 1 / np.log(links) if links > 1 else np.inf):
        raise ValueError(f"expected levels as of {links} neighbors, got {head['mult']}")
    if not 1 <= int(head["ef_construction"]) <= _MOST_CANDIDATES:
        raise ValueError(f"expected a number of candidates, got {head['ef_construction']}")
    if not slots and (int(head["top"]), int(head["entry"])) != (-1, 0xFFFFFFFF):
        raise ValueError("expected no slot to start from where there are none")
    return label_at + _LABEL


def _levels(data: NDArray[np.uint8], at: int, slots: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the highest level of each slot, and where its upper levels begin; they end with the data."""
    levels = np.zeros(slots, dtype=np.int64)
    starts = np.zeros(slots, dtype=np.int64)
    raw, end = data.data, len(data)
    for slot in range(slots):
        if at + _COUNT > end:
            raise ValueError(f"expected levels of {slots} slots, the index ends before")
        size = int.from_bytes(raw[at : at + _COUNT], "little")
        at += _COUNT
        if size % width or at + size > end:
            raise ValueError(f"expected levels of {width} bytes, got {size} bytes of slot {slot}")
        levels[slot], starts[slot] = size // width, at
        at += size
    if at != end:
        raise ValueError(f"expected {at} bytes, got {end}")
    return levels, starts


def _check_neighbors(lists: NDArray[np.uint32], level: int, levels: NDArray[np.int64]) -> None:
    """Numbers of neighbors, for which there is room, and slots that reach the level."""
    counts, room = lists[:, 0], lists.shape[1] - 1
    if len(counts) and counts.max() > room:
        raise ValueError(f"expected at most {room} neighbors, got {counts.max()}")
    used = lists[:, 1:][np.arange(room) < counts[:, None]]
    if len(used) and (used.max() >= len(levels) or (levels[used] < level).any()):
        raise ValueError(f"expected neighbors among the slots of level {level}")
