"""`logq index`: items of a recommender, or words, in an index for fast search, or in a database."""

import sys
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from logq._arguments import ArgumentError, masked
from logq._files import is_stream
from logq.cli.command_options import JsonOutput, Quiet, one_of
from logq.cli.index_reports import check_index, choose, choose_fastest, compare_kinds, made_index
from logq.cli.indexed_items import IndexedItems, open_indexed, say_index
from logq.cli.input_output import READS, WRITES, WRITES_FOLDER
from logq.cli.shard_files import index_of_shards
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.terminal.output import check_file, output_folder
from logq.cli.terminal.report import in_python, python_command, say, say_next
from logq.folders.folder_contents import find_contents, is_shards
from logq.folders.index_folders import MADE_OF, writing_index
from logq.retrieval.index_registry import INDEX_KINDS, INDEXES
from logq.retrieval.item_databases import DATABASES, find_database

if TYPE_CHECKING:
    from logq.retrieval import ItemIndex
    from logq.retrieval.index_choice import IndexChoice

__all__ = ["EXAMPLES", "index"]

EXAMPLES = """
logq index model --check
logq index model -o model/index --kind faiss-hnsw --recall 0.95
logq index model -o model/index --kind faiss-ivf --option nprobe=32
logq index model -o model/index --check
logq index model -o model/alike --metric cosine
logq index vectors -o vectors/index --kind usearch
logq index model --to duckdb:items.duckdb
logq index model --to qdrant:http://localhost:6333 --table films
logq index shards -o index --kind faiss-hnsw
"""

_ADDRESSES = ", ".join(entry.address for entry in DATABASES.values() if entry.address)


class MetricName(str, Enum):
    """What an index compares by, as logq.retrieval names it."""

    inner_product = "inner_product"
    cosine = "cosine"


def index(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder written by `logq train`: a recommender or word vectors; or by write_vector_shards.",
        ),
        READS,
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="INDEX", help="Folder for the index.", rich_help_panel="Index"),
        WRITES_FOLDER,
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="NAME",
            help=f"Kind of the index: {', '.join(INDEX_KINDS)}.",
            show_default="exact, or with --recall the fastest",
            rich_help_panel="Index",
            autocompletion=one_of(*INDEX_KINDS),
        ),
    ] = None,
    metric: Annotated[
        MetricName | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="inner_product, for `logq recommend --index`; or cosine, for `logq similar --index` and for words.",
            show_default="inner_product; cosine for words",
            rich_help_panel="Index",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=N",
            help="Setting of the index, such as nlist, nprobe, links or ef_search. Repeatable.",
            rich_help_panel="Index",
        ),
    ] = None,
    native: Annotated[
        Path | None,
        typer.Option(
            "--native",
            metavar="FILE",
            help="Also write the file that faiss, usearch or hnswlib itself reads.",
            rich_help_panel="Index",
        ),
        WRITES,
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Compare with exact search; without --kind an existing INDEX, without --output every kind.",
            rich_help_panel="Quality",
        ),
    ] = False,
    recall: Annotated[
        float | None,
        typer.Option(
            "--recall",
            metavar="R",
            help="Choose the cheapest settings that find this share of the true best items, such as 0.95.",
            rich_help_panel="Quality",
        ),
    ] = None,
    k: Annotated[
        int,
        typer.Option(
            "-k", metavar="N", min=1, help="Items per query of --check and --recall.", rich_help_panel="Quality"
        ),
    ] = 10,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="ADDRESS", help=f"Write the items to a database: {_ADDRESSES}.", rich_help_panel="Database"
        ),
    ] = None,
    duckdb: Annotated[
        Path | None,
        typer.Option("--duckdb", metavar="FILE", help="The same as --to duckdb:FILE.", rich_help_panel="Database"),
        WRITES,
    ] = None,
    postgres: Annotated[
        str | None,
        typer.Option("--postgres", metavar="DSN", help="The same as --to DSN.", rich_help_panel="Database"),
    ] = None,
    table: Annotated[
        str, typer.Option("--table", metavar="NAME", help="Table in the database.", rich_help_panel="Database")
    ] = "items",
    as_json: JsonOutput = None,
    quiet: Quiet = False,
) -> None:
    """Put the items of a recommender, or words, into an index for fast search, or into a database.

    An index finds the items with the highest scores without looking at all of them. --check measures how many of the
    true best ones it finds, and how fast, by the model's own queries: users of the log; with --metric cosine and for
    words, the vectors themselves. --recall tries settings on one half of these queries until enough is found, building
    denser graphs or longer codes where that is not enough, verifies the choice on the other half, and saves it with the
    index; without --kind it takes the fastest of all kinds that are installed, exact search among them, and says so.
    Without --output both show all kinds that are installed, and save nothing.

    `logq recommend --index INDEX` searches in an index, `logq similar --index INDEX` in one of cosines, `logq serve
    --index INDEX` in either. A database gets one row per item: its number, its id in the log, vector, count, title and
    features; searches can filter by these. Rows with the same numbers are replaced, and others stay.

    Of vectors in shards, which several processes wrote, an index is built with one shard in memory at a time.
    """
    databases = _databases(to, duckdb, postgres)
    options = dict(_setting(text) for text in option or [])
    by = None if metric is None else metric.value
    asked = _IndexRequest(output, kind, by, options, native, check, recall, k, as_json, quiet)
    asked.check_options(has_databases=bool(databases))
    for file in (duckdb, native, as_json):
        if file is not None:
            check_file(file)
    if is_shards(folder):
        if output is None or databases or native is not None:
            raise BadInputError("--output: expected it alone with vectors in shards, which become an index")
        if asked.measured:
            hint = "`logq index MODEL -o INDEX --check` asks what the users of the model would"
            name = "--check" if check else "--recall"
            raise BadInputError(f"{name}: expected none with vectors in shards, which know no queries; {hint}")
        index_of_shards(folder, output, kind or "exact", by, options, quiet=quiet)
        return
    items = open_indexed(folder)
    if output is not None:
        _index(items, folder, output, asked)
    elif asked.measured:
        kinds = INDEX_KINDS if kind is None else (kind,)
        compare_kinds(items, kinds, by or items.metric, options, recall, k, quiet=quiet, as_json=as_json)
    for name, address in databases:
        _write_items(items, name, address, table, by or items.metric, quiet=quiet)


