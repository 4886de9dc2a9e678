"""What a task of a preparation does on whatever machine it runs: one statement after the other over a piece of the log.

Tasks read and write files in the work folder, which all machines see:

    rows/F.parquet          the rows of a file of the log (or of a part of a Parquet file) as they are
    dates/P.parquet         the different dates of a piece: of so many rows of one of these
    values/KEY-P.parquet    the different values of a column of categories; v_KEY.parquet has those of all pieces
    events/P.parquet        the events of a piece, by partition of their users
    kept/U-R.parquet        the events of a partition that are left after round R of dropping rare ones
    counts/U-R.parquet      (item, count, first row) of them
    users/U.parquet         (user, code, count) of a partition

A file is there only when it is whole, and two tasks that do the same write the same.
"""

import errno
import json
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from logq._arguments import BadArgumentError
from logq._files import atomic_write
from logq._machine import available_cores
from logq._project import version
from logq.logs.event_values import EventValues
from logq.logs.log_rows import TableRows, different_values
from logq.logs.parquet_reader import file_literal, import_duckdb, parquet_source, quoted
from logq.logs.preparation import (
    PARTITION,
    code_events,
    copy_to,
    drop_events,
    number_type,
    rare_values,
    write_part,
)
from logq.logs.prepare_columns import RawLog, read_raw
from logq.logs.work_database import configure, half_of_memory

__all__ = [
    "LogPiece",
    "LogTask",
    "UserPart",
    "Workplace",
    "collect_values",
    "drop_rare",
    "find_kept",
    "look",
    "perform",
    "read_rows",
    "split_events",
    "values_file",
    "write_files",
]

_WIDE = ("HUGEINT", "UHUGEINT")  # which Parquet keeps as fractions
_KEPT = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "DOUBLE", "FLOAT",
         "VARCHAR", "BOOLEAN", "DATE", "TIMESTAMP", "DECIMAL")  # fmt: skip
_PORTABLE = (BadArgumentError, OSError, ValueError, TypeError, MemoryError, ImportError)
_VECTOR = 2048  # rows that DuckDB handles at once


class Workplace(NamedTuple):
    """Where tasks run, and what each may use.

    Args:
        work: the work folder.
        memory: of DuckDB in one task; None for its share of a half of what is free.
        threads: of it.
        version: of logq, that of the process that sends tasks.
    """

    work: str
    memory: str | None
    threads: int
    version: str


class LogTask(NamedTuple):
    """A function, what it is called with after the connection and the folder, and where its result is kept, or ""."""

    function: "Callable[..., Any]"
    arguments: Sequence[Any]
    kept: str = ""


class LogPiece(NamedTuple):
    """Rows of a log that a task looks at.

    Args:
        number: of the piece.
        file: the number of the file in rows/.
        first: the number of the first row of that file in the log.
        begin, end: which rows of the file.
        kinds: the types of the columns.
        repeats: a condition for rows that do not count, or "".
    """

    number: int
    file: int
    first: int
    begin: int
    end: int
    kinds: Mapping[str, str]
    repeats: str


class UserPart(NamedTuple):
    """The events of a partition, as they are after so many rounds of dropping rare ones."""

    number: int
    turn: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.number:05}-{self.turn}.parquet"


def perform(place: Workplace, task: LogTask) -> tuple[Exception | None, Any]:
    """Do a task; return the error that it ends with, or None, and its result.

    Example:
        >>> place = Workplace("/no/such/folder", None, 1, version())
        >>> type(perform(place, LogTask(look, ()))[0])
        <class 'FileNotFoundError'>
    """
    try:
        return None, _perform(place, task)
    except Exception as error:
        if isinstance(error, _PORTABLE) or "duckdb" in type(error).__module__:
            return error, None
        # Others may not find their way through another process.
        return RuntimeError(f"{platform.node()}: {type(error).__name__}: {error}"), None


def _perform(place: Workplace, task: LogTask) -> Any:
    duckdb = import_duckdb("preparing a log")
    work = Path(place.work)
    if not work.is_dir():
        said = f"the machine {platform.node()} does not see this folder, which is to be on storage that all share"
        raise FileNotFoundError(errno.ENOENT, said, place.work)
    if version() != place.version:
        here = f"{platform.node()} has {version()}"
        raise ImportError(f"all machines are to have the same version of logq: {here}, expected {place.version}")
    temporary = Path(tempfile.mkdtemp(prefix="logq-prepare-"))
    try:
        with duckdb.connect() as connection:
            memory = place.memory or half_of_memory(available_cores())
            configure(connection, memory, temporary, place.threads)
            result = task.function(connection, work, *task.arguments)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if task.kept:
        with atomic_write(work / task.kept) as file:
            file.write(json.dumps(result).encode())
    return result


