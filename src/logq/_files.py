"""Files: written whole or not at all, locked, cleared of what killed programs left, and never believed.

A path of `-`, /dev/stdout or /dev/fd/N, a device and a pipe are written to; only ordinary files are replaced.
"""

import contextlib
import glob
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from logq._arguments import BadArgumentError

if sys.platform != "win32":
    import fcntl

__all__ = [
    "MAYBE_UNLOCKED",
    "DamagedFileError",
    "atomic_write",
    "is_standard_output",
    "is_stream",
    "lock_file",
    "parsing",
    "remove_leftovers",
    "seekable",
]

MAYBE_UNLOCKED = 5.0
"""Seconds: a file that was created so recently may not be locked yet by the program that writes it."""


class DamagedFileError(ValueError):
    """A file does not hold what it should; the message begins with its name."""


@contextlib.contextmanager
def parsing(path: str | os.PathLike[str], *, by_arguments: bool = False) -> Generator[None, None, None]:
    """A block that makes sense of what a file holds: whatever it raises on the way is a damage of the file.

    Bytes that nobody wrote can lead a parser to any exception: a deep nesting to RecursionError, a huge number to
    OverflowError. What passes as it is: errors that name the file already, errors of the system (no such file, no
    permission), and libraries that are missing.

    Args:
        path: the file, for the message.
        by_arguments: the file is read as arguments of the caller say, so an error about one of them stays what it is,
            and names the file too.

    Raises:
        DamagedFileError: the block raised something else, be it a panic in a library that is written in Rust.
        MemoryError: there is not enough memory for the contents; the message names the file.

    Example:
        >>> import json
        >>> with parsing("settings.json"):
        ...     json.loads('{"dim": 4}')["epochs"]
        Traceback (most recent call last):
        ...
        logq._files.DamagedFileError: settings.json: the file is damaged: 'epochs' is missing
    """
    name = os.fspath(path)
    try:
        yield
    except MemoryError as error:
        raise MemoryError(f"{name}: there is not enough memory to read it") from error
    except ImportError:
        raise
    except OSError as error:
        if error.errno is not None or str(error).startswith(name):
            raise
        raise DamagedFileError(f"{name}: the file is damaged: {error}") from error
    except BadArgumentError as error:
        if not by_arguments:
            raise DamagedFileError(f"{name}: the file is damaged: {error}") from error
        if name not in str(error):
            error.add_hint(f"the file is {name}")
        raise
    except BaseException as error:
        is_panic = type(error).__name__ == "PanicException"  # of pyo3, which is no Exception
        names_it = isinstance(error, ValueError) and str(error).startswith(name)
        if names_it or not (is_panic or isinstance(error, Exception)):
            raise
        raise DamagedFileError(f"{name}: the file is damaged: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, KeyError) and error.args:
        return f"{error.args[0]!r} is missing"
    said = " ".join(str(error).split())[:300]
    return said if isinstance(error, ValueError) and said else f"{type(error).__name__} {said}".strip()


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Generator[BinaryIO, None, None]:
    """Open a file for writing so that `path` never holds half of it.

    What is written goes into a hidden file in the same folder, which replaces `path` when the block ends and is on disk
    by then. When the block ends with an exception, a KeyboardInterrupt too, `path` stays what it was and the
    hidden file is removed. Permissions are those that an ordinary `open` would leave. A link is followed. Hidden files
    of this name that a killed program left are removed first.

    Devices, pipes, and standard output, by the name `-` too, are not files to replace: they are written to as they are.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        The binary file to write into.

    Raises:
        IsADirectoryError: `path` is a folder.
        OSError: the file cannot be written; the message names `path`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(Path(folder, "greeting.txt")) as file:
        ...         _ = file.write(b"hello")
        ...     Path(folder, "greeting.txt").read_text()
        'hello'
    """
    name = os.fspath(path)
    stream = _stream(name)
    if stream is not None:
        try:
            with stream:
                yield stream
        except BrokenPipeError:
            raise
        except OSError as error:  # a full device does not know its name
            if error.errno is None or error.filename is not None:
                raise
            raise OSError(error.errno, os.strerror(error.errno), name) from error
        return
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


@contextlib.contextmanager
def seekable(path: str | os.PathLike[str]) -> Generator[str, None, None]:
    """A block in which a file can be read again from its start: a pipe or a device is copied to a file that goes away.

    Args:
        path: the file.

    Yields:
        The name of a file with the same bytes; `path` itself where that is an ordinary one. Errors with it name `path`.

    Raises:
        OSError: it cannot be read.

    Example:
        >>> with seekable(os.devnull) as name:
        ...     name != os.devnull, os.path.getsize(name)
        (True, 0)
    """
    given = os.fspath(path)
    if not os.path.exists(given) or os.path.isfile(given) or os.path.isdir(given):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="logq-") as folder:
        name = os.path.join(folder, "copy")
        with open(given, "rb") as source, open(name, "wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
        try:
            yield name
        except ValueError as error:
            if name not in str(error):
                raise
            raise type(error)(str(error).replace(name, given)) from None


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
    return stat.S_IMODE(mode)


def is_standard_output(path: str | os.PathLike[str]) -> bool:
    """Whether a path stands for standard output, by whatever name: -, /dev/stdout, or a link to that.

    Example:
        >>> is_standard_output("-"), is_standard_output("scores.json")
        (True, False)
    """
    return _descriptor(os.fspath(path)) == 1


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether `atomic_write` writes to a path as it is: a device, a pipe, or an open file of this process.

    Example:
        >>> is_stream("-"), is_stream("scores.json")
        (True, False)
    """
    name = os.fspath(path)
    if _descriptor(name) is not None:
        return True
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _stream(name: str) -> BinaryIO | None:
    """Open what is written to as it is: an open file of this process, a device or a pipe; None for an ordinary file."""
    descriptor = _descriptor(name)
    if descriptor is not None:
        for stream in (sys.stdout, sys.stderr):  # what was printed before comes first
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        try:
            return os.fdopen(os.dup(descriptor), "wb")
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), name) from error
    return open(name, "wb") if is_stream(name) else None


_STREAMS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


def _descriptor(name: str) -> int | None:
    """The number of the open file of this process that a name stands for, through links; None where it is none.

    The system resolves /dev/stdout to the file that standard output goes to, which must not be replaced by another.
    """
    if name == "-":
        return 1
    for _ in range(40):  # as many links as Linux follows
        if name in _STREAMS:
            return _STREAMS[name]
        found = re.fullmatch(rf"/dev/fd/(\d+)|/proc/(?:self|thread-self|{os.getpid()})/fd/(\d+)", name)
        if found is not None:
            return int(found[1] or found[2])
        try:
            name = os.path.normpath(os.path.join(os.path.dirname(name), os.readlink(name)))
        except (OSError, ValueError):
            return None
    return None
