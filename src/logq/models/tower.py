"""Tower: fully connected ReLU layers."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from logq.arguments import check_float, check_int

__all__ = ["Tower"]


class Tower(nn.Module):
    """Hidden layers with ReLU, and a linear one that gives the output.

        x_0 = x,  x_{i+1} = dropout(max(0, W_i x_i + b_i)),  y = W_n x_n + b_n

    Weights start as Glorot and Bengio's, biases at 0, from torch's global generator.

    Args:
        inputs, outputs: widths.
        hidden: widths of the layers between; none of them makes the tower one linear layer.
        dropout: after each hidden layer, in [0, 1).

    Example:
        >>> Tower(6, [8, 4], 2)(torch.zeros(3, 6)).shape
        torch.Size([3, 2])
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        widths = [inputs, *(check_int("hidden", width) for width in hidden), outputs]
        self.dropout = nn.Dropout(check_float("dropout", dropout, at_least=0, at_most=0.999))
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        for layer in self.layers[:-1]:  # pyright: ignore[reportGeneralTypeIssues]
            x = self.dropout(layer(x).relu())
        return self.layers[-1](x)
