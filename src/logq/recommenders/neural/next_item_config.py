"""NextItemConfig: the arguments of models that learn what comes next, and the rules that choose some by the log."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from logq.recommenders.events.log_statistics import LogStatistics
from logq.recommenders.neural.neural_config import RECENCY, Dropout, NeuralConfig, Recency
from logq.samplers.registry import SamplerChoice
from logq.training.automatic_settings import AutomaticChoice, Rules
from logq.training.config import AUTO, Auto, Help, configclass

__all__ = ["NextItemConfig", "RecentItemsConfig"]

PRETRAINED_EVENTS = 10_000_000
"""Events up to which skip-gram over the log takes little beside the training itself."""

LEAST_VALIDATION = 1024
"""Users who are enough to tell epochs apart: their metrics go up and down together from one epoch to the next."""

BETWEEN = 200
"""Updates between validations, at the least: fewer of them tell patience nothing."""

STEPS = 10_000
"""Updates that are made where no validation part tells when to stop."""

SPARSE = 100
"""Events of an item, on average, below which a log says so little of each that a model needs dropout."""

FORGOTTEN = 1e-3
"""What items that are left out of a history may weigh together, as a share of all."""


@configclass(group="Training")
class NextItemConfig(NeuralConfig):
    """The arguments of models that learn what comes next from the events before it.

    What matters follows from the log, by `rules`, where it is not given.

    Example:
        >>> NextItemConfig().epochs, NextItemConfig(epochs=4).epochs
        ('auto', 4)
    """

    sampler: Annotated[SamplerChoice | None, Help(default="uniform")] = None
    dropout: Annotated[Dropout, Auto("by the number of events of an item")] = AUTO
    num_sampled: Annotated[int, Auto("by the number of items")] = AUTO
    pretrain: Annotated[int, Auto("by the number of events")] = AUTO
    epochs: Annotated[int, Auto("by the number of events")] = AUTO
    validate_every: Annotated[int, Auto("by the updates of an epoch")] = AUTO
    validation_users: Annotated[int | None, Auto("by the number of users")] = AUTO
    lr = 3e-3
    ema = 0.999
    cooldown = 0.25
    patience = 5
    default_sampler: ClassVar[str] = "uniform"

    dropouts: ClassVar[tuple[float, float]] = (0.3, 0.0)
    """Rates for logs that say little of each item, and for others."""

    rules: ClassVar[Rules] = {
        "dropout": lambda log, own: AutomaticChoice(
            own.dropouts[log.events_per_item >= SPARSE], f"an item has {log.events_per_item:.3g} events"
        ),
        "num_sampled": lambda log, own: AutomaticChoice(
            min(2048, max(1, log.num_items // 2)), f"{log.num_items:,} items"
        ),
        "pretrain": lambda log, own: own.pretrained(log),
        "epochs": lambda log, own: _epochs(log, own),
        "validate_every": lambda log, own: _validate_every(log, own),
        "validation_users": lambda log, own: AutomaticChoice(
            max(LEAST_VALIDATION, log.num_users // 10) if log.has_validation else None, f"{log.num_users:,} users"
        ),
    }

    def num_examples(self, log: LogStatistics) -> int:
        """How many examples an epoch has."""
        return log.num_targets

    def pretrained(self, log: LogStatistics) -> AutomaticChoice:
        """Epochs of skip-gram that item vectors start from."""
        if self.tables == "sharded":
            return AutomaticChoice(0, "skip-gram has whole tables")
        if log.num_events > PRETRAINED_EVENTS:
            return AutomaticChoice(0, f"{log.num_events:,} events")
        return log.skip_gram_epochs(least=20)


def _updates(log: LogStatistics, own: NextItemConfig) -> float:
    """The updates of an epoch."""
    return max(1, own.num_examples(log)) / own.batch_size


def _epochs(log: LogStatistics, own: NextItemConfig) -> AutomaticChoice:
    if log.has_validation:
        return AutomaticChoice(200, "validation stops sooner")
    epochs = round(STEPS / _updates(log, own))
    return AutomaticChoice(min(200, max(5, epochs)), f"some {STEPS:,} updates, without a validation part")


def _validate_every(log: LogStatistics, own: NextItemConfig) -> AutomaticChoice:
    updates = _updates(log, own)
    every = min(round(BETWEEN / updates), own.epochs // 10)
    return AutomaticChoice(max(1, every), f"an epoch has {math.ceil(updates):,} updates")


def _recent_length(log: LogStatistics, own: "RecentItemsConfig") -> AutomaticChoice:
    if own.recency == 1:
        return AutomaticChoice(50, "all items weigh alike")
    length = min(50, math.ceil(math.log(FORGOTTEN) / math.log(own.recency)))
    return AutomaticChoice(length, f"items before weigh {own.recency**length:.1g} of all, by recency {own.recency:g}")


@configclass(group="Model")
class RecentItemsConfig(NextItemConfig):
    """The arguments of models that see a mean of a history, in which recent items weigh more.

    Example:
        >>> RecentItemsConfig().recency
        0.6
    """

    max_length: Annotated[int, Auto("by recency")] = AUTO
    recency: Recency = RECENCY
    settings_before: ClassVar[Mapping[str, Any]] = {"recency": 1.0}
    rules: ClassVar[Rules] = {"max_length": _recent_length, **NextItemConfig.rules}
