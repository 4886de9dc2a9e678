"""`MilvusItems`: items with vectors and columns in Milvus, a server, or a file by Milvus Lite."""

import contextlib
import os
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim, check_int, masked
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
    with_scheme,
)
from logq.retrieval.literal_conditions import Dialect, literal_clause
from logq.retrieval.sql_tables import column_kinds

__all__ = ["MilvusItems"]

_MILVUS: Final = {"int": "INT64", "float": "DOUBLE", "text": "VARCHAR", "bool": "BOOL"}
_TYPES: Final = {milvus: kind for kind, milvus in _MILVUS.items()}
_METRIC: Final = {"inner_product": "IP", "cosine": "COSINE"}
_METRICS: Final[dict[str, Metric]] = {"IP": "inner_product", "COSINE": "cosine"}
_LONGEST: Final = 65_535  # bytes of a text
_PAGE = 1 << 12  # items read at a time
_EFFORT: Final = {"HNSW": "ef", "IVF_FLAT": "nprobe"}  # of the kinds of `create_index`
_LEAST, _LISTS, _MOST = 16, 16, 1 << 15  # candidates for each item to return, lists to search, and the most of both
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"})
_FILTER: Final = Dialect(str, lambda text: f'"{text.translate(_ESCAPES)}"', "==", "[]", "id < 0")
_WORDS: Final = ("and", "exists", "false", "in", "interval", "is", "iso", "like", "not", "null", "or", "true")


