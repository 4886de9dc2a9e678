"""What the preparations of all engines have in common: steps, each done once, in the database of a work folder.

    rows        the columns of the files as they are, in their order
    events      ids, numbers and codes of categories instead of text; incomplete, repeated and rare rows are dropped
    items       (item, code, count): codes by falling count, ties by first appearance
    users       (user, code, count): partition after partition, in each by first appearance
    files       Parquet, as logq.logs.partition_contract has it

How they are done says `duckdb_steps` for this process, and `task_steps` for engines that run tasks on many machines.
"""

import abc
import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from logq._arguments import ArgumentError, BadArgumentError, Verbatim
from logq._progress import Progress
from logq.logs.identifiers import code_type
from logq.logs.parquet_reader import quoted, text_literal
from logq.logs.prepare_columns import RawLog, raw_log

__all__ = [
    "PARTITION",
    "ROWS_A_PARTITION",
    "Preparation",
    "code_events",
    "copy_to",
    "drop_events",
    "number_type",
    "rare_values",
    "run_steps",
    "write_part",
]

ROWS_A_PARTITION = 2_000_000

PARTITION = 'CAST(md5_number_lower(CAST("user" AS VARCHAR)) % {partitions} AS INTEGER)'
"""The partition of a user: the same in every engine that has MD5."""

_CODED = """CREATE TABLE coded AS
SELECT u.code AS "user", i.code AS item{columns}, e."row"
FROM events e JOIN users u USING ("user") JOIN items i USING (item)
ORDER BY u.code, {time}e."row\""""

_PARQUET = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows}"


