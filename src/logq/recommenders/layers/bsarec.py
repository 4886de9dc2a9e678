"""BSARecLayer: attention beside a filter of frequencies; Shin et al., AAAI 2024, arXiv:2312.10325."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from logq.recommenders.encoding.item_tables import select_rows
from logq.recommenders.layers.causal_attention import CausalAttention
from logq.recommenders.layers.sequence_layer import NORMS, BlockConfig, HistoryLayout

__all__ = ["BSARecLayer"]


class BSARecLayer(CausalAttention):
    """A filter that weighs the high frequencies of a window, mixed with causal attention, and a feed-forward layer.

        low_i = sum_j h_{i - j} x_j,   h_d = (1 + 2 sum_{k = 1}^{c // 2} cos(2 pi k d / N)) / N,   N = max_length
        filter(x) = low + beta^2 (x - low),   beta (D,) is learned
        f = norm(x + dropout(filter(x))),   a = norm(x + dropout(attend(x))),   x = alpha f + (1 - alpha) a
        x = norm(x + dropout(W_2 gelu(W_1 x + b_1) + b_2))

    low is what the frequencies up to c // 2 of the FFT of a window of N items give back, where what a history lacks is
    0: h is periodic, so that it does not matter where in the window the history stands. As h, c = `cutoff`.

    By default the sum goes over j <= i: each item has the filter of the window that ends with it, and a window may
    learn at all its items at once. With causal_filter=False it goes over all items, as in the paper, whose first layer
    gives the last item the same; others see its past through what came after.

    Differs from the paper: nothing is computed for padding, of which the authors' windows have vectors, too.

    References:
        Shin, Choi, Wi, Park, An Attentive Inductive Bias for Sequential Recommendation beyond the Self-Attention, AAAI
        2024, arXiv:2312.10325.

    Example:
        >>> from logq.recommenders.layers import LayerConfig
        >>> layer = BSARecLayer(8, 50, LayerConfig(layer="bsarec"))
        >>> layer(torch.zeros(3, 8), HistoryLayout(3, torch.tensor([3]))).shape
        torch.Size([3, 8])
    """

    options: ClassVar[Mapping[str, Any]] = {
        **CausalAttention.options,
        "norm": NORMS[::-1],
        "alpha": 0.7,
        "cutoff": 5,
        "causal_filter": True,
    }
    widening: ClassVar[int] = 4

    def __init__(self, dim: int, max_length: int, config: BlockConfig) -> None:
        super().__init__(dim, max_length, config)
        assert config.alpha is not None
        assert config.cutoff is not None
        self.alpha, self.highest = config.alpha, min(config.cutoff // 2, max_length // 2)
        self.causal_filter = config.causal_filter
        self.filter_norm = nn.LayerNorm(dim)
        self.beta = nn.Parameter(torch.randn(dim))
        self.add_feed_forward()

    def forward(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (N, D)."""
        filtered = self.added(x, self.filter_norm, lambda x: self._filtered(x, layout))
        attended = self.added(x, self.attention_norm, lambda x: self.attend(x, layout))
        return self.fed_forward(self.alpha * filtered + (1 - self.alpha) * attended)

    def last(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (R, D)."""
        own = select_rows(x, layout.last)
        waves, items = (norm(x) if self.norm_first else x for norm in (self.filter_norm, self.attention_norm))
        filtered = self.added(own, self.filter_norm, lambda own: self._filtered_last(own, waves, layout))
        attended = self.added(own, self.attention_norm, lambda own: self.attend_last(own, items, layout))
        return self.fed_forward(self.alpha * filtered + (1 - self.alpha) * attended)

    def _filtered(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (N, D), low frequencies and beta^2 times the others."""
        weights, items = self._low_pass(layout.distance, x), layout.padded(x)
        if self.causal_filter:
            weights = weights.masked_fill(layout.is_later, 0.0)
        else:
            items = layout.only_items(items)
        low = layout.packed(weights @ items)
        return low + self.beta.square() * (x - low)

    def _filtered_last(self, own: Tensor, x: Tensor, layout: HistoryLayout) -> Tensor:
        """What `_filtered(x)` has at the last items `own` of rows (R, D), which is the same if the filter is causal."""
        items, ends = layout.padded(x), layout.ends
        if len(own) < layout.rows:
            items, ends = items[ends > 0], ends[ends > 0]
        distance = ends[:, None] - 1 - layout.place[:, 0]  # (R, L)
        low = (self._low_pass(distance, x).masked_fill(distance < 0, 0.0)[:, None] @ items)[:, 0]
        return low + self.beta.square() * (own - low)

    def _low_pass(self, distance: Tensor, x: Tensor) -> Tensor:
        """h of distances."""
        turns = torch.arange(self.max_length, device=x.device, dtype=x.dtype) * (2 * math.pi / self.max_length)
        h = torch.ones_like(turns)
        for k in range(1, self.highest + 1):
            h = h + (1 if 2 * k == self.max_length else 2) * (k * turns).cos()
        table = (h / self.max_length)[:, None]
        return embedding(distance.abs().clamp(max=self.max_length - 1), table)[..., 0]