class MilvusItems(ItemStore):
    """Items in a collection of Milvus (extra `milvus`), a server, or a file, which Milvus Lite serves in this process.

    Without an index every search compares all items that meet its conditions; `create_index` makes it approximate.

    Args:
        place: "http://host:19530", or a file whose name ends in ".db", which is created if it is missing.
        dim: D, needed if the collection does not exist yet.
        columns: names and types ("int", "float", "text", "bool") of the columns in addition to id and vector; a text
            has at most 65,535 bytes.
        table: the name of the collection.
        metric: "inner_product" or "cosine"; None takes that of the collection, or "inner_product" for a new one.
        token: "user:password" or key of a server; None takes the environment variable MILVUS_TOKEN.

    Raises:
        ModuleNotFoundError: pymilvus is not installed; the message says how to.
        ArgumentError: the collection differs from the arguments, or the file has another name.

    Example:
        >>> with MilvusItems("shop.db", dim=2, columns={"city": "text"}) as items:  # doctest: +SKIP
        ...     items.write([1, 2], [[1.0, 0.0], [0.9, 0.1]], {"city": ["Rome", "Oslo"]})
        ...     items.search([[1.0, 0.0]], k=1, where=[("city", "=", "Oslo")]).ids.tolist()
        [[2]]
    """

    atomic = False
    _numbers = 1 << 21  # a request has at most 64 MB

    def __init__(
        self,
        place: str | os.PathLike[str],
        dim: int | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        table: str = "items",
        metric: Metric | None = None,
        token: str | None = None,
    ) -> None:
        """See the class."""
        where = os.fspath(place)
        self._remote = "://" in where
        if not self._remote and not where.endswith(".db"):
            raise ArgumentError("place", "a URL, or a file whose name ends in .db", masked(where), with_scheme(where))
        pymilvus = load_optional("this database", "milvus", "pymilvus")
        self._types: Any = pymilvus.DataType
        self._name = check_name("table", table)
        key = (os.environ.get("MILVUS_TOKEN", "") if token is None else token) if self._remote else ""
        self._client: Any = pymilvus.MilvusClient(where, token=key)
        try:
            if self._describe(place, self._found(), dim, columns, metric):
                self._create()
            self._client.load_collection(self._name)
            self._kind = self._index_kind()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        """Return the number of items."""
        return self._count("")

    def close(self) -> None:
        """Close the connection, or the file."""
        self._client.close()

    def remove(self, ids: Ids) -> int:
        """Remove items, and return how many of them there were."""
        where = literal_clause([("id", "in", removed_ids(ids))], _FILTER)
        count = self._count(where)
        if count:
            self._client.delete(self._name, filter=where)
        return count

    def read(self, where: Sequence[Condition] = ()) -> StoredItems:
        """Return the items that meet all conditions; see `ItemStore.read`."""
        chosen = literal_clause(check_conditions(where, self.columns), _FILTER) or "id >= 0"
        fields = ["id", "vector", *self.columns]
        rows: list[Any] = []
        if self._remote:  # which answers a query with 16,384 rows at most
            pages = self._client.query_iterator(self._name, filter=chosen, output_fields=fields, batch_size=_PAGE)
            while page := pages.next():
                rows += page
            pages.close()
        else:
            rows += self._client.query(self._name, filter=chosen, output_fields=fields)
        rows.sort(key=lambda row: row["id"])
        return StoredItems(
            np.array([row["id"] for row in rows], dtype=np.int64),
            np.array([row["vector"] for row in rows], dtype=np.float32).reshape(len(rows), self.dim),
            {name: [row.get(name) for row in rows] for name in self.columns},
        )

    def create_index(
        self,
        kind: Literal["flat", "hnsw", "ivf"] = "hnsw",
        *,
        links: int = 32,
        ef_construction: int = 128,
        nlist: int = 128,
    ) -> None:
        """Make searches approximate and fast by an index, which replaces an earlier one.

        Args:
            kind: "hnsw", a graph; "ivf", lists; "flat" compares all items again.
            links: number of neighbors of an item in the graph.
            ef_construction: number of candidates while the graph is built.
            nlist: number of lists.

        Raises:
            ArgumentError: a number is out of range.
        """
        check_choice("kind", kind, ("flat", "hnsw", "ivf"))
        graph = {"M": check_int("links", links, 2), "efConstruction": check_int("ef_construction", ef_construction)}
        numbers = {"flat": {}, "hnsw": graph, "ivf": {"nlist": check_int("nlist", nlist)}}[kind]
        self._client.release_collection(self._name)
        self._client.drop_index(self._name, "vector")
        names = {"flat": "FLAT", "hnsw": "HNSW", "ivf": "IVF_FLAT"}
        self._client.create_index(self._name, self._index(names[kind], numbers))
        self._client.load_collection(self._name)
        self._kind = names[kind]

    def _count(self, where: str) -> int:
        return int(self._client.query(self._name, filter=where, output_fields=["count(*)"])[0]["count(*)"])

    def _index_kind(self) -> str:
        return str((self._client.describe_index(self._name, "vector") or {}).get("index_type"))

    def _index(self, kind: str, numbers: dict[str, int]) -> Any:
        params = self._client.prepare_index_params()
        params.add_index("vector", index_type=kind, metric_type=_METRIC[self.metric], params=numbers)
        return params

    def _create(self) -> None:
        check_reserved(self.columns, _WORDS, "Milvus")
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", self._types.INT64, is_primary=True)
        schema.add_field("vector", self._types.FLOAT_VECTOR, dim=self.dim)
        for name, kind in self.columns.items():
            length = {"max_length": _LONGEST} if kind == "text" else {}
            schema.add_field(name, getattr(self._types, _MILVUS[kind]), nullable=True, **length)
        self._client.create_collection(
            self._name, schema=schema, index_params=self._index("FLAT", {}), consistency_level="Strong"
        )

    def _found(self) -> FoundTable | None:
        if not self._client.has_collection(self._name):
            return None
        fields = {field["name"]: field for field in self._client.describe_collection(self._name)["fields"]}
        types = {name: field["type"].name for name, field in fields.items()}
        if types.pop("vector", "") != "FLOAT_VECTOR" or types.pop("id", "") != "INT64":
            expected = "the name of a collection with fields id INT64 and vector FLOAT_VECTOR"
            raise ArgumentError("table", expected, self._name)
        about = self._client.describe_index(self._name, "vector") or {}
        compared = str(about.get("metric_type") or "")
        if compared and compared not in _METRICS:
            expected = "the name of a collection compared by IP or COSINE"
            raise ArgumentError("table", expected, Verbatim(f"{self._name!r}, compared by {compared}"))
        kinds = column_kinds(self._name, types, _TYPES)
        return FoundTable(int(fields["vector"]["params"]["dim"]), kinds, _METRICS.get(compared))

    def _write(self, ids: list[int], vectors: NDArray[np.float32], columns: Mapping[str, list[Any]]) -> None:
        values = zip(*columns.values(), strict=True) if columns else [()] * len(ids)
        rows = [
            {"id": number, "vector": vector, **dict(zip(columns, row, strict=True))}
            for number, vector, row in zip(ids, vectors.tolist(), values, strict=True)
        ]
        self._client.upsert(self._name, rows)

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        yield
        if not self._remote:  # servers do so themselves; Milvus Lite searches unsealed items twenty times slower
            self._client.flush(self._name)

    def _search(self, queries: NDArray[np.float32], k: int, where: Sequence[Condition], excluded: list[int]) -> Answer:
        chosen = literal_clause([*where, *([("id", "not in", excluded)] if excluded else [])], _FILTER)
        name = _EFFORT.get(self._kind)
        effort = _LEAST * k if name == "ef" else _LISTS
        while True:  # an index may look at too few of the items that meet the conditions
            options = {"params": {name: min(effort, _MOST)}} if name else {}
            found = self._client.search(
                self._name, queries.tolist(), limit=k, filter=chosen, output_fields=["id"], search_params=options
            )
            if not name or effort >= _MOST or all(len(hits) >= k for hits in found):
                break
            effort *= 8
        fewest = min(len(hits) for hits in found)
        if (
            name and fewest < k and self._count(chosen or "id >= 0") > fewest
        ):  # a graph does not reach all equal vectors
            excluding = [("id", "not in", excluded)] if excluded else []
            return self._compared(queries, k, [*where, *excluding])
        return best_answers([[(hit["id"], float(hit["distance"])) for hit in hits] for hits in found], k)
