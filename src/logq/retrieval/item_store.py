"""`ItemStore`: the interface of databases of items, and the conditions on columns that become SQL."""

import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq.retrieval.index_checks import (
    Combine,
    Metric,
    check_choice,
    check_ids,
    check_new_ids,
    check_search,
    check_vectors,
)
from logq.retrieval.index_kinds import make_index
from logq.retrieval.item_index import Ids, ItemIndex, SearchResult, Vectors
from logq.text.words import has_utf8_form

__all__ = [
    "NEW_ROWS",
    "Answer",
    "Condition",
    "ItemStore",
    "StoredItems",
    "check_conditions",
    "check_table",
    "column_kinds",
    "removed_ids",
    "where_clause",
]

Condition: TypeAlias = tuple[str, str, Any]
Answer: TypeAlias = list[tuple[int, float]]

NEW_ROWS: Final = "logq_new"
"""The name of a temporary table of new rows."""

_ORDER: Final = ("=", "!=", "<", "<=", ">", ">=")
_SETS: Final = ("in", "not in")
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


def check_values(column: str, values: Sequence[Any], kind: str, count: int) -> list[Any]:
    """Return the values of a column as values of Python; NaN is None.

    Raises:
        ArgumentTypeError: a value has another type; the message has its row.
        ArgumentError: there are more or fewer than `count`, or a database cannot store one.

    Example:
        >>> check_values("price", [1, None, float("nan")], "float", 3)
        [1.0, None, None]
    """
    plain = cast("list[Any]", values.tolist() if isinstance(values, np.ndarray) else list(values))
    if len(plain) != count:
        raise ArgumentError("columns", f"{count} values of {column}", len(plain))
    return [_value("columns", f"in {column}, row {row}", value, kind) for row, value in enumerate(plain)]


def check_conditions(where: Sequence[Condition], columns: Mapping[str, str]) -> list[Condition]:
    """Return conditions whose columns exist and whose values have their types; `id` is a column too.

    Raises:
        ArgumentTypeError: a condition is not a triple, or a value has another type.
        ArgumentError: a column or operator is unknown.

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
        if operator in _SETS:
            if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset | np.ndarray):
                raise ArgumentTypeError("where", f"several values {place}", value)
            plain = cast("list[Any]", value.tolist() if isinstance(value, np.ndarray) else list(value))
            if None in plain:
                hint = f"rows without a value are found by ({column!r}, '=', None)"
                raise ArgumentTypeError("where", f"values {place}", None, hint)
            checked.append((column, operator, [_value("where", place, one, kind) for one in plain]))
        elif operator in _ORDER:
            plain = _value("where", place, value, kind)
            if plain is None and operator not in ("=", "!="):
                raise ArgumentTypeError("where", f"a value {place}", value)
            checked.append((column, operator, plain))
        else:
            raise ArgumentError("where", f"one of the operators {', '.join(_ORDER + _SETS)}", operator)
    return checked


def where_clause(where: Sequence[Condition], mark: str, contains: Callable[[str, str], str]) -> tuple[str, list[Any]]:
    """Return SQL with placeholders for values, and the values; TRUE where there is no condition.

    Args:
        where: checked conditions.
        mark: the placeholder of a value: "?" or "%s".
        contains: (quoted column, column) -> SQL for whether a bound list contains it.

    Example:
        >>> where_clause([("price", "<", 3.5), ("city", "=", None)], "?", lambda quoted, name: "")
        ('"price" < ? AND "city" IS NULL', [3.5])
    """
    parts: list[str] = []
    values: list[Any] = []
    for column, operator, value in where:
        quoted = f'"{column}"'  # `check_conditions` allows only names that need no more than quotes
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


def column_kinds(table: str, types: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, str]:
    """Return the kinds of the columns of a table from their types in SQL.

    Raises:
        ArgumentError: a type is unknown.

    Example:
        >>> column_kinds("items", {"city": "VARCHAR"}, {"VARCHAR": "text", "DOUBLE": "float"})
        {'city': 'text'}
    """
    unknown = {name: sql for name, sql in types.items() if sql not in kinds}
    if unknown:
        raise ArgumentError("table", f"columns of the types {', '.join(kinds)} in {table!r}", unknown)
    return {name: kinds[sql] for name, sql in types.items()}


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
    if kind == "int" and not -_INT64 <= value < _INT64:
        raise ArgumentError(argument, f"an integer of 64 bits {place}", value)
    if isinstance(value, str) and ("\0" in value or not has_utf8_form(value)):
        raise ArgumentError(argument, f"text with a UTF-8 form and without the character 0 {place}", value)
    return float(value) if kind == "float" else value


class StoredItems(NamedTuple):
    """Items of a database, by ascending id.

    Attributes:
        ids: (n,) int64.
        vectors: (n, D) float32.
        columns: the values of each column, None where one is missing.

    Example:
        >>> items = StoredItems(np.array([3]), np.ones((1, 2), dtype=np.float32), {"city": ["Rome"]})
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    columns: dict[str, list[Any]]


