"""Converting what TensorFlow accepts as tensors and seeds to those of torch."""

import secrets
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_int, shown
from logq.shapes import can_look_at, check_ids

__all__ = [
    "Classes",
    "Numbers",
    "Seed",
    "Table",
    "as_counts",
    "as_generator",
    "as_ids",
    "as_numbers",
    "as_switch",
    "as_table",
    "as_true_classes",
]

Classes: TypeAlias = Tensor | ArrayLike
"""Class ids: a tensor, or what torch.as_tensor takes, such as a list."""

Numbers: TypeAlias = Tensor | ArrayLike
"""Floating point numbers: a tensor, or what torch.as_tensor takes."""

Table: TypeAlias = Tensor | ArrayLike | list[Tensor] | tuple[Tensor, ...]
"""One row for each class: a tensor, or a list of its parts, one below the other."""

Seed: TypeAlias = int | torch.Generator | None
"""A number gives the same draws at each call, a generator moves on, None takes one from the operating system."""


def _as_tensor(name: str, value: object) -> Tensor:
    if isinstance(value, Tensor):
        return value
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentTypeError(name, "a tensor or a list of numbers", Verbatim(f"{shown(value)} ({error})")) from None


def as_ids(name: str, value: object) -> Tensor:
    """Return class ids as int64, cast as TensorFlow casts labels, but floats must be integers.

    Example:
        >>> as_ids("labels", [[3.0]])
        tensor([[3]])
    """
    ids = _as_tensor(name, value)
    if ids.dtype == torch.bool or ids.is_complex():
        raise ArgumentTypeError(name, "class ids", Verbatim(f"dtype {ids.dtype}"))
    if ids.is_floating_point() and can_look_at(ids) and bool((ids != ids.trunc()).any()):
        raise ArgumentError(name, "class ids", float(ids[ids != ids.trunc()][0]))
    return ids.detach().long()


def as_true_classes(name: str, value: object, num_true: int, num_classes: int | None = None) -> Tensor:
    """Return true classes, (B, T) with T = num_true.

    Example:
        >>> as_true_classes("labels", [3, 4], 1)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: labels: expected shape (B, T) with T = num_true = 1, got (2,); labels[:, None] has it
    """
    num_true = check_int("num_true", num_true)
    ids = as_ids(name, value)
    if ids.dim() != 2 or ids.shape[1] != num_true:
        hint = f"{name}[:, None] has it" if ids.dim() == 1 and num_true == 1 else ""
        raise ArgumentError(name, f"shape (B, T) with T = num_true = {num_true}", tuple(ids.shape), hint)
    if num_classes is not None:
        check_ids(name, ids, num_classes)
    return ids


def as_numbers(name: str, value: object) -> Tensor:
    """Return floating point numbers.

    Example:
        >>> as_numbers("inputs", [[0.5]])
        tensor([[0.5000]])
    """
    numbers = _as_tensor(name, value)
    if not numbers.is_floating_point():
        raise ArgumentTypeError(name, "a floating point dtype", Verbatim(numbers.dtype))
    return numbers


def as_counts(name: str, value: object) -> Tensor:
    """Return expected counts; lists are read as float64, where torch would round them to float32.

    Example:
        >>> as_counts("sampled_values[2]", [0.1, 0.2])
        tensor([0.1000, 0.2000], dtype=torch.float64)
    """
    if isinstance(value, Tensor | np.ndarray):
        return as_numbers(name, value)
    try:
        return torch.from_numpy(np.array(value, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(name, "a tensor or a list of numbers", Verbatim(f"{shown(value)} ({error})")) from None


def as_switch(name: str, value: object) -> bool:
    """Return True or False, also from 1 or 0 or those of numpy.

    Example:
        >>> as_switch("unique", 1)
        True
    """
    if isinstance(value, np.bool_) or (isinstance(value, int | np.integer) and value in (0, 1)):
        return bool(value)
    return check_bool(name, value)


def as_table(name: str, value: object) -> Tensor:
    """Return class weights or biases, from one tensor or from a list or tuple of parts, which are concatenated.

    Example:
        >>> as_table("weights", [torch.zeros(2, 3), torch.zeros(1, 3)]).shape
        torch.Size([3, 3])
    """
    parts = value if isinstance(value, list | tuple) else ()
    if not parts or not all(isinstance(part, Tensor | np.ndarray) for part in parts):
        return as_numbers(name, value)
    tables = [as_numbers(name, part) for part in parts]
    for index, table in enumerate(tables):
        if table.dim() == 0 or table.shape[1:] != tables[0].shape[1:]:
            first = tuple(tables[0].shape)
            got = Verbatim(f"{tuple(table.shape)} in part {index}")
            raise ArgumentError(name, f"the shape of the first part, {first}", got)
    return tables[0] if len(tables) == 1 else torch.cat(tables)


def as_generator(seed: object) -> torch.Generator:
    """Return the generator that a seed stands for; torch's global one is never used.

    Example:
        >>> as_generator(3).initial_seed()
        3
    """
    if isinstance(seed, torch.Generator):
        return seed
    generator = torch.Generator()
    if seed is None:
        generator.manual_seed(secrets.randbits(63))
        return generator
    number = check_int("seed", seed, -(1 << 63))
    if number >= 1 << 64:
        raise ArgumentError("seed", "an integer below 2**64", seed)
    return generator.manual_seed(number)