# ---------------------------------------------------------------------------------------------------------------- rows


def read_rows(
    connection: Any, work: Path, number: int, raw: RawLog, kinds: Mapping[str, str], bounds: tuple[int, int] | None
) -> dict[str, int]:
    """Read a file of the log; return how many rows it has, and how many of them repeat its first line.

    Args:
        connection: of DuckDB.
        work: the work folder.
        number: of the file to write.
        raw: the log, of which this is the one file.
        kinds: the types of the columns in all files.
        bounds: which rows of a Parquet file; None for all.
    """
    target = work / "rows" / f"{number:05}.parquet"
    if not raw.files[0].exists():
        raise FileNotFoundError(errno.ENOENT, f"the machine {platform.node()} does not see it", str(raw.files[0]))
    if raw.text:
        copies = Path(tempfile.mkdtemp(prefix="logq-prepare-"))
        try:
            read_raw(raw, copies, lambda select: copy_to(target, select, connection), lambda: None)
        finally:
            shutil.rmtree(copies, ignore_errors=True)
    else:
        chosen = ", ".join(f"{_kept(quoted(name), kinds[key])} AS {quoted(key)}" for key, name in raw.names.items())
        source = parquet_source(raw.files[0], options="file_row_number = true" if bounds else "")
        where = f" WHERE file_row_number >= {bounds[0]} AND file_row_number < {bounds[1]}" if bounds else ""
        copy_to(target, f"SELECT {chosen} FROM {source}{where}", connection)
    counted = f"SELECT count(*), count_if({raw.repeats or 'false'}) FROM {parquet_source(target)}"
    rows, repeats = connection.execute(counted).fetchone()
    return {"rows": rows, "repeats": repeats or 0}


def _kept(name: str, kind: str) -> str:
    """How a column is kept in Parquet: one that nothing can be made of by its type is not."""
    if kind in _WIDE:
        return f"CAST({name} AS DECIMAL(38, 0))"
    return f"CAST({name} AS {kind})" if kind.startswith(_KEPT) and not kind.endswith("]") else "CAST(NULL AS INTEGER)"


def _open(connection: Any, work: Path, piece: LogPiece) -> None:
    """Make the view `rows` of a piece, whose rows have the numbers that they have in the log."""
    chosen = ", ".join(
        f"CAST({quoted(key)} AS {kind}) AS {quoted(key)}" if kind in _WIDE else quoted(key)
        for key, kind in piece.kinds.items()
    )
    source = parquet_source(work / "rows" / f"{piece.file:05}.parquet", options="file_row_number = true")
    where = f"file_row_number >= {piece.begin} AND file_row_number < {piece.end}"
    where += f" AND ({piece.repeats}) IS NOT TRUE" if piece.repeats else ""
    number = f"file_row_number + {piece.first} AS rowid"
    connection.execute(f"CREATE VIEW rows AS SELECT {chosen}, {number} FROM {source} WHERE {where}")


def look(connection: Any, work: Path, piece: LogPiece, question: str, arguments: Sequence[Any]) -> Any:
    """Ask the rows of a piece; see `LogRows`."""
    _open(connection, work, piece)
    answer = getattr(TableRows(connection), question)(*arguments)
    if question == "read_dates":
        copy_to(work / "dates" / f"{piece.number:05}.parquet", "SELECT * FROM dates", connection)
    return answer


def values_file(key: str, piece: LogPiece) -> str:
    """Where a task leaves the different values of a piece."""
    return f"values/{key}-{piece.number:05}.parquet"


def collect_values(connection: Any, work: Path, piece: LogPiece, key: str, what: str) -> None:
    """Write the different values of an expression in a piece, with their first rows."""
    _open(connection, work, piece)
    copy_to(work / values_file(key, piece), different_values(what), connection)


# -------------------------------------------------------------------------------------------------------------- events


