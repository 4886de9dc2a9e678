"""Lines that commands print: sentences about results, and the next steps."""

import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from logq._project import install_line
from logq.cli.terminal.console import Console, Text

__all__ = [
    "explore_step",
    "in_python",
    "install_steps",
    "plural",
    "positional",
    "python_command",
    "say",
    "say_next",
    "vector_steps",
]


def say(*parts: str | tuple[str, str]) -> None:
    """Write a line to standard output as it is: no wrapping, no markup in paths.

    Args:
        parts: pieces of text, or (text, style).

    Example:
        >>> say("42 words in ", ("[folder]", "bold"))
        42 words in [folder]
    """
    Console(file=sys.stdout, soft_wrap=True).print(Text.assemble(*parts))


def say_next(steps: Sequence[tuple[str, str]]) -> None:
    """Suggest the next commands.

    Args:
        steps: (command, what it does); "" where the command speaks for itself.

    Example:
        >>> say_next([("logq map vectors", "a map to look at"), ("logq --help", "")])
        <BLANKLINE>
        Next steps
          logq map vectors  # a map to look at
          logq --help
    """
    say()
    say(("Next steps", "bold"))
    width = max((len(command) for command, meaning in steps if meaning), default=0)
    for command, meaning in steps:
        say("  ", (command.ljust(width) if meaning else command, "cyan"), (f"  # {meaning}" if meaning else "", "dim"))


def install_steps(module: str, extra: str, meaning: str) -> list[tuple[str, str]]:
    """Return the step that installs what the next one needs; none where it is there.

    Args:
        module: the name it is imported by.
        extra: of logq, which installs it.
        meaning: what it is for.

    Example:
        >>> install_steps("json", "logs", "for the next command")
        []
        >>> install_steps("no_such_module", "logs", "for the next command")
        [("pip install 'logq[logs]'", 'for the next command')]
    """
    return [] if find_spec(module) else [(install_line(extra), meaning)]


def positional(value: str) -> str:
    """Return an argument as it is typed in a shell, also one that begins like an option.

    Example:
        >>> print(positional("tea"), positional("new york"), positional("-5"))
        tea 'new york' -- -5
    """
    return f"{'-- ' if value.startswith('-') else ''}{shlex.quote(value)}"


def python_command(code: str) -> str:
    """Return the command that runs a line of Python.

    Example:
        >>> print(python_command('import logq; print(logq.load("my model"))'))
        python -c 'import logq; print(logq.load("my model"))'
    """
    return f"python -c {shlex.quote(code)}"


def vector_steps(folder: Path, word: str) -> list[tuple[str, str]]:
    """Return the next commands for a folder of vectors.

    Args:
        folder: where they lie.
        word: a word that they have.
    """
    place, known = in_python(str(folder)), in_python(word)
    return [
        (f"logq neighbors {shlex.quote(str(folder))} {positional(word)}", "the words nearest to one"),
        (python_command(f"import logq; print(logq.KeyedVectors.load({place}).most_similar({known}))"), ""),
    ]


def explore_step(folder: Path) -> tuple[str, str]:
    """Return the command that makes a page to explore a model; without --export it wants the extra `serve`.

    Example:
        >>> explore_step(Path("my model"))[0]
        "logq explore 'my model' --export 'my model/explore.html'"
    """
    place, page = shlex.quote(str(folder)), shlex.quote(str(folder / "explore.html"))
    return f"logq explore {place} --export {page}", "a page to look around in; without --export it asks the model"


def plural(count: int, noun: str) -> str:
    """Return a number of things.

    Example:
        >>> plural(1, "epoch"), plural(2000, "word")
        ('1 epoch', '2,000 words')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def in_python(value: object) -> str:
    """Return a value as Python source, text in double quotes where possible: a shell has single ones around it.

    Example:
        >>> print(in_python("tea"), in_python(4))
        "tea" 4
    """
    plain = isinstance(value, str) and value.isprintable() and not set(value) & set("\"\\'")
    return f'"{value}"' if plain else repr(value)
