"""Answers of a recommender to several questions: about users for `logq recommend`, about items for `logq similar`."""

import sys
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from logq.cli.terminal.errors import BadInputError, note, say_error
from logq.cli.terminal.output import tab_separated
from logq.cli.terminal.report import say
from logq.cli.terminal.result_tables import show_items
from logq.folders.id_reading import UnknownIdError, known_ids, typed_ids
from logq.folders.named_answers import named_answers, reasons_of
from logq.folders.recommender_folders import RecommenderFolder

if TYPE_CHECKING:
    from logq.logs import Identifiers
    from logq.recommenders import Recommendations

__all__ = [
    "Answers",
    "AskedHistory",
    "AskedUsers",
    "ContextPairs",
    "Count",
    "Unknown",
    "UnknownChoice",
    "answer_each",
    "read_context",
]

Count: TypeAlias = Annotated[int, typer.Option("-k", "--topn", "-n", metavar="N", min=1, help="How many to name.")]

AskedUsers: TypeAlias = Annotated[
    list[str] | None, typer.Option("--user", "-u", metavar="ID", help="A user of the log. Repeatable.")
]
AskedHistory: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--history",
        metavar="ITEM",
        help="Instead of a user: an item in the history of a new one, oldest first. Repeatable.",
    ),
]
ContextPairs: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        metavar="NAME=VALUE",
        help="Context of the request, if the model was trained with context columns. Repeatable.",
    ),
]


class Unknown(str, Enum):
    """What is done about users and items that are not known."""

    error = "raise"
    ignore = "ignore"
    popular = "popular"


UnknownChoice: TypeAlias = Annotated[
    Unknown,
    typer.Option(
        "--unknown",
        metavar="NAME",
        help="What to do about users and items that are not in the log: raise an error, after the answers to "
        "others; ignore them; or answer such users by what is popular.",
    ),
]

_NOTHING = "nothing is left to recommend (--keep-seen includes seen items)"


class Answers:
    """The answers to some questions, shown one after the other: a table for people, lines with tabs for programs.

    Args:
        found: the model.
        what: "user" or "item", what is asked about.
        score: what it is called in the answers.
        finds: "item" or "user", what the answers are.
    """

    def __init__(self, found: RecommenderFolder, what: str, score: str, finds: str = "item") -> None:
        self.found, self.what, self.score, self.finds = found, what, score, finds
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
        reasons, measure = reasons_of(answer, 0), None if answer.reasons is None else answer.reasons.measure
        digits = ".2f" if measure == "cosine" else ".3g"
        rows = [
            (str(item), self._title(item), value, ", ".join(f"{self._title(j) or j} {by:{digits}}" for j, by in why))
            for (item, value), why in zip(pairs, reasons, strict=True)
            if item is not None
        ]
        status = str(answer.status[0])
        named = named_answers(self.found, answer, 0, self.score, self.finds)
        self._all.append({self.what: question, "status": status, "answers": named})
        heading = f"{question} {title}".strip()
        if status:
            note(f"{question}: {status}")
        nothing = _NOTHING if self.score == "score" else "nothing is like it"
        nothing = "" if status or rows else nothing
        if not sys.stdout.isatty():
            if nothing:
                note(f"{question}: {nothing}")
            for item, name, value, why in rows:
                further = [name] if self._titled else []
                further += [why] if measure is not None else []
                print(tab_separated(question, item, f"{value:.6f}", *further))
            return
        if len(self._all) > 1:
            say()
        if rows:
            show_items(heading, rows, self.score)
        elif nothing:
            say(f"{heading}: {nothing}")

    @property
    def _titled(self) -> bool:
        return self.found.titles is not None and self.finds == "item"

    def _title(self, item: Any) -> str:
        return self.found.title(item) if self._titled else ""

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
    titles = answers.found.titles if answers.what == "item" else None
    for word in words:
        try:
            (one,) = typed_ids(ids, [word]) if lenient else known_ids(ids, [word], answers.what, titles)
        except UnknownIdError as error:
            answers.unknown.append(str(error))
            continue
        answers.show(word, ask(one), answers.found.title(one) if answers.what == "item" else "")


def read_context(pairs: Sequence[str] | None) -> dict[str, list[str]] | None:
    """The context of one request, of what was typed; None for nothing.

    Raises:
        BadInputError: one is not NAME=VALUE.

    Example:
        >>> read_context(["device=phone"])
        {'device': ['phone']}
    """
    wrong = next((pair for pair in pairs or [] if "=" not in pair), None)
    if wrong is not None:
        raise BadInputError(f"--context: expected NAME=VALUE, got {wrong!r}")
    return {name: [value] for name, value in (pair.split("=", 1) for pair in pairs or [])} or None
