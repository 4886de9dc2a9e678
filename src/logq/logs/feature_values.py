"""Values of columns: numbers and times as a log stores them, and features as codes of categories or buckets."""

import dataclasses
import warnings
from collections.abc import Sequence
from datetime import timezone
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq.logs.identifiers import Identifiers, factorize

__all__ = ["Buckets", "Categories", "Coding", "lists_of", "make_coding", "plain_array", "to_numbers", "to_times"]

_NONE: Any = None


def plain_array(values: object) -> NDArray[Any]:
    """Return a numpy array of a list, an array, or a series of pandas or polars.

    Example:
        >>> plain_array([1, 2]).dtype.kind
        'i'
    """
    if isinstance(values, np.ndarray):
        return values
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


def to_times(values: object, name: str) -> NDArray[Any]:
    """Return times (N,), int64 or float: dates become seconds since 1970 in UTC, missing ones NaN.

    Strings are read as numbers, or else as dates such as 2026-11-21 or 2026-11-21T22:25:00.

    Raises:
        ArgumentTypeError: a value is neither a number nor a date; the message has the first one.
        ArgumentError: a time is infinite, or does not fit into a signed integer of 64 bits.

    Example:
        >>> to_times(["1970-01-02", "1970-01-01T00:00:01"], "time").tolist()
        [86400, 1]
    """
    array = plain_array(values)
    if array.dtype.kind == "O" and len(array):
        first = next((value for value in array if value is not None and value == value), None)
        if hasattr(first, "isoformat"):  # dates of the standard library and of pandas, with their time zone
            array = _from_dates(array, name)
    if array.dtype.kind in "UO":
        try:
            return _checked(to_numbers(array, name), name)
        except TypeError:
            array = _read_dates(array, name)
    if array.dtype.kind == "M":
        return _seconds(array)
    return _checked(to_numbers(array, name), name)


def _checked(times: NDArray[Any], name: str) -> NDArray[Any]:
    if times.dtype.kind == "f":
        if np.isinf(times).any():
            raise ArgumentError(name, "finite numbers", times[np.isinf(times)][0].item())
        return times
    if times.size and int(times.max()) > np.iinfo(np.int64).max:
        raise ArgumentError(name, "signed integers of 64 bits", int(times.max()))
    return times.astype(np.int64, copy=False)  # differences of narrower ones may not fit


def _seconds(dates: NDArray[Any]) -> NDArray[Any]:
    fine = dates.astype("datetime64[us]")
    missing = np.isnat(fine)
    micros = fine.astype(np.int64)
    if missing.any() or (micros % 1_000_000).any():
        return np.where(missing, np.nan, micros / 1e6)
    return micros // 1_000_000


def _from_dates(array: NDArray[Any], name: str) -> NDArray[Any]:
    try:
        stamps = [np.nan if value is None or value != value else _stamp(value) for value in array.tolist()]
    except AttributeError:
        return np.array([None if value is None else value.isoformat() for value in array.tolist()], dtype=object)
    return np.array(stamps)


def _stamp(date: Any) -> float:
    # A date without a time zone is local time for the standard library, and UTC for numpy and data frames.
    return (date.replace(tzinfo=timezone.utc) if date.tzinfo is None else date).timestamp()


def _read_dates(array: NDArray[Any], name: str) -> NDArray[Any]:
    text = np.where(np.equal(array, _NONE), "", array).astype(np.str_) if array.dtype.kind == "O" else array
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy understands time zones, and warns that it does not keep them
            return np.where(text == "", "NaT", text).astype("datetime64[us]")
    except ValueError:
        wrong = next(value for value in text.tolist() if value and not _is_date(value))
        raise ArgumentTypeError(name, "numbers or dates such as 2026-11-21T22:25:00", wrong) from None


