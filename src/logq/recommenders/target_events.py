"""TargetEvents: what a log says about the events that are targets: their weights, and the items that follow them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim
from logq.logs.column_names import unknown_column
from logq.logs.examples import Examples
from logq.logs.interactions import Interactions

__all__ = ["TargetEvents", "target_counts"]

ROWS = 8192
"""Examples that are counted at a time."""


@dataclass(frozen=True)
class TargetEvents:
    """Adds to a batch what a loss needs of the events that are its targets.

    With `future` = K, the target of a query is one of K: the event e that came next, and those of the same user after
    it, e + d for d = 0 .. K-1. The weight of each is

        w(e + d) decay^d

    w being a column of the log, or 1. Nothing is stored for each event: a batch looks up what it needs.

    Args:
        log: that the examples are of.
        weights: (N,) of the events, or None.
        future: K.
        decay: of the weights, from one target to the next.

    Example:
        >>> from logq.logs import Sequences
        >>> log = Interactions.from_arrays([1, 1, 1], [5, 6, 7])
        >>> batch = TargetEvents(log, future=2, decay=0.5).of(Sequences(log, max_length=5).batch([0]))
        >>> batch["targets"].tolist(), batch["future"].tolist(), batch["weight"].tolist()
        ([[1, 2]], [[[2], [-1]]], [[[1.0, 0.5], [1.0, 0.5]]])
    """

    log: Interactions
    weights: NDArray[np.float32] | None = None
    future: int = 1
    decay: float = 1.0

    @classmethod
    def read(cls, log: Interactions, weights: str | None, future: int, decay: float) -> "TargetEvents":
        """The same from the name of the column of weights.

        Raises:
            ArgumentError: the log has no such column of numbers, or one is negative or not finite, or all are 0.
        """
        return cls(log, None if weights is None else _weights(log, weights), future, decay)

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to add."""
        return self.weights is None and self.future == 1

    def of(self, batch: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """A batch with what its targets need, and without the numbers of their events.

        Args:
            batch: with "event" (B,) or "events" (B, L) beside its targets, unless there is nothing to add.

        Returns:
            The batch, with "future" (B, K-1) or (B, L, K-1) int64, -1 where there is none, and "weight" (B, K) or
            (B, L, K) float32, if there is something to add.

        Raises:
            ValueError: the batch does not say which events its targets are.
        """
        found = {name: values for name, values in batch.items() if name not in ("event", "events")}
        if self.is_plain:
            return found
        events = batch.get("events", batch.get("event"))
        if events is None:
            raise ValueError('weights and future need examples whose batches have "event" or "events"')
        steps = np.arange(self.future)
        rows = events[..., None] + steps
        ends = self.log.offsets[self.log.users[np.maximum(events, 0)].astype(np.int64) + 1]
        inside = (events >= 0)[..., None] & (rows < ends[..., None])
        rows = np.where(inside, rows, 0)
        weight = np.broadcast_to((self.decay**steps).astype(np.float32), rows.shape)
        found["weight"] = weight.copy() if self.weights is None else weight * self.weights[rows]
        if self.future > 1:
            found["future"] = np.where(inside, self.log.items[rows], -1)[..., 1:].astype(np.int64)
        return found


def targets_of(batch: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """All targets of a batch, (B,), (B, L), or with a last dimension of K, -1 where there is none.

    Example:
        >>> targets_of({"target": np.array([3]), "future": np.array([[4, -1]])}).tolist()
        [[3, 4, -1]]
    """
    targets = batch["targets"] if "targets" in batch else batch["target"]
    if "future" not in batch:
        return targets
    return np.concatenate([targets[..., None], np.where(targets[..., None] >= 0, batch["future"], -1)], axis=-1)


def target_counts(examples: Examples, num_items: int, events: TargetEvents | None = None) -> NDArray[np.int64]:
    """(C,) how often each item is a target.

    Example:
        >>> from logq.logs import NextItems
        >>> log = Interactions.from_arrays([1, 1, 1], [5, 7, 7])
        >>> examples = NextItems(log, 2)
        >>> target_counts(examples, 2).tolist(), target_counts(examples, 2, TargetEvents(log, future=2)).tolist()
        ([2, 0], [3, 0])
    """
    counts = np.zeros(num_items, dtype=np.int64)
    for start in range(0, len(examples), ROWS):
        batch = examples.batch(np.arange(start, min(len(examples), start + ROWS)))
        targets = targets_of(batch if events is None else events.of(batch))
        counts += np.bincount(targets[targets >= 0], minlength=num_items)
    return counts


def _weights(log: Interactions, name: str) -> NDArray[np.float32]:
    if name == "label" and name not in log.columns and log.labels is not None:
        column = np.asarray(log.labels)
    elif name not in log.columns:
        raise unknown_column("weights", name, log.columns)
    else:
        column = np.asarray(log.columns[name])
    if name in log.column_ids:
        raise ArgumentError("weights", "a column of numbers", Verbatim(f"{name!r}, which has names"))
    weights = column.astype(np.float32)
    wrong = ~((weights >= 0) & np.isfinite(weights))
    if wrong.any():
        at = int(wrong.argmax())
        got = Verbatim(f"{column[at]} for item {log.item_ids.keys_of(log.items[at : at + 1]).tolist()[0]!r}")
        raise ArgumentError("weights", f"finite numbers >= 0 in the column {name!r}", got)
    if not weights.any():
        raise ArgumentError("weights", f"a number above 0 in the column {name!r}", Verbatim("none"))
    return weights
