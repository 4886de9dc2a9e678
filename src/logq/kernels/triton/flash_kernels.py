"""The two loops of the pass on tensor cores: over the sample for rows of the batch, and over these for the sample.

A tile of logits is there twice, and both times only in registers. What the loops are for, and how products and sums are
rounded, is said in logq.kernels.triton.flash_pass.
"""

import triton
import triton.language as tl

from logq.kernels.triton.launching import trap_if
from logq.kernels.triton.per_row_pass import sigmoid, softplus

__all__ = ["rows_kernel", "sample_kernel"]


@triton.jit
def tile_of(table, places, exists, at, dim, stride):
    """Rows of a table, at some dimensions; 0 where there are none."""
    wanted = exists[:, None] & (at < dim)[None, :]
    return tl.load(table + places.to(tl.int64)[:, None] * stride + at[None, :], mask=wanted, other=0.0)


@triton.jit
def dot(left, right, PRODUCTS: tl.constexpr, WIDENS: tl.constexpr):
    """A product of tiles in the type of PRODUCTS, summed in float32.

    Of float32, which TF32 stands for, the compiler rounds it to that. The interpreter's own product of bfloat16 is
    wrong, and so it WIDENS what has been rounded.
    """
    left, right = left.to(PRODUCTS), right.to(PRODUCTS)
    if WIDENS:
        left, right = left.to(tl.float32), right.to(tl.float32)
    return tl.dot(left, right, input_precision="tf32")


@triton.jit
def add_product(total, factors, tile, PARTS: tl.constexpr, PRODUCTS: tl.constexpr, WIDENS: tl.constexpr):
    """total + factors tile, for factors in float32."""
    if PARTS == 2:
        low = factors - factors.to(PRODUCTS).to(tl.float32)
        total += dot(low, tile, PRODUCTS, WIDENS)
    return total + dot(factors, tile, PRODUCTS, WIDENS)


@triton.jit
def dots(
    left,
    left_places,
    left_exists,
    left_stride,
    right,
    right_places,
    right_exists,
    right_stride,
    DIM: tl.constexpr,
    DIM_BLOCK: tl.constexpr,
    PRODUCTS: tl.constexpr,
    WIDENS: tl.constexpr,
):
    """Dot products of rows of one table with rows of another, a block of dimensions after the other."""
    total = tl.zeros((left_places.shape[0], right_places.shape[0]), tl.float32)
    for first in tl.range(0, DIM, DIM_BLOCK):
        at = first + tl.arange(0, DIM_BLOCK)
        rows = tile_of(left, left_places, left_exists, at, DIM, left_stride)
        columns = tile_of(right, right_places, right_exists, at, DIM, right_stride)
        total += dot(rows, tl.trans(columns), PRODUCTS, WIDENS)
    return total


@triton.jit
def per_length(table, places, exists, stride, DIM: tl.constexpr, DIM_BLOCK: tl.constexpr):
    """1 / length of rows of a table."""
    squares = tl.zeros((places.shape[0],), tl.float32)
    for first in tl.range(0, DIM, DIM_BLOCK):
        rows = tile_of(table, places, exists, first + tl.arange(0, DIM_BLOCK), DIM, stride).to(tl.float32)
        squares += tl.sum(rows * rows, 1)
    return 1.0 / tl.maximum(tl.sqrt(squares), 1e-12)


@triton.jit
def with_offsets(
    logits,
    per_temperature,
    lengths,
    offsets,
    rows,
    is_row,
    column,
    is_class,
    num_sampled,
    OWN_OFFSETS: tl.constexpr,
    COSINE: tl.constexpr,
):
    """Dot products as logits. Rows and columns stand along different axes of a tile, in either order.

    Offsets are (S,), or (B, S) with OWN_OFFSETS.
    """
    if COSINE:
        logits = logits * lengths
    logits = logits * per_temperature
    if offsets is not None:
        if OWN_OFFSETS:
            place = rows.to(tl.int64) * num_sampled + column
            logits += tl.load(offsets + place, mask=is_row & is_class, other=0.0).to(tl.float32)
        else:
            logits += tl.load(offsets + column, mask=is_class, other=0.0).to(tl.float32)
    return logits


@triton.jit
def are_negatives(
    rows,
    is_row,
    column,
    classes,
    is_class,
    targets,
    excluded,
    num_sampled,
    NUM_TRUE: tl.constexpr,
    REMOVE_HITS: tl.constexpr,
):
    """Which classes are negatives of which rows; axes as in `with_offsets`."""
    counts = is_row & is_class
    if REMOVE_HITS:
        for number in tl.range(NUM_TRUE):
            target = tl.load(targets + rows.to(tl.int64) * NUM_TRUE + number, mask=is_row, other=-1)
            counts = counts & (target != classes)
    if excluded is not None:
        place = rows.to(tl.int64) * num_sampled + column
        counts = counts & (tl.load(excluded + place, mask=counts, other=1) == 0)
    return counts


