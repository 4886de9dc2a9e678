"""Columns that are too long for memory: written from the start to the end, read in pieces, sorted into buckets, mapped.

They lie in files without a name in the folder for temporary files (TMPDIR), so nothing is left of them when nobody uses
them any more, also after an error, Ctrl-C or a kill.
"""

import errno
import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from logq._files import DamagedFileError

__all__ = ["Column", "DiskBuckets", "DiskColumn", "MemoryColumn", "pieces"]

MOST_BUCKETS = 256
"""Of DiskBuckets: more would be read in parts that are too small."""


class Column(Protocol):
    """What can be read in pieces: an array, or a DiskColumn."""

    def __len__(self) -> int:
        """The number of entries."""
        ...

    def __getitem__(self, part: slice, /) -> Any:
        """The entries from start to stop, as an array."""
        ...


def pieces(size: int, block: int) -> Iterator[slice]:
    """Yield slices of at most `block` entries that cover `size`.

    Example:
        >>> list(pieces(5, 3))
        [slice(0, 3, None), slice(3, 5, None)]
    """
    return (slice(start, min(start + block, size)) for start in range(0, size, block))


class MemoryColumn:
    """An array that is written from the start to the end, as a DiskColumn is.

    Example:
        >>> column = MemoryColumn(np.int64, 3)
        >>> column.append(np.array([5, 6]))
        >>> column.append(np.array([7]))
        >>> column.finish()
        array([5, 6, 7])
    """

    def __init__(self, dtype: DTypeLike, size: int) -> None:
        self._array = np.empty(size, dtype)
        self._done = 0

    def __len__(self) -> int:
        return self._done

    def append(self, values: NDArray[Any]) -> None:
        """Write entries after those written before, in the dtype of the column."""
        self._array[self._done : self._done + len(values)] = values
        self._done += len(values)

    def finish(self) -> NDArray[Any]:
        """Return all of it."""
        return self._array[: self._done]


class DiskColumn:
    """Entries of one dtype in a temporary file.

    Args:
        dtype: of the entries.
        width: numbers in an entry; with more than one, arrays are (n, width).
        of: what they are, for messages.

    Raises:
        OSError: the file cannot be made or written, as on a full disk; the message names its folder.

    Example:
        >>> column = DiskColumn(np.int64)
        >>> column.append(np.array([5, 6, 7]))
        >>> column[1:3], len(column), column.finish().tolist()
        (array([6, 7]), 3, [5, 6, 7])
    """

    def __init__(self, dtype: DTypeLike, width: int = 1, of: str = "n-grams") -> None:
        self._dtype, self._width = np.dtype(dtype), width
        self._bytes = self._dtype.itemsize * width
        self._length, self._of = 0, of
        try:
            self._file = cast("BinaryIO", tempfile.TemporaryFile(prefix="logq-", buffering=0))  # noqa: SIM115
        except OSError as error:
            raise self._named(error) from error
        self._close = weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self._length

    def append(self, values: NDArray[Any]) -> None:
        """Write entries after those written before, in the dtype of the column."""
        if not len(values):
            return
        data = np.ascontiguousarray(values, self._dtype)
        rest = data.reshape(-1).view(np.uint8).data
        try:
            self._file.seek(self._length * self._bytes)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise self._named(error) from error
        self._length += len(data)

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        start, stop, _ = part.indices(self._length)
        size = max(0, stop - start)
        values = np.empty(size if self._width == 1 else (size, self._width), self._dtype)
        rest = values.reshape(-1).view(np.uint8).data
        self._file.seek(start * self._bytes)
        while rest:
            count = self._file.readinto(rest)  # pyright: ignore
            if not count:
                raise DamagedFileError(f"{_place()}: another program truncated a temporary file of {self._of}")
            rest = rest[count:]
        return values

    def finish(self) -> NDArray[Any]:
        """Return all of it as an array that is mapped from the file, read-only, and stays when the column is closed."""
        if not self._length:
            return np.empty(0, self._dtype)
        return np.memmap(self._file, self._dtype, "r", shape=(self._length,))

    def close(self) -> None:
        """Give the space on the disk back, unless a map needs it."""
        self._close()

    def _named(self, error: OSError) -> OSError:
        """What fails in a file without a name says which folder it lies in."""
        if error.errno is None:
            return error
        no_space = f"no space left for the files of {self._of}"
        return OSError(error.errno, no_space if error.errno == errno.ENOSPC else os.strerror(error.errno), _place())


def _place() -> str:
    return f"{tempfile.gettempdir()} (TMPDIR)"


class DiskBuckets:
    """Records that come in any order and are taken out bucket by bucket; within one in the order in which they came.

    Args:
        dtypes: of the columns of a record.
        length: bucket b has the places from b * length on.
        size: the number of places.
        block: records that are held in memory.

    Example:
        >>> buckets = DiskBuckets([np.int64], length=2, size=4, block=2)
        >>> buckets.add(np.array([3, 0, 2]), np.array([30, 10, 20]))
        >>> [[values.tolist() for _, values in buckets.take(bucket)] for bucket in (0, 1)]
        [[[10]], [[30, 20]]]
    """

    def __init__(self, dtypes: Sequence[DTypeLike], *, length: int, size: int, block: int) -> None:
        self._number = -(-size // length)
        place = np.uint32 if size <= 1 << 32 else np.int64
        self._columns = [DiskColumn(dtype) for dtype in (place, *dtypes)]
        self._bounds: list[NDArray[np.int64]] = []  # for each block written, where its buckets begin and end
        self._length, self._block = length, block
        self._waiting: list[Sequence[NDArray[Any]]] = []
        self._count = 0

    def add(self, places: NDArray[Any], *values: NDArray[Any]) -> None:
        """Put records in.

        Args:
            places: (n,) which decide the bucket.
            values: (n,) of each further column.
        """
        self._waiting.append((places, *values))
        self._count += len(places)
        if self._count >= self._block:
            self._write()

    def take(self, bucket: int) -> Iterator[Sequence[NDArray[Any]]]:
        """Yield the records of a bucket, some at a time: their places, and each further column."""
        self._write()
        parts: list[list[NDArray[Any]]] = []
        count = 0
        for bounds in self._bounds:
            part = slice(int(bounds[bucket]), int(bounds[bucket + 1]))
            if part.start < part.stop:
                parts.append([column[part] for column in self._columns])
                count += part.stop - part.start
            if count >= self._block:
                yield _joined(parts)
                parts, count = [], 0
        if parts:
            yield _joined(parts)

    def close(self) -> None:
        """Remove the files."""
        for column in self._columns:
            column.close()

    def _write(self) -> None:
        if not self._waiting:
            return
        values, self._waiting, self._count = _joined(self._waiting), [], 0
        buckets = (values[0] // self._length).astype(np.uint8 if self._number <= 1 << 8 else np.uint16)
        order = np.argsort(buckets, kind="stable")  # by radix
        bounds = np.zeros(self._number + 1, np.int64)
        np.cumsum(np.bincount(buckets, minlength=self._number), out=bounds[1:])
        self._bounds.append(bounds + len(self._columns[0]))
        for column, own in zip(self._columns, values, strict=True):
            column.append(own[order])


def _joined(parts: Sequence[Sequence[NDArray[Any]]]) -> Sequence[NDArray[Any]]:
    return parts[0] if len(parts) == 1 else [np.concatenate(column) for column in zip(*parts, strict=True)]
