"""Search among all items of a recommender, in which equal scores are ranked by what knows nothing of the log."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq.retrieval.exact_index import ExactIndex
from logq.retrieval.index_checks import Metric
from logq.retrieval.item_index import ItemIndex

__all__ = ["ItemSearch", "UntiedIndex", "first_left"]

NUMBERS = 1 << 22
"""Places of rankings that are looked at at a time."""


class ItemSearch(NamedTuple):
    """What is searched for among all items.

    Args:
        k: how many of the best.
        allow: (C,), which items may be found; None for all.
        where: the index to search in, as the caller gave it; None where the model ranks by itself.
        exclude_seen: leave out what a history has.

    Example:
        >>> ItemSearch(10).exclude_seen
        False
    """

    k: int
    allow: NDArray[np.bool_] | None = None
    where: ItemIndex | None = None
    exclude_seen: bool = False


class UntiedIndex:
    """Exact search by codes of items, in which items with equal scores come in the order of their places.

    An ExactIndex puts the lower id first, and codes of items ascend with how rare they are in the whole log, the test
    included. So it is made of the places of items.

    Args:
        vectors: (C, D), by code.
        places: (C,), the place of each code among equal scores, each of 0 to C - 1 once.
        metric: "inner_product" or "cosine".

    Example:
        >>> index = UntiedIndex(torch.ones(3, 1), np.array([2, 0, 1]))
        >>> index.search(torch.ones(1, 1), 3)[1].tolist()
        [[1, 2, 0]]
        >>> index.search(torch.ones(1, 1), 2, exclude=(np.array([1]), np.array([0, 1])))[1].tolist()
        [[2, 0]]
    """

    def __init__(self, vectors: Tensor, places: NDArray[np.int64], metric: Metric = "inner_product") -> None:
        self._places = places
        self._codes = np.argsort(places)
        self._index = ExactIndex(vectors[torch.from_numpy(self._codes).to(vectors.device)], metric=metric)

    @property
    def dim(self) -> int:
        """D."""
        return self._index.dim

    def search(
        self,
        queries: Tensor,
        k: int,
        *,
        exclude: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
        allow: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and codes (n, k), -1 where there are fewer; arguments as for ItemIndex.search."""
        if exclude is not None:
            exclude = (self._places[exclude[0]], exclude[1])
        scores, found = self._index.search(
            queries, k, exclude=exclude, allow=None if allow is None else allow[self._codes]
        )
        places = found.cpu().numpy()
        return scores.cpu().numpy(), np.where(places >= 0, self._codes[places], -1)


def first_left(
    order: NDArray[np.int64],  # (m,) different items, the best first
    items: NDArray[np.int64],
    offsets: NDArray[np.int64],  # (n + 1,)
    k: int,
    num_items: int,
) -> NDArray[np.int64]:
    """The first k items (n, k) of an order that are not among those of a row, -1 where there are fewer.

    Example:
        >>> first_left(np.array([2, 0, 1]), np.array([2, 2, 1]), np.array([0, 2, 3]), 2, 3).tolist()
        [[0, 1], [2, 0]]
    """
    found = np.full((len(offsets) - 1, k), -1, dtype=np.int64)
    place = np.full(num_items, len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    longest = int(np.diff(offsets).max(initial=0))
    width = min(len(order), k + longest)
    step = max(1, NUMBERS // max(1, width))
    for begin in range(0, len(found), step):
        bounds = offsets[begin : begin + step + 1]
        rows = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        at = place[items[bounds[0] : bounds[-1]]]
        taken = np.zeros((len(bounds) - 1, width), dtype=np.bool_)
        taken[rows[at < width], at[at < width]] = True
        best = np.argsort(taken, axis=1, kind="stable")[:, :k]
        left = ~np.take_along_axis(taken, best, axis=1)
        found[begin : begin + step, : best.shape[1]] = np.where(left, order[best], -1)
    return found
