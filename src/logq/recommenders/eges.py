"""EGES: item vectors weighted with their side information by learned attention; Wang et al., KDD 2018."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from logq._arguments import ArgumentError, Verbatim, check_float, check_int
from logq.kernels.reference_rows import falling_shares
from logq.kernels.updates import real_dtype
from logq.logs import ItemGraph, sessions, walks
from logq.logs.interactions import Interactions
from logq.recommenders.encoding.encoders import Batch, RetrievalModel, WindowModel
from logq.recommenders.encoding.feature_tables import FeatureTables, ItemCodes, check_features, item_inputs
from logq.recommenders.encoding.item_tables import column, filled, table_of_ids
from logq.recommenders.encoding.row_means import mean_of_computed, weighted_sum
from logq.recommenders.events.session_windows import Windows
from logq.recommenders.neural.neural_config import SkipGramConfig
from logq.recommenders.neural.neural_recommender import NeuralRecommender
from logq.shapes import check_ids
from logq.tracing import keeps_sizes
from logq.training.config import AtLeast, Help, configclass

__all__ = ["EGES", "EGESConfig", "EGESEncoder"]


class EGESEncoder(WindowModel):
    """Enhanced graph embedding with side information; skip-gram where there is none.

        H_v = sum_{j=0..n} exp(a_vj) W_vj / sum_j exp(a_vj)                      Eq. 6
        P(u | v) ~ <Z_u, H_v>                                                    Eq. 7

    W_v0 is the vector of item v itself, W_vj that of its value of feature j (the mean, where it has several), and a_v
    are attentions of its own, 0 at the start: the mean, which is the paper's GES. Z are the vectors that the items of
    a context are found by. An item that nobody has met yet has no attentions; the paper takes the mean over
    its side information (Sec. 2.4), as `cold_vectors` does.

    Args:
        num_items: C.
        dim: D.
        item_features: how many values each feature has, by name; 0 is the value of what is unknown.
        item_codes: by the same names (C,) or (C, W) int64, the values of each item, padded with -1.
        item_dense: features that are vectors, (C, W) by name, 0 for an item that has none.
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
        item_dense: Mapping[str, Tensor] | None = None,
        decay: float = 1.0,
        sparse: bool = False,
    ) -> None:
        super().__init__(check_int("num_items", num_items), check_int("dim", dim))
        self.decay = check_float("decay", decay, above=0, at_most=1)
        sizes = check_features("item_features", item_features or {})
        self.own = table_of_ids(num_items, dim, std=dim**-0.5, sparse=sparse)
        self.features = FeatureTables(sizes, dim, dense=item_dense)
        self.codes = ItemCodes(num_items, sizes, item_codes or {}, item_dense)
        self.attention = table_of_ids(num_items, 1 + len(self.features.names), std=0.0, sparse=sparse)
        self.contexts = table_of_ids(num_items, dim, std=0.0, sparse=sparse)

    def vectors(self, items: Tensor) -> Tensor:
        """H (n, D) of items (n,) int64 in [0, C)."""
        check_ids("items", items, self.num_items)
        parts = [self.own(items), *self.features(self.codes.of(items), items.shape[0])]
        share = self.attention(items).softmax(dim=1)
        return (share[:, None] @ torch.stack(parts, dim=1))[:, 0]

    def cold_vectors(self, features: Mapping[str, Tensor]) -> Tensor:
        """Vectors (n, D) of items of which only side information is known: the mean over features.

        Args:
            features: by name, as `item_codes` and `item_dense`; all of them, with 0 where one is unknown. What is
                unknown is left out of the mean, unless nothing is known.

        Raises:
            KeyError: a feature is missing.
            ValueError: there are no features, or a code is out of range.
        """
        if not self.features.names:
            raise ValueError("features: the model knows no side information")
        rows = len(next(iter(features.values()))) if features else 0
        parts = torch.stack(self.features(features, rows), dim=1)  # (n, F, D)
        known = [self._is_known(features[name]) for name in self.features.names]
        weights = torch.stack(known, dim=1).to(parts.dtype)  # (n, F)
        weights = torch.where(weights.any(dim=1, keepdim=True), weights, 1.0)
        return (weights[:, None] @ parts)[:, 0] / weights.sum(dim=1, keepdim=True)

    @staticmethod
    def _is_known(codes: Tensor) -> Tensor:
        if codes.is_floating_point():
            return (codes != 0).any(dim=1)
        return codes > 0 if codes.dim() == 1 else (codes > 0).any(dim=1)

    def query(self, batch: Batch) -> Tensor:
        """The mean (B, D) of the vectors H of each history, weighted by recency."""
        history = column(batch, "history", self.num_items, "BL")
        if keeps_sizes(history):
            rows, length = history.shape
            vectors = self.vectors(filled(history, sparse=self.own.sparse).reshape(-1)).view(rows, length, self.dim)
            return weighted_sum(vectors, falling_shares(history, self.decay, real_dtype(vectors.dtype)))
        return mean_of_computed(self.vectors, history, self.decay)


