"""Indexes by name: made, read back, and measured against exact search."""

import os
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import torch

from logq._arguments import check_int
from logq.retrieval.exact_index import ExactIndex
from logq.retrieval.faiss_index import FaissIndex
from logq.retrieval.index_checks import Metric, check_choice
from logq.retrieval.index_file import read_index_file
from logq.retrieval.item_index import Ids, ItemIndex, Vectors
from logq.retrieval.usearch_index import UsearchIndex

__all__ = ["INDEX_KINDS", "IndexRecall", "index_recall", "load_index", "make_index"]

_MAKERS: dict[str, Callable[..., ItemIndex]] = {
    "exact": ExactIndex,
    "faiss-flat": lambda *args, **options: FaissIndex(*args, kind="flat", **options),
    "faiss-ivf": lambda *args, **options: FaissIndex(*args, kind="ivf", **options),
    "faiss-hnsw": lambda *args, **options: FaissIndex(*args, kind="hnsw", **options),
    "faiss-pq": lambda *args, **options: FaissIndex(*args, kind="pq", **options),
    "usearch": UsearchIndex,
}

INDEX_KINDS: Final = tuple(_MAKERS)
"""The names that `make_index` knows."""


def make_index(
    kind: str, vectors: Vectors, ids: Ids | None = None, *, metric: Metric = "inner_product", **options: Any
) -> ItemIndex:
    """Make an index of items.

    Args:
        kind: "exact", "faiss-flat", "faiss-ivf", "faiss-hnsw", "faiss-pq" or "usearch".
        vectors: (n, D) vectors of items.
        ids: (n,) their ids, integers >= 0; None means 0 to n - 1.
        metric: "inner_product" or "cosine".
        options: of `ExactIndex`, `FaissIndex` or `UsearchIndex`.

    Raises:
        ModuleNotFoundError: its library is not installed; the message says how to.
        ValueError: the kind is none of these, or what the index itself refuses.

    Example:
        >>> make_index("exact", torch.eye(3), metric="cosine").search([[0.1, 3.0, 0.2]], k=1).ids.tolist()
        [[1]]
    """
    return _MAKERS[check_choice("kind", kind, INDEX_KINDS)](vectors, ids, metric=metric, **options)


def load_index(folder: str | os.PathLike[str]) -> ItemIndex:
    """Read an index of any kind that `save` wrote; nothing in the file is ever executed.

    Raises:
        ModuleNotFoundError: its library is not installed; the message says how to.
        OSError: the file cannot be read.
        ValueError: it is damaged, truncated or changed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     make_index("exact", torch.eye(3)).save(folder)
        ...     len(load_index(folder))
        3
    """
    kind = check_choice(f"{os.fspath(folder)}: kind", read_index_file(folder)[1]["kind"], INDEX_KINDS)
    family = {"exact": ExactIndex, "usearch": UsearchIndex}.get(kind, FaissIndex)
    return family.load(folder)


_COMPARED = 1 << 22  # pairs of answers at a time, each a byte


class IndexRecall(NamedTuple):
    """The mean share of the true k best items that an index found, and how many queries it is the mean of.

    Example:
        >>> recall, queries, k = IndexRecall(0.98, 1000, 10)
    """

    recall: float
    queries: int
    k: int


def index_recall(
    approximate: ItemIndex,
    exact: ItemIndex,
    queries: Vectors,  # (B, D) or (B, K, D)
    k: int = 10,
    *,
    exclude: tuple[Ids, Ids] | None = None,
    allow: Ids | None = None,
) -> IndexRecall:
    """Compare an index with exact search.

        recall = mean_b |approximate k best of b  and  exact k best of b| / |exact k best of b|

    Args:
        approximate: the index that is asked how good it is.
        exact: an `ExactIndex` of the same items and metric.
        queries: as for a search.
        k: how many items a row.
        exclude: as for a search.
        allow: as for a search.

    Returns:
        The recall, NaN where no query has an answer, and of how many queries it is.

    Raises:
        ValueError: the indexes have different metrics, dimensions or items.

    Example:
        >>> from logq.retrieval import ExactIndex
        >>> exact, half = ExactIndex(torch.eye(4)), ExactIndex(torch.eye(4) * 0.5)
        >>> index_recall(half, exact, torch.eye(4), k=1)
        IndexRecall(recall=1.0, queries=4, k=1)
    """
    k = check_int("k", k)
    if (approximate.metric, approximate.dim) != (exact.metric, exact.dim):
        raise ValueError(
            f"exact: expected metric {approximate.metric} of {approximate.dim} dimensions, "
            f"got {exact.metric} of {exact.dim}"
        )
    if not approximate.ids.equal(exact.ids):
        raise ValueError(f"exact: expected the same items, got {len(exact)} ids in the place of {len(approximate)}")
    found = approximate.search(queries, k, exclude=exclude, allow=allow).ids.cpu()
    truth = exact.search(queries, k, exclude=exclude, allow=allow).ids.cpu()
    there = truth >= 0
    step = max(1, _COMPARED // (k * k))
    parts = zip(truth.split(step), found.split(step), strict=True)
    same = [(true.unsqueeze(2) == other.unsqueeze(1)).any(2) for true, other in parts]
    hits = (torch.cat(same) & there).sum(1).double()
    answered = there.any(1)
    shares = (hits / there.sum(1))[answered]
    return IndexRecall(float(shares.mean()) if len(shares) else float("nan"), int(answered.sum()), k)
