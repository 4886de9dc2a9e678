"""GRU4RecLayer: a GRU over a history; Hidasi et al., ICLR 2016, arXiv:1511.06939."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from logq.recommenders.layers.sequence_layer import BlockConfig, HistoryLayout, SequenceLayer, linear
from logq.tracing import is_exported

__all__ = ["GRU4RecLayer"]


class GRU4RecLayer(SequenceLayer):
    """A GRU, and a linear map of what it knows.

        r, z = sigmoid(W x_l + U h_{l-1} + b),   n = tanh(W_n x_l + b_n + r (U_n h_{l-1} + c_n))
        h_l = (1 - z) n + z h_{l-1},   y_l = dropout(V h_l + c)

    Differs from the paper: an item has a vector instead of a one-hot code, as in the authors' later work.

    References:
        Hidasi, Karatzoglou, Baltrunas, Tikk, Session-based Recommendations with Recurrent Neural Networks, ICLR 2016,
        arXiv:1511.06939.

    Example:
        >>> import torch
        >>> from logq.recommenders.layers import LayerConfig
        >>> layer = GRU4RecLayer(8, 50, LayerConfig(layer="gru4rec", hidden=12))
        >>> layer(torch.zeros(3, 8), HistoryLayout(3, torch.tensor([3]))).shape
        torch.Size([3, 8])
    """

    options: ClassVar[Mapping[str, Any]] = {"hidden": None, "positions": ("none", "start", "end")}

    def __init__(self, dim: int, max_length: int, config: BlockConfig) -> None:
        super().__init__(dim, max_length, config)
        self.gru = nn.GRU(dim, self.hidden, batch_first=True)
        self.project = linear(self.hidden, dim)

    def forward(self, x: Tensor, layout: HistoryLayout) -> Tensor:
        """(N, D) -> (N, D)."""
        # Padding comes after all items, so that what is computed of it reaches none.
        if is_exported():  # a graph has a GRU of one number of steps, and takes that of the longest history
            steps, places = (torch.arange(n, device=x.device) for n in (self.max_length, layout.length))
            states = self.gru(layout.padded(x).index_select(1, steps.clamp(max=layout.length - 1)))[0]
            states = states.index_select(1, places.clamp(max=self.max_length - 1))  # a slice would bound the length
        elif len(x):
            states = self.gru(layout.padded(x))[0]
        else:  # torch's GRU refuses to compute nothing
            return x
        return self.dropout(self.project(layout.packed(states)))
