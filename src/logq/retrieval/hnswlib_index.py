"""`HnswlibIndex`: approximate search by hnswlib, the graph of neighbors by those who invented it."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import check_int
from logq._project import load_optional
from logq.retrieval.graph_index import GraphIndex
from logq.retrieval.hnswlib_bytes import check_hnswlib_bytes
from logq.retrieval.index_checks import Metric, check_choice, check_vectors
from logq.retrieval.item_index import Ids, Vectors

__all__ = ["HnswlibIndex"]


class HnswlibIndex(GraphIndex):
    """Items in a graph of hnswlib (extra `hnswlib`, which is compiled when it is installed).

    It filters by a function of Python for each item it meets, so it is asked for more instead; few allowed items are
    searched exactly. Items can be added and removed; the memory of removed ones is freed when the index is built again.
    A graph is built by several threads, so it differs from run to run; `torch.set_num_threads(1)` prevents that.

    Args:
        vectors: (n, D) vectors of items.
        ids: (n,) their ids, integers >= 0; None means 0 to n - 1.
        metric: "inner_product" or "cosine".
        links: number of neighbors of an item in the graph.
        ef_construction: number of candidates while the graph is built.
        ef_search: number of candidates of a query.
        seed: of the levels of items in the graph.
        progress: True draws a bar, None does so on a terminal and prints lines elsewhere, False is silent.

    Raises:
        ModuleNotFoundError: hnswlib is not installed; the message says how to.
        ArgumentTypeError: vectors are not numbers, or ids not integers.
        ArgumentError: a number or shape does not fit.

    References:
        Malkov and Yashunin, Efficient and robust approximate nearest neighbor search using HNSW graphs, 2018.

    Example:
        >>> index = HnswlibIndex(torch.eye(4))  # doctest: +SKIP
        >>> index.search([[0.0, 1.0, 0.5, 0.0]], k=2).ids.tolist()  # doctest: +SKIP
        [[1, 2]]
    """

    family = "hnswlib"

    def __init__(
        self,
        vectors: Vectors,
        ids: Ids | None = None,
        *,
        metric: Metric = "inner_product",
        links: int = 32,
        ef_construction: int = 128,
        ef_search: int = 64,
        seed: int = 0,
        progress: bool | None = False,
    ) -> None:
        """See the class."""
        check_choice("metric", metric, ("inner_product", "cosine"))
        table = check_vectors("vectors", vectors, device=torch.device("cpu"))
        super().__init__(table.shape[1], metric, ef_search)
        self._index: Any = load_optional("this index", "hnswlib", "hnswlib").Index("ip", self.dim)
        self._index.init_index(
            max(1, len(table)),
            M=check_int("links", links, 2),
            ef_construction=check_int("ef_construction", ef_construction),
            random_seed=check_int("seed", seed, 0),
        )
        self.add(torch.arange(len(table), device="cpu") if ids is None else ids, table, progress=progress)

    def _insert(self, first: int, vectors: NDArray[np.float32]) -> None:
        if not len(vectors):
            return
        size = first + len(vectors)
        if size > self._index.get_max_elements():
            self._index.resize_index(size + size // 4)
        self._index.add_items(vectors, np.arange(first, size, dtype=np.uint64), num_threads=torch.get_num_threads())

    def _erase(self, slots: NDArray[np.int64]) -> None:
        for slot in slots.tolist():
            self._index.mark_deleted(slot)

    def _nearest(
        self, queries: NDArray[np.float32], count: int, level: int, allowed: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        scores = np.zeros((len(queries), count), dtype=np.float32)
        slots = np.full((len(queries), count), -1, dtype=np.int64)
        wanted = min(count, len(self))
        if not len(queries) or not wanted:
            return scores, slots
        size = len(self._slot_ids)
        candidates = max(wanted, min(self._ef_search * 4**level, size))  # more are of no use
        self._index.set_ef(candidates)

        def asked(rows: slice) -> bool:
            try:
                keys, distances = self._index.knn_query(queries[rows], k=wanted, num_threads=torch.get_num_threads())
            except RuntimeError:  # one of them reached fewer
                return False
            scores[rows, :wanted], slots[rows, :wanted] = 1 - distances, keys
            return True

        if not asked(slice(len(queries))):
            for row in range(len(queries)):
                asked(slice(row, row + 1))
        return scores, slots

    def _is_exhaustive(self, level: int) -> bool:
        return self._ef_search * 4**level >= len(self._slot_ids)

    def _vectors_of(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        if len(slots) == 0:
            return np.empty((0, self.dim), dtype=np.float32)
        return np.asarray(self._index.get_items(slots), dtype=np.float32).reshape(len(slots), self.dim)

    def _to_bytes(self) -> NDArray[np.uint8]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "index")
            self._index.save_index(str(file))
            return np.fromfile(file, dtype=np.uint8)

    @classmethod
    def _from_bytes(
        cls, data: NDArray[np.uint8], about: Mapping[str, Any], slots: int, live: NDArray[np.int64]
    ) -> Self:
        library = load_optional("this index", "hnswlib", "hnswlib")
        check_hnswlib_bytes(data, about["dim"], slots, live)
        loaded = cls.__new__(cls)
        GraphIndex.__init__(loaded, about["dim"], about["metric"], about["options"]["ef_search"])
        loaded._index = library.Index("ip", about["dim"])
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "index")
            data.tofile(file)
            loaded._index.load_index(str(file))
        return loaded
