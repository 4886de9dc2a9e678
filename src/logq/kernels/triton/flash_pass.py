"""The pass over a shared sample on tensor cores, in two kernels and without a matrix of logits.

A sampled softmax is attention: queries are inputs, keys and values are the rows of the sampled classes, each key has an
offset of its own, and hits are masked. So the softmax part of the gradient of the input, and with it the normalizer,
come out of one loop over the sample (4 B S D operations), as attention does (Dao et al., "FlashAttention", 2022); a
second loop, over the rows of the batch, computes the logits again and gives the gradient of the sampled rows (4 B S D).
The logistic loss takes the same two loops. With the table itself for a sample this is the loss over all classes.

Products of float32 are rounded to TF32 first, and taken only where torch's settings ask for that. Products of two
bfloat16, or of two float16, are exact. A factor, which is a number in float32, is split into two of these, high + low,
that are multiplied one after the other: rounded once, as attention rounds it, it would be off by 1/512. Only where
torch.set_float32_matmul_precision("medium") allows for that, it is rounded.

Sums run in a fixed order: what is computed by several programs is added afterwards, not by atomics.
"""

from typing import Final, NamedTuple

import torch
import triton
import triton.language as tl

from logq.kernels.passes import LossesAndGradients, PassInputs
from logq.kernels.triton.flash_kernels import rows_kernel, sample_kernel
from logq.kernels.triton.launching import (
    capability,
    launch,
    least_capability,
    multiprocessors,
    product_precision,
    readable,
    trap_if,
    traps,
)
from logq.kernels.triton.per_row_pass import end_of_softmax, of_true_classes, rows_of_table
from logq.kernels.updates import real_dtype

__all__ = [
    "MOST_DIMENSIONS",
    "FlashTiles",
    "flash_pass",
    "how_products_are_made",
    "runs_on_tensor_cores",
    "splits_of",
    "tiles_of",
]

MOST_DIMENSIONS: Final = 1024
"""Wider rows are left to products of torch's, which compute each logit once."""

FLOAT16_RANGE = 4096.0
"""What factors in float16 are scaled to, at most, so that small ones keep their bits."""


FIRST_CAPABILITY: Final = 80
"""NVIDIA's GPUs before Ampere multiply neither bfloat16 nor TF32."""


class FlashTiles(NamedTuple):
    """How a loop is cut.

    Args:
        rows: of the batch, in a tile.
        classes: in a tile.
        dim: dimensions in a tile, a power of 2. Wider rows are summed by several programs; each computes all logits.
        warps: of a program.
        stages: of loads under way.
    """

    rows: int
    classes: int
    dim: int
    warps: int = 4
    stages: int = 2