def split_events(
    connection: Any, work: Path, piece: LogPiece, state: Mapping[str, Any], tables: Sequence[str], partitions: int
) -> dict[str, Any]:
    """Write the complete events of a piece by partition; return how many rows are dropped, by reason.

    Args:
        connection: of DuckDB.
        work: the work folder.
        piece: the rows.
        state: of `EventValues`.
        tables: that are joined: "dates", "v_KEY".
        partitions: how many.
    """
    _open(connection, work, piece)
    found = EventValues.from_state(state)
    for table in tables:
        path = work / "dates" / f"{piece.number:05}.parquet" if table == "dates" else work / f"{table}.parquet"
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM {parquet_source(path)}")
    connection.execute(f"CREATE VIEW typed AS {found.typed()}")
    select = f"SELECT {PARTITION.format(partitions=partitions)} AS part, * FROM ({found.complete('typed')})"
    # A partition is read by groups of rows, of which those of a piece with few rows for each are small.
    rows = -(-(piece.end - piece.begin) // partitions // _VECTOR) * _VECTOR
    target = work / "events" / f"{piece.number:05}.parquet"
    copy_to(target, f"{select} ORDER BY part", connection, min(max(rows, _VECTOR), 60 * _VECTOR))
    return found.count_dropped(connection, "typed")


def find_kept(connection: Any, work: Path, part: UserPart, state: Mapping[str, Any]) -> dict[str, int]:
    """Write the different events of a partition; return how many were "before", are "kept", of how many "users"."""
    source = f"read_parquet({_all_of(work / 'events')}) WHERE part = {part.number}"
    before = connection.execute(f"SELECT count(*) FROM {source}").fetchone()[0]
    different = EventValues.from_state(state).different(f"SELECT * EXCLUDE (part) FROM {source}")
    connection.execute(f"CREATE TABLE events AS {different}")
    _write_kept(connection, work, part)
    return {"before": before, **_count_kept(connection, part)}


def drop_rare(connection: Any, work: Path, part: UserPart, rare_items: bool, min_user: int) -> dict[str, int]:
    """Drop rare items, which are in a file, then rare users; write what is left, if less, as that of the next round.

    Returns:
        How many events were dropped by "item" and by "user", how many are "kept", and in which "turn".
    """
    connection.execute(f"CREATE TABLE events AS SELECT * FROM {parquet_source(work / 'kept' / part.name)}")
    gone = {"item": 0, "user": 0}
    rare = {"item": f"SELECT item FROM {parquet_source(work / 'rare.parquet')}"} if rare_items else {}
    if min_user > 1:
        rare["user"] = rare_values("user", min_user)
    for side, select in rare.items():
        gone[side] = drop_events(connection, side, select)
    if any(gone.values()):
        part = part._replace(turn=part.turn + 1)
        _write_kept(connection, work, part)
    return {**gone, **_count_kept(connection, part)}


def _write_kept(connection: Any, work: Path, part: UserPart) -> None:
    """Write the table `events`, and the counts of items in it."""
    copy_to(work / "kept" / part.name, "SELECT * FROM events", connection)
    counts = 'SELECT item, count(*) AS count, min("row") AS first FROM events GROUP BY item'
    copy_to(work / "counts" / part.name, counts, connection)


def _count_kept(connection: Any, part: UserPart) -> dict[str, int]:
    kept, users = connection.execute('SELECT count(*), count(DISTINCT "user") FROM events').fetchone()
    return {"kept": kept, "users": users, "turn": part.turn}


def write_files(
    connection: Any, work: Path, part: UserPart, number: int, first: int, users: int, columns: Mapping[str, str]
) -> int:
    """Write the events of a partition with codes, and its users; return how many events were out of order.

    Args:
        connection: of DuckDB.
        work: the work folder.
        part: the partition.
        number: of the file.
        first: the code of its first user.
        users: how many there are in all.
        columns: as for `code_events`.
    """
    connection.execute(f"CREATE VIEW events AS SELECT * FROM {parquet_source(work / 'kept' / part.name)}")
    connection.execute(f"CREATE VIEW items AS SELECT item, code FROM {parquet_source(work / 'out' / 'items.parquet')}")
    counted = 'SELECT "user", count(*) AS count, min("row") AS first FROM events GROUP BY "user"'
    code = f"CAST(row_number() OVER (ORDER BY first) - 1 + {first} AS {number_type(users)})"
    connection.execute(f'CREATE TABLE users AS SELECT "user", {code} AS code, count FROM ({counted})')
    code_events(connection, columns)
    copy_to(work / "users" / f"{number:05}.parquet", "SELECT * FROM users ORDER BY code", connection)
    return write_part(connection, work / "out" / f"part-{number:05}.parquet", columns)


def _all_of(folder: Path) -> str:
    """All Parquet files of a folder, as SQL has it."""
    return f"{file_literal(folder)[:-1]}/*.parquet'"
