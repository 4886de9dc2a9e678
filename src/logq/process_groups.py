"""Which processes share what they have: all, those of one machine, or n of consecutive ranks."""

import os
from bisect import bisect_right
from itertools import accumulate
from typing import Any, TypeAlias, cast

import torch

from logq._arguments import ArgumentError, Verbatim
from logq._launch import World
from logq.processes import Group, all_counts, world

__all__ = ["GroupChoice", "check_group", "group_of"]

GroupChoice: TypeAlias = str | int
"""Which processes form a group: all ("world"), those of one machine ("node"), or n with consecutive ranks."""


def check_group(choice: object) -> GroupChoice | None:
    """Return the choice of a group, None for each process by itself.

    Raises:
        ArgumentError: it is neither "world" nor "node" nor an integer >= 1.

    Example:
        >>> check_group("node")
        'node'
    """
    is_number = isinstance(choice, int) and not isinstance(choice, bool) and choice >= 1
    if choice is None or choice in ("world", "node") or is_number:
        return cast("GroupChoice | None", choice)
    raise ArgumentError("group", "'world', 'node', an integer >= 1, or None", choice)


_made: "tuple[Any, dict[GroupChoice, Group]]" = (None, {})
"""The group of all processes, and the groups that were made of it: those of which this process is a member."""


def group_of(choice: GroupChoice, device: torch.device | str = "cpu") -> Group:
    """The group that this process belongs to.

    All processes make a call with a choice at once the first time, when the groups are made; later ones return them.

    Args:
        choice: "world"; "node", the processes that torchrun started on one machine (LOCAL_WORLD_SIZE); or n, groups of
            n consecutive ranks.
        device: that collectives of the processes work on.

    Raises:
        ArgumentError: the processes cannot be divided in this way.

    Example:
        >>> group_of("world") is None
        True
    """
    global _made
    everyone = world()
    if everyone.size == 1 or choice == "world":
        return None
    whole: Any = torch.distributed.group.WORLD
    if whole is not _made[0]:  # the processes joined anew
        _made = (whole, {})
    if choice not in _made[1]:
        sizes = _sizes_of_groups(choice, everyone, device)
        ends = list(accumulate(sizes))
        # All processes make all groups, which wait as long as they do.
        within = whole._get_backend(torch.device(device)).options._timeout  # pyright: ignore[reportPrivateUsage]
        groups: list[Any] = [
            torch.distributed.new_group(range(end - n, end), timeout=within) for n, end in zip(sizes, ends, strict=True)
        ]
        _made[1][choice] = groups[bisect_right(ends, everyone.rank)] if len(groups) > 1 else None
    return _made[1][choice]


def _sizes_of_groups(choice: GroupChoice, everyone: World, device: torch.device | str) -> list[int]:
    """How many processes each group has, in the order of ranks."""
    if choice != "node":
        size = int(choice)
        if everyone.size % size:
            raise ArgumentError("group", f"a divisor of the number of processes, {everyone.size}", size)
        return [size] * (everyone.size // size)
    of_rank = all_counts(int(os.environ.get("LOCAL_WORLD_SIZE", "0")), device)
    sizes: list[int] = []
    while sum(sizes) < everyone.size and (size := of_rank[sum(sizes)]) > 0:
        sizes.append(size)
    if of_rank != [size for size in sizes for _ in range(size)]:
        expected = "LOCAL_WORLD_SIZE to be the number of processes of each machine for 'node'"
        raise ArgumentError("group", expected, Verbatim(of_rank), "start with torchrun, or give a number")
    return sizes
