"""Automatic settings: what a fit chooses from statistics of its log, where a setting is "auto"."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq.logs.interactions import Interactions

__all__ = ["AutomaticChoice", "LogStatistics", "Rules", "choose"]


class AutomaticChoice(NamedTuple):
    """A value, and why it was chosen.

    Example:
        >>> AutomaticChoice(50, "99 % of histories have at most 43 events").value
        50
    """

    value: Any
    reason: str


@dataclass(frozen=True)
class LogStatistics:
    """What rules know of a log.

    Args:
        num_events, num_users, num_items: of the log; users and items without an event do not count.
        lengths: (num_users,) how many events each user has.
        has_validation: whether something is held out to stop by.

    Example:
        >>> log = Interactions.from_sessions([["tea", "cup", "tea"], ["cup"]])
        >>> statistics = LogStatistics.of(log)
        >>> statistics.events_per_item, statistics.num_targets, statistics.prefix_items(50)
        (2.0, 2, 3)
    """

    num_events: int
    num_users: int
    num_items: int
    lengths: NDArray[np.int64]
    has_validation: bool = False

    @classmethod
    def of(cls, log: Interactions, *, has_validation: bool = False) -> "LogStatistics":
        """The statistics of a log."""
        lengths = np.diff(log.offsets)
        counts = log.item_counts()
        users, items = np.count_nonzero(lengths), np.count_nonzero(counts)
        return cls(len(log), int(users), int(items), lengths[lengths > 0].astype(np.int64), has_validation)

    @property
    def events_per_item(self) -> float:
        """How many events an item has on average."""
        return self.num_events / max(1, self.num_items)

    @property
    def num_targets(self) -> int:
        """Events that follow another one of the same user."""
        return self.num_events - self.num_users

    def targets_at_most(self, each: int) -> int:
        """Those targets, where no user has more than so many."""
        return int(np.minimum(self.lengths - 1, each).sum())

    def length_at(self, share: float) -> int:
        """The length of history that this share of users do not exceed."""
        return int(np.quantile(self.lengths, share, method="inverted_cdf")) if len(self.lengths) else 0

    def num_windows(self, max_length: int) -> int:
        """How many windows of at most that many targets there are."""
        return int((-(-np.maximum(self.lengths - 1, 0) // max_length)).sum())

    def prefix_items(self, max_length: int) -> int:
        """Items of the histories of all targets, the last `max_length` of each: sum over targets of min(n, L)."""
        targets = np.maximum(self.lengths - 1, 0)
        short = np.minimum(targets, max_length)
        return int((short * (short + 1) // 2 + (targets - short) * max_length).sum())


Rule = Callable[[LogStatistics, Any], AutomaticChoice]
"""From the statistics, and the settings that are known by then, to a choice."""

Rules = Mapping[str, Rule]
"""A rule for each setting that may be "auto", in the order in which they are applied."""


def choose(rules: Rules, statistics: LogStatistics, settings: Any, asked: frozenset[str]) -> dict[str, AutomaticChoice]:
    """Set what is "auto", each by its rule, which sees what was chosen before.

    Args:
        rules: of all settings that may be "auto".
        statistics: of the log.
        settings: an object with the settings as attributes, which are replaced.
        asked: the names of those that are "auto".

    Returns:
        The choices made.

    Example:
        >>> class Settings:
        ...     epochs = "auto"
        >>> statistics = LogStatistics.of(Interactions.from_sessions([["tea", "cup"]]))
        >>> rules = {"epochs": lambda statistics, settings: AutomaticChoice(9, "there is one target")}
        >>> choose(rules, statistics, Settings, frozenset({"epochs"}))["epochs"].reason, Settings.epochs
        ('there is one target', 9)
    """
    found: dict[str, AutomaticChoice] = {}
    for name, rule in rules.items():
        if name in asked:
            found[name] = rule(statistics, settings)
            setattr(settings, name, found[name].value)
    return found
