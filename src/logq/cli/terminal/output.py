"""Where results go: checked before the work that makes them begins, not after an hour of it."""

import contextlib
import json
import os
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from logq._files import is_stream
from logq._launch import launched
from logq.cli.terminal.errors import BadInputError

__all__ = ["check_file", "output_folder", "tab_separated", "write_json"]

_BLANKS = str.maketrans(dict.fromkeys("\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", " "))  # all that ends a field or a line


def tab_separated(*fields: object) -> str:
    r"""Return fields as one line for a pipe; a tab or the end of a line within an id or a title becomes a blank.

    Example:
        >>> tab_separated("u1", "tea\ncup", 0.5)
        'u1\ttea cup\t0.5'
    """
    return "\t".join(str(field).translate(_BLANKS) for field in fields)


@contextlib.contextmanager
def output_folder(folder: Path) -> Generator[Path, None, None]:
    """Make a folder that can be written to, and take it away again if an error leaves it empty.

    Raises:
        BadInputError: it can't be made, is not a folder, or refuses a file.

    Example:
        >>> with output_folder(Path(tempfile.gettempdir())) as folder:
        ...     folder.is_dir()
        True
    """
    if is_stream(folder):
        raise BadInputError(f"{folder}: expected a folder to write to, not standard output or a pipe")
    if folder.exists() and not folder.is_dir():
        raise BadInputError(f"{folder}: expected a folder to write to, found a file")
    if not launched().is_first:  # which alone makes it and writes to it
        yield folder
        return
    made: list[Path] = []
    try:
        for part in reversed([folder, *folder.parents]):
            if not part.exists():
                part.mkdir()
                made.append(part)
        _try_to_write(folder)
    except OSError as error:
        _remove_empty(made)
        raise BadInputError(f"{folder}: can't be written to: {error.strerror or error}") from error
    try:
        yield folder
    except BaseException:
        _remove_empty(made)
        raise


def check_file(path: Path, example: str = "") -> None:
    """Check that a file can be written, without touching one that is there; devices and pipes can be, and - can.

    Args:
        path: the file.
        example: what to call it in a folder, for who gives only that.

    Raises:
        BadInputError: it is a folder, or its folder is missing or refuses files.

    Example:
        >>> check_file(Path(tempfile.gettempdir(), "map.html"))
    """
    if is_stream(path):
        return
    if path.is_dir():
        hint = f"; try {path / example}" if example else ""
        raise BadInputError(f"{path}: expected a file to write, found a folder{hint}")
    if not path.parent.is_dir():
        raise BadInputError(f"{path}: can't be written: there is no folder {path.parent}")
    try:
        _try_to_write(path.parent)
    except OSError as error:
        raise BadInputError(f"{path}: can't be written: {error.strerror or error}") from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write numbers to a file, atomically, or to standard output.

    Raises:
        OSError: it cannot be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_json(Path(folder, "scores.json"), {"perplexity": 2.5})
        ...     print(Path(folder, "scores.json").read_text(), end="")
        {
         "perplexity": 2.5
        }
    """
    from logq._files import atomic_write

    with atomic_write(path) as file:
        file.write((json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())


def _try_to_write(folder: Path) -> None:
    # Permissions don't tell everything (read-only mounts, full disks, quotas): only a file does.
    handle, name = tempfile.mkstemp(prefix=".logq-", dir=folder)
    try:
        os.write(handle, b"x")
    finally:
        os.close(handle)
        os.unlink(name)


def _remove_empty(folders: list[Path]) -> None:
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            folder.rmdir()
