"""CausalAttention: what layers with attention share, softmax over an item and those before it."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, scaled_dot_product_attention
from torch.nn.functional import linear as linear_map

from logq.nn.dropout import ByteDropout
from logq.recommenders.layers.sequence_layer import POSITIONS, BlockConfig, HistoryLayout, SequenceLayer, linear

__all__ = ["CausalAttention", "bias_of_distance"]


class CausalAttention(SequenceLayer):
    """A layer with attention, of which `attend` is that part.

        q, k, v = W x + b, cut into heads,   a_ij = softmax_{j <= i}(<q_i, k_j> / sqrt(D / H) + r_{i - j})
        attend(x)_i = W_O sum_j dropout(a_ij) v_j + b_O

    r is learned for each head and distance with positions="relative", where it begins at 0, and 0 otherwise.
    Without r and dropout nothing of size L^2 is kept.

    Example:
        >>> from logq.recommenders.layers import LAYERS, LayerConfig
        >>> layer = LAYERS["attention"](8, 50, LayerConfig(heads=2, positions="relative"))
        >>> isinstance(layer, CausalAttention), layer.distance_bias.shape
        (True, torch.Size([50, 2]))
    """

    options: ClassVar[Mapping[str, Any]] = {
        "heads": 1,
        "hidden": None,
        "attention_dropout": 0.0,
        "positions": POSITIONS,
    }

    def __init__(self, dim: int, max_length: int, config: BlockConfig) -> None:
        super().__init__(dim, max_length, config)
        self.attention_norm = nn.LayerNorm(dim)
        self.query_key_value = linear(dim, 3 * dim)
        self.project = linear(dim, dim)
        self.weight_dropout = ByteDropout(config.attention_dropout)
        relative = config.positions == "relative"
        self.distance_bias = nn.Parameter(torch.zeros(max_length, config.heads)) if relative else None

    def attend(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (N, D)."""
        rows, length, width = layout.rows, layout.length, self.dim // self.heads
        parts = layout.padded(self.query_key_value(x)).view(rows, length, 3, self.heads, width)
        query, key, value = (part.transpose(1, 2) for part in parts.unbind(dim=2))  # each (B, H, L, D / H)
        mixed = self._mixed(query, key, value, layout)
        return self.project(layout.packed(mixed.transpose(1, 2).reshape(rows, length, self.dim)))

    def _mixed(self, query: Tensor, key: Tensor, value: Tensor, layout: HistoryLayout) -> Tensor:
        """The values (B, H, L, D / H) of items, each times its weight."""
        # Padding is behind all items of a row, so a causal mask hides it.
        bias = None if self.distance_bias is None else bias_of_distance(self.distance_bias, layout)
        if not self.training or not self.weight_dropout.dropped:
            return scaled_dot_product_attention(query, key, value, attn_mask=bias, is_causal=bias is None)
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
        scores = scores.masked_fill(layout.is_later, -torch.inf) if bias is None else scores + bias
        return self.weight_dropout(scores.softmax(dim=-1)) @ value

    def attend_last(self, own: Tensor, x: Tensor, layout: HistoryLayout) -> Tensor:
        """What `attend(x)` has at the last item of each row (R, D), by a query for that item alone.

        Args:
            own: (R, D), x at the last item of each row that has items.
            x: (N, D).
            layout: of x.
        """
        length, width, dim = layout.length, self.dim // self.heads, self.dim
        weight, bias = self.query_key_value.weight, self.query_key_value.bias
        query = linear_map(own, weight[:dim], bias[:dim]).view(-1, self.heads, 1, width)
        both = layout.padded(linear_map(x, weight[dim:], bias[dim:]))
        ends = layout.ends
        if len(own) < layout.rows:
            both, ends = both[ends > 0], ends[ends > 0]
        key, value = (part.transpose(1, 2) for part in both.view(len(both), length, 2, self.heads, width).unbind(dim=2))
        distance = (ends - 1)[:, None] - torch.arange(length, device=x.device)  # (R, L)
        scores = (query * width**-0.5) @ key.transpose(-2, -1)  # (R, H, 1, L)
        if self.distance_bias is not None:
            of_items = embedding(distance.clamp(0, len(self.distance_bias) - 1), self.distance_bias)
            scores = scores + of_items.transpose(1, 2)[:, :, None]
        weights = scores.masked_fill((distance < 0)[:, None, None], -torch.inf).softmax(dim=-1)
        return self.project((self.weight_dropout(weights) @ value).reshape(-1, dim))


def bias_of_distance(
    table: Tensor,  # (max_length, H)
    layout: HistoryLayout,
    later: float = -torch.inf,
) -> Tensor:
    """What is added to scores (H, L, L), by the distance of the items; `later` for items that come later.

    Distances of `max_length` and more, of a graph that is asked for longer histories, count as the longest.

    Example:
        >>> bias_of_distance(torch.tensor([[0.5], [0.25]]), HistoryLayout(2, torch.tensor([2])))
        tensor([[[0.5000,   -inf],
                 [0.2500, 0.5000]]])
    """
    of_pairs = embedding(layout.distance.clamp(0, len(table) - 1), table)
    return of_pairs.permute(2, 0, 1).masked_fill(layout.is_later, later)