@triton.jit(do_not_specialize=["num_rows", "num_sampled", "num_classes", "per_split"])
def sample_kernel(
    input,
    weight,
    targets,
    ids,
    offsets,
    excluded,
    sums,  # (splits, 2, B): the greatest logits, and the sums of powers or losses
    partial,  # (splits, B, D): the sums of factors times rows of the table
    num_rows,
    num_sampled,
    num_classes,
    stride,
    per_temperature: tl.float64,
    per_split,
    NUM_TRUE: tl.constexpr,
    DIM: tl.constexpr,
    DIM_BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
    CLASSES: tl.constexpr,
    SOFTMAX: tl.constexpr,
    REMOVE_HITS: tl.constexpr,
    COSINE: tl.constexpr,
    OWN_OFFSETS: tl.constexpr,
    GRADIENTS: tl.constexpr,
    PARTS: tl.constexpr,
    PRODUCTS: tl.constexpr,
    WIDENS: tl.constexpr,
    TRAPS: tl.constexpr,
):
    """A block of rows by a part of the sample: sums over the negatives, and what they add to the gradient of input."""
    per_temperature = tl.full((), per_temperature, tl.float32)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    is_row = rows < num_rows
    split = tl.program_id(1)
    at = tl.program_id(2) * DIM_BLOCK + tl.arange(0, DIM_BLOCK)
    queries = tile_of(input, rows, is_row, at, DIM, DIM)
    lengths = tl.zeros((CLASSES,), tl.float32)
    total = tl.zeros((ROWS, DIM_BLOCK), tl.float32)
    greatest = tl.full((ROWS,), -float("inf"), tl.float32)
    others = tl.zeros((ROWS,), tl.float32)
    for first in tl.range(split * per_split, tl.minimum((split + 1) * per_split, num_sampled), CLASSES):
        column = first + tl.arange(0, CLASSES)
        is_class = column < num_sampled
        classes = column
        if ids is not None:
            classes = tl.load(ids + column, mask=is_class, other=0)
            trap_if((tl.max(classes, 0) >= num_classes) | (tl.min(classes, 0) < 0), TRAPS)
        keys = tile_of(weight, classes, is_class, at, DIM, stride)
        if DIM <= DIM_BLOCK:
            logits = dot(queries, tl.trans(keys), PRODUCTS, WIDENS)
        else:
            logits = dots(input, rows, is_row, DIM, weight, classes, is_class, stride, DIM, DIM_BLOCK, PRODUCTS, WIDENS)
        if COSINE:
            lengths = per_length(weight, classes, is_class, stride, DIM, DIM_BLOCK)
        down, has_row, across, has_class = rows[:, None], is_row[:, None], column[None, :], is_class[None, :]
        lengths_across, named = lengths[None, :], classes[None, :]
        logits = with_offsets(
            logits,
            per_temperature,
            lengths_across,
            offsets,
            down,
            has_row,
            across,
            has_class,
            num_sampled,
            OWN_OFFSETS,
            COSINE,
        )
        counts = are_negatives(
            down, has_row, across, named, has_class, targets, excluded, num_sampled, NUM_TRUE, REMOVE_HITS
        )
        if SOFTMAX:
            logits = tl.where(counts, logits, -float("inf"))
            new_greatest = tl.maximum(greatest, tl.max(logits, 1))
            # Before the first negative of a row there is nothing to scale, and no finite number to subtract.
            shift = tl.where(new_greatest == -float("inf"), 0.0, new_greatest)
            before = tl.exp(greatest - shift)
            factors = tl.exp(logits - shift[:, None])
            others = others * before + tl.sum(factors, 1)
            total = total * before[:, None]
            greatest = new_greatest
        else:
            costs, small = softplus(logits)
            others += tl.sum(tl.where(counts, costs, 0.0), 1)
            factors = tl.where(counts, sigmoid(logits, small), 0.0)
        if GRADIENTS:
            if COSINE:
                factors = factors * lengths[None, :]
            total = add_product(total, factors, keys, PARTS, PRODUCTS, WIDENS)
    if tl.program_id(2) == 0:
        place = sums + split.to(tl.int64) * 2 * num_rows + rows
        tl.store(place, greatest, mask=is_row)
        tl.store(place + num_rows, others, mask=is_row)
    if GRADIENTS:
        place = (split.to(tl.int64) * num_rows + rows)[:, None] * DIM + at[None, :]
        tl.store(partial + place, total, mask=is_row[:, None] & (at < DIM)[None, :])


