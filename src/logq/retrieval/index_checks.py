"""Checks of the arguments of indexes: vectors, ids, queries, and the items that a search may return."""

from typing import Literal, NamedTuple, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int

__all__ = [
    "Combine",
    "Exclusion",
    "Metric",
    "check_added",
    "check_choice",
    "check_ids",
    "check_new_ids",
    "check_removed",
    "check_search",
    "check_vectors",
    "positions_in",
]

Metric: TypeAlias = Literal["inner_product", "cosine"]
Combine: TypeAlias = Literal["max", "sum"]


class Exclusion(NamedTuple):
    """Ids to exclude for each row: those of row b are ids[offsets[b] : offsets[b + 1]]; all on the CPU."""

    ids: Tensor  # (E,) int64
    offsets: Tensor  # (B + 1,) int64

    def of(self, rows: Tensor) -> "Exclusion":
        """Return what is excluded for some rows (b,).

        Example:
            >>> Exclusion(torch.tensor([5, 7, 9]), torch.tensor([0, 2, 3])).of(torch.tensor([1]))
            Exclusion(ids=tensor([9]), offsets=tensor([0, 1]))
        """
        begins, sizes = self.offsets[rows], self.offsets.diff()[rows]
        ends = sizes.cumsum(0)
        at = torch.arange(int(sizes.sum()), device="cpu") + torch.repeat_interleave(begins - ends + sizes, sizes)
        return Exclusion(self.ids[at], torch.cat([ends.new_zeros(1), ends]))


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return `value`, which must be one of a few names.

    Raises:
        ArgumentError: it is not one of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise ArgumentError(name, f"one of {', '.join(map(repr, choices))}", value)
    return value


def check_vectors(name: str, value: object, dim: int | None = None, *, device: torch.device | None = None) -> Tensor:
    """Return vectors (n, D) as float32, detached, each with a finite length, so that all inner products are finite.

    Raises:
        ArgumentTypeError: they are not numbers.
        ArgumentError: they have another shape, or a vector that is not finite; the message names the first.
    """
    vectors = _floats(name, value, device)
    if vectors.ndim != 2 or (dim is not None and vectors.shape[1] != dim) or vectors.shape[1] == 0:
        raise ArgumentError(name, f"shape (n, {'D' if dim is None else dim})", tuple(vectors.shape))
    _check_finite(name, vectors)
    return vectors


def check_queries(value: object, dim: int, *, device: torch.device | None = None) -> Tensor:
    """Return queries as (B, K, D) float32; K is 1 where they came as (B, D).

    Raises:
        ArgumentTypeError: they are not numbers.
        ArgumentError: they have another shape, or a query that is not finite.
    """
    queries = _floats("queries", value, device)
    if queries.ndim not in (2, 3) or queries.shape[-1] != dim or (queries.ndim == 3 and queries.shape[1] == 0):
        raise ArgumentError("queries", f"shape (B, {dim}) or (B, K, {dim})", tuple(queries.shape))
    _check_finite("queries", queries)
    return queries.unsqueeze(1) if queries.ndim == 2 else queries


def check_ids(name: str, value: object) -> Tensor:
    """Return ids as (n,) int64 on the CPU.

    Raises:
        ArgumentTypeError: they are not integers.
        ArgumentError: they have another shape.
    """
    ids = value.detach().cpu() if isinstance(value, Tensor) else _tensor(name, value, "integers")
    if ids.ndim != 1:
        raise ArgumentError(name, "shape (n,)", tuple(ids.shape))
    if ids.numel() == 0:
        return ids.to(torch.int64)
    if ids.dtype == torch.bool or ids.is_floating_point() or ids.is_complex():
        raise ArgumentTypeError(name, "integers", Verbatim(ids.dtype))
    return ids.to(torch.int64)


def check_new_ids(value: object, count: int) -> Tensor:
    """Return the ids of `count` new items: integers >= 0, each once.

    Raises:
        ArgumentTypeError: they are not integers.
        ArgumentError: their number is another, one is negative or occurs twice; the message names the first.
    """
    ids = check_ids("ids", value)
    if len(ids) != count:
        raise ArgumentError("ids", f"one for each of the {count} vectors", len(ids))
    negative = ids < 0
    if bool(negative.any()):
        raise ArgumentError("ids", "integers >= 0", int(ids[negative][0]))
    ordered = ids.sort().values
    twice = ordered[1:] == ordered[:-1]
    if bool(twice.any()):
        raise ArgumentError("ids", "each once", Verbatim(f"{int(ordered[1:][twice][0])} twice"))
    return ids


def check_exclusion(value: object, rows: int) -> Exclusion | None:
    """Return what to exclude for each row, or None if that is nothing.

    Raises:
        ArgumentTypeError: it is not a pair of arrays of integers.
        ArgumentError: the offsets do not rise from 0 to the number of ids, or are not one more than rows.
    """
    if value is None:
        return None
    if not isinstance(value, tuple | list) or len(cast("tuple[object, ...]", value)) != 2:
        raise ArgumentTypeError("exclude", "a pair (ids, offsets)", value)
    first, second = cast("tuple[object, object]", value)
    ids, offsets = check_ids("exclude", first), check_ids("exclude", second)
    if len(offsets) != rows + 1:
        raise ArgumentError("exclude", f"{rows + 1} offsets for {rows} queries", len(offsets))
    if int(offsets[0]) != 0 or int(offsets[-1]) != len(ids) or bool((offsets[1:] < offsets[:-1]).any()):
        raise ArgumentError("exclude", f"offsets that rise from 0 to {len(ids)}, the number of ids", second)
    return Exclusion(ids, offsets) if len(ids) else None


