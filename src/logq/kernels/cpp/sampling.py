"""Draws by the compiled core: those of logq.kernels.sampling, class for class.

Inside of the transforms of torch.func that module draws itself.
"""

import torch
from torch import Tensor

from logq.kernels import _native, sampling
from logq.kernels.cpp import arrays
from logq.kernels.laws import AliasLaw, Law, LearnedLaw, LogUniformLaw, UniformLaw

__all__ = ["distinct_draws", "draws", "log_inclusion", "places_of"]

SEED_BITS = (1 << 64) - 1


def draws(law: Law, seed: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Independent draws, on as many threads as torch has where there are many of them."""
    compiled = _compiled(law)
    if compiled is None:
        return sampling.draws(law, seed, shape)
    ids = torch.empty(shape, dtype=torch.int64)
    _native.draw(compiled, int(seed) & SEED_BITS, ids.view(-1).numpy(), threads=torch.get_num_threads())
    return ids


def distinct_draws(law: Law, seed: Tensor, num_rows: int, num_sampled: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw one class after the other into a hash table, with no sort: O(draws)."""
    compiled = _compiled(law)
    if compiled is None:
        return sampling.distinct_draws(law, seed, num_rows, num_sampled)
    ids = torch.empty(num_rows, num_sampled, dtype=torch.int64)
    inside, outside = torch.empty_like(ids), torch.empty(num_rows, 1, dtype=torch.int64)
    _native.draw_distinct(
        compiled,
        int(seed) & SEED_BITS,
        ids.numpy(),
        inside.numpy(),
        outside.numpy(),
        threads=torch.get_num_threads(),
    )
    return ids, inside, outside


def places_of(ids: Tensor, classes: Tensor) -> Tensor:
    """Look classes up in a hash table of each row."""
    if not arrays.has_memory():
        return sampling.places_of(ids, classes)
    places = torch.empty(classes.shape, dtype=torch.int64)
    _native.places_of(ids.contiguous().numpy(), classes.contiguous().numpy(), places.numpy())
    return places


def log_inclusion(log_p: Tensor, tries: Tensor) -> Tensor:
    """One pass of exponentials and logarithms in double, as accurate as torch's."""
    if not arrays.has_memory():
        return sampling.log_inclusion(log_p, tries)
    log_p, tries = log_p.contiguous(), tries.contiguous()
    log_q = torch.empty_like(log_p)
    _native.log_inclusion(log_p.view(-1).numpy(), tries.view(-1).numpy(), log_q.view(-1).numpy(), arrays.SIMD)
    return log_q


def _compiled(law: Law) -> _native.Law | None:
    """The law as the core knows it. It knows these four; others have their meaning in plain torch, and run there."""
    if not arrays.has_memory():
        return None
    match law:
        case UniformLaw():
            return _native.uniform_law(law.num_classes)
        case LogUniformLaw():
            return _native.log_uniform_law(law.num_classes)
        case AliasLaw():
            return _native.alias_law(law.cells.numpy())
        case LearnedLaw():
            return _native.learned_law(law.table.cells.numpy(), law.recent.numpy(), law.in_table)
        case _:
            return None
