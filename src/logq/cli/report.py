"""How results look: tables of neighbours, and what to type next."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["answer_table", "in_python", "neighbour_table", "say", "say_next"]


def say(*parts: str | tuple[str, str]) -> None:
    """Write a line to standard output as it is: no wrapping, no guessing of markup in paths.

    Args:
        parts: pieces of text, or (text, style).

    Example:
        >>> say("42 words in ", ("[folder]", "bold"))
        42 words in [folder]
    """
    Console(file=sys.stdout, soft_wrap=True).print(Text.assemble(*parts))


def say_next(folder: Path, word: str, drawn: Path | None = None) -> None:
    """Say what can be typed next.

    Args:
        folder: where vectors lie.
        word: a word they know.
        drawn: the map, where there is one already.
    """
    place, known = shlex.quote(str(folder)), shlex.quote(word)
    say()
    say(("What to type next", "bold"))
    lines = [(f"logq neighbors {place} {known}", "the words nearest to one")]
    if drawn is None:
        target = shlex.quote(str(folder / "map.html"))
        lines.append((f"logq map {place} -o {target}", "a map to look at"))
    lines.append((f"python -c {shlex.quote(snippet(folder, word))}", ""))
    width = max(len(command) for command, meaning in lines if meaning)
    for command, meaning in lines:
        say("  ", (command.ljust(width) if meaning else command, "cyan"), ("  # " + meaning if meaning else "", "dim"))


def snippet(folder: Path, word: str) -> str:
    """Return Python that asks the vectors in `folder` for the neighbours of `word`.

    Example:
        >>> print(snippet(Path("vectors"), "tea"))
        import logq; print(logq.KeyedVectors.load("vectors").most_similar("tea"))
    """
    return f"import logq; print(logq.KeyedVectors.load({in_python(str(folder))}).most_similar({in_python(word)}))"


def in_python(value: object) -> str:
    """Return a value as Python has it, a text in double quotes where it can be: a shell has single ones around it.

    Example:
        >>> print(in_python("tea"), in_python(4))
        "tea" 4
    """
    plain = isinstance(value, str) and value.isprintable() and not set(value) & set("\"\\'")
    return f'"{value}"' if plain else repr(value)


def neighbour_table(columns: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> Table:
    """Return a table with one column a question and one row a rank.

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
    """Return a table with one row a neighbour of a single question.

    Args:
        question: what was asked.
        answers: neighbours with cosines, best first.
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
