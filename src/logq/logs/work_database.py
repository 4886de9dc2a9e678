"""The database of a preparation: opened by one process at a time, begun anew where it is of something else."""

import contextlib
import errno
import json
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from logq._arguments import ArgumentError
from logq._machine import available_memory
from logq._progress import say
from logq.logs.parquet_reader import text_literal
from logq.logs.partitions import MANIFEST

__all__ = ["configure", "half_of_memory", "opened", "reporting"]


@contextlib.contextmanager
def opened(
    duckdb: Any, work: Path, settings: Mapping[str, Any], memory: str | None, threads: int | None, progress: bool | None
) -> Generator[Any, None, None]:
    """A connection to the database of the work so far; one of other files or other settings is begun anew.

    Raises:
        BlockingIOError: another process has it.
    """
    work.mkdir(parents=True, exist_ok=True)
    file = work / "work.duckdb"
    if file.exists() and not _fits(duckdb, file, settings):
        say(
            f"{work.parent}: what was prepared before is of other files or settings, or damaged: starting anew",
            progress,
        )
        shutil.rmtree(work)
        work.mkdir()
    elif file.exists():
        say(f"{work.parent}: going on from what was prepared before", progress)
    connection = duckdb.connect(str(file))
    try:
        configure(connection, memory or half_of_memory(), work / "temporary", threads)
        connection.execute("SET enable_progress_bar = true")
        connection.execute("SET enable_progress_bar_print = false")
        yield connection
    finally:
        connection.close()


def configure(connection: Any, memory: str, temporary: Path, threads: int | None) -> None:
    """Say what a connection may use, and that all dates are of one time zone.

    Args:
        connection: of DuckDB.
        memory: such as 700MB.
        temporary: a folder for what does not fit.
        threads: how many; None for one for each core.
    """
    connection.execute(f"SET memory_limit = {text_literal(memory)}")
    connection.execute(f"SET temp_directory = {text_literal(str(temporary))}")
    connection.execute("SET TimeZone = 'UTC'")
    if threads is not None:
        connection.execute(f"SET threads = {threads}")


def _fits(duckdb: Any, file: Path, settings: Mapping[str, Any]) -> bool:
    try:
        with duckdb.connect(str(file)) as connection:
            found = connection.execute("SELECT result FROM steps WHERE name = 'settings'").fetchone()
            has_files = connection.execute("SELECT count(*) FROM steps WHERE name = 'files'").fetchone()[0]
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise BlockingIOError(
                errno.EAGAIN, "another process prepares a log there", str(file.parent.parent)
            ) from None
        return False
    except duckdb.Error:
        return False
    if found is None or json.loads(found[0]) != json.loads(json.dumps(settings)):
        return False
    out = file.parent / "out"  # without these the work was finished, and only this folder was left
    return not has_files or (out / MANIFEST).exists() or (out / "users.parquet").exists()


def half_of_memory(tasks: int = 1) -> str:
    """A half of the memory that is free here, at most 4 GB, for each of some tasks; at least what one needs.

    Example:
        >>> half_of_memory().endswith("MiB")
        True
    """
    return f"{max(int(min(4 << 30, available_memory() / 2 / tasks)), 256 << 20) >> 20}MiB"


@contextlib.contextmanager
def reporting(duckdb: Any, home: Path, memory: str | None) -> Generator[None, None, None]:
    """A block whose errors of DuckDB become those of Python, with the name of what they are about."""
    full = "the disk is full; what was done is kept, and the same command goes on when there is space"
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(errno.ENOSPC, full, str(home)) from error
    except duckdb.ParserException as error:
        if "emory" not in str(error):
            raise
        raise ArgumentError("memory", "a size such as 700MB", memory) from None
    except duckdb.Error as error:
        said = " ".join(str(error).split())[:400]
        if "No space left" in said or "max_temp_directory_size" in said:
            raise OSError(errno.ENOSPC, full, str(home)) from error
        if isinstance(error, duckdb.OutOfMemoryException):
            raise MemoryError(
                f"{home}: there is not enough memory to prepare it; memory (--memory) gives more ({said})"
            ) from error
        if isinstance(error, duckdb.IOException):
            raise OSError(f"{home}: {said}") from error
        raise ValueError(said) from error
