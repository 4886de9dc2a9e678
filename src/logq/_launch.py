"""What a launcher such as torchrun says of this process: its rank, and how many there are. Without torch."""

import contextlib
import os
from collections.abc import Generator
from contextvars import ContextVar
from dataclasses import dataclass

from logq._arguments import ArgumentError

__all__ = ["ALONE", "World", "check_alone", "each_alone", "fits_alone", "launched", "processes_here"]


@dataclass(frozen=True)
class World:
    """The rank of this process, and the number of processes.

    Example:
        >>> World().size
        1
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether it is the process that writes and shows progress."""
        return self.rank == 0


ALONE = World()
"""One process that trains by itself."""


def launched() -> World:
    """The world by the variables of torchrun: RANK, WORLD_SIZE and LOCAL_RANK; alone without them.

    Raises:
        ArgumentError: one of them is not an integer, or there is no such rank.

    Example:
        >>> launched()
        World(rank=0, size=1, local_rank=0)
    """
    size = _integer("WORLD_SIZE", 1)
    if size <= 1:
        return World(local_rank=_integer("LOCAL_RANK", 0))
    rank = _integer("RANK", -1)
    if not 0 <= rank < size:
        raise ArgumentError("RANK", f"an integer in [0, {size}), as WORLD_SIZE is {size}", os.environ.get("RANK"))
    return World(rank, size, _integer("LOCAL_RANK", 0))


def processes_here() -> int:
    """How many processes the launcher has started on this machine: LOCAL_WORLD_SIZE.

    Raises:
        ArgumentError: it is not an integer.

    Example:
        >>> processes_here()
        1
    """
    return max(1, _integer("LOCAL_WORLD_SIZE", 1)) if launched().size > 1 else 1


def check_alone(what: str) -> None:
    """Check that this process is the only one, before it does what several would do over each other.

    Args:
        what: is to be done, such as the name of an estimator.

    Raises:
        ArgumentError: a launcher has started several.

    Example:
        >>> check_alone("Word2Vec")
    """
    size = launched().size
    if size > 1:
        hint = f"start it without torchrun, or unset WORLD_SIZE: several processes cannot share the work of {what}"
        raise ArgumentError("WORLD_SIZE", f"1 for {what}", size, hint)


def _integer(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    try:
        return int(text) if text else default
    except ValueError:
        raise ArgumentError(name, "an integer, as torchrun sets it", text) from None


_alone: ContextVar[bool] = ContextVar("alone", default=False)


@contextlib.contextmanager
def each_alone() -> Generator[None, None, None]:
    """A block in which each of several processes makes fits for itself, and all get the same where these have a seed.

    Example:
        >>> with each_alone():
        ...     fits_alone()
        True
    """
    outer = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(outer)


def fits_alone() -> bool:
    """Whether this is inside of `each_alone`.

    Example:
        >>> fits_alone()
        False
    """
    return _alone.get()