class Preparation(abc.ABC):
    """Runs the steps, and remembers what each found.

    Args:
        connection: of DuckDB, to a database that may have steps already.
        work: the folder of the database.
        files: of the log.
        settings: which columns, partitions and so on, as JSON holds them.

    Example:
        See logq.logs.prepare, which makes one.
    """

    STEPS: ClassVar[Mapping[str, float]]
    """Which share of the work each is, about; the rest is to check what was made and to write arrays."""

    engines: Sequence[str] = ()
    """Names and versions of what runs the steps, beside DuckDB."""

    def __init__(self, connection: Any, work: Path, files: Sequence[Path], settings: Mapping[str, Any]) -> None:
        self._connection, self._work, self._settings = connection, work, settings
        self.files = list(files)
        self.size = float(sum(file.stat().st_size for file in files))
        connection.execute("CREATE TABLE IF NOT EXISTS steps (name VARCHAR PRIMARY KEY, result VARCHAR)")
        if self._found("settings") is None:
            self._connection.execute("INSERT INTO steps VALUES ('settings', ?)", [json.dumps(settings)])

    @abc.abstractmethod
    def done(self) -> float:
        """Which share of the step that runs is done; asked while it runs."""

    @abc.abstractmethod
    def stop(self) -> None:
        """End the step that runs, with an error."""

    def step(self, name: str) -> None:
        """Do a step, unless it is done: all of it or nothing."""
        if self._found(name) is not None:
            return
        self._connection.execute("BEGIN")
        try:
            result = getattr(self, f"_make_{name}")()
            self._connection.execute("INSERT INTO steps VALUES (?, ?)", [name, json.dumps(result)])
            self._connection.execute("COMMIT")
        except BaseException as error:
            with contextlib.suppress(Exception):
                self._connection.execute("ROLLBACK")
            if isinstance(error, BadArgumentError) and name != "rows":
                names = ", ".join(os.fspath(file) for file in self.files[:3])
                more = f" and {len(self.files) - 3} more" if len(self.files) > 3 else ""
                error.add_hint(f"the file is {names}" if len(self.files) == 1 else f"the files are {names}{more}")
            raise

    def result(self, name: str) -> dict[str, Any]:
        """What a step found."""
        found = self._found(name)
        assert found is not None
        return found

    def notes(self) -> list[str]:
        """What was guessed or corrected, as `Interactions` says it."""
        notes = [*self.result("rows")["notes"], *self.result("events")["notes"]]
        if unsorted := self.result("files")["unsorted"]:
            found, were = ("event", "was") if unsorted == 1 else ("events", "were")
            notes.append(f"{unsorted:,} {found} {were} out of time order and {were} sorted")
        return notes

    def source(self) -> list[dict[str, Any]]:
        """The files of the log: names and sizes."""
        return [{"file": file.name, "bytes": file.stat().st_size} for file in self.files]

    def _found(self, name: str) -> dict[str, Any] | None:
        row = self._connection.execute("SELECT result FROM steps WHERE name = ?", [name]).fetchone()
        return None if row is None else json.loads(row[0])

    # ------------------------------------------------------------------------------------------------ for each engine

    def _make_rows(self) -> dict[str, Any]:
        columns = list(self._settings["columns"])
        _check_names(columns)
        before = list(map(_state_of, self.files))
        layout = (self._settings["separator"], self._settings["header"])
        raw = raw_log(self.files, self._connection, self._settings["asked"], columns, *layout)
        found = self._read(raw)
        for file, was in zip(self.files, before, strict=True):
            if _state_of(file) != was:
                raise ValueError(f"{file}: was changed while it was read; is another program writing to it?")
        notes = list(raw.notes)
        if count := found["repeats"]:  # files put together repeat their first line
            lines = "1 line repeats" if count == 1 else f"{count:,} lines repeat"
            notes.append(f"header: {lines} the first one and {'is' if count == 1 else 'are'} left out")
        about = {"names": raw.names, "guesses": dict(raw.guesses), "text": raw.text}
        return {**found, **about, "notes": notes, "decimal_comma": raw.decimal_comma}

    @abc.abstractmethod
    def _read(self, raw: RawLog) -> dict[str, Any]:
        """Read all rows; return how many "rows" there are, without those that repeat the first line: "repeats"."""

    def _write_categories(self, categories: Mapping[str, str], source: Callable[[str], str]) -> None:
        """Write the values of further columns of categories; code 0 is a missing value.

        Args:
            categories: of `EventValues`.
            source: the values and codes of one, as SQL, by what it is called in SQL.
        """
        for key, name in categories.items():
            select = f"SELECT value, code + 1 AS code FROM {source(key)} ORDER BY code"
            copy_to(self._out() / f"column-{name}.parquet", select, self._connection)

    def _check_kept(self, kept: int, dropped: Mapping[str, int]) -> None:
        """Raise an error if no event is left."""
        if not kept:
            total, summary = self.result("rows")["rows"], ", ".join(f"{n:,} {name}" for name, n in dropped.items())
            raise ArgumentError("log", "events that are kept", Verbatim(f"{total} events, all dropped: {summary}"))

    def _check_items(self) -> dict[str, Any]:
        """Raise an error if there is only one item in the table `items`; return how many there are."""
        size = self._one("SELECT count(*) FROM items")
        if size < 2:
            only = self._one("SELECT first(item) FROM items")
            dropped = ", ".join(f"{count:,} {name}" for name, count in self.result("events")["dropped"].items())
            why = f" (dropped: {dropped})" if dropped else ""
            raise ArgumentError("log", "at least two different items", Verbatim(f"only {only!r}{why}"))
        return {"items": size}

    def _out(self) -> Path:
        out = self._work / "out"
        out.mkdir(exist_ok=True)
        return out

    def _one(self, sql: str) -> Any:
        return self._connection.execute(sql).fetchone()[0]


