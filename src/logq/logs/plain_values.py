"""Values of columns as numpy arrays and numbers, and the words that stand for a missing one."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim

__all__ = ["MISSING_WORDS", "missing_note", "plain_array", "to_numbers"]

MISSING_WORDS: Final = frozenset(
    ("", "NULL", "Null", "null", "\\N", "NaN", "NAN", "nan", "NaT", "None", "NA", "N/A", "n/a", "<NA>", "#N/A")
)
"""How programs that write tables spell that a value is missing."""


def missing_note(words: Sequence[str], rows: int) -> str:
    """What is to be said of ids that count as missing.

    Example:
        >>> missing_note(["NA"], 2)
        "'NA' counts as missing, in 2 rows; missing=[...] (--missing WORD) says which words do"
    """
    count = "counts" if len(words) == 1 else "count"
    which = ", ".join(map(repr, words))
    return f"{which} {count} as missing, in {rows:,} rows; missing=[...] (--missing WORD) says which words do"


def plain_array(values: object) -> NDArray[Any]:
    """Return a numpy array of a list, an array, or a series of pandas or polars.

    Example:
        >>> plain_array([1, 2]).dtype.kind
        'i'
    """
    if isinstance(values, np.ndarray):
        return values
    if "128" in str(getattr(values, "dtype", "")):  # numbers of polars that numpy has no type for
        values = values.to_list()  # pyright: ignore[reportAttributeAccessIssue]
    convert = getattr(values, "to_numpy", None)
    return np.asarray(values if convert is None else convert())


def to_numbers(values: object, name: str) -> NDArray[Any]:
    """Return numbers (N,): integers stay integers, None becomes NaN, and strings are read as numbers.

    Raises:
        ArgumentTypeError: a value is not a number; the message has the first one.

    Example:
        >>> to_numbers(["4", "", "3.5"], "label").tolist()
        [4.0, nan, 3.5]
    """
    array = plain_array(values)
    if array.ndim != 1:
        raise ArgumentError(name, "one value for each row", Verbatim(f"shape {array.shape}"))
    if array.dtype.kind == "b":
        return array.astype(np.int8)
    if array.dtype.kind in "iuf":
        return array
    return _read(array, name)


def _read(array: NDArray[Any], name: str) -> NDArray[np.float64]:
    try:
        if array.dtype.kind == "O":
            missing = np.array([value is None or value in MISSING_WORDS for value in _stripped(array)], dtype=np.bool_)
            return np.where(missing, np.nan, array).astype(np.float64)
        if array.dtype.kind == "S":
            array = np.char.decode(array, "utf-8")
        if array.dtype.kind == "U":
            stripped = np.char.strip(array)
            return np.where(np.isin(stripped, list(MISSING_WORDS)), "nan", stripped).astype(np.float64)
    except (TypeError, ValueError):
        wrong = next(value for value in array.tolist() if not _is_number(value))
        raise ArgumentTypeError(name, "numbers", wrong) from None
    raise ArgumentTypeError(name, "numbers", Verbatim(f"values of {array.dtype}"))


def _is_number(value: Any) -> bool:
    try:
        float("nan" if value is None or (isinstance(value, str) and value.strip() in MISSING_WORDS) else value)
    except (TypeError, ValueError):
        return False
    return True


def _stripped(array: NDArray[Any]) -> list[Any]:
    return [value.strip() if isinstance(value, str) else value for value in array.tolist()]
