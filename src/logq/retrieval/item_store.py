"""`ItemStore`: the interface of databases of items."""

import contextlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, NoReturn, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim, check_int, masked
from logq._progress import Progress
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
from logq.retrieval.item_conditions import Condition, check_columns, check_conditions, check_values
from logq.retrieval.item_index import Ids, ItemIndex, SearchResult, Vectors
from logq.tables.notebook_html import result_html
from logq.tables.short_texts import first_of, named, result_text

__all__ = ["Answer", "FoundTable", "ItemStore", "StoredItems", "best_answers", "removed_ids", "with_scheme"]

Answer: TypeAlias = list[tuple[int, float]]

_MOST_ROWS = 1 << 14  # written at a time


class StoredItems(NamedTuple):
    """Items of a database, by ascending id.

    Attributes:
        ids: (n,) int64.
        vectors: (n, D) float32.
        columns: the values of each column, None where one is missing.

    Another database takes them as they are: `other.write(*items)`.

    Example:
        >>> items = StoredItems(np.array([3]), np.ones((1, 2), dtype=np.float32), {"city": ["Rome"]})
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    columns: dict[str, list[Any]]

    def __repr__(self) -> str:
        count, dim = self.vectors.shape
        return result_text(self, f"{count:,} items", f"{dim} dimensions", first_of(map(named, self.columns)))

    def to_columns(self) -> dict[str, Any]:
        """Return the columns that `logq.to_frame` makes a table of: ids, and all that is known but the vectors."""
        return {"id": self.ids, **self.columns}

    _repr_html_ = result_html


class FoundTable(NamedTuple):
    """What a database says of a table that is there already.

    Attributes:
        dim: of its vectors.
        columns: their types; None where the database does not know them.
        metric: None where nobody wrote it down.
    """

    dim: int
    columns: dict[str, str] | None
    metric: Metric | None


class ItemStore(ABC):
    """A table of a database: id, vector, and columns of integers, numbers, text or booleans.

    A condition is a triple (column, operator, value) with one of the operators = != < <= > >= in, "not in", of which
    those of order are for numbers; a search returns items that meet all conditions, and items without a value only by
    (column, "=", None). Values never become part of the language of a database: they are bound as parameters, or
    written as literals that end themselves; names of columns are checked and quoted. As it holds an open connection, it
    cannot be pickled or copied.

    The metric is a property of the table, written into it when it is made.

    Attributes:
        dim: D, the dimension of the vectors.
        metric: "inner_product" or "cosine".
        columns: the types of the columns: "int", "float", "text" or "bool".
        atomic: whether a write that fails leaves all as it was; elsewhere what came before the failure stays.
    """

    dim: int
    metric: Metric
    columns: dict[str, str]
    atomic: ClassVar[bool]
    _numbers: ClassVar[int] = 1 << 22  # of vectors, written at a time

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

    def __repr__(self) -> str:
        columns = [f"{name} {kind}" for name, kind in self.columns.items()]
        return result_text(self, f"{self.dim} dimensions", self.metric, first_of(columns))

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
    def create_index(self, *args: Any, **options: Any) -> None:
        """Make searches approximate and fast by an index of the database, which replaces an earlier one."""

    @abstractmethod
    def _write(self, ids: list[int], vectors: NDArray[np.float32], columns: Mapping[str, list[Any]]) -> None:
        """Write one batch of checked items, replacing those with the same ids."""

    @abstractmethod
    def _search(self, queries: NDArray[np.float32], k: int, where: Sequence[Condition], excluded: list[int]) -> Answer:
        """Return the k best (id, score) of the maximum over queries (K, D), best first, equal scores by id."""

    def _transaction(self) -> contextlib.AbstractContextManager[None]:
        """Return a block of which all batches are written or none, where the database can do that."""
        return contextlib.nullcontext()

    def write(
        self,
        ids: Ids,
        vectors: Vectors,
        columns: Mapping[str, Sequence[Any]] | None = None,
        *,
        progress: bool | None = None,
    ) -> None:
        """Write items in batches, replacing those with the same ids; all of them or none where the store is `atomic`.

        Args:
            ids: (n,) integers >= 0, each once.
            vectors: (n, D), none of them zero where the metric is "cosine": a zero vector has no direction.
            columns: the values of each column of the table; None, and NaN among numbers, is a missing value.
            progress: True draws a bar, None does so on a terminal and prints lines elsewhere, False is silent.

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
        if not new:
            return
        step = max(1, min(_MOST_ROWS, self._numbers // self.dim))
        with self._transaction(), Progress(len(new), "items", "writing", progress) as line:
            for start in range(0, len(new), step):
                part = slice(start, start + step)
                self._write(new[part], rows[part], {name: column[part] for name, column in values.items()})
                line.advance(len(rows[part]))

    def update(self, ids: Ids, columns: Mapping[str, Sequence[Any]]) -> None:
        """Change some columns of items that are there; their vectors and other columns stay.

        Args:
            ids: (n,) of the items, each once.
            columns: new values of these columns.

        Raises:
            ArgumentTypeError: a value does not have the type of its column.
            ArgumentError: an item or a column is not there, or numbers of values do not fit.
        """
        wanted = check_ids("ids", ids)
        order = check_new_ids(wanted, len(wanted)).numpy()
        unknown = next((name for name in columns if name not in self.columns), None)
        if unknown is not None:
            raise ArgumentError("columns", f"some of {', '.join(self.columns) or 'none'}", unknown)
        values = {name: check_values(name, given, self.columns[name], len(order)) for name, given in columns.items()}
        stored = self.read([("id", "in", order)])
        missing = order[~np.isin(order, stored.ids)]
        if len(missing):
            raise ArgumentError("ids", "items that are in the table", int(missing[0]))
        places = np.argsort(order)  # ids are read in ascending order
        changed = {name: [given[place] for place in places] for name, given in values.items()}
        self.write(stored.ids, stored.vectors, {**stored.columns, **changed})

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
            where: conditions on the items to return, all of which hold.
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
            excluded = [] if exclusion is None else removed_ids(exclusion.ids[part])
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

    def _compared(self, queries: NDArray[np.float32], k: int, where: Sequence[Condition]) -> Answer:
        """Return what `_search` does, by reading all items that meet the conditions, for an index that lacks some."""
        found = self.index(where=where).search(queries[None], k)
        pairs = zip(found.ids[0].tolist(), found.scores[0].tolist(), strict=True)
        return [(number, score) for number, score in pairs if number >= 0]

    def _check_directions(self, name: str, vectors: NDArray[np.float32]) -> None:
        zero = ~np.square(vectors).any(axis=-1)  # as databases compute it: a length may be too small for float32
        if self.metric == "cosine" and zero.any():
            row = int(np.argwhere(zero)[0][0])
            raise ArgumentError(name, "vectors other than zero, for cosine", Verbatim(f"zero in row {row}"))

    def _describe(
        self,
        place: str | os.PathLike[str],
        found: FoundTable | None,
        dim: int | None,
        columns: Mapping[str, str] | None,
        metric: Metric | None,
    ) -> bool:
        """Set dimension, columns and metric as the table has them or is to have them; return whether to create it."""
        if metric is not None:
            check_choice("metric", metric, ("inner_product", "cosine"))
        given = None if columns is None else check_columns(columns)
        if found is None:
            if dim is None:
                raise ArgumentError("dim", f"the dimension of a new table in {masked(os.fspath(place))}", None)
            self.dim, self.columns, self.metric = check_int("dim", dim), given or {}, metric or "inner_product"
            return True
        self.dim, self.metric = found.dim, found.metric or metric or "inner_product"
        self.columns = check_columns(found.columns) if found.columns is not None else given or {}
        asked = {"dim": (dim, self.dim), "columns": (given, self.columns), "metric": (metric, self.metric)}
        for name, (wanted, there) in asked.items():
            if wanted not in (None, there):
                raise ArgumentError(name, f"{there}, as the table in {masked(os.fspath(place))} has", wanted)
        return False


def best_answers(parts: Sequence[Answer], k: int) -> Answer:
    """Return the k best of the maximum over answers, which are among the k best of each.

    Example:
        >>> best_answers([[(3, 0.9), (1, 0.5)], [(1, 0.7), (2, 0.7)]], k=2)
        [(3, 0.9), (1, 0.7)]
    """
    scores: dict[int, float] = {}
    for number, score in (pair for part in parts for pair in part):
        scores[number] = max(score, scores.get(number, score))
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:k]


def with_scheme(place: object) -> str:
    """Return what a host and a port may be meant for; "" for another place.

    Example:
        >>> with_scheme("localhost:6333"), with_scheme("items.db")
        ('an address of a server begins with its scheme: http://localhost:6333', '')
    """
    if not isinstance(place, str) or not re.fullmatch(r"(?:[\w-]+\.)*[\w-]+:\d+/?", place, re.ASCII):
        return ""
    return f"an address of a server begins with its scheme: http://{place}"


def removed_ids(ids: Ids) -> list[int]:
    """Return the ids to remove, each once, without those that no item has."""
    return sorted({number for number in check_ids("ids", ids).tolist() if number >= 0})
