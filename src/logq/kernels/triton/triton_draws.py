"""Draws on a GPU: those of logq.kernels.distributions, class for class, with their log expected counts, by one launch.

A program draws a block of positions of the stream. What is drawn at a position depends on (seed, position) alone, so
neither the size of a block nor the order of programs shows. The seed stays on the device: nothing is waited for.
Logarithms are computed in double and rounded once.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from logq.candidates import IGNORED
from logq.kernels import reference_draws
from logq.kernels.distributions import (
    OF_TABLE,
    AliasDistribution,
    Distribution,
    LearnedDistribution,
    LogUniformDistribution,
    UniformDistribution,
)
from logq.kernels.draw_ops import draws_in_graph
from logq.kernels.expected_counts import EqualCounts, LearnedCounts, LogCounts, LogUniformCounts, TableCounts
from logq.kernels.fallback import report
from logq.kernels.fused import refuses_distribution
from logq.kernels.triton.launching import TYPES, launch, trap_if, traps
from logq.tracing import in_transform, is_fake

__all__ = [
    "counted_draws",
    "drawn_at",
    "draws",
    "log_count_of",
    "next_seed",
    "numbers_of",
    "numbers_of_counts",
    "refuses",
]

BLOCK = 256

EQUAL = UNIFORM = tl.constexpr(0)
LOG_UNIFORM = tl.constexpr(1)
TABLE = ALIAS = tl.constexpr(2)
LEARNED = tl.constexpr(3)
NO_CLASS = tl.constexpr(IGNORED)
STREAM_OF_TABLE = tl.constexpr(OF_TABLE & (1 << 64) - 1)

KNOWN: Final = EqualCounts, LogUniformCounts, TableCounts, LearnedCounts

Numbers = dict[str, Any]
"""Arguments of kernels by name."""

NOT_COUNTED: Final[Numbers] = {
    **dict.fromkeys(["log_q", "targets", "own_targets", "true_log_q", "COUNTS", "table", "num_others"]),
    **{"num_targets": 0, "shift": 0.0, "in_total": 0, "REAL": tl.float32},
}


def next_seed(state: Tensor, key: int = 0) -> Tensor:
    """The next number of the stream of a state, which moves on, in one launch."""
    if is_fake(state) or torch.compiler.is_compiling():  # the compiler makes one kernel of that too
        return reference_draws.next_seed(state, key)
    seed = torch.empty_like(state)
    launch(next_seed_kernel, (1,), state, seed, key, FOLDED=key != 0)
    return seed


def draws(distribution: Distribution, seed: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Independent draws, in one launch."""
    if refuses("draws", distribution, seed):
        return reference_draws.draws(distribution, seed, shape)
    if torch.compiler.is_compiling():
        return draws_in_graph("triton", distribution, seed, shape)
    ids = torch.empty(shape, dtype=torch.int64, device=seed.device)
    _launch(distribution, seed, ids, NOT_COUNTED)
    return ids


