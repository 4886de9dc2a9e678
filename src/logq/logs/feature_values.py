"""Values of features as codes of categories or buckets."""

import dataclasses
from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim, check_int
from logq.logs.identifiers import Identifiers, factorize
from logq.logs.plain_values import to_numbers

__all__ = ["Buckets", "Categories", "Coding", "lists_of", "make_coding"]


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
