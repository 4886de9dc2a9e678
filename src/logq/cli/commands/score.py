"""`logq score`: how well given items suit users."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from logq.cli.command_options import Device, JsonOutput, Quiet
from logq.cli.input_output import READS, WRITES
from logq.cli.item_answers import (
    Answers,
    AskedHistory,
    AskedUsers,
    ContextPairs,
    Unknown,
    UnknownChoice,
    answer_each,
    read_context,
)
from logq.cli.log_reading import check_tables
from logq.cli.model_folders import RecommenderArgument, columns_of
from logq.cli.new_item_files import NewItems, take_new_items
from logq.cli.pair_files import UserItemPairs, read_pairs, write_scores
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.terminal.output import check_file, tab_separated, write_json
from logq.cli.terminal.report import say
from logq.folders.id_reading import UnknownIdError, known_ids, typed_ids
from logq.folders.recommender_folders import RecommenderFolder, open_folder

__all__ = ["EXAMPLES", "score"]

PAIRS = 8192
"""Pairs that are scored at a time."""

EXAMPLES = """
logq score model --user 42 --item 50 --item 181
logq score model --history 50 --history 181 --item 172
logq score model --pairs pairs.csv -o scores.csv
logq score model --pairs pairs.parquet -o scores.parquet --unknown ignore
logq score model --user 42 --item 9001 --new-items arrivals.csv
"""


def score(
    folder: RecommenderArgument,
    user: AskedUsers = None,
    item: Annotated[
        list[str] | None, typer.Option("--item", metavar="ID", help="An item to score for each user. Repeatable.")
    ] = None,
    history: AskedHistory = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            metavar="FILE",
            help="Instead of users and items: a table with a column of each, called as in the log that was trained on, "
            "or by a usual name; CSV, TSV or Parquet. - is standard input.",
        ),
        READS,
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File with the columns user, item and score: Parquet if it ends in .parquet, else CSV.",
        ),
        WRITES,
    ] = None,
    context: ContextPairs = None,
    *,
    new: NewItems,
    unknown: UnknownChoice = Unknown.error,
    json: JsonOutput = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Score the items you name for users of the log, or for a new user with a given history, as `logq recommend` does.

    All events of a user in the log count, including those that training held out, and items that a user has had are
    scored like others. Scores of one user can be compared with each other; whether those of different users can depends
    on the model. In a pipe, the output is lines of user, item, score and title, separated by tabs, where an unknown
    item has none. --pairs scores many pairs at once, in the order of the file.
    """
    if sum(map(bool, (user, history, pairs))) != 1:
        raise BadInputError(
            "give either users of the log by --user, or the history of a new one by --history, or a file by --pairs"
        )
    if (pairs is None) != bool(item):
        expected = "none beside --pairs, which has them" if item else "one or more, which are scored"
        raise BadInputError(f"--item: expected {expected}")
    if json is not None and (pairs is not None or output is not None):
        other = "--pairs" if pairs is not None else "--output"
        raise BadInputError(f"--json: expected none beside {other}: scores of many pairs go to a table (-o)")
    if history and output is not None:
        raise BadInputError("--output: expected none beside --history, as a table has users of the log")
    for path in filter(None, (json, output)):
        check_file(path, "scores.csv")
    check_tables(pairs, output, new.table)
    found = take_new_items(open_folder(folder, device=device), new)
    known, lenient = found.model.known, unknown is not Unknown.error
    options: dict[str, Any] = {"context": read_context(context), "unknown": unknown.value}
    read = typed_ids if lenient else lambda ids, words: known_ids(ids, words, "item", found.titles)
    if pairs is None:
        items = read(known.item_ids, item or [])
        if output is None:
            _show(found, user or [], history and read(known.item_ids, history), items, options, json)
            return
        users = typed_ids(known.user_ids, user or []) if lenient else known_ids(known.user_ids, user or [], "user")
        asked = UserItemPairs([one for one in users for _ in items], [*items] * len(users))
    else:
        asked = read_pairs(pairs, columns_of(found), known)
    scores = _score_pairs(found, asked, options, quiet, pairs)
    left = int((scores != scores).sum())
    if left:
        note(f"{left:,} of {len(scores):,} pairs have no score, for an unknown user or item")
    if output is not None:
        write_scores(output, asked, scores)
        say(f"{len(scores) - left:,} scores are in {output}.")
        return
    for who, what, value in zip(asked.users, asked.items, scores.tolist(), strict=True):
        title = [] if found.titles is None else [found.title(what)]
        print(tab_separated(who, what, "" if value != value else f"{value:.6f}", *title))


def _show(
    found: RecommenderFolder,
    users: list[str],
    history: list[Any] | None,
    items: list[Any],
    options: Mapping[str, Any],
    json: Path | None,
) -> None:
    """Answer for one user after the other, as `logq recommend` does."""
    import numpy as np

    from logq.recommenders.ranking.recommendations import Recommendations

    def named(scores: Any) -> Recommendations:
        lacking = np.isnan(scores)
        names = np.array([items], dtype=object)
        status = f"no score for {', '.join(map(str, names[lacking]))}" if lacking.any() else ""
        return Recommendations(np.where(lacking, np.array(None), names), scores, np.array([status], dtype=object))

    answers = Answers(found, "user", "score")
    if history:
        answers.show("new user", named(found.model.score(None, [items], histories=[history], **options)))
    else:
        lenient = options["unknown"] != Unknown.error.value
        answer_each(
            answers,
            users,
            lambda who: named(found.model.score([who], [items], log=found.log, **options)),
            lenient=lenient,
        )
    if json is not None:
        write_json(json, answers.to_json())
    answers.leave()


def _score_pairs(
    found: RecommenderFolder, pairs: UserItemPairs, options: Mapping[str, Any], quiet: bool, path: Path | None
) -> Any:
    """The scores (n,) of pairs, NaN where there is none; those of a user are computed together."""
    import numpy as np

    from logq._progress import Progress

    model = found.model
    users, items = np.asarray(pairs.users), np.asarray(pairs.items)
    if options["unknown"] == Unknown.error.value:
        for what, ids, column in (("user", model.known.user_ids, users), ("item", model.known.item_ids, items)):
            missing = np.asarray(ids.codes(column)) < 0
            if missing.any():
                try:
                    known_ids(ids, [str(column[missing][0])], what)
                except UnknownIdError as error:
                    where = "" if path is None else f"{path}: "
                    raise BadInputError(f"{where}{error} ({int(missing.sum()):,} such rows; see --unknown)") from None
    scores = np.full(len(users), np.nan, dtype=np.float32)
    order = np.argsort(np.unique(users, return_inverse=True)[1].reshape(-1), kind="stable")
    with Progress(len(users), "pairs", "scoring", False if quiet else None) as bar:
        for begin in range(0, len(users), PAIRS):
            rows = order[begin : begin + PAIRS]
            firsts = np.flatnonzero(np.append(True, users[rows][1:] != users[rows][:-1]))
            lists = np.split(items[rows], firsts[1:])
            context = options["context"] and {name: value * len(lists) for name, value in options["context"].items()}
            values = model.score(
                users[rows][firsts].tolist(),
                [each.tolist() for each in lists],
                log=found.log,
                unknown=options["unknown"],
                context=context,
            )
            width = np.arange(values.shape[1])
            scores[rows] = values[width < np.array([len(each) for each in lists])[:, None]]
            bar.advance(len(rows))
    return scores
