"""HSTULayer: pointwise attention that knows of distances and times; Zhai et al., ICML 2024, arXiv:2402.17152."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, silu

from logq.nn.dropout import ByteDropout
from logq.recommenders.layers.causal_attention import bias_of_distance
from logq.recommenders.layers.sequence_layer import BlockConfig, HistoryLayout, SequenceLayer, linear

__all__ = ["HSTULayer"]


class HSTULayer(SequenceLayer):
    """Attention by SiLU instead of softmax, so that a weight also tells how much there is to attend to.

        u, q, k, v = silu(W norm(x)), q, k and v cut into heads
        a_ij = silu(<q_i, k_j> + r_{i - j} + s_{gap(i, j)}) / i,   j <= i,  i counted from 1
        x = x + W_O dropout(u norm(sum_j dropout(a_ij) v_j)) + b_O
        gap(i, j) = min(floor(log(max(1, t_i - t_j)) / 0.301), time_buckets - 1)

    r is learned for each head and distance with positions="relative", s for each head and bucket of gaps in time; both
    begin at 0. A gap that is not known has a value of its own. Where a log has no times s is left out.

    Differs from the paper: sums are divided by the number of items that are seen instead of the longest history, which
    the norm behind them makes the same; gaps are those between items, as the time of a request is not known in general.

    References:
        Zhai et al., Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers for Generative
        Recommendations, ICML 2024, arXiv:2402.17152.

    Example:
        >>> from logq.recommenders.layers import LayerConfig
        >>> layer = HSTULayer(8, 50, LayerConfig(layer="hstu", time_buckets=0))
        >>> layer(torch.zeros(3, 8), HistoryLayout(3, torch.tensor([3]))).shape
        torch.Size([3, 8])
    """

    options: ClassVar[Mapping[str, Any]] = {
        "heads": 1,
        "attention_dropout": 0.0,
        "positions": ("relative", "none", "start", "end"),
        "norm": ("pre",),
        "time_buckets": 128,
    }

    def __init__(self, dim: int, max_length: int, config: BlockConfig) -> None:
        super().__init__(dim, max_length, config)
        self.input_norm = nn.LayerNorm(dim)
        self.expand = linear(dim, 4 * dim, bias=False)  # u, q, k, v
        self.mixed_norm = nn.LayerNorm(dim)
        self.project = linear(dim, dim)
        self.weight_dropout = ByteDropout(config.attention_dropout)
        relative, buckets = config.positions == "relative", config.time_buckets or 0
        self.distance_bias = nn.Parameter(torch.zeros(max_length, config.heads)) if relative else None
        self.gap_bias = nn.Parameter(torch.zeros(buckets + 1, config.heads)) if buckets else None  # the last: unknown

    def forward(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (N, D)."""
        rows, length, width = layout.rows, layout.length, self.dim // self.heads
        expanded = silu(self.expand(self.input_norm(x)))
        parts = layout.padded(expanded[:, self.dim :]).view(rows, length, 3, self.heads, width)
        query, key, value = (part.transpose(1, 2) for part in parts.unbind(dim=2))  # each (B, H, L, D / H)
        scores = query @ key.transpose(-2, -1)
        if self.distance_bias is not None:
            scores = scores + bias_of_distance(self.distance_bias, layout, later=0.0)
        if self.gap_bias is not None:
            unknown = len(self.gap_bias) - 1
            buckets = layout.gaps.clamp(max=unknown - 1).masked_fill(layout.gaps < 0, unknown)
            scores = scores + embedding(buckets, self.gap_bias).permute(0, 3, 1, 2)
        weights = silu(scores).masked_fill(layout.is_later, 0.0) / (layout.place + 1)
        mixed = (self.weight_dropout(weights) @ value).transpose(1, 2).reshape(rows, length, self.dim)
        return x + self.project(self.dropout(expanded[:, : self.dim] * self.mixed_norm(layout.packed(mixed))))
