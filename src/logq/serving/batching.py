"""Batcher: requests of many clients, answered together by one thread, so that no event loop waits for a model."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeAlias

from logq.serving.limits import ServingLimits

__all__ = ["Batcher", "Busy", "Question"]


class Question(NamedTuple):
    """What a request asks.

    Args:
        path: of the route, such as "/recommend".
        asked: the fields of its body that were given.

    Example:
        >>> Question("/neighbors", {"word": "tea"}).path
        '/neighbors'
    """

    path: str
    asked: dict[str, Any]


class Busy(Exception):  # noqa: N818 - named for what happened
    """More requests wait than the limits allow, or the service is closing."""


Answer: TypeAlias = "dict[str, Any] | Exception"
_Job: TypeAlias = "tuple[Question, Future[dict[str, Any]]]"


class Batcher:
    """One thread that takes the questions that wait, answers them in one call, and takes those that came meanwhile.

    Args:
        answer: several questions -> an answer, or what went wrong, for each.
        limits: how many questions at a time.
        observe: called with the number of questions of each batch.

    Example:
        >>> batcher = Batcher(lambda questions: [question.asked for question in questions], ServingLimits())
        >>> batcher.submit(Question("/score", {"text": "a"})).result()
        {'text': 'a'}
        >>> batcher.close()
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Question]], Sequence[Answer]],
        limits: ServingLimits,
        observe: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._answer, self._limits, self._observe = answer, limits, observe
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many questions wait for the thread."""
        return self._queue.qsize()

    def submit(self, question: Question) -> "Future[dict[str, Any]]":
        """Ask; whoever no longer wants the answer cancels it.

        Raises:
            Busy: too many wait already, or the batcher is closed.
        """
        if self._queue.qsize() >= self._limits.waiting:
            raise Busy
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._closed:
                raise Busy
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="logq answers", daemon=True)
                self._thread.start()
            self._queue.put((question, future))
        return future

    def close(self) -> None:
        """Answer what waits, and end the thread."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _work(self) -> None:
        crowded = False
        while (first := self._queue.get()) is not None:
            jobs, ends = self._with_more(first, crowded)
            crowded = len(jobs) > 1
            wanted = [job for job in jobs if job[1].set_running_or_notify_cancel()]
            if wanted:
                self._observe(len(wanted))
                try:
                    answers = self._answer([question for question, _ in wanted])
                except Exception as error:
                    answers = [error] * len(wanted)
                for (_, future), answer in zip(wanted, answers, strict=True):
                    if isinstance(answer, Exception):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
            if ends:
                return

    def _with_more(self, first: _Job, crowded: bool) -> tuple[list[_Job], bool]:
        """The first job with those that wait, and whether the thread ends after them.

        Clients that were answered together ask together again, but not at the same moment: after a batch of several
        it pays to wait for the others.
        """
        jobs = [first]
        until = time.monotonic() + self._limits.wait * crowded
        while len(jobs) < self._limits.rows:
            try:
                left = until - time.monotonic()
                job = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
            except Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
        return jobs, False
