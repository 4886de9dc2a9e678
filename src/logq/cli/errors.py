"""What went wrong, said in one line, and the exit code that goes with it.

    0    all is well
    1    the reader of our output went away (`logq ... | head`)
    2    bad input: arguments, files, words; the line says which and what to do
    130  interrupted by Ctrl-C; the line says what is saved

Everything else is a mistake of ours and keeps its traceback.
"""

import contextlib
import io
import os
import sys

from rich.console import Console
from rich.text import Text

__all__ = ["BadInputError", "InterruptedWorkError", "describe", "leave_quietly", "say_error"]


class BadInputError(Exception):
    """Something the user can put right; the message says how."""


class InterruptedWorkError(Exception):
    """Ctrl-C reached a command that knows what is saved; the message says it."""


def describe(error: BaseException) -> str | None:
    """Return one line for an error that is the user's to put right, or None where it is ours.

    Example:
        >>> describe(ValueError("word: expected a known word"))
        'word: expected a known word'
        >>> describe(ZeroDivisionError()) is None
        True
    """
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{os.fsdecode(error.filename)}: {error.strerror}"
    elif isinstance(error, MemoryError):
        text = f"there is not enough memory{f' ({error})' if str(error) else ''}"
    elif isinstance(error, BadInputError | ValueError | OSError | ImportError | FloatingPointError):
        text = str(error) or type(error).__name__
    elif isinstance(error, KeyError) and type(error) is not KeyError:  # an unknown word, said in a sentence
        text = str(error)
    elif hasattr(error, "format_message"):  # an argument that the parser refused
        text = str(error.format_message())  # pyright: ignore[reportAttributeAccessIssue]
        context = getattr(error, "ctx", None)
        if context is not None:
            text = f"{text.rstrip('.')}. Help: {context.command_path} --help"
    else:
        return None
    return " ".join(text.split())


def say_error(text: str, word: str = "Error") -> None:
    """Write one line to standard error, its first word in colour on a terminal.

    Example:
        >>> say_error("corpus.txt: No such file or directory")
    """
    line = Text.assemble((f"{word}: ", "bold red" if word == "Error" else "bold yellow"), text)
    Console(stderr=True, soft_wrap=True).print(line)


def leave_quietly() -> None:
    """Make later writes to a standard output nobody reads go nowhere, also the flush when Python ends."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
