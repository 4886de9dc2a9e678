"""How much of the truth an approximate index finds."""

from typing import NamedTuple

import torch

from logq.arguments import check_int
from logq.retrieval.index import Ids, ItemIndex, Vectors

__all__ = ["IndexRecall", "index_recall"]

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
