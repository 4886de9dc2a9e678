"""EGES, fitted from a log; Wang et al., KDD 2018."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from logq import models
from logq.arguments import check_float, check_int, shown
from logq.data.graph import ItemGraph, walks
from logq.data.logs import Interactions, sessions
from logq.models import RetrievalModel
from logq.objectives import OBJECTIVES
from logq.recommenders.neural import NeuralRecommender
from logq.recommenders.neural_options import NeuralOptions
from logq.recommenders.seen import Seen
from logq.recommenders.widths import feature_codes, feature_sizes
from logq.recommenders.windows import Windows

__all__ = ["EGES", "skip_gram_options"]


class EGES(NeuralRecommender):
    """Learns items from walks through the graph of what followed what, with side information: logq.models.EGES.

    The weight of an edge counts how often one item came right after another in a session of the log (columns "session",
    else all that a user did). Walks start at each item, and skip-gram learns from them by any objective. All features
    of items that the log has are side information; `similar_items(item_features=...)` answers for items of which
    nothing else is known. Users are the mean of the items of their history, weighted by recency.

    Args:
        dim: D, the width of the vectors of items.
        walks_per_item: walks that start at each item.
        walk_length: items of a walk.
        window: how far items of a walk see each other, as for logq.Word2Vec.
        recency: in (0, 1], how much less an item of a history counts than the one after it.
        gap: the longest pause within a session, in the unit of the log's times; None for no limit.
        **options: as for NeuralRecommender. Unless they say otherwise the objective is negative sampling, of 5 items
            for each pair by the unigram law, and a batch has 512 windows.

    Raises:
        TypeError, ValueError: an argument is not as described. `fit` raises ValueError where no item follows another.

    References:
        Wang et al., Billion-scale Commodity Embedding for E-commerce Recommendation in Alibaba, KDD 2018,
        arXiv:1803.02349.

    Example:
        >>> log = Interactions.from_sessions([["tea", "milk", "cup", "tea"], ["nut", "oil", "salt", "nut"]] * 8)
        >>> model = EGES(dim=8, epochs=20, lr=0.05, seed=1).fit(log, progress=False)
        >>> sorted(model.similar_items("milk", k=2).items.tolist())
        ['cup', 'tea']
    """

    has_item_table: ClassVar[bool] = False

    def __init__(
        self,
        dim: int = 64,
        *,
        walks_per_item: int = 10,
        walk_length: int = 10,
        window: int = 5,
        recency: float = 0.6,
        gap: float | None = None,
        **options: Unpack[NeuralOptions],
    ) -> None:
        super().__init__(dim, **skip_gram_options(options))
        self.walks_per_item = check_int("walks_per_item", walks_per_item)
        self.walk_length = check_int("walk_length", walk_length, 2)
        self.window = check_int("window", window)
        self.recency = check_float("recency", recency, above=0, at_most=1)
        self.gap = None if gap is None else check_float("gap", gap, at_least=0)

    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON can hold them."""
        names = ("walks_per_item", "walk_length", "window", "recency", "gap")
        return {**super().settings(), **{name: getattr(self, name) for name in names}}

    def _make_model(self, seen: Seen, facts: Mapping[str, Any], *, sparse: bool) -> RetrievalModel:
        return models.EGES(
            seen.num_items,
            self.dim,
            item_features=feature_sizes(seen.item_features),
            item_codes=feature_codes(seen.item_features),
            decay=self.recency,
            sparse=sparse,
        )

    def _make_examples(self, log: Interactions) -> Windows:
        graph = ItemGraph.from_sessions(log.items, sessions(log, gap=self.gap), num_items=log.num_items)
        if graph.num_edges == 0:
            raise ValueError("log: expected sessions in which an item follows another, got none")
        of_walks, of_windows = np.random.SeedSequence(self.seed or 0).generate_state(
            2
        )  # with a seed or without: a run that resumes needs the same
        walked = walks(graph, self.walks_per_item, self.walk_length, int(of_walks))
        offsets = np.concatenate([[0], np.cumsum((walked >= 0).sum(axis=1))])
        return Windows(walked[walked >= 0], offsets, window=self.window, seed=int(of_windows))

    @torch.no_grad()
    def _vectors(self) -> Tensor:
        assert isinstance(self.model, models.EGES)
        return self.model.vectors(torch.arange(self.seen.num_items, device=self.model.own.weight.device))

    @torch.no_grad()
    def _cold_vectors(self, item_features: Mapping[str, Sequence[Any]]) -> Tensor:
        known = self.seen.item_features
        if known is None:
            raise ValueError("item_features: the model was fitted without features of items")
        unknown = [name for name in item_features if name not in known.names]
        if unknown:
            raise ValueError(f"item_features: expected {', '.join(known.names)}, got {shown(unknown[0])}")
        assert isinstance(self.model, models.EGES)
        device = self.model.own.weight.device
        codes = {
            name: torch.from_numpy(np.array(values, np.int64)) for name, values in known.encode(item_features).items()
        }
        return self.model.cold_vectors({name: values.to(device) for name, values in codes.items()})


def skip_gram_options(options: NeuralOptions) -> NeuralOptions:
    """How skip-gram is trained, unless the caller says otherwise.

    Example:
        >>> skip_gram_options({"epochs": 3})["epochs"], skip_gram_options({})["objective"]
        (3, 'negative_sampling')
    """
    made: NeuralOptions = {
        "objective": "negative_sampling",
        "num_sampled": 5,
        "shared_negatives": False,
        "batch_size": 512,
        "epochs": 5,
        "lr": 5e-3,
        "patience": None,
    }
    made.update(options)
    objective = OBJECTIVES.get(made.get("objective", ""))
    if "sampler" not in made and (objective is None or objective.negatives.sampled):
        made["sampler"] = "unigram"
    return made
