"""PartitionedTable: a table of vectors in a temporary file, cut in parts of which one at a time is in memory."""

import tempfile
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._mapped_file import release_mapped
from logq.word2vec.engines import Floats
from logq.word2vec.kernel import table

__all__ = ["PartitionedTable"]

PIECE_BYTES = 1 << 24
"""Of rows that are copied at a time."""


class PartitionedTable:
    """Rows in a temporary file, those of a part next to each other: row i is row i // P of part i % P.

    So each part has as many frequent words as the others, as ids are sorted by frequency. It looks like an array that
    can be sliced and written to a file; what is sliced is read. The file has no name and ends with the object.

    Args:
        num_rows: N.
        dim: D.
        partitions: P, at most N.

    Attributes:
        held: the number of the part in memory, None at first.
        rows: (n, stride) the part in memory, as the compiled kernel wants it.

    Raises:
        OSError: the file cannot be written.

    Example:
        >>> numbers = PartitionedTable(5, 2, 2)
        >>> numbers.write(0, np.arange(10, dtype=np.float32).reshape(5, 2))
        >>> numbers.hold(1)[:, :2].tolist()
        [[2.0, 3.0], [6.0, 7.0]]
        >>> numbers.rows[0] = 0
        >>> numbers[1:3].tolist()
        [[0.0, 0.0], [4.0, 5.0]]
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, num_rows: int, dim: int, partitions: int) -> None:
        self.shape = (num_rows, dim)
        self.partitions = partitions
        self.held: int | None = None
        longest = self.length(0)
        self._memory = table(longest, dim)
        self.rows = self._memory[:0]
        self._row_bytes = self._memory.strides[0]
        self._part_bytes = longest * self._row_bytes
        self._file = tempfile.TemporaryFile(prefix="logq-", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        for _ in range(partitions):  # the room is taken now: a full disk is found here
            self._put(self._memory, self._file.tell())

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Their bytes."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.integer[Any]]) -> Floats:
        """Rows as a new array: a slice without a step, or some numbers, which are read one by one."""
        if not isinstance(rows, slice):
            return np.concatenate([self[:0], *(self[row : row + 1] for row in rows.tolist())])
        begin, end, _ = rows.indices(len(self))
        found = np.empty((max(0, end - begin), self.shape[1]), np.float32)
        for part, here, there in self._spans(begin, end):
            if part == self.held:
                found[here] = self.rows[there, : self.shape[1]]
            else:
                read = np.empty((there.stop - there.start, self._memory.shape[1]), np.float32)
                self._get(read, self._place(part, there.start))
                found[here] = read[:, : self.shape[1]]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of it, in memory."""
        return self[:].astype(dtype or self.dtype, copy=False)

    def write(self, begin: int, rows: Floats) -> None:
        """Write rows from `begin` on."""
        for part, here, there in self._spans(begin, begin + len(rows)):
            if part == self.held:
                self.rows[there, : self.shape[1]] = rows[here]
            else:
                wide = np.zeros((there.stop - there.start, self._memory.shape[1]), np.float32)
                wide[:, : self.shape[1]] = rows[here]
                self._put(wide, self._place(part, there.start))

    def fill(self, rows: Any) -> None:
        """Write all rows, from an array or what can be sliced like one."""
        for begin in range(0, len(self), self.piece):
            self.write(begin, rows[begin : begin + self.piece])
            release_mapped(rows)

    @property
    def piece(self) -> int:
        """How many rows are copied at a time."""
        return max(1, PIECE_BYTES // self._row_bytes)

    def hold(self, part: int) -> Floats:
        """Take a part into memory, and write back the one that was there; returns `rows`."""
        if part != self.held:
            if self.held is not None:
                self._put(self.rows, self._place(self.held, 0))
            self.held, self.rows = None, self._memory[: self.length(part)]
            self._get(self.rows, self._place(part, 0))
            self.held = part
        return self.rows

    def put(self, part: int, begin: int, rows: Floats) -> None:
        """Write rows, as wide as those of `hold`, to a part that is not in memory."""
        assert part != self.held
        if len(rows):
            self._put(rows, self._place(part, begin))

    def length(self, part: int) -> int:
        """How many rows a part has."""
        return (self.shape[0] - part + self.partitions - 1) // self.partitions

    def _place(self, part: int, row: int) -> int:
        return part * self._part_bytes + row * self._row_bytes

    def _spans(self, begin: int, end: int) -> list[tuple[int, slice, slice]]:
        """Of each part: where its rows are among [begin, end), and in the part."""
        firsts = range(begin, min(end, begin + self.partitions))
        count = self.partitions
        return [
            (
                first % count,
                slice(first - begin, end - begin, count),
                slice(first // count, first // count + (end - first + count - 1) // count),
            )
            for first in firsts
        ]

    def _get(self, rows: Floats, place: int) -> None:
        self._file.seek(place)
        left = rows.data.cast("B")
        while len(left):
            count = self._file.readinto(left)
            if not count:
                raise OSError(f"a temporary file in {tempfile.gettempdir()} was cut short")
            left = left[count:]

    def _put(self, rows: Floats, place: int) -> None:
        self._file.seek(place)
        left = rows.data.cast("B")
        try:
            while len(left):
                left = left[self._file.write(left) :]
        except OSError as error:
            where = (
                f"a temporary file of {self.partitions * self._part_bytes / 2**30:.1f} GiB in {tempfile.gettempdir()}"
            )
            raise OSError(error.errno, f"{error.strerror}: {where}; TMPDIR chooses another folder") from None
