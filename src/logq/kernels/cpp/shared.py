"""Losses where all rows share their sampled classes: three large products, and what stands between them, in tiles."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from logq.kernels import _native
from logq.kernels.cpp.arrays import array, class_table, contiguous_in, maybe_in, running
from logq.kernels.cpp.parts import Parts, positive_losses
from logq.kernels.cpp.tiles import Law, Tiles, find_hits
from logq.kernels.logits import computed_dtype

__all__ = ["shared_parts"]


def shared_parts(
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    targets: Tensor,  # (B, T), negative where there is no class
    ids: Tensor,  # (S,)
    true_offsets: Tensor | None,  # (B, T), added to the logits
    offsets: Tensor | None,  # (S,) or (B, S)
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
    """Losses, gradients of the input and of the sampled rows, and the factors of the true classes.

        G_ic = <input_i, weight_c> / temperature + offset_ic        with weight_c / |weight_c| if `cosine`

    For a tile of rows: logits = input x sampled rows', in place to factors, then factors x sampled rows and
    factors' x input. The products are torch's. Takes memory for (B + 2 S) D numbers and one tile. Without
    `biases` the factors, which only these need, are not summed and stay empty. The tiles count true classes once; what
    `true_weight` changes, in the logistic loss alone, is one number a true class, and is put in afterwards.
    """
    dtype = computed_dtype(input, weight)
    input = contiguous_in(dtype, input)
    table = class_table(weight, targets, ids, dtype)
    sampled = table.weight.index_select(0, table.ids).to(dtype)
    if cosine:
        sampled = normalize(sampled, dim=1)
    rows_of_targets = array(table.weight), table.stored, array(table.targets)

    true_logits = input.new_empty(targets.shape)
    _native.true_dots(array(input), *rows_of_targets, cosine=cosine, dots=array(true_logits), **running())
    true_logits.div_(temperature)
    if true_offsets is not None:
        true_logits.add_(true_offsets.detach())
    law = Law(
        targets=table.targets,
        true_logits=true_logits,
        offsets=maybe_in(dtype, offsets),
        excluded=None if excluded is None else excluded.contiguous(),
        row_scale=maybe_in(dtype, row_scale),
        hits=find_hits(table.targets, table.ids) if remove_hits else None,
        temperature=temperature,
        softmax=softmax,
    )
    tiles = Tiles(input, sampled, law, gradients=gradients)
    input_gradient = torch.zeros_like(input) if gradients else input.new_empty(0)
    rows = torch.zeros_like(sampled) if gradients else input.new_empty(0)
    factors = input.new_zeros(ids.shape if gradients and biases else (0,))
    for part in tiles.rows:
        for columns, tile in tiles.of_rows(part):
            input_gradient[part].addmm_(tile, sampled[columns])
            rows[columns].addmm_(tile.T, input[part])
            if biases:
                factors[columns].add_(tile.sum(dim=0))
    if true_weight != 1:
        tiles.losses.add_(positive_losses(true_logits, table.targets), alpha=true_weight - 1)
        tiles.true_factors.mul_(true_weight)
    if gradients:
        _native.add_true_rows(
            array(input_gradient),
            *rows_of_targets,
            factors=array(tiles.true_factors),
            cosine=cosine,
            **running(),
        )
    return Parts(tiles.losses, input_gradient, tiles.true_factors, factors, rows)
