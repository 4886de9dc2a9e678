"""What the numbers were measured on, and how."""

import os
import platform
import shlex
import sys
import time
from pathlib import Path


def processor() -> str:
    """The processor's name and its widest vectors, or what Python knows of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    known = dict(line.replace("\t", "").split(": ", 1) for line in lines if ": " in line)
    flags = known.get("flags", "").split()
    wide = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "")
    return ", ".join(part for part in (known.get("model name", platform.machine()), wide) if part)


def available_bytes() -> int:
    """Memory that can still be had; a terabyte where that cannot be known."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024
    except (OSError, StopIteration):
        return 1 << 40


def load() -> str:
    """How busy the machine is with everything together, where that can be known."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def description(program: str, versions: dict[str, str], how: str = "") -> str:
    """Date, machine, versions and command, as Markdown. Of paths in the command the last part is kept."""
    named = ", ".join(f"{name} {version}".rstrip() for name, version in versions.items())
    parts = (Path(part).name if os.path.sep in part else part for part in sys.argv[1:])
    return "\n".join(
        [
            f"{time.strftime('%d %B %Y').lstrip('0')}, {processor()}, {os.cpu_count()} cores, {platform.system()}, "
            f"Python {platform.python_version()}, {named}; {how + '; ' if how else ''}load before the run {load()}.",
            "",
            f"Command: `{shlex.join(['python', program, *parts])}`",
            "",
        ]
    )


def threads_and_turns(threads: int, repeat: int) -> str:
    """What to say of a benchmark that takes medians."""
    return f"{threads} thread{'s' * (threads != 1)}, medians of {repeat} turns (smallest .. largest)"
