"""`LanceDBItems`: items with vectors and columns in LanceDB, a folder of files here or in an object store."""

import contextlib
import json
import os
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, check_int
from logq._project import load_optional
from logq.retrieval.index_checks import Metric, check_choice
from logq.retrieval.item_conditions import Condition, check_conditions, check_name, check_reserved
from logq.retrieval.item_index import Ids
from logq.retrieval.item_store import (
    Answer,
    FoundTable,
    ItemStore,
    StoredItems,
    best_answers,
    removed_ids,
)
from logq.retrieval.literal_conditions import Dialect, literal_clause
from logq.retrieval.sql_tables import column_kinds

__all__ = ["LanceDBItems"]

_ARROW: Final = {"int": "int64", "float": "double", "text": "string", "bool": "bool"}
_TYPES: Final = {arrow: kind for kind, arrow in _ARROW.items()}
_DISTANCE: Final = {"inner_product": "dot", "cosine": "cosine"}
_METRICS: Final[tuple[Metric, ...]] = ("inner_product", "cosine")
_INDEXES: Final = {"hnsw": "HnswFlat", "ivf": "IvfFlat", "pq": "IvfPq"}
_ABOUT: Final = b"logq"  # the key of the metadata that tells the metric
_WORDS: Final = ("_distance", "_relevance_score", "_rowaddr", "_rowid", "_rowoffset", "_score")
_LENGTH: Final = 40  # bits
_SQL: Final = Dialect(
    "`{}`".format,
    lambda text: "'" + text.replace("'", "''") + "'",
    "=",
    "()",
    "false",
    f"({1 - 2**63} - 1)",
)


