"""Popularity: the same items for everyone, the most frequent first; the baseline that every model has to beat."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq._arguments import ArgumentError
from logq.logs.interactions import Interactions
from logq.recommenders.events.held_out import HeldOut
from logq.recommenders.events.histories import Histories
from logq.recommenders.events.known_log import untied
from logq.recommenders.ranking.item_search import ItemSearch, first_left
from logq.recommenders.ranking.recommender import Recommender
from logq.training.estimator import FitOptions
from logq.training.options import DeviceConfig

__all__ = ["Popularity"]


class Popularity(DeviceConfig, Recommender):
    """Scores an item by how many users it has.

        score(u, i) = |{users who did i}| / |{users}|

    It is the only recommender that answers for users about whom nothing is known. `similar_items` finds the other
    items that are most popular. Items that equally many did are in an order that knows nothing of the log: that of
    their codes would tell how often they come in the parts of the log that are held out.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_arrays(["ann", "bob", "bob"], ["tea", "tea", "cup"])
        >>> Popularity().fit(log).recommend("ann", k=1, exclude_seen=False).items
        array(['tea'], ...)
    """

    compares_items: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.shares: NDArray[np.float32] = np.zeros(0, dtype=np.float32)

    def _fit(self, log: Interactions, validation: HeldOut | None, options: FitOptions) -> None:
        users = np.asarray(log.users, dtype=np.int64)
        pairs = np.unique(users * log.num_items + log.items)
        counts = np.bincount(pairs % log.num_items, minlength=log.num_items)
        self.shares = (untied(counts, self.known.places) / max(1, len(np.unique(users)))).astype(np.float32)

    def answerable(self, request: Histories) -> NDArray[np.bool_]:
        """All rows (n,): nothing needs to be known."""
        return np.ones(len(request), dtype=np.bool_)

    def _queries(self, histories: Histories) -> Tensor:
        return torch.ones(len(histories), 1, device=self.device)

    def _item_rows(self) -> Tensor:
        return torch.from_numpy(self.shares)[:, None].to(self.device)

    def _user_vectors(self, histories: Histories) -> Tensor:
        raise ValueError("Popularity answers all users alike: none are more similar than others")

    def _alike(self, items: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float32]:
        raise ValueError("Popularity does not compare items: diversity and reasons need a model that does")

    def _similar(
        self, vectors: Tensor | None, own: NDArray[np.int64] | None, search: ItemSearch
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        k, allow, index, _ = search
        if index is not None:
            raise ArgumentError("index", "none, as Popularity compares no vectors of items")
        assert own is not None
        order = np.lexsort((self.known.places, -self.shares))
        order = order if allow is None else order[allow[order]]
        codes = first_left(order, own, np.arange(len(own) + 1), k, self.known.num_items)
        return np.where(codes >= 0, self.shares[codes], -np.inf).astype(np.float32), codes

    def state(self) -> dict[str, NDArray[Any]]:
        """The learned arrays, by name."""
        return {"shares": self.shares}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` returned."""
        shares = state["shares"]
        if shares.dtype != np.float32 or shares.shape != (self.known.num_items,):
            raise ValueError(f"expected 'shares' float32 ({self.known.num_items},), got {shares.dtype} {shares.shape}")
        self.shares = shares
