"""Draws on a GPU: those of logq.kernels.distributions, class for class, by one launch.

A program draws a block of positions of the stream. What is drawn at a position depends on (seed, position) alone, so
neither the size of a block nor the order of programs shows. The seed stays on the device: nothing is waited for.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

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
from logq.kernels.fallback import report
from logq.kernels.fused import refuses_distribution
from logq.kernels.triton.launching import launch
from logq.tracing import in_transform, is_fake

__all__ = ["draws", "next_seed"]

BLOCK = 256


def next_seed(state: Tensor, key: int = 0) -> Tensor:
    """The next number of the stream of a state, which moves on, in one launch."""
    if is_fake(state) or torch.compiler.is_compiling():  # the compiler makes one kernel of that too
        return reference_draws.next_seed(state, key)
    seed = torch.empty_like(state)
    launch(next_seed_kernel, (1,), state, seed, key, FOLDED=key != 0)
    return seed


def draws(distribution: Distribution, seed: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Independent draws, in one launch."""
    refusal = refuses_distribution(distribution, in_transform())
    if refusal or is_fake(seed):
        if refusal:
            report("draws", "triton", refusal)
        return reference_draws.draws(distribution, seed, shape)
    if torch.compiler.is_compiling():
        return draws_in_graph("triton", distribution, seed, shape)
    ids = torch.empty(shape, dtype=torch.int64, device=seed.device)
    size = ids.numel()
    if not size:
        return ids
    grid = (triton.cdiv(size, BLOCK),)
    match distribution:
        case UniformDistribution():
            launch(uniform_kernel, grid, seed, ids, size, distribution.num_classes, BLOCK=BLOCK)
        case LogUniformDistribution():
            log_range = math.log1p(distribution.num_classes)
            launch(log_uniform_kernel, grid, seed, ids, size, distribution.num_classes, log_range, BLOCK=BLOCK)
        case AliasDistribution():
            cells = distribution.cells.contiguous()
            launch(alias_kernel, grid, seed, ids, size, cells, cells.shape[0], BLOCK=BLOCK)
        case LearnedDistribution():
            cells, recent = distribution.table.cells.contiguous(), distribution.recent
            num_recent = distribution.num_recent
            if num_recent is None:
                num_recent = torch.full((), recent.shape[0], dtype=torch.int64, device=seed.device)
            sizes = cells.shape[0], distribution.in_table
            launch(learned_kernel, grid, seed, ids, size, cells, recent, num_recent, *sizes, OF_TABLE, BLOCK=BLOCK)
        case _:
            raise AssertionError
    return ids


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
def positions_of(size, BLOCK: tl.constexpr):
    """The positions of this program, and which of them there are."""
    positions = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    return positions, positions < size


@triton.jit
def of_alias_table(seed, positions, exists, cells, num_classes):
    """What a cell gives: itself where 31 random bits are below its threshold, else its alias."""
    bits = random_bits(seed, positions)
    cell = below(bits, num_classes)
    within = ((bits * num_classes) >> 33).to(tl.int64)
    threshold = tl.load(cells + 2 * cell, mask=exists, other=0)
    alias = tl.load(cells + 2 * cell + 1, mask=exists, other=0)
    return tl.where(within < threshold, cell, alias.to(tl.int64))


@triton.jit(do_not_specialize=["size", "num_classes"])
def uniform_kernel(seed, ids, size, num_classes, BLOCK: tl.constexpr):
    positions, exists = positions_of(size, BLOCK)
    bits = random_bits(tl.load(seed).to(tl.uint64, bitcast=True), positions)
    tl.store(ids + positions, below(bits, num_classes.to(tl.uint64)), mask=exists)


@triton.jit(do_not_specialize=["size", "num_classes"])
def log_uniform_kernel(seed, ids, size, num_classes, log_range: tl.float64, BLOCK: tl.constexpr):
    positions, exists = positions_of(size, BLOCK)
    bits = random_bits(tl.load(seed).to(tl.uint64, bitcast=True), positions)
    uniform = (bits >> 11).to(tl.float64) * 1.1102230246251565e-16  # 2^-53
    drawn = tl.exp(uniform * log_range).to(tl.int64) - 1
    drawn = tl.minimum(tl.maximum(drawn, 0), num_classes.to(tl.int64) - 1)  # rounding may reach num_classes
    tl.store(ids + positions, drawn, mask=exists)


@triton.jit(do_not_specialize=["size", "num_classes"])
def alias_kernel(seed, ids, size, cells, num_classes, BLOCK: tl.constexpr):
    positions, exists = positions_of(size, BLOCK)
    bits = tl.load(seed).to(tl.uint64, bitcast=True)
    drawn = of_alias_table(bits, positions, exists, cells, num_classes.to(tl.uint64))
    tl.store(ids + positions, drawn, mask=exists)


@triton.jit(do_not_specialize=["size", "num_classes", "in_table", "of_table"])
def learned_kernel(seed, ids, size, cells, recent, num_recent, num_classes, in_table, of_table, BLOCK: tl.constexpr):
    positions, exists = positions_of(size, BLOCK)
    bits = tl.load(seed).to(tl.uint64, bitcast=True)
    num_recent = tl.load(num_recent)
    other = bits ^ of_table.to(tl.int64).to(tl.uint64, bitcast=True)
    of_table_drawn = of_alias_table(other, positions, exists, cells, num_classes.to(tl.uint64))
    target = below(random_bits(bits, positions), (num_recent + in_table).to(tl.uint64))
    is_recent = target < num_recent
    drawn = tl.load(recent + target, mask=exists & is_recent, other=0)
    tl.store(ids + positions, tl.where(is_recent, drawn, of_table_drawn), mask=exists)