def check_allowed(value: object, ids: Tensor) -> Tensor | None:
    """Return which of the ids (n,), ascending, are allowed, (n,) bool on the CPU, or None if all are.

    Raises:
        ArgumentTypeError: it is neither a mask nor integers.
        ArgumentError: the mask is too short for the largest id.
    """
    if value is None:
        return None
    given = value.detach().cpu() if isinstance(value, Tensor) else _tensor("allow", value, "ids or a mask of bool")
    if given.dtype != torch.bool:
        positions, known = positions_in(ids, check_ids("allow", given))
        allowed = torch.zeros(len(ids), dtype=torch.bool, device="cpu")
        allowed[positions[known]] = True
        return allowed
    if given.ndim != 1 or (len(ids) and len(given) <= int(ids[-1])):
        least = int(ids[-1]) + 1 if len(ids) else 0
        raise ArgumentError("allow", f"a mask of at least {least} items", Verbatim(f"shape {tuple(given.shape)}"))
    return given[ids]


class Search(NamedTuple):
    """The checked arguments of a search.

    Attributes:
        queries: (B, K, D) float32.
        k: items to return for each row.
        exclusion: what to exclude for each row.
        allowed: (n,) bool, which items are allowed; None for all.
    """

    queries: Tensor
    k: int
    exclusion: Exclusion | None
    allowed: Tensor | None

    def directions(self, metric: Metric, combine: Combine) -> Tensor:
        """Return the queries (B, K', D) of which the best product is the score; K' is 1 where they are summed."""
        queries = normalize(self.queries, dim=2) if metric == "cosine" else self.queries
        # The sum of products is the product with the sum.
        return queries.sum(1, keepdim=True) if combine == "sum" else queries


def check_search(
    queries: object,
    k: object,
    exclude: object,
    allow: object,
    combine: object,
    *,
    dim: int,
    ids: Tensor,  # (n,) of all items, ascending
    device: torch.device,
) -> Search:
    """Return the arguments of `ItemIndex.search`, checked.

    Raises:
        ArgumentTypeError, ArgumentError: as `ItemIndex.search`.
    """
    k = check_int("k", k)
    check_choice("combine", combine, ("max", "sum"))
    checked = check_queries(queries, dim, device=device)
    return Search(checked, k, check_exclusion(exclude, len(checked)), check_allowed(allow, ids))


def check_added(
    ids: object, vectors: object, known: Tensor, dim: int, metric: Metric, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return ids (n,) and vectors (n, D) of new items, the vectors of length 1 where the metric is "cosine".

    Raises:
        ArgumentTypeError, ArgumentError: as `ItemIndex.add`.
    """
    table = check_vectors("vectors", vectors, dim, device=device)
    new = check_new_ids(ids, len(table))
    twice = positions_in(known, new)[1]
    if bool(twice.any()):
        raise ArgumentError("ids", "items that are not in the index yet", int(new[twice][0]))
    return new, normalize(table) if metric == "cosine" else table


def check_removed(ids: object, known: Tensor) -> Tensor:
    """Return the ids of items to remove.

    Raises:
        ArgumentTypeError, ArgumentError: as `ItemIndex.remove`.
    """
    removed = check_ids("ids", ids)
    unknown = ~positions_in(known, removed)[1]
    if bool(unknown.any()):
        raise ArgumentError("ids", "items that are in the index", int(removed[unknown][0]))
    return removed


def positions_in(
    ids: Tensor,  # (n,) ascending
    wanted: Tensor,  # (m,)
) -> tuple[Tensor, Tensor]:
    """Return the position (m,) of each wanted id, below n, and whether (m,) it is there.

    The cost is m log n, where torch.isin sorts both.

    Example:
        >>> positions_in(torch.tensor([3, 5, 9]), torch.tensor([5, 4]))
        (tensor([1, 1]), tensor([ True, False]))
    """
    if not len(ids):
        return torch.zeros_like(wanted), torch.zeros_like(wanted, dtype=torch.bool)
    positions = torch.searchsorted(ids, wanted).clamp(max=len(ids) - 1)
    return positions, ids[positions] == wanted


def _tensor(name: str, value: object, expected: str) -> Tensor:
    try:
        array = np.asarray(value)
        if array.dtype.kind == "u":
            array = array.astype(np.int64)
        return (
            torch.from_numpy(np.ascontiguousarray(array))
            if array.flags.writeable
            else torch.tensor(array, device="cpu")
        )
    except (TypeError, ValueError):
        raise ArgumentTypeError(name, expected, value) from None


def _floats(name: str, value: object, device: torch.device | None) -> Tensor:
    given = value.detach() if isinstance(value, Tensor) else _tensor(name, value, "vectors of numbers")
    if given.is_complex() or given.dtype == torch.bool:
        raise ArgumentTypeError(name, "vectors of numbers", Verbatim(given.dtype))
    return given.to(device=device, dtype=torch.float32)


def _check_finite(name: str, vectors: Tensor) -> None:
    # |<a, b>| <= |a| |b|: with finite squares of lengths no product overflows, and none is inf - inf.
    good = vectors.square().sum(-1).isfinite()
    if not bool(good.all()):
        position = [int(number) for number in (~good).nonzero()[0]]
        vector = vectors[tuple(position)]
        worst = vector[~vector.isfinite()] if not bool(vector.isfinite().all()) else vector.abs().max().reshape(1)
        where = " ".join(f"{axis} {number}" for axis, number in zip(("row", "vector"), position, strict=False))
        raise ArgumentError(
            name,
            "finite numbers, and a finite sum of their squares in float32",
            Verbatim(f"{float(worst[0]):g} in {where}"),
        )
