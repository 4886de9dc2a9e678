"""`logq index`: items of a recommender in an index for fast search, or in a database."""

import json
import re
import shlex
import sys
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logq._arguments import ArgumentError
from logq._files import atomic_write, is_stream
from logq._progress import format_bytes, format_quantity
from logq.cli.command_options import JsonOutput, Quiet
from logq.cli.input_output import READS, WRITES, WRITES_FOLDER
from logq.cli.shard_files import index_of_shards
from logq.cli.terminal.errors import BadInputError
from logq.cli.terminal.output import check_file, output_folder, write_json
from logq.cli.terminal.report import positional, python_command, say, say_next
from logq.cli.terminal.result_tables import ResultTable
from logq.folders.folder_contents import find_contents, is_shards
from logq.folders.index_folders import MADE_OF, compared_vectors, hash_of_items, load_index_of
from logq.folders.recommender_folders import RecommenderFolder, open_folder

if TYPE_CHECKING:
    from logq.logs import Features
    from logq.retrieval import ItemIndex

__all__ = ["EXAMPLES", "IndexKind", "index"]

EXAMPLES = """
logq index model -o model/index --kind faiss-hnsw --check
logq index model -o model/index --kind faiss-ivf --option nprobe=32
logq index model -o model/index --check
logq index model -o model/alike --metric cosine
logq index model --duckdb items.duckdb
logq index shards -o index --kind faiss-hnsw
logq index model --postgres postgresql://me@localhost/shop
"""

_MOST_QUERIES = 2000


class IndexKind(str, Enum):
    """Kinds of indexes, as logq.retrieval names them."""

    exact = "exact"
    faiss_flat = "faiss-flat"
    faiss_ivf = "faiss-ivf"
    faiss_hnsw = "faiss-hnsw"
    faiss_pq = "faiss-pq"
    usearch = "usearch"


class MetricName(str, Enum):
    """What an index compares by, as logq.retrieval names it."""

    inner_product = "inner_product"
    cosine = "cosine"


