"""Arrays of a log that stay in their files: written piece by piece, mapped, given back to the system, selected from."""

import contextlib
import errno
import hashlib
import io
import mmap
import os
import tempfile
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from logq._files import DamagedFileError, atomic_write
from logq.logs.ordering import pieces

__all__ = ["ArrayWriter", "MappedEvents", "array_writer", "digest_of_file", "map_array", "select_events", "take_rows"]

_CHUNK = 1 << 22  # bytes
_FEW = 1 << 20
"""Events: a selection of no more is copied into memory."""

_APART = 1 << 12
"""Rows that may be far from each other, so that the system maps 64 KB and more for each one."""


@dataclass(frozen=True)
class MappedEvents:
    """What is known of a log whose columns are mapped from files.

    Args:
        bounds: (P+1,) the events of partition p are the rows in [bounds[p], bounds[p+1]).
        maps: the mapped files.
        fingerprint: of the events and ids of a whole prepared log; None for a part of one.
        folder: of a whole prepared log; None for a part of one.

    Example:
        >>> MappedEvents(np.array([0, 3])).fingerprint is None
        True
    """

    bounds: NDArray[np.int64]
    maps: tuple[mmap.mmap, ...] = ()
    fingerprint: str | None = None
    folder: Path | None = None

    def release(self) -> None:
        """Give the memory of what was read back to the system, which keeps it for as long as it has nothing better.

        Events are read again when they are needed, from the file or from what the system kept.
        """
        if hasattr(mmap, "MADV_DONTNEED"):
            for mapped in self.maps:
                mapped.madvise(mmap.MADV_DONTNEED)


@contextlib.contextmanager
def array_writer(path: Path, dtype: "np.dtype[Any]", rows: int) -> Generator["ArrayWriter", None, None]:
    """A block that writes an array (rows,) part by part as an .npy file, which is there when the block ends.

    Raises:
        ValueError: the parts have another number of rows; the message names the file.
        OSError: it cannot be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.npy")
        ...     with array_writer(path, np.dtype("i4"), 3) as writer:
        ...         writer.add(np.arange(2))
        ...         writer.add(np.arange(1))
        ...     np.load(path).tolist(), writer.digest() == digest_of_file(path)
        ([0, 1, 0], True)
    """
    with atomic_write(path) as file:
        writer = ArrayWriter(file, dtype, rows)
        yield writer
        if writer.done != rows:
            raise ValueError(f"{path}: expected {rows:,} rows, got {writer.done:,}")


class ArrayWriter:
    """Adds rows to an .npy file.

    Args:
        file: to write.
        dtype: of the array.
        rows: that it will have.

    Example:
        See array_writer, which makes one.
    """

    def __init__(self, file: BinaryIO, dtype: "np.dtype[Any]", rows: int) -> None:
        self._file, self._dtype, self._digest = file, dtype, hashlib.sha256()
        self.done = 0
        self._put(_header(dtype, rows))

    def add(self, part: NDArray[Any]) -> None:
        """Add rows, converted to the dtype of the file."""
        self._put(np.ascontiguousarray(part, dtype=self._dtype).tobytes())
        self.done += len(part)

    def digest(self) -> str:
        """SHA-256 of the file so far."""
        return self._digest.hexdigest()

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)


def _header(dtype: "np.dtype[Any]", rows: int) -> bytes:
    head = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (rows,)}
    np.lib.format.write_array_header_1_0(head, described)
    return head.getvalue()


def digest_of_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, read a few MB at a time.

    Example:
        >>> digest_of_file(os.devnull)[:8]
        'e3b0c442'
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(_CHUNK):
            digest.update(data)
    return digest.hexdigest()


