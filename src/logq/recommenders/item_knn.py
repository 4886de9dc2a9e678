"""ItemKNN: items of the same users are neighbors; a strong baseline without training."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from logq.logs.interactions import Interactions
from logq.recommenders.events.held_out import HeldOut
from logq.recommenders.events.histories import Histories
from logq.recommenders.neighborhoods import NeighborRecommender, co_counts, summed_by_key
from logq.recommenders.ranking.item_search import ItemSearch
from logq.training.config import AtLeast, Help, TriedValues, configclass
from logq.training.estimator import FitOptions
from logq.training.options import DeviceConfig

__all__ = ["ItemKNN", "ItemKNNConfig"]


@configclass(group="Model")
class ItemKNNConfig(DeviceConfig):
    """The arguments of ItemKNN.

    Example:
        >>> ItemKNNConfig(50).neighbors
        50
    """

    neighbors: Annotated[
        int, AtLeast(1), TriedValues(10, 1000), Help("Number of similar items that each item keeps.")
    ] = field(default=100, kw_only=False)
    shrinkage: Annotated[
        float, AtLeast(0), TriedValues(0, 200), Help("Takes similarity from items that few users did.")
    ] = 10.0
    max_length: Annotated[
        int | None,
        AtLeast(1),
        Help("Maximum length of a history, of which the most recent events count; {none} uses all of it.", none="0"),
    ] = None


class ItemKNN(ItemKNNConfig, NeighborRecommender):
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
        keeps = min(self.neighbors, log.num_items - 1)
        self.similar = np.full((log.num_items, keeps), -1, dtype=np.int64)
        self.similarities = np.zeros((log.num_items, keeps), dtype=np.float32)
        for items, others, both, counts in co_counts(log, "item-kNN", options.progress):
            roots = np.sqrt(counts)
            scores = both / (roots[items] * roots[others] + self.shrinkage)
            order = np.lexsort((self.known.places[others], -scores, items))
            items, others, scores = items[order], others[order], scores[order]
            place = np.arange(len(items)) - np.searchsorted(items, items)
            kept = place < keeps
            at = (items[kept], place[kept])
            self.similar[at], self.similarities[at] = others[kept], scores[kept]

    def _costs(self, histories: Histories) -> NDArray[np.int64]:
        return np.minimum(histories.lengths, self.max_length or len(histories.items)) * self.similar.shape[1]

    def _summed(self, histories: Histories) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        padded = histories.padded(self.max_length or max(1, int(histories.lengths.max(initial=1))))
        rows, columns = (padded >= 0).nonzero()
        items = padded[rows, columns]
        neighbors, weights = self.similar[items], self.similarities[items]
        there = neighbors >= 0
        keys = (rows[:, None] * self.known.num_items + neighbors)[there]
        return summed_by_key(keys, weights[there])

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
