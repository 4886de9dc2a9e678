"""Means of the vectors of histories, by which older items may count less."""

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from logq.kernels.backends import find_backend
from logq.kernels.passes import Entries, Passes
from logq.tracing import is_exported

__all__ = ["mean_of_padded", "mean_of_rows", "mean_weights", "recency_weights", "weighted_sum"]


def recency_weights(
    history: Tensor,  # (B, L) int64
    decay: float,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Weights that fall by a factor with each newer item, and add up to 1 in each row.

        w_t = decay^(items of the row after t) / sum

    Args:
        history: (B, L) int64, most recent last, -1 where there is none.
        decay: in [0, 1]: 1 weighs all alike, 0 takes the last one.
        dtype: of the weights; None takes torch's default.

    Returns:
        (B, L), 0 where there is no item.

    Example:
        >>> recency_weights(torch.tensor([[7, 3, 5], [2, -1, -1]]), 0.5)
        tensor([[0.1429, 0.2857, 0.5714],
                [1.0000, 0.0000, 0.0000]])
    """
    is_item = history >= 0
    if history.shape[1:] == (1,) and not is_exported():  # the item in the middle of a window
        return is_item.to(dtype or torch.get_default_dtype())
    newer = is_item.sum(dim=1, keepdim=True) - is_item.cumsum(dim=1)
    weights = torch.where(is_item, decay ** newer.to(dtype or torch.get_default_dtype()), 0.0)
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


def mean_weights(codes: Tensor, decay: float, dtype: torch.dtype) -> Tensor | None:
    """The weights of a mean of vectors of some dtype, computed in float32 at least; None where all are alike.

    Example:
        >>> mean_weights(torch.tensor([[7, 3, -1]]), 0.25, torch.float64)
        tensor([[0.2000, 0.8000, 0.0000]], dtype=torch.float64)
    """
    if decay == 1:
        return None
    return recency_weights(codes, decay, torch.promote_types(dtype, torch.float32)).to(dtype)


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
    counts: Tensor,  # (B,)
    weights: Tensor | None,  # (B, W)
) -> Tensor:
    """The means (B, dim) of vectors, which are 0 where there is none, of `counts` in each row or by `weights`.

    Example:
        >>> mean_of_padded(torch.tensor([[[3.0], [1.0], [0.0]]]), torch.tensor([2]), None)
        tensor([[2.]])
    """
    if weights is None:
        return vectors.sum(dim=1) / counts.clamp(min=1)[:, None]
    return weighted_sum(vectors, weights)


def mean_of_rows(rows: Tensor, codes: Tensor, counts: Tensor, weights: Tensor | None = None) -> Tensor:
    """The means (B, dim) of rows (n, dim) that each row of codes (B, W), padded with -1, names; 0 for a row of none.

    Args:
        rows: what codes name.
        codes: (B, W) int64.
        counts: (B,) how many of them are >= 0.
        weights: (B, W), 0 where there is no code, by which they are added up; None takes the mean.

    Example:
        >>> codes = torch.tensor([[0, 1], [1, -1]])
        >>> mean_of_rows(torch.tensor([[1.0], [3.0]]), codes, torch.tensor([2, 1]))
        tensor([[2.],
                [3.]])
    """
    return _Mean.apply(rows, codes, counts, weights)  # pyright: ignore[reportReturnType]


class _Mean(torch.autograd.Function):
    """Means of rows of a table, whose gradient is summed on a CPU as that of the classes of a loss is."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, codes: Tensor, counts: Tensor, weights: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight, codes, counts, weights)
        starts, is_code = counts.cumsum(dim=0) - counts, codes >= 0
        each = None if weights is None else weights[is_code]
        mode = "mean" if each is None else "sum"
        return embedding_bag(codes[is_code], weight, starts, mode=mode, per_sample_weights=each)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, None, None, None]:
        weight, codes, counts, weights = ctx.saved_tensors
        each = gradients[0] if weights is not None else gradients[0] / counts.clamp(min=1)[:, None]
        if weight.device.type != "cpu":
            is_code = codes >= 0
            named = each.repeat_interleave(counts, dim=0)
            if weights is not None:
                named *= weights[is_code][:, None]
            return torch.zeros_like(weight).index_add_(0, codes[is_code], named), None, None, None
        shares = each.new_ones(codes.shape) if weights is None else weights
        none = codes[:, :0]
        passes = cast(Passes, find_backend("sampled_loss", "cpu"))
        sums, _ = passes.class_gradients(
            Entries(each, codes, shares, none, none.to(each), None),
            weight,
            bias=False,
            scale=1.0,
            cosine=False,
            sparse=False,
        )
        return sums, None, None, None
