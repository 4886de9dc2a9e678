"""Answers of a recommender to several questions: about users for `logq recommend`, about items for `logq similar`."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.console import Console

from logq.cli.model_folders import RecommenderFolder, known_ids
from logq.cli.terminal.errors import BadInputError, note, say_error
from logq.cli.terminal.report import item_table, say

if TYPE_CHECKING:
    from logq.logs import Identifiers
    from logq.recommenders import Recommendations

__all__ = ["Count", "answer_each", "show_answer"]

Count: TypeAlias = Annotated[int, typer.Option("-k", "--topn", "-n", metavar="N", min=1, help="Number of items.")]

_NOTHING = "nothing is left to recommend (--keep-seen includes seen items)"


def answer_each(
    found: RecommenderFolder, words: Sequence[str], what: str, score: str, ask: "Callable[[Any], Recommendations]"
) -> None:
    """Answer each question, and name what is unknown after the answers to others.

    Args:
        found: the model.
        words: ids of users or items, as they were typed.
        what: "user" or "item".
        score: what it is called in the answer.
        ask: id -> answer.

    Raises:
        typer.Exit: an id was unknown.
    """
    ids: Identifiers = getattr(found.model.known, f"{what}_ids")
    unknown: list[str] = []
    first = True
    for word in words:
        try:
            (one,) = known_ids(ids, [word], what)
        except BadInputError as error:
            unknown.append(str(error))
            continue
        if not first and sys.stdout.isatty():
            say()
        first = False
        title = found.title(one) if what == "item" else ""
        show_answer(found, word, ask(one), score, title)
    if unknown:
        sys.stdout.flush()
        for line in unknown:
            say_error(line)
        raise typer.Exit(2)


def show_answer(
    found: RecommenderFolder, question: str, answer: "Recommendations", score: str, title: str = ""
) -> None:
    """Show the answer to a question: a table for people, lines separated by tabs for programs.

    Args:
        found: the model.
        question: what was asked.
        answer: of the model.
        score: what it is called in the answer.
        title: of the item that was asked about.
    """
    pairs: list[tuple[Any, float]] = list(zip(answer.items.tolist(), answer.scores.tolist(), strict=True))
    rows = [(str(item), found.title(item), value) for item, value in pairs if item is not None]
    if not sys.stdout.isatty():
        if not rows:
            note(f"{question}: {_NOTHING}")
        for item, name, value in rows:
            print("\t".join([question, item, f"{value:.6f}", *([name] if found.titles is not None else [])]))
        return
    heading = f"{question} {title}".strip()
    if rows:
        Console().print(item_table(heading, rows, score))
    else:
        say(f"{heading}: {_NOTHING}")