def tiles_of(kernel: str, dim: int, *, narrow: bool, capability: int = 90) -> FlashTiles:
    """The tiles of a kernel for rows of a width.

    Chosen by what the compiler says of registers and of shared memory; none has been timed.

    Args:
        kernel: "sample" or "rows".
        dim: D.
        narrow: whether products are those of half precision, and not TF32.
        capability: of the GPU; 0 for one of another maker.

    Example:
        >>> tiles_of("sample", 100, narrow=True)
        FlashTiles(rows=64, classes=64, dim=128, warps=4, stages=2)
    """
    width = max(16, triton.next_power_of_2(dim))
    if narrow and (dim <= 128 or dim > 256):
        return FlashTiles(64, 64, min(width, 128))
    rows, classes = (64, 32) if kernel == "sample" else (32, 64)
    if narrow:
        return FlashTiles(rows, classes, 256, warps=4 if capability // 10 == 9 else 8)
    return FlashTiles(rows, classes, min(width, 128))


def runs_on_tensor_cores(input: torch.dtype, weight: torch.dtype, dim: int) -> bool:
    """Whether products of these types may be, by what torch is set to.

    Example:
        >>> half, single = torch.bfloat16, torch.float32
        >>> runs_on_tensor_cores(half, half, 64), runs_on_tensor_cores(single, single, 64)
        (True, False)
    """
    if dim > MOST_DIMENSIONS or torch.float64 in (input, weight) or 0 < least_capability() < FIRST_CAPABILITY:
        return False
    return is_half(input, weight) or product_precision() != "highest"


def is_half(input: torch.dtype, weight: torch.dtype) -> bool:
    """Whether both are in one type of half precision, of which products are exact.

    Example:
        >>> is_half(torch.bfloat16, torch.bfloat16), is_half(torch.bfloat16, torch.float16)
        (True, False)
    """
    return input is weight and input.itemsize == 2


def how_products_are_made(input: torch.dtype, weight: torch.dtype, dim: int) -> str:
    """What a pass over a shared sample or all classes multiplies, in words.

    Example:
        >>> how_products_are_made(torch.bfloat16, torch.bfloat16, 64)
        'on tensor cores, products of bfloat16 with factors in two parts'
        >>> how_products_are_made(torch.float32, torch.float32, 64)
        'by products of torch in float32, a tile of logits at a time'
    """
    precision = product_precision()
    if not runs_on_tensor_cores(input, weight, dim):
        real = real_dtype(torch.promote_types(input, weight))
        name = "TF32" if real is torch.float32 and precision != "highest" else str(real).removeprefix("torch.")
        return f"by products of torch in {name}, a tile of logits at a time"
    if is_half(input, weight):
        name = str(input).removeprefix("torch.")
        return f"on tensor cores, products of {name} with factors " + (
            'rounded once, as precision is "medium"' if precision == "medium" else "in two parts"
        )
    return f'on tensor cores, products in TF32, as precision is "{precision}"'


def flash_pass(given: PassInputs, *, over_all: bool = False, of_table: bool = True) -> LossesAndGradients:
    """Either pass; arguments as of logq.kernels.triton.shared_pass.by_tiles."""
    input, weight, targets, offsets = given.input, readable(given.weight), given.targets, given.offsets
    row_scale, gradients, ids = given.row_scale, given.gradients, None if over_all else given.ids
    (rows, dim), num_true = input.shape, targets.shape[1]
    sample = weight.shape[0] if ids is None else len(ids)
    narrow = is_half(input.dtype, weight.dtype)
    parts = 2 if narrow and product_precision() != "medium" else 1
    nothing = input.new_empty(0, dtype=torch.float32)
    losses = torch.empty(rows, dtype=torch.float32, device=input.device)
    of_rows = losses.new_empty(2, rows)  # the greatest logit of each, and what powers are multiplied by
    true_factors = losses.new_empty(rows, num_true) if gradients else nothing
    of_table, biases = gradients and of_table, gradients and of_table and given.biases
    # What a sample adds is summed once more, with what true classes add; over all classes there is nothing else.
    row_gradient = torch.zeros(
        (sample, dim) if of_table else (0,),
        dtype=torch.float32 if ids is not None else weight.dtype,
        device=input.device,
    )
    of_biases = losses.new_zeros(sample) if biases else nothing
    largest = None
    if input.dtype is torch.float16 and narrow and row_scale is not None:
        largest = row_scale.abs().amax() if rows else None
    constants = {
        "NUM_TRUE": num_true,
        "DIM": dim,
        "SOFTMAX": given.softmax,
        "REMOVE_HITS": given.remove_hits,
        "COSINE": given.cosine,
        "OWN_OFFSETS": offsets is not None and offsets.dim() == 2,
        "PARTS": parts,
        "PRODUCTS": {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16}[input.dtype] if narrow else tl.float32,
        "WIDENS": triton.knobs.runtime.interpret,
    }
    marks = None if given.excluded is None else given.excluded.view(torch.uint8)
    sizes = rows, sample, weight.shape[0], weight.stride(0), 1 / given.temperature

    tiles = tiles_of("sample", dim, narrow=narrow, capability=capability(input.device))
    chunks = triton.cdiv(dim, tiles.dim) if gradients else 1
    splits = splits_of(triton.cdiv(rows, tiles.rows) * chunks, triton.cdiv(sample, tiles.classes), input.device)
    sums = losses.new_empty(splits, 2, rows)
    partial = losses.new_empty(splits, rows, dim) if gradients else nothing
    if rows:
        launch(
            sample_kernel,
            (triton.cdiv(rows, tiles.rows), splits, chunks),
            *(input, weight, targets, ids, offsets, marks, sums, partial, *sizes),
            triton.cdiv(triton.cdiv(sample, splits), tiles.classes) * tiles.classes,
            **constants,
            ROWS=tiles.rows,
            CLASSES=tiles.classes,
            DIM_BLOCK=tiles.dim,
            GRADIENTS=gradients,
            TRAPS=traps(),
            num_warps=tiles.warps,
            num_stages=tiles.stages,
        )
        launch(
            end_kernel,
            (rows,),
            *(input, weight, targets, given.true_offsets, row_scale, sums, partial, losses, true_factors, of_rows),
            *(rows, weight.shape[0], weight.stride(0), splits, 1 / given.temperature, given.true_weight),
            NUM_TRUE=num_true,
            TRUE_BLOCK=triton.next_power_of_2(num_true),
            DIM=dim,
            DIM_BLOCK=triton.next_power_of_2(dim),
            SOFTMAX=given.softmax,
            COSINE=given.cosine,
            GRADIENTS=gradients,
            TRAPS=traps(),
            num_warps=1 if dim <= 128 else 4,
        )
    if not gradients:
        return LossesAndGradients(losses, *[nothing] * 4)
    if rows and sample and of_table:
        tiles = tiles_of("rows", dim, narrow=narrow, capability=capability(input.device))
        chunks = triton.cdiv(dim, tiles.dim)
        splits = splits_of(triton.cdiv(sample, tiles.classes) * chunks, triton.cdiv(rows, tiles.rows), input.device)
        of_sample = row_gradient[None] if splits == 1 else losses.new_empty(splits, sample, dim)
        of_bias = of_biases[None] if splits == 1 or not biases else of_biases.new_empty(splits, sample)
        launch(
            rows_kernel,
            (triton.cdiv(sample, tiles.classes), splits, chunks),
            *(input, weight, targets, ids, offsets, marks, of_rows, largest),
            *(true_factors if ids is None else None, of_sample, of_bias, *sizes),
            triton.cdiv(triton.cdiv(rows, splits), tiles.rows) * tiles.rows,
            **constants,
            ROWS=tiles.rows,
            CLASSES=tiles.classes,
            DIM_BLOCK=tiles.dim,
            BIASES=biases,
            RANGE=FLOAT16_RANGE if input.dtype is torch.float16 and narrow else 1.0,
            TRAPS=traps(),
            num_warps=tiles.warps,
            num_stages=tiles.stages,
        )
        if splits > 1:
            row_gradient = of_sample.sum(dim=0).to(row_gradient.dtype)
            if biases:
                of_biases = of_bias.sum(dim=0)
    return LossesAndGradients(losses, partial[0], true_factors, of_biases, row_gradient)


def splits_of(programs: int, steps: int, device: torch.device) -> int:
    """Over how many programs a loop is spread, where its tiles alone would leave multiprocessors idle."""
    return max(1, min(PROGRAMS * multiprocessors(device) // max(1, programs), steps // LEAST_STEPS))


PROGRAMS = 2
"""How many programs of these kernels fit a multiprocessor: one multiplies while the other takes powers."""

LEAST_STEPS = 4
"""Tiles of a loop, below which it is not worth what it takes to add up another part."""


@triton.jit(do_not_specialize=["num_rows", "num_classes", "splits"])
def end_kernel(
    input,
    weight,
    targets,
    true_offsets,
    row_scale,
    sums,
    partial,  # the first of its parts becomes the gradient of input
    losses,
    true_factors,
    of_rows,  # (2, B): the greatest logits, and what powers or sigmoids are multiplied by to give factors
    num_rows,
    num_classes,
    stride,
    splits,
    per_temperature: tl.float64,
    true_weight: tl.float64,
    NUM_TRUE: tl.constexpr,
    TRUE_BLOCK: tl.constexpr,
    DIM: tl.constexpr,
    DIM_BLOCK: tl.constexpr,
    SOFTMAX: tl.constexpr,
    COSINE: tl.constexpr,
    GRADIENTS: tl.constexpr,
    TRAPS: tl.constexpr,
):
    """The true classes of a row, in float32, and what its negatives came to."""
    row = tl.program_id(0).to(tl.int64)
    num_rows = num_rows.to(tl.int64)
    at = tl.arange(0, DIM_BLOCK)
    in_row = at < DIM
    x = tl.load(input + row * DIM + at, mask=in_row, other=0.0).to(tl.float32)
    per_temperature = tl.full((), per_temperature, tl.float32)
    true_weight = tl.full((), true_weight, tl.float32)
    scale = per_temperature
    if row_scale is not None:
        scale = scale * tl.load(row_scale + row).to(tl.float32)
    column = tl.arange(0, TRUE_BLOCK)
    target = tl.load(targets + row * NUM_TRUE + column, mask=column < NUM_TRUE, other=-1)
    is_true = target >= 0
    has_true = tl.max(is_true.to(tl.int32), 0) > 0
    trap_if(tl.max(target, 0) >= num_classes, TRAPS)
    true_rows = rows_of_table(weight, stride, target, is_true, at, in_row, COSINE, tl.float32)
    true = tl.sum(x[None, :] * true_rows, 1) * per_temperature
    if true_offsets is not None:
        true += tl.load(true_offsets + row * NUM_TRUE + column, mask=is_true, other=0.0).to(tl.float32)
    true_logit = tl.sum(tl.where(is_true, true, 0.0), 0)  # of the softmax, which has one true class

    greatest = true_logit
    if SOFTMAX:
        for split in tl.range(0, splits):
            greatest = tl.maximum(greatest, tl.load(sums + split * 2 * num_rows + row))
    others = tl.zeros((), tl.float32)
    gradient = tl.zeros((DIM_BLOCK,), tl.float32)
    for split in tl.range(0, splits):
        part = tl.full((), 1.0, tl.float32)
        if SOFTMAX:
            part = tl.exp(tl.load(sums + split * 2 * num_rows + row) - greatest)
        others += part * tl.load(sums + (split * 2 + 1) * num_rows + row)
        if GRADIENTS:
            gradient += part * tl.load(partial + (split * num_rows + row) * DIM + at, mask=in_row, other=0.0)

    if SOFTMAX:
        loss, total, of_true = end_of_softmax(others, greatest, true_logit, is_true, scale)
        coefficient = scale / total
    else:
        loss, of_true = of_true_classes(true, is_true, true_weight, scale)
        loss += others
        coefficient = scale
    tl.store(losses + row, tl.where(has_true, loss, 0.0))
    if GRADIENTS:
        coefficient = tl.where(has_true, coefficient, 0.0)
        tl.store(of_rows + row, greatest)
        tl.store(of_rows + num_rows + row, coefficient)
        tl.store(true_factors + row * NUM_TRUE + column, of_true, mask=column < NUM_TRUE)
        gradient = gradient * coefficient + tl.sum(of_true[:, None] * true_rows, 0)
        tl.store(partial + row * DIM + at, gradient, mask=in_row)
