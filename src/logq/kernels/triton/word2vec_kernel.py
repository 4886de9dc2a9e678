"""word2vec on a GPU: skip-gram and CBOW with negative sampling, straight from words that lie on the device.

A program takes a few neighboring centers at a time, a tile. The words around them are its rows, the centers and their
negatives its columns, and three small products do the rest: logits, what the rows gain, and what the columns gain. Each
row and column is read once for a tile, and changed by one atomic addition, so that no update is lost, however many
programs meet in it.

What is drawn at a word depends on (seed, place in the corpus) alone, as in `kernels/native/word2vec/plan.hpp`: windows
are those of the compiled engine, and negatives those that it draws without a pool.
"""

from typing import NamedTuple

import triton
import triton.language as tl

from logq.kernels.triton.triton_draws import random_bits

__all__ = ["BLOCK", "Tile", "columns_kernel", "tile_for", "word2vec_kernel"]

BLOCK = 256
"""Negatives that a program draws."""

MOST_CENTERS = 16
"""Of a tile: they all see the tables as they were before it."""

NUMBERS_AT_ONCE = 4096
"""Of rows and columns together that a program holds; of wider vectors it takes parts. More fit into its registers where
it is 48 vectors, as with 5 negatives and a window of 5, of up to 128 numbers."""


class Tile(NamedTuple):
    """How much of the text a program takes at a time.

    Args:
        centers: words to predict.
        rows: the words around them, up to 2 * window + centers, as a power of 2.
        columns: centers and negatives, centers * (1 + negatives), as a power of 2.
        width: numbers of a vector that are taken at a time, a power of 2.
        warps: of 32 threads.
    """

    centers: int
    rows: int
    columns: int
    width: int
    warps: int


