"""How many cores a process may use, and how much memory it may still take: too large a model is refused by that."""

import math
import os
import sys
from pathlib import Path

from logq._launch import processes_here

__all__ = ["available_cores", "available_memory"]

_MEMINFO = Path("/proc/meminfo")
_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


def available_memory() -> float:
    """Return the bytes that can be taken without swapping, also in a container with a limit; inf where unknown.

    Example:
        >>> available_memory() > 0
        True
    """
    return min(_of_machine(), _of_group())


def _of_machine() -> float:
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        return 1024.0 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        pass
    if sys.platform == "win32":
        return math.inf
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError):
        return math.inf


def _of_group() -> float:
    """What the control groups of Linux leave: the limit of each, minus what is in use and cannot be dropped."""
    try:
        entries = [line.split(":", 2) for line in _OWN_GROUP.read_text().splitlines()]
    except OSError:
        return math.inf
    left = math.inf
    for _, controllers, own in (entry for entry in entries if len(entry) == 3):
        if not controllers:  # version 2
            left = min(left, _least(_GROUPS, own, "memory.max", "anon"))
        elif "memory" in controllers.split(","):
            left = min(left, _least(_GROUPS / "memory", own, "memory.limit_in_bytes", "total_rss"))
    return left


def _least(root: Path, own: str, limit: str, used: str) -> float:
    group = Path(own.lstrip("/"))
    return min(_left(root / part, limit, used) for part in {group, *group.parents})


def _left(group: Path, limit: str, used: str) -> float:
    try:
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return float((group / limit).read_text()) - float(stat[used])
    except (OSError, KeyError, ValueError):  # "max": no limit
        return math.inf


def available_cores() -> int:
    """How many cores this process may use: its part of them, if torchrun has started several on this machine.

    Example:
        >>> available_cores() >= 1
        True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // processes_here())
