"""EGES: item vectors weighted with their side information by learned attention; Wang et al., KDD 2018."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding
from typing_extensions import Unpack

from logq._arguments import check_float, check_int, shown
from logq.logs import Interactions, ItemGraph, sessions, walks
from logq.objectives import OBJECTIVES
from logq.recommenders.encoders import Batch, RetrievalModel, WindowModel, recency_weights
from logq.recommenders.histories import Seen
from logq.recommenders.item_tables import (
    FeatureTables,
    ItemCodes,
    Table,
    check_features,
    column,
    feature_codes,
    feature_sizes,
)
from logq.recommenders.neural_options import NeuralOptions
from logq.recommenders.neural_recommender import NeuralRecommender
from logq.recommenders.session_windows import Windows
from logq.shapes import check_ids

__all__ = ["EGES", "EGESEncoder", "skip_gram_options"]


class EGESEncoder(WindowModel):
    """Enhanced graph embedding with side information; skip-gram where there is none.

        H_v = sum_{j=0..n} exp(a_vj) W_vj / sum_j exp(a_vj)                      Eq. 6
        P(u | v) ~ <Z_u, H_v>                                                    Eq. 7

    W_v0 is the vector of item v itself, W_vj that of its value of feature j (the mean, where it has several), and a_v
    are attentions of its own, 0 at the start: the mean, which is the paper's GES. Z are the vectors that the items of
    a context are found by. Of an item that nobody has met yet there are no attentions; the paper takes the mean over
    its side information (Sec. 2.4), as `cold_vectors` does.

    Args:
        num_items: C.
        dim: D.
        item_features: how many values each feature has, by name; 0 is the value of what is unknown.
        item_codes: by the same names (C,) or (C, W) int64, the values of each item, padded with -1.
        decay: in (0, 1], how much less an item of a history counts than the one after it.
        sparse: whether tables of items get sparse gradients.

    Shape:
        history (B, L) int64, the items to start from -> queries (B, D), the weighted mean of their H. In training L is
        1, and targets (B, W) are the items around each, padded with -1: each pair is a query.

    Raises:
        TypeError, ValueError: a size is not an integer >= 1, or codes do not fit.

    Example:
        >>> model = EGESEncoder(3, 8, item_features={"genre": 5}, item_codes={"genre": torch.tensor([1, 4, 0])})
        >>> model.query({"history": torch.tensor([[2, 0], [1, -1]])}).shape
        torch.Size([2, 8])
        >>> model.cold_vectors({"genre": torch.tensor([4])}).shape
        torch.Size([1, 8])
    """

    def __init__(
        self,
        num_items: int,
        dim: int = 64,
        *,
        item_features: Mapping[str, int] | None = None,
        item_codes: Mapping[str, Tensor] | None = None,
        decay: float = 1.0,
        sparse: bool = False,
    ) -> None:
        super().__init__(check_int("num_items", num_items), check_int("dim", dim))
        self.decay = check_float("decay", decay, above=0, at_most=1)
        sizes = check_features("item_features", item_features or {})
        self.own = Table(num_items, dim, std=dim**-0.5, sparse=sparse)
        self.features = FeatureTables(sizes, dim)
        self.codes = ItemCodes(num_items, sizes, item_codes or {})
        self.attention = Table(num_items, 1 + len(sizes), std=0.0, sparse=sparse)
        self.contexts = Table(num_items, dim, std=0.0, sparse=sparse)

    def vectors(self, items: Tensor) -> Tensor:
        """H (n, D) of items (n,) int64 in [0, C)."""
        check_ids("items", items, self.num_items)
        parts = [self.own(items), *self.features(self.codes.of(items), len(items))]
        share = self.attention(items).softmax(dim=1)
        return (share[:, None] @ torch.stack(parts, dim=1))[:, 0]

    def cold_vectors(self, features: Mapping[str, Tensor]) -> Tensor:
        """Vectors (n, D) of items of which only side information is known: the mean over features.

        Args:
            features: by name (n,) or (n, W) int64, as `item_codes`; all of them, with 0 where one is unknown. What
                is unknown is left out of the mean, unless nothing is known.

        Raises:
            KeyError: a feature is missing.
            ValueError: there are no features, or a code is out of range.
        """
        if not self.features.sizes:
            raise ValueError("features: the model knows no side information")
        rows = len(next(iter(features.values()))) if features else 0
        parts = torch.stack(self.features(features, rows), dim=1)  # (n, F, D)
        known = [self._is_known(features[name]) for name in self.features.sizes]
        weights = torch.stack(known, dim=1).to(parts.dtype)  # (n, F)
        weights = torch.where(weights.any(dim=1, keepdim=True), weights, 1.0)
        return (weights[:, None] @ parts)[:, 0] / weights.sum(dim=1, keepdim=True)

    @staticmethod
    def _is_known(codes: Tensor) -> Tensor:
        return codes > 0 if codes.dim() == 1 else (codes > 0).any(dim=1)

    def query(self, batch: Batch) -> Tensor:
        """The mean (B, D) of the vectors H of each history, weighted by recency."""
        history = column(batch, "history", self.num_items, "BL")
        is_item = history >= 0
        # Each item once, however often it is in the batch.
        items, place = history[is_item].unique(return_inverse=True)
        vectors = embedding(place, self.vectors(items))
        weights = recency_weights(history, self.decay)[is_item].to(vectors.dtype)
        rows = is_item.nonzero()[:, 0]
        return vectors.new_zeros(len(history), self.dim).index_add(0, rows, weights[:, None] * vectors)


class EGES(NeuralRecommender):
    """Learns items from walks through the graph of what followed what, with side information; see EGESEncoder.

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
        return EGESEncoder(
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
        assert isinstance(self.model, EGESEncoder)
        return self.model.vectors(torch.arange(self.seen.num_items, device=self.model.own.weight.device))

    @torch.no_grad()
    def _cold_vectors(self, item_features: Mapping[str, Sequence[Any]]) -> Tensor:
        known = self.seen.item_features
        if known is None:
            raise ValueError("item_features: the model was fitted without features of items")
        unknown = [name for name in item_features if name not in known.names]
        if unknown:
            raise ValueError(f"item_features: expected {', '.join(known.names)}, got {shown(unknown[0])}")
        assert isinstance(self.model, EGESEncoder)
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
