"""Search among all items of a recommender, in which equal scores are ranked by what knows nothing of the log."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq.processes import add_up, all_rows, world
from logq.recommenders.events.histories import Histories
from logq.retrieval.exact_index import ExactIndex, best, keys_of, scores_and_positions
from logq.retrieval.index_checks import Metric
from logq.retrieval.item_index import ItemIndex

__all__ = ["NUMBERS", "IndexInParts", "ItemSearch", "UntiedIndex", "best_scores", "first_left", "table_of"]

NUMBERS = 1 << 22
"""Places of rankings that are looked at at a time."""

DENSE = 8
"""How many scores of a matrix product cost no more than a single one by itself."""


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
        allowed = None if allow is None else allow[self._codes]
        return self._found(*self._index.search(queries, k, exclude=exclude, allow=allowed))

    def own(self) -> tuple[NDArray[np.int64], Tensor]:
        """The codes (n,) of the items that this process has, in the order of their places, and their vectors (n, D)."""
        return self._codes[self._index.ids.cpu().numpy()], self._index.vectors

    def of_all(
        self,
        scores: NDArray[np.float32],  # (n, k)
        codes: NDArray[np.int64],  # (n, k), -1 where the score is -inf
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k best scores and codes of all items, from the best of those that each process has."""
        device = self._index.vectors.device
        places = np.where(codes >= 0, self._places[codes], -1)
        return self._found(torch.from_numpy(scores).to(device), torch.from_numpy(places).to(device))

    def _found(self, scores: Tensor, places: Tensor) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        scores, places = self._of_all(scores, places)
        found = places.cpu().numpy()
        return scores.cpu().numpy(), np.where(found >= 0, self._codes[found], -1)

    def _of_all(self, scores: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """The best scores and places (n, k) of all items, from those of the items that this process has."""
        return scores, places

    def vectors(self, codes: NDArray[np.int64]) -> Tensor:
        """(..., D) the vectors of items, which have length 1 where the metric is "cosine"."""
        table = self._index.vectors
        return table[torch.from_numpy(self._places[codes]).to(table.device)]

    def scores_of(
        self,
        queries: Tensor,  # (n, D) or (n, K, D)
        rows: NDArray[np.int64],
        codes: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Scores (e,) by inner product of single items codes[i] for queries rows[i]; of K queries the best counts."""
        several = (queries if queries.ndim == 3 else queries[:, None]).float()
        unique, at = np.unique(codes, return_inverse=True)
        found = np.empty(len(codes), dtype=np.float32)
        with torch.autocast(several.device.type, enabled=False):
            if len(several) * len(unique) <= min(DENSE * len(codes), NUMBERS):
                table = (several @ self.vectors(unique).T).amax(1).cpu().numpy()
                return table[rows, at]
            step = max(1, NUMBERS // max(1, several[:1].numel()))
            for begin in range(0, len(codes), step):
                own = several[torch.from_numpy(rows[begin : begin + step]).to(several.device)]
                vectors = self.vectors(codes[begin : begin + step])
                found[begin : begin + step] = (own @ vectors[:, :, None])[..., 0].amax(1).cpu().numpy()
        return found


class IndexInParts(UntiedIndex):
    """The same of vectors of which each process has a part: each searches its own, and the best of all are merged.

    All processes ask the same at once, and get what one process with all vectors would find.

    Args:
        vectors: (n, D) of this process.
        codes: (n,) of these.
        places: (C,), the place of each code among equal scores, each of 0 to C - 1 once.
        metric: "inner_product" or "cosine".

    Example:
        >>> index = IndexInParts(torch.ones(3, 1), np.array([0, 2, 1]), np.array([2, 0, 1]))
        >>> index.search(torch.ones(1, 1), 3)[1].tolist(), index.vectors(np.array([2])).tolist()
        ([[1, 2, 0]], [[1.0]])
    """

    def __init__(
        self,
        vectors: Tensor,
        codes: NDArray[np.int64],
        places: NDArray[np.int64],
        metric: Metric = "inner_product",
    ) -> None:
        self._places = places
        self._codes = np.argsort(places)
        self._index = ExactIndex(vectors, places[codes], metric=metric)

    def _of_all(self, scores: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        keys = keys_of(scores, places.clamp(min=0))
        size = world().size
        every = all_rows(keys, [len(keys)] * size, doing="merge rankings").view(size, *keys.shape)
        scores, places = scores_and_positions(every.transpose(0, 1).flatten(1).topk(scores.shape[1], dim=1).values)
        return scores, places.masked_fill(scores.isneginf(), -1)

    def vectors(self, codes: NDArray[np.int64]) -> Tensor:
        """(..., D) the vectors of items, which have length 1 where the metric is "cosine"."""
        places, own = torch.from_numpy(self._places[codes]), self._index.ids
        at = torch.searchsorted(own, places).clamp(max=max(0, len(own) - 1))
        is_own = own[at] == places if len(own) else torch.zeros_like(places, dtype=torch.bool)
        table = self._index.vectors
        found = table.new_zeros(*places.shape, self.dim)
        found[is_own.to(table.device)] = table[at[is_own].to(table.device)]
        add_up(found, "bring vectors of items")  # which the others have as 0
        return found


def best_scores(
    scores: Tensor,  # (n, C), by code
    places: NDArray[np.int64],
    search: ItemSearch,
    histories: Histories,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores and codes (n, k) of the best items of whole rows of scores; -inf and -1 where there are fewer.

    Args:
        scores: of all items for n users; changed.
        places: (C,), the place of each item among equal scores.
        search: how many, and which may be found.
        histories: of the n users, whose items are left out if the search says so.

    Example:
        >>> one = Histories(np.array([2]), np.array([0, 1]), np.array([-1]))
        >>> best_scores(torch.tensor([[1.0, 1.0, 3.0]]), np.array([1, 0, 2]), ItemSearch(3, exclude_seen=True), one)[1]
        array([[ 1,  0, -1]])
        >>> best_scores(torch.tensor([[1.0, 2.0]]), np.array([0, 1]), ItemSearch(3), one)[1]
        array([[ 1,  0, -1]])
    """
    if search.exclude_seen:
        owners = np.repeat(np.arange(len(histories)), histories.lengths)
        scores[torch.from_numpy(owners), torch.from_numpy(histories.items)] = -torch.inf
    if search.allow is not None:
        scores[:, torch.from_numpy(~search.allow).to(scores.device)] = -torch.inf
    codes = np.argsort(places)
    k = min(search.k, len(codes))
    found, positions = scores_and_positions(best(scores[:, torch.from_numpy(codes).to(scores.device)], k))
    numbers, beyond = found.cpu().numpy(), ((0, 0), (0, search.k - k))
    own = np.where(np.isneginf(numbers), -1, codes[positions.cpu().numpy()])
    return np.pad(numbers, beyond, constant_values=-np.inf), np.pad(own, beyond, constant_values=-1)


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


def table_of(
    scores: NDArray[np.float32],  # (n, m)
    codes: NDArray[np.int64],  # (n, m), of items among `items`, each at most once a row; -1 where there is none
    items: NDArray[np.int64],  # (c,), ascending
    missing: float,
) -> NDArray[np.float32]:
    """The scores (n, c) of the items, one column for each, of a ranking of them.

    Example:
        >>> ranked = np.array([[0.5, 0.25]], dtype=np.float32), np.array([[9, 3]])
        >>> table_of(*ranked, np.array([3, 5, 9]), 0.0).tolist()
        [[0.25, 0.0, 0.5]]
    """
    table = np.full((len(codes), len(items)), missing, dtype=np.float32)
    rows, columns = (codes >= 0).nonzero()
    table[rows, np.searchsorted(items, codes[rows, columns])] = scores[rows, columns]
    return table
