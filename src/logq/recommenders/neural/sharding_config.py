"""ShardingConfig: whether the tables of a recommender are whole in each of several processes, or in parts."""

from typing import Annotated

from logq._arguments import ArgumentError
from logq.training.config import Help, OneOf, configclass
from logq.training.options import LossConfig, TrainingConfig

__all__ = ["ShardingConfig"]


@configclass(group="Training")
class ShardingConfig(TrainingConfig, LossConfig):
    """The argument of models whose tables of users and items may be in parts, of which each process has one.

    Example:
        >>> ShardingConfig(tables="sharded", sampler="every_class")
        Traceback (most recent call last):
        ...
        logq.ArgumentError: sampler: expected one that draws some items with tables="sharded", got 'every_class'; \
objective="full_softmax" or "full_logistic" takes all items, and moves queries instead of tables
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
        if self.sampler == "every_class":
            expected = 'one that draws some items with tables="sharded"'
            hint = 'objective="full_softmax" or "full_logistic" takes all items, and moves queries instead of tables'
            raise ArgumentError("sampler", expected, self.sampler, hint)
        for name in ("compile", "cuda_graphs"):
            if getattr(self, name, False):
                hint = 'a step asks other processes for rows, which no graph has; tables="replicated" has them all'
                raise ArgumentError(name, 'False with tables="sharded"', True, hint)
        if (chunk := getattr(self, "chunk", None)) is not None:
            hint = "towers would ask for rows a second time, in backward; a smaller batch_size needs less memory"
            raise ArgumentError("chunk", 'none with tables="sharded"', chunk, hint)
