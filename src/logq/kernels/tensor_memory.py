"""Memory behind tensors: whether there is any that compiled code can work on, and how large tables lie in it."""

import torch
from torch import Tensor, nn
from torch.utils.dlpack import to_dlpack  # pyright: ignore[reportPrivateImportUsage]

from logq.kernels import _native
from logq.tracing import is_traced

__all__ = ["is_plain", "prefer_huge_pages", "read_ahead"]


def is_plain(*tensors: Tensor) -> bool:
    """Whether tensors hold numbers themselves: no graph is being made, and none stands for tensors elsewhere.

    Example:
        >>> is_plain(torch.ones(2), torch.nn.Parameter(torch.ones(2)))
        True
    """
    if is_traced():
        return False
    for tensor in tensors:
        kind = type(tensor)
        if kind is not Tensor and kind is not nn.Parameter:
            return False
    return True


def prefer_huge_pages(table: Tensor) -> bool:
    """Ask the operating system to keep a new table in large pages, before anything is written to it.

    Each row that is read somewhere takes a look into the page tables, which for tables of gigabytes are in no cache
    either. With pages of 2 MiB instead of 4 KiB a step over ten million classes takes about three quarters of the
    time. The class weights that `logq.nn` makes and the state that `logq.optim` keeps are such already.

    Linux grants this where /sys/kernel/mm/transparent_hugepage/enabled says `madvise` or `always`. It takes effect as
    pages are first written, so call it on what comes from `torch.empty` or `torch.zeros`.

    Args:
        table: contiguous, on the CPU; nothing happens on other devices, or to tensors without memory.

    Returns:
        Whether the operating system agreed.

    Example:
        >>> import torch
        >>> table = torch.empty(1_000_000, 8)
        >>> granted = prefer_huge_pages(table)
        >>> table = table.uniform_(-1, 1)
    """
    if table.device.type != "cpu" or not is_plain(table) or not table.is_contiguous() or table.numel() == 0:
        return False
    # Not numpy(), after which no one could resize the storage any more, as FSDP does.
    return _native.prefer_huge_pages(to_dlpack(table.detach().view(-1).view(torch.uint8)))


def read_ahead(table: Tensor, rows: Tensor) -> None:
    """Ask the operating system for rows of a table in a file that is mapped, before they are looked at.

    Without it each row is waited for by itself, and brings what lies around it: 128 KiB, or as much as
    /sys/block/DISK/queue/read_ahead_kb says. Linux reads what is asked for here all at once, and nothing beside the
    pages of it. On other systems, and of other tensors, nothing happens.

    Args:
        table: (N, ...), contiguous.
        rows: int64 of any shape.

    Example:
        >>> import torch
        >>> read_ahead(torch.zeros(4, 2), torch.tensor([3, 0]))
    """
    if table.device.type != "cpu" or not is_plain(table, rows) or not table.is_contiguous():
        return
    if table.numel() and rows.numel():
        memory = table.detach().view(-1).view(torch.uint8)
        _native.read_ahead(to_dlpack(memory), memory.numel() // len(table), to_dlpack(rows.reshape(-1).contiguous()))
