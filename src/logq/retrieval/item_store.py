"""ItemStore: the interface of databases of items, and the conditions on columns that they turn into SQL."""

import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import check_int, shown
from logq.retrieval.index_checks import (
    Combine,
    Metric,
    check_choice,
    check_exclusion,
    check_ids,
    check_new_ids,
    check_queries,
    check_vectors,
)
from logq.retrieval.index_kinds import make_index
from logq.retrieval.item_index import Ids, ItemIndex, SearchResult, Vectors

__all__ = [
    "NEW_ROWS",
    "Answer",
    "Condition",
    "ItemStore",
    "StoredItems",
    "check_columns",
    "check_conditions",
    "check_name",
    "check_table",
    "check_values",
    "removed_ids",
    "where_clause",
]

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


Answer: TypeAlias = list[tuple[int, float]]

NEW_ROWS: Final = "logq_new"
"""What the databases call new rows while they are written."""


class StoredItems(NamedTuple):
    """Items as they are in a database, by ascending id.

    Attributes:
        ids: (n,) int64.
        vectors: (n, D) float32.
        columns: the values of each column, None where there is none.

    Example:
        >>> items = StoredItems(np.array([3]), np.ones((1, 2), dtype=np.float32), {"city": ["Rome"]})
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    columns: dict[str, list[Any]]


class ItemStore(ABC):
    """A table of a database: id, vector, and columns of integers, numbers, text or truth values.

    A condition is a triple (column, operator, value) with an operator of = != < <= > >= in, "not in"; a search takes
    the items that all conditions hold for, among which those without a value are only where (column, "=", None) asks
    for them. Values are bound as parameters, never written into SQL; names of columns must be names and are quoted.

    Attributes:
        dim: D, the numbers of a vector.
        metric: "inner_product" or "cosine".
        columns: the types of the columns: "int", "float", "text" or "bool".
    """

    dim: int
    metric: Metric
    columns: dict[str, str]

    def __enter__(self) -> Self:
        """Return itself; the end of the block closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the database."""
        self.close()

    @abstractmethod
    def __len__(self) -> int:
        """Return how many items there are."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    @abstractmethod
    def remove(self, ids: Ids) -> int:
        """Remove items, and return how many there were."""

    @abstractmethod
    def read(self, where: Sequence[Condition] = ()) -> StoredItems:
        """Return the items that all conditions hold for."""

    @abstractmethod
    def _write(self, ids: list[int], vectors: NDArray[np.float32], columns: Mapping[str, list[Any]]) -> None:
        """Write checked items, in the place of those with the same ids."""

    @abstractmethod
    def _search(self, queries: NDArray[np.float32], k: int, where: Sequence[Condition], unwanted: list[int]) -> Answer:
        """Return the k best (id, score) of the maximum over queries (K, D), best first, equal scores by id."""

    def write(self, ids: Ids, vectors: Vectors, columns: Mapping[str, Sequence[Any]] | None = None) -> None:
        """Write items; those that are here already are replaced. All of them are written or none.

        Args:
            ids: (n,) integers >= 0, each once.
            vectors: (n, D), none of them zero where the metric is "cosine": a zero vector has no direction.
            columns: the values of each column of the table; None, and NaN among numbers, is no value.

        Raises:
            TypeError: a value is not of its column's type.
            ValueError: columns are missing or unknown, or ids, vectors or values do not fit.
        """
        table = check_vectors("vectors", vectors, self.dim, device=torch.device("cpu"))
        new = check_new_ids(ids, len(table)).tolist()
        rows = np.ascontiguousarray(table.numpy())
        self._check_directions("vectors", rows)
        given = dict(columns or {})
        if given.keys() != self.columns.keys():
            raise ValueError(f"columns: expected {', '.join(self.columns) or 'none'}, got {', '.join(given) or 'none'}")
        values = {name: check_values(name, given[name], kind, len(new)) for name, kind in self.columns.items()}
        if new:
            self._write(new, rows, values)

    def search(
        self,
        queries: Vectors,
        k: int = 10,
        *,
        where: Sequence[Condition] = (),
        exclude: tuple[Ids, Ids] | None = None,
        combine: Combine = "max",
    ) -> SearchResult:
        """Return the k best items for each query, as `ItemIndex.search` does; a question to the database a row.

        Args:
            queries: one vector a row (B, D), or K (B, K, D).
            k: how many items a row.
            where: conditions that hold for every item that comes.
            exclude: ids that a row must not get, as (ids, offsets).
            combine: how the K scores of an item become one; "max" or "sum".

        Raises:
            TypeError: an argument has a type that it cannot have.
            ValueError: a shape, number, column or operator does not fit.
        """
        k = check_int("k", k)
        check_choice("combine", combine, ("max", "sum"))
        asked = check_queries(queries, self.dim, device=torch.device("cpu")).numpy()
        unwanted = check_exclusion(exclude, len(asked))
        where = check_conditions(where, self.columns)
        self._check_directions("queries", asked)
        factors = np.ones(len(asked))
        if combine == "sum" and asked.shape[1] > 1:
            if self.metric == "cosine":
                asked = asked / np.linalg.norm(asked, axis=2, keepdims=True)
            asked = asked.sum(axis=1, keepdims=True)  # the sum of products is the product with the sum
            if self.metric == "cosine":
                self._check_directions("queries", asked)
                factors = np.linalg.norm(asked[:, 0], axis=1)  # which a cosine divides by
        scores = torch.full((len(asked), k), -torch.inf)
        ids = torch.full((len(asked), k), -1, dtype=torch.int64)
        for row, vectors in enumerate(asked):
            gone = [] if unwanted is None else unwanted.ids[slice(*unwanted.offsets[row : row + 2].tolist())].tolist()
            answer = self._search(vectors.astype(np.float32), k, where, gone)
            if answer:
                found, values = zip(*answer, strict=True)
                ids[row, : len(found)] = torch.tensor(found)
                scores[row, : len(found)] = torch.tensor(values) * float(factors[row])
        return SearchResult(scores, ids)

    def index(self, kind: str = "exact", *, where: Sequence[Condition] = (), **options: Any) -> ItemIndex:
        """Return an index in memory of the items that all conditions hold for; see `make_index`."""
        items = self.read(where)
        return make_index(kind, items.vectors, items.ids, metric=self.metric, **options)

    def _check_directions(self, name: str, vectors: NDArray[np.float32]) -> None:
        zero = ~vectors.any(axis=-1)
        if self.metric == "cosine" and zero.any():
            raise ValueError(f"{name}: expected vectors other than zero for cosine, row {int(np.argwhere(zero)[0][0])}")

    def _describe(
        self,
        place: str | os.PathLike[str],
        found: tuple[int, dict[str, str]] | None,
        dim: int | None,
        columns: Mapping[str, str] | None,
        metric: Metric,
    ) -> bool:
        """Take over what the table has, or what it shall have; return whether it must be made."""
        check_choice("metric", metric, ("inner_product", "cosine"))
        self.metric = metric
        wanted = None if columns is None else check_columns(columns)
        if found is None:
            if dim is None:
                raise ValueError(f"dim: {os.fspath(place)} has no such table yet; expected the numbers of a vector")
            self.dim, self.columns = check_int("dim", dim), wanted or {}
            return True
        self.dim, self.columns = found[0], check_columns(found[1])
        if dim is not None and dim != self.dim:
            raise ValueError(f"dim: the table in {os.fspath(place)} has vectors of {self.dim} numbers, got {dim}")
        if wanted is not None and wanted != self.columns:
            raise ValueError(f"columns: the table in {os.fspath(place)} has {self.columns}, got {wanted}")
        return False


def check_table(table: str) -> str:
    """Return the name of a table, which must be a plain one, and not that of the rows on their way into it."""
    if check_name("table", table).lower() == NEW_ROWS:
        raise ValueError(f"table: expected a name other than {NEW_ROWS}, which new rows have while they are written")
    return table


def removed_ids(ids: Ids) -> list[int]:
    """Return ids that shall go, each once."""
    return sorted(set(check_ids("ids", ids).tolist()))
