"""The pass over samples of rows on a GPU: one program per row, which reads each row of the table once.

A program gathers the classes of its row block by block, turns their logits into the loss, and adds them to the
gradient of its input while they are in registers. The softmax is computed online: a block whose greatest logit is above
all before scales what was summed so far. Its factors are known when its normalizer is; until then their place holds the
logits.
"""

import torch
import triton
import triton.language as tl

from logq.kernels.logits import computed_dtype
from logq.kernels.passes import LossesAndGradients, PassInputs
from logq.kernels.triton.launching import TYPES, blocks_of_rows, launch, readable, trap_if, traps

__all__ = ["per_row_pass"]


def per_row_pass(given: PassInputs) -> LossesAndGradients:
    """The pass where each row has a sample of its own, in one launch; see logq.kernels.passes."""
    input, weight = given.input, readable(given.weight)
    dtype, (rows, dim) = computed_dtype(input, weight), input.shape
    num_true, num_sampled = given.targets.shape[1], given.ids.shape[1]
    nothing = input.new_empty(0, dtype=dtype)
    losses = input.new_empty(rows, dtype=dtype)
    made = nothing, nothing, nothing
    if given.gradients:
        made = tuple(input.new_empty(rows, width, dtype=dtype) for width in (dim, num_true, num_sampled))
    if rows:
        size = blocks_of_rows(dim, num_sampled)
        launch(
            per_row_kernel,
            (rows,),
            input,
            weight,
            given.targets,
            given.ids,
            given.true_offsets,
            given.offsets,
            None if given.excluded is None else given.excluded.view(torch.uint8),
            given.row_scale,
            losses,
            *made,
            weight.shape[0],
            num_sampled,
            weight.stride(0),
            1 / given.temperature,
            given.true_weight,
            NUM_TRUE=num_true,
            TRUE_BLOCK=triton.next_power_of_2(num_true),
            DIM=dim,
            DIM_BLOCK=size.dim,
            BLOCK=size.classes,
            SOFTMAX=given.softmax,
            REMOVE_HITS=given.remove_hits,
            COSINE=given.cosine,
            GRADIENTS=given.gradients,
            REAL=TYPES[dtype],
            TRAPS=traps(),
            num_warps=size.warps,
        )
    return LossesAndGradients(losses, *made, nothing)


@triton.jit
def rows_of_table(weight, stride, ids, wanted, at, in_row, COSINE: tl.constexpr, REAL: tl.constexpr):
    """Rows of the class weights, 0 where they are not wanted; of length 1 if COSINE."""
    place = tl.where(wanted, ids, 0).to(tl.int64)[:, None] * stride + at[None, :]
    rows = tl.load(weight + place, mask=wanted[:, None] & in_row[None, :], other=0.0).to(REAL)
    if COSINE:
        length = tl.sqrt(tl.sum(rows * rows, 1))
        rows = rows / tl.maximum(length, 1e-12)[:, None]
    return rows


@triton.jit
def softplus(x):
    """log(1 + exp(x)), and exp(-|x|), without overflow."""
    small = tl.exp(-tl.abs(x))
    return tl.maximum(x, 0.0) + tl.log(1.0 + small), small


@triton.jit
def sigmoid(x, small):
    """1 / (1 + exp(-x)), where `small` is exp(-|x|)."""
    return tl.where(x >= 0, 1.0, small) / (1.0 + small)


@triton.jit
def of_negatives(logits, counts, scale):
    """The logistic losses of negatives, summed, and their factors."""
    costs, small = softplus(logits)
    factors = tl.where(counts, sigmoid(logits, small), 0.0) * scale
    return tl.sum(tl.where(counts, costs, 0.0), 0), factors


@triton.jit
def of_true_classes(logits, is_true, true_weight, scale):
    """The logistic losses of true classes, summed, and their factors."""
    costs, small = softplus(-logits)
    factors = tl.where(is_true, sigmoid(-logits, small), 0.0)
    return true_weight * tl.sum(tl.where(is_true, costs, 0.0), 0), -factors * (scale * true_weight)


@triton.jit
def end_of_softmax(others, greatest, true_logit, is_true, scale):
    """The loss, what powers are divided by, and the factor of the true class."""
    # Quotients of sums, not exp(logit - log total), which would round the logarithm first.
    total = others + tl.exp(true_logit - greatest)
    return tl.log(total) + (greatest - true_logit), total, tl.where(is_true, -others / total, 0.0) * scale


