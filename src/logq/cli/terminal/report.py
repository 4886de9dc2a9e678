"""How results are printed: tables of neighbors, and what to type next."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from logq.cli.terminal.console import Console, Text

__all__ = [
    "answer_table",
    "in_python",
    "item_table",
    "neighbor_table",
    "plural",
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
        What to type next
          logq map vectors  # a map to look at
          logq --help
    """
    say()
    say(("What to type next", "bold"))
    width = max((len(command) for command, meaning in steps if meaning), default=0)
    for command, meaning in steps:
        say("  ", (command.ljust(width) if meaning else command, "cyan"), (f"  # {meaning}" if meaning else "", "dim"))


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
        (f"logq neighbors {shlex.quote(str(folder))} {shlex.quote(word)}", "the words nearest to one"),
        (python_command(f"import logq; print(logq.KeyedVectors.load({place}).most_similar({known}))"), ""),
    ]


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


def neighbor_table(columns: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> Table:
    """Return a table with one column per question and one row per rank.

    Args:
        columns: (question, answers with cosines, best first).
    """
    table = Table(box=None, header_style="bold cyan", pad_edge=False, padding=(0, 3, 0, 0))
    for question, _ in columns:
        table.add_column(Text(question), overflow="ellipsis", no_wrap=True)
    for rank in range(max(len(answers) for _, answers in columns)):
        cells: list[Any] = []
        for _, answers in columns:
            word, cosine = answers[rank] if rank < len(answers) else ("", None)
            cells.append(Text.assemble(word, ("" if cosine is None else f" {cosine:.2f}", "dim")))
        table.add_row(*cells)
    return table


def answer_table(question: str, answers: Sequence[tuple[str, float]], counts: dict[str, int] | None) -> Table:
    """Return a table with one row per neighbor of a single question.

    Args:
        question: what was asked.
        answers: neighbors with cosines, best first.
        counts: how often each of them occurs, if that is known.
    """
    table = Table(box=None, header_style="bold cyan", pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(Text(question), overflow="fold")
    table.add_column("cosine", justify="right", header_style="dim")
    table.add_column("", no_wrap=True)
    if counts:
        table.add_column("count", justify="right", header_style="dim")
    for word, cosine in answers:
        bar = "━" * max(0, round(20 * cosine))
        row: list[Any] = [Text(word), Text(f"{cosine:.3f}"), Text(bar, style="cyan")]
        table.add_row(*row, *([Text(f"{counts[word]:,}", style="dim")] if counts else []))
    return table


def item_table(question: str, answers: Sequence[tuple[str, str, float]], what: str) -> Table:
    """Return a table with one row per item: its id, its title if any has one, and its score.

    Args:
        question: what was asked.
        answers: (item, title, score), best first.
        what: what the score is called.
    """
    table = Table(box=None, header_style="bold cyan", pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(Text(question), overflow="fold")
    titled = any(title for _, title, _ in answers)
    if titled:
        table.add_column("")
    table.add_column(what, justify="right", header_style="dim")
    for item, title, score in answers:
        row: list[Any] = [Text(item), *([Text(title)] if titled else []), Text(f"{score:.3f}", style="dim")]
        table.add_row(*row)
    return table