@triton.jit(do_not_specialize=["num_rows", "num_sampled", "num_classes", "per_split"])
def rows_kernel(
    input,
    weight,
    targets,
    ids,
    offsets,
    excluded,
    of_rows,
    largest,  # what a row counts at most, in float16
    true_factors,  # (B, T), where true classes are among those of the table
    row_gradient,  # (splits, S, D)
    of_biases,  # (splits, S)
    num_rows,
    num_sampled,
    num_classes,
    stride,
    per_temperature: tl.float64,
    per_split,
    NUM_TRUE: tl.constexpr,
    DIM: tl.constexpr,
    DIM_BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
    CLASSES: tl.constexpr,
    SOFTMAX: tl.constexpr,
    REMOVE_HITS: tl.constexpr,
    COSINE: tl.constexpr,
    OWN_OFFSETS: tl.constexpr,
    BIASES: tl.constexpr,
    PARTS: tl.constexpr,
    PRODUCTS: tl.constexpr,
    WIDENS: tl.constexpr,
    RANGE: tl.constexpr,
    TRAPS: tl.constexpr,
):
    """A block of the sample by a part of the batch: the gradients of rows of the table, and of their biases."""
    per_temperature = tl.full((), per_temperature, tl.float32)
    column = tl.program_id(0) * CLASSES + tl.arange(0, CLASSES)
    is_class = column < num_sampled
    split = tl.program_id(1)
    at = tl.program_id(2) * DIM_BLOCK + tl.arange(0, DIM_BLOCK)
    classes = column
    if ids is not None:
        classes = tl.load(ids + column, mask=is_class, other=0)
        trap_if((tl.max(classes, 0) >= num_classes) | (tl.min(classes, 0) < 0), TRAPS)
    keys = tile_of(weight, classes, is_class, at, DIM, stride)
    lengths = tl.zeros((CLASSES,), tl.float32)
    if COSINE:
        lengths = per_length(weight, classes, is_class, stride, DIM, DIM_BLOCK)
    up = tl.full((), RANGE, tl.float32)
    if RANGE != 1.0:
        most = per_temperature
        if largest is not None:
            most = most * tl.load(largest)
        up = up / tl.where(most > 0, most, 1.0)
    total = tl.zeros((CLASSES, DIM_BLOCK), tl.float32)
    of_bias = tl.zeros((CLASSES,), tl.float32)
    for first in tl.range(split * per_split, tl.minimum((split + 1) * per_split, num_rows), ROWS):
        rows = first + tl.arange(0, ROWS)
        is_row = rows < num_rows
        queries = tile_of(input, rows, is_row, at, DIM, DIM)
        # Classes down and rows across: so the factors are where the second product wants them.
        if DIM <= DIM_BLOCK:
            logits = dot(keys, tl.trans(queries), PRODUCTS, WIDENS)
        else:
            logits = dots(weight, classes, is_class, stride, input, rows, is_row, DIM, DIM, DIM_BLOCK, PRODUCTS, WIDENS)
        across, has_row, down, has_class = rows[None, :], is_row[None, :], column[:, None], is_class[:, None]
        lengths_down, named = lengths[:, None], classes[:, None]
        logits = with_offsets(
            logits,
            per_temperature,
            lengths_down,
            offsets,
            across,
            has_row,
            down,
            has_class,
            num_sampled,
            OWN_OFFSETS,
            COSINE,
        )
        counts = are_negatives(
            across, has_row, down, named, has_class, targets, excluded, num_sampled, NUM_TRUE, REMOVE_HITS
        )
        coefficient = tl.load(of_rows + num_rows.to(tl.int64) + rows, mask=is_row, other=0.0)
        if SOFTMAX:
            greatest = tl.load(of_rows + rows, mask=is_row, other=0.0)
            factors = tl.exp(tl.where(counts, logits - greatest[None, :], -float("inf")))
        else:
            _, small = softplus(logits)
            factors = tl.where(counts, sigmoid(logits, small), 0.0)
        factors = factors * coefficient[None, :]
        if true_factors is not None:
            for number in tl.range(NUM_TRUE):
                place = rows.to(tl.int64) * NUM_TRUE + number
                target = tl.load(targets + place, mask=is_row, other=-1)
                of_true = tl.load(true_factors + place, mask=is_row, other=0.0)
                factors += tl.where(target[None, :] == classes[:, None], of_true[None, :], 0.0)
        if BIASES:
            of_bias += tl.sum(factors, 1)
        total = add_product(total, factors * up, queries, PARTS, PRODUCTS, WIDENS)
    place = split.to(tl.int64) * num_sampled + column
    rows_of_classes = place[:, None] * DIM + at[None, :]
    tl.store(row_gradient + rows_of_classes, total / up, mask=is_class[:, None] & (at < DIM)[None, :])
    if BIASES:  # noqa: SIM102 - known to the compiler
        if tl.program_id(2) == 0:
            tl.store(of_biases + place, of_bias, mask=is_class)
