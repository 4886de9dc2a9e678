"""Values of a log that is prepared: ids, times, labels and further columns as SQL, by the rules of `Interactions`."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.logs.log_rows import LogRows, check_dates
from logq.logs.parquet_reader import quoted, text_literal
from logq.logs.plain_values import MISSING_WORDS, missing_note
from logq.logs.time_values import UNITS_A_SECOND, format_of_kind, read_times

__all__ = ["Values", "id_values", "label_values", "number_or_category", "time_values"]

_SAMPLE = 100_000  # different dates that tell days from months
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


def id_values(rows: LogRows, column: str, role: str, missing: Collection[str] | None, *, text: bool) -> Values:
    """Ids: integers if all are, or are written as such in a file of text; words for a missing value do not count.

    Raises:
        ArgumentTypeError: they are neither.
        ArgumentError: a number does not fit into 64 bits, or a text is longer than 1,024 characters.
    """
    name, kind = quoted(column), rows.kind(column)
    if kind in _WHOLE:
        if kind in ("UBIGINT", "HUGEINT"):
            _check_none(rows, f"TRY_CAST({name} AS BIGINT) IS NULL", column, f"{role}s", "signed integers of 64 bits")
        return Values(f"CAST({name} AS BIGINT)", whole=True)
    if kind in ("DOUBLE", "FLOAT"):
        here = f"NOT isnan({name})"
        _check_none(
            rows,
            f"{here} AND (isinf({name}) OR {name} != round({name}))",
            column,
            f"{role}s",
            "integers or strings",
        )
        _check_none(rows, f"{here} AND abs({name}) > {_EXACT}", column, f"{role}s", "integers below 2**53")
        return Values(f"CASE WHEN {here} THEN CAST({name} AS BIGINT) END", whole=True)
    if kind != "VARCHAR":
        raise ArgumentTypeError(f"{role}s", "integers or strings", Verbatim(f"values of {kind}"))
    if rows.one("bool_or", f"contains({name}, chr(0))"):  # at the end they are lost in arrays of strings
        name = f"rtrim({name}, chr(0))"
    words = {"", *(MISSING_WORDS if missing is None else missing)}
    present = f"{name} NOT IN ({_listed(words)})"
    longest = rows.one("max", f"length({name})", present) or 0
    if longest > _LONGEST:
        raise ArgumentError(f"{role}s", f"strings of at most {_LONGEST} characters", Verbatim(f"one of {longest}"))
    plain = f"CAST(TRY_CAST({name} AS BIGINT) AS VARCHAR) IS NOT DISTINCT FROM {name}"
    if text and rows.one("bool_and", plain, present):
        return Values(f"CASE WHEN {present} THEN TRY_CAST({name} AS BIGINT) END", whole=True)
    # The form of integers in a column with missing values.
    short = f"regexp_replace({name}, '\\.0$', '')"
    pattern = rf"regexp_full_match({name}, '(0|-?[1-9][0-9]*)(\.0)?')"
    if text and rows.one("bool_and", f"{pattern} AND TRY_CAST({short} AS BIGINT) IS NOT NULL", present):
        return Values(f"CASE WHEN {present} THEN TRY_CAST({short} AS BIGINT) END", whole=True)
    if text and rows.one("bool_and", rf"regexp_full_match({name}, '-?[0-9]+\.[0-9]+')", present):
        met = rows.first(f"CAST({name} AS DOUBLE)", present)
        raise ArgumentTypeError(f"{role}s", "integers or strings", met and met.value)
    sql = f"{name} IN ({_listed(words - {''})})" if words - {""} else "false"
    note = ""
    if met := rows.groups(name, sql, name):
        note = missing_note([group.value for group in met], sum(group.rows for group in met))
    return Values(f"CASE WHEN {present} THEN {name} END", note=note)


def time_values(
    rows: LogRows, column: str, time_format: str | None, *, decimal_comma: bool = False
) -> tuple[Values, str]:
    """Times as numbers, and what they were taken for; a table of the different dates is made where there are some.

    Raises:
        ArgumentError, ArgumentTypeError: as `read_times`; the message has the first wrong value and its row.
    """
    name, kind = quoted(column), rows.kind(column)
    if kind == "DATE" or kind.startswith("TIMESTAMP"):
        plain = kind in ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")
        converted = f"CAST({name} AS {'TIMESTAMPTZ' if 'TZ' in kind or 'ZONE' in kind else 'TIMESTAMP'})"
        micros = f"epoch_us({name if plain else converted})"
        whole = bool(rows.one("bool_and", f"{name} IS NOT NULL AND {micros} % 1000000 = 0"))
        return Values(f"{micros} // 1000000" if whole else f"{micros} / 1e6", whole=whole), "dates"
    if kind.startswith("DECIMAL"):
        return _numbers(rows, name, f"CAST({name} AS DOUBLE)", False, time_format)
    if kind == "UBIGINT":
        _check_none(rows, f"{name} > {2**63 - 1}", column, "time", "signed integers of 64 bits")
    if kind == "VARCHAR":
        name = f"replace({name}, ',', '.')" if decimal_comma and _are_numbers(rows, name, decimal_comma) else name
        present = f"{name} NOT IN ({_listed(MISSING_WORDS)})"
        numbers = _are_numbers(rows, name)
        if numbers is False or (numbers and time_format is not None and time_format not in UNITS_A_SECOND):
            return _dates(rows, name, present, time_format)
        whole = f"{present} AND TRY_CAST({name} AS BIGINT) IS NOT NULL AND regexp_full_match({name}, '-?[0-9]+')"
        integers = bool(rows.one("bool_and", f"coalesce({whole}, false)"))
        sql = f"TRY_CAST({name} AS {'BIGINT' if integers else 'DOUBLE'})"
        sql = sql if integers else f"CASE WHEN {present} THEN {sql} END"
    elif kind in (*_WHOLE, "DOUBLE", "FLOAT"):
        integers = kind in _WHOLE and not rows.one("count_if", f"{name} IS NULL")
        sql = f"CAST({name} AS {'BIGINT' if integers else 'DOUBLE'})"
        if kind in ("DOUBLE", "FLOAT"):
            sql = f"CASE WHEN NOT isnan({name}) THEN {sql} END"
    else:
        raise ArgumentTypeError("time", "numbers or dates", Verbatim(f"values of {kind}"))
    return _numbers(rows, name, sql, integers, time_format)


def _are_numbers(rows: LogRows, name: str, decimal_comma: bool = False) -> bool | None:
    """Whether all times of a column of text are written as numbers; None if there is none."""
    text = f"replace({name}, ',', '.')" if decimal_comma else name
    number = f"TRY_CAST({text} AS DOUBLE) IS NOT NULL AND NOT contains({name}, '_')"
    return rows.one("bool_and", number, f"{name} NOT IN ({_listed(MISSING_WORDS)})")


def _numbers(rows: LogRows, name: str, sql: str, integers: bool, time_format: str | None) -> tuple[Values, str]:
    """Times that are numbers: a few that show all units decide by the rules of `read_times`."""
    if not integers and (bad := rows.first(name, f"isinf({sql})")) is not None:
        raise ArgumentError("time", "finite numbers", Verbatim(str(bad.value)))
    if time_format in UNITS_A_SECOND:
        size = UNITS_A_SECOND[time_format]
        whole = bool(rows.one("bool_and", f"({sql}) IS NOT NULL AND ({sql}) % {size} = 0"))
        kind = read_times([0], "time", time_format).kind
        return Values(f"({sql}) // {size}" if integers and whole else f"({sql}) / {size}.0", whole=whole), kind
    days = f"({sql}) % 100 BETWEEN 1 AND 31 AND ({sql}) // 100 % 100 BETWEEN 1 AND 12"
    compact = f"({sql}) BETWEEN 19000101 AND 21001231 AND {'true' if integers else f'({sql}) % 1 = 0'} AND {days}"
    is_compact = time_format is None and rows.one("bool_and", compact, f"({sql}) IS NOT NULL")
    if is_compact or time_format is not None:
        text = f"CAST(CAST({sql} AS BIGINT) AS VARCHAR)"
        return _dates(rows, text, f"({sql}) IS NOT NULL", time_format or "compact")
    # One number of each unit that numbers may be in, and one of those that cannot be a time: the first ones.
    ranges = [
        f"WHEN ({sql}) BETWEEN {6.3e8 * size:.0f} AND {4.2e9 * size:.0f} THEN {size}"
        for size in UNITS_A_SECOND.values()
    ]
    found = rows.groups(f"CASE {' '.join(ranges)} ELSE 0 END", f"({sql}) IS NOT NULL", sql)
    first = [group.shown for group in found]
    if len(found) >= _TWO_UNITS and all(group.value for group in found):
        got = Verbatim(f"{found[0].shown}, and {found[1].shown} in row {found[1].row + 1:,}")
        raise ArgumentError("time", "times in one unit", got)
    # A single number may look like a day, of which the others have told that it is none.
    kind = read_times(first or [0], "time", None).kind if len(found) < _TWO_UNITS else "numbers"
    kind = "numbers" if format_of_kind(kind) else kind
    return Values(sql, whole=integers), kind


def _dates(rows: LogRows, text: str, present: str, time_format: str | None) -> tuple[Values, str]:
    """Dates: the different ones are read by `read_times`, into a table that is joined."""
    first = rows.first(text, present)
    kind = ""
    if first is not None and time_format is None:
        sample = rows.some(f"regexp_extract({text}, {text_literal(_DATE)})", present, _SAMPLE)
        days = [day for day in sample if day]
        # Which of month and day comes first, only all of them tell.
        of_days = len(days) == len(sample) and bool(days)
        kind = read_times(days if of_days else [first.value], "time", None).kind
        time_format = format_of_kind(kind)
        if time_format is None:  # the first is a number, others are not: read_times says which
            other = rows.first(text, f"{present} AND TRY_CAST({text} AS DOUBLE) IS NULL")
            check_dates(rows, text, present, [first.value, *([other.value] if other else [])], None)
    read, fractions = rows.read_dates(text, present, time_format)
    missing = rows.one("count_if", f"NOT coalesce({present}, false)")
    whole = not missing and not fractions
    sql = "CAST(dates.stamp AS BIGINT)" if whole else "dates.stamp"
    return Values(sql, whole=whole, table=f"LEFT JOIN dates ON dates.text = {text}"), read or kind


def label_values(rows: LogRows, column: str, *, decimal_comma: bool = False) -> Values:
    """Labels as numbers; `note` says why a column cannot be one.

    Raises:
        ArgumentTypeError: a value is not a number; the message has the first one and its row.
    """
    return _number(rows, column, "labels", MISSING_WORDS, decimal_comma)


def number_or_category(
    rows: LogRows, column: str, shown: str, kind: str | None, *, text: bool, decimal_comma: bool = False
) -> Values:
    """A further column as numbers, NaN for a missing one; or as categories, integers or text, NULL for a missing one.

    Args:
        rows: of the log.
        column: of them.
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
    found = rows.kind(column)
    names = found.split("(")[0] in ("VARCHAR", "ENUM")
    if names and text:
        name = f"replace({quoted(column)}, ',', '.')" if decimal_comma else quoted(column)
        if rows.one("bool_and", f"lower({name}) IN ('true', 'false')", f"{name} != ''"):
            names, found = False, "BOOLEAN"
        elif rows.one("bool_and", f"TRY_CAST({name} AS DOUBLE) IS NOT NULL", f"{name} != ''"):
            names = False
    if names and kind != "number":
        return Values(f"nullif(CAST({quoted(column)} AS VARCHAR), '')", category=True)
    if found == "BOOLEAN":
        truth = f"TRY_CAST(nullif(CAST({quoted(column)} AS VARCHAR), '') AS BOOLEAN)"
        whole = not rows.one("count_if", f"{truth} IS NULL")
        if kind == "category":
            raise ArgumentTypeError(shown, "integers or strings", Verbatim("values that are true or false"))
        return Values(f"CAST({truth} AS {'TINYINT' if whole else 'DOUBLE'})", whole=whole)
    values = _number(rows, column, shown, MISSING_WORDS, decimal_comma)
    if kind == "category":
        wrong = f"({values.sql}) IS NOT NULL AND NOT isnan(CAST({values.sql} AS DOUBLE)) AND ({values.sql}) % 1 != 0"
        _check_none(rows, wrong, column, shown, "integers or strings")
        number = f"CAST({values.sql} AS DOUBLE)"
        return Values(f"CASE WHEN NOT isnan({number}) THEN CAST({values.sql} AS BIGINT) END", category=True)
    return values


