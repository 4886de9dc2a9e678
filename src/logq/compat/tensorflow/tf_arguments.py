"""What TensorFlow takes for a tensor, as tensors of torch, and what it takes for a seed."""

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from logq._arguments import check_bool, check_int, shown
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
"""One row a class: a tensor, or a list of its parts one below the other."""

Seed: TypeAlias = int | torch.Generator | None
"""A number: the same draws at each call. A generator: goes on where it is. None: from the operating system."""


def _as_tensor(name: str, value: object) -> Tensor:
    if isinstance(value, Tensor):
        return value
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name}: expected a tensor or a list of numbers, got {shown(value)} ({error})") from None


def as_ids(name: str, value: object, num_classes: int | None = None) -> Tensor:
    """Class ids as int64; as TensorFlow casts labels, but floats must be whole.

    Example:
        >>> as_ids("labels", [[3.0]])
        tensor([[3]])
    """
    ids = _as_tensor(name, value)
    if ids.dtype == torch.bool or ids.is_complex():
        raise TypeError(f"{name}: expected class ids, got dtype {ids.dtype}")
    if ids.is_floating_point() and can_look_at(ids) and bool((ids != ids.trunc()).any()):
        raise ValueError(f"{name}: expected class ids, got {float(ids[ids != ids.trunc()][0])}")
    ids = ids.detach().long()
    if num_classes is not None:
        check_ids(name, ids, num_classes)
    return ids


def as_true_classes(name: str, value: object, num_true: int, num_classes: int | None = None) -> Tensor:
    """True classes, (B, T) with T = num_true.

    Example:
        >>> as_true_classes("labels", [3, 4], 1)
        Traceback (most recent call last):
        ...
        ValueError: labels: expected shape (B, T) with T = num_true = 1, got (2,); labels[:, None] has it
    """
    num_true = check_int("num_true", num_true)
    ids = as_ids(name, value)
    if ids.dim() != 2 or ids.shape[1] != num_true:
        hint = f"; {name}[:, None] has it" if ids.dim() == 1 and num_true == 1 else ""
        expected = f"{name}: expected shape (B, T) with T = num_true = {num_true}"
        raise ValueError(f"{expected}, got {tuple(ids.shape)}{hint}")
    if num_classes is not None:
        check_ids(name, ids, num_classes)
    return ids


def as_numbers(name: str, value: object) -> Tensor:
    """Floating point numbers.

    Example:
        >>> as_numbers("inputs", [[0.5]])
        tensor([[0.5000]])
    """
    numbers = _as_tensor(name, value)
    if not numbers.is_floating_point():
        raise TypeError(f"{name}: expected a floating point dtype, got {numbers.dtype}")
    return numbers


def as_counts(name: str, value: object) -> Tensor:
    """Expected counts; lists are read in double, where torch would round them to single.

    Example:
        >>> as_counts("sampled_values[2]", [0.1, 0.2])
        tensor([0.1000, 0.2000], dtype=torch.float64)
    """
    if isinstance(value, Tensor | np.ndarray):
        return as_numbers(name, value)
    try:
        return torch.from_numpy(np.array(value, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: expected a tensor or a list of numbers, got {shown(value)} ({error})") from None


def as_switch(name: str, value: object) -> bool:
    """True or False, also as 1 or 0 or as numpy has them.

    Example:
        >>> as_switch("unique", 1)
        True
    """
    if isinstance(value, np.bool_) or (isinstance(value, int | np.integer) and value in (0, 1)):
        return bool(value)
    return check_bool(name, value)


def as_table(name: str, value: object) -> Tensor:
    """The class table, or the biases: one tensor, or a list or tuple of parts, which are put one below the other.

    Example:
        >>> as_table("weights", [torch.zeros(2, 3), torch.zeros(1, 3)]).shape
        torch.Size([3, 3])
    """
    parts = value if isinstance(value, list | tuple) else ()
    if not parts or not all(isinstance(part, Tensor | np.ndarray) for part in parts):
        return as_numbers(name, value)
    tables = [as_numbers(f"{name}[{index}]", part) for index, part in enumerate(parts)]
    for index, table in enumerate(tables):
        if table.dim() == 0 or table.shape[1:] != tables[0].shape[1:]:
            first = tuple(tables[0].shape)
            raise ValueError(f"{name}[{index}]: expected the shape of the first part {first}, got {tuple(table.shape)}")
    return tables[0] if len(tables) == 1 else torch.cat(tables)


def as_generator(seed: object) -> torch.Generator:
    """The source of randomness that a seed stands for; torch's global one is never touched.

    Example:
        >>> as_generator(3).initial_seed()
        3
    """
    if isinstance(seed, torch.Generator):
        return seed
    generator = torch.Generator()
    if seed is None:
        generator.seed()
        return generator
    number = check_int("seed", seed, -(1 << 63))
    if number >= 1 << 64:
        raise ValueError(f"seed: expected an integer below 2**64, got {shown(seed)}")
    return generator.manual_seed(number)
