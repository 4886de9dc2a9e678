"""Tasks of a preparation on Ray: in the cluster that there is, or in one that is started."""

from collections.abc import Callable, Sequence
from typing import Any

from logq._project import load_optional

__all__ = ["RayTasks"]


class RayTasks:
    """Runs tasks as remote functions of Ray; see `TaskRunner`.

    The cluster is the one that this process is connected to, or the one that `ray.init()` finds: by RAY_ADDRESS, or
    started on this machine; without any it is a local one on all cores.

    Args:
        threads: of each task, which counts as so many of the CPUs that Ray has.

    Raises:
        ModuleNotFoundError: ray is not installed.
        ConnectionError: the cluster does not answer.

    Example:
        See logq.logs.prepare, which makes one.
    """

    package = "ray"

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._ray: Any = load_optional("engine='ray'", "ray", "ray")
        self._is_own = not self._ray.is_initialized()
        if self._is_own:
            self._ray.init(log_to_driver=False, logging_level="ERROR")
        self.about = f"ray {self._ray.__version__}"
        cores = int(self._ray.cluster_resources().get("CPU", 1))
        nodes = sum(node["Alive"] for node in self._ray.nodes())
        self.where = f"{nodes} {'machine' if nodes == 1 else 'machines'}, {cores} tasks at a time"
        self.finished = 0
        self._running: list[Any] = []

    def run(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
        """See TaskRunner."""
        self.finished = 0
        call = self._ray.remote(max_retries=3, num_cpus=self._threads)(_call)
        self._running = [call.remote(function, task) for task in tasks]
        left = list(self._running)
        try:
            while left:
                _, left = self._ray.wait(left, num_returns=min(len(left), 1), timeout=1.0)
                self.finished = len(tasks) - len(left)
            return self._ray.get(self._running)
        except self._ray.exceptions.RayError as error:
            raise ConnectionError(f"Ray: {' '.join(str(error).split())[:400]}") from error

    def stop(self) -> None:
        """See TaskRunner."""
        for task in self._running:
            self._ray.cancel(task, force=True)

    def close(self) -> None:
        """See TaskRunner."""
        if self._is_own:
            self._ray.shutdown()


def _call(function: Callable[[Any], Any], task: Any) -> Any:
    return function(task)
