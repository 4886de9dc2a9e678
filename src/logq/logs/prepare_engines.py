"""The engines of `prepare` by name: DuckDB in this process, and those that run tasks on many machines."""

import os
import re
from collections.abc import Iterable
from typing import Any

from logq._arguments import ArgumentError
from logq._project import check_installed, page
from logq.logs.ray_tasks import RayTasks
from logq.logs.spark_tasks import SparkTasks

__all__ = ["ENGINES", "RUNNERS", "check_engine", "check_paths"]

RUNNERS: dict[str, Any] = {"spark": SparkTasks, "ray": RayTasks}
"""What runs tasks, a `TaskRunner` for each engine; its package is in the extra of that name."""

ENGINES = ("duckdb", *RUNNERS)

_ADDRESS = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # of a Path, which has one slash


def check_engine(engine: str) -> None:
    """Check the name of an engine, and that its packages are here.

    Raises:
        ModuleNotFoundError: one is missing; the message says how to install it.
        ArgumentError: there is no such engine.

    Example:
        >>> check_engine("duckdb")
    """
    if engine not in ("duckdb", *RUNNERS):
        hint = f"{page('docs/large-logs.md')} says what another engine has to write"
        raise ArgumentError("engine", f"one of {', '.join(ENGINES)}", engine, hint)
    if engine in RUNNERS:
        check_installed(f"engine={engine!r}", engine, RUNNERS[engine].package, "duckdb")


def check_paths(argument: str, paths: Iterable[str | os.PathLike[str]]) -> None:
    """Raise an error for the first path that is the address of a store.

    Example:
        >>> check_paths("sources", ["s3://bucket/log.csv"])
        Traceback (most recent call last):
        ...
        logq.ArgumentError: sources: expected paths of files, got 's3://bucket/log.csv'; no engine reads addresses: ...
    """
    for path in paths:
        if _ADDRESS.match(os.fspath(path)):
            hint = "no engine reads addresses: mount the store, or copy the files to storage that all machines share"
            raise ArgumentError(argument, "paths of files", os.fspath(path), hint)
