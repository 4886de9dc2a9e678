"""Names, values and conditions of the columns of items, as all databases of `logq.retrieval` understand them."""

import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import numpy as np

from logq._arguments import ArgumentError, ArgumentTypeError
from logq.text.words import has_utf8_form

__all__ = [
    "LISTS",
    "ORDER",
    "Condition",
    "check_columns",
    "check_conditions",
    "check_name",
    "check_reserved",
    "check_values",
]

Condition: TypeAlias = tuple[str, str, Any]

ORDER: Final = ("<", "<=", ">", ">=")
"""Operators that compare numbers."""

LISTS: Final = ("in", "not in")
"""Operators that take several values."""

_OPERATORS: Final = ("=", "!=", *ORDER, *LISTS)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_TYPES: Final = ("int", "float", "text", "bool")
_INT64 = 2**63


def check_name(argument: str, name: object) -> str:
    """Return the name of a table or column: a letter or _, then letters, digits and _, at most 63 characters.

    Raises:
        ArgumentError: it is not such a name.

    Example:
        >>> check_name("table", 'items"; DROP TABLE items; --')
        Traceback (most recent call last):
        ...
        logq.ArgumentError: table: expected a name of letters, digits and _, got 'items"; DROP TABLE items; --'
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ArgumentError(argument, "a name of letters, digits and _", name)
    return name


def check_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """Return names of columns with their types.

    Raises:
        ArgumentError: a name is not allowed or taken (databases ignore case), or a type is unknown.

    Example:
        >>> check_columns({"city": "text", "price": "float"})
        {'city': 'text', 'price': 'float'}
    """
    taken = {"id", "vector"}
    for name, kind in columns.items():
        if check_name("columns", name).lower() in taken:
            raise ArgumentError("columns", f"names other than {', '.join(sorted(taken))}", name)
        taken.add(name.lower())
        if kind not in _TYPES:
            raise ArgumentError("columns", f"one of {', '.join(_TYPES)} for {name}", kind)
    return dict(columns)


def check_reserved(columns: Mapping[str, str], words: Sequence[str], database: str) -> None:
    """Check that no column of a new table has a name that its database keeps for itself.

    Raises:
        ArgumentError: one has.

    Example:
        >>> check_reserved({"price": "float"}, ("in", "like"), "Milvus")
    """
    taken = next((name for name in columns if name.lower() in words), None)
    if taken is not None:
        raise ArgumentError("columns", f"names other than {', '.join(words)}, which {database} reserves", taken)


def check_values(column: str, values: Sequence[Any], kind: str, count: int) -> list[Any]:
    """Return the values of a column as values of Python; NaN is None.

    Raises:
        ArgumentTypeError: a value has another type; the message has its row.
        ArgumentError: there are more or fewer than `count`, or a database cannot store one.

    Example:
        >>> check_values("price", [1, None, float("nan")], "float", 3)
        [1.0, None, None]
    """
    plain = list(_listed(values))
    if len(plain) != count:
        raise ArgumentError("columns", f"{count} values of {column}", len(plain))
    return [_value("columns", f"in {column}, row {row}", value, kind) for row, value in enumerate(plain)]


def check_conditions(where: Sequence[Condition], columns: Mapping[str, str]) -> list[Condition]:
    """Return conditions whose columns exist and whose values have their types; `id` is a column too.

    Numbers have an order, text and booleans have not: not every database compares them.

    Raises:
        ArgumentTypeError: a condition is not a triple, or a value has another type.
        ArgumentError: a column or operator is unknown, or does not go with the type of the column.

    Example:
        >>> check_conditions([("city", "in", ("Rome", "Oslo"))], {"city": "text"})
        [('city', 'in', ['Rome', 'Oslo'])]
    """
    known = {"id": "int", **columns}
    checked: list[Condition] = []
    for condition in where:
        if not isinstance(condition, tuple | list) or len(condition) != 3:
            raise ArgumentTypeError("where", "triples (column, operator, value)", condition)
        column, operator, value = condition
        if not isinstance(column, str) or column not in known:
            raise ArgumentError("where", f"one of the columns {', '.join(known)}", column)
        place, kind = f"for {column} {operator}", known[column]
        if operator in LISTS:
            given: Any = _listed(value)
            if isinstance(given, str) or not isinstance(given, Sequence | set | frozenset):
                raise ArgumentTypeError("where", f"several values {place}", value)
            plain = [_value("where", place, one, kind) for one in cast("list[Any]", list(given))]
            if None in plain:
                hint = f"rows without a value are found by ({column!r}, '=', None)"
                raise ArgumentTypeError("where", f"values {place}", None, hint)
            checked.append((column, operator, plain))
        elif operator in _OPERATORS:
            plain = _value("where", place, value, kind)
            if operator in ORDER and kind not in ("int", "float"):
                raise ArgumentError("where", f"= != in or not in for {column}, which is of type {kind}", operator)
            if operator in ORDER and plain is None:
                raise ArgumentTypeError("where", f"a value {place}", value)
            checked.append((column, operator, plain))
        else:
            raise ArgumentError("where", f"one of the operators {', '.join(_OPERATORS)}", operator)
    return checked


def _listed(values: Any) -> Any:
    return values.tolist() if hasattr(values, "tolist") else values  # arrays and tensors


def _value(argument: str, place: str, value: Any, kind: str) -> Any:
    """Return a value as one of Python, of this type."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (kind == "float" and isinstance(value, float) and math.isnan(value)):
        return None
    number = isinstance(value, int) and not isinstance(value, bool)
    is_bool, is_float, is_text = (isinstance(value, one) for one in (bool, float, str))
    if not {"int": number, "float": number or is_float, "text": is_text, "bool": is_bool}[kind]:
        raise ArgumentTypeError(argument, f"a value of type {kind} {place}", value)
    if kind == "float" and not abs(value) <= sys.float_info.max:  # nor an integer that is no float
        raise ArgumentError(argument, f"a finite number {place}", value)
    if kind == "int" and not -_INT64 <= value < _INT64:
        raise ArgumentError(argument, f"an integer of 64 bits {place}", value)
    if isinstance(value, str) and ("\0" in value or not has_utf8_form(value)):
        raise ArgumentError(argument, f"text with a UTF-8 form and without the character 0 {place}", value)
    return float(value) if kind == "float" else value
