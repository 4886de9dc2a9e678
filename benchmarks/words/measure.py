"""Running a program: how long it took, how much memory it had, and what it said when.

This process imports nothing large. Linux counts towards the peak memory of a program what its parent had when it
started it, so a parent with PyTorch in it would give each of its children 300 MB.
"""

import itertools
import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PROGRESS = re.compile(rb"[Pp]rogress: *(1?[0-9]{1,2}\.[0-9]{1,2}) *%")
"""A whole line of progress. Where threads print into one another's lines it is no number, and the line is skipped."""

BEGIN = b"Number of labels:"
"""fastText's last line before it trains. On one thread it prints no other until the end."""


class Execution(NamedTuple):
    """What is known of a program that has ended.

    Attributes:
        seconds: from start to end.
        cpu_seconds: of all its threads. If much less than seconds x threads, it waited or others had the processor.
        peak_bytes: the most memory it had at any time (its resident set).
        status: its exit status.
        output: what it wrote, both streams.
        progress: (seconds since its start, per cent done) at each progress line it printed.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    status: int
    output: str
    progress: list[tuple[float, float]]


def execute(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Execution:
    """Run a program in a folder and wait for it, noting when each line of its output came."""
    # An installed program has its byte code beside it; without, Python would compile all modules anew each time.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    process = subprocess.Popen(
        list(command),
        cwd=folder,
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    output, progress, unfinished = bytearray(), [], b""
    while chunk := os.read(process.stdout.fileno(), 1 << 16):
        now = time.perf_counter() - start
        output += chunk
        # Programs end a progress line by the \r of the next one: the last number in sight is the newest.
        unfinished = (unfinished + chunk)[-200:]
        if BEGIN in unfinished and not progress:
            progress.append((now, 0.0))
        if found := PROGRESS.findall(unfinished):
            progress.append((now, float(found[-1])))
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    text = output.decode("utf-8", "replace")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Execution(seconds, cpu_seconds, usage.ru_maxrss * 1024, process.returncode, text, progress)


def seconds_of_progress(progress: Sequence[tuple[float, float]]) -> float | None:
    """How long all of the training took, from the clock at the first and at the last progress line.

        (t_last - t_first) * 100 / (percent_last - percent_first)

    The lines come during training alone, so nothing else is in it. What lies before the first line and after the last
    is taken to go at the same speed. None if there were no lines, or they span less than half of the training.
    """
    moved = [later for earlier, later in itertools.pairwise(progress) if later[1] > earlier[1]]
    if not moved:
        return None
    (first_time, first), (last_time, last) = progress[0], moved[-1]
    return (last_time - first_time) * 100 / (last - first) if last - first >= 50 else None
