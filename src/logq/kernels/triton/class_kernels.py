"""The kernels of logq.kernels.triton.class_sums."""

import triton
import triton.language as tl

from logq.kernels.triton.launching import trap_if
from logq.kernels.triton.triton_draws import random_bits

__all__ = ["class_kernel", "keys_kernel", "pieces_kernel"]


@triton.jit(do_not_specialize=["num_ids", "size", "num_classes"])
def keys_kernel(ids, targets, keys, num_ids, size, num_classes, BLOCK: tl.constexpr, TRAPS: tl.constexpr):
    """Sampled and true classes (size,) one after the other, -1 for all that are none."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    is_sampled = at < num_ids
    named = tl.load(ids + at, mask=is_sampled, other=-1)
    named = tl.maximum(named, tl.load(targets + (at - num_ids), mask=(at < size) & (is_sampled == 0), other=-1))
    trap_if(tl.max(named, 0) >= num_classes, TRAPS)
    tl.store(keys + at, tl.maximum(named, -1), mask=at < size)


@triton.jit
def added(
    place,
    limit,
    named,
    at,
    in_row,
    classes,
    order,
    input,
    true_factors,
    factors,
    rows,
    num_ids,
    per_row,
    per_true,
    DIM: tl.constexpr,
    BLOCK: tl.constexpr,
    BIASES: tl.constexpr,
    REAL: tl.constexpr,
):
    """What the entries of a class among BLOCK from a place on add to its row and to its bias; whether all are of it."""
    places = place + tl.arange(0, BLOCK)
    belongs = tl.load(classes + places, mask=places < limit, other=-1) == named
    entry = tl.load(order + places, mask=belongs, other=0)
    is_sampled = entry < num_ids
    of_true = entry - num_ids
    source = tl.where(is_sampled, entry // per_row, of_true // per_true)[:, None] * DIM + at[None, :]
    true_factor = tl.load(true_factors + of_true, mask=belongs & (is_sampled == 0), other=0.0).to(REAL)
    factor = true_factor
    if BIASES or rows is None:
        factor += tl.load(factors + entry, mask=belongs & is_sampled, other=0.0).to(REAL)
    if rows is None:
        value = tl.load(input + source, mask=belongs[:, None] & in_row[None, :], other=0.0).to(REAL)
        total = tl.sum(factor[:, None] * value, 0)
    else:
        of_input = (belongs & (is_sampled == 0))[:, None] & in_row[None, :]
        value = true_factor[:, None] * tl.load(input + source, mask=of_input, other=0.0).to(REAL)
        of_sample = (belongs & is_sampled)[:, None] & in_row[None, :]
        total = tl.sum(value + tl.load(rows + source, mask=of_sample, other=0.0).to(REAL), 0)
    return total, tl.sum(factor, 0), tl.min(belongs.to(tl.int32), 0) == 1


@triton.jit(do_not_specialize=["size", "num_ids", "per_row", "per_true"])
def pieces_kernel(
    classes,
    order,
    input,
    true_factors,
    factors,
    rows,
    pieces,
    of_biases,
    begins,
    size,
    num_ids,
    per_row,
    per_true,
    DIM: tl.constexpr,
    CHUNK: tl.constexpr,
    MANY: tl.constexpr,
    PIECE: tl.constexpr,
    BIASES: tl.constexpr,
    REAL: tl.constexpr,
):
    """Where classes begin, and what the start of each piece adds to a class that began before; a program a piece."""
    piece = tl.program_id(0).to(tl.int64)
    place = piece * PIECE
    if begins is not None:
        places = place + tl.arange(0, PIECE)
        exists = places < size
        here = tl.load(classes + places, mask=exists, other=-1)
        before = tl.load(classes + (places - 1), mask=exists & (places > 0), other=-1)
        tl.store(begins + places, ((here >= 0) & (here != before)).to(tl.int32), mask=exists)
    if pieces is not None:
        named = tl.load(classes + place)
        goes_on = (tl.load(classes + (place - 1), mask=place > 0, other=-1) == named) & (named >= 0)
        if goes_on:
            at = tl.program_id(1) * CHUNK + tl.arange(0, CHUNK)
            in_row = at < DIM
            limit = tl.minimum(place + PIECE, size)
            total = tl.zeros((CHUNK,), REAL)
            of_bias = tl.zeros((), REAL)
            while goes_on:
                more, more_of_bias, goes_on = added(
                    place, limit, named, at, in_row, classes, order, input, true_factors, factors, rows,
                    num_ids, per_row, per_true, DIM, MANY, BIASES, REAL,
                )  # fmt: skip
                total += more
                of_bias += more_of_bias
                place += MANY
                goes_on = goes_on & (place < limit)
            tl.store(pieces + piece * DIM + at, total, mask=in_row)
            if BIASES:
                tl.store(of_biases + piece, of_bias, mask=tl.program_id(1) == 0)


@triton.jit
def summed(
    place,
    named,
    at,
    in_row,
    classes,
    order,
    input,
    true_factors,
    factors,
    rows,
    pieces,
    of_biases,
    size,
    num_ids,
    per_row,
    per_true,
    DIM: tl.constexpr,
    FEW: tl.constexpr,
    PIECE: tl.constexpr,
    EACH: tl.constexpr,
    BIASES: tl.constexpr,
    REAL: tl.constexpr,
):
    """What all entries of the class that begins at a place add to some numbers of its row, and to its bias."""
    if EACH:
        total = tl.load(rows + place * DIM + at, mask=in_row, other=0.0).to(REAL)
        of_bias = tl.zeros((), REAL)
    else:
        piece = place // PIECE + 1
        limit = tl.minimum(piece * PIECE, size)
        total = tl.zeros_like(at).to(REAL)
        of_bias = tl.zeros((), REAL)
        goes_on = place < limit
        while goes_on:
            more, more_of_bias, goes_on = added(
                place, limit, named, at, in_row, classes, order, input, true_factors, factors, rows,
                num_ids, per_row, per_true, DIM, FEW, BIASES, REAL,
            )  # fmt: skip
            total += more
            of_bias += more_of_bias
            place += FEW
            goes_on = goes_on & (place < limit)
        if pieces is not None:
            goes_on = tl.load(classes + piece * PIECE, mask=piece * PIECE < size, other=-1) == named
            while goes_on:
                several = piece + tl.arange(0, 2 * FEW)
                belongs = tl.load(classes + several * PIECE, mask=several * PIECE < size, other=-1) == named
                wanted = belongs[:, None] & in_row[None, :]
                total += tl.sum(tl.load(pieces + several[:, None] * DIM + at[None, :], mask=wanted, other=0.0), 0)
                if BIASES:
                    of_bias += tl.sum(tl.load(of_biases + several, mask=belongs, other=0.0), 0)
                piece += 2 * FEW
                goes_on = tl.min(belongs.to(tl.int32), 0) == 1
    return total, of_bias


@triton.jit
def of_row(gradient, own, squares, products):
    """From the gradient of row / |row| to that of the row, of which some numbers are here."""
    length = tl.sqrt(squares)
    safe = tl.maximum(length, 1e-12)
    along = tl.where(length > 1e-12, products / safe, 0.0)
    return (gradient - along * (own / safe)) / safe


@triton.jit
def rounded(value, seed, place, ROUNDED: tl.constexpr):
    """One of the two numbers of half precision next to each value; see logq.kernels.reference_rows."""
    random = random_bits(seed.to(tl.int64).to(tl.uint64, bitcast=True), place)
    bits = value.to(tl.uint32, bitcast=True)
    if ROUNDED == "bf16":
        result = ((bits + (random >> 48).to(tl.uint32)) & 0xFFFF0000).to(tl.float32, bitcast=True)
    else:
        result = ((bits + (random >> 51).to(tl.uint32)) & 0xFFFFE000).to(tl.float32, bitcast=True)
        size = tl.abs(value) * 16777216.0  # numbers below 2^-14 lie 2^-24 apart
        whole = tl.floor(size)
        above = (random >> 40).to(tl.int32).to(tl.float32) * 5.9604644775390625e-08 < size - whole
        small = (whole + tl.where(above, 1.0, 0.0)) * 5.9604644775390625e-08
        result = tl.where(size < 1024.0, tl.where(value < 0, -small, small), result)
    return tl.where(tl.abs(value) < float("inf"), result, value)


@triton.jit
def apply_rule(
    gradient,
    own,
    row_sum,
    place,
    mask,
    table,
    first_state,
    second_state,
    lr,
    eps,
    beta1,
    beta2,
    correction1,
    correction2,
    seed,
    KIND: tl.constexpr,
    ROUNDED: tl.constexpr,
    REAL: tl.constexpr,
):
    """Write the row and its states as a rule has it, by a gradient with its decay; see logq.kernels.updates."""
    step = tl.full((), lr, REAL)
    if KIND == 0:
        change = step * gradient
    elif KIND == 2:
        change = step * gradient / (tl.sqrt(row_sum) + tl.full((), eps, REAL))
    else:
        first = tl.load(first_state + place, mask=mask, other=0.0).to(REAL)
        if KIND == 1:
            first += gradient * gradient
            change = step * gradient / (tl.sqrt(first) + tl.full((), eps, REAL))
        else:
            second = tl.load(second_state + place, mask=mask, other=0.0).to(REAL)
            first += (1 - tl.full((), beta1, REAL)) * (gradient - first)
            decay = tl.full((), beta2, REAL)
            second = decay * second + (1 - decay) * gradient * gradient
            tl.store(second_state + place, second, mask=mask)
            root = tl.sqrt(second / tl.full((), correction2, REAL)) + tl.full((), eps, REAL)
            change = step / tl.full((), correction1, REAL) * first / root
        tl.store(first_state + place, first, mask=mask)
    value = own - change
    if ROUNDED != "":
        value = rounded(value, seed, place, ROUNDED)
    tl.store(table + place, value, mask=mask)


@triton.jit(do_not_specialize=["size", "num_ids", "per_row", "per_true", "num_classes", "seed", "bias_seed"])
def class_kernel(
    order,
    classes,
    input,
    true_factors,
    factors,
    rows,
    pieces,
    of_biases,
    ranks,
    scale,
    out,
    out_bias,
    distinct,
    table,
    first_state,
    second_state,
    bias,
    bias_first,
    bias_second,
    size,
    num_ids,
    per_row,
    per_true,
    num_classes,
    times: tl.float64,
    lr: tl.float64,
    weight_decay: tl.float64,
    eps: tl.float64,
    beta1: tl.float64,
    beta2: tl.float64,
    correction1: tl.float64,
    correction2: tl.float64,
    seed: tl.int64,
    bias_times: tl.float64,
    bias_lr: tl.float64,
    bias_weight_decay: tl.float64,
    bias_eps: tl.float64,
    bias_beta1: tl.float64,
    bias_beta2: tl.float64,
    bias_correction1: tl.float64,
    bias_correction2: tl.float64,
    bias_seed: tl.int64,
    DIM: tl.constexpr,
    CHUNK: tl.constexpr,
    FEW: tl.constexpr,
    PIECE: tl.constexpr,
    BY_CHUNKS: tl.constexpr,
    EACH: tl.constexpr,
    BIASES: tl.constexpr,
    COSINE: tl.constexpr,
    KIND: tl.constexpr,
    BIAS_KIND: tl.constexpr,
    ROUNDED: tl.constexpr,
    BIAS_ROUNDED: tl.constexpr,
    REAL: tl.constexpr,
    TRAPS: tl.constexpr,
):
    """Gradients of the rows and biases of classes, or updates of them; a program a place, and a chunk of the row."""
    place = tl.program_id(0).to(tl.int64)
    named = place
    begins = place >= 0
    if classes is not None:
        named = tl.load(classes + place).to(tl.int64)
        if EACH:
            trap_if((named < 0) | (named >= num_classes), TRAPS)
        else:
            begins = (named >= 0) & (tl.load(classes + (place - 1), mask=place > 0, other=-1) != named)
    if begins:
        factor = tl.full((), times, REAL)
        bias_factor = tl.full((), bias_times, REAL)
        if scale is not None:
            factor *= tl.load(scale).to(REAL)
            bias_factor *= tl.load(scale).to(REAL)
        decay = tl.full((), weight_decay, REAL)
        row = named * DIM
        to = row
        rank = named
        if ranks is not None:
            rank = tl.load(ranks + place) - 1
            to = rank * DIM
        squares = tl.zeros((), REAL)
        products = tl.zeros((), REAL)
        row_sum = tl.zeros((), REAL)
        of_bias = tl.zeros((), REAL)

        if BY_CHUNKS:  # what is needed of the whole row first
            if COSINE:
                for start in tl.range(0, DIM, CHUNK):
                    at = start + tl.arange(0, CHUNK)
                    in_row = at < DIM
                    total, of_bias = summed(
                        place, named, at, in_row, classes, order, input, true_factors, factors, rows, pieces,
                        of_biases, size, num_ids, per_row, per_true, DIM, FEW, PIECE, EACH, BIASES, REAL,
                    )  # fmt: skip
                    own = tl.load(table + row + at, mask=in_row, other=0.0).to(REAL)
                    squares += tl.sum(own * own, 0)
                    products += tl.sum(total * factor * own, 0)
            if KIND == 2:
                for start in tl.range(0, DIM, CHUNK):
                    at = start + tl.arange(0, CHUNK)
                    in_row = at < DIM
                    total, of_bias = summed(
                        place, named, at, in_row, classes, order, input, true_factors, factors, rows, pieces,
                        of_biases, size, num_ids, per_row, per_true, DIM, FEW, PIECE, EACH, BIASES, REAL,
                    )  # fmt: skip
                    own = tl.load(table + row + at, mask=in_row, other=0.0).to(REAL)
                    gradient = total * factor
                    if COSINE:
                        gradient = of_row(gradient, own, squares, products)
                    gradient += decay * own
                    row_sum += tl.sum(gradient * gradient, 0)
                row_sum = tl.load(first_state + named).to(REAL) + row_sum / DIM

        for chunk in tl.range(0, DIM if BY_CHUNKS else CHUNK, CHUNK):
            at = chunk + tl.program_id(1) * CHUNK + tl.arange(0, CHUNK)
            in_row = at < DIM
            total, of_bias = summed(
                place, named, at, in_row, classes, order, input, true_factors, factors, rows, pieces,
                of_biases, size, num_ids, per_row, per_true, DIM, FEW, PIECE, EACH, BIASES, REAL,
            )  # fmt: skip
            gradient = total * factor
            if COSINE or KIND >= 0:
                own = tl.load(table + row + at, mask=in_row, other=0.0).to(REAL)
            if COSINE:
                if not BY_CHUNKS:
                    squares = tl.sum(own * own, 0)
                    products = tl.sum(gradient * own, 0)
                gradient = of_row(gradient, own, squares, products)
            if KIND >= 0:
                gradient += decay * own
                if KIND == 2 and not BY_CHUNKS:
                    row_sum = tl.load(first_state + named).to(REAL) + tl.sum(gradient * gradient, 0) / DIM
                apply_rule(
                    gradient, own, row_sum, row + at, in_row, table, first_state, second_state, lr, eps, beta1,
                    beta2, correction1, correction2, seed, KIND, ROUNDED, REAL,
                )  # fmt: skip
            else:
                tl.store(out + to + at, gradient, mask=in_row)
        if BIASES:
            one = tl.arange(0, 1)
            once = (one + tl.program_id(1)) == 0
            of_one = tl.zeros((1,), REAL) + of_bias * bias_factor
            if BIAS_KIND >= 0:
                own_bias = tl.load(bias + named + one).to(REAL)
                of_one += tl.full((), bias_weight_decay, REAL) * own_bias
                apply_rule(
                    of_one, own_bias, row_sum, named + one, once, bias, bias_first, bias_second, bias_lr,
                    bias_eps, bias_beta1, bias_beta2, bias_correction1, bias_correction2, bias_seed,
                    BIAS_KIND, BIAS_ROUNDED, REAL,
                )  # fmt: skip
            else:
                tl.store(out_bias + rank + one, of_one, mask=once)
        if KIND == 2:
            tl.debug_barrier()  # what one thread writes, all others have read before
            tl.store(first_state + named, row_sum)
        if distinct is not None:
            tl.store(distinct + rank, named, mask=tl.program_id(1) == 0)