def _is_date(value: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.datetime64(value)
    except ValueError:
        return False
    return True


def _read(array: NDArray[Any], name: str) -> NDArray[np.float64]:
    try:
        if array.dtype.kind == "O":
            missing = np.equal(array, _NONE) | np.equal(array, "")
            return np.where(missing, np.nan, array).astype(np.float64)
        if array.dtype.kind in "US":
            return np.where(array == array.dtype.type(), array.dtype.type("nan"), array).astype(np.float64)
    except (TypeError, ValueError):
        wrong = next(value for value in array.tolist() if not _is_number(value))
        raise ArgumentTypeError(name, "numbers", wrong) from None
    raise ArgumentTypeError(name, "numbers", Verbatim(f"values of {array.dtype}"))


def _is_number(value: Any) -> bool:
    try:
        float("nan" if value is None or value == "" else value)
    except (TypeError, ValueError):
        return False
    return True


@dataclasses.dataclass(frozen=True, eq=False)
class Categories:
    """Codes of categories: i + 1 for value i of `known`, 0 for all others.

    Attributes:
        known: the values.
        separator: what separates several values in a string.
        several: whether a row may have several values.
    """

    known: Identifiers
    separator: str | None = None
    several: bool = False

    def __len__(self) -> int:
        """Return the number of known values."""
        return len(self.known)

    def encode(self, values: Any, name: str, width: int | None) -> NDArray[np.int32]:
        """Return the codes (m,), or (m, width)."""
        if not self.several:
            return (self.known.codes(values, name) + 1).astype(np.int32)
        flat, lengths = _flat(values, self.separator)
        return _padded(self.known.codes(flat, name) + 1, lengths, width or 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Buckets:
    """Codes of numbers cut at `edges`: 1 + the number of edges that are <= the number; 0 for NaN.

    Attributes:
        edges: (buckets - 1,) increasing.
    """

    edges: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of buckets."""
        return len(self.edges) + 1

    def encode(self, values: object, name: str, width: int | None = None) -> NDArray[np.int32]:
        """Return the codes (m,)."""
        numbers = to_numbers(values, name).astype(np.float64)
        codes = 1 + np.searchsorted(self.edges, numbers, side="right")
        return np.where(np.isnan(numbers), 0, codes).astype(np.int32)


Coding: TypeAlias = Categories | Buckets


def make_coding(
    values: Any,
    rows: NDArray[np.int64],
    name: str,
    separator: str | None,
    buckets: int | None,
    min_count: int,
    max_values: int | None,
) -> tuple[Coding, NDArray[np.int32]]:
    """Learn codes from the values at some rows, and return them with the codes of those rows.

    Categories are coded most frequent first (ties by first appearance).
    """
    if buckets is not None:
        check_int("buckets", buckets, 2)
        numbers = to_numbers(values, name)[rows].astype(np.float64)
        kept = numbers[~np.isnan(numbers)]
        if not len(kept):
            raise ArgumentError("buckets", f"numbers in the column {name!r}", Verbatim("none"))
        quantiles = np.quantile(kept, np.arange(1, buckets) / buckets)
        found = Buckets(np.unique(quantiles[quantiles > kept.min()]))
        return found, found.encode(numbers, name)
    several = has_lists(values) or (separator is not None and _has_strings(values))
    if not several:
        factor = factorize(values, name)
        codes = factor.codes[rows]
        known, ranks = _frequent(factor.keys, codes, min_count)
        return Categories(known), ranks[codes]
    flat, lengths = _flat(values, separator)
    ends = np.cumsum(lengths)
    positions = np.arange(lengths[rows].sum()) + np.repeat(
        (ends - lengths)[rows] - (np.cumsum(lengths[rows]) - lengths[rows]), lengths[rows]
    )
    factor = factorize(flat, name)
    codes = factor.codes[positions]
    known, ranks = _frequent(factor.keys, codes, min_count)
    widest = max(int(lengths[rows].max(initial=1)), 1)
    width = widest if max_values is None else min(widest, max_values)
    return Categories(known, separator, True), _padded(ranks[codes], lengths[rows], width)


def has_lists(values: Any) -> bool:
    """Return whether the values of a column are lists."""
    if hasattr(values, "to_physical"):
        return str(values.dtype).split("(")[0] in ("List", "Array")
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        return values.ndim > 1
    return any(isinstance(value, (list, tuple, set, frozenset, np.ndarray)) for value in values)


def lists_of(values: Sequence[Any]) -> list[list[Any]]:
    """Return each value as a list: a single one as a list of one, None as an empty one.

    Example:
        >>> lists_of([[1, 2], 3, None])
        [[1, 2], [3], []]
    """
    return [_list(value) for value in values]


def _list(value: Any) -> list[Any]:
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)  # strings in a set have another order in every process
    if isinstance(value, (list, tuple, np.ndarray)):
        return list(value)
    return [] if value is None or value != value else [value]


def _has_strings(values: Any) -> bool:
    return any(isinstance(value, str) for value in values)


def _flat(values: Any, separator: str | None) -> tuple[list[Any], NDArray[np.int64]]:
    """Return all values one after the other, and the number of values of each row."""
    if separator is not None and not has_lists(values):
        # Tables of items are small compared with logs, so a loop of Python over rows is affordable here.
        rows = [[part.strip() for part in value.split(separator)] if isinstance(value, str) else [] for value in values]
    else:
        rows = lists_of(values.to_list() if hasattr(values, "to_list") else list(values))
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    return list(chain.from_iterable(rows)), lengths


def _frequent(keys: NDArray[Any], codes: NDArray[Any], min_count: int) -> tuple[Identifiers, NDArray[np.int32]]:
    """Return the values that enough rows have, most frequent first, and a table from codes (and -1) to final codes."""
    counts = np.bincount(codes[codes >= 0], minlength=len(keys))
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] >= min_count]
    ranks = np.zeros(len(keys) + 1, dtype=np.int32)  # the last is that of -1
    ranks[order] = np.arange(1, len(order) + 1)
    return Identifiers(keys[order]), ranks


def _padded(codes: NDArray[Any], lengths: NDArray[np.int64], width: int) -> NDArray[np.int32]:
    """Return the known codes of each row, at most `width`, padded with -1; a row with none begins with 0."""
    rows = np.repeat(np.arange(len(lengths)), lengths)
    known = codes > 0
    rows, kept = rows[known], codes[known]
    counts = np.bincount(rows, minlength=len(lengths))
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.full((len(lengths), width), -1, dtype=np.int32)
    table[:, 0] = 0
    fits = columns < width
    table[rows[fits], columns[fits]] = kept[fits]
    return table
