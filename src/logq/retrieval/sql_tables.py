"""What databases that speak SQL share: conditions with placeholders, types of columns, and names of tables."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from logq._arguments import ArgumentError
from logq.retrieval.index_checks import Metric
from logq.retrieval.item_conditions import LISTS, Condition, check_name

__all__ = ["NEW_ROWS", "check_table", "column_kinds", "index_name", "metric_comment", "metric_of", "where_clause"]

NEW_ROWS: Final = "logq_new"
"""The name of a temporary table of new rows."""

_NAMED_AS_TABLE = 50  # characters of a table, up to which its index has its whole name

_COMMENT: Final = "items of logq, compared by "
_METRICS: Final[tuple[Metric, ...]] = ("inner_product", "cosine")


def where_clause(where: Sequence[Condition], mark: str, contains: Callable[[str, str], str]) -> tuple[str, list[Any]]:
    """Return SQL with placeholders for values, and the values; TRUE where there is no condition.

    Args:
        where: checked conditions.
        mark: the placeholder of a value: "?" or "%s".
        contains: (quoted column, column) -> SQL for whether a bound list contains it.

    Example:
        >>> where_clause([("price", "<", 3.5), ("city", "=", None)], "?", lambda quoted, name: "")
        ('"price" < ? AND "city" IS NULL', [3.5])
    """
    parts: list[str] = []
    values: list[Any] = []
    for column, operator, value in where:
        quoted = f'"{column}"'  # `check_conditions` allows only names that need no more than quotes
        if value is None:
            parts.append(f"{quoted} IS {'NULL' if operator == '=' else 'NOT NULL'}")
            continue
        values.append(value)
        if operator in LISTS:
            within = contains(quoted, column)
            parts.append(within if operator == "in" else f"({quoted} IS NOT NULL AND NOT {within})")
        else:
            parts.append(f"{quoted} {'<>' if operator == '!=' else operator} {mark}")
    return " AND ".join(parts) or "TRUE", values


def column_kinds(table: str, types: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, str]:
    """Return the kinds of the columns of a table from their types in SQL.

    Raises:
        ArgumentError: a type is unknown.

    Example:
        >>> column_kinds("items", {"city": "VARCHAR"}, {"VARCHAR": "text", "DOUBLE": "float"})
        {'city': 'text'}
    """
    unknown = {name: sql for name, sql in types.items() if sql not in kinds}
    if unknown:
        raise ArgumentError("table", f"columns of the types {', '.join(kinds)} in {table!r}", unknown)
    return {name: kinds[sql] for name, sql in types.items()}


def check_table(table: str) -> str:
    """Return the name of a table, which must be allowed and not that of the temporary table of new rows."""
    if check_name("table", table).lower() == NEW_ROWS:
        raise ArgumentError("table", "another name than that of the temporary table of new rows", table)
    return table


def index_name(table: str) -> str:
    """Return the name of the index of a table, which no other table's has: names end after 63 characters.

    Example:
        >>> index_name("items"), index_name("a" * 60)[35:] == index_name("a" * 61)[35:]
        ('items_vector', False)
    """
    if len(table) <= _NAMED_AS_TABLE:
        return f"{table}_vector"
    return f"{table[:40]}_{hashlib.blake2b(table.encode(), digest_size=5).hexdigest()}_vector"


def metric_comment(metric: Metric) -> str:
    """Return the comment of a table that says which metric it was made for, as a literal of SQL.

    Example:
        >>> metric_of(metric_comment("cosine").strip("'"))
        'cosine'
    """
    return f"'{_COMMENT}{metric}'"


def metric_of(comment: str | None) -> Metric | None:
    """Return the metric that the comment of a table says; None where it says nothing."""
    said = (comment or "").removeprefix(_COMMENT)
    return next((metric for metric in _METRICS if said == metric), None)