@triton.jit(do_not_specialize=["num_classes", "num_sampled"])
def per_row_kernel(
    input,
    weight,
    targets,
    ids,
    true_offsets,
    offsets,
    excluded,
    row_scale,
    losses,
    input_gradient,
    true_factors,
    factors,
    num_classes,
    num_sampled,
    stride,
    per_temperature: tl.float64,
    true_weight: tl.float64,
    NUM_TRUE: tl.constexpr,
    TRUE_BLOCK: tl.constexpr,
    DIM: tl.constexpr,
    DIM_BLOCK: tl.constexpr,
    BLOCK: tl.constexpr,
    SOFTMAX: tl.constexpr,
    REMOVE_HITS: tl.constexpr,
    COSINE: tl.constexpr,
    GRADIENTS: tl.constexpr,
    REAL: tl.constexpr,
    TRAPS: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, DIM_BLOCK)
    in_row = at < DIM
    x = tl.load(input + row * DIM + at, mask=in_row, other=0.0).to(REAL)
    per_temperature = tl.full((), per_temperature, REAL)
    true_weight = tl.full((), true_weight, REAL)
    # What a logit's derivative is multiplied by, to give the factor of a dot product.
    scale = per_temperature
    if row_scale is not None:
        scale = scale * tl.load(row_scale + row).to(REAL)

    column = tl.arange(0, TRUE_BLOCK)
    target = tl.load(targets + row * NUM_TRUE + column, mask=column < NUM_TRUE, other=-1)
    is_true = target >= 0
    has_true = tl.max(is_true.to(tl.int32), 0) > 0
    trap_if(tl.max(target, 0) >= num_classes, TRAPS)
    true_rows = rows_of_table(weight, stride, target, is_true, at, in_row, COSINE, REAL)
    true_logits = tl.sum(x[None, :] * true_rows, 1) * per_temperature
    if true_offsets is not None:
        true_logits += tl.load(true_offsets + row * NUM_TRUE + column, mask=is_true, other=0.0).to(REAL)

    gradient = tl.zeros((DIM_BLOCK,), REAL)
    true_logit = tl.sum(tl.where(is_true, true_logits, 0.0), 0)  # of the softmax, which has one true class
    greatest = true_logit
    others = tl.zeros((), REAL)  # the sum of exp(logit - greatest) over the negatives
    loss = tl.zeros((), REAL)
    for start in tl.range(0, num_sampled, BLOCK):
        place = start + tl.arange(0, BLOCK)
        exists = place < num_sampled
        place = row * num_sampled + place
        sampled = tl.load(ids + place, mask=exists, other=-1)
        trap_if(tl.max(sampled, 0) >= num_classes, TRAPS)
        counts = exists & has_true & (sampled >= 0)
        if REMOVE_HITS:
            hits = (sampled[:, None] == target[None, :]) & is_true[None, :]
            counts = counts & (tl.max(hits.to(tl.int32), 1) == 0)
        if excluded is not None:
            counts = counts & (tl.load(excluded + place, mask=exists, other=1) == 0)
        rows = rows_of_table(weight, stride, sampled, counts, at, in_row, COSINE, REAL)
        logits = tl.sum(x[None, :] * rows, 1) * per_temperature
        if offsets is not None:
            logits += tl.load(offsets + place, mask=counts, other=0.0).to(REAL)
        if SOFTMAX:
            logits = tl.where(counts, logits, -float("inf"))
            new_greatest = tl.maximum(greatest, tl.max(logits, 0))
            before = tl.exp(greatest - new_greatest)
            powers = tl.exp(logits - new_greatest)
            others = others * before + tl.sum(powers, 0)
            greatest = new_greatest
            if GRADIENTS:
                gradient = gradient * before + tl.sum(powers[:, None] * rows, 0)
                tl.store(factors + place, logits, mask=exists)
        else:
            costs, of_logits = of_negatives(logits, counts, scale)
            loss += costs
            if GRADIENTS:
                gradient += tl.sum(of_logits[:, None] * rows, 0)
                tl.store(factors + place, of_logits, mask=exists)

    if SOFTMAX:
        loss, total, of_true = end_of_softmax(others, greatest, true_logit, is_true, scale)
        if GRADIENTS:
            gradient = gradient * (scale / total)
            tl.debug_barrier()  # what other threads of the program have stored is read now
            for start in tl.range(0, num_sampled, BLOCK):
                place = start + tl.arange(0, BLOCK)
                exists = place < num_sampled
                place = row * num_sampled + place
                logits = tl.load(factors + place, mask=exists, other=-float("inf"))
                tl.store(factors + place, tl.exp(logits - greatest) / total * scale, mask=exists)
    else:
        costs, of_true = of_true_classes(true_logits, is_true, true_weight, scale)
        loss += costs
    tl.store(losses + row, tl.where(has_true, loss, 0.0))
    if GRADIENTS:
        gradient += tl.sum(of_true[:, None] * true_rows, 0)
        tl.store(true_factors + row * NUM_TRUE + column, of_true, mask=column < NUM_TRUE)
        tl.store(input_gradient + row * DIM + at, tl.where(has_true, gradient, 0.0), mask=in_row)
