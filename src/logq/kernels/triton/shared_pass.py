"""The passes over a shared sample and over all classes on a GPU.

Where torch's settings, or half precision, allow for tensor cores, they are those of logq.kernels.triton.flash_pass.
Else, and for wide rows, they are three products of torch's a tile of rows, and one kernel between them:

    logits = input sampled^T        then in place: losses and factors        then factors sampled, factors^T input

A product of float32 is as exact as torch's settings ask for (torch.set_float32_matmul_precision). A tile has at most
TILE logits, so no (B, S) matrix is stored however large the batch is.
"""

from collections.abc import Callable

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn.functional import normalize

from logq.kernels.logits import chunk_logits, computed_dtype
from logq.kernels.passes import FullPassInputs, LossesAndGradients, PassInputs
from logq.kernels.triton.flash_pass import flash_pass, runs_on_tensor_cores
from logq.kernels.triton.launching import TYPES, launch, readable
from logq.kernels.triton.per_row_pass import end_of_softmax, of_negatives, of_true_classes

__all__ = ["full_pass", "shared_pass"]

TILE = 1 << 24
"""Logits of a tile: 64 MiB in float32. Of all classes, of which a row alone has millions, it is `chunk_logits`."""

BLOCK = 1024


def shared_pass(given: PassInputs) -> LossesAndGradients:
    """The pass over a sample that all rows share; see logq.kernels.passes."""
    return pass_for(given.input, given.weight)(given)


def full_pass(given: FullPassInputs) -> LossesAndGradients:
    """The pass over all classes; see logq.kernels.passes."""
    input, weight, targets, needs = given.input.contiguous(), given.weight, given.targets.contiguous(), given.needs
    offsets = true_offsets = None
    if given.bias is not None:
        offsets = (given.bias.detach().to(computed_dtype(input, weight)) / given.temperature).contiguous()
        true_offsets = offsets.index_select(0, targets.clamp(min=0).view(-1)).view(targets.shape)
    all_classes = PassInputs(
        input,
        weight,
        targets,
        ids=targets,  # nobody looks at them: all are taken
        true_offsets=true_offsets,
        offsets=offsets,
        excluded=None,
        row_scale=given.row_scale,
        softmax=given.softmax,
        remove_hits=True,
        temperature=given.temperature,
        cosine=False,
        gradients=True,
        biases=needs[2],
    )
    return pass_for(input, weight)(all_classes, over_all=True, of_table=needs[1] or needs[2])


def pass_for(input: Tensor, weight: Tensor) -> Callable[..., LossesAndGradients]:
    """What computes either pass for tensors of these types and this width."""
    return flash_pass if runs_on_tensor_cores(input.dtype, weight.dtype, input.shape[1]) else by_tiles


