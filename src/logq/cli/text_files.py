"""Text files as commands are given them: checked before anything is loaded that reads them."""

import errno
import glob
import os
from collections.abc import Iterable
from pathlib import Path

from logq.cli.errors import BadInputError

__all__ = ["check_text_files"]


def check_text_files(names: Iterable[str]) -> None:
    """Check that texts are there and can be read: files, patterns that are left to the library, or - for a pipe.

    The library checks too; here it is said before numpy is loaded. No file is opened: a named pipe would wait.

    Raises:
        BadInputError: one is missing, a folder, or can't be read.

    Example:
        >>> check_text_files(["-", "part-*.txt.gz"])
        >>> check_text_files(["no-such.txt"])
        Traceback (most recent call last):
        ...
        logq.cli.errors.BadInputError: no-such.txt: there is no such file
    """
    for name in names:
        path = Path(name)
        if name == "-" or (glob.has_magic(name) and not path.exists()):
            continue
        if not path.exists():
            raise BadInputError(f"{path}: there is no such file")
        if path.is_dir():
            raise BadInputError(f"{path}: expected a text file, found a folder")
        if not os.access(path, os.R_OK):
            raise BadInputError(f"{path}: can't be read: {os.strerror(errno.EACCES)}")
