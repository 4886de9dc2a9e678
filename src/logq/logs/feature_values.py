"""Values of features as codes of categories or buckets."""

import dataclasses
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq.logs.identifiers import Identifiers, factorize
from logq.logs.plain_values import plain_array, to_numbers
from logq.logs.time_values import looks_like_time, to_times
from logq.logs.vector_values import lists_in_text

__all__ = [
    "Buckets",
    "Categories",
    "Coding",
    "Scale",
    "known_rows",
    "lists_of",
    "make_coding",
    "needs_buckets",
    "unknown_values",
]

FARTHEST: Final = 10.0
"""How many spreads a number may lie away from the mean."""

_SWITCHES: Final = frozenset(("true", "false"))
"""The codes of True and False, which programs write as True, true, TRUE, ..."""


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
            values = self.plain(values)[0]
            try:
                return (self.known.codes(values, name) + 1).astype(np.int32)
            except ArgumentTypeError as error:
                raise self.of_another_type(name, error.got) from None
        flat, lengths = self.plain(values)
        return _padded(self.known.codes(flat, name) + 1, lengths, width or 1)

    def of_another_type(self, name: str, got: Any) -> ArgumentTypeError:
        """Return what is raised where values have another type than those that are known."""
        expected = "strings" if self.known.kind == "str" else "integers"
        return ArgumentTypeError(name, f"{expected}, as its values were before", got)

    def plain(self, values: Any) -> tuple[Any, NDArray[np.int64]]:
        """Return what becomes codes: all values one after the other, and the number of values of each row."""
        values = plain_categories(values)
        if self.several:
            return _flat(values, self.separator)
        if len(self) and {*self.known.keys.tolist()} <= _SWITCHES:
            values = _as_switches(values)
        return values, np.ones(len(values), dtype=np.int64)


