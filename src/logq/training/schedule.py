"""What changes from step to step: the learning rate, and a moving average of the weights."""

import contextlib
import math
from collections.abc import Generator, Sequence

import torch
from torch import Tensor, nn

from logq._arguments import ArgumentError, check_float, check_int
from logq.distributed.sharded_embedding import ShardedEmbedding
from logq.training.options import DECAYS

__all__ = ["Schedule", "WeightAverage"]

CHEAP = 1 << 20
"""Numbers of tables whose average is updated at each step, in a millisecond."""


class Schedule:
    """The factor of the learning rate at each step.

        factor(t) = (t + 1) / warmup                                    t < warmup
        factor(t) = 1,   1 - x,   or   (1 + cos(pi x)) / 2              x = (t - warmup) / (steps - warmup)

    It never falls below `floor`. Where a time budget ends the training sooner, x is the share of it that is used. A
    cooldown of n steps that begins at step s multiplies it by 1 - (t - s) / n.

    Args:
        decay: "constant", "linear" or "cosine".
        warmup: steps until the whole rate is reached.
        steps: of the whole training.
        floor: in [0, 1].

    Attributes:
        cooling: the step that the cooldown begins at, and its steps; (0, 0) while there is none.

    Raises:
        ValueError: an argument is out of range.

    References:
        Loshchilov and Hutter, SGDR, ICLR 2017, arXiv:1608.03983, Eq. 5. Goyal et al., 2017, arXiv:1706.02677, Sec. 2.2.
        The cooldown: Hu et al., MiniCPM, 2024, arXiv:2404.06395, Sec. 4; Haegele et al., 2024, arXiv:2405.18392.

    Example:
        >>> schedule = Schedule("linear", warmup=2, steps=12)
        >>> [round(schedule.factor(step), 2) for step in (0, 1, 2, 7, 11)]
        [0.5, 1.0, 1.0, 0.5, 0.1]
    """

    def __init__(self, decay: str = "constant", *, warmup: int = 0, steps: int = 1, floor: float = 0.0) -> None:
        if decay not in DECAYS:
            raise ArgumentError("decay", f"one of {', '.join(DECAYS)}", decay)
        self.decay = decay
        self.warmup = check_int("warmup", warmup, 0)
        self.steps = check_int("steps", steps)
        self.floor = check_float("floor", floor, at_least=0, at_most=1)
        self.cooling: tuple[int, int] = (0, 0)

    def factor(self, step: int, share: float = 0.0) -> float:
        """The factor of step t, from 0, when that share of the time budget is used, if there is one."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        x = min(1.0, max((step - self.warmup) / max(1, self.steps - self.warmup), share))
        factors = {"constant": 1.0, "linear": 1 - x, "cosine": (1 + math.cos(math.pi * x)) / 2}
        begin, length = self.cooling
        cooled = min(1.0, max(0, step - begin) / length) if length else 0.0
        return max(self.floor, factors[self.decay] * (1 - cooled))


def steps_between(decay: float, numbers: int) -> int:
    """How many steps there are from one update of an average to the next.

    Args:
        decay: of the average.
        numbers: in tables of which a step touches a few rows.

    Returns:
        1 for small tables; for others so many that an update costs no more per step than one of `CHEAP` numbers does,
        but at most a tenth of the steps that the average looks back.

    Example:
        >>> [steps_between(0.999, numbers) for numbers in (0, 1 << 20, 16 << 20, 1 << 30)]
        [1, 1, 16, 100]
    """
    return max(1, min(-(-numbers // CHEAP), round(0.1 / max(1 - decay, 1e-9))))


class WeightAverage:
    """Averages the weights over steps, and lends the average to the model for a while.

        a <- d a + (1 - d) w,    d = min(decay, (1 + t) / (10 + t))    at update number t

    An update reads and writes all weights, which is more than a step does that touches a few rows of a large table. Of
    such models only every n-th step is taken in, with d^n: the average then looks back as far, and what it misses are
    the last n - 1 steps at the most, of the 1 / (1 - decay) that count.

    Args:
        model: whose parameters are averaged.
        decay: in (0, 1); 0.999 looks back about a thousand steps.
        sparse: those of its parameters of which a step touches a few rows; see `steps_between`.

    References:
        Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992. The warm-up of d is that of
        tf.train.ExponentialMovingAverage.

    Example:
        >>> model = torch.nn.Linear(1, 1)
        >>> average = WeightAverage(model, 0.9)
        >>> average.update()
        >>> with average.lent():
        ...     _ = model(torch.zeros(1, 1))
    """

    def __init__(self, model: nn.Module, decay: float, sparse: Sequence[Tensor] = ()) -> None:
        self.decay = check_float("ema", decay, above=0, at_most=1)
        parts = {id(one.weight): one.num_rows * one.dim for one in model.modules() if isinstance(one, ShardedEmbedding)}
        self.every = steps_between(decay, sum(parts.get(id(parameter), parameter.numel()) for parameter in sparse))
        self.updates = 0
        self._weights: list[Tensor] = list(model.parameters())
        self.names = [name for name, _ in model.named_parameters()]
        self.values: list[Tensor] = [parameter.detach().clone() for parameter in self._weights]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now, if it is the turn of this step."""
        self.updates += 1
        if self.updates % self.every:
            return
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) ** self.every
        torch._foreach_lerp_(self.values, self._weights, 1 - decay)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]

    @torch.no_grad()
    def swap(self) -> None:
        """Swap the average and the weights."""
        for parameter, value in zip(self._weights, self.values, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(value)
            value.copy_(kept)

    @contextlib.contextmanager
    def lent(self) -> Generator[None, None, None]:
        """The model holds the average while the block runs."""
        self.swap()
        try:
            yield
        finally:
            self.swap()