def counted_draws(
    distribution: Distribution,
    seed: Tensor,
    shape: tuple[int, ...],
    targets: Tensor,
    log_counts: Callable[[Tensor], Tensor],
    are_classes: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Independent draws for a batch with all expected counts, in one launch; see logq.kernels.reference_draws."""
    if not isinstance(log_counts, KNOWN) or refuses("draws", distribution, seed):
        return reference_draws.counted_draws(distribution, seed, shape, targets, log_counts, are_classes, draws)
    targets = targets.contiguous()
    ids, own = torch.empty(shape, dtype=torch.int64, device=seed.device), torch.empty_like(targets)
    log_q, true_log_q = (torch.empty_like(of, dtype=log_counts.dtype) for of in (ids, own))
    written: Numbers = {"log_q": log_q, "own_targets": own, "true_log_q": true_log_q}
    read: Numbers = {"targets": targets, "num_targets": targets.numel()}
    _launch(distribution, seed, ids, numbers_of_counts(log_counts) | written | read)
    return ids, log_q, own, true_log_q


def refuses(op: str, distribution: Distribution, seed: Tensor) -> bool:
    """Whether the reference has to draw; where it can be helped, that is reported."""
    refusal = refuses_distribution(distribution, in_transform())
    if refusal:
        report(op, "triton", refusal)
    return bool(refusal) or is_fake(seed)


def numbers_of(distribution: Distribution, device: torch.device) -> Numbers:
    """What `drawn_at` needs to know of a distribution."""
    numbers: Numbers = {"cells": None, "recent": None, "num_recent": None, "in_table": 0, "log_range": 0.0}
    match distribution:
        case UniformDistribution():
            numbers |= {"KIND": UNIFORM.value, "num_classes": distribution.num_classes}
        case LogUniformDistribution():
            num_classes = distribution.num_classes
            numbers |= {"KIND": LOG_UNIFORM.value, "num_classes": num_classes, "log_range": math.log1p(num_classes)}
        case AliasDistribution():
            cells = distribution.cells.contiguous()
            numbers |= {"KIND": ALIAS.value, "num_classes": cells.shape[0], "cells": cells}
        case LearnedDistribution():
            numbers |= numbers_of(distribution.table, device)
            recent, num_recent = distribution.recent, distribution.num_recent
            if num_recent is None:
                num_recent = torch.full((), recent.shape[0], dtype=torch.int64, device=device)
            numbers |= {"KIND": LEARNED.value, "recent": recent, "num_recent": num_recent}
            numbers["in_table"] = distribution.in_table
        case _:
            raise AssertionError
    return numbers


def numbers_of_counts(log_counts: LogCounts) -> Numbers:
    """What `log_count_of` needs to know of log expected counts, of a class that is KNOWN."""
    numbers: Numbers = {"table": None, "in_total": 0, "num_others": None, "REAL": TYPES[log_counts.dtype]}
    match log_counts:
        case EqualCounts():
            return numbers | {"COUNTS": EQUAL.value, "shift": log_counts.value}
        case LogUniformCounts():
            return numbers | {"COUNTS": LOG_UNIFORM.value, "shift": log_counts.shift}
        case TableCounts():
            return numbers | {"COUNTS": TABLE.value, "shift": log_counts.shift, "table": log_counts.table.contiguous()}
        case LearnedCounts():
            numbers |= {"COUNTS": LEARNED.value, "shift": log_counts.shift, "table": log_counts.counts}
            return numbers | {"in_total": log_counts.in_table, "num_others": log_counts.num_recent}
        case _:
            raise AssertionError


def _launch(distribution: Distribution, seed: Tensor, ids: Tensor, counts: Numbers) -> None:
    size, device = ids.numel(), seed.device
    entries = size + counts["num_targets"]
    if entries:
        grid = (triton.cdiv(entries, BLOCK),)
        numbers = numbers_of(distribution, device) | counts
        launch(draw_kernel, grid, seed, ids, size=size, TRAPS=traps(), BLOCK=BLOCK, **numbers)


@triton.jit
def random_bits(seed, positions):
    """splitmix64 of seed + (position + 1) * step, uint64; see logq.kernels.distributions.random_bits."""
    bits = seed + (positions.to(tl.uint64) + 1) * 0x9E3779B97F4A7C15
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB
    return bits ^ (bits >> 31)


@triton.jit(do_not_specialize=["key"])
def next_seed_kernel(state, seed, key, FOLDED: tl.constexpr):
    at, first = tl.load(state), tl.full((), 0, tl.int64)
    bits = random_bits(at.to(tl.uint64, bitcast=True), first)
    if FOLDED:
        bits = random_bits(bits ^ key.to(tl.uint64), first)
    tl.store(seed, bits.to(tl.int64, bitcast=True))
    tl.store(state, at + (-0x61C8864680B583EB))  # the step of splitmix64, as int64


@triton.jit
def below(bits, size):
    """A number uniform below `size`, both uint64: the high half of their product."""
    return tl.umulhi(bits, tl.zeros_like(bits) + size).to(tl.int64)


@triton.jit
def of_alias_table(seed, positions, exists, cells, num_classes):
    """What a cell gives: itself where 31 random bits are below its threshold, else its alias."""
    bits = random_bits(seed, positions)
    cell = below(bits, num_classes)
    within = ((bits * num_classes) >> 33).to(tl.int64)
    threshold = tl.load(cells + 2 * cell, mask=exists, other=0)
    alias = tl.load(cells + 2 * cell + 1, mask=exists, other=0)
    return tl.where(within < threshold, cell, alias.to(tl.int64))


@triton.jit
def drawn_at(seed, positions, exists, num_classes, cells, recent, num_recent, in_table, log_range, KIND: tl.constexpr):
    """The classes, int64, at positions of the stream of a seed, uint64; see logq.kernels.distributions."""
    size = num_classes.to(tl.uint64)
    if KIND == UNIFORM:
        return below(random_bits(seed, positions), size)
    elif KIND == LOG_UNIFORM:
        uniform = (random_bits(seed, positions) >> 11).to(tl.float64) * 1.1102230246251565e-16  # 2^-53
        drawn = tl.exp(uniform * log_range).to(tl.int64) - 1
        return tl.minimum(tl.maximum(drawn, 0), num_classes.to(tl.int64) - 1)  # rounding may reach num_classes
    elif KIND == ALIAS:
        return of_alias_table(seed, positions, exists, cells, size)
    else:
        number = tl.load(num_recent)
        drawn = of_alias_table(seed ^ STREAM_OF_TABLE, positions, exists, cells, size)
        target = below(random_bits(seed, positions), (number + in_table).to(tl.uint64))
        is_recent = target < number
        return tl.where(is_recent, tl.load(recent + target, mask=exists & is_recent, other=0), drawn)


@triton.jit
def log1p_of(x):
    """log(1 + x) in double to its last bits: what 1 + x loses of a small x, the quotient puts back; -690 at -1."""
    sum = tl.maximum(1 + x, 1e-300)
    lost = sum == 1
    return tl.where(lost, x, tl.log(sum) * (x / tl.where(lost, 1.0, sum - 1)))


@triton.jit
def log_count_of(ids, exists, table, shift, in_total, num_others, COUNTS: tl.constexpr):
    """The log expected counts of classes, in double; see logq.kernels.expected_counts."""
    if COUNTS == EQUAL:
        return tl.zeros_like(ids).to(tl.float64) + shift
    elif COUNTS == LOG_UNIFORM:
        return tl.log(log1p_of(1 / (ids + 1).to(tl.float64))) + shift
    elif COUNTS == TABLE:
        return tl.load(table + ids, mask=exists, other=0).to(tl.float64) + shift
    else:
        total = (tl.load(num_others) + in_total).to(tl.float64)
        count = tl.load(table + ids, mask=exists, other=1).to(tl.float64)
        return tl.log(count) - tl.log(total) + shift


@triton.jit(do_not_specialize=["size", "num_targets", "num_classes", "in_table", "in_total"])
def draw_kernel(
    seed,
    ids,
    log_q,
    targets,
    own_targets,
    true_log_q,
    size,
    num_targets,
    num_classes,
    cells,
    recent,
    num_recent,
    in_table,
    log_range: tl.float64,
    table,
    shift: tl.float64,
    in_total,
    num_others,
    KIND: tl.constexpr,
    COUNTS: tl.constexpr,
    REAL: tl.constexpr,
    TRAPS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    positions = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    is_drawn = positions < size
    bits = tl.load(seed).to(tl.uint64, bitcast=True)
    drawn = drawn_at(bits, positions, is_drawn, num_classes, cells, recent, num_recent, in_table, log_range, KIND)
    tl.store(ids + positions, drawn, mask=is_drawn)
    if COUNTS is not None:  # behind the draws stand the targets
        at = positions - size
        is_target = (at >= 0) & (at < num_targets)
        target = tl.load(targets + at, mask=is_target, other=NO_CLASS)
        tl.store(own_targets + at, target, mask=is_target)
        has_class = target != NO_CLASS
        trap_if(tl.max((has_class & ((target < 0) | (target >= num_classes))).to(tl.int32), 0), TRAPS)
        classes = tl.where(is_drawn, drawn, tl.where(has_class, target, 0))
        counted = log_count_of(classes, is_drawn | has_class, table, shift, in_total, num_others, COUNTS)
        tl.store(log_q + positions, counted.to(REAL), mask=is_drawn)
        tl.store(true_log_q + at, tl.where(has_class, counted, 0.0).to(REAL), mask=is_target)
