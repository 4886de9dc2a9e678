"""Where large tables lie in memory."""

import torch
from torch import Tensor

from logq.kernels import _native

__all__ = ["prefer_huge_pages"]


def prefer_huge_pages(table: Tensor) -> bool:
    """Ask the operating system to keep a new table in large pages, before anything is written to it.

    Each row that is read somewhere takes a look into the page tables, which for tables of gigabytes are in no cache
    either. With pages of 2 MiB instead of 4 KiB a step over ten million classes takes about three quarters of the
    time. The class tables that `logq.nn` makes and the state that `logq.optim` keeps are such already.

    Linux grants this where /sys/kernel/mm/transparent_hugepage/enabled says `madvise` or `always`. It takes effect as
    pages are first written, so call it on what comes from `torch.empty` or `torch.zeros`.

    Args:
        table: contiguous, on the CPU; nothing happens on other devices.

    Returns:
        Whether the operating system agreed.

    Example:
        >>> import torch
        >>> table = torch.empty(1_000_000, 8)
        >>> granted = prefer_huge_pages(table)
        >>> table = table.uniform_(-1, 1)
    """
    if table.device.type != "cpu" or not table.is_contiguous() or table.numel() == 0:
        return False
    return _native.prefer_huge_pages(table.detach().view(-1).view(torch.uint8).numpy())
