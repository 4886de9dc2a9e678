"""The rows of a log that is prepared, as what finds out how to read them asks for them: whole, or of one piece."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from logq._arguments import BadArgumentError, Verbatim
from logq.logs.parquet_reader import text_literal
from logq.logs.time_values import Times, read_times

__all__ = ["DATES", "Group", "LogRows", "Met", "TableRows", "check_dates", "coded_values", "different_values"]

DATES = "CREATE OR REPLACE TABLE dates (text VARCHAR, stamp DOUBLE)"
"""The table of the different dates."""

_CHUNK = 100_000  # different times that are read at a time


class Met(NamedTuple):
    """A value, and the row of the log that has it, from 0."""

    value: Any
    row: int


class Group(NamedTuple):
    """Rows for which an expression has one value.

    Args:
        value: of the expression.
        rows: how many.
        row: the first of them.
        shown: the value of another expression there.
    """

    value: Any
    rows: int
    row: int
    shown: Any


class LogRows(Protocol):
    """The rows of a log, of which expressions and conditions in the SQL of DuckDB ask.

    Whatever holds the rows, an answer is that of all rows of the log, in their order.
    """

    def kind(self, column: str) -> str:
        """The type of a column, as DuckDB calls it."""
        ...

    def one(self, function: str, what: str, where: str = "true") -> Any:
        """An expression of all rows as one value: by bool_and, bool_or, max or count_if."""
        ...

    def first(self, what: str, where: str) -> Met | None:
        """The value of an expression in the first row of some."""
        ...

    def groups(self, what: str, where: str, shown: str) -> list[Group]:
        """The different values of an expression, of which there are few, by first row."""
        ...

    def some(self, what: str, where: str, most: int) -> list[str]:
        """Different texts that an expression has, in no order."""
        ...

    def read_dates(self, text: str, present: str, time_format: str | None) -> tuple[str, bool]:
        """Make the table `dates` of all different dates; return what they were taken for, and if some are fractions.

        Raises:
            BadArgumentError: one cannot be read; the message has it and its row.
        """
        ...

    def factor(self, key: str, what: str) -> None:
        """Make the table `v_KEY` of the different values of an expression, coded by first row."""
        ...


class TableRows:
    """The rows of a table of DuckDB, or of a view, that is called `rows`.

    Args:
        connection: of DuckDB.

    Example:
        >>> from logq.logs.parquet_reader import import_duckdb
        >>> connection = import_duckdb("this").connect()
        >>> _ = connection.execute("CREATE TABLE rows AS SELECT unnest(['b', 'a', 'b']) AS item")
        >>> TableRows(connection).groups("item", "true", "upper(item)")
        [Group(value='b', rows=2, row=0, shown='B'), Group(value='a', rows=1, row=1, shown='A')]
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def kind(self, column: str) -> str:
        """See LogRows."""
        where = f"table_name = 'rows' AND column_name = {text_literal(column)}"
        return str(self._all(f"SELECT data_type FROM duckdb_columns() WHERE {where}")[0][0])

    def one(self, function: str, what: str, where: str = "true") -> Any:
        """See LogRows."""
        return self._all(f"SELECT {function}({what}) FROM rows WHERE {where}")[0][0]

    def first(self, what: str, where: str) -> Met | None:
        """See LogRows."""
        found = self._all(f"SELECT {what}, rowid FROM rows WHERE {where} ORDER BY rowid LIMIT 1")
        return Met(*found[0]) if found else None

    def groups(self, what: str, where: str, shown: str) -> list[Group]:
        """See LogRows."""
        chosen = f"SELECT {what} AS of, count(*), min(rowid) AS first, arg_min({shown}, rowid) FROM rows"
        return [Group(*row) for row in self._all(f"{chosen} WHERE {where} GROUP BY of ORDER BY first")]

    def some(self, what: str, where: str, most: int) -> list[str]:
        """See LogRows."""
        return [value for (value,) in self._all(f"SELECT DISTINCT {what} FROM rows WHERE {where} LIMIT {most}")]

    def read_dates(self, text: str, present: str, time_format: str | None) -> tuple[str, bool]:
        """See LogRows."""
        kind = ""
        self._connection.execute(DATES)
        texts = self._connection.cursor()  # another result, while rows are inserted
        for chunk in _chunks(texts.execute(f"SELECT DISTINCT {text} FROM rows WHERE {present}")):
            found = check_dates(self, text, present, chunk, time_format)
            kind = found.kind
            table = {"text": np.array(chunk, dtype=object), "stamp": found.values.astype(np.float64)}
            self._connection.register("chunk", table)
            self._connection.execute("INSERT INTO dates SELECT text, stamp FROM chunk")
            self._connection.unregister("chunk")
        return kind, bool(self._all("SELECT count(*) FROM dates WHERE stamp % 1 != 0 OR isnan(stamp)")[0][0])

    def factor(self, key: str, what: str) -> None:
        """See LogRows."""
        self._connection.execute(f"CREATE TABLE v_{key} AS {coded_values(different_values(what))}")

    def _all(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql).fetchall()


def different_values(what: str) -> str:
    """The statement for the different values of an expression, and the first row of each.

    Example:
        >>> different_values("item")
        'SELECT item AS value, min(rowid) AS first FROM rows WHERE item IS NOT NULL GROUP BY 1'
    """
    return f"SELECT {what} AS value, min(rowid) AS first FROM rows WHERE {what} IS NOT NULL GROUP BY 1"


def coded_values(different: str) -> str:
    """The statement for values with codes by first row, of one for "value" and "first"."""
    return f"SELECT value, CAST(row_number() OVER (ORDER BY first) - 1 AS INTEGER) AS code FROM ({different})"


def check_dates(rows: LogRows, text: str, present: str, values: Sequence[str], time_format: str | None) -> Times:
    """Read dates; an error names the first wrong one and its row in the log.

    Raises:
        BadArgumentError: as `read_times`.
    """
    try:
        return read_times(values, "time", time_format)
    except BadArgumentError as error:
        for value in values:
            try:
                read_times([value], "time", time_format)
            except BadArgumentError:  # noqa: PERF203 - until the first
                met = rows.first(text, f"{present} AND {text} = {text_literal(value)}")
                got = Verbatim(f"{value!r} in row {met.row + 1:,}" if met else repr(value))
                raise type(error)(error.name, error.expected, got, error.hint) from None
        raise


def _chunks(result: Any) -> Iterator[list[str]]:
    while rows := result.fetchmany(_CHUNK):
        yield [text for (text,) in rows]