def index(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder written by `logq train sasrec` or another recommender, or by write_vector_shards.",
        ),
        READS,
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="INDEX", help="Folder for the index.", rich_help_panel="Index"),
        WRITES_FOLDER,
    ] = None,
    kind: Annotated[
        IndexKind | None,
        typer.Option(
            "--kind",
            metavar="NAME",
            help=f"Kind of the index: {', '.join(one.value for one in IndexKind)}.",
            show_default="exact",
            rich_help_panel="Index",
        ),
    ] = None,
    metric: Annotated[
        MetricName | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="inner_product, for `logq recommend --index`; or cosine, for `logq similar --index`.",
            show_default="inner_product",
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
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Compare with exact search; without --kind, check an existing INDEX.",
            rich_help_panel="Index",
        ),
    ] = False,
    k: Annotated[
        int, typer.Option("-k", metavar="N", min=1, help="Items per query, for --check.", rich_help_panel="Index")
    ] = 10,
    duckdb: Annotated[
        Path | None,
        typer.Option("--duckdb", metavar="FILE", help="Write the items to a DuckDB file.", rich_help_panel="Database"),
        WRITES,
    ] = None,
    postgres: Annotated[
        str | None,
        typer.Option(
            "--postgres", metavar="DSN", help="Write the items to PostgreSQL with pgvector.", rich_help_panel="Database"
        ),
    ] = None,
    table: Annotated[
        str, typer.Option("--table", metavar="NAME", help="Table in the database.", rich_help_panel="Database")
    ] = "items",
    as_json: JsonOutput = None,
    quiet: Quiet = False,
) -> None:
    """Put the items of a recommender into an index for fast search, or into a database.

    An index finds the items with the highest scores without looking at all of them; --check measures how many of the
    true best ones it finds, for users of the log, or with --metric cosine for its items. `logq recommend --index INDEX`
    searches in it, and `logq similar --index INDEX` in one of cosines. A database gets one row per item: its number,
    its id in the log, vector, count, title and features; searches can filter by these.

    Of vectors in shards, which several processes wrote, an index is built with one shard in memory at a time.
    """
    if output is None and duckdb is None and postgres is None:
        raise BadInputError("give a folder for the index by --output, or a database by --duckdb or --postgres")
    if output is None and (check or kind or metric or option):
        raise BadInputError(
            "--check, --kind, --metric and --option: expected --output with them, the folder of the index"
        )
    if output is not None and (there := find_contents(output)) is not None and there.family != "index":
        raise BadInputError(
            f"--output: {output} holds {there.name}, and an index has a folder of its own; take another one"
        )
    if as_json is not None and not check:
        raise BadInputError("--json: expected --check with it, whose numbers it writes")
    options = dict(_setting(text) for text in option or [])
    if duckdb is not None and is_stream(duckdb):
        raise BadInputError(f"--duckdb: expected an ordinary file, got {duckdb}")
    for file in (duckdb, as_json):
        if file is not None:
            check_file(file)
    if is_shards(folder):
        if output is None or duckdb is not None or postgres is not None:
            raise BadInputError("--output: expected it alone with vectors in shards, which become an index")
        if check:
            hint = "`logq index MODEL -o INDEX --check` asks what the users of the model would"
            raise BadInputError(f"--check: expected none with vectors in shards, which know no queries; {hint}")
        by = None if metric is None else metric.value
        index_of_shards(folder, output, (kind or IndexKind.exact).value, by, options, quiet=quiet)
        return
    found = open_folder(folder)
    if output is not None:
        made = None
        if kind is None and check and (output / MADE_OF).exists():
            made = load_index_of(found, output, None if metric is None else metric.value)
        else:
            piped = check and not sys.stdout.isatty()  # then only the numbers are wanted
            by = (metric or MetricName.inner_product).value
            made = _make(found, output, (kind or IndexKind.exact).value, by, options, quiet=quiet or piped)
        if check:
            _check(found, made, k, quiet, as_json)
        if not quiet and sys.stdout.isatty():
            place, where = shlex.quote(str(folder)), shlex.quote(str(output))
            if made.metric == "cosine":
                command = f"logq similar {place} --index {where} {positional(str(found.model.item_ids[0]))}"
            else:
                user = shlex.quote(str(found.model.user_ids[0]))
                command = f"logq recommend {place} --user {user} --index {where}"
            say_next([(command, "search in it")])
    for place, is_file in ((duckdb, True), (postgres, False)):
        if place is not None:
            _write_items(found, place, table, is_file=is_file, quiet=quiet)


def _make(
    found: RecommenderFolder, folder: Path, kind: str, metric: Any, options: dict[str, Any], *, quiet: bool
) -> "ItemIndex":
    from logq.retrieval import make_index

    vectors = compared_vectors(found, metric)
    began = time.perf_counter()
    try:
        made = make_index(kind, vectors, metric=metric, **options)
    except TypeError as error:
        raise BadInputError(f"--option: {kind} does not take {', '.join(options)} ({error})") from error
    took = time.perf_counter() - began
    with output_folder(folder):
        (folder / MADE_OF).unlink(missing_ok=True)
        made.save(folder)
        with atomic_write(folder / MADE_OF) as file:
            file.write(json.dumps({"vectors": hash_of_items(found), "kind": kind, "options": options}).encode())
    if quiet:
        return made
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    say(
        f"{kind} of {len(made):,} items, {made.dim} numbers each, made in {took:.1f} s; {format_bytes(size)} saved to ",
        (str(folder), "bold"),
        ".",
    )
    return made


