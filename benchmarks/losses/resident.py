"""The peak memory of a stretch of a process's life. Standard library alone; Linux, and None elsewhere."""

from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident(field: str = "VmRSS") -> int:
    """Bytes of a line of the kernel's account of this process."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024


class Peak:
    """How far the resident set rises above what it is now."""

    def __init__(self) -> None:
        CLEAR.write_text("5")  # sets the high water mark to what is resident now
        self.before = resident()

    def bytes(self) -> int:
        """The most that was resident since, above what was at the start."""
        return resident("VmHWM") - self.before