class LanceDBItems(ItemStore):
    """Items in a table of LanceDB (extra `lancedb`), a folder of files that needs no server.

    Without an index every search compares all rows that meet its conditions. Each write makes a new version of the
    table; `optimize` of LanceDB removes the old ones.

    Args:
        place: a folder, which is created if it is missing, or a URL such as "s3://bucket/path".
        dim: D, needed if the table does not exist yet.
        columns: names and types ("int", "float", "text", "bool") of the columns in addition to id and vector.
        table: the name of the table.
        metric: "inner_product" or "cosine"; None takes that of the table, or "inner_product" for a new one.
        storage_options: of the object store, as LanceDB takes them.

    Raises:
        ModuleNotFoundError: lancedb is not installed; the message says how to.
        ArgumentError: the table differs from the arguments, or is not a table of items.

    Example:
        >>> with LanceDBItems("shop.lancedb", dim=2, columns={"city": "text"}) as items:  # doctest: +SKIP
        ...     items.write([1, 2], [[1.0, 0.0], [0.9, 0.1]], {"city": ["Rome", "Oslo"]})
        ...     items.search([[1.0, 0.0]], k=1, where=[("city", "=", "Oslo")]).ids.tolist()
        [[2]]
    """

    atomic = True

    def __init__(
        self,
        place: str | os.PathLike[str],
        dim: int | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        table: str = "items",
        metric: Metric | None = None,
        storage_options: dict[str, str] | None = None,
    ) -> None:
        """See the class."""
        lancedb, self._indexes, self._arrow = (  # LanceDB needs pyarrow
            load_optional("this database", "lancedb", name) for name in ("lancedb", "lancedb.index", "pyarrow")
        )
        self._name = check_name("table", table)
        if os.path.isfile(place):
            raise ArgumentError("place", "a folder, or a URL", os.fspath(place))
        self._database: Any = lancedb.connect(os.fspath(place), storage_options=storage_options)
        self._table: Any = None
        if self._describe(place, self._found(), dim, columns, metric):
            check_reserved(self.columns, _WORDS, "LanceDB")
            self._table = self._database.create_table(self._name, schema=self._schema())

    def __len__(self) -> int:
        """Return the number of items."""
        return int(self._table.count_rows())

    def close(self) -> None:
        """Let go of the table; files stay open only while they are read."""
        self._table = self._database = None

    def remove(self, ids: Ids) -> int:
        """Remove items, and return how many of them there were."""
        wanted = removed_ids(ids)
        where = literal_clause([("id", "in", wanted)], _SQL)
        count = int(self._table.count_rows(where))
        if count:
            self._table.delete(where)
        return count

    def read(self, where: Sequence[Condition] = ()) -> StoredItems:
        """Return the items that meet all conditions; see `ItemStore.read`."""
        chosen = literal_clause(check_conditions(where, self.columns), _SQL)
        asked = self._table.search().select(["id", "vector", *self.columns]).limit(None)
        found = (asked.where(chosen) if chosen else asked).to_arrow().combine_chunks().sort_by("id")
        vectors = found["vector"].combine_chunks().flatten() if len(found) else np.empty(0)
        return StoredItems(
            np.asarray(found["id"], dtype=np.int64),
            np.asarray(vectors, dtype=np.float32).reshape(len(found), self.dim),
            {name: found[name].to_pylist() for name in self.columns},
        )

    def create_index(
        self,
        kind: Literal["hnsw", "ivf", "pq"] = "hnsw",
        *,
        nlist: int | None = None,
        links: int = 20,
        ef_construction: int = 300,
    ) -> None:
        """Make searches approximate and fast by an index, which replaces an earlier one.

        Args:
            kind: "hnsw", lists with a graph in each; "ivf", lists; "pq", lists of vectors as short codes.
            nlist: number of lists; None leaves it to LanceDB.
            links: number of neighbors of an item in a graph.
            ef_construction: number of candidates while a graph is built.

        Raises:
            ArgumentError: a number is out of range.
        """
        check_choice("kind", kind, tuple(_INDEXES))
        options: dict[str, Any] = {"distance_type": _DISTANCE[self.metric]}
        if nlist is not None:
            options["num_partitions"] = check_int("nlist", nlist)
        graph = {"m": check_int("links", links, 2), "ef_construction": check_int("ef_construction", ef_construction)}
        config = getattr(self._indexes, _INDEXES[kind])(**options, **(graph if kind == "hnsw" else {}))
        self._table.create_index("vector", config=config, replace=True)

    def _schema(self) -> Any:
        arrow = self._arrow
        fields = [
            arrow.field("id", arrow.int64(), nullable=False),
            arrow.field("vector", arrow.list_(arrow.float32(), self.dim), nullable=False),
            *(arrow.field(name, arrow.type_for_alias(_ARROW[kind])) for name, kind in self.columns.items()),
        ]
        return arrow.schema(fields, metadata={_ABOUT: json.dumps({"metric": self.metric})})

    def _found(self) -> FoundTable | None:
        if self._name not in self._names():
            return None
        self._table = self._database.open_table(self._name)
        schema = self._table.schema
        types = {field.name: str(field.type) for field in schema}
        vector: Any = schema.field("vector").type if "vector" in types else None
        dim = getattr(vector, "list_size", 0)
        if str(types.pop("id", "")) != "int64" or not dim or str(vector.value_type) != "float":
            raise ArgumentError("table", "the name of a table with columns id int64 and vector float[D]", self._name)
        del types["vector"]
        try:
            said: Any = json.loads((schema.metadata or {})[_ABOUT])["metric"]
        except (KeyError, TypeError, ValueError, RecursionError):
            said = None
        metric: Metric | None = next((one for one in _METRICS if one == said), None)
        return FoundTable(int(dim), column_kinds(self._name, types, _TYPES), metric)

    def _names(self) -> set[str]:
        names: set[str] = set()
        page: str | None = None
        while True:
            answer = self._database.list_tables(page_token=page)
            names |= set(answer.tables)
            page = answer.page_token
            if not page:
                return names

    def _write(self, ids: list[int], vectors: NDArray[np.float32], columns: Mapping[str, list[Any]]) -> None:
        arrow, schema = self._arrow, self._table.schema
        values = {
            "id": arrow.array(ids, arrow.int64()),
            "vector": arrow.FixedSizeListArray.from_arrays(arrow.array(vectors.ravel()), self.dim),
            **{name: arrow.array(column, schema.field(name).type) for name, column in columns.items()},
        }
        rows = arrow.table([values[name] for name in schema.names], schema=schema)
        self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(rows)

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        before = self._table.version
        try:
            yield
        except BaseException:
            if self._table.version != before:
                self._table.restore(before)
            raise

    def _search(self, queries: NDArray[np.float32], k: int, where: Sequence[Condition], excluded: list[int]) -> Answer:
        chosen = literal_clause([*where, *([("id", "not in", excluded)] if excluded else [])], _SQL)
        parts: list[Answer] = []
        for query in queries:
            factor = 1.0 if self.metric == "cosine" else _factor(query)
            asked = self._table.search(query * np.float32(factor), vector_column_name="vector")
            asked = asked.distance_type(_DISTANCE[self.metric])
            asked = asked.select(["id", "_distance"]).limit(k)
            found = (asked.where(chosen, prefilter=True) if chosen else asked).to_arrow()
            # LanceDB's distances are 1 - the product, or 1 - the cosine.
            scores = (1 - found["_distance"].to_numpy().astype(np.float64)) / factor
            parts.append(list(zip(found["id"].to_pylist(), scores.tolist(), strict=True)))
        return best_answers(parts, k)


def _factor(query: NDArray[np.float32]) -> float:
    """Return a power of 2 that makes a query so long that a product with it keeps its digits in 1 - product."""
    length = float(np.linalg.norm(query.astype(np.float64)))
    return 1.0 if length == 0 else 2.0 ** max(0, _LENGTH - int(np.frexp(length)[1]))
