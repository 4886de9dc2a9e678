"""Tasks of a preparation on Apache Spark: in the session that there is, or in one that is started."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from logq._arguments import ArgumentError, Verbatim
from logq._project import load_optional

__all__ = ["SparkTasks"]

_GROUP = "logq-prepare"


class SparkTasks:
    """Runs tasks as a job of Spark; see `TaskRunner`.

    The session is the active one, or the one that `SparkSession.builder.getOrCreate()` makes of the settings that
    Spark finds: spark-submit, spark-defaults.conf, PYSPARK_SUBMIT_ARGS; without any it is a local one on all cores.

    Args:
        threads: of each task, of which Spark is to be told by spark.task.cpus.

    Raises:
        ModuleNotFoundError: pyspark is not installed.
        ConnectionError: it cannot be started, as where there is no Java.
        ArgumentError: the session is one of Spark Connect, which has no tasks to give.

    Example:
        See logq.logs.prepare, which makes one.
    """

    package = "pyspark"

    def __init__(self, threads: int = 1) -> None:
        sql = load_optional("engine='spark'", "spark", "pyspark.sql")
        active = sql.SparkSession.getActiveSession()
        try:
            quiet = sql.SparkSession.builder.appName("logq prepare").config("spark.ui.showConsoleProgress", "false")
            self._session = active or quiet.getOrCreate()
        except Exception as error:
            said = str(error).strip().splitlines()
            raise ConnectionError(f"Spark cannot be started: {said[0] if said else type(error).__name__}") from error
        self._is_own = active is None
        try:
            self._context: Any = self._session.sparkContext
        except Exception as error:
            self.close()
            raise ArgumentError("engine", "a session of Spark itself", Verbatim("one of Spark Connect")) from error
        if self._is_own and self._context.master.startswith("local") and "PYSPARK_PYTHON" not in os.environ:
            self._context.pythonExec = sys.executable  # where logq is, instead of the first python3
        self.about = f"spark {self._session.version}"
        self.where = f"{self._context.master}, {self._context.defaultParallelism} tasks at a time"

    @property
    def finished(self) -> int:
        """See TaskRunner."""
        with contextlib.suppress(Exception):  # what is wrong, the job says
            tracker = self._context.statusTracker()
            jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(_GROUP)]
            running = [stage for job in jobs if job and job.status == "RUNNING" for stage in job.stageIds]
            return sum(info.numCompletedTasks for info in map(tracker.getStageInfo, running) if info)
        return 0

    def run(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
        """See TaskRunner."""
        self._context.setJobGroup(_GROUP, "logq prepare", interruptOnCancel=True)
        try:
            return self._context.parallelize(tasks, len(tasks)).map(function).collect()
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            said = next((line for line in lines if re.match(r"(\w+\.)*\w*(Error|Exception): ", line)), lines[0])
            hint = "; PYSPARK_PYTHON names the Python of tasks, which needs logq" if "ModuleNotFound" in said else ""
            raise ConnectionError(f"Spark: {said[:400]}{hint}") from error

    def stop(self) -> None:
        """See TaskRunner."""
        self._context.cancelJobGroup(_GROUP)

    def close(self) -> None:
        """See TaskRunner."""
        if self._is_own:
            self._session.stop()