class _IndexRequest(NamedTuple):
    """What was typed of an index."""

    output: Path | None
    kind: str | None
    metric: str | None
    options: dict[str, int]
    native: Path | None
    check: bool
    recall: float | None
    k: int
    json: Path | None
    quiet: bool

    @property
    def measured(self) -> bool:
        """Whether it is compared with exact search."""
        return self.check or self.recall is not None

    def check_options(self, *, has_databases: bool) -> None:
        """Check what goes with what."""
        output, kind, recall = self.output, self.kind, self.recall
        if kind is not None and kind not in INDEX_KINDS:
            raise BadInputError(f"--kind: expected one of {', '.join(INDEX_KINDS)}, got {kind!r}")
        if output is None and not has_databases and not self.measured:
            raise BadInputError("give a folder for the index by --output, a database by --to, or --check")
        if output is None and self.native is not None:
            raise BadInputError("--native: expected --output with it, the folder of the index")
        if output is None and (kind or self.options) and not self.measured:
            raise BadInputError("--kind and --option: expected --output with them, the folder of the index, or --check")
        if self.options and kind is None and (output is None or recall is not None):
            raise BadInputError("--option: expected --kind with it, whose setting it is")
        if recall is not None and not 0 < recall <= 1:
            raise BadInputError(f"--recall: expected a share in (0, 1], got {recall:g}")
        if kind is not None:
            INDEXES[kind].check_installed()
        if output is not None and (there := find_contents(output)) is not None and there.family != "index":
            raise BadInputError(
                f"--output: {output} holds {there.name}, and an index has a folder of its own; take another one"
            )
        if self.json is not None and not self.measured:
            raise BadInputError("--json: expected --check with it, whose numbers it writes")


