"""Files: written whole or not at all, locked, and cleared of what killed programs left."""

import contextlib
import glob
import os
import secrets
import stat
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

__all__ = ["MAYBE_UNLOCKED", "atomic_write", "lock_file", "remove_leftovers"]

MAYBE_UNLOCKED = 5.0
"""Seconds: a file that was created so recently may not be locked yet by the program that writes it."""


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Generator[BinaryIO, None, None]:
    """Open a file for writing so that `path` never holds half of it.

    What is written goes into a hidden file in the same folder, which replaces `path` when the block ends and is on disk
    by then. When the block ends with an exception, a KeyboardInterrupt too, `path` stays what it was and the
    hidden file is removed. Permissions are those that an ordinary `open` would leave. A link is followed. Hidden files
    of this name that a killed program left are removed first.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        The binary file to write into.

    Raises:
        IsADirectoryError: `path` is a folder.
        OSError: the file cannot be written, or `path` is a device or a pipe; the message names `path`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(Path(folder, "greeting.txt")) as file:
        ...         _ = file.write(b"hello")
        ...     Path(folder, "greeting.txt").read_text()
        'hello'
    """
    name = os.fspath(path)
    target = Path(os.path.realpath(name))  # through a link, as an ordinary open would go
    mode = _mode_of_regular_file(target, name)
    hidden = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.tmp")
    remove_leftovers(target)
    try:
        # 0o666 lets the umask decide, as an ordinary open does; tempfile would make the file private.
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(descriptor, "wb") as file:
            lock_file(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            hidden.chmod(mode)
        os.replace(hidden, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            hidden.unlink()
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, os.fspath(hidden)):
            raise OSError(error.errno, os.strerror(error.errno), name) from error  # the name that the caller knows
        raise


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove the hidden files that killed programs left while writing `path`.

    What is being written now is locked, or was made just now and is empty, and stays.

    Args:
        path: as `atomic_write` was given it.

    Example:
        >>> remove_leftovers("nowhere/file")
    """
    target = Path(os.path.realpath(path))
    for hidden in target.parent.glob(f".{glob.escape(target.name[:40])}.{'[0-9a-f]' * 12}.tmp"):
        with contextlib.suppress(OSError), open(hidden, "rb") as file:
            status = os.fstat(file.fileno())
            if (status.st_size or time.time() - status.st_mtime > MAYBE_UNLOCKED) and lock_file(file):
                hidden.unlink()


def lock_file(file: BinaryIO, *, shared: bool = False) -> bool:
    """Lock an open file without waiting, and return whether that worked.

    Windows refuses to remove a file that is open, and needs no lock: the answer there is always True.

    Args:
        file: the file; closing it unlocks it.
        shared: let others lock it too if they also share it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryFile() as file:
        ...     lock_file(file)
        True
    """
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _mode_of_regular_file(target: Path, name: str) -> int | None:
    """Return the permissions of the file that will be replaced, or None if there is none yet."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{name}: expected a file to write, it is a folder")
    if not stat.S_ISREG(mode):  # to replace a device such as /dev/null by a file would be a disaster
        raise OSError(f"{name}: expected an ordinary file to write, it is a device or a pipe")
    return stat.S_IMODE(mode)
