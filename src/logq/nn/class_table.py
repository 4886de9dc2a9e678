"""What a loss asks of class weights that it does not hold itself, such as those of which each process has a part."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor

from logq._arguments import ArgumentError, Verbatim
from logq.candidates import IGNORED
from logq.nn.best_classes import TopK
from logq.objectives import Objective
from logq.samplers import Sampler

__all__ = ["ClassTable", "LossSettings", "sampler_beside_table"]


class LossSettings(NamedTuple):
    """What a loss module was made with.

    Args:
        objective: of the table.
        sampler: of its negatives; None for the objectives that take all classes.
        temperature, cosine, remove_hits, reduction, ignore_index: as in logq.functional.sampled_loss.

    Example:
        >>> from logq.objectives import FULL_SOFTMAX
        >>> LossSettings(FULL_SOFTMAX, None).reduction
        'mean'
    """

    objective: Objective
    sampler: Sampler | None
    temperature: float | Tensor = 1.0
    cosine: bool = False
    remove_hits: bool | None = None
    reduction: str = "mean"
    ignore_index: int = IGNORED


class ClassTable(ABC):
    """Class weights and biases that lie elsewhere, and are updated there: they are no parameters of the loss.

    The losses of logq.nn take one instead of the numbers of features and of classes, and leave to it what touches the
    rows.

    Args:
        num_classes: C.
        dim: D.

    Example:
        >>> from logq.distributed import ShardedClassTable
        >>> isinstance(ShardedClassTable(1000, 8), ClassTable)
        True
    """

    def __init__(self, num_classes: int, dim: int) -> None:
        self.num_classes = num_classes
        self.dim = dim

    @abstractmethod
    def join(self, settings: LossSettings) -> None:
        """Get ready for a loss: check its settings, and start the biases where its objective has them.

        Raises:
            ArgumentError, ArgumentTypeError: the table cannot do what it asks for.
        """

    @abstractmethod
    def loss_of(
        self,
        settings: LossSettings,
        input: Tensor,
        targets: Tensor,
        row_weight: Tensor | None,
        extra_negatives: Tensor | None,
    ) -> Tensor:
        """As the forward of CandidateLoss."""

    @abstractmethod
    def log_prob_of(self, settings: LossSettings, input: Tensor, targets: Tensor) -> Tensor:
        """As CandidateLoss.log_prob of some classes."""

    @abstractmethod
    def topk_of(self, settings: LossSettings, input: Tensor, k: int) -> TopK:
        """As CandidateLoss.topk."""


def sampler_beside_table(first: object, second: Sampler | None, **given: object) -> Sampler | None:
    """The sampler of a loss that was made with a table: its second argument, where others have num_classes.

    Args:
        first: the argument after the table.
        second: the one after that.
        **given: what the table has already, and must not be given.

    Raises:
        ArgumentError: something is given twice.

    Example:
        >>> from logq.samplers import Uniform
        >>> sampler_beside_table(Uniform(9, 2), None).num_sampled
        2
    """
    for name, value in given.items():
        if value is not None and value is not False:
            raise ArgumentError(name, "none beside a table, which has its own", Verbatim(f"{value}"))
    if isinstance(first, Sampler) and second is None:
        return first
    if first is not None:
        raise ArgumentError("num_classes", "none beside a table, which has its own", Verbatim(f"{first}"))
    return second
