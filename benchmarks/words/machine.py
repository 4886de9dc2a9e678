"""What the numbers were measured on."""

import os
import platform
import shlex
import sys
import time
from pathlib import Path


def cpu() -> str:
    """The processor's name, or what Python knows of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    known = dict(line.replace("\t", "").split(": ", 1) for line in lines if ": " in line)
    flags = known.get("flags", "").split()
    wide = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "")
    return ", ".join(part for part in (known.get("model name", platform.machine()), wide) if part)


def command_line() -> str:
    """How the benchmark was called. Of paths the last part is kept: the others say nothing about the measurement."""
    parts = (Path(part).name if os.path.sep in part else part for part in sys.argv[1:])
    return shlex.join(["python", "benchmarks/words", *parts])


def load() -> str:
    """How busy the machine is with everything together, where that can be known."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def description(versions: dict[str, str]) -> list[str]:
    """Date, machine, versions and command, a line each."""
    named = ", ".join(f"{name} {version}".rstrip() for name, version in versions.items())
    return [
        f"{time.strftime('%d %B %Y').lstrip('0')}, {cpu()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}; load before the run {load()}.",
        f"Contestants: {named}.",
        f"Command: `{command_line()}`",
    ]
