"""Tables of how much indexes find, and how fast, on the queries of the model that they are made from."""

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq._arguments import ArgumentError
from logq._progress import format_bytes, format_quantity
from logq._project import install_line
from logq.cli.indexed_items import IndexedItems
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.terminal.output import write_json
from logq.cli.terminal.report import say
from logq.cli.terminal.result_tables import ResultTable
from logq.retrieval.index_registry import INDEX_KINDS, INDEXES

if TYPE_CHECKING:
    from logq.retrieval import ItemIndex
    from logq.retrieval.index_choice import IndexChoice, IndexTrial

__all__ = ["check_index", "choose", "choose_fastest", "compare_kinds", "libraries_missing", "made_index"]


def made_index(items: IndexedItems, kind: str, metric: str, options: Mapping[str, int], progress: bool | None) -> Any:
    """Make an index of items.

    Raises:
        BadInputError: an option is not one of the index.
    """
    from logq.retrieval import make_index

    shown: dict[str, Any] = {"progress": progress} if INDEXES[kind].library else {}
    by: Any = metric
    try:
        return make_index(kind, items.vectors(metric), metric=by, **options, **shown)
    except TypeError as error:
        raise BadInputError(f"--option: {kind} does not take {', '.join(options)} ({error})") from error


def choose(
    items: IndexedItems,
    kind: str,
    metric: str,
    options: Mapping[str, int],
    recall: float,
    k: int,
    progress: bool | None,
) -> "IndexChoice":
    """Make the index of the cheapest settings that find enough; see `logq.retrieval.choose_index`.

    Raises:
        ArgumentError: none do; the message names the best.
        BadInputError: an option is not one of the index, or there are too few queries.
    """
    from logq.retrieval import choose_index

    vectors, asked = items.vectors(metric), items.queries(metric)
    settings: dict[str, Any] = {"metric": metric, "own": asked.own, "progress": progress, **options}
    try:
        return choose_index(kind, vectors, asked.vectors, recall, k=k, **settings)
    except ArgumentError as error:
        if error.name != "queries":
            raise
        raise BadInputError(error.message("--recall: queries")) from error
    except TypeError as error:
        raise BadInputError(f"--option: {kind} does not take {', '.join(options)} ({error})") from error


def check_index(
    items: IndexedItems,
    made: "ItemIndex",
    options: Mapping[str, int],
    k: int,
    choice: "IndexChoice | None",
    *,
    quiet: bool,
    as_json: Path | None,
) -> None:
    """Show what an index finds, beside exact search; and the trials by which it was chosen, if it was.

    Args:
        items: that it was made from.
        made: the index.
        options: of its constructor.
        k: items for each query.
        choice: how it was chosen.
        quiet: show only results.
        as_json: a file for the numbers.
    """
    from logq.retrieval import ExactIndex, measure_index

    asked = items.queries(made.metric)
    exact = ExactIndex(items.vectors(made.metric), metric=made.metric)
    k = min(k, len(made))
    if choice is not None:
        rows = [*choice.trials, choice.verified]
    else:
        rows = [measure_index(made, exact, asked.vectors, k, own=asked.own, options=options)]
    if made.kind != "exact":
        rows.append(measure_index(exact, exact, asked.vectors, k, own=asked.own))
    last = None if choice is None else len(choice.trials)
    count = len(asked.vectors) if choice is None else len(asked.vectors) - len(asked.vectors) // 2
    _show(rows, k, last, as_json, count)
    if quiet or not sys.stdout.isatty():
        return
    if choice is None:
        say((f"With the {asked.about}, all in one call.", "dim"))
    else:
        halves = f"One half of the {asked.about} chose; * is the other half, which verifies."
        say((halves, "dim"))


def compare_kinds(
    items: IndexedItems,
    kinds: Sequence[str],
    metric: str,
    options: Mapping[str, int],
    recall: float | None,
    k: int,
    *,
    quiet: bool,
    as_json: Path | None,
) -> None:
    """Show what each kind of index finds with its defaults, or how fast it is where it finds enough; nothing is saved.

    Args:
        items: to be searched.
        kinds: to make; those whose library is not installed are left out, and named.
        metric: to compare by.
        options: of the constructor, for a single kind.
        recall: what is wanted; None for the defaults.
        k: items for each query.
        quiet: show only results.
        as_json: a file for the numbers.

    Raises:
        BadInputError: no kind finds enough.
    """
    from logq.retrieval import ExactIndex, measure_index

    missing = libraries_missing(kinds)
    asked = items.queries(metric)
    by: Any = metric
    exact = ExactIndex(items.vectors(metric), metric=by)
    k = min(k, len(exact))
    progress = False if quiet else None
    rows: list[IndexTrial] = []
    failed: list[str] = []
    if recall is None:
        for kind in _installed(kinds):
            made = made_index(items, kind, metric, options, progress)
            rows.append(measure_index(made, exact, asked.vectors, k, own=asked.own, options=options))
    else:
        rows += [one.verified for one in _choices(items, kinds, metric, options, recall, k, progress, failed)]
    rows.sort(key=lambda row: -row.queries_per_second)
    _show(rows, k, None, as_json, len(asked.vectors))
    for line in failed:
        note(line)
    if missing and not quiet:
        note(f"left out, as they are not installed: {', '.join(missing)} ({install_line(*missing)})")
    if not quiet and sys.stdout.isatty():
        say((f"With the {asked.about}, all in one call. Nothing was saved: -o INDEX does.", "dim"))


