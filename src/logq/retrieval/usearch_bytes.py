"""The bytes of an index of usearch, checked before usearch reads them.

usearch believes every number in them, and its search every neighbor, so that changed bytes end the process. Here they
are gone through as version 2 of its format lays them out (usearch/index_dense.hpp and index.hpp):

    vectors   rows and columns in bytes, 4 bytes each, and the float32 numbers of each slot
    head      64 bytes: "usearch", the version, metric, types, numbers of vectors and removed ones, dimension
    graph     40 bytes: size, neighbors on upper levels and on the lowest, highest level, slot to start from
    levels    int16 of each slot
    nodes     of each slot: key, level, and for each of its levels a number of neighbors and room for all

To build the index again from its vectors would be as safe, and takes some 40 times as long.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_usearch_bytes"]

FREE: Final = np.iinfo(np.uint64).max
"""The key of a slot whose item was removed."""

_HEAD: Final = np.dtype(
    [
        ("magic", "S7"),
        ("version", "<u2", 3),
        ("metric", "u1"),
        ("scalar", "u1"),
        ("key", "u1"),
        ("slot", "u1"),
        ("present", "<u8"),
        ("deleted", "<u8"),
        ("dim", "<u8"),
        ("multi", "u1"),
        ("unused", "u1", 22),
    ]
)
_GRAPH: Final = np.dtype([(name, "<u8") for name in ("size", "upper", "lowest", "top", "entry")])
_INNER_PRODUCT, _FLOAT32, _UINT64, _UINT32 = ord("i"), 11, 14, 15
_KEY, _LEVEL, _COUNT = 8, 2, 4  # bytes
_NODES = 1 << 16  # at a time


def check_usearch_bytes(data: NDArray[np.uint8], dim: int, keys: NDArray[np.int64]) -> None:
    """Check that bytes are an index of usearch that usearch can read and search.

    Args:
        data: what `usearch.index.Index.save` returned.
        dim: D, the dimension of its vectors.
        keys: those that it should hold.

    Raises:
        ValueError: they are not, or are laid out in a way that is not known here; the message says what is wrong.

    Example:
        >>> check_usearch_bytes(np.zeros(4, np.uint8), 4, np.arange(3))
        Traceback (most recent call last):
        ...
        ValueError: expected the bytes of an index of usearch, got 4 bytes
    """
    parts = _parts(data, dim)
    if not np.isfinite(parts.vectors).all():
        raise ValueError("expected finite vectors")
    graph, levels = parts.graph, parts.levels.astype(np.int64)
    size, top = len(levels), int(graph["top"])
    if size and not (int(graph["entry"]) < size and top == levels.max() and levels[int(graph["entry"])] == top):
        raise ValueError(f"expected to start from the highest of {size} slots")
    if (levels < 0).any():
        raise ValueError("expected levels of 0 and more")
    lowest, upper = (_COUNT * (int(graph[name]) + 1) for name in ("lowest", "upper"))
    starts = np.zeros(size + 1, dtype=np.int64)
    np.cumsum(_KEY + _LEVEL + lowest + upper * levels, out=starts[1:])
    if starts[-1] != len(parts.nodes):
        raise ValueError(f"expected {starts[-1]} bytes of neighbors, got {len(parts.nodes)}")
    found = _numbers(parts.nodes, starts[:-1], "<u8", 1)[:, 0]
    live = np.sort(found[found != FREE])
    if not np.array_equal(live, np.sort(keys).astype(np.uint64)) or size - len(live) != int(parts.head["deleted"]):
        raise ValueError(f"expected the keys of {len(keys)} items, got others")
    if not np.array_equal(_numbers(parts.nodes, starts[:-1] + _KEY, "<i2", 1)[:, 0], levels):
        raise ValueError("expected levels of nodes as they are listed")
    first = starts[:-1] + _KEY + _LEVEL
    _check_neighbors(parts.nodes, first, lowest, 0, levels)
    for level in range(1, top + 1):
        reach = np.flatnonzero(levels >= level)
        _check_neighbors(parts.nodes, first[reach] + lowest + upper * (level - 1), upper, level, levels)


class _Parts(NamedTuple):
    vectors: NDArray[np.float32]
    head: Any
    graph: Any
    levels: NDArray[np.int16]
    nodes: NDArray[np.uint8]


def _parts(data: NDArray[np.uint8], dim: int) -> _Parts:
    if len(data) < 8 + _HEAD.itemsize + _GRAPH.itemsize:
        raise ValueError(f"expected the bytes of an index of usearch, got {len(data)} bytes")
    rows, columns = (int(number) for number in data[:8].view("<u4"))
    at = 8 + rows * columns
    if columns != 4 * dim or at + _HEAD.itemsize + _GRAPH.itemsize > len(data):
        raise ValueError(f"expected vectors of dimension {dim}, got {rows} of {columns} bytes each")
    head = np.frombuffer(data.data, _HEAD, 1, at)[0]
    graph = np.frombuffer(data.data, _GRAPH, 1, at + _HEAD.itemsize)[0]
    kinds = tuple(int(head[name]) for name in ("metric", "scalar", "key", "slot", "multi"))
    expected = (_INNER_PRODUCT, _FLOAT32, _UINT64, _UINT32, 0)
    if head["magic"] != b"usearch" or int(head["version"][0]) != 2 or kinds != expected:
        raise ValueError(f"expected an index of usearch 2 with metric and types {expected}, got {kinds}")
    size, deleted = int(graph["size"]), int(head["deleted"])
    if int(head["dim"]) != dim or size != rows or int(head["present"]) + deleted != rows:
        raise ValueError(f"expected {rows} vectors of {dim} numbers, got {size} of {head['dim']}")
    if not all(1 <= int(graph[name]) <= 1 << 16 for name in ("upper", "lowest")):
        raise ValueError(f"expected room for neighbors, got {graph['upper']} and {graph['lowest']}")
    at_levels = at + _HEAD.itemsize + _GRAPH.itemsize
    if at_levels + _LEVEL * size > len(data):
        raise ValueError(f"expected levels of {size} slots, the index ends before")
    vectors = np.frombuffer(data.data, "<f4", rows * dim, 8)
    levels = np.frombuffer(data.data, "<i2", size, at_levels)
    return _Parts(vectors, head, graph, levels, data[at_levels + _LEVEL * size :])


def _numbers(nodes: NDArray[np.uint8], places: NDArray[np.int64], dtype: str, count: int) -> NDArray[Any]:
    """The numbers (n, count) that begin at some places, whatever their alignment."""
    width = np.dtype(dtype).itemsize * count
    found = np.empty((len(places), count), dtype=dtype)
    rows = found.view(np.uint8).reshape(len(places), width)
    step = max(1, (_NODES << 6) // width)
    for start in range(0, len(places), step):
        rows[start : start + step] = nodes[places[start : start + step, None] + np.arange(width)]
    return found


def _check_neighbors(
    nodes: NDArray[np.uint8], places: NDArray[np.int64], width: int, level: int, levels: NDArray[np.int64]
) -> None:
    """A number of neighbors, for which there is room, and slots that reach the level."""
    room = width // _COUNT - 1
    for start in range(0, len(places), _NODES):
        lists = _numbers(nodes, places[start : start + _NODES], "<u4", room + 1)
        counts = lists[:, 0]
        if counts.max() > room:
            raise ValueError(f"expected at most {room} neighbors, got {counts.max()}")
        used = lists[:, 1:][np.arange(room) < counts[:, None]]
        if len(used) and (used.max() >= len(levels) or (levels[used] < level).any()):
            raise ValueError(f"expected neighbors among the slots of level {level}")
