"""A file of int32 ids: written from the start to the end, renumbered in place, and read anywhere."""

import contextlib
import os
import secrets
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from logq._files import MAYBE_UNLOCKED, lock_file

__all__ = ["IdFile", "Ids32", "is_in_use"]

Ids32 = NDArray[np.int32]

_BYTES = 4  # of an id


class IdFile:
    """An open file of ids, in the byte order of the machine.

    The file is locked as long as it is open, so that no other program takes it for a leftover of a killed one.

    Reads are copies, not views of a mapped file: a mapped file that is truncated while it is read ends the process, and
    its pages count as memory of the process that reads them.

    Attributes:
        path: where it lies.

    Raises:
        OSError: it cannot be opened or, later, read or written; the message names it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with contextlib.closing(IdFile.create(Path(folder), "corpus")) as file:
        ...         file.append(np.array([5, 6, 7], np.int32))
        ...         file.replace(0, np.array([1, 2], np.int32))
        ...         file.finish(2)
        ...         file.read(0, 2)
        array([1, 2], dtype=int32)
    """

    def __init__(self, path: Path, mode: str = "rb") -> None:
        self.path = path
        with self._named():
            self._file = cast("BinaryIO", open(path, mode, buffering=0))  # noqa: SIM115  # close() is the owner's
        self._lock = threading.Lock()
        lock_file(self._file, shared=mode == "rb")
        self._written = 0

    @classmethod
    def create(cls, folder: Path, prefix: str) -> "IdFile":
        """Create a file in a folder, named `prefix`, random digits and ".ids"."""
        return cls(folder / f"{prefix}-{secrets.token_hex(6)}.ids", "x+b")

    @property
    def num_bytes(self) -> int:
        """The length of the file."""
        return os.fstat(self._file.fileno()).st_size

    def append(self, ids: Ids32) -> None:
        """Write ids after those appended before."""
        self.replace(self._written, ids)
        self._written += len(ids)

    def replace(self, start: int, ids: Ids32) -> None:
        """Overwrite ids from entry `start` on."""
        with self._named():
            self._file.seek(_BYTES * start)
            rest = np.ascontiguousarray(ids).view(np.uint8).data
            while rest:
                rest = rest[self._file.write(rest) :]

    def rewind(self) -> None:
        """Let the next ids be the first ones again."""
        self._written = 0

    def finish(self, num_ids: int, *, durable: bool = False) -> None:
        """Truncate the file to its first `num_ids` entries.

        Args:
            num_ids: how many to keep.
            durable: wait until they are on disk, so that they survive a power cut as well.
        """
        with self._named():
            self._file.truncate(_BYTES * num_ids)
            if durable:
                os.fsync(self._file.fileno())

    def read(self, start: int, stop: int) -> Ids32:
        """Return a copy of the ids in [start, stop); several threads may read at the same time.

        Raises:
            ValueError: the file ends before, or is closed.
        """
        ids = np.empty(max(0, stop - start), np.int32)
        rest, place = ids.view(np.uint8).data, _BYTES * start
        with self._named():
            while rest and (count := self._read_at(place, rest)):
                rest, place = rest[count:], place + count
        if rest:
            raise ValueError(f"{self.path}: expected {stop} ids, the file was truncated to {place // _BYTES} meanwhile")
        return ids

    def close(self) -> None:
        """Close the file and keep it."""
        self._file.close()

    def discard(self) -> None:
        """Close the file and remove it."""
        self._file.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _read_at(self, place: int, buffer: memoryview) -> int:
        if sys.platform == "linux":
            return os.preadv(self._file.fileno(), [buffer], place)
        with self._lock:
            self._file.seek(place)
            return self._file.readinto(buffer)  # pyright: ignore

    @contextlib.contextmanager
    def _named(self) -> Generator[None, None, None]:
        # What fails in a write to an open file does not know its name.
        try:
            yield
        except OSError as error:
            if error.errno is None or error.filename is not None:
                raise
            raise OSError(error.errno, os.strerror(error.errno), str(self.path)) from error


def is_in_use(path: Path) -> bool:
    """Whether a running program has a file of ids open, or may be about to; True where that cannot be told.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with contextlib.closing(IdFile.create(Path(folder), "corpus")) as file:
        ...         os.utime(file.path, (0, 0))
        ...         while_open = is_in_use(file.path)
        ...     while_open, is_in_use(file.path)
        (True, False)
    """
    try:
        if time.time() - path.stat().st_mtime < MAYBE_UNLOCKED:
            return True
        with open(path, "rb") as file:
            return not lock_file(file)
    except OSError:
        return True