def run_steps(run: Preparation, shown: Progress) -> None:
    """Run all steps, beside a look at how far they are; Ctrl-C ends the one that runs."""
    for name, share in run.STEPS.items():
        failed: list[BaseException] = []
        ended = threading.Event()

        def work(name: str = name, failed: list[BaseException] = failed, ended: threading.Event = ended) -> None:
            try:
                run.step(name)
            except BaseException as error:
                failed.append(error)
            finally:
                ended.set()

        thread = threading.Thread(target=work, name="logq-prepare")
        thread.start()
        done = 0.0
        try:
            while not ended.wait(0.2):
                now = min(max(done, run.done()), 1.0)
                shown.advance((now - done) * share * run.size, step=name)
                done = now
        except BaseException:
            run.stop()
            raise
        finally:
            thread.join()
        if failed:
            raise failed[0]
        shown.advance((1 - done) * share * run.size, step=name)


def copy_to(target: Path, select: str, connection: Any, rows: int = 122_880) -> None:
    """Write a Parquet file, which is there only when it is whole; another process may write the same.

    Args:
        target: the file.
        select: statement for its rows, in their order.
        connection: of DuckDB.
        rows: in each group of rows, which are read together.
    """
    half = target.with_suffix(f".{os.uname().nodename}-{os.getpid()}.half" if hasattr(os, "uname") else ".half")
    connection.execute(f"COPY ({select}) TO {text_literal(str(half))} ({_PARQUET.format(rows=rows)})")
    os.replace(half, target)


def rare_values(side: str, least: int, source: str = "events", count: str = "count(*)") -> str:
    """The statement for users or items with fewer events.

    Args:
        side: "user" or "item".
        least: events.
        source: the events, or counts of them.
        count: what the events of a value are there.

    Example:
        >>> rare_values("item", 5)
        'SELECT "item" FROM events GROUP BY "item" HAVING count(*) < 5'
    """
    return f'SELECT "{side}" FROM {source} GROUP BY "{side}" HAVING {count} < {least}'


def drop_events(connection: Any, side: str, select: str) -> int:
    """Delete the events of the users or items of a statement; return how many there were."""
    return connection.execute(f'DELETE FROM events WHERE "{side}" IN ({select})').fetchone()[0]


def code_events(connection: Any, columns: Mapping[str, str]) -> None:
    """Make the table `coded`, in its order, of the tables `events`, `users` and `items`.

    Args:
        connection: of DuckDB.
        columns: what further columns are called in files, by what they are called in SQL.
    """
    # Within SQL they are called c0, c1, ..., so that no name in a log means anything there, such as rowid.
    more = "".join(f", e.{quoted(name)}" for name in columns)
    connection.execute(_CODED.format(columns=more, time="e.time, " if "time" in columns else ""))


def write_part(connection: Any, target: Path, columns: Mapping[str, str], where: str = "true") -> int:
    """Write rows of the table `coded`; return how many come later than another one of the user that was later.

    Args:
        connection: of DuckDB.
        target: the file.
        columns: as for `code_events`.
        where: a condition for the rows.
    """
    chosen = ['"user"', "item", *(f"{key} AS {quoted(name)}" for key, name in columns.items())]
    copy_to(target, f"SELECT {', '.join(chosen)} FROM coded WHERE {where} ORDER BY coded.rowid", connection)
    before = 'lag("row") OVER (ORDER BY rowid) AS earlier, lag("user") OVER (ORDER BY rowid) AS other'
    pairs = f'SELECT "row", "user", {before} FROM coded WHERE {where}'
    found = connection.execute(f'SELECT count(*) FROM ({pairs}) WHERE "row" < earlier AND "user" = other')
    return found.fetchone()[0]


def number_type(size: int) -> str:
    """The type of DuckDB for the codes of so many ids.

    Example:
        >>> number_type(1000)
        'INTEGER'
    """
    return "INTEGER" if code_type(size).itemsize == 4 else "BIGINT"


def _check_names(columns: Sequence[str]) -> None:
    """Raise an error for a further column that cannot be called so in the files that are written."""
    taken = {"user", "item", "time", "label", "session", "file_row_number"}
    for name in columns:
        if Path(name).name != name or name.lower() in taken:
            expected = "names that a file can have, that stand for nothing else, and that differ in more than capitals"
            raise ArgumentError("columns", expected, name)
        taken.add(name.lower())


def _state_of(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns
