"""`FaissIndex`: approximate search by faiss, with inverted lists, a graph of neighbors, or short codes."""

import contextlib
from collections.abc import Generator, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim, check_int
from logq._project import load_optional
from logq.retrieval.approximate_index import DENSER, ApproximateIndex
from logq.retrieval.faiss_bytes import check_faiss_bytes
from logq.retrieval.index_checks import Metric, check_choice, check_vectors
from logq.retrieval.item_index import Ids, SearchSetting, Vectors

__all__ = ["FaissIndex", "number_of_lists"]

FaissKind: TypeAlias = Literal["flat", "ivf", "hnsw", "pq"]

_CLASSES = {"flat": "IndexFlat", "ivf": "IndexIVFFlat", "hnsw": "IndexHNSWFlat", "pq": "IndexIVFPQ"}


class FaissIndex(ApproximateIndex):
    """Items in an index of faiss (extra `faiss`).

    | kind | search | numbers stored per item |
    |---|---|---|
    | flat | compares all items | D |
    | ivf  | k-means divides items into `nlist` lists, of which the `nprobe` nearest are searched | D |
    | hnsw | walks a graph of near items with `ef_search` candidates | D + 2 `links` ids |
    | pq   | lists as in ivf, vectors as codes of `code_bytes` bytes | code_bytes / 4 |

    Inner products of vectors of very different lengths are hard for lists and graphs; measure it by `index_recall`.
    Allowed items are filtered inside faiss, and so are removed items, until the index is built again. A graph is built
    by several threads, so it differs from run to run; `torch.set_num_threads(1)` prevents that.

    Args:
        vectors: (n, D) vectors of items, from which ivf and pq also learn lists and codes.
        ids: (n,) their ids, integers >= 0; None means 0 to n - 1.
        kind: "flat", "ivf", "hnsw" or "pq".
        metric: "inner_product" or "cosine".
        nlist: number of lists of ivf and pq; None means about 4 sqrt(n).
        nprobe: number of lists that are searched; None means a sixteenth of them, at least 8.
        links: number of neighbors of an item in the graph.
        ef_construction: number of candidates while the graph is built.
        ef_search: number of candidates of a query.
        code_bytes: bytes of a code; must divide D. None means the largest divisor of D up to D / 2.
        seed: of k-means.
        learn_from: (m, D) vectors that ivf and pq learn from instead of `vectors`, where these are added later.
        progress: True draws a bar, None does so on a terminal and prints lines elsewhere, False is silent.

    Raises:
        ModuleNotFoundError: faiss is not installed; the message says how to.
        ArgumentTypeError: vectors are not numbers, or ids not integers.
        ArgumentError: a number or shape does not fit, or there are no vectors to learn lists from.

    References:
        Malkov and Yashunin, Efficient and robust approximate nearest neighbor search using HNSW graphs, 2018.
        Jegou, Douze and Schmid, Product quantization for nearest neighbor search, TPAMI 2011.

    Example:
        >>> index = FaissIndex(torch.eye(4), kind="flat")
        >>> index.search([[0.0, 1.0, 0.5, 0.0]], k=2).ids.tolist()
        [[1, 2]]
    """

    family = "faiss"
    filters = True

    def __init__(
        self,
        vectors: Vectors,
        ids: Ids | None = None,
        *,
        kind: FaissKind = "hnsw",
        metric: Metric = "inner_product",
        nlist: int | None = None,
        nprobe: int | None = None,
        links: int = 32,
        ef_construction: int = 128,
        ef_search: int = 64,
        code_bytes: int | None = None,
        seed: int = 0,
        learn_from: Vectors | None = None,
        progress: bool | None = False,
    ) -> None:
        """See the class."""
        check_choice("kind", kind, tuple(_CLASSES))
        check_choice("metric", metric, ("inner_product", "cosine"))
        table = check_vectors("vectors", vectors, device=torch.device("cpu"))
        super().__init__(f"faiss-{kind}", table.shape[1], metric)
        self._faiss = faiss = load_optional("this index", "faiss", "faiss")
        self._ef_search = check_int("ef_search", ef_search)
        self._nprobe = 1
        with self._threads():
            if kind == "flat":
                self._index = faiss.IndexFlatIP(self.dim)
            elif kind == "hnsw":
                self._index = faiss.IndexHNSWFlat(self.dim, check_int("links", links, 2), faiss.METRIC_INNER_PRODUCT)
                self._index.hnsw.efConstruction = check_int("ef_construction", ef_construction)
            else:
                sample = table
                if learn_from is not None:
                    sample = check_vectors("learn_from", learn_from, self.dim, device=torch.device("cpu"))
                rows = (normalize(sample) if metric == "cosine" else sample).contiguous().numpy()
                lists = number_of_lists(len(rows), nlist)
                self._nprobe = min(lists, max(8, lists // 16) if nprobe is None else check_int("nprobe", nprobe))
                self._index = _learned(faiss, rows, lists, _code(self.dim, code_bytes) if kind == "pq" else None, seed)
        self.add(torch.arange(len(table), device="cpu") if ids is None else ids, table, progress=progress)

    @property
    def search_setting(self) -> SearchSetting | None:
        """The number of candidates of a query in a graph, or of lists that are searched."""
        if self.kind == "faiss-flat":
            return None
        if self.kind == "faiss-hnsw":
            return SearchSetting("ef_search", self._ef_search, len(self._slot_ids))
        return SearchSetting("nprobe", self._nprobe, self._index.nlist)

    def set_search(self, value: int) -> None:
        """Set the number of candidates or lists; see `search_setting`."""
        setting = self.search_setting
        if setting is None:
            super().set_search(value)
        elif setting.name == "ef_search":
            self._ef_search = check_int("ef_search", value)
        else:
            self._nprobe = min(check_int("nprobe", value), setting.most)

    @classmethod
    def builds(cls, kind: str, dim: int) -> tuple[dict[str, Any], ...]:
        """Return denser graphs, or longer codes; see `ItemIndex.builds`."""
        return {"faiss-hnsw": DENSER, "faiss-pq": ({"code_bytes": dim},)}.get(kind, ())

    @contextlib.contextmanager
    def _threads(self) -> Generator[None]:
        """Give faiss as many threads as torch has; each may have an OpenMP of its own."""
        before = self._faiss.omp_get_max_threads()
        self._faiss.omp_set_num_threads(torch.get_num_threads())
        try:
            yield
        finally:
            self._faiss.omp_set_num_threads(before)

    def _insert(self, first: int, vectors: NDArray[np.float32]) -> None:
        with self._threads():
            self._index.add(vectors)

    def _erase(self, slots: NDArray[np.int64]) -> None:
        pass  # a graph cannot lose items, so all kinds filter removed ones

    def _nearest(
        self, queries: NDArray[np.float32], count: int, level: int, allowed: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        faiss = self._faiss
        options: dict[str, Any] = {}
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            options["sel"] = faiss.IDSelectorBitmap(len(allowed), faiss.swig_ptr(bits))
        if self.kind == "faiss-hnsw":
            candidates = max(count, min(self._ef_search * 4**level, len(self._slot_ids)))  # more are of no use
            params = faiss.SearchParametersHNSW(efSearch=candidates, **options)
        elif self.kind == "faiss-flat":
            params = faiss.SearchParameters(**options)
        else:
            params = faiss.SearchParametersIVF(nprobe=min(self._index.nlist, self._nprobe * 4**level), **options)
        with self._threads():
            return self._index.search(queries, count, params=params)

    def _is_exhaustive(self, level: int) -> bool:
        if self.kind == "faiss-hnsw":
            return self._ef_search * 4**level >= len(self._slot_ids)
        return self.kind == "faiss-flat" or self._nprobe * 4**level >= self._index.nlist

    def _vectors_of(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._index.reconstruct_batch(slots) if len(slots) else np.empty((0, self.dim), dtype=np.float32)

    def _to_bytes(self) -> NDArray[np.uint8]:
        return self._faiss.serialize_index(self._index)

    def _options(self) -> dict[str, Any]:
        return {"nprobe": self._nprobe, "ef_search": self._ef_search}

    @classmethod
    def _from_bytes(
        cls, data: NDArray[np.uint8], about: Mapping[str, Any], slots: int, live: NDArray[np.int64]
    ) -> Self:
        kind = str(about["kind"]).removeprefix("faiss-")
        check_choice("kind", kind, tuple(_CLASSES))
        faiss = load_optional("this index", "faiss", "faiss")
        check_faiss_bytes(data, kind, about["dim"], slots)
        index: Any = faiss.deserialize_index(data)
        found = (index.d, index.ntotal, index.metric_type, index.is_trained)
        expected = (about["dim"], slots, faiss.METRIC_INNER_PRODUCT, True)
        if not isinstance(index, getattr(faiss, _CLASSES[kind])) or found != expected:
            raise ValueError(
                f"expected {_CLASSES[kind]} with dimension, vectors, metric, trained = {expected}, "
                f"got {type(index).__name__} with {found}"
            )
        if kind in ("ivf", "pq"):
            index.make_direct_map()
        loaded = cls.__new__(cls)
        ApproximateIndex.__init__(loaded, about["kind"], about["dim"], about["metric"])
        loaded._faiss, loaded._index = faiss, index
        loaded._nprobe = check_int("nprobe", about["options"]["nprobe"])
        loaded._ef_search = check_int("ef_search", about["options"]["ef_search"])
        return loaded


def number_of_lists(items: int, asked: int | None) -> int:
    """The number of lists of ivf and pq: what was asked for, or about 4 sqrt(n).

    Raises:
        ArgumentError: there are no items, or fewer than lists.

    Example:
        >>> number_of_lists(1_000_000, None)
        4000
    """
    if items == 0:
        raise ArgumentError("vectors", "at least one, to learn the lists from", Verbatim("none"))
    lists = max(1, min(round(4 * items**0.5), items // 39)) if asked is None else check_int("nlist", asked)
    if lists > items:
        raise ArgumentError("nlist", f"at most {items}, the number of vectors to learn the lists from", lists)
    return lists


def _code(dim: int, asked: int | None) -> int:
    """Return the number of parts that a vector is divided into."""
    if asked is None:
        return next(size for size in range(max(1, dim // 2), 0, -1) if dim % size == 0)
    if dim % check_int("code_bytes", asked):
        raise ArgumentError("code_bytes", f"a divisor of D = {dim}", asked)
    return asked


def _learned(faiss: Any, rows: NDArray[np.float32], lists: int, code: int | None, seed: int) -> Any:
    """Return an empty index whose lists and codes are learned from the rows."""
    nearest = faiss.IndexFlatIP(rows.shape[1])
    if code is None:
        index = faiss.IndexIVFFlat(nearest, rows.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    else:
        rows = np.concatenate([rows, rows]) if len(rows) == 1 else rows
        bits = min(8, len(rows).bit_length() - 1)  # 256 values of a part need 256 vectors
        index = faiss.IndexIVFPQ(nearest, rows.shape[1], lists, code, bits, faiss.METRIC_INNER_PRODUCT)
        index.pq.cp.min_points_per_centroid = 1
        index.pq.cp.seed = seed
    index.cp.min_points_per_centroid = 1  # or faiss writes to standard error where there are few vectors
    index.cp.seed = seed
    index.train(rows)
    index.make_direct_map()  # so that vectors can be read back
    return index
