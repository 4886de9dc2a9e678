"""The passes of the compiled backend: over a shared sample, over samples of rows, and over all classes.

A shared sample and all classes take three products, which are torch's where they are large, and what stands between
them is compiled and done in tiles. Samples of rows are one compiled loop.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize

from logq.candidates import IGNORED
from logq.kernels import _native
from logq.kernels.cpp.arrays import ClassWeights, array, class_weights, contiguous_in, maybe_array, maybe_in, running
from logq.kernels.cpp.tiles import LossInputs, TileHits, Tiles, find_hits
from logq.kernels.logits import computed_dtype
from logq.kernels.passes import FullPassInputs, LossesAndGradients, PassInputs

__all__ = ["full_pass", "per_row_pass", "shared_pass"]


def shared_pass(given: PassInputs) -> LossesAndGradients:
    """The pass over a sample that all rows share; see logq.kernels.passes.

    For a tile of rows: logits = input x sampled rows', in place to factors, then factors x sampled rows and
    factors' x input. Takes memory for (B + 2 S) D numbers and one tile. The tiles count true classes once; what
    `true_weight` changes is one number a true class, and is put in afterwards.
    """
    input, temperature, cosine, gradients = given.input, given.temperature, given.cosine, given.gradients
    dtype, true_weight = computed_dtype(input, given.weight), given.true_weight
    input = contiguous_in(dtype, input)
    table = class_weights(given.weight, given.targets, given.ids, dtype)
    sampled = table.weight.index_select(0, table.ids)
    if sampled.dtype is not dtype:
        sampled = sampled.to(dtype)
    if cosine:
        sampled = normalize(sampled, dim=1)
    true_offsets = maybe_in(dtype, given.true_offsets)
    inputs = LossInputs(
        targets=table.targets,
        true_logits=_true_logits(input, table, true_offsets, temperature, cosine),
        offsets=maybe_in(dtype, given.offsets),
        excluded=None if given.excluded is None else given.excluded.contiguous(),
        row_scale=maybe_in(dtype, given.row_scale),
        hits=find_hits(table.targets, table.ids) if given.remove_hits else None,
        temperature=temperature,
        softmax=given.softmax,
    )
    tiles = Tiles(input, sampled, inputs, gradients=gradients)
    made = _multiplied(tiles, needs=(gradients, gradients, gradients and given.biases))
    if true_weight != 1:
        tiles.losses.add_(_positive_losses(inputs.true_logits, table.targets), alpha=true_weight - 1)
        tiles.true_factors.mul_(true_weight)
    if gradients:
        _add_true_rows(made.input_gradient, table, tiles.true_factors, cosine)
    return made


def full_pass(given: FullPassInputs) -> LossesAndGradients:
    """The pass over all classes; see logq.kernels.passes."""
    of_inputs, of_classes, of_biases = given.needs
    classes = torch.arange(given.weight.shape[0], device="cpu")
    input, targets = contiguous_in(given.input.dtype, given.input), given.targets.contiguous()
    table = class_weights(given.weight, targets, classes, input.dtype)
    is_true = targets != IGNORED
    begin = targets.where(is_true, 0)
    offsets = None if given.bias is None else (given.bias.detach() / given.temperature).contiguous()
    true_offsets = None if offsets is None else offsets[begin]
    inputs = LossInputs(
        targets=targets,
        true_logits=_true_logits(input, table, true_offsets, given.temperature, False),
        offsets=offsets,
        excluded=None,
        row_scale=given.row_scale,
        hits=TileHits(classes, begin, begin + is_true),
        temperature=given.temperature,
        softmax=given.softmax,
    )
    tiles = Tiles(input, table.weight, inputs, gradients=True)
    made = _multiplied(tiles, needs=given.needs)
    if of_inputs:
        _add_true_rows(made.input_gradient, table, tiles.true_factors, False)
    for column, factors in zip(begin.unbind(dim=1), tiles.true_factors.unbind(dim=1), strict=True):
        if of_classes:
            made.row_gradient.index_add_(0, column, input * factors[:, None])  # the factor of what is not a class is 0
        if of_biases:
            made.factors.index_add_(0, column, factors)
    return made


def per_row_pass(given: PassInputs) -> LossesAndGradients:
    """The pass where each row has a sample of its own; see logq.kernels.passes.

    A row's classes are gathered, multiplied, turned into a loss and added to the gradient of its input while they are
    in the cache; those of the next row are fetched meanwhile. The loop counts true classes once; what `true_weight`
    changes takes their rows once more.
    """
    input, weight, targets, ids = given.input, given.weight, given.targets, given.ids
    cosine, gradients, true_weight = given.cosine, given.gradients, given.true_weight
    dtype = computed_dtype(input, weight)

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape if gradients else (0,), dtype=dtype, device="cpu")

    losses = torch.empty(input.shape[0], dtype=dtype, device="cpu")
    input_gradient, true_factors, factors = empty(*input.shape), empty(*targets.shape), empty(*ids.shape)
    table = class_weights(weight, targets, ids, dtype)
    input, true_offsets = contiguous_in(dtype, input), maybe_in(dtype, given.true_offsets)
    _native.row_losses(
        array(input),
        *table.rows_of_targets,
        array(table.ids),
        true_offsets=maybe_array(true_offsets),
        offsets=maybe_array(maybe_in(dtype, given.offsets)),
        excluded=maybe_array(None if given.excluded is None else given.excluded.contiguous()),
        row_scale=maybe_array(maybe_in(dtype, given.row_scale)),
        inverse_temperature=1 / given.temperature,
        cosine=cosine,
        softmax=given.softmax,
        remove_hits=given.remove_hits,
        losses=array(losses),
        input_gradient=array(input_gradient) if gradients else None,
        true_factors=array(true_factors) if gradients else None,
        factors=array(factors) if gradients else None,
        **running(),
    )
    if true_weight != 1:
        true_logits = _true_logits(input, table, true_offsets, given.temperature, cosine)
        losses.add_(_positive_losses(true_logits, table.targets), alpha=true_weight - 1)
        if gradients:
            more = true_factors * (true_weight - 1)
            _add_true_rows(input_gradient, table, more, cosine)
            true_factors.add_(more)
    return LossesAndGradients(losses, input_gradient, true_factors, factors, empty(0))


def _multiplied(tiles: Tiles, *, needs: tuple[bool, bool, bool]) -> LossesAndGradients:
    """Losses from tiles, and from their factors what sampled classes add to gradients: of input, rows and biases."""
    of_inputs, of_rows, of_biases = needs
    input, sampled, nothing = tiles.input, tiles.sampled, tiles.input.new_empty(0)
    if tiles.is_compiled:
        input_gradient, rows, factors = tiles.at_once(needs=needs)
        return LossesAndGradients(tiles.losses, input_gradient, tiles.true_factors, factors, rows)
    if tiles.is_one:  # nothing to add up
        input_gradient = rows = factors = nothing
        for _, tile in tiles.of_rows(tiles.rows[0]):
            input_gradient = torch.mm(tile, sampled) if of_inputs else nothing
            rows = torch.mm(tile.t(), input) if of_rows else nothing
            factors = tile.sum(dim=0) if of_biases else nothing
        return LossesAndGradients(tiles.losses, input_gradient, tiles.true_factors, factors, rows)
    input_gradient = torch.zeros_like(input) if of_inputs else nothing
    rows = torch.zeros_like(sampled) if of_rows else nothing
    factors = input.new_zeros(len(sampled)) if of_biases else nothing
    for some in tiles.rows:
        for columns, tile in tiles.of_rows(some):
            if of_inputs:
                input_gradient[some].addmm_(tile, sampled[columns])
            if of_rows:
                rows[columns].addmm_(tile.T, input[some])
            if of_biases:
                factors[columns].add_(tile.sum(dim=0))
    return LossesAndGradients(tiles.losses, input_gradient, tiles.true_factors, factors, rows)


def _true_logits(
    input: Tensor, table: ClassWeights, offsets: Tensor | None, temperature: float, cosine: bool
) -> Tensor:  # (B, T)
    """G of the true classes; anything where there is no class."""
    logits = input.new_empty(table.targets.shape)
    _native.true_dots(array(input), *table.rows_of_targets, cosine=cosine, dots=array(logits), **running())
    if temperature != 1:
        logits.div_(temperature)
    return logits if offsets is None else logits.add_(offsets)


def _add_true_rows(input_gradient: Tensor, table: ClassWeights, factors: Tensor, cosine: bool) -> None:
    """Add what the true classes add to the gradient of the input."""
    _native.add_true_rows(
        array(input_gradient), *table.rows_of_targets, factors=array(factors), cosine=cosine, **running()
    )


def _positive_losses(true_logits: Tensor, targets: Tensor) -> Tensor:  # (B,)
    """The true classes' part of the logistic loss, sum_t log(1 + exp(-G_t))."""
    return -logsigmoid(true_logits).where(targets >= 0, 0.0).sum(dim=1)
