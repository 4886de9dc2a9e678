"""`UsearchIndex`: approximate search by usearch, a graph of neighbors that is small and easy to install."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import check_int
from logq._project import load_optional
from logq.retrieval.graph_index import GraphIndex
from logq.retrieval.index_checks import Metric, check_choice, check_vectors
from logq.retrieval.item_index import Ids, Vectors
from logq.retrieval.usearch_bytes import check_usearch_bytes

__all__ = ["UsearchIndex"]


class UsearchIndex(GraphIndex):
    """Items in a graph of usearch (extra `usearch`).

    It cannot filter, so with an allow-list of many items it is asked for more; few allowed items are searched exactly.
    Items can be removed and added without building the index again.

    Args:
        vectors: (n, D) vectors of items.
        ids: (n,) their ids, integers >= 0; None means 0 to n - 1.
        metric: "inner_product" or "cosine".
        links: number of neighbors of an item in the graph.
        ef_construction: number of candidates while the graph is built.
        ef_search: number of candidates of a query.
        progress: True draws a bar, None does so on a terminal and prints lines elsewhere, False is silent.

    Raises:
        ModuleNotFoundError: usearch is not installed; the message says how to.
        ArgumentTypeError: vectors are not numbers, or ids not integers.
        ArgumentError: a number or shape does not fit.

    References:
        Malkov and Yashunin, Efficient and robust approximate nearest neighbor search using HNSW graphs, 2018.

    Example:
        >>> index = UsearchIndex(torch.eye(4))
        >>> index.search([[0.0, 1.0, 0.5, 0.0]], k=2).ids.tolist()
        [[1, 2]]
    """

    family = "usearch"

    def __init__(
        self,
        vectors: Vectors,
        ids: Ids | None = None,
        *,
        metric: Metric = "inner_product",
        links: int = 32,
        ef_construction: int = 128,
        ef_search: int = 64,
        progress: bool | None = False,
    ) -> None:
        """See the class."""
        check_choice("metric", metric, ("inner_product", "cosine"))
        table = check_vectors("vectors", vectors, device=torch.device("cpu"))
        super().__init__(table.shape[1], metric, ef_search)
        self._index = load_optional("this index", "usearch", "usearch.index").Index(
            ndim=self.dim,
            metric="ip",
            dtype="f32",  # the default is half precision
            connectivity=check_int("links", links, 2),
            expansion_add=check_int("ef_construction", ef_construction),
            expansion_search=self._ef_search,
        )
        self.add(torch.arange(len(table), device="cpu") if ids is None else ids, table, progress=progress)

    def _insert(self, first: int, vectors: NDArray[np.float32]) -> None:
        keys = np.arange(first, first + len(vectors), dtype=np.uint64)
        self._index.add(keys, vectors, threads=torch.get_num_threads())

    def _erase(self, slots: NDArray[np.int64]) -> None:
        if len(slots):
            self._index.remove(slots.astype(np.uint64), threads=torch.get_num_threads())

    def _nearest(
        self, queries: NDArray[np.float32], count: int, level: int, allowed: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if len(queries) == 0 or len(self) == 0:
            return np.zeros((len(queries), count), dtype=np.float32), np.full((len(queries), count), -1)
        # More candidates than items are of no use, and take memory.
        self._index.expansion_search = max(count, min(self._ef_search * 4**level, len(self)))
        found = self._index.search(queries, count, threads=torch.get_num_threads())
        keys, distances = (array.reshape(len(queries), -1) for array in (found.keys, found.distances))
        counts = found.counts if hasattr(found, "counts") else [keys.shape[1]]
        is_result = np.arange(keys.shape[1]) < np.asarray(counts)[:, None]
        scores = 1 - np.where(is_result, distances, 0).astype(
            np.float32
        )  # what lies behind the results may be anything
        return scores, np.where(is_result, keys.astype(np.int64), -1)

    def _is_exhaustive(self, level: int) -> bool:
        return self._ef_search * 4**level >= len(self)

    def _vectors_of(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        if len(slots) == 0:
            return np.empty((0, self.dim), dtype=np.float32)
        return np.asarray(self._index.get(slots.astype(np.uint64)), dtype=np.float32).reshape(len(slots), self.dim)

    def _to_bytes(self) -> NDArray[np.uint8]:
        return np.frombuffer(bytes(self._index.save()), dtype=np.uint8)

    @classmethod
    def _from_bytes(
        cls, data: NDArray[np.uint8], about: Mapping[str, Any], slots: int, live: NDArray[np.int64]
    ) -> Self:
        library = load_optional("this index", "usearch", "usearch.index")
        check_usearch_bytes(data, about["dim"], live)
        index: Any = library.Index.restore(data.tobytes())
        if index is None:
            raise ValueError("expected the bytes of an index of usearch")
        found = (index.ndim, len(index), index.metric_kind, index.dtype)
        expected = (about["dim"], len(live), library.MetricKind.IP, library.ScalarKind.F32)
        if found != expected:
            raise ValueError(f"expected dimension, items, metric, dtype = {expected}, got {found}")
        loaded = cls.__new__(cls)
        GraphIndex.__init__(loaded, about["dim"], about["metric"], about["options"]["ef_search"])
        loaded._index = index
        return loaded
