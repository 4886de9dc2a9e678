"""AttentionLayer: the block of SASRec; Kang and McAuley, ICDM 2018, arXiv:1808.09781."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from logq.recommenders.encoding.item_tables import select_rows
from logq.recommenders.layers.causal_attention import CausalAttention
from logq.recommenders.layers.sequence_layer import NORMS, BlockConfig, HistoryLayout

__all__ = ["AttentionLayer"]


class AttentionLayer(CausalAttention):
    """Causal attention and a feed-forward layer, as in SASRec.

        x = x + dropout(attend(norm(x)))
        x = x + dropout(W_2 gelu(W_1 norm(x) + b_1) + b_2)

    and with norm="post" x = norm(x + dropout(attend(x))) and so on.

    Differs from the paper: keys and values are normalized as queries are, GELU instead of ReLU.

    References:
        Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018, arXiv:1808.09781.

    Example:
        >>> import torch
        >>> from logq.recommenders.layers import LayerConfig
        >>> layer = AttentionLayer(8, 50, LayerConfig(norm="post"))
        >>> layer(torch.zeros(3, 8), HistoryLayout(3, torch.tensor([3]))).shape
        torch.Size([3, 8])
    """

    options: ClassVar[Mapping[str, Any]] = {**CausalAttention.options, "norm": NORMS}

    def __init__(self, dim: int, max_length: int, config: BlockConfig) -> None:
        super().__init__(dim, max_length, config)
        self.add_feed_forward()

    def forward(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (N, D)."""
        return self.fed_forward(self.added(x, self.attention_norm, lambda x: self.attend(x, layout)))

    def last(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (R, D)."""
        known = self.attention_norm(x) if self.norm_first else x
        own = select_rows(x, layout.last)
        return self.fed_forward(self.added(own, self.attention_norm, lambda own: self.attend_last(own, known, layout)))