def by_tiles(given: PassInputs, *, over_all: bool = False, of_table: bool = True) -> LossesAndGradients:
    """Either pass, by products of torch's.

    Args:
        given: as for `shared_pass`.
        over_all: take all classes and not `ids`; what true classes add is in the gradients of the table and of biases,
            too, then.
        of_table: whether these are wanted.
    """
    input, targets, offsets, temperature = given.input, given.targets, given.offsets, given.temperature
    dtype, gradients, ids = computed_dtype(input, given.weight), given.gradients, None if over_all else given.ids
    (rows, dim), num_true = input.shape, targets.shape[1]
    input, weight = input.to(dtype), readable(given.weight)
    is_true = targets >= 0
    sampled = weight.to(dtype) if ids is None else weight.index_select(0, ids).to(dtype)
    true_rows = weight.index_select(0, targets.where(is_true, 0).view(-1)).to(dtype)
    if given.cosine:
        sampled, true_rows = normalize(sampled, dim=1), normalize(true_rows, dim=1)
    num_sampled = len(sampled)
    true_rows = true_rows.view(rows, num_true, dim).masked_fill(~is_true[..., None], 0.0)
    true_logits = (input[:, None] * true_rows).sum(dim=2) / temperature
    if given.true_offsets is not None:
        true_logits = (true_logits + given.true_offsets).masked_fill(~is_true, 0.0)
    nothing = input.new_empty(0)
    of_table, biases = gradients and of_table, gradients and of_table and given.biases
    losses = input.new_empty(rows)
    true_factors = input.new_empty(rows, num_true) if gradients else losses
    input_gradient = input.new_empty(rows, dim) if gradients else nothing
    row_gradient = input.new_zeros(num_sampled, dim) if of_table else nothing
    of_biases = input.new_zeros(num_sampled) if biases else nothing
    most = chunk_logits(input.device) if ids is None else TILE
    size = max(1, most // max(1, num_sampled))
    for first in range(0, rows, size):
        tile = slice(first, first + size)
        logits = input[tile] @ sampled.T
        launch(
            tile_kernel,
            (len(logits),),
            logits,
            true_logits[tile],
            targets[tile],
            ids,
            offsets if offsets is None or offsets.dim() == 1 else offsets[tile],
            None if given.excluded is None else given.excluded[tile].view(torch.uint8),
            None if given.row_scale is None else given.row_scale[tile],
            losses[tile],
            true_factors[tile],
            num_sampled,
            0 if offsets is None or offsets.dim() == 1 else num_sampled,
            1 / temperature,
            given.true_weight,
            NUM_TRUE=num_true,
            TRUE_BLOCK=triton.next_power_of_2(num_true),
            BLOCK=min(BLOCK, triton.next_power_of_2(max(1, num_sampled))),
            SOFTMAX=given.softmax,
            REMOVE_HITS=given.remove_hits,
            GRADIENTS=gradients,
            REAL=TYPES[dtype],
        )
        if gradients:
            torch.mm(logits, sampled, out=input_gradient[tile])
        if of_table:
            row_gradient.addmm_(logits.T, input[tile])
        if biases:
            of_biases += logits.sum(dim=0)
    if not gradients:
        return LossesAndGradients(losses, *[nothing] * 4)
    if ids is not None:
        input_gradient += (true_factors[..., None] * true_rows).sum(dim=1)
    return LossesAndGradients(losses, input_gradient, true_factors, of_biases, row_gradient)


@triton.jit(do_not_specialize=["num_sampled", "offset_stride"])
def tile_kernel(
    logits,  # (rows, S): dot products, and factors afterwards
    true_logits,
    targets,
    ids,
    offsets,
    excluded,
    row_scale,
    losses,
    true_factors,
    num_sampled,
    offset_stride,
    per_temperature: tl.float64,
    true_weight: tl.float64,
    NUM_TRUE: tl.constexpr,
    TRUE_BLOCK: tl.constexpr,
    BLOCK: tl.constexpr,
    SOFTMAX: tl.constexpr,
    REMOVE_HITS: tl.constexpr,
    GRADIENTS: tl.constexpr,
    REAL: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    per_temperature = tl.full((), per_temperature, REAL)
    true_weight = tl.full((), true_weight, REAL)
    scale = per_temperature
    if row_scale is not None:
        scale = scale * tl.load(row_scale + row).to(REAL)
    column = tl.arange(0, TRUE_BLOCK)
    target = tl.load(targets + row * NUM_TRUE + column, mask=column < NUM_TRUE, other=-1)
    is_true = target >= 0
    has_true = tl.max(is_true.to(tl.int32), 0) > 0
    true = tl.load(true_logits + row * NUM_TRUE + column, mask=is_true, other=0.0)

    true_logit = tl.sum(true, 0)  # of the softmax, which has one true class
    greatest = true_logit
    others = tl.zeros((), REAL)
    loss = tl.zeros((), REAL)
    for start in tl.range(0, num_sampled, BLOCK):
        at = start + tl.arange(0, BLOCK)
        exists = at < num_sampled
        counts = exists & has_true
        if REMOVE_HITS:
            sampled = at
            if ids is not None:
                sampled = tl.load(ids + at, mask=exists, other=-1)
            hits = (sampled[:, None] == target[None, :]) & is_true[None, :]
            counts = counts & (tl.max(hits.to(tl.int32), 1) == 0)
        if excluded is not None:
            counts = counts & (tl.load(excluded + row * num_sampled + at, mask=exists, other=1) == 0)
        logit = tl.load(logits + row * num_sampled + at, mask=exists, other=0.0) * per_temperature
        if offsets is not None:
            logit += tl.load(offsets + row * offset_stride + at, mask=counts, other=0.0).to(REAL)
        if SOFTMAX:
            logit = tl.where(counts, logit, -float("inf"))
            new_greatest = tl.maximum(greatest, tl.max(logit, 0))
            others = others * tl.exp(greatest - new_greatest) + tl.sum(tl.exp(logit - new_greatest), 0)
            greatest = new_greatest
            if GRADIENTS:
                tl.store(logits + row * num_sampled + at, logit, mask=exists)
        else:
            costs, factors = of_negatives(logit, counts, scale)
            loss += costs
            if GRADIENTS:
                tl.store(logits + row * num_sampled + at, factors, mask=exists)

    if SOFTMAX:
        loss, total, of_true = end_of_softmax(others, greatest, true_logit, is_true, scale)
        if GRADIENTS:
            tl.debug_barrier()  # what other threads of the program have stored is read now
            for start in tl.range(0, num_sampled, BLOCK):
                at = start + tl.arange(0, BLOCK)
                exists = at < num_sampled
                logit = tl.load(logits + row * num_sampled + at, mask=exists, other=-float("inf"))
                tl.store(logits + row * num_sampled + at, tl.exp(logit - greatest) / total * scale, mask=exists)
    else:
        costs, of_true = of_true_classes(true, is_true, true_weight, scale)
        loss += costs
    tl.store(losses + row, tl.where(has_true, loss, 0.0))
    if GRADIENTS:
        tl.store(true_factors + row * NUM_TRUE + column, of_true, mask=column < NUM_TRUE)
        if ids is None:  # true classes have places of their own; of one that a row names twice the factors are summed
            same = (target[:, None] == target[None, :]) & is_true[None, :]
            factors = tl.sum(tl.where(same, of_true[None, :], 0.0), 1)
            tl.debug_barrier()
            tl.store(logits + row * num_sampled + target, factors, mask=is_true)