def _number(rows: LogRows, column: str, shown: str, words: Iterable[str], decimal_comma: bool) -> Values:
    name, kind = quoted(column), rows.kind(column)
    if kind == "BOOLEAN":
        return Values(f"CAST({name} AS TINYINT)", whole=True)
    if kind == '"NULL"':
        return Values("CAST(NULL AS FLOAT)")
    if kind in _WHOLE:
        whole = not rows.one("count_if", f"{name} IS NULL")
        return Values(name if whole else f"CAST({name} AS DOUBLE)", whole=whole)
    if kind.startswith("DECIMAL"):
        return Values(f"CAST({name} AS DOUBLE)")
    if kind in ("DOUBLE", "FLOAT"):
        return Values(name)
    if kind != "VARCHAR":
        raise ArgumentTypeError(shown, "numbers", Verbatim(f"values of {kind}"))
    text = f"replace({name}, ',', '.')" if decimal_comma else name
    present = f"{name} NOT IN ({_listed({'', *words})})"
    _check_none(rows, f"{present} AND TRY_CAST({text} AS DOUBLE) IS NULL", column, shown, "numbers")
    integer = f"TRY_CAST({text} AS BIGINT) IS NOT NULL AND regexp_full_match({text}, '[+-]?[0-9]+')"
    if rows.one("bool_and", f"coalesce({present} AND {integer}, false)"):
        return Values(f"TRY_CAST({text} AS BIGINT)", whole=True)
    return Values(f"CASE WHEN {present} THEN TRY_CAST({text} AS DOUBLE) END")


def _check_none(rows: LogRows, wrong: str, column: str, name: str, expected: str) -> None:
    if (found := rows.first(quoted(column), wrong)) is not None:
        raise ArgumentTypeError(name, expected, Verbatim(f"{found.value!r} in row {found.row + 1:,}"))


def _listed(words: Iterable[str]) -> str:
    return ", ".join(map(text_literal, sorted(words)))
