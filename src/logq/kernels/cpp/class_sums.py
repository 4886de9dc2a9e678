"""Gradients of class tables, summed per class. A stand-in in plain torch, until there is native code."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from logq.candidates import IGNORED

__all__ = ["Entries", "class_gradient", "update_classes"]


class Entries(NamedTuple):
    """What adds to the gradients of classes."""

    input: Tensor  # (B, D) real
    targets: Tensor  # (B, T), IGNORED allowed
    true_factors: Tensor  # (B, T): adds factor * input[row] to its class
    ids: Tensor  # (S,) or (B, S)
    factors: Tensor  # (S,) or (B, S)
    rows: Tensor | None  # (S, D) what shared ids add; None per row: factor * input[row]


def class_gradient(
    entries: Entries, weight: Tensor, *, bias: bool, scale: float | Tensor, cosine: bool, sparse: bool
) -> tuple[Tensor, Tensor | None]:
    """The gradients of the class table and of the biases; coalesced if sparse."""
    input, targets, true_factors, ids, factors, rows = entries
    is_true = targets != IGNORED
    of_true = (true_factors[..., None] * input[:, None])[is_true]
    of_sampled = (factors[..., None] * input[:, None]).flatten(0, 1) if rows is None else rows
    # The many small ones first: behind the large ones of true classes each would be rounded to their spacing.
    all_ids = torch.cat([ids.reshape(-1), targets[is_true]])
    all_rows = torch.cat([of_sampled, of_true]) * scale
    classes, places = all_ids.unique(return_inverse=True)
    sums = all_rows.new_zeros(len(classes), weight.shape[1]).index_add_(0, places, all_rows)
    if cosine:
        touched = weight.detach()[classes].to(sums.dtype)
        lengths = touched.norm(dim=1, keepdim=True)
        unit = touched / lengths.clamp(min=1e-12)
        tangent = sums - (sums * unit).sum(dim=1, keepdim=True) * unit
        sums = torch.where(lengths > 1e-12, tangent, sums) / lengths.clamp(min=1e-12)
    all_factors = torch.cat([factors.reshape(-1), true_factors[is_true]]) * scale
    of_bias = sums.new_zeros(len(classes)).index_add_(0, places, all_factors) if bias else None

    def table(values: Tensor, dtype: torch.dtype) -> Tensor:
        size = (weight.shape[0], *values.shape[1:])
        if not sparse:
            return torch.zeros(size, dtype=dtype).index_copy_(0, classes, values.to(dtype))
        return torch.sparse_coo_tensor(classes[None], values.to(dtype), size, is_coalesced=True, check_invariants=False)

    return table(sums, weight.dtype), None if of_bias is None else table(of_bias, of_bias.dtype)


def update_classes(
    entries: Entries,
    weight: Tensor,
    bias: Tensor | None,
    *,
    scale: float | Tensor,
    cosine: bool,
    weight_rule: Any,
    bias_rule: Any,
) -> None:
    """Apply rules to the touched rows in place. The stand-in knows rules that are functions of (table, gradient)."""
    of_weight, of_bias = class_gradient(
        entries, weight, bias=bias_rule is not None, scale=scale, cosine=cosine, sparse=True
    )
    with torch.no_grad():
        if weight_rule is not None:
            weight_rule(weight, of_weight)
        if bias is not None and bias_rule is not None:
            bias_rule(bias, of_bias)
