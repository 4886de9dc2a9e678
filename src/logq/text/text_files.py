"""The text files that a source names: found, and checked before the first is read."""

import contextlib
import glob
import os
import stat
import sys
from collections.abc import Generator, Iterable
from typing import Any, BinaryIO, NamedTuple, cast

from logq._arguments import ArgumentError

__all__ = ["LISTED_HINT", "TextFile", "find_text_files", "inspect_file"]

LISTED_HINT = "a list of strings is a list of files, sentences are lists of words"
"""The hint for a user who may have given a list of words instead of a list of files."""


class TextFile(NamedTuple):
    """A file to be read.

    Attributes:
        name: its path; "-" is standard input.
        size: in bytes on disk; None for a pipe, which can be read only once.
        modified: when it was last changed, in nanoseconds since 1970; 0 for a pipe.
        part: (begin, end) of the bytes to read, which are whole lines of plain UTF-8; None for the whole file.
    """

    name: str
    size: int | None
    modified: int
    part: tuple[int, int] | None = None

    @contextlib.contextmanager
    def open(self) -> Generator[BinaryIO, None, None]:
        """Open it for reading its bytes, without decompressing them."""
        if self.name == "-":
            yield sys.stdin.buffer
            return
        with open(self.name, "rb", buffering=0) as file:
            yield cast("BinaryIO", file)


def find_text_files(source: object) -> list[TextFile] | None:
    """Return the files that a source names, or None if it does not name files.

    A path with `*`, `?` or `[` in it stands for all files that match, in the order of their names, and `**` for folders
    of any depth, unless a file has exactly that name.

    Args:
        source: a path, or a list of paths.

    Raises:
        FileNotFoundError: there is no such file, or none that matches.
        IsADirectoryError: a path is a folder.
        PermissionError: a file may not be read.
        ArgumentError: a path is a device.

    Example:
        >>> find_text_files([["to", "be"], ["or", "not"]]) is None
        True
        >>> find_text_files("nowhere-*.txt")
        Traceback (most recent call last):
        ...
        FileNotFoundError: source: no file matches 'nowhere-*.txt'
    """
    if isinstance(source, str | os.PathLike):
        return _find(cast("str | os.PathLike[str]", source), "")
    if not isinstance(source, list | tuple) or not source:
        return None
    paths = cast("list[Any]", source)
    if not all(isinstance(path, str | os.PathLike) for path in paths):
        return None
    return [file for path in cast("Iterable[str]", paths) for file in _find(path, LISTED_HINT)]


def _find(path: str | os.PathLike[str], hint: str) -> list[TextFile]:
    name = os.fspath(path)
    if name == "-":
        return [TextFile("-", None, 0)]
    if not glob.has_magic(name) or os.path.lexists(name):
        return [inspect_file(name, hint)]
    matches = [match for match in sorted(glob.glob(name, recursive=True)) if not os.path.isdir(match)]
    if not matches:
        raise FileNotFoundError(f"source: no file matches {name!r}{_then(hint)}")
    return [inspect_file(match, hint) for match in matches]


def inspect_file(name: str, hint: str) -> TextFile:
    """Return the metadata of a file before it is read, and check that it may be read.

    Args:
        name: its path.
        hint: ends the message where there is no such file.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        PermissionError: it may not be read.
        ArgumentError: it is a device.

    Example:
        >>> inspect_file("nowhere.txt", "")
        Traceback (most recent call last):
        ...
        FileNotFoundError: source: there is no file 'nowhere.txt'
    """
    try:
        status = os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"source: there is no file {name!r}{_then(hint)}") from None
    except ValueError:  # a path cannot hold a NUL, a text may
        raise FileNotFoundError(f"source: {name!r} cannot be the name of a file{_then(hint)}") from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"source: expected a file, {name!r} is a folder")
    if stat.S_ISFIFO(status.st_mode):
        return TextFile(name, None, 0)
    if not stat.S_ISREG(status.st_mode):
        raise ArgumentError("source", "a file or a pipe", name, "it is a device")
    file = TextFile(name, status.st_size, status.st_mtime_ns)
    with file.open():  # that a file may not be read is better said now than after an hour of reading others
        pass
    return file


def _then(hint: str) -> str:
    return f"; {hint}" if hint else ""
