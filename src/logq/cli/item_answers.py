"""Answers of a recommender to several questions: about users for `logq recommend`, about items for `logq similar`."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from logq.cli.model_folders import RecommenderFolder, known_ids, typed_ids
from logq.cli.terminal.errors import BadInputError, note, say_error
from logq.cli.terminal.report import say
from logq.cli.terminal.result_tables import show_items

if TYPE_CHECKING:
    from logq.logs import Identifiers
    from logq.recommenders import Recommendations

__all__ = ["Answers", "Count", "answer_each"]

Count: TypeAlias = Annotated[int, typer.Option("-k", "--topn", "-n", metavar="N", min=1, help="Number of items.")]

_NOTHING = "nothing is left to recommend (--keep-seen includes seen items)"


class Answers:
    """The answers to some questions, shown one after the other: a table for people, lines with tabs for programs.

    Args:
        found: the model.
        what: "user" or "item", what is asked about.
        score: what it is called in the answers.
    """

    def __init__(self, found: RecommenderFolder, what: str, score: str) -> None:
        self.found, self.what, self.score = found, what, score
        self.unknown: list[str] = []
        self._all: list[dict[str, Any]] = []

    def show(self, question: str, answer: "Recommendations", title: str = "") -> None:
        """Show one.

        Args:
            question: what was asked.
            answer: of the model, to one question.
            title: of the item that was asked about.
        """
        pairs: list[tuple[Any, float]] = list(zip(answer.items[0].tolist(), answer.scores[0].tolist(), strict=True))
        rows = [(str(item), self.found.title(item), value) for item, value in pairs if item is not None]
        status = str(answer.status[0])
        named = [
            {"item": item, self.score: value, **({"title": self.found.title(item)} if self.found.titles else {})}
            for item, value in pairs
            if item is not None
        ]
        self._all.append({self.what: question, "status": status, "answers": named})
        heading = f"{question} {title}".strip()
        if status:
            note(f"{question}: {status}")
        nothing = "" if status or rows else _NOTHING if self.what == "user" else "nothing is like it"
        if not sys.stdout.isatty():
            if nothing:
                note(f"{question}: {nothing}")
            for item, name, value in rows:
                print("\t".join([question, item, f"{value:.6f}", *([name] if self.found.titles is not None else [])]))
            return
        if len(self._all) > 1:
            say()
        if rows:
            show_items(heading, rows, self.score)
        elif nothing:
            say(f"{heading}: {nothing}")

    def to_json(self) -> dict[str, Any]:
        """All of them, as JSON can hold them."""
        return {"answers": self._all, "unknown": self.unknown}

    def leave(self) -> None:
        """Name the questions that could not be asked.

        Raises:
            typer.Exit: there is one.
        """
        if self.unknown:
            sys.stdout.flush()
            for line in self.unknown:
                say_error(line)
            raise typer.Exit(2)


def answer_each(
    answers: Answers, words: Sequence[str], ask: "Callable[[Any], Recommendations]", *, lenient: bool = False
) -> None:
    """Answer each question, and keep what is unknown for the end.

    Args:
        answers: where they go.
        words: ids of users or items, as they were typed.
        ask: id -> answer.
        lenient: whether unknown ids are asked about too.
    """
    ids: Identifiers = getattr(answers.found.model.known, f"{answers.what}_ids")
    for word in words:
        try:
            (one,) = typed_ids(ids, [word]) if lenient else known_ids(ids, [word], answers.what)
        except BadInputError as error:
            answers.unknown.append(str(error))
            continue
        answers.show(word, ask(one), answers.found.title(one) if answers.what == "item" else "")
