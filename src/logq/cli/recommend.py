"""`logq recommend` and `logq similar`: what a user may want next, and which items are alike."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from logq.cli.errors import BadInputError, say_error
from logq.cli.recommender_folder import RecommenderFolder, known_ids, open_folder
from logq.cli.recommender_report import answer_columns
from logq.cli.report import say

if TYPE_CHECKING:
    from logq.recommenders import Recommendations

__all__ = ["RECOMMEND_EXAMPLES", "SIMILAR_EXAMPLES", "recommend", "similar"]

RECOMMEND_EXAMPLES = """
logq recommend model --user 42
logq recommend model --user 42 --user 7 -k 5 --keep-seen
logq recommend model --history 50 --history 181
logq recommend model --user 42 --index model/index | cut -f2
"""

SIMILAR_EXAMPLES = """
logq similar model 50
logq similar model 50 181 -k 5
logq similar model --feature genre=Comedy --feature year=1995
logq similar model 50 | cut -f2
"""

LEARNS_FROM_ITEMS = ("EGES", "TwoTower")
_NOTHING = "nothing is left to recommend (--keep-seen shows what they had)"

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of `logq train sasrec` and others.")]
Count = Annotated[int, typer.Option("-k", "--topn", "-n", metavar="N", min=1, help="How many items.")]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, cuda, cuda:1, ...")]


def recommend(
    folder: Folder,
    user: Annotated[
        list[str] | None, typer.Option("--user", "-u", metavar="ID", help="A user of the log. Repeatable.")
    ] = None,
    k: Count = 10,
    history: Annotated[
        list[str] | None,
        typer.Option(
            "--history",
            metavar="ITEM",
            help="Instead of a user: what somebody did, oldest first. Repeatable, an item each.",
        ),
    ] = None,
    keep_seen: Annotated[bool, typer.Option("--keep-seen", help="Recommend what a user had before, too.")] = False,
    index: Annotated[
        Path | None, typer.Option("--index", metavar="INDEX", help="Search in this folder of `logq index`.")
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option("--context", metavar="NAME=VALUE", help="What is known of the moment, if the model learned it."),
    ] = None,
    device: Device = "cpu",
) -> None:
    """Recommend items to users of the log, or to somebody new who did this and that.

    What a user did up to the end of the log counts, also what training held out. Several users are several questions,
    each with its own answer; those who are unknown are named after it. Read by another program (in a pipe), the answer
    is lines of user, item, score and title, separated by tabs.
    """
    if bool(user) == bool(history):
        raise BadInputError("give users of the log by --user, or what a new one did by --history, one of them")
    found = open_folder(folder, device=device)
    model = found.model
    moment = _moment(context or [])
    where = None
    if index is not None:
        from logq.cli.index import load_index_of

        where = load_index_of(found, index)
    if history:
        items = known_ids(model.seen.item_ids, history, "item")
        answer = model.recommend(histories=items, k=k, exclude_seen=not keep_seen, index=where, context=moment)
        _show(found, [("new user", _rows(found, answer))], "score", titled=True)
        return
    answers: list[tuple[str, list[tuple[str, str, float]]]] = []
    unknown: list[BadInputError] = []
    for word in user or []:
        try:
            who = known_ids(model.seen.user_ids, [word], "user")[0]
        except BadInputError as error:
            unknown.append(error)
            continue
        done = None
        if found.log is not None:
            codes, _ = found.log.histories(found.log.user_ids.codes([who]))
            done = found.log.item_ids.keys_of(codes).tolist()
        answer = model.recommend(who, k=k, histories=done, exclude_seen=not keep_seen, index=where, context=moment)
        answers.append((word, _rows(found, answer)))
    _show(found, answers, "score", titled=False)
    _say_unknown(unknown)


def _moment(pairs: list[str]) -> dict[str, list[str]] | None:
    wrong = next((pair for pair in pairs if "=" not in pair), None)
    if wrong is not None:
        raise BadInputError(f"--context: expected NAME=VALUE, got {wrong!r}")
    return {name: [value] for name, value in (pair.split("=", 1) for pair in pairs)} or None


def similar(
    folder: Folder,
    items: Annotated[list[str] | None, typer.Argument(metavar="[ITEM...]", help="Items of the log.")] = None,
    k: Count = 10,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            "--feature",
            metavar="NAME=VALUE",
            help="Instead of an ITEM: a new one, as --item-features of the training had it. Repeatable.",
        ),
    ] = None,
    device: Device = "cpu",
) -> None:
    """Show the items most like others, by the cosine of their vectors.

    Several items are several questions. A new item is known by its features, if the model learned from some (eges,
    two-tower). Read by another program (in a pipe), the answer is lines of item, neighbour,
    cosine and title, separated by tabs.
    """
    if bool(items) == bool(feature):
        raise BadInputError("give items of the log, or what a new one is like by --feature, one of them")
    found = open_folder(folder, device=device)
    if feature:
        try:
            answer = found.model.similar_items(item_features=_features(found, feature), k=k)
        except ValueError as error:
            raise BadInputError(str(error).replace("item_features:", "--feature:")) from error
        _show(found, [("new item", _rows(found, answer))], "cosine", titled=False)
        return
    answers: list[tuple[str, list[tuple[str, str, float]]]] = []
    unknown: list[BadInputError] = []
    for word in items or []:
        try:
            item = known_ids(found.model.seen.item_ids, [word], "item")[0]
        except BadInputError as error:
            unknown.append(error)
            continue
        answers.append((word, _rows(found, found.model.similar_items(item, k=k))))
    _show(found, answers, "cosine", titled=True)
    _say_unknown(unknown)


def _features(found: RecommenderFolder, texts: list[str]) -> dict[str, Any]:
    """Return {name: value} as a table of features would have it."""
    known = found.model.seen.item_features
    if known is None:
        raise BadInputError("--feature: the model was trained without --item-features")
    name = type(found.model).__name__
    if name not in LEARNS_FROM_ITEMS:
        raise BadInputError(f"--feature: {name} learns nothing from side information of items; eges and two-tower do")
    values: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in known.names or not value:
            raise BadInputError(f"--feature: expected NAME=VALUE with a name of {', '.join(known.names)}, got {text!r}")
        ids = getattr(known.codings[name], "known", None)
        try:
            values[name] = float(value) if ids is None else int(value) if ids.kind == "int" else value
        except ValueError:
            raise BadInputError(f"--feature: expected a number for {name}, got {value!r}") from None
    return values


def _rows(found: RecommenderFolder, answer: "Recommendations") -> list[tuple[str, str, float]]:
    pairs: list[tuple[Any, float]] = list(zip(answer.items.tolist(), answer.scores.tolist(), strict=True))
    return [(str(item), found.title(item), score) for item, score in pairs if item is not None]


def _show(
    found: RecommenderFolder, answers: list[tuple[str, list[tuple[str, str, float]]]], what: str, *, titled: bool
) -> None:
    if not sys.stdout.isatty():
        for question, rows in answers:
            if not rows:
                say_error(f"{question}: {_NOTHING}", "Note")
            for item, title, score in rows:
                print("\t".join([question, item, f"{score:.6f}", *([title] if found.titles is not None else [])]))
        return
    for number, (question, rows) in enumerate(answers):
        if number:
            say()
        name = question
        if titled and question in map(str, found.model.item_ids.tolist()):
            title = found.title(known_ids(found.model.seen.item_ids, [question], "item")[0])
            name = f"{question} {title}".strip()
        if not rows:
            say(f"{name}: {_NOTHING}")
            continue
        Console().print(answer_columns(name, rows, what))


def _say_unknown(errors: list[BadInputError]) -> None:
    if errors:
        sys.stdout.flush()
        for error in errors:
            say_error(str(error))
        raise typer.Exit(2)
