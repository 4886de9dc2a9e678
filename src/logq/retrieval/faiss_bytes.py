"""The bytes of an index of faiss, checked before faiss reads them.

The reader of faiss believes every length, and its search every number of a neighbor, so that changed bytes end the
process. Here the four kinds that `FaissIndex` writes are gone through as `faiss.write_index` lays them out
(faiss/impl/index_write.cpp): each length has to fit the bytes that there are, each number its range, and nothing may be
left over. To build the index again from its vectors would be as safe, and takes thousands of times as long for a graph.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_faiss_bytes"]

_INNER_PRODUCT: Final = 0


def check_faiss_bytes(data: NDArray[np.uint8], kind: str, dim: int, vectors: int) -> None:
    """Check that bytes are an index of faiss that faiss can read and search.

    Args:
        data: what `faiss.serialize_index` returned.
        kind: "flat", "ivf", "hnsw" or "pq".
        dim: D, the dimension of its vectors.
        vectors: how many it holds.

    Raises:
        ValueError: they are not, or are laid out in a way that is not known here; the message says where.

    Example:
        >>> check_faiss_bytes(np.zeros(64, np.uint8), "flat", 4, 3)
        Traceback (most recent call last):
        ...
        ValueError: byte 0: expected IndexFlat with dimension, vectors, metric, trained = [4, 3, 0, 1], got ...
    """
    reader = _FaissBytes(data)
    {"flat": _flat, "ivf": _ivf, "hnsw": _hnsw, "pq": _pq}[kind](reader, dim, vectors)
    reader.finish()


class _FaissBytes:
    """Goes through bytes; what is wanted has to be there before it is looked at."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self.data, self.at = data, 0

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        size = np.dtype(dtype).itemsize
        if count < 0 or count > (len(self.data) - self.at) // size:
            raise ValueError(f"byte {self.at}: expected {count} numbers of {size} bytes, the index ends before")
        found = np.frombuffer(self.data.data, dtype, count, self.at)
        self.at += size * count
        return found

    def number(self, dtype: str, what: str, least: int, most: int) -> int:
        at, value = self.at, int(self.array(dtype, 1)[0])
        if not least <= value <= most:
            raise ValueError(f"byte {at}: expected {what} in [{least}, {most}], got {value}")
        return value

    def exactly(self, dtype: str, what: str, value: int) -> None:
        self.number(dtype, what, value, value)

    def vector(self, dtype: str, count: int, what: str) -> NDArray[Any]:
        """A length, which has to be `count`, and as many numbers."""
        self.exactly("<u8", f"length of {what}", count)
        return self.array(dtype, count)

    def within(self, what: str, values: NDArray[Any], least: int, most: int) -> None:
        if len(values) and not (least <= values.min() and values.max() <= most):
            raise ValueError(f"before byte {self.at}: expected {what} in [{least}, {most}]")

    def name(self, wanted: bytes) -> None:
        found = self.array("u1", 4).tobytes()
        if found != wanted:
            raise ValueError(f"byte {self.at - 4}: expected {wanted} of faiss, got {found}")

    def finite(self, what: str, values: NDArray[Any]) -> None:
        if not np.isfinite(values).all():
            raise ValueError(f"before byte {self.at}: expected finite {what}")

    def finish(self) -> None:
        if self.at != len(self.data):
            raise ValueError(f"byte {self.at}: expected the end, {len(self.data) - self.at} bytes are left")


_CLASSES: Final = {b"IxFI": "IndexFlat", b"IwFl": "IndexIVFFlat", b"IHNf": "IndexHNSWFlat", b"IwPQ": "IndexIVFPQ"}


def _header(reader: _FaissBytes, name: bytes, dim: int, vectors: int) -> None:
    at, wrote = reader.at, reader.array("u1", 4).tobytes()
    found = [int(reader.array("<i4", 1)[0]), int(reader.array("<i8", 1)[0])]
    reader.array("<i8", 2)  # unused
    trained, metric = (int(reader.array(dtype, 1)[0]) for dtype in ("u1", "<i4"))
    found += [metric, trained]
    expected = [dim, vectors, _INNER_PRODUCT, 1]
    if wrote != name or found != expected:
        raise ValueError(
            f"byte {at}: expected {_CLASSES[name]} with dimension, vectors, metric, trained = {expected}, "
            f"got {_CLASSES.get(wrote, wrote)} with {found}"
        )


def _flat(reader: _FaissBytes, dim: int, vectors: int) -> None:
    _header(reader, b"IxFI", dim, vectors)
    reader.finite("vectors", reader.vector("<f4", dim * vectors, "vectors"))


def _ivf(reader: _FaissBytes, dim: int, vectors: int) -> None:
    lists = _lists_header(reader, b"IwFl", dim, vectors)
    _lists(reader, lists, 4 * dim, vectors, floats=True)


def _pq(reader: _FaissBytes, dim: int, vectors: int) -> None:
    lists = _lists_header(reader, b"IwPQ", dim, vectors)
    reader.number("u1", "whether residuals are coded", 0, 1)
    code = reader.number("<u8", "length of a code", 1, dim)
    reader.exactly("<u8", "dimension", dim)
    parts = reader.number("<u8", "number of parts", 1, dim)
    bits = reader.number("<u8", "bits of a part", 1, 8)
    if dim % parts or code != (parts * bits + 7) // 8:
        raise ValueError(f"byte {reader.at}: expected codes of {parts} parts of {bits} bits, got {code} bytes")
    reader.finite("codes", reader.vector("<f4", dim << bits, "values of codes"))
    _lists(reader, lists, code, vectors, floats=False)


