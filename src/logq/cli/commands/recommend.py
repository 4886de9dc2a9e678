"""`logq recommend`: what users may want next."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from logq.cli.command_options import Device, JsonOutput
from logq.cli.input_output import READS
from logq.cli.item_answers import Answers, Count, answer_each
from logq.cli.model_folders import RecommenderArgument, known_ids, open_folder, typed_ids
from logq.cli.terminal.errors import BadInputError
from logq.cli.terminal.output import check_file, write_json

__all__ = ["EXAMPLES", "recommend"]


class Unknown(str, Enum):
    """What is done about users and items that are not known."""

    error = "raise"
    ignore = "ignore"
    popular = "popular"


EXAMPLES = """
logq recommend model --user 42
logq recommend model --user 42 --user 7 -k 5 --keep-seen
logq recommend model --history 50 --history 181
logq recommend model --user 42 --index model/index | cut -f2
"""


def recommend(
    folder: RecommenderArgument,
    user: Annotated[
        list[str] | None, typer.Option("--user", "-u", metavar="ID", help="A user of the log. Repeatable.")
    ] = None,
    k: Count = 10,
    history: Annotated[
        list[str] | None,
        typer.Option(
            "--history",
            metavar="ITEM",
            help="Instead of a user: an item in the history of a new one, oldest first. Repeatable.",
        ),
    ] = None,
    keep_seen: Annotated[
        bool, typer.Option("--keep-seen", help="Also recommend items that a user has already seen.")
    ] = False,
    index: Annotated[
        Path | None,
        typer.Option("--index", metavar="INDEX", help="Search in this index, a folder written by `logq index`."),
        READS,
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option(
            "--context",
            metavar="NAME=VALUE",
            help="Context of the request, if the model was trained with context columns. Repeatable.",
        ),
    ] = None,
    unknown: Annotated[
        Unknown,
        typer.Option(
            "--unknown",
            metavar="NAME",
            help="What to do about users and items that are not in the log: raise an error, after the answers to "
            "others; ignore them; or answer such users by what is popular.",
        ),
    ] = Unknown.error,
    output: JsonOutput = None,
    device: Device = "cpu",
) -> None:
    """Recommend items to users of the log, or to a new user with a given history.

    All events of a user in the log count, including those that training held out. Each user is a question with its own
    answer; unknown users are listed at the end, or answered as --unknown says. In a pipe, the output is lines of user,
    item, score and title, separated by tabs. What happened to a question that could not be answered
    as it was asked is said in a note, and in "status" of the JSON.
    """
    if bool(user) == bool(history):
        raise BadInputError("give either users of the log by --user, or the history of a new one by --history")
    if output is not None:
        check_file(output)
    found = open_folder(folder, device=device)
    model = found.model
    lenient = unknown is not Unknown.error
    options: dict[str, Any] = {"k": k, "exclude_seen": not keep_seen, "unknown": unknown.value}
    given = _context(context or [])
    where = None
    if index is not None:
        from logq.cli.commands.index import load_index_of

        where = load_index_of(found, index, "inner_product")
    answers = Answers(found, "user", "score")
    if history:
        items = (
            typed_ids(model.known.item_ids, history) if lenient else known_ids(model.known.item_ids, history, "item")
        )
        answers.show("new user", model.recommend(histories=[items], index=where, context=given, **options))
    else:

        def ask(who: Any) -> Any:
            done = None
            if found.log is not None and int(found.log.user_ids.codes([who])[0]) >= 0:
                codes, _ = found.log.histories(found.log.user_ids.codes([who]))
                done = [found.log.item_ids.keys_of(codes).tolist()]
            return model.recommend([who], histories=done, index=where, context=given, **options)

        answer_each(answers, user or [], ask, lenient=lenient)
    if output is not None:
        write_json(output, answers.to_json())
    answers.leave()


def _context(pairs: list[str]) -> dict[str, list[str]] | None:
    wrong = next((pair for pair in pairs if "=" not in pair), None)
    if wrong is not None:
        raise BadInputError(f"--context: expected NAME=VALUE, got {wrong!r}")
    return {name: [value] for name, value in (pair.split("=", 1) for pair in pairs)} or None
