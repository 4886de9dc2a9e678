"""The steps in which DuckDB prepares a log, as SQL: each makes a table, and is not done again once it is there.

    rows        the columns of the files as they are, in their order
    events      ids, numbers and codes of categories instead of text; incomplete and repeated rows are dropped
    items       (item, code, count): codes by falling count, ties by first appearance
    users       (user, code, count): partition after partition, in each by first appearance
    coded       (user, item, time, ...) with codes, sorted by user, time and row
    files       Parquet, as logq.logs.partition_contract has it

Other engines follow the same steps; docs/large-logs.md has programs for them.
"""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from logq._arguments import ArgumentError, BadArgumentError, Verbatim
from logq.logs.identifiers import code_type
from logq.logs.parquet_reader import quoted, text_literal
from logq.logs.prepare_columns import RawLog, raw_log
from logq.logs.prepare_values import Values, id_values, label_values, number_or_category, time_values

__all__ = ["STEPS", "Preparation"]

STEPS = {"rows": 0.3, "events": 0.2, "items": 0.05, "users": 0.05, "coded": 0.2, "files": 0.1}
"""Which share of the work each is, about; the rest is to check what was made and to write arrays."""

ROWS_A_PARTITION = 2_000_000

_PARTITION = 'CAST(md5_number_lower(CAST("user" AS VARCHAR)) % {partitions} AS INTEGER)'
"""The partition of a user: the same in every engine that has MD5."""

_CODES = """CREATE TABLE {side}s AS
SELECT "{side}", CAST(row_number() OVER (ORDER BY {order}) - 1 AS {type}) AS code, count, part
FROM (SELECT "{side}", count(*) AS count, min("row") AS first, {part} AS part FROM events GROUP BY "{side}")"""

_CODED = """CREATE TABLE coded AS
SELECT u.code AS "user", i.code AS item{columns}, e."row"
FROM events e JOIN users u USING ("user") JOIN items i USING (item)
ORDER BY u.code, {time}e."row\""""

_PARQUET = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"


