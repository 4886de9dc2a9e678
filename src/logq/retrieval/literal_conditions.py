"""Conditions as text, for databases that take no values beside it: each value is written so that it ends itself."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from logq.retrieval.item_conditions import LISTS, Condition

__all__ = ["Dialect", "literal_clause"]

_LEAST = -(2**63)


class Dialect(NamedTuple):
    """How a database writes conditions.

    Attributes:
        column: the name of a column -> how it is written.
        text: a text -> its literal.
        equal: the operator of equality.
        brackets: around the values of a list.
        nothing: a condition that no row meets.
        least: the integer -2**63; parsers that read the digits after the minus first find them too large.

    Example:
        >>> Dialect("`{}`".format, repr, "=", "()", "FALSE").column("city")
        '`city`'
    """

    column: Callable[[str], str]
    text: Callable[[str], str]
    equal: str
    brackets: str
    nothing: str
    least: str = str(_LEAST)


def literal_clause(where: Sequence[Condition], dialect: Dialect) -> str:
    """Return checked conditions as one text; "" where there is none.

    Example:
        >>> sql = Dialect("`{}`".format, repr, "=", "()", "FALSE")
        >>> literal_clause([("city", "not in", ["Rome"]), ("price", "<", 3.5), ("open", "=", None)], sql)
        "`city` is not null and not (`city` in ('Rome')) and `price` < 3.5 and `open` is null"
    """
    return " and ".join(part for condition in where for part in _parts(condition, dialect))


def _parts(condition: Condition, dialect: Dialect) -> list[str]:
    name, operator, value = condition
    column = dialect.column(name)
    if value is None:
        return [f"{column} is {'null' if operator == '=' else 'not null'}"]
    known = f"{column} is not null"  # nothing is known of what has no value, not even that it differs
    if operator in LISTS:
        if not value:
            return [dialect.nothing if operator == "in" else known]
        values = ", ".join(_literal(one, dialect) for one in value)
        within = f"{column} in {dialect.brackets[0]}{values}{dialect.brackets[1]}"
        return [within] if operator == "in" else [known, f"not ({within})"]
    written = _literal(value, dialect)
    if operator == "!=":
        return [known, f"{column} != {written}"]
    return [f"{column} {dialect.equal if operator == '=' else operator} {written}"]


def _literal(value: Any, dialect: Dialect) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value == _LEAST and isinstance(value, int):
        return dialect.least
    return dialect.text(value) if isinstance(value, str) else repr(value)
