"""The arguments of SASRec, and the rules that choose those that are "auto" by the log."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from logq._arguments import ArgumentError
from logq.recommenders.automatic_settings import AutomaticChoice, LogStatistics, Rules
from logq.recommenders.layers.layer_config import LAYERS, LayerConfig
from logq.recommenders.neural_config import ContentConfig, NeuralConfig, Tied
from logq.samplers.registry import SamplerChoice
from logq.training.config import AUTO, AtLeast, Auto, Help, OneOf, configclass

__all__ = ["SASRecConfig"]

MOST_PREFIX_ITEMS = 5_000_000
"""Items of the histories of all events up to which each event is an example of its own."""

SPARSE = 100
"""Events of an item, on average, below which a log says so little of each that a model needs much dropout."""

PRETRAINED_EVENTS = 10_000_000
"""Events up to which skip-gram over the log takes little beside the training itself."""

BATCH_TARGETS = 4096
"""Targets of a batch of windows."""

LEAST_VALIDATION = 1024
"""Users who are enough to tell epochs apart: their metrics go up and down together from one epoch to the next."""

BETWEEN = 200
"""Updates between validations, at the least: fewer of them tell patience nothing."""

STEPS = 10_000
"""Updates that are made where no validation part tells when to stop."""


@configclass(group="Model")
class SASRecConfig(LayerConfig, ContentConfig, NeuralConfig):
    """The arguments of SASRec.

    Example:
        >>> SASRecConfig(heads=2).max_length, SASRecConfig(max_length=20).max_length
        ('auto', 20)
    """

    tied: Tied = True
    examples: Annotated[
        str,
        OneOf("positions", "prefixes"),
        Auto("by the length of histories"),
        Help(
            "What is learned from",
            more="positions: windows of at most max_length items, with a target at each item. prefixes: for each event "
            "the items before it, with that event as the only target, so that a history is seen as it will be when "
            "asked about; some ten times the computation on histories of twenty items.",
            group="Training",
        ),
    ] = AUTO
    overlap: Annotated[
        int,
        AtLeast(0),
        Help("Number of events that a window repeats from the one before.", more="Less than max_length."),
    ] = 0
    last_only: Annotated[
        bool,
        Help(
            "Whether only the last window of each user is learned from, as in the paper.",
            typed="Learn only from the last window of each user.",
        ),
    ] = False
    layer: Annotated[str, Auto("by the examples")] = AUTO
    max_length: Annotated[int, Auto("by the length of histories")] = AUTO
    dropout: Annotated[float, Auto("by the number of events of an item")] = AUTO
    hidden: Annotated[int | None, Auto("by the layer")] = AUTO
    positions: Annotated[str | None, Auto("by the examples")] = AUTO
    norm: Annotated[str | None, Auto("by the examples")] = AUTO
    init_std: Annotated[float | None, Auto("by the norm")] = AUTO
    sampler: Annotated[SamplerChoice | None, Help(default="uniform")] = None
    num_sampled: Annotated[int, Auto("by the number of items")] = AUTO
    batch_size: Annotated[int, Auto("by the examples"), Help("Windows or prefixes in a batch.", group="Training")] = (
        AUTO
    )
    pretrain: Annotated[int, Auto("by the examples")] = AUTO
    epochs: Annotated[int, Auto("by the number of events")] = AUTO
    validate_every: Annotated[int, Auto("by the updates of an epoch")] = AUTO
    validation_users: Annotated[int | None, Auto("by the number of users")] = AUTO
    ema = 0.999
    cooldown = 0.25
    patience = 5
    default_sampler: ClassVar[str] = "uniform"
    settings_before: ClassVar[Mapping[str, Any]] = {
        "layer": "attention",
        "examples": "positions",
        "positions": "start",
        "norm": "pre",
        "init_std": None,
        "validation_users": None,
        "validate_every": 1,
        "cooldown": 0.0,
    }

    rules: ClassVar[Rules] = {
        "max_length": lambda log, own: AutomaticChoice(
            min(200, max(10, -(-log.length_at(0.99) // 10) * 10)),
            f"99 % of users have at most {log.length_at(0.99):,} events; 200 at most",
        ),
        "examples": lambda log, own: _examples(log, own),
        "layer": lambda log, own: AutomaticChoice(_LAYERS[own.examples], f"examples are {own.examples}"),
        "positions": lambda log, own: _of_layer(own, "positions", _POSITIONS[own.examples]),
        "norm": lambda log, own: _of_layer(own, "norm", _NORMS[own.examples]),
        "init_std": lambda log, own: AutomaticChoice(0.02 if own.norm == "post" else None, f"norm is {own.norm}"),
        "dropout": lambda log, own: AutomaticChoice(
            0.5 if log.events_per_item < SPARSE else 0.2, f"an item has {log.events_per_item:.3g} events"
        ),
        "hidden": lambda log, own: AutomaticChoice(
            4 * own.dim if own.layer == "attention" else None, f"layer {own.layer}"
        ),
        "num_sampled": lambda log, own: AutomaticChoice(
            min(2048, max(1, log.num_items // 2)), f"{log.num_items:,} items"
        ),
        "pretrain": lambda log, own: _pretrain(log, own),
        "batch_size": lambda log, own: _batch_size(log, own),
        "epochs": lambda log, own: _epochs(log, own),
        "validate_every": lambda log, own: _validate_every(log, own),
        "validation_users": lambda log, own: AutomaticChoice(
            max(LEAST_VALIDATION, log.num_users // 10) if log.has_validation else None, f"{log.num_users:,} users"
        ),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads:
            raise ArgumentError("heads", f"a divisor of dim = {self.dim}", self.heads)
        if self.sees_later_items and self.examples != "prefixes":
            named = f"with {self.sees_later_items}, which learns from prefixes"
            windows = {"overlap": "0", "last_only": "False"}  # by which automatic examples become positions
            for name, expected in ({"examples": "'prefixes'"} if self.examples == "positions" else windows).items():
                if getattr(self, name):
                    raise ArgumentError(name, f"{expected}, {named}", getattr(self, name))


_LAYERS = {"prefixes": "bsarec", "positions": "attention"}
_POSITIONS = {"prefixes": "end", "positions": "relative"}
_NORMS = {"prefixes": "post", "positions": "pre"}


def _examples(log: LogStatistics, own: SASRecConfig) -> AutomaticChoice:
    items = log.prefix_items(own.max_length)
    if own.last_only or own.overlap:
        return AutomaticChoice("positions", "there are options of windows")
    if own.sees_later_items:
        return AutomaticChoice("prefixes", f"{own.sees_later_items} learns what follows last items")
    return AutomaticChoice(
        "prefixes" if items <= MOST_PREFIX_ITEMS else "positions", f"histories of all events: {items:,} items"
    )


def _of_layer(own: SASRecConfig, name: str, wanted: str) -> AutomaticChoice:
    """What is wanted, or what the layer takes instead."""
    takes = LAYERS[own.layer].options.get(name, (None,))
    return AutomaticChoice(wanted if wanted in takes else takes[0], f"examples are {own.examples}, layer {own.layer}")


def _pretrain(log: LogStatistics, own: SASRecConfig) -> AutomaticChoice:
    if own.tables == "sharded":
        return AutomaticChoice(0, "no process has whole tables")
    fits = log.num_events <= PRETRAINED_EVENTS
    reason = f"examples are {own.examples}" if fits else f"{log.num_events:,} events"
    return AutomaticChoice(20 if fits and own.examples == "positions" else 0, reason)


def _batch_size(log: LogStatistics, own: SASRecConfig) -> AutomaticChoice:
    if own.examples == "prefixes":
        return AutomaticChoice(256, "examples are prefixes")
    length = max(1, log.num_targets // max(1, log.num_windows(own.max_length)))
    return AutomaticChoice(min(256, max(16, BATCH_TARGETS // length)), f"windows have {length:,} targets")


def _updates(log: LogStatistics, own: SASRecConfig) -> float:
    """The updates of an epoch."""
    number = log.num_targets if own.examples == "prefixes" else log.num_windows(own.max_length)
    return max(1, number) / own.batch_size


def _epochs(log: LogStatistics, own: SASRecConfig) -> AutomaticChoice:
    if log.has_validation:
        return AutomaticChoice(200, "validation stops sooner")
    epochs = round(STEPS / _updates(log, own))
    return AutomaticChoice(min(200, max(5, epochs)), f"some {STEPS:,} updates, without a validation part")


def _validate_every(log: LogStatistics, own: SASRecConfig) -> AutomaticChoice:
    updates = _updates(log, own)
    every = min(round(BETWEEN / updates), own.epochs // 10)
    return AutomaticChoice(max(1, every), f"an epoch has {math.ceil(updates):,} updates")
