"""ItemKNN: items of the same users are neighbors; a strong baseline without training."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from logq._progress import Progress
from logq.logs.interactions import Interactions
from logq.recommenders.histories import Histories, gather_rows
from logq.recommenders.item_search import ItemSearch, first_left
from logq.recommenders.ranker import HeldOut
from logq.recommenders.recommender import Recommender
from logq.training.config import AtLeast, Help, configclass
from logq.training.estimator import FitOptions
from logq.training.options import DeviceConfig

__all__ = ["ItemKNN", "ItemKNNConfig"]

ENTRIES = 1 << 21
"""Neighbors of items of histories that are added up at a time; a block takes about 100 MB."""

PAIRS = 1 << 22
"""Pairs of items of one user that are counted at a time; a block takes about 200 MB."""


@configclass(group="Model")
class ItemKNNConfig(DeviceConfig):
    """The arguments of ItemKNN.

    Example:
        >>> ItemKNNConfig(50).neighbors
        50
    """

    neighbors: Annotated[int, AtLeast(1), Help("Number of similar items that each item keeps.")] = field(
        default=100, kw_only=False
    )
    shrinkage: Annotated[float, AtLeast(0), Help("Takes similarity from items that few users did.")] = 10.0
    max_length: Annotated[
        int | None,
        AtLeast(1),
        Help("Maximum length of a history, of which the most recent events count; {none} uses all of it.", none="0"),
    ] = None


class ItemKNN(ItemKNNConfig, Recommender):
    """Scores an item by its similarity to the user's history, the cosine of co-occurrence, shrunk.

        s(i, j) = n_ij / ( sqrt(n_i n_j) + shrinkage ),   n_ij users did both, n_i did i
        score(u, i) = sum over j in history of u with i among the neighbors of j:  s(i, j)

    Each item keeps its `neighbors` most similar ones, found on the CPU. The cost is the number of pairs of items of
    one user; (C, C) numbers are never held.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described.

    References:
        Sarwar et al., Item-based Collaborative Filtering Recommendation Algorithms, WWW 2001. The shrinkage is that of
        Bell and Koren, ICDM 2007.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_sessions([["tea", "cup"], ["tea", "cup"], ["nail", "saw"]])
        >>> model = ItemKNN(neighbors=2).fit(log)
        >>> model.recommend(histories=["nail"], k=1).items.tolist(), model.similar_items("tea", k=1).items.tolist()
        (['saw'], ['cup'])
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.similar: NDArray[np.int64] = np.zeros((0, 0), dtype=np.int64)  # (C, N) codes, -1 where there is none
        self.similarities: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)

    def _fit(self, log: Interactions, validation: HeldOut | None, options: FitOptions) -> None:
        num_items = log.num_items
        pairs = np.unique(np.asarray(log.users, dtype=np.int64) * num_items + log.items)
        users, items = np.divmod(pairs, num_items)
        counts = np.bincount(items, minlength=num_items)
        by_user = _Rows.of(users, items, log.num_users)
        order = np.argsort(items, kind="stable")
        by_item = _Rows.of(items[order], users[order], num_items)
        # Users who did an item once more for each item that they did: what a row of the table costs.
        costs = np.bincount(items, weights=np.diff(by_user.offsets)[users], minlength=num_items)
        keeps = min(self.neighbors, num_items - 1)
        self.similar = np.full((num_items, keeps), -1, dtype=np.int64)
        self.similarities = np.zeros((num_items, keeps), dtype=np.float32)
        roots = np.sqrt(counts)
        ends = np.cumsum(costs)
        begin = 0
        with Progress(float(ends[-1]), "pairs", "item-kNN", options.progress) as bar:
            while begin < num_items:
                done = ends[begin - 1] if begin else 0.0
                end = max(begin + 1, int(np.searchsorted(ends, done + PAIRS, side="right")))
                row, other, both = _counted(by_item, by_user, begin, end, num_items)
                scores = both / (roots[begin + row] * roots[other] + self.shrinkage)
                order = np.lexsort((self.known.places[other], -scores, row))
                row, other, scores = row[order], other[order], scores[order]
                place = np.arange(len(row)) - np.searchsorted(row, row)
                kept = place < keeps
                at = (begin + row[kept], place[kept])
                self.similar[at], self.similarities[at] = other[kept], scores[kept]
                bar.advance(float(ends[end - 1] - done))
                begin = end

    def _rank(self, part: Histories, search: ItemSearch) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        k, allow, index, exclude_seen = search
        if index is not None:
            raise self._no_vectors()
        scores = np.empty((len(part), k), dtype=np.float32)
        codes = np.empty((len(part), k), dtype=np.int64)
        popularity, fallback = self.known.popularity, self.known.by_popularity
        last = popularity * np.float32(1e-6 / max(1.0, popularity[fallback[0]]))
        if allow is not None:
            fallback = fallback[allow[fallback]]
        longest = min(self.max_length or len(part.items), int(part.lengths.max(initial=1)))
        step = max(1, ENTRIES // max(1, longest * self.similar.shape[1]))
        for begin in range(0, len(part), step):
            rows = part.part(begin, min(len(part), begin + step))
            found = self._best(rows, k, exclude_seen, allow, last, fallback)
            scores[begin : begin + step], codes[begin : begin + step] = found
        return scores, codes

    def _best(
        self,
        histories: Histories,
        k: int,
        exclude_seen: bool,
        allow: NDArray[np.bool_] | None,
        last: NDArray[np.float32],
        fallback: NDArray[np.int64],
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and codes (n, k) of the best items, of which only those that are like a history are looked at.

        Args:
            histories: of n users.
            k: how many.
            exclude_seen: leave out what a history has.
            allow: (C,), which items may be found.
            last: (C,) what is added to each score: items that are like nothing in a history come last, and the most
                popular of them first.
            fallback: the items that may be found by descending `last`.
        """
        num_items = self.known.num_items
        keys, sums = self._summed(histories)
        row, item = np.divmod(keys, num_items)
        keeps = np.ones(len(keys), dtype=np.bool_) if allow is None else allow[item]
        seen = np.repeat(np.arange(len(histories)), histories.lengths) * num_items + histories.items
        if exclude_seen and len(seen):
            seen = np.unique(seen)
            keeps &= seen[np.minimum(np.searchsorted(seen, keys), len(seen) - 1)] != keys
        row, item, sums = row[keeps], item[keeps], (sums.astype(np.float32) + last[item])[keeps]
        order = np.lexsort((-last[item], -sums, row))
        row, item, sums = row[order], item[order], sums[order]
        bounds = np.searchsorted(row, np.arange(len(histories) + 1))
        place = np.arange(len(row)) - bounds[row]
        scores = np.full((len(histories), k), -np.inf, dtype=np.float32)
        codes = np.full((len(histories), k), -1, dtype=np.int64)
        kept = place < k
        scores[row[kept], place[kept]], codes[row[kept], place[kept]] = sums[kept], item[kept]
        short = np.flatnonzero(np.diff(bounds) < k)
        if len(short):
            used = keys if not exclude_seen else np.union1d(keys, seen)
            owner, taken = np.divmod(used, num_items)
            ends = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(histories)))])
            taken, ends = gather_rows(taken, ends, short)
            more = first_left(fallback, taken, ends, k, num_items)
            has = np.diff(bounds)[short, None]
            columns = np.arange(k)
            behind = columns >= has
            filled = np.take_along_axis(more, np.maximum(columns - has, 0), axis=1)
            codes[short] = np.where(behind, filled, codes[short])
            scores[short] = np.where(behind & (filled >= 0), last[filled], scores[short])
        return scores, codes

    def _summed(self, histories: Histories) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Row x C + item of each item that is like some of a history, ascending, and the sum of its similarities."""
        padded = histories.padded(self.max_length or max(1, int(histories.lengths.max(initial=1))))
        rows, columns = (padded >= 0).nonzero()
        items = padded[rows, columns]
        neighbors, weights = self.similar[items], self.similarities[items]
        there = neighbors >= 0
        keys = (rows[:, None] * self.known.num_items + neighbors)[there]
        order = np.argsort(keys, kind="stable")
        keys, ordered = keys[order], weights[there][order].astype(np.float64)
        if not len(keys):
            return keys, ordered
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        return keys[starts], np.add.reduceat(ordered, starts)

    def _contributions(self, history: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._alike(history, np.broadcast_to(items, (len(history), len(items))))

    def _similar(
        self, vectors: Tensor | None, own: NDArray[np.int64] | None, search: ItemSearch
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        k, allow, index, _ = search
        if index is not None:
            raise self._no_vectors()
        assert own is not None
        found = self.similar[own]
        good = found >= 0 if allow is None else (found >= 0) & allow[found]
        order = np.argsort(~good, axis=1, kind="stable")[:, :k]
        good = np.take_along_axis(good, order, axis=1)
        codes = np.full((len(own), k), -1, dtype=np.int64)
        scores = np.full((len(own), k), -np.inf, dtype=np.float32)
        codes[:, : order.shape[1]] = np.where(good, np.take_along_axis(found, order, axis=1), -1)
        near = np.take_along_axis(self.similarities[own], order, axis=1)
        scores[:, : order.shape[1]] = np.where(good, near, -np.inf)
        return scores, codes

    def state(self) -> dict[str, NDArray[Any]]:
        """The learned arrays, by name."""
        return {"similar": self.similar, "similarities": self.similarities}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` returned."""
        size = self.known.num_items
        shape = (size, min(self.neighbors, size - 1))
        for name, dtype in (("similar", np.int64), ("similarities", np.float32)):
            if state[name].shape != shape or state[name].dtype != dtype:
                raise ValueError(f"expected {name!r} {np.dtype(dtype)} {shape}, got {state[name].shape}")
        if (state["similar"] < -1).any() or (state["similar"] >= size).any():
            raise ValueError(f"expected codes of {size} items in 'similar'")
        self.similar, self.similarities = state["similar"], state["similarities"]


class _Rows(NamedTuple):
    """A sparse matrix of ones, row by row."""

    columns: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, rows: NDArray[np.int64], columns: NDArray[np.int64], height: int) -> "_Rows":
        """Of places whose rows ascend."""
        return cls(columns, np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=height))]))


def _counted(
    by_item: _Rows, by_user: _Rows, begin: int, end: int, num_items: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For items begin to end: (row, other item, how many users did both), where any did, by row and item."""
    users, bounds = gather_rows(*by_item, np.arange(begin, end))
    others, ends = gather_rows(*by_user, users)
    row = np.repeat(np.repeat(np.arange(end - begin), np.diff(bounds)), np.diff(ends))
    keys = row * num_items + others
    if (end - begin) * num_items <= 4 * PAIRS:
        counts = np.bincount(keys, minlength=1)
        found = counts.nonzero()[0]
        counts = counts[found]
    else:
        found, counts = np.unique(keys, return_counts=True)
    rows, items = np.divmod(found, num_items)
    other = items != rows + begin
    return rows[other], items[other], counts[other]