def map_array(path: str | os.PathLike[str]) -> tuple[NDArray[Any], mmap.mmap | None]:
    """Map a one-dimensional .npy file: the array, read-only, and the map; an empty array has none.

    Raises:
        DamagedFileError: it is not such a file, or it is shorter or longer than its header says.
        OSError: it cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            if version != (1, 0) or fortran or len(shape) != 1 or dtype.hasobject:
                raise ValueError(f"version {version}, {dtype} {shape}")
        except (ValueError, EOFError, SyntaxError) as error:
            raise DamagedFileError(f"{os.fspath(path)}: is not an array that can be mapped ({error})") from None
        start, size = file.tell(), os.fstat(file.fileno()).st_size
        expected = start + shape[0] * dtype.itemsize
        if size != expected:
            raise DamagedFileError(
                f"{os.fspath(path)}: expected {expected:,} bytes, got {size:,}: the file is truncated"
            )
        return _mapped(file, dtype, shape[0], start)


def _mapped(file: BinaryIO, dtype: "np.dtype[Any]", rows: int, start: int) -> tuple[NDArray[Any], mmap.mmap | None]:
    if not rows:
        return np.zeros(0, dtype), None
    mapped = mmap.mmap(file.fileno(), start + rows * dtype.itemsize, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, dtype, rows, start), mapped


def take_rows(column: NDArray[Any], rows: NDArray[Any], mapped: MappedEvents | None) -> NDArray[Any]:
    """The values (n,) that a column has in some rows; of a mapped log, memory is given back meanwhile.

    Example:
        >>> take_rows(np.array([7, 8, 9]), np.array([2, 0]), None).tolist()
        [9, 7]
    """
    if mapped is None:
        return column[rows]
    found = np.empty(len(rows), dtype=column.dtype)
    for start in range(0, len(rows), _APART):
        some = slice(start, start + _APART)
        found[some] = column[rows[some]]
        mapped.release()
    return found


def select_events(log: Mapping[str, Any], rows: NDArray[Any], mapped: MappedEvents | None) -> dict[str, Any]:
    """Select events of a log: in memory, or of a mapped log with many in a temporary file that is mapped.

    The file has no name, so that nothing is left of it when nobody uses it any more or the process ends. It lies in
    the folder for temporary files (TMPDIR), and takes as many bytes as the columns of these events.

    Args:
        log: its columns (N,) as "users", "items", "timestamps", "labels", None for one that it lacks, and "columns".
        rows: (N,) a mask, or indices.
        mapped: of a log that is mapped.

    Returns:
        The same columns of the chosen events, and "mapped".

    Raises:
        OSError: there is no space for the file.

    Example:
        >>> log = {"users": np.arange(3), "items": np.arange(3), "timestamps": None, "labels": None, "columns": {}}
        >>> select_events(log, np.array([1]), None)["items"].tolist()
        [1]
    """
    columns = {name: log[name] for name in ("users", "items", "timestamps", "labels") if log[name] is not None}
    columns |= {f".{name}": column for name, column in log["columns"].items()}
    is_mask = rows.dtype == np.bool_
    if mapped is not None and is_mask and np.count_nonzero(rows) > _FEW:
        mapped, found = _select_mapped(mapped, columns, rows)
    elif mapped is not None and is_mask:
        found = {name: np.concatenate([column[:0], *_parts(column, rows, mapped)]) for name, column in columns.items()}
        mapped = None
    else:
        which = np.flatnonzero(rows) if is_mask else rows
        found = {name: take_rows(column, which, mapped) for name, column in columns.items()}
        mapped = None
    further = {name: found[f".{name}"] for name in log["columns"]}
    return {**{name: array for name, array in found.items() if name[0] != "."}, "columns": further, "mapped": mapped}


def _parts(column: NDArray[Any], rows: NDArray[np.bool_], mapped: MappedEvents) -> Iterator[NDArray[Any]]:
    """The chosen rows of a column, some at a time."""
    for piece in pieces(len(rows), mapped=mapped):
        yield column[piece][rows[piece]]


def _select_mapped(
    events: MappedEvents, columns: Mapping[str, NDArray[Any]], rows: NDArray[np.bool_]
) -> tuple[MappedEvents, dict[str, NDArray[Any]]]:
    count = int(np.count_nonzero(rows))
    bounds = np.zeros_like(events.bounds)
    for number, (low, high) in enumerate(zip(events.bounds[:-1], events.bounds[1:], strict=True)):
        bounds[number + 1] = bounds[number] + np.count_nonzero(rows[low:high])
    found, maps = {}, list[mmap.mmap]()
    for name, column in columns.items():
        try:
            with tempfile.TemporaryFile(prefix="logq-") as file:
                for part in _parts(column, rows, events):
                    file.write(np.ascontiguousarray(part).data.cast("B"))
                file.flush()
                found[name], mapped = _mapped(file, column.dtype, count, 0)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            size = count * column.dtype.itemsize
            where = f"{tempfile.gettempdir()} (TMPDIR), {size:,} bytes of {name}"
            raise OSError(error.errno, os.strerror(errno.ENOSPC), where) from error
        maps += [mapped] if mapped is not None else []
    # Those of the ids are its own, too.
    return replace(events, bounds=bounds, maps=(*maps, *events.maps), fingerprint=None, folder=None), found
