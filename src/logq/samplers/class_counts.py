"""Counts of classes: checked, and read from a vocabulary file."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, shown
from logq._text_encodings import text_lines
from logq.tracing import is_fake

__all__ = ["check_counts", "read_counts"]


def check_counts(
    counts: Sequence[float] | np.ndarray[Any, Any] | Tensor, num_classes: int | None = None, *, name: str = "counts"
) -> Tensor:
    """Counts as a float64 tensor (C,) on the CPU: finite, not negative, one positive at least.

    Args:
        counts: (C,) counts or weights.
        num_classes: C, if it is known.
        name: what the caller calls them.

    Raises:
        TypeError: counts are not numbers.
        ValueError: the shape or a value is wrong; the message names the first one.

    Example:
        >>> check_counts([3, -1])
        Traceback (most recent call last):
        ...
        logq.ArgumentError: counts: expected finite numbers >= 0, got -1 for class 1
    """
    values = _as_double(counts, name)
    size = "C" if num_classes is None else num_classes
    if values.dim() != 1 or values.numel() == 0 or values.numel() != (num_classes or values.numel()):
        raise ArgumentError(name, f"shape ({size},)", tuple(values.shape))
    wrong = ~(values >= 0) | values.isinf()
    if bool(wrong.any()):
        where = int(wrong.nonzero()[0])
        raise ArgumentError(name, "finite numbers >= 0", Verbatim(f"{values[where].item():g} for class {where}"))
    if not bool((values > 0).any()):
        raise ArgumentError(name, "at least one positive count, all are 0")
    return values


def _as_double(counts: Sequence[float] | np.ndarray[Any, Any] | Tensor, name: str) -> Tensor:
    """A copy on the CPU, if these are real numbers. Lists go through numpy: torch would read floats in single."""
    try:
        if is_fake(counts):
            raise TypeError("of FakeTensorMode, without numbers; make it outside of the mode")
        if isinstance(counts, Tensor) and not counts.is_complex():
            return counts.detach().to("cpu", torch.float64, copy=True)
        values = np.asarray(counts)
        if values.dtype.kind not in "biuf":
            raise TypeError(f"dtype {values.dtype}")
        return torch.from_numpy(values.astype(np.float64))
    except (TypeError, ValueError, RuntimeError) as error:
        got = Verbatim(f"{type(counts).__name__} ({error})")
        raise ArgumentTypeError(name, "numbers, one per class", got) from None


def read_counts(path: str | PathLike[str]) -> Tensor:
    """Counts from a vocabulary file: one class per line in order of ids, blank lines skipped, its count the last field.

    Args:
        path: text, compressed or not and in any encoding; fields are separated by commas, tabs or spaces: `count`,
            `word count`, `word,count`.

    Returns:
        (C,) float64.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line does not end in a number; the message gives the line.
    """
    counts: list[float] = []
    for place, line in text_lines(path):
        if fields := line.replace(",", " ").split():
            try:
                counts.append(float(fields[-1]))
            except ValueError:
                raise ValueError(f"{place}: expected a count at the end, got {shown(fields[-1])}") from None
    return torch.tensor(counts, dtype=torch.float64, device="cpu")
