"""Errors: what went wrong, in one line, and the exit code that goes with it.

    0    all is well
    1    `logq doctor` found what keeps logq from working
    2    bad input: arguments, files, words; the line says which and what to do
    130  interrupted by Ctrl-C; the line says what is saved
    141  the reader of our output went away (`logq ... | head`), as of programs that SIGPIPE ends

Everything else is a mistake of ours and keeps its traceback.
"""

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import typer

from logq._arguments import BadArgumentError, Verbatim
from logq._launch import launched
from logq.cli.terminal.console import Console, Text, is_silent

__all__ = [
    "ONE_LOG",
    "BadInputError",
    "InterruptedWorkError",
    "ReaderLeftError",
    "StoppedError",
    "describe",
    "leave_quietly",
    "note",
    "say_error",
    "spelling",
    "typed",
]


class BadInputError(Exception):
    """Something the user can correct; the message says how."""


class ReaderLeftError(Exception):
    """The reader of our output went away, as `head` does."""


class InterruptedWorkError(Exception):
    """Ctrl-C reached a command that knows what is saved; the message says it."""


class StoppedError(Exception):
    """An error ended a long piece of work.

    Args:
        error: the error.
        saved: what is saved, as a sentence.
    """

    def __init__(self, error: Exception, saved: str) -> None:
        super().__init__(error, saved)
        self.error, self.saved = error, saved


def describe(error: BaseException, spelled: Callable[[str], str] = str) -> str | None:
    """Return one line for an error that the user can correct, or None if it is ours.

    Args:
        error: what was raised.
        spelled: an argument of the library -> what a user types for it.

    Example:
        >>> describe(ValueError("word: expected a known word"))
        'word: expected a known word'
        >>> from logq import ArgumentError
        >>> describe(ArgumentError("min_count", "an integer >= 1", 0), {"min_count": "--min-count"}.__getitem__)
        '--min-count: expected an integer >= 1, got 0'
        >>> describe(ZeroDivisionError()) is None
        True
    """
    line = _described(error, spelled)
    return None if line is None else typed(" ".join(line.split()), spelled)


_PAIR = re.compile(r"(?:\b\w+=[^\s;]+ and )*\b\w+=[^\s;]+ \(((?:no )?--[a-z][^)]*)\)")
"""What is set in Python, and the option that does it."""

_EXPECTED = {
    "greater_than": "a number > {gt:g}",
    "greater_than_equal": "a number >= {ge:g}",
    "less_than": "a number < {lt:g}",
    "less_than_equal": "a number <= {le:g}",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_parsing": "a number",
}
"""What typer expects of a value, by the name that pydantic has for what is wrong with it."""

ONE_LOG = "a log of several files is made one by `logq prepare FILE... -o parts`, and LOG is parts then"
"""What to say where somebody hands in several files."""


def typed(text: str, spelled: Callable[[str], str]) -> str:
    """Return a message of the library with arguments of Python as they are typed.

    Example:
        >>> typed("give encoding=, or errors='replace' or 'ignore', or dim=10", lambda name: f"--{name}")
        'give --encoding, or --errors replace or ignore, or --dim 10'
        >>> typed("resume=True (--resume) goes on", str)
        '--resume goes on'
    """
    text = _PAIR.sub(r"\1", text)

    def option(found: "re.Match[str]") -> str:
        name, values = found[1], found[2]
        option = spelled(name)
        return found[0] if option == name else f"{option} {values.replace(chr(39), '')}".rstrip()

    return re.sub(r"\b(\w+)=((?:'\w+'(?: or '\w+')*|\d+)?)(?![\w'\"\[({]|\.\d)", option, text)


def _described(error: BaseException, spelled: Callable[[str], str]) -> str | None:
    if isinstance(error, StoppedError):
        said = _described(error.error, spelled)
        return None if said is None else f"{said}; {error.saved}"
    if isinstance(error, BadArgumentError):
        return error.message(spelled(error.name))
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return f"there is not enough memory{f' ({error})' if str(error) else ''}"
    if isinstance(error, BadInputError | ValueError | OSError | ImportError | FloatingPointError):
        return str(error) or type(error).__name__
    if isinstance(error, KeyError) and type(error) is not KeyError:  # an unknown word, said in a sentence
        return str(error)
    return _refused(error) if hasattr(error, "format_message") else None


def _refused(error: Any) -> str:
    """What the parser says about a bad command line, and where to find help."""
    parameter = getattr(error, "param", None)
    named = isinstance(error, typer.BadParameter) and parameter is not None and error.message
    message = _of_pydantic(error.__cause__) or (error.message if named else "")
    text = str(f"{spelling(parameter)}: {message}" if named else error.format_message()).rstrip(".")
    context = getattr(error, "ctx", None)
    end = "" if text.endswith("?") else "."
    if (
        context is not None
        and "unexpected extra argument" in text
        and any(one.metavar == "LOG" for one in context.command.params)
    ):
        text, end = f"{text}; {ONE_LOG}", "."
    return text if context is None else f"{text}{end} Help: {context.command_path} --help"


def _of_pydantic(cause: Any) -> str:
    """What is wrong with a value, in our words, where pydantic found it; "" where it did not."""
    first = next(iter(cause.errors()), None) if hasattr(cause, "errors") else None
    if first is None or first["type"] not in _EXPECTED:
        return ""
    expected = _EXPECTED[first["type"]].format(**first.get("ctx", {}))
    typed = first["input"]
    got = repr(typed) if first["type"].endswith("_parsing") else str(typed)
    return BadArgumentError("", expected, Verbatim(got)).message("")


def spelling(parameter: Any) -> str:
    """Return what a user types for a parameter of a command: --min-count, CORPUS."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar).strip("[].")
    return next((name for name in parameter.opts if name.startswith("--")), parameter.opts[0])


def say_error(text: str, word: str = "Error") -> None:
    """Write one line to standard error, its first word in color on a terminal.

    Example:
        >>> say_error("corpus.txt: No such file or directory")
    """
    there = launched()
    if not there.is_first:
        text = f"rank {there.rank}: {text}"
    line = Text.assemble((f"{word}: ", "bold red" if word == "Error" else "bold yellow"), text)
    Console(stderr=True, soft_wrap=True).print(line)


def note(text: str) -> None:
    """Write a line to standard error that is worth knowing but not an error; not with --quiet.

    Example:
        >>> note("3 lines had bytes that are not UTF-8.")
    """
    if not is_silent():
        say_error(_PAIR.sub(r"\1", " ".join(text.split())), "Note")


def leave_quietly() -> None:
    """Discard later writes to a standard output that nobody reads, and the flush when Python ends."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
