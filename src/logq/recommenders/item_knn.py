"""ItemKNN: items of the same users are neighbors; a strong baseline without training."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from logq._progress import Progress
from logq.evaluation import top_items
from logq.logs.interactions import Interactions
from logq.recommenders.histories import Histories, gather_rows
from logq.recommenders.popularity import untied
from logq.recommenders.ranker import HeldOut
from logq.recommenders.recommender import Recommender
from logq.retrieval.item_index import ItemIndex
from logq.training.config import AtLeast, Help, configclass
from logq.training.estimator import FitOptions
from logq.training.options import DeviceConfig

__all__ = ["ItemKNN", "ItemKNNConfig"]

NUMBERS = 1 << 24
"""Scores that are made at a time, 64 MB."""

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
                order = np.lexsort((other, -scores, row))
                row, other, scores = row[order], other[order], scores[order]
                place = np.arange(len(row)) - np.searchsorted(row, row)
                kept = place < keeps
                at = (begin + row[kept], place[kept])
                self.similar[at], self.similarities[at] = other[kept], scores[kept]
                bar.advance(float(ends[end - 1] - done))
                begin = end

    def _rank(
        self,
        part: Histories,
        k: int,
        exclude_seen: bool,
        allow: NDArray[np.bool_] | None,
        index: ItemIndex | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if index is not None:
            raise self._no_vectors()
        scores = np.empty((len(part), k), dtype=np.float32)
        codes = np.empty((len(part), k), dtype=np.int64)
        done = 0
        for rows in part.parts(max(1, NUMBERS // self.known.num_items)):
            table = self._scores(rows)
            if allow is not None:
                table[:, ~allow] = -np.inf
            best = top_items(table, k, exclude=(rows.items, rows.offsets) if exclude_seen else None)
            found = np.take_along_axis(table, np.maximum(best, 0), 1)
            end = done + len(rows)
            scores[done:end], codes[done:end] = np.where(best >= 0, found, -np.inf), best
            done = end
        return scores, codes

    def _scores(self, histories: Histories) -> NDArray[np.float32]:
        padded = histories.padded(self.max_length or max(1, int(histories.lengths.max(initial=1))))
        rows, columns = (padded >= 0).nonzero()
        items = padded[rows, columns]
        neighbors = self.similar[items]
        at = rows[:, None] * self.known.num_items + np.maximum(neighbors, 0)
        size = len(histories) * self.known.num_items
        summed = np.bincount(at.ravel(), weights=self.similarities[items].ravel(), minlength=size)
        # Items that are like nothing in the history come last, and the most popular of them first.
        last = untied(self.known.item_counts())
        return summed.reshape(len(histories), -1).astype(np.float32) + last * np.float32(1e-6 / max(1.0, last.max()))

    def _similar(
        self, vectors: Tensor | None, own: NDArray[np.int64] | None, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        assert own is not None
        codes = np.full((len(own), k), -1, dtype=np.int64)
        scores = np.full((len(own), k), -np.inf, dtype=np.float32)
        has = min(k, self.similar.shape[1])
        codes[:, :has] = self.similar[own, :has]
        scores[:, :has] = np.where(codes[:, :has] >= 0, self.similarities[own, :has], -np.inf)
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
