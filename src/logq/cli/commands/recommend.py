"""`logq recommend`: what users may want next."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from logq.cli.command_options import Device, JsonOutput, Quiet
from logq.cli.feature_files import is_parquet
from logq.cli.input_output import WRITES
from logq.cli.item_answers import (
    Answers,
    AskedHistory,
    AskedUsers,
    ContextPairs,
    Count,
    Unknown,
    UnknownChoice,
    answer_each,
    read_context,
)
from logq.cli.log_reading import check_tables
from logq.cli.model_folders import IndexOption, RecommenderArgument
from logq.cli.new_item_files import NewItems, take_new_items
from logq.cli.terminal.errors import BadInputError
from logq.cli.terminal.output import check_file, write_json
from logq.cli.terminal.report import say
from logq.folders.id_reading import known_ids, typed_ids
from logq.folders.index_folders import check_index_folder, load_index_of
from logq.folders.recommender_folders import RecommenderFolder, open_folder

__all__ = ["EXAMPLES", "recommend"]


EXAMPLES = """
logq recommend model --user 42
logq recommend model --user 42 --user 7 -k 5 --keep-seen
logq recommend model --history 50 --history 181
logq recommend model --user 42 --index model/index | cut -f2
logq recommend model --user 42 --diversity 0.3 --explain
logq recommend model --user 42 --allow 50 --allow 181
logq recommend model --user 42 --new-items arrivals.csv
logq recommend model --all -k 20 -o recommendations.parquet
"""


def recommend(
    folder: RecommenderArgument,
    user: AskedUsers = None,
    k: Count = 10,
    history: AskedHistory = None,
    everybody: Annotated[
        bool, typer.Option("--all", help="Instead of a user: all users of the log, into the file of --output.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Parquet file for --all, with the columns user, rank, item and score.",
        ),
        WRITES,
    ] = None,
    keep_seen: Annotated[
        bool, typer.Option("--keep-seen", help="Also recommend items that a user has already seen.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="ITEM", help="Recommend this item alone, or these. Repeatable."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", metavar="ITEM", help="An item to leave out. Repeatable.")
    ] = None,
    diversity: Annotated[
        float,
        typer.Option(
            "--diversity",
            metavar="X",
            min=0,
            max=1,
            help="How much an item loses by being like one before it, from 0 to 1: the next one is that with the "
            "highest (1 - X) score - X cosine, of 10 times as many as are shown, with scores scaled to 0 to 1.",
        ),
    ] = 0.0,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Name the items of the history that speak most for each item: by cosine, or by what they add to "
            "the score (als, ease, item-knn).",
        ),
    ] = False,
    index: IndexOption = None,
    context: ContextPairs = None,
    *,
    new: NewItems,
    unknown: UnknownChoice = Unknown.error,
    json: JsonOutput = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Recommend items to users of the log, or to a new user with a given history.

    All events of a user in the log count, including those that training held out. Each user is a question with its own
    answer; unknown users are listed at the end, or answered as --unknown says. In a pipe, the output is lines of user,
    item, score and title, separated by tabs, and with --explain what speaks for the item. What happened to a question
    that could not be answered as it was asked is said in a note, and in "status" of the JSON.
    """
    if sum(map(bool, (user, history, everybody))) != 1:
        raise BadInputError(
            "give either users of the log by --user, or the history of a new one by --history, or --all"
        )
    if everybody != (output is not None):
        raise BadInputError("--all and --output FILE (-o) belong together: recommendations for everybody go to a file")
    if output is not None and output.suffix and not is_parquet(output):
        raise BadInputError(f"--output: expected the name of a Parquet file, such as all.parquet, got {str(output)!r}")
    for option, given in (("--json", json is not None), ("--context", bool(context)), ("--explain", explain)):
        if everybody and given:
            raise BadInputError(f"{option}: expected none beside --all, whose file has user, rank, item and score")
    for path in filter(None, (json, output)):
        check_file(path, "recommendations.parquet")
    check_tables(output, new.table)
    if index is not None:
        check_index_folder(index)
    found = open_folder(folder, device=device)
    model = found.model
    lenient = unknown is not Unknown.error
    where = None if index is None else load_index_of(found, index, "inner_product")
    before = model.known.num_items
    found = take_new_items(found, new)
    if where is not None and model.known.num_items > before:
        added = list(range(before, model.known.num_items))
        where.add(added, model.search_vectors[added])
    read = typed_ids if lenient else lambda ids, words: known_ids(ids, words, "item", found.titles)
    options: dict[str, Any] = {
        "k": k,
        "exclude_seen": not keep_seen,
        "allow": read(model.known.item_ids, allow) if allow else None,
        "exclude": read(model.known.item_ids, exclude) if exclude else None,
        "diversity": diversity,
        "index": where,
        "unknown": unknown.value,
    }
    if output is not None:
        _write_all(found, output, options, quiet)
        return
    options |= {"context": read_context(context), "explain": explain}
    answers = Answers(found, "user", "score")
    if history:
        items = read(model.known.item_ids, history)
        answers.show("new user", model.recommend(histories=[items], **options))
    else:

        def ask(who: Any) -> Any:
            there = found.log is not None and int(found.log.user_ids.codes([who])[0]) >= 0
            return model.recommend([who], log=found.log if there else None, **options)

        answer_each(answers, user or [], ask, lenient=lenient)
    if json is not None:
        write_json(json, answers.to_json())
    answers.leave()


def _write_all(found: RecommenderFolder, path: Path, options: Mapping[str, Any], quiet: bool) -> None:
    from logq._arguments import ArgumentError

    try:
        done = found.model.recommend_all(path, log=found.log, progress=False if quiet else None, **options)
    except ArgumentError as error:
        if error.name != "log":
            raise
        hint = "" if found.log is not None else " (--no-users)"
        raise BadInputError(error.message("the log") + hint) from error
    left = f"; {done.without:,} users got none" if done.without else ""
    say(f"{done.recommendations:,} recommendations for {done.users:,} users are in {path}{left}.")