@dataclasses.dataclass(frozen=True, eq=False)
class Buckets:
    """Codes of numbers cut at `edges`: 1 + the number of edges that are <= the number; 0 for NaN.

    Dates are the numbers of seconds since 1970, durations those of seconds.

    Attributes:
        edges: (buckets - 1,) increasing.
    """

    edges: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of buckets."""
        return len(self.edges) + 1

    def encode(self, values: object, name: str, width: int | None = None) -> NDArray[np.int32]:
        """Return the codes (m,)."""
        numbers = _numbers(values, name)
        codes = 1 + np.searchsorted(self.edges, numbers, side="right")
        return np.where(np.isnan(numbers), 0, codes).astype(np.int32)


Coding: TypeAlias = Categories | Buckets


@dataclasses.dataclass(frozen=True)
class Scale:
    """Numbers in units of their spread, as vectors of two: (x - mean) / std and 1, or 0 and 0 where one is missing.

    Dates are the numbers of seconds since 1970, durations those of seconds. What lies more than 10 spreads away from
    the mean counts as if it lay there.

    Attributes:
        mean, std: of the numbers that it was made of.

    Example:
        >>> Scale.of([1.0, 3.0, None], "price").encode([2, 4, None], "price").tolist()
        [[0.0, 1.0], [2.0, 1.0], [0.0, 0.0]]
    """

    mean: float
    std: float

    @classmethod
    def of(cls, values: Any, name: str, rows: NDArray[np.int64] | None = None) -> "Scale":
        """Learn it from the values at some rows, or all.

        Raises:
            ArgumentError: none is a finite number.
        """
        numbers = _numbers(values, name)
        numbers = numbers if rows is None else numbers[rows]
        kept = numbers[np.isfinite(numbers)]
        if not len(kept):
            raise ArgumentError("numeric", f"numbers in the column {name!r}", Verbatim("none"))
        return cls(float(kept.mean()), float(kept.std()) or 1.0)

    def encode(self, values: object, name: str) -> NDArray[np.float32]:
        """Return the vectors (m, 2)."""
        numbers = _numbers(values, name)
        known = np.isfinite(numbers)
        scaled = np.where(known, (np.where(known, numbers, self.mean) - self.mean) / self.std, 0.0)
        return np.stack([scaled.clip(-FARTHEST, FARTHEST), known], axis=1).astype(np.float32)

    def rescaled(self, vectors: NDArray[np.float32], other: "Scale") -> NDArray[np.float32]:
        """Return vectors (m, 2) that another scale made, as this one makes them.

        Example:
            >>> Scale(0.0, 1.0).rescaled(np.array([[2, 1], [0, 0]], np.float32), Scale(10.0, 5.0)).tolist()
            [[10.0, 1.0], [0.0, 0.0]]
        """
        numbers = (vectors[:, 0].astype(np.float64) * other.std + other.mean - self.mean) / self.std
        known = vectors[:, 1]
        return np.stack([numbers.clip(-FARTHEST, FARTHEST) * known, known], axis=1).astype(np.float32)


def unknown_values(shape: tuple[int, ...], dtype: DTypeLike = np.int32) -> NDArray[Any]:
    """Return codes (n,), or (n, W) where a row may have several values, of rows of which nothing is known.

    Example:
        >>> unknown_values((2,)).tolist(), unknown_values((1, 3)).tolist()
        ([0, 0], [[0, -1, -1]])
    """
    found = np.zeros(shape, dtype=dtype)
    if found.ndim == 2:
        found[:, 1:] = -1
    return found


def known_rows(
    codes: NDArray[np.int64], keys: Any, name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
    """Of the rows of a table which ones count: the first of each id that is known.

    Args:
        codes: (m,) of the ids of rows, -1 for one that is unknown.
        keys: the ids, for the message.
        name: what the caller calls the table.

    Returns:
        The codes there are, ascending, the row of each, and how many rows are left out, by reason.

    Raises:
        ArgumentError: all ids are unknown.

    Example:
        >>> known_rows(np.array([4, -1, 2, 4]), ["cup", "nut", "tea", "cup"], "frame")
        (array([2, 4]), array([2, 0]), {'unknown id': 1, 'repeated id': 1})
    """
    known = np.flatnonzero(codes >= 0)
    if len(codes) and not len(known):
        got = Verbatim(
            f"none in {len(codes):,} rows, whose first is of {np.asarray(keys).reshape(-1)[:1].tolist()[0]!r}"
        )
        raise ArgumentError(name, "some ids of the log", got)
    which, first = np.unique(codes[known], return_index=True)
    rows = known[first]
    dropped = {"unknown id": len(codes) - len(known), "repeated id": len(known) - len(rows)}
    return which, rows, {reason: count for reason, count in dropped.items() if count}


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

    Raises:
        ArgumentTypeError: the values are fractions or dates, and there are no `buckets`.
    """
    if buckets is not None:
        check_int("buckets", buckets, 2)
        numbers = _numbers(values, name)[rows]
        kept = numbers[np.isfinite(numbers)]
        if not len(kept):
            raise ArgumentError("buckets", f"numbers in the column {name!r}", Verbatim("none"))
        quantiles = np.quantile(kept, np.arange(1, buckets) / buckets)
        found = Buckets(np.unique(quantiles[quantiles > kept.min()]))
        return found, found.encode(numbers, name)
    if not has_lists(values) and (reason := needs_buckets(values)):
        hint = f"{reason} are cut into buckets: buckets={{{name!r}: 10}}"
        first = next(value for value in values if value is not None and value == value and _is_uncountable(value))
        raise ArgumentTypeError(name, "integers or strings", first, hint)
    values = plain_categories(values)
    several = has_lists(values) or (separator is not None and _has_strings(values))
    if not several:
        text = _as_switches(values) if is_text(values) else []
        if text and {*text} <= {*_SWITCHES, None}:
            values = text
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


def _as_switches(values: Any) -> list[Any]:
    """The values with "True" and "FALSE" as True and False are coded, and None for blanks."""
    given: list[Any] = values.to_list() if hasattr(values, "to_list") else list(values)
    lower = [value.strip().lower() if isinstance(value, str) else value for value in given]
    return [(low or None) if low in _SWITCHES or low == "" else value for low, value in zip(lower, given, strict=True)]


