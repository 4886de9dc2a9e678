"""The steps in which DuckDB prepares a log, as SQL: each makes a table, and is not done again once it is there.

rows, events, items, users      as logq.logs.preparation has them
coded       (user, item, time, ...) with codes, sorted by user, time and row
files       Parquet
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from logq.logs.event_values import EventValues, find_values
from logq.logs.log_rows import TableRows
from logq.logs.preparation import (
    PARTITION,
    ROWS_A_PARTITION,
    Preparation,
    code_events,
    copy_to,
    drop_events,
    number_type,
    rare_values,
    write_part,
)
from logq.logs.prepare_columns import RawLog, read_raw

__all__ = ["DuckDBSteps"]

_CODES = """CREATE TABLE {side}s AS
SELECT "{side}", CAST(row_number() OVER (ORDER BY {order}) - 1 AS {type}) AS code, count, part
FROM (SELECT "{side}", count(*) AS count, min("row") AS first, {part} AS part FROM events GROUP BY "{side}")"""


class DuckDBSteps(Preparation):
    """The steps of a preparation by DuckDB in this process.

    Example:
        See logq.logs.prepare, which makes one.
    """

    STEPS: ClassVar = {"rows": 0.3, "events": 0.2, "items": 0.05, "users": 0.05, "coded": 0.2, "files": 0.1}

    def done(self) -> float:
        """See Preparation."""
        return self._connection.query_progress() / 100

    def stop(self) -> None:
        """See Preparation."""
        self._connection.interrupt()

    # ------------------------------------------------------------------------------------------------------- steps

    def _read(self, raw: RawLog) -> dict[str, Any]:
        def again() -> None:  # an error ends a transaction
            self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN")

        read_raw(raw, self._work, lambda select: self._connection.execute(f"CREATE TABLE rows AS {select}"), again)
        repeats = self._connection.execute(f"DELETE FROM rows WHERE {raw.repeats or 'false'}").fetchone()[0]
        return {"rows": self._one("SELECT count(*) FROM rows"), "repeats": repeats}

    def _make_events(self) -> dict[str, Any]:
        found = find_values(TableRows(self._connection), self.result("rows"), self._settings)
        self._write_categories(found.categories, lambda key: f"v_{key}")
        dropped = self._clean(found)
        self._connection.execute("DROP TABLE rows")
        return {"notes": found.notes, "dropped": dropped, "columns": found.columns}

    def _clean(self, found: EventValues) -> dict[str, int]:
        """Make the table of complete events that are different; return how many rows were dropped, by reason."""
        self._connection.execute(f"CREATE VIEW typed AS {found.typed()}")
        dropped = found.count_dropped(self._connection, "typed")
        left = self.result("rows")["rows"] - sum(dropped.values())
        self._connection.execute(f"CREATE TABLE events AS {found.different(found.complete('typed'))}")
        kept = self._one("SELECT count(*) FROM events")
        if kept < left:
            dropped["duplicate"] = left - kept
        self._connection.execute("DROP VIEW typed")
        self._drop_rare(self._settings["cleaning"], dropped)
        self._check_kept(self._one("SELECT count(*) FROM events"), dropped)
        return dropped

    def _drop_rare(self, cleaning: Mapping[str, Any], dropped: dict[str, int]) -> None:
        """Drop rare items and users in turn until there are none."""
        sides = [(side, cleaning.get(f"min_{side}", 1)) for side in ("item", "user")]
        while True:
            count = 0
            for side, least in sides:
                if least > 1:
                    gone = drop_events(self._connection, side, rare_values(side, least))
                    if gone:
                        dropped[f"rare {side}"] = dropped.get(f"rare {side}", 0) + gone
                    count += gone
            if not count:
                return

    def _make_items(self) -> dict[str, Any]:
        self._code("item", "count DESC, first", "0")
        return self._check_items()

    def _make_users(self) -> dict[str, Any]:
        events = self._one("SELECT count(*) FROM events")
        partitions = self._settings["partitions"] or -(-events // ROWS_A_PARTITION)
        self._code("user", "part, first", PARTITION.format(partitions=partitions))
        return {"partitions": partitions, "users": self._one("SELECT count(*) FROM users")}

    def _code(self, side: str, order: str, part: str) -> None:
        kind = number_type(self._one(f'SELECT count(DISTINCT "{side}") FROM events'))
        self._connection.execute(_CODES.format(side=side, order=order, part=part, type=kind))

    def _make_coded(self) -> dict[str, Any]:
        code_events(self._connection, self.result("events")["columns"])
        self._connection.execute("DROP TABLE events")
        return {}

    def _make_files(self) -> dict[str, Any]:
        out, columns = self._out(), self.result("events")["columns"]
        for side in ("user", "item"):
            select = f'SELECT "{side}", code, count FROM {side}s ORDER BY code'
            copy_to(out / f"{side}s.parquet", select, self._connection)
        firsts = "SELECT part, min(code), max(code) FROM users GROUP BY part ORDER BY part"
        unsorted = 0
        for number, (_, low, high) in enumerate(self._connection.execute(firsts).fetchall()):
            target = out / f"part-{number:05}.parquet"
            unsorted += write_part(self._connection, target, columns, f'"user" BETWEEN {low} AND {high}')
        self._connection.execute("DROP TABLE coded")
        return {"unsorted": unsorted}