class Preparation:
    """Runs the steps on a database, and remembers what each found.

    Args:
        connection: of DuckDB, to a database that may have steps already.
        work: the folder of the database.
        files: of the log.
        settings: which columns, partitions and so on, as JSON holds them.

    Example:
        See logq.logs.prepare, which makes one.
    """

    def __init__(self, connection: Any, work: Path, files: Sequence[Path], settings: Mapping[str, Any]) -> None:
        self._connection, self._work, self._settings = connection, work, settings
        self.files = list(files)
        self.size = float(sum(file.stat().st_size for file in files))
        connection.execute("CREATE TABLE IF NOT EXISTS steps (name VARCHAR PRIMARY KEY, result VARCHAR)")
        if self._found("settings") is None:
            self._connection.execute("INSERT INTO steps VALUES ('settings', ?)", [json.dumps(settings)])

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
        events = self.result("events")
        notes = [*self.result("rows")["notes"], *events["notes"]]
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

    # ------------------------------------------------------------------------------------------------------- steps

    def _make_rows(self) -> dict[str, Any]:
        asked, columns = self._settings["asked"], list(self._settings["columns"])
        _check_names(columns)
        duckdb = self._connection
        before = list(map(_state_of, self.files))
        raw = self._read(asked, columns)
        for file, was in zip(self.files, before, strict=True):
            if _state_of(file) != was:
                raise ValueError(f"{file}: was changed while it was read; is another program writing to it?")
        notes = list(raw.notes)
        if raw.repeats:  # files put together repeat their first line
            count = duckdb.execute(f"DELETE FROM rows WHERE {raw.repeats}").fetchone()[0]
            lines = "1 line repeats" if count == 1 else f"{count:,} lines repeat"
            if count:
                notes.append(f"header: {lines} the first one and {'is' if count == 1 else 'are'} left out")
        return {
            "names": raw.names,
            "notes": notes,
            "guesses": dict(raw.guesses),
            "text": raw.text,
            "decimal_comma": raw.decimal_comma,
        }

    def _read(self, asked: Mapping[str, Any], columns: Sequence[str]) -> RawLog:
        """Make the table of rows; files of which only a later line shows how they must be read are read again."""
        copied, options = False, ""
        while True:
            layout = (self._settings["separator"], self._settings["header"])
            raw = raw_log(self.files, self._work, self._connection, asked, columns, *layout, copied, options)
            try:
                self._connection.execute(f"CREATE TABLE rows AS {raw.select}")
            except Exception as error:
                said = str(error)
                if raw.text and not options and "quoted new lines" in said:  # which one thread reads
                    options = ", parallel = false"
                elif raw.text and not copied and "not utf-8" in said:
                    copied = True
                elif type(error).__name__ in ("InvalidInputException", "ConversionException"):
                    raise ValueError(_about_csv(said, self.files)) from None
                else:
                    raise
                self._connection.execute("ROLLBACK")  # an error ends a transaction
                self._connection.execute("BEGIN")
            else:
                return raw

    def _make_events(self) -> dict[str, Any]:
        rows, cleaning = self.result("rows"), self._settings["cleaning"]
        names, guesses, further = rows["names"], dict(rows["guesses"]), []
        missing = cleaning.get("missing")
        total = self._one("SELECT count(*) FROM rows")
        if not total:
            raise ArgumentError("log", "at least two events", Verbatim("none"))
        values: dict[str, Values] = {}
        for role in ("item", "user", "session"):
            if role in names:
                values[role] = id_values(self._connection, role, role, missing, text=rows["text"])
                if values[role].note:
                    further.append(f"{role}: {values[role].note}")
        if "user" not in values:
            values["user"] = values["session"]
            further.append("user: there is no such column, each session counts as a user")
        if "time" in names:
            values["time"], kind = time_values(
                self._connection, "time", self._settings["time_format"], decimal_comma=rows["decimal_comma"]
            )
            _note_time(guesses, kind, self._settings["time_format"])
        label = self._label(names, guesses, cleaning)
        if label is not None:
            values["label"] = label
        kept = self._further(rows, values)
        notes = [f"{role}: {note}" for role, note in guesses.items()] + further
        dropped = self._clean(values, cleaning, total)
        self._connection.execute("DROP TABLE rows")
        return {
            "notes": notes,
            "dropped": dropped,
            "columns": {key: kept.get(key, key) for key in values if key not in ("user", "item")},
        }

    def _label(self, names: Mapping[str, str], guesses: dict[str, str], cleaning: Mapping[str, Any]) -> Values | None:
        """The labels; those that nobody asked for must not cost a row."""
        if "label" not in names:
            if cleaning.get("min_label") is not None:
                raise ArgumentError("min_label", "None for a log without labels", cleaning["min_label"])
            return None
        comma = self.result("rows")["decimal_comma"]
        guessed = "label" in guesses and cleaning.get("min_label") is None
        try:
            found = label_values(self._connection, "label", decimal_comma=comma)
        except TypeError:
            if not guessed or not names["label"].isdigit():
                raise
            guesses["label"] = f"none, as the column {names['label']} does not only have numbers"
            return None
        without = self._one(
            f"SELECT count(*) FROM rows WHERE ({found.sql}) IS NULL OR isnan(CAST({found.sql} AS DOUBLE))"
        )
        if guessed and without:
            column = f"the column {names['label']!r}"
            guesses["label"] = f"none, as {without:,} rows of {column} have no number; label (--label) names it"
            return None
        return found

    def _further(self, rows: Mapping[str, Any], values: dict[str, Values]) -> dict[str, str]:
        """Further columns: numbers, or codes by first appearance, whose values are tables; return their names."""
        kept: dict[str, str] = {}
        if "session" in values:
            self._factor("session", values["session"].sql)
            values["session"] = Values("coalesce(v_session.code, -1)", table=_joined("session", values["session"].sql))
        asked = self._settings["columns"]
        for key, name in rows["names"].items():
            if not key.startswith("c"):
                continue
            kind = asked.get(name) if isinstance(asked, dict) else None
            comma = rows["decimal_comma"]
            kept[key] = list(asked)[int(key[1:])]
            found = number_or_category(self._connection, key, kept[key], kind, text=rows["text"], decimal_comma=comma)
            if found.category:
                self._factor(key, found.sql, name=kept[key])
                found = Values(f"coalesce(v_{key}.code + 1, 0)", table=_joined(key, found.sql))
            elif not found.whole:
                found = found._replace(sql=f"coalesce({found.sql}, 'NaN'::FLOAT)")
            values[key] = found
        return kept

    def _factor(self, key: str, sql: str, name: str = "") -> None:
        """A table of the different values of an expression, by first appearance."""
        first = f"SELECT {sql} AS value, min(rowid) AS first FROM rows WHERE {sql} IS NOT NULL GROUP BY 1"
        code = "CAST(row_number() OVER (ORDER BY first) - 1 AS INTEGER)"
        self._connection.execute(f"CREATE TABLE v_{key} AS SELECT value, {code} AS code FROM ({first})")
        if name:
            target = self._out() / f"column-{name}.parquet"
            self._copy(f"SELECT value, code + 1 AS code FROM v_{key} ORDER BY code", target)

    def _clean(self, values: Mapping[str, Values], cleaning: Mapping[str, Any], total: int) -> dict[str, int]:
        """Make the table of complete events that are different; return how many rows were dropped, by reason."""
        selected = ", ".join(f"{value.sql} AS {quoted(name)}" for name, value in values.items())
        joins = " ".join(dict.fromkeys(value.table for value in values.values() if value.table))
        self._connection.execute(f'CREATE VIEW typed AS SELECT rows.rowid AS "row", {selected} FROM rows {joins}')
        wrong = {f"no {role}": _absent(role) for role in ("user", "item", "time", "label") if role in values}
        if (least := cleaning.get("min_label")) is not None:
            wrong[f"label below {least:g}"] = f"label < CAST({least} AS DOUBLE)"
        reason = " ".join(f"WHEN {condition} THEN {text_literal(name)}" for name, condition in wrong.items())
        counted = f"SELECT CASE {reason} END AS reason, count(*) FROM typed GROUP BY reason"
        found = dict(self._connection.execute(counted).fetchall())
        dropped = {name: found[name] for name in wrong if name in found}
        incomplete = " OR ".join(f"({condition})" for condition in wrong.values())
        complete = f"SELECT * FROM typed WHERE NOT coalesce({incomplete}, false)"
        left = total - sum(dropped.values())
        self._connection.execute(f"CREATE TABLE events AS {_different(complete, values, cleaning)}")
        kept = self._one("SELECT count(*) FROM events")
        if kept < left:
            dropped["duplicate"] = left - kept
        self._connection.execute("DROP VIEW typed")
        self._drop_rare(cleaning, dropped)
        if not self._one("SELECT count(*) FROM events"):
            summary = ", ".join(f"{count:,} {name}" for name, count in dropped.items())
            raise ArgumentError("log", "events that are kept", Verbatim(f"{total} events, all dropped: {summary}"))
        return dropped

    def _drop_rare(self, cleaning: Mapping[str, Any], dropped: dict[str, int]) -> None:
        """Drop rare items and users in turn until there are none."""
        sides = [(side, cleaning.get(f"min_{side}", 1)) for side in ("item", "user")]
        while True:
            count = 0
            for side, least in sides:
                if least > 1:
                    rare = f'SELECT "{side}" FROM events GROUP BY "{side}" HAVING count(*) < {least}'
                    gone = self._connection.execute(f'DELETE FROM events WHERE "{side}" IN ({rare})').fetchone()[0]
                    if gone:
                        dropped[f"rare {side}"] = dropped.get(f"rare {side}", 0) + gone
                    count += gone
            if not count:
                return

    def _make_items(self) -> dict[str, Any]:
        self._code("item", "count DESC, first", "0")
        size = self._one("SELECT count(*) FROM items")
        if size < 2:
            only = self._one("SELECT first(item) FROM items")
            dropped = ", ".join(f"{count:,} {name}" for name, count in self.result("events")["dropped"].items())
            why = f" (dropped: {dropped})" if dropped else ""
            raise ArgumentError("log", "at least two different items", Verbatim(f"only {only!r}{why}"))
        return {"items": size}

    def _make_users(self) -> dict[str, Any]:
        events = self._one("SELECT count(*) FROM events")
        partitions = self._settings["partitions"] or -(-events // ROWS_A_PARTITION)
        self._code("user", "part, first", _PARTITION.format(partitions=partitions))
        return {"partitions": partitions, "users": self._one("SELECT count(*) FROM users")}

    def _code(self, side: str, order: str, part: str) -> None:
        size = self._one(f'SELECT count(DISTINCT "{side}") FROM events')
        kind = "INTEGER" if code_type(size).itemsize == 4 else "BIGINT"
        self._connection.execute(_CODES.format(side=side, order=order, part=part, type=kind))

    def _make_coded(self) -> dict[str, Any]:
        columns = self.result("events")["columns"]
        more = "".join(f", e.{quoted(name)}" for name in columns)
        self._connection.execute(_CODED.format(columns=more, time="e.time, " if "time" in columns else ""))
        self._connection.execute("DROP TABLE events")
        return {}

    def _make_files(self) -> dict[str, Any]:
        out = self._out()
        # Within SQL they are called c0, c1, ..., so that no name in a log means anything there, such as rowid.
        columns = [
            '"user"',
            "item",
            *(f"{key} AS {quoted(name)}" for key, name in self.result("events")["columns"].items()),
        ]
        for side in ("user", "item"):
            self._copy(f'SELECT "{side}", code, count FROM {side}s ORDER BY code', out / f"{side}s.parquet")
        firsts = "SELECT part, min(code), max(code) FROM users GROUP BY part ORDER BY part"
        unsorted = 0
        for number, (_, low, high) in enumerate(self._connection.execute(firsts).fetchall()):
            where = f'FROM coded WHERE "user" BETWEEN {low} AND {high}'
            self._copy(f"SELECT {', '.join(columns)} {where} ORDER BY coded.rowid", out / f"part-{number:05}.parquet")
            before = 'lag("row") OVER (ORDER BY rowid) AS earlier, lag("user") OVER (ORDER BY rowid) AS other'
            pairs = f'SELECT "row", "user", {before} {where}'
            unsorted += self._one(f'SELECT count(*) FROM ({pairs}) WHERE "row" < earlier AND "user" = other')
        self._connection.execute("DROP TABLE coded")
        return {"unsorted": unsorted}

    # ------------------------------------------------------------------------------------------------------- tools

    def _out(self) -> Path:
        out = self._work / "out"
        out.mkdir(exist_ok=True)
        return out

    def _copy(self, select: str, target: Path) -> None:
        """Write a Parquet file, which is there only when it is whole."""
        half = target.with_suffix(".half")
        self._connection.execute(f"COPY ({select}) TO {text_literal(str(half))} {_PARQUET}")
        os.replace(half, target)

    def _one(self, sql: str) -> Any:
        return self._connection.execute(sql).fetchone()[0]


def _joined(key: str, sql: str) -> str:
    return f"LEFT JOIN v_{key} ON v_{key}.value = {sql}"


def _absent(role: str) -> str:
    name = quoted(role)
    return f"{name} IS NULL" if role in ("user", "item") else f"({name} IS NULL OR isnan(CAST({name} AS DOUBLE)))"


def _different(complete: str, values: Mapping[str, Values], cleaning: Mapping[str, Any]) -> str:
    """The rows of a statement that are not repeats, as `Cleaning` says."""
    which = cleaning.get("deduplicate", "exact")
    if which is None or (which == "exact" and "time" not in values):
        return complete
    if which == "exact":
        columns = ", ".join(map(quoted, values))
        return f'SELECT min("row") AS "row", {columns} FROM ({complete}) GROUP BY {columns}'
    order = [*(["time"] if "time" in values else []), '"row"']
    down = " DESC" if which == "last" else ""
    by = ", ".join(f"{name}{down}" for name in order)
    return f'{complete} QUALIFY row_number() OVER (PARTITION BY "user", item ORDER BY {by}) = 1'


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


def _note_time(guesses: dict[str, str], kind: str, time_format: str | None) -> None:
    unit = kind.partition(" since 1970")[0]
    kept = kind != unit and unit != "seconds" and time_format is None
    said = f"{kind}, so ages and gaps are in {unit} too" if kept else kind
    if "time" in guesses:
        guesses["time"] += f" ({said})"
    elif kept or "first" in kind:
        guesses["time"] = f"read as {said}"


def _about_csv(said: str, files: Sequence[Path]) -> str:
    """What DuckDB says of a line that is not like the others, beginning with the file."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    named = next((str(file) for file in files if str(file) in said), str(files[0]))
    short = " ".join(lines[:3])[:300]
    return f"{named}: cannot be read as a table ({short})"
