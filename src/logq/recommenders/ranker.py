"""Ranker: what is asked of a recommender to measure it."""

from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from logq.data.logs import Interactions
from logq.recommenders.histories import Histories
from logq.recommenders.seen import Seen

__all__ = ["Ranker"]


class Ranker(Protocol):
    """Ranks all items for users.

    Example:
        See logq.recommenders.Recommender, which is one.
    """

    needs_history: ClassVar[bool]
    """Whether a user must have done something to be answered."""

    seen: Seen
    """What it was fitted on."""

    def rank_all(
        self,
        request: Histories,
        k: int,
        exclude_seen: bool,
        allow: NDArray[np.bool_] | None,
        progress: bool | None = False,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and codes (n, k) of the best items of users, -1 where there are fewer."""
        ...

    def context_at(self, events: Interactions, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """What is known of the moments of some events, by column: the codes (n,) that Histories takes as `context`."""
        ...