def choose_fastest(items: IndexedItems, metric: str, recall: float, k: int, progress: bool | None) -> "IndexChoice":
    """Make the index that answers most queries per second, of all kinds that are installed and find enough; say which.

    Args:
        items: to be searched.
        metric: to compare by.
        recall: what is wanted.
        k: items for each query.
        progress: None shows it on a terminal, False does not.

    Raises:
        BadInputError: no kind finds enough, or there are too few queries.
    """
    best: IndexChoice | None = None
    speeds: dict[str, float] = {}
    failed: list[str] = []
    for choice in _choices(items, INDEX_KINDS, metric, {}, recall, k, progress, failed):
        speeds[choice.verified.kind] = choice.verified.queries_per_second
        if best is None or choice.verified.queries_per_second > best.verified.queries_per_second:
            best = choice
    assert best is not None
    others = sorted((kind for kind in speeds if kind != best.verified.kind), key=lambda kind: -speeds[kind])
    beside = "".join(f", {kind} {format_quantity(speeds[kind])}" for kind in others)
    speed = f"{format_quantity(best.verified.queries_per_second)} queries/s"
    note(f"{best.verified.kind} is chosen, the fastest of the kinds that find {recall:g}: {speed}{beside}")
    for line in failed:
        note(line)
    if missing := libraries_missing(INDEX_KINDS):
        note(f"not tried, as they are not installed: {', '.join(missing)} ({install_line(*missing)})")
    return best


def _installed(kinds: Sequence[str]) -> list[str]:
    missing = libraries_missing(kinds)
    return [kind for kind in kinds if INDEXES[kind].library not in missing]


def _choices(
    items: IndexedItems,
    kinds: Sequence[str],
    metric: str,
    options: Mapping[str, int],
    recall: float,
    k: int,
    progress: bool | None,
    failed: list[str],
) -> "Iterator[IndexChoice]":
    """The choice of each kind that is installed; `failed` gets a line for those that do not find enough.

    Raises:
        BadInputError: none does.
    """
    found = False
    for kind in _installed(kinds):
        try:
            choice = choose(items, kind, metric, options, recall, k, progress)
        except ArgumentError as error:
            if error.name != "recall":
                raise
            failed.append(f"{kind}: {error.message('--recall')}")
            continue
        found = True
        yield choice
    if not found:
        raise BadInputError("; ".join(failed))


def libraries_missing(kinds: Sequence[str]) -> list[str]:
    """Return the libraries that kinds of indexes need and that are not installed; extras have the same names."""
    needed = dict.fromkeys(INDEXES[kind].library for kind in kinds if INDEXES[kind].library)
    return [library for library in needed if importlib.util.find_spec(library) is None]


def _show(rows: "Sequence[IndexTrial]", k: int, last: int | None, as_json: Path | None, queries: int) -> None:
    """Print one row per trial, and write them; the row `last` is marked."""
    if as_json is not None:
        numbers = [
            {
                "index": row.kind,
                "recall": row.recall,
                "queries_per_second": row.queries_per_second,
                "bytes": row.nbytes,
                "settings": {**row.options, **({row.setting: row.value} if row.setting else {})},
                **({"verified": number == last} if last is not None else {}),
            }
            for number, row in enumerate(rows)
        ]
        write_json(as_json, {"k": k, "queries": queries, "indexes": numbers})
    if not sys.stdout.isatty():
        for number, row in enumerate(rows):
            found = [f"recall@{k}", f"{row.recall:.6f}", "queries/s", f"{row.queries_per_second:.1f}"]
            mark = ["verified"] if number == last else []
            print("\t".join([row.kind, *found, "bytes", str(row.nbytes), row.about, *mark]))
        return
    table = ResultTable("index", "settings", f"recall@{k}", "queries/s", "memory")
    for number, row in enumerate(rows):
        mark = " *" if number == last else ""
        table.add(
            row.kind + mark,
            row.about,
            f"{row.recall:.4f}",
            format_quantity(row.queries_per_second),
            format_bytes(row.nbytes),
        )
    table.show()
