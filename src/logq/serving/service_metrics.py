"""ServiceMetrics: what a service counts, as Prometheus reads it."""

from collections.abc import Callable
from typing import Any

__all__ = ["ServiceMetrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class ServiceMetrics:
    """Numbers of one application; another one in the same process has its own.

    Args:
        waiting: how many requests wait now.
        loaded: when the model was loaded.

    Example:
        >>> metrics = ServiceMetrics(lambda: 0, lambda: 0.0)
        >>> metrics.request("/recommend", 200, 0.004)
        >>> b'logq_requests_total{path="/recommend",status="200"} 1.0' in metrics.text()
        True
    """

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, waiting: Callable[[], int], loaded: Callable[[], float]) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        self._registry = CollectorRegistry()
        every: Any = {"registry": self._registry}
        self._requests = Counter("logq_requests", "Requests by path and status.", ["path", "status"], **every)
        self._seconds = Histogram(
            "logq_request_seconds", "Time from a request to its answer.", ["path"], buckets=_SECONDS, **every
        )
        self._rows = Histogram("logq_batch_rows", "Requests answered together.", buckets=_ROWS, **every)
        self._reloads = Counter("logq_reloads", "Attempts to replace the model.", ["result"], **every)
        Gauge("logq_waiting_requests", "Requests that wait for the model.", **every).set_function(waiting)
        Gauge("logq_model_loaded_timestamp_seconds", "When the model was loaded.", **every).set_function(loaded)
        for result in ("ok", "failed"):
            self._reloads.labels(result)
        ProcessCollector(**every)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, rows: int) -> None:
        """Count a batch."""
        self._rows.observe(rows)

    def reloaded(self, result: str) -> None:
        """Count a reload: "ok" or "failed"."""
        self._reloads.labels(result).inc()

    def text(self) -> bytes:
        """All numbers."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)
