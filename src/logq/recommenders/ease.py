"""EASE: a linear autoencoder of histories in closed form; Steck, 2019."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from logq._arguments import ArgumentError
from logq._progress import Progress, format_bytes
from logq.logs.interactions import Interactions
from logq.recommenders.events.held_out import HeldOut
from logq.recommenders.events.histories import Histories
from logq.recommenders.neighborhoods import co_counts
from logq.recommenders.ranking.item_search import ItemSearch, best_scores
from logq.recommenders.ranking.recommender import Recommender
from logq.training.config import Above, AtLeast, Help, TriedValues, configclass
from logq.training.estimator import FitOptions
from logq.training.options import DeviceConfig

__all__ = ["EASE", "EASEConfig"]

SCORES = 1 << 24
"""Scores of users for items that are computed at a time: 64 MB."""


@configclass(group="Model")
class EASEConfig(DeviceConfig):
    """The arguments of EASE.

    Example:
        >>> EASEConfig(200).regularization
        200.0
    """

    regularization: Annotated[
        float, Above(0), TriedValues(10, 5000), Help("L2 penalty of the weights; larger for logs with many events.")
    ] = field(default=250.0, kw_only=False)
    max_items: Annotated[
        int,
        AtLeast(2),
        Help(
            "Refuse logs with more items than this.",
            more="The model takes 4 C x C bytes, and fitting it about 20 C x C: 1.6 and 8 GB for 20,000 items.",
        ),
    ] = 20_000


class EASE(EASEConfig, Recommender):
    """Predicts a history from itself by one matrix, which has the closed form of a regression.

        P = (X' X + regularization I)^-1,    B_ij = -P_ij / P_jj,  B_jj = 0
        score(u, i) = sum over the different items j in the history of u:  B_ji

    X (U, C) has 1 where a user did an item. B minimizes |X - X B|^2 + regularization |B|^2 with a diagonal of zeros, so
    that no item predicts itself. Weights may be negative, unlike the similarities of ItemKNN: two items that are alike
    share what they say. How often and in which order a user did items does not count. New histories are answered as
    those of the log are.

    `similar_items` finds the items j with the highest weight B_ij; there are no vectors, and so no index. P is computed
    in float64 and B kept in float32: time grows with C^3, memory with C^2, whatever the number of users.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described. `fit` raises ArgumentError for a log of more
            than `max_items` items.

    References:
        Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, arXiv:1905.03375.

    Example:
        >>> log = Interactions.from_sessions([["tea", "cup"], ["tea", "cup"], ["nail", "saw"]])
        >>> model = EASE(regularization=1.0).fit(log)
        >>> found = model.recommend(histories=["tea"], k=1)  # of tea and cup X'X is 2 everywhere: P_ij / P_jj = -2/3
        >>> found.items.tolist(), round(float(found.scores[0]), 3)
        (['cup'], 0.667)
    """

    has_vectors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.weights: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)  # B (C, C), row: what was done
        self._weights = torch.zeros(0, 0)  # the same, on the device

    def _fit(self, log: Interactions, validation: HeldOut | None, options: FitOptions) -> None:
        size = log.num_items
        if size > self.max_items:
            expected = f"at least {size:,}, the number of items of the log"
            hint = (
                f"EASE would take {format_bytes(4 * size**2)}, and {format_bytes(20 * size**2)} while it is fitted; "
                "leave out rare items (min_item), or take ItemKNN, which has no such matrix"
            )
            raise ArgumentError("max_items", expected, self.max_items, hint)
        gram = torch.zeros(size, size, dtype=torch.float64)
        for items, others, both, counts in co_counts(log, "EASE", options.progress):
            gram[torch.from_numpy(items), torch.from_numpy(others)] = torch.from_numpy(both).double()
            gram.diagonal().copy_(torch.from_numpy(counts) + self.regularization)
        with Progress(2, "steps", f"EASE: the inverse of {size:,} x {size:,}", options.progress) as bar:
            factor, failed = torch.linalg.cholesky_ex(gram.to(self.device))
            del gram
            if failed:
                raise ArgumentError("regularization", "a larger penalty for this log", self.regularization)
            bar.advance(1)
            inverse = torch.cholesky_inverse(factor)
            del factor
            bar.advance(1)
        inverse.div_(-inverse.diagonal().clone())
        inverse.fill_diagonal_(0)
        self._weights = inverse.float()
        self.weights = self._weights.cpu().numpy()

    def _rank(self, part: Histories, search: ItemSearch) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if search.where is not None:
            raise self._no_vectors()
        scores = np.empty((len(part), search.k), dtype=np.float32)
        codes, done = np.empty((len(part), search.k), dtype=np.int64), 0
        for rows in part.parts(max(1, SCORES // self.known.num_items)):
            end = done + len(rows)
            scores[done:end], codes[done:end] = best_scores(self._scores(rows), self.known.places, search, rows)
            done = end
        return scores, codes

    def _scores(self, histories: Histories) -> Tensor:
        """(n, C) scores of all items."""
        owners = np.repeat(np.arange(len(histories)), histories.lengths)
        rows, items = np.divmod(np.unique(owners * self.known.num_items + histories.items), self.known.num_items)
        offsets = np.searchsorted(rows, np.arange(len(histories)))
        chosen, begins = (torch.from_numpy(array).to(self.device) for array in (items, offsets))
        return F.embedding_bag(chosen, self._weights, begins, mode="sum")

    def _contributions(self, history: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32]:
        # What a user did several times counts once: with the last event.
        last = len(history) - 1 - np.unique(history[::-1], return_index=True)[1]
        found = np.zeros((len(history), len(items)), dtype=np.float32)
        found[last] = self.weights[history[last, None], items]
        return found

    def _similar(
        self, vectors: Tensor | None, own: NDArray[np.int64] | None, search: ItemSearch
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        assert own is not None
        alone = Histories(own, np.arange(len(own) + 1), np.full(len(own), -1))
        return self._rank(alone, search._replace(exclude_seen=True))

    def state(self) -> dict[str, NDArray[Any]]:
        """The learned arrays, by name."""
        return {"weights": self.weights}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` returned."""
        weights, size = state["weights"], self.known.num_items
        if weights.dtype != np.float32 or weights.shape != (size, size):
            raise ValueError(f"expected 'weights' float32 ({size}, {size}), got {weights.dtype} {weights.shape}")
        self.weights = weights
        self._weights = torch.from_numpy(weights).to(self.device)