def tile_for(window: int, negatives: int, stride: int) -> Tile:
    """The tile whose products have the fewest pairs of a row and a column for each center.

    Args:
        window: maximum reach, at most 63.
        negatives: k, at most 127.
        stride: width of the tables.

    Example:
        >>> tile_for(window=5, negatives=5, stride=128)
        Tile(centers=5, rows=16, columns=32, width=128, warps=4)
    """

    def of(centers: int) -> tuple[int, int]:
        sizes = centers + 2 * window, centers * (1 + negatives)
        rows, columns = (max(16, triton.next_power_of_2(size)) for size in sizes)
        return rows, columns

    centers = min(range(1, MOST_CENTERS + 1), key=lambda centers: of(centers)[0] * of(centers)[1] / centers)
    rows, columns = of(centers)
    most = 128 if rows + columns <= 48 else 1 << (NUMBERS_AT_ONCE // (rows + columns)).bit_length() - 1
    width = max(16, min(triton.next_power_of_2(stride), most))
    return Tile(centers, rows, columns, width, 4 if rows * columns <= 2048 else 8)


@triton.jit(do_not_specialize=["num_words", "seed", "position"])
def columns_kernel(
    columns,  # (.., 1 + NEGATIVES): each center, and what is drawn for it; -1 where that is the center
    words,  # (size,), the words that stay
    places,  # (size,), where they stand, seen from `position`
    bounds,  # (2,), the first center and the one behind the last
    cells,  # (V,), of an alias table: 32 bits for the share of a word in its cell, and its alias above
    num_words,
    seed: tl.int64,  # of negatives
    position: tl.int64,
    NEGATIVES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Draw the negatives of centers, each for itself."""
    number = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    center, column = tl.load(bounds) + number // (1 + NEGATIVES), number % (1 + NEGATIVES)
    exists = center < tl.load(bounds + 1)
    word = tl.load(words + center, mask=exists, other=0)
    place = position + tl.load(places + center, mask=exists, other=0).to(tl.int64)
    # wyrand, seeded by the hash of the place
    state = random_bits(tl.full((), seed, tl.int64).to(tl.uint64, bitcast=True), place)
    state += column.to(tl.uint64) * 0xA0761D6478BD642F
    other = state ^ 0xE7037ED1A0B428DB
    bits = tl.umulhi(state, other) ^ (state * other)
    size = tl.zeros_like(bits) + num_words.to(tl.uint64)
    cell = tl.umulhi(bits, size).to(tl.int64)
    found = tl.load(cells + cell, mask=exists & (column > 0), other=0)
    drawn = tl.where(((bits * size) >> 32).to(tl.int64) < (found & 0xFFFFFFFF), cell, found >> 32).to(tl.int32)
    tl.store(columns + number, tl.where(column == 0, word, tl.where(drawn == word, -1, drawn)), mask=exists)


@triton.jit
def part_of(table, words, wanted, start, STRIDE: tl.constexpr, WIDTH: tl.constexpr):
    """Where numbers of some vectors lie, from `start` on, and which of them there are."""
    at = start + tl.arange(0, WIDTH)
    return table + words[:, None] * STRIDE + at[None, :], wanted[:, None] & (at < STRIDE)[None, :]


@triton.jit
def read(places, exist):
    """Vectors as they are now: from the second cache, as the first one never hears of what other programs add."""
    return tl.load(places, mask=exist, other=0.0, cache_modifier=".cg")


@triton.jit
def add(places, exist, factors, vectors, PRECISION: tl.constexpr):
    """Add a product to vectors, 16 bytes at a time where the GPU can."""
    tl.atomic_add(places, tl.dot(factors, vectors, input_precision=PRECISION), mask=exist, sem="relaxed")


@triton.jit(do_not_specialize=["size"])
def word2vec_kernel(
    inputs,  # (V, STRIDE)
    outputs,  # (V, STRIDE)
    words,  # (size,), the words that stay
    places,  # (size,), where they stand
    sentences,  # (size,), -1 behind the last word
    reaches,  # (size,), of windows
    bounds,  # (2,), the first center and the one behind the last
    columns,  # (.., 1 + NEGATIVES), of columns_kernel
    totals,  # (2, programs): pairs, and the sums of their losses
    size,
    rate_start,  # at place 0
    rate_slope,
    rate_floor,
    WINDOW: tl.constexpr,
    NEGATIVES: tl.constexpr,
    SKIP_GRAM: tl.constexpr,
    MEAN: tl.constexpr,
    STRIDE: tl.constexpr,
    CENTERS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    WIDTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Train on a part of the text, tile after tile."""
    first, behind = tl.load(bounds), tl.load(bounds + 1)
    tiles = tl.cdiv(behind - first, CENTERS)
    share = tl.cdiv(tiles, tl.num_programs(0))
    begin = tl.program_id(0) * share
    row = tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    of = column // (1 + NEGATIVES)
    is_label = column % (1 + NEGATIVES) == 0
    label = is_label.to(tl.float32)
    total = tl.full((), 0.0, tl.float64)
    num_pairs = tl.full((), 0, tl.int32)
    for step in range(0, tl.minimum(share, tiles - begin)):
        tile = begin + step
        start = first + tile * CENTERS
        center = start + of
        is_center = (of < CENTERS) & (center < behind)
        neighbor = start - WINDOW + row
        there = (neighbor >= 0) & (neighbor < size)
        same = (
            tl.load(sentences + neighbor, mask=there, other=-1)[:, None]
            == (tl.load(sentences + center, mask=is_center, other=-2)[None, :])
        )
        away = tl.abs(neighbor[:, None] - center[None, :])
        near = same & (away > 0) & (away <= tl.load(reaches + center, mask=is_center, other=0)[None, :])
        num_near = tl.sum(near.to(tl.int32), 0)
        around = tl.load(words + neighbor, mask=there, other=0).to(tl.int64)
        is_input = tl.sum(near.to(tl.int32), 1) > 0
        word = tl.load(columns + tile.to(tl.int64) * (CENTERS * (1 + NEGATIVES)) + column, mask=is_center, other=-1)
        is_output = (word >= 0) & (num_near > 0)
        word = word.to(tl.int64)
        rate = tl.maximum(rate_start - rate_slope * tl.load(places + start).to(tl.float32), rate_floor)

        if WIDTH >= STRIDE:
            u = read(*part_of(inputs, around, is_input, 0, STRIDE, WIDTH))
            v = read(*part_of(outputs, word, is_output, 0, STRIDE, WIDTH))
            logits = tl.dot(u, tl.trans(v), input_precision=PRECISION)
        else:
            logits = tl.zeros((ROWS, COLUMNS), tl.float32)
            for at in range(0, STRIDE, WIDTH):
                part_u = read(*part_of(inputs, around, is_input, at, STRIDE, WIDTH))
                part_v = read(*part_of(outputs, word, is_output, at, STRIDE, WIDTH))
                logits = tl.dot(part_u, tl.trans(part_v), logits, input_precision=PRECISION)

        near = near & is_output[None, :]
        weight = near.to(tl.float32)
        if SKIP_GRAM:
            num_pairs += tl.sum(tl.where(is_label, num_near, 0), 0)
            small = tl.exp(-tl.abs(logits))
            chance = tl.where(logits >= 0, 1.0, small) / (1.0 + small)
            costs = tl.maximum(tl.where(is_label[None, :], -logits, logits), 0.0) + tl.log(1.0 + small)
            total += tl.sum(tl.sum(tl.where(near, costs, 0.0), 0), 0).to(tl.float64)
            to_inputs = weight * ((label[None, :] - chance) * rate)
            to_outputs = to_inputs
        else:
            num_pairs += tl.sum((is_label & (num_near > 0)).to(tl.int32), 0)
            per_word = 1.0 / tl.maximum(num_near, 1).to(tl.float32) if MEAN else tl.full((COLUMNS,), 1.0, tl.float32)
            logit = tl.sum(weight * logits, 0) * per_word
            small = tl.exp(-tl.abs(logit))
            chance = tl.where(logit >= 0, 1.0, small) / (1.0 + small)
            costs = tl.maximum(tl.where(is_label, -logit, logit), 0.0) + tl.log(1.0 + small)
            total += tl.sum(tl.where(is_output, costs, 0.0), 0).to(tl.float64)
            factor = (label - chance) * rate
            to_inputs = weight * factor[None, :]
            to_outputs = weight * (factor * per_word)[None, :]

        to_outputs = tl.trans(to_outputs)
        if WIDTH >= STRIDE:
            add(*part_of(inputs, around, is_input, 0, STRIDE, WIDTH), to_inputs, v, PRECISION)
            add(*part_of(outputs, word, is_output, 0, STRIDE, WIDTH), to_outputs, u, PRECISION)
        else:
            for at in range(0, STRIDE, WIDTH):
                inputs_at, inputs_exist = part_of(inputs, around, is_input, at, STRIDE, WIDTH)
                outputs_at, outputs_exist = part_of(outputs, word, is_output, at, STRIDE, WIDTH)
                part_u, part_v = read(inputs_at, inputs_exist), read(outputs_at, outputs_exist)
                add(inputs_at, inputs_exist, to_inputs, part_v, PRECISION)
                add(outputs_at, outputs_exist, to_outputs, part_u, PRECISION)
    tl.store(totals + tl.program_id(0), num_pairs.to(tl.float64))
    tl.store(totals + tl.num_programs(0) + tl.program_id(0), total)
