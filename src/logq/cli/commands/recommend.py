"""`logq recommend`: what users may want next."""

from pathlib import Path
from typing import Annotated, Any

import typer

from logq.cli.command_options import Device
from logq.cli.item_answers import Count, answer_each, show_answer
from logq.cli.model_folders import RecommenderArgument, known_ids, open_folder
from logq.cli.terminal.errors import BadInputError

__all__ = ["EXAMPLES", "recommend"]

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
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option(
            "--context",
            metavar="NAME=VALUE",
            help="Context of the request, if the model was trained with context columns. Repeatable.",
        ),
    ] = None,
    device: Device = "cpu",
) -> None:
    """Recommend items to users of the log, or to a new user with a given history.

    All events of a user in the log count, including those that training held out. Each user is a question with its own
    answer; unknown users are listed at the end. In a pipe, the output is lines of user, item, score and title,
    separated by tabs.
    """
    if bool(user) == bool(history):
        raise BadInputError("give either users of the log by --user, or the history of a new one by --history")
    found = open_folder(folder, device=device)
    model = found.model
    given = _context(context or [])
    where = None
    if index is not None:
        from logq.cli.commands.index import load_index_of

        where = load_index_of(found, index)
    if history:
        items = known_ids(model.known.item_ids, history, "item")
        answer = model.recommend(histories=items, k=k, exclude_seen=not keep_seen, index=where, context=given)
        show_answer(found, "new user", answer, "score")
        return

    def ask(who: Any) -> Any:
        done = None
        if found.log is not None:
            codes, _ = found.log.histories(found.log.user_ids.codes([who]))
            done = found.log.item_ids.keys_of(codes).tolist()
        return model.recommend(who, k=k, histories=done, exclude_seen=not keep_seen, index=where, context=given)

    answer_each(found, user or [], "user", "score", ask)


def _context(pairs: list[str]) -> dict[str, list[str]] | None:
    wrong = next((pair for pair in pairs if "=" not in pair), None)
    if wrong is not None:
        raise BadInputError(f"--context: expected NAME=VALUE, got {wrong!r}")
    return {name: [value] for name, value in (pair.split("=", 1) for pair in pairs)} or None
