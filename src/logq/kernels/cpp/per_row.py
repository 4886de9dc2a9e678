"""Losses where each row has sampled classes of its own: (B, S) rows of the class table, each read once."""

import torch
from torch import Tensor

from logq.kernels import _native
from logq.kernels.cpp.arrays import array, class_table, contiguous_in, maybe_array, maybe_in, running
from logq.kernels.cpp.parts import Parts, positive_losses
from logq.kernels.logits import computed_dtype

__all__ = ["per_row_parts"]


def per_row_parts(
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    targets: Tensor,  # (B, T), negative where there is no class
    ids: Tensor,  # (B, S)
    true_offsets: Tensor | None,  # (B, T), added to the logits
    offsets: Tensor | None,  # (B, S)
    excluded: Tensor | None,  # (B, S) bool
    row_scale: Tensor | None,  # (B,)
    *,
    softmax: bool,
    remove_hits: bool,
    temperature: float,
    cosine: bool,
    gradients: bool,
    biases: bool = True,
    true_weight: float = 1.0,
) -> Parts:
    """Losses, the gradient of the input and all factors, in one pass over the rows of the class table.

        G_ic = <input_i, weight_c> / temperature + offset_ic        with weight_c / |weight_c| if `cosine`

    A row's classes are gathered, multiplied, turned into a loss and added to the gradient of its input while they are
    in the cache; those of the next row are fetched meanwhile. The factors are there with or without `biases`. The pass
    counts true classes once; what `true_weight` changes, in the logistic loss alone, takes their rows once more.
    """
    dtype = computed_dtype(input, weight)

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape if gradients else (0,), dtype=dtype)

    losses = torch.empty(input.shape[0], dtype=dtype)
    input_gradient, true_factors, factors = empty(*input.shape), empty(*targets.shape), empty(*ids.shape)
    table = class_table(weight, targets, ids, dtype)
    input, true_offsets = contiguous_in(dtype, input), maybe_in(dtype, true_offsets)
    _native.row_losses(
        array(input),
        array(table.weight),
        table.stored,
        array(table.targets),
        array(table.ids),
        true_offsets=maybe_array(true_offsets),
        offsets=maybe_array(maybe_in(dtype, offsets)),
        excluded=maybe_array(None if excluded is None else excluded.contiguous()),
        row_scale=maybe_array(maybe_in(dtype, row_scale)),
        inverse_temperature=1 / temperature,
        cosine=cosine,
        softmax=softmax,
        remove_hits=remove_hits,
        losses=array(losses),
        input_gradient=array(input_gradient) if gradients else None,
        true_factors=array(true_factors) if gradients else None,
        factors=array(factors) if gradients else None,
        **running(),
    )
    if true_weight != 1:
        rows_of_targets = array(table.weight), table.stored, array(table.targets)
        true_logits = input.new_empty(targets.shape)
        _native.true_dots(array(input), *rows_of_targets, cosine=cosine, dots=array(true_logits), **running())
        true_logits.div_(temperature)
        if true_offsets is not None:
            true_logits.add_(true_offsets)
        losses.add_(positive_losses(true_logits, table.targets), alpha=true_weight - 1)
        if gradients:
            more = true_factors * (true_weight - 1)
            _native.add_true_rows(
                array(input_gradient), *rows_of_targets, factors=array(more), cosine=cosine, **running()
            )
            true_factors.add_(more)
    return Parts(losses, input_gradient, true_factors, factors, empty(0))