def needs_buckets(values: Any, *, text: bool = False) -> str:
    """Return what of a column cannot be categories: "fractions", "dates" or "durations"; "" if nothing.

    Args:
        values: the column.
        text: whether dates that are written as text count, which can be categories as well.

    Example:
        >>> needs_buckets([0.5, None]), needs_buckets([1.0, 2.0]), needs_buckets(["2024-01-31"], text=True)
        ('fractions', '', 'dates')
    """
    if has_lists(values):
        return ""
    array = plain_array(values)
    if array.dtype.kind in "Mm":
        return "dates" if array.dtype.kind == "M" else "durations"
    if array.dtype.kind == "f":
        return "fractions" if (array[np.isfinite(array)] % 1 != 0).any() else ""
    if array.dtype.kind == "O":
        present = [value for value in array.tolist() if value is not None and value == value]
        if any(hasattr(value, "isoformat") for value in present):
            return "dates"
        if any(hasattr(value, "total_seconds") for value in present):
            return "durations"
        if any(isinstance(value, (float, np.floating)) and value % 1 for value in present):
            return "fractions"
    return "dates" if text and array.dtype.kind in "OU" and looks_like_time(array) == "dates" else ""


def plain_categories(values: Any) -> Any:
    """Return values that can be categories: True and False become strings, lists that are written as text lists.

    Example:
        >>> plain_categories([True, None, False]), plain_categories(["[1, 2]", "[3]"])
        (['true', None, 'false'], [[1, 2], [3]])
    """
    kind = str(getattr(values, "dtype", ""))
    if kind.lower() in ("bool", "boolean", "object", "") and not has_lists(values):
        given: list[Any] = values.to_list() if hasattr(values, "to_list") else list(values)
        present = [value for value in given if value is not None and value == value]
        if present and all(isinstance(value, (bool, np.bool_)) for value in present):
            return [str(bool(value)).lower() if isinstance(value, (bool, np.bool_)) else None for value in given]
    if is_text(values):
        lists = lists_in_text(values)
        if lists is not None:
            return lists
    return values


def is_text(values: Any) -> bool:
    """Return whether the first value of a column is a string.

    Example:
        >>> is_text([None, "a"]), is_text([1])
        (True, False)
    """
    kind = getattr(getattr(values, "dtype", None), "kind", "O")
    if kind != "O" and kind != "U":
        return False
    return isinstance(next((value for value in values if value is not None and value is not np.nan), None), str)


def _numbers(values: Any, name: str) -> NDArray[np.float64]:
    """Numbers as they are, dates as seconds since 1970, and durations as seconds."""
    if needs_buckets(values) == "durations":
        array = plain_array(values)
        if array.dtype.kind != "m":
            return _seconds(array)
        micros = array.astype("timedelta64[us]")
        return np.where(np.isnat(micros), np.nan, micros.astype(np.float64) / 1e6)
    if needs_buckets(values, text=True) == "dates":
        return to_times(values, name).astype(np.float64)
    return to_numbers(values, name).astype(np.float64)


def _seconds(array: NDArray[Any]) -> NDArray[np.float64]:
    return np.array([value.total_seconds() if hasattr(value, "total_seconds") else np.nan for value in array.tolist()])


def _is_uncountable(value: Any) -> bool:
    if hasattr(value, "isoformat") or hasattr(value, "total_seconds"):
        return True
    return isinstance(value, (np.datetime64, np.timedelta64)) or value % 1 != 0


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
    # Tables of items are small compared with logs, so a loop of Python over rows is affordable here.
    cuts = None if separator is None or has_lists(values) else separator
    rows = [
        [part.strip() for part in value.split(cuts)] if cuts is not None and isinstance(value, str) else _list(value)
        for value in (values.to_list() if hasattr(values, "to_list") else list(values))
    ]
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