def _lists_header(reader: _FaissBytes, name: bytes, dim: int, vectors: int) -> int:
    _header(reader, name, dim, vectors)
    lists = reader.number("<u8", "number of lists", 1, len(reader.data))
    reader.number("<u8", "number of searched lists", 1, lists)
    _flat(reader, dim, lists)
    kind = reader.number("u1", "kind of direct map", 0, 1)
    if kind == 0:
        reader.vector("<i8", 0, "direct map")
        return lists
    places = reader.vector("<i8", vectors, "direct map")
    # A place is the number of its list in the upper half, and the position in it in the lower; whether there is one is
    # not asked here: FaissIndex makes the map anew.
    reader.within("places", places >> 32, 0, lists - 1)
    return lists


def _lists(reader: _FaissBytes, lists: int, code: int, vectors: int, *, floats: bool) -> None:
    reader.name(b"ilar")
    reader.exactly("<u8", "number of lists", lists)
    reader.exactly("<u8", "length of a code", code)
    layout = reader.array("u1", 4).tobytes()
    if layout == b"full":
        sizes = reader.vector("<u8", lists, "lists")
    elif layout == b"sprs":  # (list, size) of those that hold any
        count = reader.number("<u8", "numbers of lists", 0, 2 * lists)
        pairs = reader.array("<u8", count)
        if count % 2:
            raise ValueError(f"byte {reader.at}: expected pairs of list and size")
        numbers, held = pairs[::2], pairs[1::2]
        reader.within("numbers of lists", numbers, 0, lists - 1)
        if (numbers[1:] <= numbers[:-1]).any():
            raise ValueError(f"before byte {reader.at}: expected numbers of lists that rise")
        sizes = np.zeros(lists, dtype=np.uint64)
        sizes[numbers.astype(np.int64)] = held
    else:
        raise ValueError(f"byte {reader.at - 4}: expected full or sprs, got {layout}")
    reader.within("sizes of lists", sizes, 0, vectors)
    if int(sizes.sum()) != vectors:
        raise ValueError(f"before byte {reader.at}: expected lists of {vectors} vectors together")
    seen = np.zeros(vectors, dtype=bool)
    for size in sizes.tolist():
        codes = reader.array("u1", size * code)
        if floats:
            reader.finite("vectors", codes.view("<f4") if codes.ctypes.data % 4 == 0 else codes.copy().view("<f4"))
        ids = reader.array("<i8", size)
        reader.within("numbers of vectors", ids, 0, vectors - 1)
        seen[ids] = True
    if not seen.all():
        raise ValueError(f"before byte {reader.at}: expected each vector in one list")


def _hnsw(reader: _FaissBytes, dim: int, vectors: int) -> None:
    _header(reader, b"IHNf", dim, vectors)
    levels = reader.number("<u8", "number of levels", 1, 256)
    reader.finite("probabilities", reader.array("<f8", levels))
    room = reader.vector("<i4", levels + 1, "neighbors by level")  # of all levels below, summed up
    if room[0] != 0 or (room[1:] < room[:-1]).any():
        raise ValueError(f"before byte {reader.at}: expected numbers of neighbors that rise from 0")
    heights = reader.vector("<i4", vectors, "levels of vectors")
    reader.within("levels of vectors", heights, 1, levels)
    offsets = reader.vector("<u8", vectors + 1, "offsets")
    expected = np.zeros(vectors + 1, dtype=np.uint64)
    np.cumsum(room[heights], out=expected[1:], dtype=np.uint64)
    if not np.array_equal(offsets, expected):
        raise ValueError(f"before byte {reader.at}: expected offsets that follow from the levels")
    links = reader.vector("<i4", int(expected[-1]), "neighbors")
    _neighbors(reader, links, heights, expected.astype(np.int64), room, vectors)
    entry = reader.number("<i4", "vector to start from", -1 if vectors == 0 else 0, max(0, vectors - 1))
    top = reader.number("<i4", "highest level", -1 if vectors == 0 else 0, levels - 1)
    if vectors and heights[entry] != top + 1:
        raise ValueError(f"byte {reader.at}: expected the start on the highest level, {top}")
    if vectors and heights.max() > top + 1:
        raise ValueError(f"byte {reader.at}: expected no vector above the highest level, {top}")
    reader.number("<i4", "candidates of building", 1, 1 << 30)
    reader.number("<i4", "candidates of a search", 1, 1 << 30)
    reader.array("<i4", 1)  # unused
    _flat(reader, dim, vectors)


_AT_A_TIME = 1 << 22  # neighbors


def _neighbors(
    reader: _FaissBytes,
    links: NDArray[np.int32],
    heights: NDArray[np.int32],
    offsets: NDArray[np.int64],
    room: NDArray[np.int32],
    vectors: int,
) -> None:
    """Neighbors are vectors, or -1 where there are fewer, and reach at least the level on which they are neighbors."""
    reader.within("neighbors", links, -1, vectors - 1)
    high = np.flatnonzero(heights > 1)  # on the lowest level are all
    for level in range(1, int(heights.max(initial=1))):
        owners = high[heights[high] > level]
        width = int(room[level + 1] - room[level])
        for part in np.array_split(owners, max(1, len(owners) * width // _AT_A_TIME)):
            found = links[(offsets[part] + room[level])[:, None] + np.arange(width)]
            if (heights[found[found >= 0]] <= level).any():
                raise ValueError(f"before byte {reader.at}: expected neighbors that reach level {level}")
