"""The letters that shapes are written in, and the checks of tensors at public entry points.

    B   rows of a batch                     T   true classes of a row
    S   sampled classes                     C   number of classes
    D   width of a vector                   K   interests (query vectors) of a row
    V   words of a vocabulary               W   words of a window

A check raises ArgumentError or ArgumentTypeError, with the name of the argument, what was expected and the first
offending value. Values of tensors are checked on the CPU only: elsewhere that would make the host wait for the device,
and an id out of range is caught by torch's own index assertions. Nor are they checked while a graph is made, as
torch.compile and torch.export do, or where there are none (logq.tracing).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq.tracing import beneath, has_numbers, is_sharded

__all__ = [
    "can_look_at",
    "check_device",
    "check_dtype",
    "check_ids",
    "check_ignore_index",
    "check_shape",
    "check_whole",
]


def check_shape(name: str, value: Tensor, letters: Sequence[str | int], sizes: dict[str, int]) -> None:
    """Check that `value` has the shape that `letters` spell, binding each new letter in `sizes`.

    Args:
        name: what the caller calls the argument.
        value: the tensor to check.
        letters: for each dimension a letter of this module's glossary, or a number.
        sizes: letters bound so far; extended in place.

    Raises:
        ArgumentTypeError: `value` is not a tensor.
        ArgumentError: the number of dimensions or one size differs.

    Example:
        >>> sizes = {}
        >>> check_shape("input", torch.zeros(2, 3), "BD", sizes)
        >>> check_shape("weight", torch.zeros(9, 4), "CD", sizes)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: weight: expected shape (C, D) with D = 3, got (9, 4)
    """
    if not isinstance(value, Tensor):
        raise ArgumentTypeError(name, "a tensor", Verbatim(type(value).__name__))
    wanted = [sizes.get(letter, letter) if isinstance(letter, str) else letter for letter in letters]
    fits = value.dim() == len(wanted) and all(
        isinstance(size, str) or size == actual for size, actual in zip(wanted, value.shape, strict=True)
    )
    if not fits:
        known = [f"{letter} = {sizes[letter]}" for letter in letters if isinstance(letter, str) and letter in sizes]
        comma = "," if len(wanted) == 1 else ""
        expected = f"shape ({', '.join(map(str, letters))}{comma})"
        hint, more = "", value.ndim - len(letters)
        if list(letters[:1]) == ["B"] and more > 0:  # such as (batch, position, D) of a model of sequences
            hint = f"each position is a row: {name}.flatten(0, {more}), and so with the targets"
        expected += f" with {', '.join(dict.fromkeys(known))}" if known else ""
        raise ArgumentError(name, expected, tuple(value.shape), hint)
    sizes.update({letter: size for letter, size in zip(letters, value.shape, strict=True) if isinstance(letter, str)})


def check_whole(name: str, value: Tensor, hint: str = "hand in its to_local() or its full_tensor()") -> None:
    """Raise ArgumentTypeError for a DTensor, of which this process holds a part.

    Example:
        >>> check_whole("input", torch.zeros(2, 3))
    """
    if is_sharded(value):
        raise ArgumentTypeError(name, "a tensor that this process has whole", Verbatim("a DTensor"), hint)


def can_look_at(value: Tensor) -> bool:
    """Whether the values of a tensor can be checked at a negligible cost.

    Example:
        >>> can_look_at(torch.zeros(2)), can_look_at(torch.zeros(2, device="meta"))
        (True, False)
    """
    return value.device.type == "cpu" and has_numbers(value)


def check_ids(name: str, ids: Tensor, num_classes: int, *, ignore_index: int | None = None) -> bool:
    """Check that `ids` is an int64 tensor with values in [0, num_classes), or equal to `ignore_index`.

    Returns:
        Whether all are known to be classes: False where one is `ignore_index`, or values cannot be looked at.

    Raises:
        ArgumentTypeError: `ids` is not a tensor, or not int64.
        ArgumentError: a value is out of range; the message names the first one and where it is.

    Example:
        >>> check_ids("targets", torch.tensor([0, 7]), 5)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: targets: expected class ids in [0, 5), got 7 at position (1,)
    """
    if not isinstance(ids, Tensor):
        raise ArgumentTypeError(name, "a tensor of class ids", Verbatim(type(ids).__name__))
    if ids.dtype != torch.int64:
        raise ArgumentTypeError(name, "dtype torch.int64", Verbatim(ids.dtype))
    check_whole(name, ids)
    if not torch.compiler.is_compiling():
        ids = beneath(ids)  # under vmap the ids of all examples at once
    if not can_look_at(ids):
        return False
    if ids.numel() == 0:
        return True
    low, high = (int(one) for one in ids.aminmax())  # a single pass where all is well
    if low >= 0 and high < num_classes:
        return ignore_index is None or not 0 <= ignore_index < num_classes or not bool((ids == ignore_index).any())
    if low == -1 == ignore_index and high < num_classes:  # no other id is below 0
        return False
    wrong = (ids < 0) | (ids >= num_classes)
    if ignore_index is not None:
        wrong &= ids != ignore_index
    if bool(wrong.any()):
        where = tuple(int(i) for i in wrong.nonzero()[0])
        allowed = "" if ignore_index is None else f" or ignore_index = {ignore_index}"
        raise ArgumentError(
            name, f"class ids in [0, {num_classes}){allowed}", Verbatim(f"{int(ids[where])} at position {where}")
        )
    return False


def check_ignore_index(value: object) -> int:
    """Return `ignore_index`, any int64.

    Raises:
        ArgumentTypeError: it is not an integer.
        ArgumentError: it does not fit into an int64.

    Example:
        >>> check_ignore_index(-100)
        -100
    """
    if type(value) is int and value.bit_length() < 64:
        return value
    number = check_int("ignore_index", value, -(1 << 63))
    if number >= 1 << 63:
        raise ArgumentError("ignore_index", "an integer below 2**63", value)
    return number


def check_device(value: object) -> torch.device | None:
    """Return `device` as a torch.device that exists here; None stays None.

    Raises:
        ArgumentTypeError: it is neither a device nor a string.
        ArgumentError: there is no such device here.

    Example:
        >>> check_device("abacus")
        Traceback (most recent call last):
        ...
        logq.ArgumentError: device: expected one that torch has here, such as 'cpu', got 'abacus'
    """
    if value is None:
        return None
    if not isinstance(value, str | int | torch.device) or isinstance(value, bool):
        raise ArgumentTypeError("device", "a torch.device or a name", value)
    try:
        device = torch.device(value)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ArgumentError("device", "one that torch has here, such as 'cpu'", value) from error
    return device


def check_dtype(value: object) -> torch.dtype | None:
    """Return `dtype`, which must be a floating point one; None stays None.

    Raises:
        ArgumentTypeError: it is something else.

    Example:
        >>> check_dtype("float32")
        Traceback (most recent call last):
        ...
        logq.ArgumentTypeError: dtype: expected a floating point dtype such as torch.float32, got 'float32'
    """
    if value is None or (isinstance(value, torch.dtype) and value.is_floating_point):
        return value
    raise ArgumentTypeError("dtype", "a floating point dtype such as torch.float32", value)
