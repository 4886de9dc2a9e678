"""The face of databases of items: vectors with columns about them, searched by vector and condition."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import Self

from logq.arguments import check_int
from logq.retrieval.checks import (
    Combine,
    Metric,
    check_choice,
    check_exclusion,
    check_ids,
    check_new_ids,
    check_queries,
    check_vectors,
)
from logq.retrieval.conditions import Condition, check_columns, check_conditions, check_name, check_values
from logq.retrieval.index import Ids, ItemIndex, SearchResult, Vectors
from logq.retrieval.making import make_index

__all__ = ["NEW_ROWS", "Answer", "ItemStore", "StoredItems", "check_table", "removed_ids"]

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
    """A table of a database: id, vector, and columns of whole numbers, numbers, text or truth values.

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
            ids: (n,) whole numbers >= 0, each once.
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
