"""Lists of items that a caller gives for each row: candidates, what to leave out, what to score."""

from collections.abc import Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim
from logq.recommenders.events.known_log import KnownLog, lenient_codes
from logq.recommenders.ranking.requests import is_scalar

__all__ = ["AskedItems", "ItemLists", "as_list", "codes_of", "is_nested", "read_lists"]


class ItemLists(NamedTuple):
    """A list of items for each of n rows.

    Args:
        codes: (e,) of the items of all rows, one row after the other, -1 for what is not known.
        offsets: (n + 1,), row i has codes[offsets[i] : offsets[i + 1]].

    Example:
        >>> lists = ItemLists(np.array([5, 3, 5, 9]), np.array([0, 3, 4]))
        >>> lists.part(1, 2).codes.tolist(), lists.rows.tolist(), lists.without_repeats(10).codes.tolist()
        ([9], [0, 0, 0, 1], [3, 5, 9])
    """

    codes: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @property
    def rows(self) -> NDArray[np.int64]:
        """(e,) the row of each item."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def longest(self) -> int:
        """Number of items of the row that has most."""
        return int(np.diff(self.offsets).max(initial=0))

    def part(self, begin: int, end: int) -> Self:
        """Rows begin to end."""
        offsets = self.offsets[begin : end + 1]
        return self._replace(codes=self.codes[offsets[0] : offsets[-1]], offsets=offsets - offsets[0])

    def parts(self, rows: int, entries: int) -> Iterator[tuple[int, int]]:
        """Beginnings and ends of parts of at most so many rows and entries; a single row may have more."""
        begin, count = 0, len(self.offsets) - 1
        while begin < count:
            fits = int(np.searchsorted(self.offsets, self.offsets[begin] + entries, side="right")) - 1
            end = min(begin + rows, max(begin + 1, fits), count)
            yield begin, end
            begin = end

    def keeping(self, mask: NDArray[np.bool_]) -> Self:
        """Only the items where a mask (e,) is True."""
        return self._replace(codes=self.codes[mask], offsets=np.concatenate([[0], np.cumsum(mask)])[self.offsets])

    def select(self, mask: NDArray[np.bool_]) -> Self:
        """Only the rows where a mask (n,) is True."""
        lengths = np.diff(self.offsets)
        codes = self.codes[np.repeat(mask, lengths)]
        return self._replace(codes=codes, offsets=np.concatenate([[0], np.cumsum(lengths[mask])]))

    def without_repeats(self, num_items: int) -> Self:
        """Each known item of a row once, ascending."""
        known = self.codes >= 0
        keys = np.unique(self.rows[known] * num_items + self.codes[known])
        rows, codes = np.divmod(keys, num_items)
        return self._replace(codes=codes, offsets=np.searchsorted(rows, np.arange(len(self.offsets))))

    def has(self, rows: NDArray[np.int64], codes: NDArray[np.int64], num_items: int) -> NDArray[np.bool_]:
        """Which items are in the list of their row; codes are below `num_items`, and -1 is in no list."""
        known = self.codes >= 0
        keys = self.rows[known] * num_items + self.codes[known]
        return (codes >= 0) & np.isin(rows * num_items + codes, keys)


def as_list(value: Any) -> Any:
    """A value that can be looked at twice: what can be gone through only once, such as a generator, becomes a list.

    Example:
        >>> as_list(name for name in ["tea", "cup"]), as_list({"tea": 1}.keys()), as_list("tea")
        (['tea', 'cup'], ['tea'], 'tea')
    """
    return list(cast("Iterable[Any]", value)) if isinstance(value, Iterator | KeysView | ValuesView) else value


def is_nested(value: Any) -> bool:
    """Whether a value is lists, one for each row, and not a list of ids.

    Example:
        >>> is_nested([["tea"], ["cup"]]), is_nested(["tea", "cup"]), is_nested([]), is_nested("tea")
        (True, False, False, False)
    """
    if is_scalar(value) or isinstance(value, set | frozenset | Mapping):
        return False
    if isinstance(value, np.ndarray):
        return value.ndim > 1  # pyright: ignore[reportUnknownMemberType]
    return any(not is_scalar(row) for row in value)


def codes_of(
    known: KnownLog, name: str, raw: Iterable[Any], *, lenient: bool, added: Mapping[int, Any] | None = None
) -> NDArray[np.int64]:
    """Codes of ids, which the caller's argument `name` gives, -1 for what is not known.

    Args:
        known: what the recommender remembers of its log.
        name: of the argument.
        raw: the ids.
        lenient: whether ids that are not known are no error.
        added: codes beyond those of the log, and their ids.

    Raises:
        ValueError: an id is not known, and `lenient` is False.

    Example:
        >>> from logq.logs import Interactions
        >>> known = KnownLog.of(Interactions.from_arrays(["ann", "bob"], ["tea", "cup"]))
        >>> codes_of(known, "exclude", ["cup", "gold", "new"], lenient=True, added={2: "new"}).tolist()
        [1, -1, 2]
    """
    rows = list(raw)
    own = {name: code for code, name in (added or {}).items()}
    codes = np.array([own.get(row, -1) if own else -1 for row in rows], dtype=np.int64)
    others = np.flatnonzero(codes < 0)
    if len(others):
        asked: Any = [rows[row] for row in others]
        codes[others] = lenient_codes(known.item_ids, asked) if lenient else known.item_codes(name, asked)
    return codes


def read_lists(
    known: KnownLog,
    name: str,
    value: Any,
    count: int,
    *,
    lenient: bool,
    added: Mapping[int, Any] | None = None,
) -> ItemLists:
    """Lists of ids, one for each of `count` rows, as codes; None is an empty list.

    Raises:
        ArgumentError: there are more or fewer lists, or one is not a list.
        ValueError: an id is not known, and `lenient` is False.

    Example:
        >>> from logq.logs import Interactions
        >>> known = KnownLog.of(Interactions.from_arrays(["ann", "bob"], ["tea", "cup"]))
        >>> read_lists(known, "allow", [["tea", "cup"], ["cup"]], 2, lenient=False).offsets.tolist()
        [0, 2, 3]
    """
    lists = [[] if row is None else row for row in value]
    if len(lists) != count:
        raise ArgumentError(name, f"a list of ids for each of {count} users", Verbatim(f"{len(lists)} lists"))
    wrong = next((row for row in lists if is_scalar(row)), None)
    if wrong is not None:
        raise ArgumentError(name, "a list of ids for each user", wrong)
    rows = [list(row) for row in lists]
    codes = codes_of(known, name, (item for row in rows for item in row), lenient=lenient, added=added)
    offsets = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, rows), dtype=np.int64, count=count), out=offsets[1:])
    return ItemLists(codes, offsets)


class AskedItems(NamedTuple):
    """The items that are asked about for each of n rows, and how the answer is to look.

    Args:
        lists: of each row.
        nested: whether a row has a list of answers; otherwise it has one answer.
        single: whether it is one row, which is answered without a list around it.

    Example:
        >>> asked = AskedItems(ItemLists(np.array([5, 3, 9]), np.array([0, 2, 3])), nested=True, single=False)
        >>> asked.arranged(np.array([0.5, 0.25, 1.0]), np.nan).tolist()
        [[0.5, 0.25], [1.0, nan]]
    """

    lists: ItemLists
    nested: bool
    single: bool

    @classmethod
    def read(cls, known: KnownLog, items: Any, count: int, *, single: bool, lenient: bool) -> Self:
        """Read what a caller asks about for `count` rows.

        Args:
            known: what the recommender remembers of its log.
            items: an id for all rows, an id for each row, a list of ids for each row, or one list, in a list, for all;
                for a single row an id or a list of them.
            count: n.
            single: whether it is one row that the caller asks for.
            lenient: whether ids that are not known are no error.

        Raises:
            ArgumentError: there are more or fewer ids or lists than rows.
            ValueError: an id is not known, and `lenient` is False.
        """
        if is_scalar(items):
            code = codes_of(known, "items", [items], lenient=lenient)
            return cls(ItemLists(np.repeat(code, count), np.arange(count + 1)), False, single)
        items = as_list(items)
        if isinstance(items, set | frozenset | Mapping):
            raise ArgumentError("items", "ids in an order", items)
        nested = is_nested(items)
        rows: Any = list(items)
        if single and not nested:
            rows, nested = [rows], True
        if not nested:
            if len(rows) != count:
                hint = "a list of ids for each user scores several; [[...]], one list for all of them"
                raise ArgumentError("items", f"one for each of {count} users", len(rows), hint)
            return cls(ItemLists(codes_of(known, "items", rows, lenient=lenient), np.arange(count + 1)), False, single)
        if len(rows) == 1 and count != 1:
            lists = read_lists(known, "items", rows, 1, lenient=lenient)
            codes = np.tile(lists.codes, count)
            return cls(ItemLists(codes, np.arange(count + 1) * len(lists.codes)), True, single)
        return cls(read_lists(known, "items", rows, count, lenient=lenient), True, single)

    def arranged(
        self,
        values: NDArray[Any],  # (e, ...)
        missing: Any,
    ) -> NDArray[Any]:
        """Values of the items as the answer has them: (n, m, ...) with `missing` behind, (n, ...), or of one row."""
        if not self.nested:
            return values[0] if self.single else values
        offsets, shape = self.lists.offsets, (len(self.lists.offsets) - 1, self.lists.longest, *values.shape[1:])
        if values.size == np.prod(shape):
            return values.reshape(shape)[0] if self.single else values.reshape(shape)
        table = np.full(shape, missing, dtype=object if missing is None else values.dtype)
        table[self.lists.rows, np.arange(len(values)) - offsets[self.lists.rows]] = values
        return table[0] if self.single else table
