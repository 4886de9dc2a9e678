"""Windows: what stands around each place of sessions or walks, as examples of a training."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq.arguments import check_int

__all__ = ["Windows"]


class Windows:
    """Examples of skip-gram: an item, and those around it in its sentence.

    A place i of the sentences sees the items at most r_i away, r_i uniform in 1..window, and what `also` says of it.
    Nothing but the sentences is stored: windows are gathered when a batch is asked for.

    Args:
        items: (n,) codes, one sentence after the other.
        offsets: (sentences + 1,) where each sentence begins, and n.
        window: the widest reach.
        seed: of the reaches.
        also: (n,) one more item that each place sees wherever it stands, -1 for none; None for none at all.

    Example:
        >>> windows = Windows(np.array([5, 6, 7, 8]), np.array([0, 3, 4]), window=1, seed=1)
        >>> len(windows), windows.batch([1])["history"].tolist(), windows.batch([1])["targets"].tolist()
        (3, [[6]], [[5, 7]])
    """

    def __init__(
        self,
        items: NDArray[np.integer[Any]],
        offsets: NDArray[np.integer[Any]],
        *,
        window: int,
        seed: int,
        also: NDArray[np.integer[Any]] | None = None,
    ) -> None:
        self.window = check_int("window", window)
        self._items = np.ascontiguousarray(items, dtype=np.int32)
        self._also = None if also is None else np.ascontiguousarray(also, dtype=np.int32)
        # How many items of the sentence stand before and behind a place, as far as the window goes.
        lengths = np.diff(offsets)
        place = np.arange(len(items)) - np.repeat(offsets[:-1], lengths)
        reach = np.random.default_rng(seed).integers(1, window, size=len(items), endpoint=True, dtype=np.int16)
        self._before = np.minimum(place, reach).astype(np.int16)
        self._behind = np.minimum(np.repeat(lengths, lengths) - 1 - place, reach).astype(np.int16)
        sees = (self._before > 0) | (self._behind > 0)
        if self._also is not None:
            sees |= self._also >= 0
        self._places = np.flatnonzero(sees)

    def __len__(self) -> int:
        """Return how many places see anything."""
        return len(self._places)

    def lengths(self) -> NDArray[np.int64]:
        """How long the history of each example is: one item."""
        return np.ones(len(self), dtype=np.int64)

    def batch(self, indices: ArrayLike) -> dict[str, NDArray[Any]]:
        """The examples of some numbers.

        Returns:
            "history" (B, 1), the items in the middle; "targets" (B, 2 window [+ 1]), those around, -1 where there is
            none; "user" (B,), -1.
        """
        places = self._places[np.asarray(indices)]
        steps = np.concatenate([np.arange(-self.window, 0), np.arange(1, self.window + 1)])
        inside = (steps >= -self._before[places, None]) & (steps <= self._behind[places, None])
        around = np.where(inside, self._items[np.where(inside, places[:, None] + steps, 0)], -1)
        columns = [around] if self._also is None else [around, self._also[places, None]]
        return {
            "history": self._items[places, None].astype(np.int64),
            "targets": np.concatenate(columns, axis=1).astype(np.int64),
            "user": np.full(len(places), -1, dtype=np.int64),
        }
