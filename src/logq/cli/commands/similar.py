"""`logq similar`: items that are alike."""

from typing import Annotated, Any

import typer

from logq.cli.command_options import Device
from logq.cli.item_answers import Count, answer_each, show_answer
from logq.cli.model_folders import RecommenderArgument, RecommenderFolder, open_folder
from logq.cli.terminal.errors import BadInputError

__all__ = ["EXAMPLES", "similar"]

EXAMPLES = """
logq similar model 50
logq similar model 50 181 -k 5
logq similar model --feature genre=Comedy --feature year=1995
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
    device: Device = "cpu",
) -> None:
    """Show the items most similar to others, by the cosine of their vectors.

    Each item is a question with its own answer. A new item can be described by its features, if the model learned from
    features (eges, two-tower). In a pipe, the output is lines of item, neighbor, cosine and title, separated by tabs.
    """
    if bool(items) == bool(item_features):
        raise BadInputError("give either items of the log, or the features of a new one by --feature")
    found = open_folder(folder, device=device)
    if item_features:
        answer = found.model.similar_items(item_features=_values(found, item_features), k=k)
        show_answer(found, "new item", answer, "cosine")
        return
    answer_each(found, items or [], "item", "cosine", lambda item: found.model.similar_items(item, k=k))


def _values(found: RecommenderFolder, pairs: list[str]) -> dict[str, Any]:
    """The features as a table of them would have them; whether the model knows them is for it to say."""
    known = found.model.known.item_features
    values: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not value:
            raise BadInputError(f"--feature: expected NAME=VALUE, got {pair!r}")
        coding = known.codings.get(name) if known is not None else None
        ids = getattr(coding, "known", None)
        try:
            values[name] = int(value) if ids is not None and ids.kind == "int" else value
            if coding is not None and ids is None:
                values[name] = float(value)
        except ValueError:
            raise BadInputError(f"--feature: expected a number for {name}, got {value!r}") from None
    return values
