"""Checks of what comes to an index: vectors, ids, and which items a search may give."""

from typing import Literal, NamedTuple, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor

from logq._arguments import shown

__all__ = [
    "Combine",
    "Exclusion",
    "Metric",
    "check_allowed",
    "check_choice",
    "check_exclusion",
    "check_ids",
    "check_new_ids",
    "check_queries",
    "check_vectors",
]

Metric: TypeAlias = Literal["inner_product", "cosine"]
Combine: TypeAlias = Literal["max", "sum"]


class Exclusion(NamedTuple):
    """Ids that rows must not get: those of row b are ids[offsets[b] : offsets[b + 1]]; all on the CPU."""

    ids: Tensor  # (E,) int64
    offsets: Tensor  # (B + 1,) int64


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return `value`, which must be one of a few names.

    Raises:
        ValueError: it is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {shown(value)}")
    return value


def check_vectors(name: str, value: object, dim: int | None = None, *, device: torch.device | None = None) -> Tensor:
    """Return vectors (n, D) as float32, detached, each with a finite length: then all inner products are numbers.

    Raises:
        TypeError: no numbers.
        ValueError: another shape, or a vector that is not finite; the message names the first.
    """
    vectors = _floats(name, value, device)
    if vectors.ndim != 2 or (dim is not None and vectors.shape[1] != dim) or vectors.shape[1] == 0:
        wanted = "D" if dim is None else str(dim)
        raise ValueError(f"{name}: expected shape (n, {wanted}), got {tuple(vectors.shape)}")
    _check_finite(name, vectors)
    return vectors


def check_queries(value: object, dim: int, *, device: torch.device | None = None) -> Tensor:
    """Return queries as (B, K, D) float32; K is 1 where they came as (B, D).

    Raises:
        TypeError: no numbers.
        ValueError: another shape, or a query that is not finite.
    """
    queries = _floats("queries", value, device)
    if queries.ndim not in (2, 3) or queries.shape[-1] != dim or (queries.ndim == 3 and queries.shape[1] == 0):
        raise ValueError(f"queries: expected shape (B, {dim}) or (B, K, {dim}), got {tuple(queries.shape)}")
    _check_finite("queries", queries)
    return queries.unsqueeze(1) if queries.ndim == 2 else queries


def check_ids(name: str, value: object) -> Tensor:
    """Return ids as (n,) int64 on the CPU.

    Raises:
        TypeError: not integers.
        ValueError: another shape.
    """
    ids = value.detach().cpu() if isinstance(value, Tensor) else _tensor(name, value, "integers")
    if ids.ndim != 1:
        raise ValueError(f"{name}: expected shape (n,), got {tuple(ids.shape)}")
    if ids.numel() == 0:
        return ids.to(torch.int64)
    if ids.dtype == torch.bool or ids.is_floating_point() or ids.is_complex():
        raise TypeError(f"{name}: expected integers, got {ids.dtype}")
    return ids.to(torch.int64)


def check_new_ids(value: object, count: int) -> Tensor:
    """Return the ids of `count` new items: integers >= 0, each once.

    Raises:
        TypeError: not integers.
        ValueError: another number of them, a negative id, or one that occurs twice; the message names the first.
    """
    ids = check_ids("ids", value)
    if len(ids) != count:
        raise ValueError(f"ids: expected one for each of the {count} vectors, got {len(ids)}")
    negative = ids < 0
    if bool(negative.any()):
        raise ValueError(f"ids: expected integers >= 0, got {int(ids[negative][0])}")
    ordered = ids.sort().values
    twice = ordered[1:] == ordered[:-1]
    if bool(twice.any()):
        raise ValueError(f"ids: expected each once, got {int(ordered[1:][twice][0])} twice")
    return ids


def check_exclusion(value: object, rows: int) -> Exclusion | None:
    """Return what rows must not get, or None where that is nothing.

    Raises:
        TypeError: no pair of integers.
        ValueError: offsets do not begin with 0, fall, or do not end at the number of ids.
    """
    if value is None:
        return None
    if not isinstance(value, tuple | list) or len(cast("tuple[object, ...]", value)) != 2:
        raise TypeError(f"exclude: expected a pair (ids, offsets), got {shown(value)}")
    first, second = cast("tuple[object, object]", value)
    ids, offsets = check_ids("exclude ids", first), check_ids("exclude offsets", second)
    if len(offsets) != rows + 1:
        raise ValueError(f"exclude offsets: expected {rows + 1} for {rows} queries, got {len(offsets)}")
    if int(offsets[0]) != 0 or int(offsets[-1]) != len(ids) or bool((offsets[1:] < offsets[:-1]).any()):
        raise ValueError(
            f"exclude offsets: expected to rise from 0 to the number of ids {len(ids)}, got {shown(second)}"
        )
    return Exclusion(ids, offsets) if len(ids) else None


def check_allowed(value: object, ids: Tensor) -> Tensor | None:
    """Return which of the ids (n,), ascending, are allowed, (n,) bool on the CPU, or None where all are.

    Raises:
        TypeError: neither a mask nor integers.
        ValueError: a mask too short to say something about each id.
    """
    if value is None:
        return None
    given = value.detach().cpu() if isinstance(value, Tensor) else _tensor("allow", value, "ids or a mask of bool")
    if given.dtype != torch.bool:
        return torch.isin(ids, check_ids("allow", given))
    if given.ndim != 1 or (len(ids) and len(given) <= int(ids[-1])):
        least = int(ids[-1]) + 1 if len(ids) else 0
        raise ValueError(f"allow: expected a mask of at least {least} items, got shape {tuple(given.shape)}")
    return given[ids]


def _tensor(name: str, value: object, expected: str) -> Tensor:
    try:
        array = np.asarray(value)
        if array.dtype.kind == "u":
            array = array.astype(np.int64)
        return torch.from_numpy(np.ascontiguousarray(array)) if array.flags.writeable else torch.tensor(array)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected {expected}, got {shown(value)}") from None


def _floats(name: str, value: object, device: torch.device | None) -> Tensor:
    given = value.detach() if isinstance(value, Tensor) else _tensor(name, value, "vectors of numbers")
    if given.is_complex() or given.dtype == torch.bool:
        raise TypeError(f"{name}: expected vectors of numbers, got {given.dtype}")
    return given.to(device=device, dtype=torch.float32)


def _check_finite(name: str, vectors: Tensor) -> None:
    # |<a, b>| <= |a| |b|: with finite squares of the lengths no product overflows, and none is inf - inf.
    good = vectors.square().sum(-1).isfinite()
    if not bool(good.all()):
        place = [int(number) for number in (~good).nonzero()[0]]
        vector = vectors[tuple(place)]
        worst = vector[~vector.isfinite()] if not bool(vector.isfinite().all()) else vector.abs().max().reshape(1)
        where = " ".join(f"{axis} {number}" for axis, number in zip(("row", "vector"), place, strict=False))
        raise ValueError(
            f"{name}: expected finite numbers, and a finite sum of their squares in float32, "
            f"got {float(worst[0]):g} in {where}"
        )
