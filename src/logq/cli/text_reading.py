"""Text files on the command line, checked before anything is loaded that reads them."""

import contextlib
import errno
import glob
import os
import re
import warnings
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from logq._arguments import ArgumentError
from logq._machine import available_cores
from logq.cli.input_output import READS
from logq.cli.terminal.errors import BadInputError
from logq.folders.folder_contents import Doing, check_folder

if TYPE_CHECKING:
    from logq.vectors import KeyedVectors

__all__ = [
    "Encoding",
    "Source",
    "TestEncoding",
    "VectorReading",
    "check_input_file",
    "check_text_files",
    "check_text_name",
    "read_vectors",
    "reading_test_sets",
    "reading_threads",
]

Source: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="CORPUS...",
        help="Text, one sentence per line: files (also compressed), quoted patterns, or - for standard input.",
    ),
    READS,
]

Encoding: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--encoding", metavar="NAME", help="Encoding of the text, such as latin-1.", show_default="recognized"
    ),
]

TestEncoding: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--test-encoding", metavar="NAME", help="Encoding of the test sets, such as latin-1.", show_default="recognized"
    ),
]

_FILE = "Files of other tools"


class ErrorsName(str, Enum):
    """What to do with bytes that are invalid, as logq.KeyedVectors.load names it."""

    STRICT = "strict"
    REPLACE = "replace"
    IGNORE = "ignore"


class DuplicatesName(str, Enum):
    """What to do with words that come again, as logq.KeyedVectors.load names it."""

    ERROR = "error"
    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True)
class VectorReading:
    """How a file of vectors is read."""

    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Read the first N words only.", show_default="all", rich_help_panel=_FILE
        ),
    ] = None
    encoding: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Encoding of the words, such as latin-1.",
            show_default="recognized",
            rich_help_panel=_FILE,
        ),
    ] = None
    errors: Annotated[
        ErrorsName,
        typer.Option(
            metavar="NAME", help="Invalid bytes in words: strict stops, replace, ignore.", rich_help_panel=_FILE
        ),
    ] = ErrorsName.STRICT
    duplicates: Annotated[
        DuplicatesName,
        typer.Option(
            metavar="NAME",
            help="Words that come again: error stops, first and last say which vector is kept.",
            rich_help_panel=_FILE,
        ),
    ] = DuplicatesName.ERROR


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


def check_text_name(path: Path) -> None:
    """Check that a text can be written under a name: it is plain or, where that ends in .gz, compressed by gzip.

    Raises:
        BadInputError: the name is that of another compression.

    Example:
        >>> check_text_name(Path("words.txt.gz"))
        >>> check_text_name(Path("words.zst"))
        Traceback (most recent call last):
        ...
        logq.cli.terminal.errors.BadInputError: words.zst: expected a name of plain text, or one that ends in .gz
    """
    from logq._compression import COMPRESSED_ENDINGS

    ending = path.suffix.lower()
    if ending != ".gz" and ending in COMPRESSED_ENDINGS:
        raise BadInputError(f"{path}: expected a name of plain text, or one that ends in .gz")


def check_input_file(path: Path, expected: str, *, again: bool = False) -> None:
    """Check that a file is there and can be read, before any slow import.

    Args:
        path: the file.
        expected: what it should be, for the message.
        again: whether it is read several times, which a pipe cannot be.

    Raises:
        BadInputError: it is missing, a folder, or can't be read.

    Example:
        >>> check_input_file(Path(__file__), "a text file")
    """
    if again and (str(path) == "-" or (path.exists() and not path.is_file() and not path.is_dir())):
        raise BadInputError(f"{path}: expected {expected} in an ordinary file, which is read again, found a pipe")
    if not path.exists():
        raise BadInputError(f"{path}: there is no such file")
    if path.is_dir():
        raise BadInputError(f"{path}: expected {expected}, found a folder")
    if not os.access(path, os.R_OK):
        raise BadInputError(f"{path}: can't be read: {os.strerror(errno.EACCES)}")


def read_vectors(
    path: str, options: VectorReading, doing: Doing = "neighbors", *, mapped: bool = False
) -> "KeyedVectors":
    """Read vectors from a folder or a file of another tool, without torch.

    Args:
        path: the folder or the file.
        options: how a file is read.
        doing: what for; see check_folder.
        mapped: leave them where they are, if `save` wrote the file.

    Raises:
        BadInputError: there are none.
        OSError, ValueError: they cannot be read.
    """
    check_folder(Path(path), "word vectors", doing=doing)
    from logq.vectors.keyed_vectors import KeyedVectors
    from logq.vectors.vector_files import is_ours

    chosen: dict[str, Any] = {"errors": options.errors.value, "duplicates": options.duplicates.value}
    mmap = mapped and is_ours(path)
    return KeyedVectors.load(path, limit=options.limit, encoding=options.encoding, mmap=mmap, **chosen)


@contextlib.contextmanager
def reading_test_sets() -> Generator[None, None, None]:
    """A block that reads test sets, whose encoding has an option of its own: messages name that one."""

    def named(text: str) -> str:
        return re.sub(r"\bencoding=", "test_encoding=", text)

    before = warnings.showwarning
    warnings.showwarning = lambda message, *others, **more: before(named(str(message)), *others, **more)
    try:
        yield
    except ArgumentError as error:
        name = "test_encoding" if error.name == "encoding" else error.name
        raise ArgumentError(name, error.expected, error.got, error.hint) from error
    except ValueError as error:
        raise ValueError(named(str(error))) from error
    finally:
        warnings.showwarning = before


def reading_threads(asked: int | None) -> int:
    """Return the number that was asked for, or one for each core that this process may use, up to four.

    Example:
        >>> reading_threads(7), 1 <= reading_threads(None) <= 4
        (7, True)
    """
    return min(available_cores(), _MOST_THREADS) if asked is None else asked
