"""Conditions on columns: checked here, turned into SQL with bound values by each database."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import numpy as np

from logq.arguments import shown

__all__ = ["Condition", "check_columns", "check_conditions", "check_name", "check_values", "where_clause"]

Condition: TypeAlias = tuple[str, str, Any]

_ORDER: Final = ("=", "!=", "<", "<=", ">", ">=")
_SETS: Final = ("in", "not in")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_TYPES: Final = ("int", "float", "text", "bool")
_INT64 = 2**63


def check_name(argument: str, name: object) -> str:
    """Return the name of a table or column: a letter or _, then letters, digits and _, 63 at most.

    Raises:
        ValueError: it is no such name.

    Example:
        >>> check_name("table", 'items"; DROP TABLE items; --')
        Traceback (most recent call last):
        ...
        ValueError: table: expected a name of letters, digits and _, got 'items"; DROP TABLE items; --'
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{argument}: expected a name of letters, digits and _, got {shown(name)}")
    return name


def check_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """Return names of columns with their types.

    Raises:
        ValueError: a name is none, is taken (databases read no capitals), or a type is unknown.

    Example:
        >>> check_columns({"city": "text", "price": "float"})
        {'city': 'text', 'price': 'float'}
    """
    taken = {"id", "vector"}
    for name, kind in columns.items():
        if check_name("columns", name).lower() in taken:
            raise ValueError(f"columns: expected names other than {', '.join(sorted(taken))}, got {name!r}")
        taken.add(name.lower())
        if kind not in _TYPES:
            raise ValueError(f"columns: expected one of {', '.join(_TYPES)} for {name}, got {shown(kind)}")
    return dict(columns)


def check_values(column: str, values: Sequence[Any], kind: str, count: int) -> list[Any]:
    """Return the values of a column as plain ones of Python; NaN is None.

    Raises:
        TypeError: a value is not of this type; the message has its row.
        ValueError: there are more or fewer than `count`, or a database cannot hold one.

    Example:
        >>> check_values("price", [1, None, float("nan")], "float", 3)
        [1.0, None, None]
    """
    plain = cast("list[Any]", values.tolist() if isinstance(values, np.ndarray) else list(values))
    if len(plain) != count:
        raise ValueError(f"columns: expected {count} values of {column}, got {len(plain)}")
    return [_value(f"columns: {column}, row {row}", value, kind) for row, value in enumerate(plain)]


def check_conditions(where: Sequence[Condition], columns: Mapping[str, str]) -> list[Condition]:
    """Return conditions whose columns exist and whose values are of their types; `id` is a column too.

    Raises:
        TypeError: a condition is no triple, or a value has another type.
        ValueError: a column or operator is unknown.

    Example:
        >>> check_conditions([("city", "in", ("Rome", "Oslo"))], {"city": "text"})
        [('city', 'in', ['Rome', 'Oslo'])]
    """
    known = {"id": "int", **columns}
    checked: list[Condition] = []
    for condition in where:
        if not isinstance(condition, tuple | list) or len(condition) != 3:
            raise TypeError(f"where: expected triples (column, operator, value), got {shown(condition)}")
        column, operator, value = condition
        if not isinstance(column, str) or column not in known:
            raise ValueError(f"where: expected one of the columns {', '.join(known)}, got {shown(column)}")
        name, kind = f"where: {column} {operator}", known[column]
        if operator in _SETS:
            if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset | np.ndarray):
                raise TypeError(f"{name}: expected several values, got {shown(value)}")
            plain = cast("list[Any]", value.tolist() if isinstance(value, np.ndarray) else list(value))
            if None in plain:
                raise TypeError(f"{name}: expected values, got None; ask for it by ({column!r}, '=', None)")
            checked.append((column, operator, [_value(name, one, kind) for one in plain]))
        elif operator in _ORDER:
            plain = _value(name, value, kind)
            if plain is None and operator not in ("=", "!="):
                raise TypeError(f"{name}: expected a value, got {shown(value)}")
            checked.append((column, operator, plain))
        else:
            raise ValueError(f"where: expected an operator of {', '.join(_ORDER + _SETS)}, got {shown(operator)}")
    return checked


def where_clause(where: Sequence[Condition], mark: str, contains: Callable[[str, str], str]) -> tuple[str, list[Any]]:
    """Return SQL with marks in the places of values, and the values; TRUE where there is no condition.

    Args:
        where: checked conditions.
        mark: what stands for a value: "?" or "%s".
        contains: (quoted column, column) -> SQL that says whether a bound list holds it.

    Example:
        >>> where_clause([("price", "<", 3.5), ("city", "=", None)], "?", lambda quoted, name: "")
        ('"price" < ? AND "city" IS NULL', [3.5])
    """
    parts: list[str] = []
    values: list[Any] = []
    for column, operator, value in where:
        quoted = f'"{column}"'  # `check_conditions` lets names through that need no more than that
        if value is None:
            parts.append(f"{quoted} IS {'NULL' if operator == '=' else 'NOT NULL'}")
            continue
        values.append(value)
        if operator in _SETS:
            within = contains(quoted, column)
            parts.append(within if operator == "in" else f"({quoted} IS NOT NULL AND NOT {within})")
        else:
            parts.append(f"{quoted} {'<>' if operator == '!=' else operator} {mark}")
    return " AND ".join(parts) or "TRUE", values


def _value(place: str, value: Any, kind: str) -> Any:
    """Return a value as a plain one of Python of this type."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (kind == "float" and isinstance(value, float) and math.isnan(value)):
        return None
    number = isinstance(value, int) and not isinstance(value, bool)
    fits = {
        "int": number,
        "float": number or isinstance(value, float),
        "text": isinstance(value, str),
        "bool": isinstance(value, bool),
    }
    if not fits[kind]:
        raise TypeError(f"{place}: expected a value of type {kind}, got {shown(value)}")
    if kind == "int" and not -_INT64 <= value < _INT64:
        raise ValueError(f"{place}: expected an integer of 64 bits, got {value}")
    if isinstance(value, str) and ("\0" in value or (not value.isascii() and _has_half_characters(value))):
        raise ValueError(f"{place}: expected text that UTF-8 can hold, without the character 0, got {shown(value)}")
    return float(value) if kind == "float" else value


def _has_half_characters(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