@configclass(group="Model")
class EGESConfig(SkipGramConfig):
    """The arguments of EGES.

    Example:
        >>> EGESConfig(walk_length=20).window
        5
    """

    walks_per_item: Annotated[int, AtLeast(1), Help("Random walks that start at each item.")] = 10
    walk_length: Annotated[int, AtLeast(2), Help("Number of items in a walk.")] = 10


class EGES(EGESConfig, NeuralRecommender):
    """Learns vectors of items from walks on the graph of successive items, with side information; see EGESEncoder.

    The weight of an edge counts how often one item came right after another in a session of the log (columns "session",
    else all that a user did). Walks start at each item, and skip-gram learns from them by any objective. All features
    of items that the log has are side information; `similar_items(item_features=...)` answers for items of which
    nothing else is known. Users are the mean of the items of their history, weighted by recency.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described. `fit` raises ValueError where no item follows
            another.

    References:
        Wang et al., Billion-scale Commodity Embedding for E-commerce Recommendation in Alibaba, KDD 2018,
        arXiv:1803.02349.

    Example:
        >>> log = Interactions.from_sessions([["tea", "milk", "cup", "tea"], ["nut", "oil", "salt", "nut"]] * 8)
        >>> model = EGES(dim=8, epochs=20, lr=0.05, seed=1).fit(log, progress=False)
        >>> sorted(model.similar_items("milk", k=2).items.tolist())
        ['cup', 'tea']
    """

    def _make_model(self, *, sparse: bool) -> RetrievalModel:
        return EGESEncoder(
            self.known.num_items,
            self.dim,
            **item_inputs(self.known.item_features),
            decay=self.recency,
            sparse=sparse,
        )

    def _make_examples(self, log: Interactions, seed: int) -> Windows:
        graph = ItemGraph.from_sessions(log.items, sessions(log, gap=self.gap), num_items=log.num_items)
        if graph.num_edges == 0:
            raise ArgumentError("log", "sessions in which an item follows another", Verbatim("none"))
        of_walks, of_windows = (int(number) for number in np.random.SeedSequence(seed).generate_state(2))
        walked = walks(graph, self.walks_per_item, self.walk_length, of_walks)
        offsets = np.concatenate([[0], np.cumsum((walked >= 0).sum(axis=1))])
        return Windows(walked[walked >= 0], offsets, window=self.window, seed=of_windows)

    @torch.no_grad()
    def _vectors(self) -> Tensor:
        self._check_whole()
        return self._compared_rows(torch.arange(self.known.num_items, device=next(self.model.parameters()).device))

    def _compared_rows(self, codes: Tensor) -> Tensor:
        assert isinstance(self.model, EGESEncoder)
        return self.model.vectors(codes)

    @property
    def describes_items(self) -> bool:
        """True: side information alone makes a vector."""
        return True

    def _cold_rows(self, features: Mapping[str, Tensor]) -> Tensor:
        raise ArgumentError(
            "metric",
            '"cosine" for EGES, whose side information says what an item is like, not what follows',
            "inner_product",
        )

    @torch.no_grad()
    def _cold_vectors(self, features: Mapping[str, Tensor]) -> Tensor:
        assert isinstance(self.model, EGESEncoder)
        device = self.model.own.weight.device
        return self.model.cold_vectors({name: codes.to(device) for name, codes in features.items()})
