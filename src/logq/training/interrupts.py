"""Ctrl-C and SIGTERM, put off until they do no harm."""

import contextlib
import signal
import threading
from collections.abc import Generator
from types import FrameType

__all__ = ["StopRequest", "stop_requests", "uninterrupted"]


@contextlib.contextmanager
def uninterrupted() -> Generator[None, None, None]:
    """Put off Ctrl-C to the end of a block, so that what changes together in it is never seen half changed.

    A second Ctrl-C is not put off. Only the main thread is ever interrupted; elsewhere this does nothing.

    Raises:
        KeyboardInterrupt: at the end of the block, if there was a Ctrl-C in it.

    Example:
        >>> done = 0
        >>> with uninterrupted():
        ...     done += 1
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    waiting = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal waiting
        if waiting:
            before(number, frame)
        waiting = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if waiting:
        before(signal.SIGINT, None)


class StopRequest:
    """Whether somebody asked to stop.

    Example:
        >>> bool(StopRequest())
        False
    """

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        """Whether there was a signal."""
        return self.asked


@contextlib.contextmanager
def stop_requests() -> Generator[StopRequest, None, None]:
    """Note Ctrl-C and SIGTERM in a block, for what has to be agreed with other processes before it stops.

    A second Ctrl-C is not put off. Only the main thread is ever interrupted; elsewhere this does nothing.

    Example:
        >>> with stop_requests() as request:
        ...     signal.raise_signal(signal.SIGTERM)
        >>> bool(request)
        True
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        former = before[signal.SIGINT]
        if request.asked and number == signal.SIGINT and callable(former):
            former(number, frame)
        request.asked = True

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