def _check(found: RecommenderFolder, made: "ItemIndex", k: int, quiet: bool, as_json: Path | None) -> None:
    import numpy as np

    from logq.retrieval import ExactIndex, index_recall

    vectors = compared_vectors(found, made.metric)
    if made.metric == "cosine":
        queries: Any = vectors[:: max(1, -(-len(vectors) // _MOST_QUERIES))]
    else:
        asked = np.flatnonzero(np.diff(found.model.known.offsets))
        if not len(asked):
            missing = "users whose histories ask; the model was saved without (--no-histories)"
            raise BadInputError(f"--check: expected {missing}")
        step = max(1, -(-len(asked) // _MOST_QUERIES))
        queries = found.model.query_vectors(found.model.user_ids[asked[::step]])
    exact = ExactIndex(vectors, metric=made.metric)
    recall = index_recall(made, exact, queries, min(k, len(made)))
    speeds = {made.kind: _speed(made, queries, k), "exact": _speed(exact, queries, k)}
    rows = [(made.kind, recall.recall, speeds[made.kind])]
    if made.kind != "exact":
        rows.append(("exact", 1.0, speeds["exact"]))
    if as_json is not None:
        numbers = [{"index": name, "recall": share, "queries_per_second": speed} for name, share, speed in rows]
        write_json(as_json, {"k": recall.k, "queries": recall.queries, "indexes": numbers})
    if not sys.stdout.isatty():
        for name, share, speed in rows:
            print("\t".join([name, f"recall@{recall.k}", f"{share:.6f}", "queries/s", f"{speed:.1f}"]))
        return
    table = ResultTable("index", f"recall@{recall.k}", "queries/s")
    for name, share, speed in rows:
        table.add(name, f"{share:.4f}", format_quantity(speed))
    table.show()
    if not quiet:
        of = "vectors of {:,} items" if made.metric == "cosine" else "queries of {:,} users"
        say((f"With the {of.format(recall.queries)}, all in one call.", "dim"))


def _speed(made: "ItemIndex", queries: Any, k: int) -> float:
    k = min(k, len(made))
    made.search(queries[:1], k)  # what is made at the first question
    done, began = 0, time.perf_counter()
    while done == 0 or time.perf_counter() - began < 0.5:
        made.search(queries, k)
        done += len(queries)
    return done / (time.perf_counter() - began)


def _write_items(found: RecommenderFolder, place: Any, name: str, *, is_file: bool, quiet: bool) -> None:
    import numpy as np

    from logq.retrieval import DuckDBItems, PgVectorItems

    vectors = found.model.search_vectors
    kinds, values = _item_columns(found)
    open_store: Any = DuckDBItems if is_file else PgVectorItems
    try:
        store = open_store(place, dim=vectors.shape[1], columns=kinds, table=name)
    except ArgumentError as error:
        if error.name != "path":
            raise
        raise BadInputError(error.message("--duckdb")) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] in ("duckdb", "psycopg", "_duckdb"):
            raise BadInputError(f"{'--duckdb' if is_file else '--postgres'}: {error}") from error
        raise
    with store as items:
        items.write(np.arange(len(vectors)), vectors, values)
    if quiet:
        return
    where = f"the table {name} of {place}" if is_file else f"the table {name} of the database"
    say(f"{len(vectors):,} items saved to {where}: id, vector, {', '.join(kinds)}.")
    if is_file:
        read = f'DuckDBItems("{place}", read_only=True).read([("id", "<", 3)]).columns'
        say_next([(python_command(f"from logq.retrieval import DuckDBItems; print({read})"), "")])


def _item_columns(found: RecommenderFolder) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """The types and the values of columns of a database: item (its id in the log), count, title, and features as text.

    Several values of one feature are joined by "|"; numbers that were cut into buckets are left out.
    """
    seen = found.model.known
    whole = seen.item_ids.kind == "int"
    kinds = {"item": "int" if whole else "text", "count": "int"}
    values: dict[str, list[Any]] = {"item": seen.item_ids.keys.tolist(), "count": seen.item_counts().tolist()}
    if found.titles is not None:
        kinds["title"], values["title"] = "text", [title or None for title in found.titles]
    if seen.item_features is not None:
        for name in seen.item_features.names:
            texts = _texts(seen.item_features, name)
            column = re.sub(r"\W", "_", name, flags=re.ASCII)[:60]
            column = column if re.match(r"[A-Za-z_]", column) else f"_{column}"
            if texts is not None and column.lower() not in {*map(str.lower, kinds), "id", "vector"}:
                kinds[column], values[column] = "text", texts
    return kinds, values


def _texts(features: "Features", name: str) -> list[str | None] | None:
    known = getattr(features.codings[name], "known", None)
    if known is None:
        return None
    words = [None, *map(str, known.keys.tolist())]
    table = features.values[name]
    if table.ndim == 1:
        return [words[code] for code in table.tolist()]
    return ["|".join(str(words[code]) for code in row if code > 0) or None for row in table.tolist()]


def _setting(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    if not value.lstrip("-").isdecimal() or not name:
        raise BadInputError(f"--option: expected NAME=N such as nprobe=32, got {text!r}")
    return name.replace("-", "_"), int(value)
