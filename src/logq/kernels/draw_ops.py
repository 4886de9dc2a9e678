"""Draws of backends as custom ops of torch: what torch.compile sees of them.

    torch.ops.logq.draws, torch.ops.logq.distinct_draws

Each takes the name of the backend that it runs on, and a distribution as its parts. So a graph draws the classes that
eager mode draws, by the same kernel.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from logq.kernels.backends import backend as find_backend
from logq.kernels.distributions import Distribution, from_parts, parts_of

__all__ = ["distinct_draws_in_graph", "draws_in_graph"]

DRAWS_SCHEMA: Final = "(Tensor seed, Tensor[] tables, *, str backend, str kind, int[] sizes, SymInt[] shape) -> Tensor"
DISTINCT_SCHEMA: Final = (
    "(Tensor seed, Tensor[] tables, *, str backend, str kind, int[] sizes, SymInt num_rows, SymInt num_sampled) "
    "-> (Tensor, Tensor, Tensor)"
)


def draws_in_graph(backend: str, distribution: Distribution, seed: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The op `draws` of a backend, for a distribution that `parts_of` knows."""
    kind, tables, sizes = parts_of(distribution)
    return torch.ops.logq.draws(seed, tables, backend=backend, kind=kind, sizes=sizes, shape=shape)


def distinct_draws_in_graph(
    backend: str, distribution: Distribution, seed: Tensor, num_rows: int, num_sampled: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The op `distinct_draws` of a backend, for a distribution that `parts_of` knows."""
    kind, tables, sizes = parts_of(distribution)
    return torch.ops.logq.distinct_draws(
        seed, tables, backend=backend, kind=kind, sizes=sizes, num_rows=num_rows, num_sampled=num_sampled
    )


def _backend(name: str) -> Any:
    return find_backend(name)


@torch.library.custom_op("logq::draws", mutates_args=(), schema=DRAWS_SCHEMA)
def draws_op(
    seed: Tensor, tables: Sequence[Tensor], *, backend: str, kind: str, sizes: Sequence[int], shape: Sequence[int]
) -> Any:
    """Independent draws."""
    return _backend(backend).draws(from_parts(kind, tables, sizes), seed, tuple(shape))


@draws_op.register_fake
def _(seed: Tensor, tables: Sequence[Tensor], *, shape: Sequence[int], **_: Any) -> Any:
    return seed.new_empty(shape)


@torch.library.custom_op("logq::distinct_draws", mutates_args=(), schema=DISTINCT_SCHEMA)
def distinct_op(
    seed: Tensor,
    tables: Sequence[Tensor],
    *,
    backend: str,
    kind: str,
    sizes: Sequence[int],
    num_rows: int,
    num_sampled: int,
) -> Any:
    """Distinct classes, and how many tries they took."""
    return _backend(backend).distinct_draws(from_parts(kind, tables, sizes), seed, num_rows, num_sampled)


@distinct_op.register_fake
def _(seed: Tensor, tables: Sequence[Tensor], *, num_rows: int, num_sampled: int, **_: Any) -> Any:
    inside = num_rows, num_sampled
    return seed.new_empty(inside), seed.new_empty(inside), seed.new_empty((num_rows, 1))
