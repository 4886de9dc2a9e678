"""Schedule: how the learning rate goes up and comes down over the steps of a training."""

import math

from logq.arguments import check_float, check_int, shown

__all__ = ["DECAYS", "Schedule"]

DECAYS = ("constant", "linear", "cosine")


class Schedule:
    """The part of the learning rate that holds at a step.

        factor(t) = (t + 1) / warmup                                    t < warmup
        factor(t) = 1,   1 - x,   or   (1 + cos(pi x)) / 2              x = (t - warmup) / (steps - warmup)

    It never falls below `floor`.

    Args:
        decay: "constant", "linear" or "cosine".
        warmup: steps until the whole rate is reached.
        steps: of the whole training.
        floor: in [0, 1].

    Raises:
        ValueError: an argument is out of range.

    References:
        Loshchilov and Hutter, SGDR, ICLR 2017, arXiv:1608.03983, Eq. 5. Goyal et al., 2017, arXiv:1706.02677, Sec. 2.2.

    Example:
        >>> schedule = Schedule("linear", warmup=2, steps=12)
        >>> [round(schedule.factor(step), 2) for step in (0, 1, 2, 7, 11)]
        [0.5, 1.0, 1.0, 0.5, 0.1]
    """

    def __init__(self, decay: str = "constant", *, warmup: int = 0, steps: int = 1, floor: float = 0.0) -> None:
        if decay not in DECAYS:
            raise ValueError(f"decay: expected one of {', '.join(DECAYS)}, got {shown(decay)}")
        self.decay = decay
        self.warmup = check_int("warmup", warmup, 0)
        self.steps = check_int("steps", steps)
        self.floor = check_float("floor", floor, at_least=0, at_most=1)

    def factor(self, step: int) -> float:
        """The factor of step t, from 0."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        x = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        factors = {"constant": 1.0, "linear": 1 - x, "cosine": (1 + math.cos(math.pi * x)) / 2}
        return max(self.floor, factors[self.decay])
