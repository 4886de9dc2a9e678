"""`logq similar`: items that are alike, and users."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logq.cli.command_options import Device, JsonOutput
from logq.cli.input_output import READS
from logq.cli.item_answers import Answers, Count, answer_each
from logq.cli.log_reading import check_tables
from logq.cli.model_folders import RecommenderArgument
from logq.cli.new_item_files import NewItems, take_new_items
from logq.cli.terminal.errors import BadInputError
from logq.cli.terminal.output import check_file, write_json
from logq.folders.index_folders import check_index_folder, load_index_of
from logq.folders.recommender_folders import RecommenderFolder, open_folder

if TYPE_CHECKING:
    from logq.logs import Identifiers

__all__ = ["EXAMPLES", "similar"]

EXAMPLES = """
logq similar model 50
logq similar model 50 181 -k 5
logq similar model --feature genre=Comedy --feature year=1995
logq similar model 50 --index model/alike
logq similar model --user 42
logq similar model 50 | cut -f2
"""


def similar(
    folder: RecommenderArgument,
    items: Annotated[list[str] | None, typer.Argument(metavar="[ITEM...]", help="Items of the log.")] = None,
    k: Count = 10,
    item_features: Annotated[
        list[str] | None,
        typer.Option(
            "--feature",
            metavar="NAME=VALUE",
            help="Instead of an ITEM: a feature of a new one, as in --item-features of the training. Repeatable.",
        ),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", "-u", metavar="ID", help="Instead of an ITEM: a user, for users like them. Repeatable."),
    ] = None,
    *,
    new: NewItems,
    index: Annotated[
        Path | None,
        typer.Option(
            "--index", metavar="INDEX", help="Search in this index, a folder written by `logq index --metric cosine`."
        ),
        READS,
    ] = None,
    output: JsonOutput = None,
    device: Device = "cpu",
) -> None:
    """Show the items most similar to others, by the cosine of their vectors, or the users most similar to others.

    Each item is a question with its own answer. A new item can be described by its features, if the model learned from
    features (eges, two-tower, or others with --content), and --new-items takes in many. Users are compared by the
    vectors that items are ranked with for them, or, for models without vectors, by the items that they have in common.
    In a pipe, the output is lines of item (or user), neighbor, cosine and title, separated by tabs.
    """
    if sum(map(bool, (items, item_features, user))) != 1:
        raise BadInputError(
            "give either items of the log, or the features of a new one by --feature, or users by --user"
        )
    if user and index is not None:
        raise BadInputError("--index: expected none beside --user, as indexes hold items")
    if output is not None:
        check_file(output)
    if index is not None and new.given:
        raise BadInputError("--index: expected none with --new-items, which it lacks")
    check_tables(new.table)
    if index is not None:
        check_index_folder(index)
    found = take_new_items(open_folder(folder, device=device, doing="neighbors"), new)
    where = None if index is None else load_index_of(found, index, "cosine")
    if user:
        answers = Answers(found, "user", "cosine", "user")
        answer_each(answers, user, lambda who: found.model.similar_users([who], k=k))
    else:
        answers = Answers(found, "item", "cosine")
    if item_features:
        answers.show(
            "new item", found.model.similar_items(item_features=_values(found, item_features), k=k, index=where)
        )
    elif items:
        answer_each(answers, items, lambda item: found.model.similar_items([item], k=k, index=where))
    if output is not None:
        write_json(output, answers.to_json())
    answers.leave()


def _values(found: RecommenderFolder, pairs: list[str]) -> dict[str, Any]:
    """The features as a table of them would have them; whether the model knows them is for it to say."""
    known = found.model.known.item_features
    values: dict[str, list[Any]] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not value:
            raise BadInputError(f"--feature: expected NAME=VALUE, got {pair!r}")
        coding = known.codings.get(name) if known is not None else None
        ids = getattr(coding, "known", None)
        value = value.lower() if ids is not None and {*ids.keys.tolist()} <= {"true", "false"} else value
        try:
            values[name] = [int(value) if ids is not None and ids.kind == "int" else value]
            if coding is not None and ids is None:
                coding.encode(values[name], name, None)
        except (TypeError, ValueError):
            expected = "a number" if ids is not None else "a number or a date, as the feature has,"
            raise BadInputError(f"--feature: expected {expected} for {name}, got {value!r}") from None
        if ids is not None and found.model.describes_items:
            _check_value(name, ids, values[name][0], getattr(coding, "separator", None))
    return values


def _check_value(name: str, ids: "Identifiers", value: Any, separator: str | None) -> None:
    parts = value.split(separator) if separator is not None and isinstance(value, str) else [value]
    unknown = next((part for part in parts if int(ids.codes([part])[0]) < 0), None)
    if unknown is None:
        return
    keys = list(map(str, ids.keys.tolist()))
    near = difflib.get_close_matches(str(unknown), keys, n=5)
    known = f"like it are {', '.join(near)}" if near else f"some values are {', '.join(keys[:5])}"
    raise BadInputError(f"--feature: no item has {unknown!r} as {name}; {known}")
