"""Text on a terminal: names that come from files are shown, and never obeyed."""

import contextlib
import re
import sys
from collections.abc import Generator
from typing import Any

import rich.text
from rich.console import Console

from logq._launch import launched

__all__ = ["Console", "Text", "is_silent", "print_line", "printable", "silent"]

# C0, DEL and C1; marks that turn the direction of a line round; separators of lines and paragraphs; half characters;
# and what is not seen at all, but for the two that join and part the letters of some scripts.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    r"""Return text with its control characters escaped: they would set colors, titles or the direction of a line.

    Example:
        >>> printable("\x1b[31mred"), printable("naïve \N{SNOWMAN}")
        ('\\x1b[31mred', 'naïve ☃')
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


class Text(rich.text.Text):
    r"""Text of rich that shows control characters instead of sending them.

    Example:
        >>> Text("a\x1bb").plain, Text.assemble(("c\u202e", "bold"), "d").plain
        ('a\\x1bb', 'c\\u202ed')
    """

    def __init__(self, text: str = "", *args: Any, **options: Any) -> None:
        super().__init__(printable(text), *args, **options)

    @classmethod
    def assemble(cls, *parts: Any, **options: Any) -> "Text":
        """Text of parts: strings, (string, style), or Text."""
        made = super().assemble(*parts, **options)
        assert isinstance(made, Text)  # rich makes one of the class that it is asked of
        return made

    def append(self, text: Any, style: Any = None) -> "Text":
        """Add text, or another Text, at the end."""
        super().append(printable(text) if isinstance(text, str) else text, style)
        return self


def print_line(line: str) -> None:
    """Print a line as it is for programs, and with control characters escaped for people."""
    print(printable(line) if sys.stdout.isatty() else line)


_silent = False


def is_silent() -> bool:
    """Whether only results and errors are wanted: with --quiet, and in all processes but the first one."""
    return _silent or not launched().is_first


@contextlib.contextmanager
def silent(quiet: bool) -> Generator[None, None, None]:
    """A block in which nothing but results and errors is said, if `quiet`.

    Example:
        >>> with silent(True):
        ...     is_silent()
        True
    """
    global _silent
    before, _silent = _silent, quiet
    try:
        yield
    finally:
        _silent = before
