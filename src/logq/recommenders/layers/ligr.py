"""LiGRLayer: attention with gated residuals, as in eSASRec; Borisyuk et al. 2025, arXiv:2502.03417."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import silu

from logq.recommenders.encoding.item_tables import select_rows
from logq.recommenders.layers.causal_attention import CausalAttention
from logq.recommenders.layers.sequence_layer import BlockConfig, HistoryLayout, linear

__all__ = ["LiGRLayer"]


class LiGRLayer(CausalAttention):
    """Causal attention and a SwiGLU feed-forward layer, each behind a gate that its input opens.

        x = x + sigmoid(G_1 x + g_1) dropout(attend(norm(x)))
        x = x + sigmoid(G_2 x + g_2) dropout(W_3 dropout(silu(W_1 norm(x)) W_2 norm(x)))

    References:
        Borisyuk et al., From Features to Transformers: Redefining Ranking for Scalable Impact, 2025, arXiv:2502.03417;
        Tikhonovich et al., eSASRec: Enhancing Transformer-based Recommendations in a Modular Fashion, RecSys 2025,
        arXiv:2508.06450, which takes it for next items.

    Example:
        >>> import torch
        >>> from logq.recommenders.layers import LayerConfig
        >>> layer = LiGRLayer(8, 50, LayerConfig(layer="ligr"))
        >>> layer(torch.zeros(3, 8), HistoryLayout(3, torch.tensor([3]))).shape
        torch.Size([3, 8])
    """

    options: ClassVar[Mapping[str, Any]] = {**CausalAttention.options, "norm": ("pre",)}
    widening: ClassVar[int] = 4

    def __init__(self, dim: int, max_length: int, config: BlockConfig) -> None:
        super().__init__(dim, max_length, config)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.expand = linear(dim, 2 * self.hidden, bias=False)  # W_1 and W_2
        self.contract = linear(self.hidden, dim, bias=False)
        self.attention_gate = linear(dim, dim)
        self.feed_forward_gate = linear(dim, dim)

    def forward(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (N, D)."""
        return self._fed(x, self.attend(self.attention_norm(x), layout))

    def last(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (R, D)."""
        known = self.attention_norm(x)
        return self._fed(select_rows(x, layout.last), self.attend_last(select_rows(known, layout.last), known, layout))

    def _fed(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.attention_gate(x).sigmoid() * self.dropout(attended)
        gate, value = self.expand(self.feed_forward_norm(x)).chunk(2, dim=1)
        return x + self.feed_forward_gate(x).sigmoid() * self.dropout(self.contract(self.dropout(silu(gate) * value)))
