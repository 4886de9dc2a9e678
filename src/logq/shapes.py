"""The letters that every shape is written in, and the checks that stand at public doors.

    B   rows of a batch                     T   true classes of a row
    S   sampled classes                     C   number of classes
    D   width of a vector                   K   interests (query vectors) of a row
    V   words of a vocabulary               W   words of a window

A check raises ValueError or TypeError with the name of the argument, what was expected and the first offending value.
Values of tensors are looked at on the CPU only: elsewhere a look would make the device wait. An id out of range is
caught there by torch's own index assertions. Under torch.compile values are not looked at either.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from logq._arguments import check_int, shown

__all__ = [
    "can_look_at",
    "check_device",
    "check_dtype",
    "check_ids",
    "check_ignore_index",
    "check_shape",
]


def check_shape(name: str, value: Tensor, letters: Sequence[str | int], sizes: dict[str, int]) -> None:
    """Check that `value` has the shape that `letters` spell, binding each new letter in `sizes`.

    Args:
        name: what the caller calls the argument.
        value: the tensor to check.
        letters: one entry a dimension: a letter of this module's glossary, or a number.
        sizes: letters bound so far; extended in place.

    Raises:
        TypeError: `value` is no tensor.
        ValueError: the number of dimensions or one size differs.

    Example:
        >>> sizes = {}
        >>> check_shape("input", torch.zeros(2, 3), "BD", sizes)
        >>> check_shape("weight", torch.zeros(9, 4), "CD", sizes)
        Traceback (most recent call last):
        ...
        ValueError: weight: expected shape (C, D) with D = 3, got (9, 4)
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a tensor, got {type(value).__name__}")
    wanted = [sizes.get(letter, letter) if isinstance(letter, str) else letter for letter in letters]
    fits = value.dim() == len(wanted) and all(
        isinstance(size, str) or size == actual for size, actual in zip(wanted, value.shape, strict=True)
    )
    if not fits:
        known = [f"{letter} = {sizes[letter]}" for letter in letters if isinstance(letter, str) and letter in sizes]
        comma = "," if len(wanted) == 1 else ""
        raise ValueError(
            f"{name}: expected shape ({', '.join(map(str, letters))}{comma})"
            + (f" with {', '.join(dict.fromkeys(known))}" if known else "")
            + f", got {tuple(value.shape)}"
        )
    sizes.update({letter: size for letter, size in zip(letters, value.shape, strict=True) if isinstance(letter, str)})


def can_look_at(value: Tensor) -> bool:
    """Whether the values of a tensor may be checked here without a cost that the caller would notice.

    Example:
        >>> can_look_at(torch.zeros(2)), can_look_at(torch.zeros(2, device="meta"))
        (True, False)
    """
    return not torch.compiler.is_compiling() and value.device.type == "cpu"


def check_ids(name: str, ids: Tensor, num_classes: int, *, ignore_index: int | None = None) -> bool:
    """Check that `ids` is an int64 tensor with values in [0, num_classes), or equal to `ignore_index`.

    Returns:
        Whether all are known to be classes: False where one is `ignore_index`, or values cannot be looked at.

    Raises:
        TypeError: `ids` is no tensor, or not int64.
        ValueError: a value is out of range; the message names the first one and where it is.

    Example:
        >>> check_ids("targets", torch.tensor([0, 7]), 5)
        Traceback (most recent call last):
        ...
        ValueError: targets: expected class ids in [0, 5), got 7 at position (1,)
    """
    if not isinstance(ids, Tensor):
        raise TypeError(f"{name}: expected a tensor of class ids, got {type(ids).__name__}")
    if ids.dtype != torch.int64:
        raise TypeError(f"{name}: expected dtype torch.int64, got {ids.dtype}")
    if not can_look_at(ids):
        return False
    if ids.numel() == 0:
        return True
    low, high = ids.aminmax()  # one pass, where there is nothing to tell
    if int(low) >= 0 and int(high) < num_classes:
        return ignore_index is None or not 0 <= ignore_index < num_classes or not bool((ids == ignore_index).any())
    wrong = (ids < 0) | (ids >= num_classes)
    if ignore_index is not None:
        wrong &= ids != ignore_index
    if bool(wrong.any()):
        where = tuple(int(i) for i in wrong.nonzero()[0])
        allowed = "" if ignore_index is None else f" or ignore_index = {ignore_index}"
        raise ValueError(
            f"{name}: expected class ids in [0, {num_classes}){allowed}, got {int(ids[where])} at position {where}"
        )
    return False


def check_ignore_index(value: object) -> int:
    """Return `ignore_index`, any int64.

    Raises:
        TypeError: it is not an integer.
        ValueError: it does not fit into an int64.

    Example:
        >>> check_ignore_index(-100)
        -100
    """
    if type(value) is int and value.bit_length() < 64:
        return value
    number = check_int("ignore_index", value, -(1 << 63))
    if number >= 1 << 63:
        raise ValueError(f"ignore_index: expected an integer below 2**63, got {shown(value)}")
    return number


def check_device(value: object) -> torch.device | None:
    """Return `device` as a torch.device that exists here; None stays None.

    Raises:
        TypeError: it is no device and no string.
        ValueError: there is no such device here.

    Example:
        >>> check_device("abacus")
        Traceback (most recent call last):
        ...
        ValueError: device: expected one that torch has here, such as 'cpu', got 'abacus'
    """
    if value is None:
        return None
    if not isinstance(value, str | int | torch.device) or isinstance(value, bool):
        raise TypeError(f"device: expected a torch.device or a name, got {shown(value)}")
    try:
        device = torch.device(value)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device: expected one that torch has here, such as 'cpu', got {shown(value)}") from error
    return device


def check_dtype(value: object) -> torch.dtype | None:
    """Return `dtype`, which must be a floating point one; None stays None.

    Raises:
        TypeError: it is something else.

    Example:
        >>> check_dtype("float32")
        Traceback (most recent call last):
        ...
        TypeError: dtype: expected a floating point dtype such as torch.float32, got 'float32'
    """
    if value is None or (isinstance(value, torch.dtype) and value.is_floating_point):
        return value
    raise TypeError(f"dtype: expected a floating point dtype such as torch.float32, got {shown(value)}")
