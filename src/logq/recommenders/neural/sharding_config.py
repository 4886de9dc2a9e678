"""ShardingConfig: whether the tables of a recommender are whole in each of several processes, or in parts."""

from typing import Annotated, Any

from logq._arguments import ArgumentError
from logq.training.config import AUTO, Help, OneOf, configclass
from logq.training.options import LossConfig, TrainingConfig

__all__ = ["ShardingConfig"]


@configclass(group="Training")
class ShardingConfig(TrainingConfig, LossConfig):
    """The argument of models whose tables of users and items may be in parts, of which each process has one.

    Example:
        >>> ShardingConfig(tables="sharded", objective="full_softmax")
        Traceback (most recent call last):
        ...
        logq.ArgumentError: objective: expected an objective that samples with tables="sharded", such as \
"sampled_softmax", got 'full_softmax'
    """

    tables: Annotated[
        str,
        OneOf("replicated", "sharded"),
        Help(
            "Where the tables of users and items are when several processes train",
            more='"replicated": each process has them whole. "sharded": each has, and updates, a part of their rows, '
            "and a step moves the rows that it needs; for tables that are larger than a machine. Not saved with a "
            "model, whose file has the tables whole.",
            typed="Whether each of several processes has the tables of users and items whole, or a part of them.",
            saved=False,
        ),
    ] = "replicated"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tables == "sharded":
            self._check_sharded()

    def _check_sharded(self) -> None:
        """Check that nothing is asked for that needs a whole table in each process."""
        if not self.samples:
            expected = 'an objective that samples with tables="sharded", such as "sampled_softmax"'
            raise ArgumentError("objective", expected, self.objective)
        if self.sampler == "every_class":
            raise ArgumentError("sampler", 'one that draws some items with tables="sharded"', self.sampler)
        needs_whole: dict[str, Any] = {"sparse": False, "item_bias": True, "compile": True, "cuda_graphs": True}
        for name, value in needs_whole.items():
            if getattr(self, name, None) is value:
                raise ArgumentError(name, f'{not value} with tables="sharded"', value)
        if (pretrain := getattr(self, "pretrain", 0)) not in (0, AUTO):
            hint = "vectors learned before are those of all items in one process"
            raise ArgumentError("pretrain", '0 with tables="sharded"', pretrain, hint)
        if (chunk := getattr(self, "chunk", None)) is not None:
            hint = "towers would ask for rows a second time, in backward"
            raise ArgumentError("chunk", 'none with tables="sharded"', chunk, hint)
