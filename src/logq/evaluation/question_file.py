"""Text files of test sets, a question a line, whose mistakes are named by their line."""

import os
from collections.abc import Iterator

from logq.files import open_bytes

__all__ = ["numbered_lines"]


def numbered_lines(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    r"""Go through the lines of a file, plain or .gz, that are not empty.

    Yields:
        (where the line is, its text without white space at the ends).

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is not UTF-8, or a compressed file is damaged.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "q.txt")
        ...     _ = path.write_text("one\n\n two \n")
        ...     [(place.removeprefix(str(path)), text) for place, text in numbered_lines(path)]
        [(', line 1', 'one'), (', line 3', 'two')]
    """
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            place = f"{os.fspath(path)}, line {number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise ValueError(f"{place}: expected UTF-8 text ({error.reason})") from None
            if text:
                yield place, text
