"""EGES: the vector of an item is a mean of its own and those of its side information, weighted by learned attention.

References:
    Wang et al., Billion-scale Commodity Embedding for E-commerce Recommendation in Alibaba, KDD 2018, arXiv:1803.02349.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import embedding

from logq.arguments import check_float, check_int
from logq.models.base import Batch, WindowModel
from logq.models.features import FeatureTables, ItemCodes, check_features
from logq.models.recency import recency_weights
from logq.models.tables import Table, column
from logq.shapes import check_ids

__all__ = ["EGES"]


class EGES(WindowModel):
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
        TypeError, ValueError: a size is no whole number >= 1, or codes do not fit.

    Example:
        >>> model = EGES(3, 8, item_features={"genre": 5}, item_codes={"genre": torch.tensor([1, 4, 0])})
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
