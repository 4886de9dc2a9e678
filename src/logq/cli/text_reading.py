"""Text files on the command line, checked before anything is loaded that reads them."""

import errno
import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from logq.cli.terminal.errors import BadInputError, note

__all__ = ["Source", "check_input_file", "check_text_files", "note_odd_text", "reading_threads"]

Source: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="CORPUS...",
        help="Text, one sentence per line: plain, .gz or .zst files, quoted patterns, or - for standard input.",
    ),
]

_MOST_THREADS = 4  # where one that unpacks feeds no more


def check_text_files(names: Iterable[str]) -> None:
    """Check that texts are there and can be read: files, patterns, or - for standard input.

    The library checks too; here it is said before numpy is loaded. No file is opened: a named pipe would wait.

    Raises:
        BadInputError: one is missing, a folder, or can't be read, or a pattern matches none.

    Example:
        >>> check_text_files(["-", __file__])
        >>> check_text_files(["no-such.txt"])
        Traceback (most recent call last):
        ...
        logq.cli.terminal.errors.BadInputError: no-such.txt: there is no such file
    """
    for name in names:
        path = Path(name)
        if glob.has_magic(name) and not path.exists():
            if not any(os.path.isfile(match) for match in glob.iglob(name, recursive=True)):
                raise BadInputError(f"no file matches {name!r}")
        elif name != "-":
            check_input_file(path, "a text file")


def check_input_file(path: Path, expected: str) -> None:
    """Check that a file is there and can be read, before any slow import.

    Args:
        path: the file.
        expected: what it should be, for the message.

    Raises:
        BadInputError: it is missing, a folder, or can't be read.

    Example:
        >>> check_input_file(Path(__file__), "a text file")
    """
    if not path.exists():
        raise BadInputError(f"{path}: there is no such file")
    if path.is_dir():
        raise BadInputError(f"{path}: expected {expected}, found a folder")
    if not os.access(path, os.R_OK):
        raise BadInputError(f"{path}: can't be read: {os.strerror(errno.EACCES)}")


def reading_threads(asked: int | None) -> int:
    """Return the number that was asked for, or one for each core up to four.

    Example:
        >>> reading_threads(7), 1 <= reading_threads(None) <= 4
        (7, True)
    """
    return max(1, min(os.cpu_count() or 1, _MOST_THREADS)) if asked is None else asked


def note_odd_text(invalid_lines: int, long_words: int) -> None:
    """Say what of a text was not read as it stands there.

    Example:
        >>> note_odd_text(0, 0)
    """
    if invalid_lines:
        note(f"{invalid_lines:,} lines had bytes that are not UTF-8; they were read as \N{REPLACEMENT CHARACTER}.")
    if long_words:
        note(f"{long_words:,} words of more than 65,536 bytes were left out.")
