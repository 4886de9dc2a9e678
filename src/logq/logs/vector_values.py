"""Columns whose values are vectors, such as embeddings of texts or images: recognized, and read as a table."""

import json
import math
import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.logs.plain_values import MISSING_WORDS

__all__ = ["check_finite", "lists_in_text", "vectors_in", "vectors_of"]

_LIST: Final = re.compile(r"\s*\[.*\]\s*", re.DOTALL)
_ROWS: Final = 1 << 14  # looked at at a time
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def vectors_in(values: Any, name: str, separator: str | None = None) -> NDArray[np.float32] | None:
    """Return the vectors of a column (N, width), zeros where one is missing; None unless it has lists of floats.

    Lists of integers are several categories, not a vector.

    Args:
        values: lists or arrays of floats, or text such as "[0.5, 1.0]".
        name: of the column.
        separator: what separates the numbers of a text without brackets.

    Raises:
        ArgumentError: vectors differ in length, or have a number that is not finite; the message names the row.
        ArgumentTypeError: not all of them have numbers.

    Example:
        >>> vectors_in([[0.5, 1.0], None], "image").tolist(), vectors_in([[1, 2], [3]], "tags")
        ([[0.5, 1.0], [0.0, 0.0]], None)
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu" and values.ndim == 2:
        rows: list[Any] = list(values) if values.dtype.kind == "f" else []
    else:
        rows = _rows(values, separator)
    if not any(_has_fractions(row) for row in rows):
        return None
    return _table(rows, next(len(row) for row in rows if _has_fractions(row)), name, "as in the first")


def vectors_of(values: Any, name: str, width: int) -> NDArray[np.float32]:
    """Return vectors (N, width) of values that are known to be vectors, zeros where one is missing.

    Raises:
        ArgumentError: one has another length, or a number that is not finite; the message names the row.
        ArgumentTypeError: they are no vectors, or not all of them have numbers.

    Example:
        >>> vectors_of([[1, 2], "[0.5, 1]", None], "image", 2).tolist()
        [[1.0, 2.0], [0.5, 1.0], [0.0, 0.0]]
    """
    given: list[Any] = values.to_list() if hasattr(values, "to_list") else list(values)
    rows = [_read(row) if isinstance(row, str) and _LIST.fullmatch(row) else row for row in given]
    for number, row in enumerate(rows):
        if _is_missing(row):
            rows[number] = None
        elif not isinstance(row, (list, tuple, np.ndarray)):
            raise ArgumentTypeError(name, f"vectors of {width} numbers", Verbatim(f"{row!r:.80} in row {number + 1}"))
    return _table(rows, width, name, "as before")


def check_finite(table: NDArray[Any], name: str) -> None:
    """Check that all numbers of a table (m, width), which may be mapped from a file, are finite.

    Raises:
        ArgumentError: one is not; the message names the row.

    Example:
        >>> check_finite(np.array([[1.0], [np.nan]]), "image")
        Traceback (most recent call last):
        ...
        logq.ArgumentError: image: expected finite numbers in vectors, got nan in row 2
    """
    for begin in range(0, len(table), _ROWS):
        part = table[begin : begin + _ROWS]
        wrong = np.argwhere(~np.isfinite(part))
        if len(wrong):
            row, place = wrong[0].tolist()
            got = Verbatim(f"{part[row, place]} in row {begin + row + 1}")
            raise ArgumentError(name, "finite numbers in vectors", got)


def _is_missing(row: Any) -> bool:
    if isinstance(row, str):
        return row.strip() in MISSING_WORDS
    return row is None or (isinstance(row, float) and math.isnan(row))


def _table(rows: list[Any], width: int, name: str, like: str) -> NDArray[np.float32]:
    """The vectors (N, width), zeros where one is missing."""
    table = np.zeros((len(rows), width), dtype=np.float32)
    for number, row in enumerate(rows, 1):
        if row is None or not len(row):
            continue
        if len(row) != width:
            got = Verbatim(f"{len(row)} in row {number}")
            raise ArgumentError(name, f"{width} numbers in each vector, {like}", got)
        try:
            table[number - 1] = np.asarray(row, dtype=np.float32)
        except (TypeError, ValueError):
            raise ArgumentTypeError(name, "vectors of numbers", Verbatim(f"{row!r:.80} in row {number}")) from None
        if not np.isfinite(table[number - 1]).all():
            raise ArgumentError(name, "finite numbers in vectors", Verbatim(f"{list(row)!r:.80} in row {number}"))
    return table


def lists_in_text(values: Any) -> list[Any] | None:
    """Return the lists that all values of a column of text are written as, in JSON or as numpy prints; None if not all.

    Example:
        >>> lists_in_text(["[1, 2]", "", '["a"]']), lists_in_text(["[0.5 1. ]"]), lists_in_text(["[x", "y"])
        ([[1, 2], None, ['a']], [[0.5, 1.0]], None)
    """
    found: list[Any] = []
    for value in values:
        if value is None or value != value or (isinstance(value, str) and value.strip() in MISSING_WORDS):
            found.append(None)
            continue
        if not isinstance(value, str) or not _LIST.fullmatch(value):
            return None
        read = _read(value)
        if read is None:
            return None
        found.append(read)
    return found if any(row is not None for row in found) else None


def _rows(values: Any, separator: str | None) -> list[Any]:
    """The values as lists, None where one is missing; none at all if they are something else."""
    if hasattr(values, "to_physical"):  # a series of polars: its type is cheaper than a look at each value
        kind = str(values.dtype).split("(")[0]
        if kind not in ("List", "Array", "String"):
            return []
    elif isinstance(values, np.ndarray) and values.dtype.kind not in "OU":
        return []
    series: Any = values
    given: list[Any] = series.to_list() if hasattr(series, "to_list") else list(series)
    first = next((value for value in given if value is not None and value == value), None) if _plain(given) else given
    if isinstance(first, str):
        lists = lists_in_text(given)
        return lists if lists is not None else _separated(given, separator)
    return [row if isinstance(row, (list, tuple, np.ndarray)) else None for row in given]


def _plain(given: list[Any]) -> bool:
    return not any(isinstance(value, np.ndarray) for value in given)


def _separated(given: list[Any], separator: str | None) -> list[Any]:
    if separator is None:
        return []
    rows: list[Any] = []
    for value in given:
        parts = [] if not isinstance(value, str) else [part for part in value.split(separator) if part.strip()]
        if not all(_NUMBER.fullmatch(part.strip()) for part in parts):
            return []
        rows.append([float(part) if "." in part or "e" in part.lower() else int(part) for part in parts])
    return rows


def _read(text: str) -> list[Any] | None:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        parts = text.strip()[1:-1].split()  # as numpy prints an array
        if not parts or not all(_NUMBER.fullmatch(part) for part in parts):
            return None
        return [float(part) for part in parts]
    return read if isinstance(read, list) else None


def _has_fractions(row: Any) -> bool:
    if isinstance(row, np.ndarray):
        return row.dtype.kind == "f" and row.ndim == 1 and len(row) > 0
    return row is not None and any(isinstance(value, float) and not math.isnan(value) for value in row)
