"""Draws by the compiled core: those of logq.kernels.reference_draws, class for class, and Walker's alias table.

Inside of the transforms of torch.func, and of fake tensors, that module draws itself.
"""

from typing import Any

import torch
from torch import Tensor

from logq.candidates import IGNORED
from logq.kernels import _native, reference_draws
from logq.kernels.cpp import arrays
from logq.kernels.cpp.arrays import array
from logq.kernels.distributions import (
    AliasDistribution,
    Distribution,
    LearnedDistribution,
    LogUniformDistribution,
    UniformDistribution,
)
from logq.kernels.draw_ops import distinct_draws_in_graph, draws_in_graph
from logq.kernels.expected_counts import EqualCounts, LogUniformCounts, TableCounts
from logq.kernels.fallback import report
from logq.kernels.fused import TRANSFORMED, refuses_distribution
from logq.tracing import in_transform, is_fake

__all__ = ["alias_table", "counted_distinct_draws", "distinct_draws", "draws", "log_inclusion", "places_of"]

SEED_BITS = (1 << 64) - 1

MOST_COUNTED = 1 << 51
"""Classes of a log-uniform distribution whose counts the core knows: it has their ids as doubles."""


def draws(distribution: Distribution, seed: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Independent draws, on as many threads as torch has where there are many of them."""
    if is_fake(seed):
        return reference_draws.draws(distribution, seed, shape)
    refusal = refuses_distribution(distribution, in_transform())
    if refusal:
        report("draws", "cpp", refusal)
        return reference_draws.draws(distribution, seed, shape)
    if torch.compiler.is_compiling():
        return draws_in_graph("cpp", distribution, seed, shape)
    compiled = _compiled(distribution)
    ids = torch.empty(shape, dtype=torch.int64, device="cpu")
    _native.draw(compiled, int(seed) & SEED_BITS, array(ids.view(-1)), threads=torch.get_num_threads())
    return ids


def distinct_draws(
    distribution: Distribution, seed: Tensor, num_rows: int, num_sampled: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw one class after the other into a hash table, with no sort: O(draws)."""
    if is_fake(seed):
        return reference_draws.distinct_draws(distribution, seed, num_rows, num_sampled)
    refusal = refuses_distribution(distribution, in_transform())
    if refusal:
        report("distinct_draws", "cpp", refusal)
        return reference_draws.distinct_draws(distribution, seed, num_rows, num_sampled)
    if torch.compiler.is_compiling():
        return distinct_draws_in_graph("cpp", distribution, seed, num_rows, num_sampled)
    compiled = _compiled(distribution)
    ids = torch.empty(num_rows, num_sampled, dtype=torch.int64, device="cpu")
    inside, outside = torch.empty_like(ids), ids.new_empty(num_rows, 1)
    _native.draw_distinct(
        compiled,
        int(seed) & SEED_BITS,
        array(ids),
        array(inside),
        array(outside),
        threads=torch.get_num_threads(),
    )
    return ids, inside, outside


def counted_distinct_draws(
    distribution: Distribution,
    seed: Tensor,
    num_rows: int,
    num_sampled: int,
    targets: Tensor,
    log_q: Any,
    are_classes: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """The same with all expected counts: each row is counted while its hash table is at hand, targets too.

    None where the core does not know how to count.
    """
    counts = None if is_fake(seed) or torch.compiler.is_compiling() else _compiled_counts(log_q, distribution)
    if counts is None or refuses_distribution(distribution, in_transform()):
        return None
    targets = targets.clone(memory_format=torch.contiguous_format)
    of_targets = torch.empty(targets.shape, dtype=log_q.dtype, device="cpu")
    ids = torch.empty(num_rows, num_sampled, dtype=torch.int64, device="cpu")
    of_ids = torch.empty(num_rows, num_sampled, dtype=log_q.dtype, device="cpu")
    rows = num_rows, targets.numel() // max(1, num_rows)
    _native.draw_counted(
        _compiled(distribution),
        counts,
        int(seed) & SEED_BITS,
        array(of_ids),
        array(ids),
        array(of_targets.view(rows)),
        array(targets.view(rows)),
        ignored=IGNORED,
        threads=torch.get_num_threads(),
        simd=arrays.SIMD,
    )
    return ids, of_ids, targets, of_targets


def places_of(ids: Tensor, classes: Tensor) -> Tensor:
    """Look classes up in a hash table of each row."""
    if is_fake(ids) or torch.compiler.is_compiling():
        return reference_draws.places_of(ids, classes)
    if in_transform():
        report("places_of", "cpp", TRANSFORMED)
        return reference_draws.places_of(ids, classes)
    places = torch.empty(classes.shape, dtype=torch.int64, device="cpu")
    _native.places_of(array(ids.contiguous()), array(classes.contiguous()), array(places))
    return places


def log_inclusion(log_p: Tensor, tries: Tensor) -> Tensor:
    """One pass of exponentials and logarithms in double, as accurate as torch's."""
    if is_fake(tries) or torch.compiler.is_compiling():
        return reference_draws.log_inclusion(log_p, tries)
    if in_transform():
        report("log_inclusion", "cpp", TRANSFORMED)
        return reference_draws.log_inclusion(log_p, tries)
    log_p, tries = log_p.detach().contiguous(), tries.contiguous()
    log_q = torch.empty_like(log_p)
    _native.log_inclusion(array(log_p.view(-1)), array(tries.view(-1)), array(log_q.view(-1)), arrays.SIMD)
    return log_q


def alias_table(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Walker's alias table in one sweep, 10 million classes per second and more; see the reference for its meaning."""
    accept, alias = _native.alias_table(array(probabilities.detach().cpu().double().contiguous()))
    device = probabilities.device
    return torch.from_numpy(accept).to(device), torch.from_numpy(alias).to(device)


def _compiled_counts(log_q: object, distribution: Distribution) -> _native.LogCounts | None:
    """What the core counts with; None for what it does not know."""
    match log_q:
        case EqualCounts():
            return _native.equal_counts(log_q.value, log_q.dtype is torch.float64)
        case LogUniformCounts() if getattr(distribution, "num_classes", MOST_COUNTED + 1) <= MOST_COUNTED:
            return _native.log_uniform_counts(log_q.shift, log_q.dtype is torch.float64)
        case TableCounts():
            return _native.table_counts(array(log_q.table), log_q.shift)
        case _:
            return None


def _compiled(distribution: Distribution) -> _native.Distribution:
    """A distribution as the core knows it."""
    match distribution:
        case UniformDistribution():
            return _native.uniform_distribution(distribution.num_classes)
        case LogUniformDistribution():
            return _native.log_uniform_distribution(distribution.num_classes)
        case AliasDistribution():
            return _native.alias_distribution(array(distribution.cells))
        case LearnedDistribution():
            table, recent, number = distribution.table.cells, distribution.recent, distribution.num_recent
            recent = recent if number is None else recent[: int(number)]
            return _native.learned_distribution(array(table), array(recent), distribution.in_table)
        case _:
            raise AssertionError