def _index(items: IndexedItems, folder: Path, output: Path, asked: _IndexRequest) -> None:
    """Make an index, or take the one that is there, and check it."""
    kind, options, choice = asked.kind, asked.options, None
    if kind is None and asked.recall is None and asked.check and (output / MADE_OF).exists():
        if options:
            raise BadInputError(f"--option: expected --kind with it, as {output} is there already and is only checked")
        made = items.load_index(output, asked.metric)
    else:
        piped = asked.measured and not sys.stdout.isatty()  # then only the numbers are wanted
        began = time.perf_counter()
        by, progress = asked.metric or items.metric, False if asked.quiet else None
        if asked.recall is None:
            made = made_index(items, kind or "exact", by, options, progress)
        else:
            try:
                if kind is None:
                    choice = choose_fastest(items, by, asked.recall, asked.k, progress)
                else:
                    choice = choose(items, kind, by, options, asked.recall, asked.k, progress)
            except ArgumentError as error:
                raise BadInputError(
                    error.message("--recall" if error.name == "recall" else f"--option {error.name}")
                ) from error
            made, options = choice.index, {**options, **choice.verified.options}
        _save(items, made, output, options, choice, time.perf_counter() - began, quiet=asked.quiet or piped)
    if asked.native is not None:
        if made.kind == "exact":
            raise BadInputError("--native: expected an index of faiss, usearch or hnswlib, by --kind; got exact")
        written: Any = made
        written.write_native(asked.native)
    if asked.check or choice is not None:
        check_index(items, made, options, asked.k, choice, quiet=asked.quiet, as_json=asked.json)
    if not asked.quiet and sys.stdout.isatty():
        say_next([(items.search_command(folder, output, made.metric), "search in it")])


def _save(
    items: IndexedItems,
    made: "ItemIndex",
    folder: Path,
    options: dict[str, int],
    choice: "IndexChoice | None",
    took: float,
    *,
    quiet: bool,
) -> None:
    with output_folder(folder), writing_index(folder) as about:
        about |= {"vectors": items.fingerprint, "kind": made.kind, "options": options}
        if choice is not None:
            verified = choice.verified
            setting = {verified.setting: verified.value} if verified.setting else {}
            about["chosen"] = {"recall": verified.recall, **setting}
        made.save(folder)
    if not quiet:
        say_index(f"{made.kind} of {len(made):,} {items.what}, {made.dim} numbers each", took, folder)


def _databases(to: str | None, duckdb: Path | None, postgres: str | None) -> list[tuple[str, str]]:
    """Return the option and the address of each database that is written to."""
    given = [("--to", to), ("--duckdb", None if duckdb is None else f"duckdb:{duckdb}"), ("--postgres", postgres)]
    found: list[tuple[str, str]] = []
    for name, address in given:
        if address is None:
            continue
        try:
            entry, place = find_database(address)
        except ArgumentError as error:
            raise BadInputError(error.message(name)) from error
        if entry.local == "file" and "://" not in place and is_stream(Path(place)):
            raise BadInputError(f"{name}: expected an ordinary file, got {masked(place)}")
        entry.check_installed()
        found.append((name, address))
    return found


def _write_items(items: IndexedItems, option: str, address: str, table: str, metric: str, *, quiet: bool) -> None:
    import numpy as np

    from logq.retrieval import open_items

    entry, place = find_database(address)
    vectors = items.vectors(metric)
    kinds, values = items.columns()
    by: Any = metric
    try:
        with open_items(address, vectors.shape[1], kinds, table=table, metric=by) as store:
            store.write(np.arange(len(vectors)), vectors, values, progress=False if quiet else None)
            others = len(store) - len(vectors)
    except ArgumentError as error:
        if error.name == "vectors":
            raise BadInputError(f"{error.message('DIR')}; --metric inner_product takes them too") from error
        if error.name not in ("path", "place", "dsn", "dim", "columns", "metric"):
            raise
        raise BadInputError(error.message(option)) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] in entry.libraries or isinstance(
            error, RuntimeError | OSError | ValueError
        ):
            raise BadInputError(f"{option}: {masked(str(error))}") from error
        raise
    if others:
        note(
            f"the table {table} has {others:,} further rows, whose ids are {len(vectors):,} or more; if they are "
            f"{items.what} of an earlier model, searches mix them with these: remove them, or take another --table"
        )
    if quiet:
        return
    local = entry.local != "server" and "://" not in place
    where = f"the table {table} of {place}" if local else f"the table {table} of the database"
    say(f"{len(vectors):,} {items.what} saved to {where}: id, vector, {', '.join(kinds)}.")
    if local:
        named = "" if table == "items" else f', table="{table}"'
        read = f'open_items({in_python(address)}{named}).read([("id", "<", 3)]).columns'
        say_next([(python_command(f"from logq.retrieval import open_items; print({read})"), "")])


def _setting(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    if not value.removeprefix("-").isdecimal() or not name:
        raise BadInputError(f"--option: expected NAME=N such as nprobe=32, got {text!r}")
    return name.replace("-", "_"), int(value)
