"""Means of the vectors of histories, by which older items may count less."""

from typing import Any

import torch
from torch import Tensor

from logq.kernels.backends import find_backend
from logq.kernels.passes import Entries, Passes
from logq.kernels.reference_rows import falling_shares
from logq.kernels.updates import real_dtype
from logq.tracing import is_exported

__all__ = ["mean_of_padded", "mean_of_rows", "mean_weights", "recency_weights", "weighted_sum"]


def recency_weights(
    history: Tensor,  # (B, L) int64
    decay: float,
) -> Tensor:
    """Weights that fall by a factor with each newer item, and add up to 1 in each row; see falling_shares.

    Args:
        history: (B, L) int64, most recent last, -1 where there is none.
        decay: in [0, 1].

    Returns:
        (B, L) in torch's default dtype, 0 where there is no item.

    Example:
        >>> recency_weights(torch.tensor([[7, 3, 5], [2, -1, -1]]), 0.5)
        tensor([[0.1429, 0.2857, 0.5714],
                [1.0000, 0.0000, 0.0000]])
    """
    if history.shape[1:] == (1,) and not is_exported():  # the item in the middle of a window
        return (history >= 0).to(torch.get_default_dtype())
    return falling_shares(history, decay, torch.get_default_dtype())


def mean_weights(codes: Tensor, decay: float, dtype: torch.dtype) -> Tensor | None:
    """The weights of a mean of vectors of some dtype, computed in float32 at least; None where all are alike.

    Example:
        >>> mean_weights(torch.tensor([[7, 3, -1]]), 0.25, torch.float64)
        tensor([[0.2000, 0.8000, 0.0000]], dtype=torch.float64)
    """
    if decay == 1:
        return None
    return falling_shares(codes, decay, real_dtype(dtype)).to(dtype)


def weighted_sum(
    vectors: Tensor,  # (B, L, D)
    weights: Tensor,  # (B, L)
) -> Tensor:
    """The sum (B, D) of the vectors of each row, each times its weight.

    Example:
        >>> weighted_sum(torch.ones(1, 2, 3), torch.tensor([[0.25, 0.5]]))
        tensor([[0.7500, 0.7500, 0.7500]])
    """
    return (weights.to(vectors.dtype)[:, None] @ vectors)[:, 0]


def mean_of_padded(
    vectors: Tensor,  # (B, W, dim)
    codes: Tensor,  # (B, W) int64
    decay: float = 1.0,
) -> Tensor:
    """The means (B, dim) of vectors that are 0 where a code is -1, as mean_of_rows has them.

    Example:
        >>> mean_of_padded(torch.tensor([[[3.0], [1.0], [0.0]]]), torch.tensor([[7, 8, -1]]))
        tensor([[2.]])
    """
    weights = mean_weights(codes, decay, vectors.dtype)
    if weights is None:
        return vectors.sum(dim=1) / (codes >= 0).sum(dim=1).clamp(min=1)[:, None]
    return weighted_sum(vectors, weights)


def mean_of_rows(rows: Tensor, codes: Tensor, decay: float = 1.0) -> Tensor:
    """The means (B, dim) of rows (n, dim) that each row of codes (B, W), padded with -1, names; 0 for a row of none.

    Args:
        rows: what codes name.
        codes: (B, W) int64.
        decay: what each code counts relative to the next one of its row.

    Example:
        >>> mean_of_rows(torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1], [1, -1]]))
        tensor([[2.],
                [3.]])
    """
    return _Mean.apply(rows, codes, decay)  # pyright: ignore[reportReturnType]


class _Mean(torch.autograd.Function):
    """Means of rows of a table, whose gradient is summed on a CPU as that of the classes of a loss is."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, codes: Tensor, decay: float) -> Tensor:
        means, shares = _passes(weight).row_means(weight, codes, decay)
        ctx.save_for_backward(weight, codes, shares)
        return means

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, None, None]:
        weight, codes, shares = ctx.saved_tensors
        none = codes[:, :0]
        sums, _ = _passes(weight).class_gradients(
            Entries(gradients[0], codes, shares, none, none.to(gradients[0]), None),
            weight,
            bias=False,
            scale=1.0,
            cosine=False,
            sparse=False,
        )
        return sums, None, None


def _passes(table: Tensor) -> Passes:
    backend = find_backend("sampled_loss", table.device.type)
    return backend if isinstance(backend, Passes) else Passes()
