"""Ctrl-C, put off until it does no harm."""

import contextlib
import signal
import threading
from collections.abc import Generator
from types import FrameType

__all__ = ["uninterrupted"]


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
