"""`QdrantItems`: items with vectors and columns in a Qdrant server."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, check_int, masked
from logq._project import load_optional
from logq.retrieval.index_checks import Metric
from logq.retrieval.item_conditions import ORDER, Condition, check_conditions, check_name
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

__all__ = ["QdrantItems"]

_DISTANCE: Final = {"inner_product": "Dot", "cosine": "Cosine"}
_METRICS: Final[dict[str, Metric]] = {"Dot": "inner_product", "Cosine": "cosine"}
_SCHEMA: Final = {"int": "integer", "float": "float", "text": "keyword", "bool": "bool"}
_RANGES: Final = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_ABOUT: Final = "logq"  # under which metadata of a collection tells the types of its columns
_EXACT: Final = 1 << 53  # from which on floats skip integers
_PAGE = 1 << 12  # items read at a time


class QdrantItems(ItemStore):
    """Items in a collection of a Qdrant server (extra `qdrant`), or of memory, for trying.

    A server searches by a graph of its own, approximately, once a collection is large; memory compares all items.
    Columns are the payload of a point, `id` among them. With the metric "cosine" Qdrant keeps vectors of length 1, and
    so they are read. A folder is refused: qdrant-client unpickles what it finds there, which may execute code, and
    needs a write to the disk for each item; who wants one all the same gives a client that opened it.

    Args:
        place: "http://host:6333"; ":memory:"; or a client of qdrant-client, which stays open.
        dim: D, needed if the collection does not exist yet.
        columns: names and types ("int", "float", "text", "bool") of the columns in addition to id and vector.
        table: the name of the collection.
        metric: "inner_product" or "cosine"; None takes that of the collection, or "inner_product" for a new one.
        api_key: of a server; None takes the environment variable QDRANT_API_KEY.

    Raises:
        ModuleNotFoundError: qdrant-client is not installed; the message says how to.
        ArgumentError: the collection differs from the arguments, or the place is a folder.

    Example:
        >>> with QdrantItems(":memory:", dim=2, columns={"city": "text"}) as items:
        ...     items.write([1, 2], [[1.0, 0.0], [0.9, 0.1]], {"city": ["Rome", "Oslo"]})
        ...     items.search([[1.0, 0.0]], k=1, where=[("city", "=", "Oslo")]).ids.tolist()
        [[2]]
    """

    atomic = False
    _numbers = 1 << 17  # a request is JSON, and servers take 32 MB

    def __init__(
        self,
        place: Any,
        dim: int | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        table: str = "items",
        metric: Metric | None = None,
        api_key: str | None = None,
    ) -> None:
        """See the class."""
        client = load_optional("this database", "qdrant", "qdrant_client")
        self._models: Any = client.models
        self._name = check_name("table", table)
        self._is_mine = not isinstance(place, client.QdrantClient)
        if not self._is_mine:
            self._client: Any = place
        elif place == ":memory:":
            self._client = client.QdrantClient(place)
        elif isinstance(place, str) and "://" in place:
            key = os.environ.get("QDRANT_API_KEY") if api_key is None else api_key
            self._client = client.QdrantClient(url=place, api_key=key, timeout=60, check_compatibility=False)
        else:
            hint = with_scheme(place) or "qdrant-client unpickles the files of a folder, which may execute code"
            raise ArgumentError("place", "the URL of a server, :memory: or a client", masked(str(place)), hint)
        self._remote = hasattr(self._client, "_client") and type(self._client._client).__name__ == "QdrantRemote"
        try:
            if self._describe(place if self._is_mine else "the client", self._found(), dim, columns, metric):
                self._create()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        """Return the number of items."""
        return int(self._client.count(self._name, exact=True).count)

    def close(self) -> None:
        """Close the connection, unless the client was given."""
        if self._is_mine:
            self._client.close()

    def remove(self, ids: Ids) -> int:
        """Remove items, and return how many of them there were."""
        wanted = removed_ids(ids)
        there = self._client.count(self._name, count_filter=self._filter([("id", "in", wanted)]), exact=True).count
        if there:
            self._client.delete(self._name, points_selector=self._models.PointIdsList(points=wanted), wait=True)
        return int(there)

    def read(self, where: Sequence[Condition] = ()) -> StoredItems:
        """Return the items that meet all conditions; see `ItemStore.read`."""
        chosen = self._filter(check_conditions(where, self.columns))
        records: list[Any] = []
        after: Any = None
        while True:
            page, after = self._client.scroll(
                self._name, scroll_filter=chosen, limit=_PAGE, offset=after, with_vectors=True
            )
            records += page
            if after is None:
                break
        records.sort(key=lambda record: record.id)
        payloads = [record.payload or {} for record in records]
        return StoredItems(
            np.array([record.id for record in records], dtype=np.int64),
            np.array([record.vector for record in records], dtype=np.float32).reshape(len(records), self.dim),
            {name: [_typed(one.get(name), kind) for one in payloads] for name, kind in self.columns.items()},
        )

    def create_index(self, *, links: int = 16, ef_construction: int = 128) -> None:
        """Have a server build its graph again with these numbers; it has one from some 10,000 items on in any case.

        Args:
            links: number of neighbors of an item in the graph.
            ef_construction: number of candidates while the graph is built.

        Raises:
            ArgumentError: a number is out of range, or it is no server: all others compare all items.
        """
        numbers = {"m": check_int("links", links, 2), "ef_construct": check_int("ef_construction", ef_construction, 4)}
        if not self._remote:
            raise ArgumentError("place", "a server, which has an index", hint="all others compare all items")
        self._client.update_collection(self._name, hnsw_config=self._models.HnswConfigDiff(**numbers))

    def _create(self) -> None:
        models = self._models
        self._client.create_collection(
            self._name,
            vectors_config=models.VectorParams(size=self.dim, distance=models.Distance(_DISTANCE[self.metric])),
            metadata={_ABOUT: json.dumps(self.columns)},
        )
        if self._remote:  # so that conditions are met within the search
            for name, kind in {"id": "int", **self.columns}.items():
                self._client.create_payload_index(self._name, name, field_schema=_SCHEMA[kind], wait=True)

    def _found(self) -> FoundTable | None:
        if not self._client.collection_exists(self._name):
            return None
        config = self._client.get_collection(self._name).config
        vectors = config.params.vectors
        distance = str(getattr(getattr(vectors, "distance", None), "value", ""))
        if distance not in _METRICS:
            expected = "the name of a collection with one vector by Dot or Cosine"
            raise ArgumentError("table", expected, self._name)
        try:
            columns = dict(json.loads((config.metadata or {})[_ABOUT]))
        except (KeyError, TypeError, ValueError, RecursionError):
            columns = None
        return FoundTable(int(vectors.size), columns, _METRICS[distance])

    def _write(self, ids: list[int], vectors: NDArray[np.float32], columns: Mapping[str, list[Any]]) -> None:
        payloads = [
            {"id": number, **{name: value for name, value in zip(columns, row, strict=True) if value is not None}}
            for number, row in zip(
                ids, zip(*columns.values(), strict=True) if columns else [()] * len(ids), strict=True
            )
        ]
        points = self._models.Batch(ids=ids, vectors=vectors.tolist(), payloads=payloads)
        self._client.upsert(self._name, points=points, wait=True)

    def _search(self, queries: NDArray[np.float32], k: int, where: Sequence[Condition], excluded: list[int]) -> Answer:
        chosen = self._filter([*where, *([("id", "not in", excluded)] if excluded else [])])
        found = [
            self._client.query_points(self._name, query=query, limit=k, query_filter=chosen, with_payload=False).points
            for query in queries.tolist()
        ]
        return best_answers([[(point.id, float(point.score)) for point in points] for points in found], k)

    def _filter(self, where: Sequence[Condition]) -> Any:
        """Return conditions in the language of Qdrant; None for none."""
        models = self._models
        if not where:
            return None
        must: list[Any] = []
        must_not: list[Any] = []
        for name, operator, value in where:
            if value is None:
                (must if operator == "=" else must_not).append(self._is_missing(name))
            elif operator in ORDER:
                if isinstance(value, int) and abs(value) >= _EXACT:
                    expected = f"an integer between -2**53 and 2**53 for {name} {operator}"
                    raise ArgumentError("where", expected, value, "Qdrant compares by order as floats do")
                must.append(models.FieldCondition(key=name, range=models.Range(**{_RANGES[operator]: value})))
            else:
                values = [value] if operator in ("=", "!=") else value
                (must if operator in ("=", "in") else must_not).append(self._is_one_of(name, values))
                if operator in ("!=", "not in") and name != "id":
                    must_not.append(self._is_missing(name))
        return models.Filter(must=must, must_not=must_not)

    def _is_missing(self, name: str) -> Any:
        models = self._models
        return models.IsEmptyCondition(is_empty=models.PayloadField(key=name))

    def _is_one_of(self, name: str, values: list[Any]) -> Any:
        models = self._models
        if name == "id":
            return models.HasIdCondition(has_id=[value for value in values if value >= 0])  # a server knows no others
        kind = self.columns[name]
        if not values:
            return models.HasIdCondition(has_id=[])
        if kind in ("int", "text"):
            return models.FieldCondition(key=name, match=models.MatchAny(any=values))
        each = [
            models.FieldCondition(key=name, match=models.MatchValue(value=value))
            if kind == "bool"
            else models.FieldCondition(key=name, range=models.Range(gte=value, lte=value))
            for value in values
        ]
        return models.Filter(should=each)


def _typed(value: Any, kind: str) -> Any:
    return float(value) if kind == "float" and value is not None else value
