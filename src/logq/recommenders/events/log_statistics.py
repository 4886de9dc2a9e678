"""LogStatistics: what the rules of automatic settings know of a log."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from logq.logs.interactions import Interactions
from logq.training.automatic_settings import AutomaticChoice

__all__ = ["LogStatistics"]

MET = 500
"""How often skip-gram is to meet an item, on average: with fewer its vectors stay near the small random ones."""

MOST_MET_EVENTS = 3 * 10**8
"""Events of all epochs that are made for the sake of rare items: a minute or two of one core."""


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

    def skip_gram_epochs(self, least: int) -> AutomaticChoice:
        """Epochs that are enough for models that learn items from their neighbors, however small the log is.

        Args:
            least: how many there are in a log with many events of each item.
        """
        wanted = min(MET / max(self.events_per_item, 0.5), MOST_MET_EVENTS / max(1, self.num_events))
        return AutomaticChoice(max(least, round(wanted)), f"an item has {self.events_per_item:.3g} events")

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
