"""The arguments of SASRec, and the rules that choose those that are "auto" by the log."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, ClassVar

from logq._arguments import ArgumentError
from logq.recommenders.events.log_statistics import LogStatistics
from logq.recommenders.layers.layer_config import LAYERS, LayerConfig
from logq.recommenders.neural.neural_config import ContentConfig, Tied
from logq.recommenders.neural.next_item_config import NextItemConfig
from logq.training.automatic_settings import AutomaticChoice, Rules
from logq.training.config import AUTO, AtLeast, Auto, Help, OneOf, configclass

__all__ = ["SASRecConfig"]

MOST_PREFIX_ITEMS = 5_000_000
"""Items of the histories of all events up to which each event is an example of its own; half of it if much is cut."""

PREFIX_LENGTH = 50
"""Items of a history that is an example: each event pays for all of them."""

WINDOW_LENGTH = 200
"""Items of a window, at most."""

BATCH_TARGETS = 4096
"""Targets of a batch of windows."""

SEVERAL = 5
"""Events of an item, on average, from which on prefixes gain nothing by item vectors that skip-gram learned."""

MOST_WIDE_ITEMS = 1_000_000
"""Items up to which vectors are twice as wide where windows are learned from: 0.5 GB, and as much for each moment."""


@configclass(group="Model")
class SASRecConfig(LayerConfig, ContentConfig, NextItemConfig):
    """The arguments of SASRec.

    Example:
        >>> SASRecConfig(heads=2).max_length, SASRecConfig(max_length=20).max_length
        ('auto', 20)
    """

    dim: Annotated[int, Auto("by the examples")] = field(default=AUTO, kw_only=False)
    tied: Tied = True
    examples: Annotated[
        str,
        OneOf("positions", "prefixes"),
        Auto("by the length of histories"),
        Help(
            "Kind of training example",
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
    dropouts: ClassVar[tuple[float, float]] = (0.5, 0.2)
    hidden: Annotated[int | None, Auto("by the layer")] = AUTO
    positions: Annotated[str | None, Auto("by the examples")] = AUTO
    norm: Annotated[str | None, Auto("by the examples")] = AUTO
    init_std: Annotated[float | None, Auto("by the norm")] = AUTO
    batch_size: Annotated[int, Auto("by the examples"), Help("Windows or prefixes in a batch.", group="Training")] = (
        AUTO
    )
    pretrain: Annotated[int, Auto("by the examples")] = AUTO
    lr = 1e-3
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
        "examples": lambda log, own: _examples(log, own),
        "max_length": lambda log, own: _max_length(log, own),
        "dim": lambda log, own: _dim(log, own),
        "layer": lambda log, own: AutomaticChoice(_LAYERS[own.examples], f"examples are {own.examples}"),
        "positions": lambda log, own: _of_layer(own, "positions", _POSITIONS[own.examples]),
        "norm": lambda log, own: _of_layer(own, "norm", _NORMS[own.examples]),
        "init_std": lambda log, own: AutomaticChoice(0.02 if own.norm == "post" else None, f"norm is {own.norm}"),
        "hidden": lambda log, own: AutomaticChoice(
            4 * own.dim if own.layer == "attention" else None, f"layer {own.layer}"
        ),
        "batch_size": lambda log, own: _batch_size(log, own),
        **NextItemConfig.rules,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if "dim" not in self.auto and self.dim % self.heads:
            raise ArgumentError("heads", f"a divisor of dim = {self.dim}", self.heads)
        if self.sees_later_items and self.examples != "prefixes":
            named = f"with {self.sees_later_items}, which learns from prefixes"
            windows = {"overlap": "0", "last_only": "False"}  # by which automatic examples become positions
            for name, expected in ({"examples": "'prefixes'"} if self.examples == "positions" else windows).items():
                if getattr(self, name):
                    raise ArgumentError(name, f"{expected}, {named}", getattr(self, name))

    def num_examples(self, log: LogStatistics) -> int:
        """How many prefixes or windows there are."""
        return log.num_targets if self.examples == "prefixes" else log.num_windows(self.max_length)

    def pretrained(self, log: LogStatistics) -> AutomaticChoice:
        """None where examples are prefixes, of items with several events."""
        if self.examples == "prefixes" and log.events_per_item >= SEVERAL:
            return AutomaticChoice(0, f"examples are prefixes, and an item has {log.events_per_item:.3g} events")
        return super().pretrained(log)


_LAYERS = {"prefixes": "bsarec", "positions": "attention"}
_POSITIONS = {"prefixes": "end", "positions": "relative"}
_NORMS = {"prefixes": "post", "positions": "pre"}


def _dim(log: LogStatistics, own: SASRecConfig) -> AutomaticChoice:
    """Numbers of a vector, which each head has an equal part of."""
    wide = own.examples == "positions" and log.num_items <= MOST_WIDE_ITEMS
    dim = -(-(128 if wide else 64) // own.heads) * own.heads
    return AutomaticChoice(dim, f"examples are {own.examples}, of {log.num_items:,} items")


def _long_enough(log: LogStatistics) -> int:
    """A length that 99 % of histories do not exceed, in tens."""
    return max(10, -(-log.length_at(0.99) // 10) * 10)


def _max_length(log: LogStatistics, own: SASRecConfig) -> AutomaticChoice:
    most = PREFIX_LENGTH if own.examples == "prefixes" else WINDOW_LENGTH
    reason = f"99 % of users have at most {log.length_at(0.99):,} events; {most} at most for {own.examples}"
    return AutomaticChoice(min(most, _long_enough(log)), reason)


def _examples(log: LogStatistics, own: SASRecConfig) -> AutomaticChoice:
    is_chosen = "max_length" in own.auto  # after this
    items, most = log.prefix_items(PREFIX_LENGTH if is_chosen else own.max_length), MOST_PREFIX_ITEMS
    if is_chosen and items < 0.75 * log.prefix_items(WINDOW_LENGTH):
        most //= 2  # windows see more of each history
    if own.last_only or own.overlap:
        return AutomaticChoice("positions", "there are options of windows")
    if own.sees_later_items:
        return AutomaticChoice("prefixes", f"{own.sees_later_items} learns what follows last items")
    return AutomaticChoice("prefixes" if items <= most else "positions", f"histories of all events: {items:,} items")


def _of_layer(own: SASRecConfig, name: str, wanted: str) -> AutomaticChoice:
    """What is wanted, or what the layer takes instead."""
    takes = LAYERS[own.layer].options.get(name, (None,))
    return AutomaticChoice(wanted if wanted in takes else takes[0], f"examples are {own.examples}, layer {own.layer}")


def _batch_size(log: LogStatistics, own: SASRecConfig) -> AutomaticChoice:
    if own.examples == "prefixes":
        return AutomaticChoice(256, "examples are prefixes")
    length = max(1, log.num_targets // max(1, log.num_windows(own.max_length)))
    return AutomaticChoice(min(256, max(16, BATCH_TARGETS // length)), f"windows have {length:,} targets")
