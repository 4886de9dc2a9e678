"""Values of a log that is prepared: ids, times, labels and further columns as SQL, by the rules of `Interactions`."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from logq._arguments import ArgumentError, ArgumentTypeError, BadArgumentError, Verbatim
from logq.logs.parquet_reader import quoted, text_literal
from logq.logs.plain_values import MISSING_WORDS
from logq.logs.time_values import UNITS_A_SECOND, format_of_kind, read_times

__all__ = ["Values", "id_values", "label_values", "number_or_category", "time_values"]

_CHUNK = 100_000  # different times that are read at a time
_LONGEST = 1024  # characters of an id
_EXACT = 2**53
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")
_DATE = r"^\d{1,2}[/.-]\d{1,2}[/.-]\d{4}"
_TWO_UNITS = 2


class Values(NamedTuple):
    """How a column of the table `rows` is read.

    Args:
        sql: the expression, NULL where a value is missing.
        whole: whether all values are integers, and none is missing.
        note: what is to be said of it, or "".
        table: SQL of a table that is joined, or "".
        category: whether the values are names, which become codes.
    """

    sql: str
    whole: bool = False
    note: str = ""
    table: str = ""
    category: bool = False


def id_values(connection: Any, column: str, role: str, missing: Collection[str] | None, *, text: bool) -> Values:
    """Ids: integers if all are, or are written as such in a file of text; words for a missing value do not count.

    Raises:
        ArgumentTypeError: they are neither.
        ArgumentError: a number does not fit into 64 bits, or a text is longer than 1,024 characters.
    """
    name, kind = quoted(column), _type(connection, column)
    if kind in _WHOLE:
        if kind in ("UBIGINT", "HUGEINT"):
            _check_none(
                connection, f"TRY_CAST({name} AS BIGINT) IS NULL", column, f"{role}s", "signed integers of 64 bits"
            )
        return Values(f"CAST({name} AS BIGINT)", whole=True)
    if kind in ("DOUBLE", "FLOAT"):
        here = f"NOT isnan({name})"
        _check_none(
            connection,
            f"{here} AND (isinf({name}) OR {name} != round({name}))",
            column,
            f"{role}s",
            "integers or strings",
        )
        _check_none(connection, f"{here} AND abs({name}) > {_EXACT}", column, f"{role}s", "integers below 2**53")
        return Values(f"CASE WHEN {here} THEN CAST({name} AS BIGINT) END", whole=True)
    if kind != "VARCHAR":
        raise ArgumentTypeError(f"{role}s", "integers or strings", Verbatim(f"values of {kind}"))
    if _one(connection, f"bool_or(contains({name}, chr(0)))"):  # at the end they are lost in arrays of strings
        name = f"rtrim({name}, chr(0))"
    words = {"", *(MISSING_WORDS if missing is None else missing)}
    present = f"{name} NOT IN ({_listed(words)})"
    longest = _one(connection, f"max(length({name}))", present) or 0
    if longest > _LONGEST:
        raise ArgumentError(f"{role}s", f"strings of at most {_LONGEST} characters", Verbatim(f"one of {longest}"))
    plain = f"CAST(TRY_CAST({name} AS BIGINT) AS VARCHAR) IS NOT DISTINCT FROM {name}"
    if text and _one(connection, f"bool_and({plain})", present):
        return Values(f"CASE WHEN {present} THEN TRY_CAST({name} AS BIGINT) END", whole=True)
    # The form of integers in a column with missing values.
    short = f"regexp_replace({name}, '\\.0$', '')"
    pattern = rf"regexp_full_match({name}, '(0|-?[1-9][0-9]*)(\.0)?')"
    if text and _one(connection, f"bool_and({pattern} AND TRY_CAST({short} AS BIGINT) IS NOT NULL)", present):
        return Values(f"CASE WHEN {present} THEN TRY_CAST({short} AS BIGINT) END", whole=True)
    if text and _one(connection, rf"bool_and(regexp_full_match({name}, '-?[0-9]+\.[0-9]+'))", present):
        raise ArgumentTypeError(
            f"{role}s", "integers or strings", _one(connection, f"first(CAST({name} AS DOUBLE))", present)
        )
    sql = f"{name} IN ({_listed(words - {''})})" if words - {""} else "false"
    met = connection.execute(
        f"SELECT {name}, count(*) FROM rows WHERE {sql} GROUP BY {name} ORDER BY min(rowid)"
    ).fetchall()
    note = ""
    if met:
        shown, count = ", ".join(repr(word) for word, _ in met), sum(number for _, number in met)
        note = f"{shown} counts as missing, in {count:,} rows; missing=() keeps such ids"
    return Values(f"CASE WHEN {present} THEN {name} END", note=note)


def time_values(
    connection: Any, column: str, time_format: str | None, *, decimal_comma: bool = False
) -> tuple[Values, str]:
    """Times as numbers, and what they were taken for; a table of the different dates is made where there are some.

    Raises:
        ArgumentError, ArgumentTypeError: as `read_times`; the message has the first wrong value and its row.
    """
    name, kind = quoted(column), _type(connection, column)
    if kind == "DATE" or kind.startswith("TIMESTAMP"):
        plain = kind in ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")
        converted = f"CAST({name} AS {'TIMESTAMPTZ' if 'TZ' in kind or 'ZONE' in kind else 'TIMESTAMP'})"
        micros = f"epoch_us({name if plain else converted})"
        whole = bool(_one(connection, f"bool_and({name} IS NOT NULL AND {micros} % 1000000 = 0)"))
        return Values(f"{micros} // 1000000" if whole else f"{micros} / 1e6", whole=whole), "dates"
    if kind.startswith("DECIMAL"):
        return _numbers(connection, name, f"CAST({name} AS DOUBLE)", False, time_format)
    if kind == "UBIGINT":
        _check_none(connection, f"{name} > {2**63 - 1}", column, "time", "signed integers of 64 bits")
    if kind == "VARCHAR":
        name = f"replace({name}, ',', '.')" if decimal_comma and _are_numbers(connection, name, decimal_comma) else name
        present = f"{name} NOT IN ({_listed(MISSING_WORDS)})"
        numbers = _are_numbers(connection, name)
        if numbers is False or (numbers and time_format is not None and time_format not in UNITS_A_SECOND):
            return _dates(connection, name, present, time_format)
        whole = f"{present} AND TRY_CAST({name} AS BIGINT) IS NOT NULL AND regexp_full_match({name}, '-?[0-9]+')"
        integers = bool(_one(connection, f"bool_and(coalesce({whole}, false))"))
        sql = f"TRY_CAST({name} AS {'BIGINT' if integers else 'DOUBLE'})"
        sql = sql if integers else f"CASE WHEN {present} THEN {sql} END"
    elif kind in (*_WHOLE, "DOUBLE", "FLOAT"):
        integers = kind in _WHOLE and not _one(connection, f"count(*) FILTER (WHERE {name} IS NULL)")
        sql = f"CAST({name} AS {'BIGINT' if integers else 'DOUBLE'})"
        if kind in ("DOUBLE", "FLOAT"):
            sql = f"CASE WHEN NOT isnan({name}) THEN {sql} END"
    else:
        raise ArgumentTypeError("time", "numbers or dates", Verbatim(f"values of {kind}"))
    return _numbers(connection, name, sql, integers, time_format)


def _are_numbers(connection: Any, name: str, decimal_comma: bool = False) -> bool | None:
    """Whether all times of a column of text are written as numbers; None if there is none."""
    text = f"replace({name}, ',', '.')" if decimal_comma else name
    number = f"TRY_CAST({text} AS DOUBLE) IS NOT NULL AND NOT contains({name}, '_')"
    return _one(connection, f"bool_and({number})", f"{name} NOT IN ({_listed(MISSING_WORDS)})")


def _numbers(connection: Any, name: str, sql: str, integers: bool, time_format: str | None) -> tuple[Values, str]:
    """Times that are numbers: a few that show all units decide by the rules of `read_times`."""
    if not integers and (bad := _one(connection, f"first({name})", f"isinf({sql})")) is not None:
        raise ArgumentError("time", "finite numbers", Verbatim(str(bad)))
    if time_format in UNITS_A_SECOND:
        size = UNITS_A_SECOND[time_format]
        whole = bool(_one(connection, f"bool_and(({sql}) IS NOT NULL AND ({sql}) % {size} = 0)"))
        kind = read_times([0], "time", time_format).kind
        return Values(f"({sql}) // {size}" if integers and whole else f"({sql}) / {size}.0", whole=whole), kind
    days = f"({sql}) % 100 BETWEEN 1 AND 31 AND ({sql}) // 100 % 100 BETWEEN 1 AND 12"
    compact = f"({sql}) BETWEEN 19000101 AND 21001231 AND {'true' if integers else f'({sql}) % 1 = 0'} AND {days}"
    is_compact = time_format is None and _one(connection, f"bool_and({compact})", f"({sql}) IS NOT NULL")
    if is_compact or time_format is not None:
        text = f"CAST(CAST({sql} AS BIGINT) AS VARCHAR)"
        return _dates(connection, text, f"({sql}) IS NOT NULL", time_format or "compact")
    # One number of each unit that numbers may be in, and one of those that cannot be a time: the first ones.
    ranges = [
        f"WHEN ({sql}) BETWEEN {6.3e8 * size:.0f} AND {4.2e9 * size:.0f} THEN {size}"
        for size in UNITS_A_SECOND.values()
    ]
    groups = f"SELECT CASE {' '.join(ranges)} ELSE 0 END AS unit, min(rowid), arg_min({sql}, rowid) FROM rows"
    found = connection.execute(f"{groups} WHERE ({sql}) IS NOT NULL GROUP BY unit ORDER BY 2").fetchall()
    first = [value for _, _, value in found]
    if len(found) >= _TWO_UNITS and all(unit for unit, _, _ in found):
        (_, _, one), (_, row, other) = found[:2]
        got = Verbatim(f"{one}, and {other} in row {row + 1:,}")
        raise ArgumentError("time", "times in one unit", got)
    # A single number may look like a day, of which the others have told that it is none.
    kind = read_times(first or [0], "time", None).kind if len(found) < _TWO_UNITS else "numbers"
    kind = "numbers" if format_of_kind(kind) else kind
    return Values(sql, whole=integers), kind


def _dates(connection: Any, text: str, present: str, time_format: str | None) -> tuple[Values, str]:
    """Dates: the different ones are read by `read_times`, into a table that is joined."""
    first = connection.execute(f"SELECT {text} FROM rows WHERE {present} ORDER BY rowid LIMIT 1").fetchone()
    kind = ""
    if first is not None and time_format is None:
        sample = connection.execute(
            f"SELECT DISTINCT regexp_extract({text}, {text_literal(_DATE)}) FROM rows WHERE {present} LIMIT {_CHUNK}"
        ).fetchall()
        days = [day for (day,) in sample if day]
        # Which of month and day comes first, only all of them tell.
        of_days = len(days) == len(sample) and bool(days)
        kind = read_times(days if of_days else [first[0]], "time", None).kind
        time_format = format_of_kind(kind)
        if time_format is None:  # the first is a number, others are not: read_times says which
            _read(connection, text, present, [first[0], *_others(connection, text, present)], None)
    connection.execute("CREATE OR REPLACE TABLE dates (text VARCHAR, stamp DOUBLE)")
    names = connection.cursor()
    for chunk in _chunks(names.execute(f"SELECT DISTINCT {text} FROM rows WHERE {present}")):
        found = _read(connection, text, present, chunk, time_format)
        kind = found.kind
        table = {"text": np.array(chunk, dtype=object), "stamp": found.values.astype(np.float64)}
        connection.register("chunk", table)
        connection.execute("INSERT INTO dates SELECT text, stamp FROM chunk")
        connection.unregister("chunk")
    missing = _one(connection, f"count(*) FILTER (WHERE NOT coalesce({present}, false))")
    fractions = connection.execute("SELECT count(*) FROM dates WHERE stamp % 1 != 0 OR isnan(stamp)").fetchone()[0]
    whole = not missing and not fractions
    sql = "CAST(dates.stamp AS BIGINT)" if whole else "dates.stamp"
    return Values(sql, whole=whole, table=f"LEFT JOIN dates ON dates.text = {text}"), kind


def _others(connection: Any, text: str, present: str) -> list[str]:
    number = f"TRY_CAST({text} AS DOUBLE) IS NULL"
    return [
        row[0] for row in connection.execute(f"SELECT first({text}) FROM rows WHERE {present} AND {number}").fetchall()
    ]


def _chunks(result: Any) -> Iterator[list[str]]:
    while rows := result.fetchmany(_CHUNK):
        yield [text for (text,) in rows]


def _read(connection: Any, text: str, present: str, values: list[str], time_format: str | None) -> Any:
    """Read dates; an error names the first wrong one and its row in the log."""
    try:
        return read_times(values, "time", time_format)
    except BadArgumentError as error:
        for value in values:
            try:
                read_times([value], "time", time_format)
            except BadArgumentError:  # noqa: PERF203 - until the first
                row = _one(connection, "min(rowid)", f"{present} AND {text} = {text_literal(value)}")
                got = Verbatim(f"{value!r} in row {row + 1:,}")
                raise type(error)(error.name, error.expected, got, error.hint) from None
        raise


def label_values(connection: Any, column: str, *, decimal_comma: bool = False) -> Values:
    """Labels as numbers; `note` says why a column cannot be one.

    Raises:
        ArgumentTypeError: a value is not a number; the message has the first one and its row.
    """
    return _number(connection, column, "labels", MISSING_WORDS, decimal_comma)


def number_or_category(
    connection: Any, column: str, shown: str, kind: str | None, *, text: bool, decimal_comma: bool = False
) -> Values:
    """A further column as numbers, NaN for a missing one; or as categories, integers or text, NULL for a missing one.

    Args:
        connection: of DuckDB, with the table `rows`.
        column: of it.
        shown: what the log calls it.
        kind: "category", "number", or None: numbers if all values are.
        text: whether all values of the files are text, also those that are numbers.
        decimal_comma: whether 3,5 is a number.

    Raises:
        ArgumentError: `kind` is neither "category" nor "number".
        ArgumentTypeError: it is to be numbers, and a value is not.
    """
    if kind not in (None, "category", "number"):
        raise ArgumentError("columns", '"category" or "number"', kind)
    found = _type(connection, column)
    names = found.split("(")[0] in ("VARCHAR", "ENUM")
    if names and text:
        name = f"replace({quoted(column)}, ',', '.')" if decimal_comma else quoted(column)
        if _one(connection, f"bool_and(lower({name}) IN ('true', 'false'))", f"{name} != ''"):
            names, found = False, "BOOLEAN"
        elif _one(connection, f"bool_and(TRY_CAST({name} AS DOUBLE) IS NOT NULL)", f"{name} != ''"):
            names = False
    if names and kind != "number":
        return Values(f"nullif(CAST({quoted(column)} AS VARCHAR), '')", category=True)
    if found == "BOOLEAN":
        truth = f"TRY_CAST(nullif(CAST({quoted(column)} AS VARCHAR), '') AS BOOLEAN)"
        whole = not _one(connection, f"count(*) FILTER (WHERE {truth} IS NULL)")
        if kind == "category":
            raise ArgumentTypeError(shown, "integers or strings", Verbatim("values that are true or false"))
        return Values(f"CAST({truth} AS {'TINYINT' if whole else 'DOUBLE'})", whole=whole)
    values = _number(connection, column, shown, MISSING_WORDS, decimal_comma)
    if kind == "category":
        wrong = f"({values.sql}) IS NOT NULL AND NOT isnan(CAST({values.sql} AS DOUBLE)) AND ({values.sql}) % 1 != 0"
        _check_none(connection, wrong, column, shown, "integers or strings")
        number = f"CAST({values.sql} AS DOUBLE)"
        return Values(f"CASE WHEN NOT isnan({number}) THEN CAST({values.sql} AS BIGINT) END", category=True)
    return values


def _number(connection: Any, column: str, shown: str, words: Iterable[str], decimal_comma: bool) -> Values:
    name, kind = quoted(column), _type(connection, column)
    if kind == "BOOLEAN":
        return Values(f"CAST({name} AS TINYINT)", whole=True)
    if kind == '"NULL"':
        return Values("CAST(NULL AS FLOAT)")
    if kind in _WHOLE:
        whole = not _one(connection, f"count(*) FILTER (WHERE {name} IS NULL)")
        return Values(name if whole else f"CAST({name} AS DOUBLE)", whole=whole)
    if kind.startswith("DECIMAL"):
        return Values(f"CAST({name} AS DOUBLE)")
    if kind in ("DOUBLE", "FLOAT"):
        return Values(name)
    if kind != "VARCHAR":
        raise ArgumentTypeError(shown, "numbers", Verbatim(f"values of {kind}"))
    text = f"replace({name}, ',', '.')" if decimal_comma else name
    present = f"{name} NOT IN ({_listed({'', *words})})"
    _check_none(connection, f"{present} AND TRY_CAST({text} AS DOUBLE) IS NULL", column, shown, "numbers")
    integer = f"TRY_CAST({text} AS BIGINT) IS NOT NULL AND regexp_full_match({text}, '[+-]?[0-9]+')"
    if _one(connection, f"bool_and(coalesce({present} AND {integer}, false))"):
        return Values(f"TRY_CAST({text} AS BIGINT)", whole=True)
    return Values(f"CASE WHEN {present} THEN TRY_CAST({text} AS DOUBLE) END")


def _check_none(connection: Any, wrong: str, column: str, name: str, expected: str) -> None:
    found = connection.execute(
        f"SELECT {quoted(column)}, rowid FROM rows WHERE {wrong} ORDER BY rowid LIMIT 1"
    ).fetchone()
    if found is not None:
        raise ArgumentTypeError(name, expected, Verbatim(f"{found[0]!r} in row {found[1] + 1:,}"))


def _type(connection: Any, column: str) -> str:
    return str(
        connection.execute(
            f"SELECT data_type FROM duckdb_columns() WHERE table_name = 'rows' AND column_name = {text_literal(column)}"
        ).fetchone()[0]
    )


def _one(connection: Any, what: str, where: str = "true") -> Any:
    return connection.execute(f"SELECT {what} FROM rows WHERE {where}").fetchone()[0]


def _listed(words: Iterable[str]) -> str:
    return ", ".join(map(text_literal, sorted(words)))
