"""Means of the vectors of histories, by which older items may count less."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from logq.kernels.backends import find_backend
from logq.kernels.passes import Entries, Passes
from logq.kernels.reference_rows import falling_shares
from logq.kernels.updates import real_dtype

__all__ = ["mean_of_computed", "mean_of_padded", "mean_of_rows", "mean_weights", "weighted_sum"]


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
    if len(rows) == 0:
        return rows.new_zeros(len(codes), rows.shape[1])
    return _Mean.apply(rows, codes, decay)  # pyright: ignore[reportReturnType]


def mean_of_computed(rows_of: Callable[[Tensor], Tensor], codes: Tensor, decay: float = 1.0) -> Tensor:
    """As mean_of_rows of rows that are computed, for each code once, however often it is there.

    Args:
        rows_of: makes the rows (n, dim) of distinct codes (n,).
        codes: (B, W) int64.
        decay: as for mean_of_rows.

    Example:
        >>> mean_of_computed(lambda codes: codes[:, None].double(), torch.tensor([[7, 9], [9, -1]]))
        tensor([[8.],
                [9.]], dtype=torch.float64)
    """
    is_code = codes >= 0
    distinct, places = codes[is_code].unique(return_inverse=True)
    return mean_of_rows(rows_of(distinct), torch.full_like(codes, -1).masked_scatter(is_code, places), decay)


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
