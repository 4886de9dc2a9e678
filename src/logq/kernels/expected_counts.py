"""Log expected counts of classes in independent draws: functions of the class, in plain torch, as data for kernels.

A sampler that draws with replacement counts with one of them, so that a kernel which knows it leaves the logarithms
with the draws. On all other ways they are called, as any function of classes is.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from logq.kernels.tensor_memory import prefer_huge_pages
from logq.tracing import has_numbers

__all__ = ["EqualCounts", "LearnedCounts", "LogCounts", "LogUniformCounts", "TableCounts"]


class LogCounts(ABC):
    """The log of q(y) times a constant for any class y.

    Example:
        >>> EqualCounts(-1.0, torch.float32)(torch.tensor([5, 7]))
        tensor([-1., -1.])
    """

    @abstractmethod
    def __call__(self, ids: Tensor) -> Tensor:
        """Class ids, int64 of any shape -> the same shape, in a tensor of its own."""


@dataclass(frozen=True)
class EqualCounts(LogCounts):
    """One number for all classes.

    Args:
        value: that number.
        dtype: of the logarithms.

    Example:
        >>> EqualCounts(0.5, torch.float64)(torch.tensor([[3]]))
        tensor([[0.5000]], dtype=torch.float64)
    """

    value: float
    dtype: torch.dtype

    def __call__(self, ids: Tensor) -> Tensor:
        """The number."""
        return torch.full(ids.shape, self.value, dtype=self.dtype, device=ids.device)


@dataclass(frozen=True)
class LogUniformCounts(LogCounts):
    """log log( (y + 2) / (y + 1) ), plus a number.

    Args:
        shift: that number.
        dtype: of the logarithms.

    Example:
        >>> LogUniformCounts(0.0, torch.float32)(torch.tensor([0, 9])).exp()
        tensor([0.6931, 0.0953])
    """

    shift: float
    dtype: torch.dtype

    def __call__(self, ids: Tensor) -> Tensor:
        """By log1p and not by the log of a quotient, which for large ids is 1 in float32."""
        return (ids + 1).to(self.dtype).reciprocal_().log1p_().log_().add_(self.shift)


@dataclass(frozen=True)
class TableCounts(LogCounts):
    """Numbers of a table, plus a number.

    Args:
        table: (C,).
        shift: that number.

    Example:
        >>> TableCounts(torch.tensor([0.0, -1.0]), 3.0)(torch.tensor([1, 1]))
        tensor([2., 2.])
    """

    table: Tensor
    shift: float = 0.0

    @property
    def dtype(self) -> torch.dtype:
        """That of the table."""
        return self.table.dtype

    def __call__(self, ids: Tensor) -> Tensor:
        """One look-up a class."""
        flat = ids.reshape(-1)
        if flat.numel() * self.table.dtype.itemsize < 1 << 25 or not has_numbers(ids):
            found = self.table.index_select(0, flat)
        else:
            # Getting so much memory in small pages takes longer than looking the numbers up.
            found = torch.empty(flat.shape, dtype=self.table.dtype, device=ids.device)
            prefer_huge_pages(found)
            torch.index_select(self.table, 0, flat, out=found)
        return (found.add_(self.shift) if self.shift else found).view(ids.shape)


@dataclass(frozen=True)
class LearnedCounts(LogCounts):
    """The log of how often a class was counted among all that was, plus a number.

    Args:
        counts: (C,) int64, more than zero.
        in_table: how many were counted, but for the recent ones.
        num_recent: () int64, how many those are.
        dtype: of the logarithms.
        shift: that number.

    Example:
        >>> LearnedCounts(torch.tensor([1, 3]), 2, torch.tensor(2), torch.float32)(torch.arange(2)).exp()
        tensor([0.2500, 0.7500])
    """

    counts: Tensor
    in_table: int
    num_recent: Tensor
    dtype: torch.dtype
    shift: float = 0.0

    def __call__(self, ids: Tensor) -> Tensor:
        """One look-up a class, and two logarithms."""
        total = (self.in_table + self.num_recent).to(self.dtype)
        found = self.counts[ids].to(self.dtype).log() - total.log()
        return found.add_(self.shift) if self.shift else found
