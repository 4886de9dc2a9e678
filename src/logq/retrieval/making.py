"""Indexes by name, as the command line names them, made and read back."""

import os
from collections.abc import Callable
from typing import Any, Final

from logq.retrieval.checks import Metric, check_choice
from logq.retrieval.exact import ExactIndex
from logq.retrieval.faiss_index import FaissIndex
from logq.retrieval.index import Ids, ItemIndex, Vectors
from logq.retrieval.index_file import read_index_file
from logq.retrieval.usearch_index import UsearchIndex

__all__ = ["INDEX_KINDS", "load_index", "make_index"]

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
        ids: (n,) their ids, whole numbers >= 0; None means 0 to n - 1.
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
