"""Indexes by kind: making, loading, and comparing them with exact search."""

import os
import pkgutil
from typing import Any, NamedTuple

import torch

from logq._arguments import ArgumentError, Verbatim, check_int
from logq.retrieval.index_checks import Metric, check_choice
from logq.retrieval.index_file import read_index_file, read_index_kind
from logq.retrieval.index_registry import INDEX_KINDS, INDEXES
from logq.retrieval.item_index import Ids, ItemIndex, Vectors

__all__ = ["IndexRecall", "index_class", "index_recall", "load_index", "make_index", "query_shares"]

_COMPARED = 1 << 22  # pairs of answers at a time, one byte each


def make_index(
    kind: str, vectors: Vectors, ids: Ids | None = None, *, metric: Metric = "inner_product", **options: Any
) -> ItemIndex:
    """Make an index of items.

    Args:
        kind: "exact", "faiss-flat", "faiss-ivf", "faiss-hnsw", "faiss-pq", "usearch" or "hnswlib".
        vectors: (n, D) vectors of items.
        ids: (n,) their ids, integers >= 0; None means 0 to n - 1.
        metric: "inner_product" or "cosine".
        options: of `ExactIndex`, `FaissIndex`, `UsearchIndex` or `HnswlibIndex`.

    Raises:
        ModuleNotFoundError: its library is not installed; the message says how to.
        ArgumentError: the kind is not one of these, or an argument of the index is out of range.

    Example:
        >>> make_index("exact", torch.eye(3), metric="cosine").search([[0.1, 3.0, 0.2]], k=1).ids.tolist()
        [[1]]
    """
    entry = INDEXES[check_choice("kind", kind, INDEX_KINDS)]
    return index_class(kind)(vectors, ids, metric=metric, **entry.options, **options)


def index_class(kind: str) -> Any:
    """Return the class of a kind of index.

    Example:
        >>> index_class("exact").__name__
        'ExactIndex'
    """
    return pkgutil.resolve_name(INDEXES[kind].location)


def load_index(folder: str | os.PathLike[str], *, check: bool = True) -> ItemIndex:
    """Read an index of any kind that `save` wrote; nothing in the file is ever executed.

    Args:
        folder: where it is.
        check: compare the digests in the file, at about the speed of a copy.

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
    kind = read_index_kind(folder)
    if kind not in INDEX_KINDS:
        read_index_file(folder)  # which says what is wrong with the file, if there is more
        raise ValueError(f"{os.fspath(folder)}: expected an index of kind {', '.join(INDEX_KINDS)}, it holds {kind!r}")
    return index_class(kind).load(folder, check=check)


class IndexRecall(NamedTuple):
    """The mean share of the true k best items that an index finds, and the number of queries it is the mean of.

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
        approximate: the index to evaluate.
        exact: an `ExactIndex` of the same items and metric.
        queries: as for a search.
        k: number of items for each query.
        exclude: as for a search.
        allow: as for a search.

    Returns:
        The recall, NaN where no query has an answer, and the number of queries it is the mean of.

    Raises:
        ArgumentError: the indexes have different metrics, dimensions or items.

    Example:
        >>> from logq.retrieval import ExactIndex
        >>> exact, half = ExactIndex(torch.eye(4)), ExactIndex(torch.eye(4) * 0.5)
        >>> index_recall(half, exact, torch.eye(4), k=1)
        IndexRecall(recall=1.0, queries=4, k=1)
    """
    k = check_int("k", k)
    if (approximate.metric, approximate.dim) != (exact.metric, exact.dim):
        raise ArgumentError(
            "exact",
            f"metric {approximate.metric} of {approximate.dim} dimensions",
            Verbatim(f"{exact.metric} of {exact.dim}"),
        )
    if not approximate.ids.equal(exact.ids):
        raise ArgumentError("exact", "the same items", Verbatim(f"{len(exact)} instead of {len(approximate)}"))
    found = approximate.search(queries, k, exclude=exclude, allow=allow).ids.cpu()
    truth = exact.search(queries, k, exclude=exclude, allow=allow).ids.cpu()
    shares = query_shares(found, truth)
    return IndexRecall(float(shares.mean()) if len(shares) else float("nan"), len(shares), k)


def query_shares(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the share of the true best items that was found for each query that has any.

    Args:
        found: (B, k) int64 ids, -1 for none.
        truth: (B, k) int64 ids of exact search.

    Returns:
        (B',) float64.

    Example:
        >>> query_shares(torch.tensor([[1, 5]]), torch.tensor([[1, 2]]))
        tensor([0.5000], dtype=torch.float64)
    """
    present, k = truth >= 0, truth.shape[1]
    step = max(1, _COMPARED // (k * k))
    parts = zip(truth.split(step), found.split(step), strict=True)
    same = [(true.unsqueeze(2) == other.unsqueeze(1)).any(2) for true, other in parts]
    hits = (torch.cat(same) & present).sum(1).double()
    answered = present.any(1)
    return (hits / present.sum(1))[answered]
