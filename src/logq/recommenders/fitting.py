"""How a fit is watched and saved, and what it is given."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from logq._arguments import shown
from logq.logs import Interactions, Split

__all__ = ["FitOptions", "HeldOut", "parts_of"]


@dataclass(frozen=True)
class FitOptions:
    """How a fit is watched and saved.

    Args:
        progress: True shows a bar, False nothing, None a bar on a terminal and plain lines in a log.
        checkpoint: a folder, or None.
        checkpoint_minutes: how often; 0 after every batch.
        resume: whether to go on from the checkpoint.

    Example:
        >>> FitOptions().resume
        False
    """

    progress: bool | None = None
    checkpoint: Path | None = None
    checkpoint_minutes: float = 10.0
    resume: bool = False


class HeldOut(NamedTuple):
    """What is measured on while a model is trained.

    Args:
        truth: what users did.
        history: what they did before.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_arrays([1, 1], [5, 7])
        >>> len(HeldOut(log, log).truth)
        2
    """

    truth: Interactions
    history: Interactions


def parts_of(log: Interactions | Split, validation: Interactions | None) -> tuple[Interactions, HeldOut | None]:
    """What is to be learned from, and what may be measured on meanwhile.

    Raises:
        TypeError: `log` is neither.
        ValueError: a Split was given, and a validation part besides.

    Example:
        >>> from logq.logs import leave_one_out
        >>> train, held_out = parts_of(leave_one_out(Interactions.from_arrays([1, 1, 1], [5, 7, 9])), None)
        >>> len(train), held_out is not None and len(held_out.truth)
        (1, 1)
    """
    if isinstance(log, Split):
        if validation is not None:
            raise ValueError("validation: expected none beside a Split, which has its own")
        return log.train, None if log.validation is None else HeldOut(log.validation, log.history("validation"))
    if not isinstance(log, Interactions):
        raise TypeError(f"log: expected Interactions or a Split of them, got {shown(log)}")
    return log, None if validation is None else HeldOut(validation, log)