class ItemStore(ABC):
    """A table of a database: id, vector, and columns of integers, numbers, text or booleans.

    A condition is a triple (column, operator, value) with one of the operators = != < <= > >= in, "not in"; a search
    returns items that meet all conditions, and items without a value only by (column, "=", None). Values are bound as
    parameters, never written into SQL; names of columns are checked and quoted. As it holds an open connection, it
    cannot be pickled or copied.

    Attributes:
        dim: D, the dimension of the vectors.
        metric: "inner_product" or "cosine".
        columns: the types of the columns: "int", "float", "text" or "bool".
    """

    dim: int
    metric: Metric
    columns: dict[str, str]

    def __enter__(self) -> Self:
        """Return itself, which the end of the block closes."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the database."""
        self.close()

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__}: it holds an open connection and cannot be pickled or copied; open the same table "
            "again where it is needed"
        )

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    @abstractmethod
    def remove(self, ids: Ids) -> int:
        """Remove items, and return how many of them there were."""

    @abstractmethod
    def read(self, where: Sequence[Condition] = ()) -> StoredItems:
        """Return the items that meet all conditions."""

    @abstractmethod
    def _write(self, ids: list[int], vectors: NDArray[np.float32], columns: Mapping[str, list[Any]]) -> None:
        """Write checked items, replacing those with the same ids."""

    @abstractmethod
    def _search(self, queries: NDArray[np.float32], k: int, where: Sequence[Condition], excluded: list[int]) -> Answer:
        """Return the k best (id, score) of the maximum over queries (K, D), best first, equal scores by id."""

    def write(self, ids: Ids, vectors: Vectors, columns: Mapping[str, Sequence[Any]] | None = None) -> None:
        """Write items, replacing those with the same ids; either all of them are written or none.

        Args:
            ids: (n,) integers >= 0, each once.
            vectors: (n, D), none of them zero where the metric is "cosine": a zero vector has no direction.
            columns: the values of each column of the table; None, and NaN among numbers, is a missing value.

        Raises:
            ArgumentTypeError: a value does not have the type of its column.
            ArgumentError: columns are missing or unknown, or ids, vectors or values do not fit.
        """
        table = check_vectors("vectors", vectors, self.dim, device=torch.device("cpu"))
        new = check_new_ids(ids, len(table)).tolist()
        rows = np.ascontiguousarray(table.numpy())
        self._check_directions("vectors", rows)
        given = dict(columns or {})
        if given.keys() != self.columns.keys():
            raise ArgumentError("columns", ", ".join(self.columns) or "none", Verbatim(", ".join(given) or "none"))
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
        """Return the k best items for each query, like `ItemIndex.search`, by one query to the database for each row.

        Args:
            queries: one vector for each row (B, D), or K (B, K, D).
            k: number of items for each row.
            where: conditions on the items to return.
            exclude: ids to exclude for each row, as (ids, offsets).
            combine: how to combine the K scores of an item; "max" or "sum".

        Raises:
            ArgumentTypeError: an argument has a wrong type.
            ArgumentError: a shape, number, column or operator does not fit.
        """
        cpu, nothing = torch.device("cpu"), torch.empty(0, dtype=torch.int64, device="cpu")
        search = check_search(queries, k, exclude, None, combine, dim=self.dim, ids=nothing, device=cpu)
        asked, k, exclusion = search.queries.numpy(), search.k, search.exclusion
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
        scores = torch.full((len(asked), k), -torch.inf, dtype=torch.float32, device="cpu")
        ids = torch.full((len(asked), k), -1, dtype=torch.int64, device="cpu")
        for row, vectors in enumerate(asked):
            part = slice(0) if exclusion is None else slice(*exclusion.offsets[row : row + 2].tolist())
            excluded = [] if exclusion is None else exclusion.ids[part].tolist()
            answer = self._search(vectors.astype(np.float32), k, where, excluded)
            if answer:
                found, values = zip(*answer, strict=True)
                ids[row, : len(found)] = torch.tensor(found, device="cpu")
                scores[row, : len(found)] = torch.tensor(values, device="cpu") * float(factors[row])
        return SearchResult(scores, ids)

    def index(self, kind: str = "exact", *, where: Sequence[Condition] = (), **options: Any) -> ItemIndex:
        """Return an index in memory of the items that meet all conditions; see `make_index`."""
        items = self.read(where)
        return make_index(kind, items.vectors, items.ids, metric=self.metric, **options)

    def _check_directions(self, name: str, vectors: NDArray[np.float32]) -> None:
        zero = ~vectors.any(axis=-1)
        if self.metric == "cosine" and zero.any():
            row = int(np.argwhere(zero)[0][0])
            raise ArgumentError(name, "vectors other than zero, for cosine", Verbatim(f"zero in row {row}"))

    def _describe(
        self,
        database: str | os.PathLike[str],
        found: tuple[int, dict[str, str]] | None,
        dim: int | None,
        columns: Mapping[str, str] | None,
        metric: Metric,
    ) -> bool:
        """Set dimension and columns as the table has them or is to have them; return whether it must be created."""
        check_choice("metric", metric, ("inner_product", "cosine"))
        self.metric = metric
        given = None if columns is None else check_columns(columns)
        if found is None:
            if dim is None:
                raise ArgumentError("dim", f"the dimension of a new table in {os.fspath(database)}", None)
            self.dim, self.columns = check_int("dim", dim), given or {}
            return True
        self.dim, self.columns = found[0], check_columns(found[1])
        if dim is not None and dim != self.dim:
            raise ArgumentError("dim", f"{self.dim}, as the table in {os.fspath(database)} has", dim)
        if given is not None and given != self.columns:
            raise ArgumentError("columns", f"{self.columns}, as the table in {os.fspath(database)} has", given)
        return False


def check_table(table: str) -> str:
    """Return the name of a table, which must be allowed and not that of the temporary table of new rows."""
    if check_name("table", table).lower() == NEW_ROWS:
        raise ArgumentError("table", "another name than that of the temporary table of new rows", table)
    return table


def removed_ids(ids: Ids) -> list[int]:
    """Return the ids to remove, each once."""
    return sorted(set(check_ids("ids", ids).tolist()))
