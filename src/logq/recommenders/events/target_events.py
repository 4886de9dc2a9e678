"""TargetEvents: what a log says about the events that are targets: their weights, what follows, what is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim
from logq._warnings import warn
from logq.logs.column_names import unknown_column
from logq.logs.examples import Examples
from logq.logs.interactions import Interactions
from logq.logs.next_items import NextItems
from logq.recommenders.events.augmentation import Augmentation
from logq.training.checkpoint import fingerprint

__all__ = ["TargetEvents", "fingerprint_of", "target_counts"]

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
        extra: (values, E) items for each value of a column, which are negatives of its events, -1 for none; or None.
        extra_codes: (N,) the value of each event.

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
    extra: NDArray[np.int64] | None = None
    extra_codes: NDArray[Any] | None = None

    @classmethod
    def read(
        cls, log: Interactions, weights: str | None, future: int, decay: float, extra: str | None = None
    ) -> "TargetEvents":
        """The same from the names of the columns of weights and of extra negatives.

        Raises:
            ArgumentError: the log has no such column; a weight is not a number, negative or not finite, or all are 0;
                or no extra negative is an item of the log.
        """
        negatives = (None, None) if extra is None else _lists_of_items(log, extra)
        return cls(log, None if weights is None else _weights(log, weights), future, decay, *negatives)

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to add."""
        return self.weights is None and self.future == 1 and self.extra is None

    def of(self, batch: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """A batch with what its targets need, and without the numbers of their events.

        Args:
            batch: with "event" (B,) or "events" (B, L) beside its targets, unless there is nothing to add.

        Returns:
            The batch, with "future" (B, K-1) or (B, L, K-1) int64, -1 where there is none, "weight" (B, K) or (B, L, K)
            float32, and "extra" (B, K, E) or (B, L, K, E) int64, as far as there is something to add.

        Raises:
            ValueError: the batch does not say which events its targets are.
        """
        found = {name: values for name, values in batch.items() if name not in ("event", "events")}
        if self.is_plain:
            return found
        events = batch.get("events", batch.get("event"))
        if events is None:
            raise ValueError('weights, future and extra_negatives need examples whose batches have "event" or "events"')
        steps = np.arange(self.future)
        rows = events[..., None] + steps
        ends = self.log.offsets[self.log.users[np.maximum(events, 0)].astype(np.int64) + 1]
        inside = (events >= 0)[..., None] & (rows < ends[..., None])
        rows = np.where(inside, rows, 0)
        if self.weights is not None or self.future > 1:
            weight = np.broadcast_to((self.decay**steps).astype(np.float32), rows.shape)
            found["weight"] = weight.copy() if self.weights is None else weight * self.weights[rows]
        if self.extra is not None and self.extra_codes is not None:
            found["extra"] = np.where(inside[..., None], self.extra[self.extra_codes[rows]], -1)
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


def target_counts(
    examples: Examples,
    num_items: int,
    events: TargetEvents | None = None,
    augmentation: Augmentation | None = None,
) -> NDArray[np.float64]:
    """(C,) how often each item is a target of an epoch; where an augmentation leaves some out, how often in the mean.

    Example:
        >>> from logq.logs import NextItems
        >>> log = Interactions.from_arrays([1, 1, 1], [5, 7, 7])
        >>> examples = NextItems(log, 2)
        >>> target_counts(examples, 2).tolist(), target_counts(examples, 2, TargetEvents(log, future=2)).tolist()
        ([2.0, 0.0], [3.0, 0.0])
    """
    is_plain = events is None or events.is_plain  # histories may change: the target of one stays
    if isinstance(examples, NextItems) and is_plain:
        return examples.target_counts().astype(np.float64)
    counts = np.zeros(num_items)
    for start in range(0, len(examples), ROWS):
        batch = examples.batch(np.arange(start, min(len(examples), start + ROWS)))
        chances = None if augmentation is None else augmentation.target_chances(batch)
        targets = targets_of(batch if events is None else events.of(batch))
        if chances is not None:
            chances = np.broadcast_to(chances if targets.ndim == 2 else chances[..., None], targets.shape)[targets >= 0]
        counts += np.bincount(targets[targets >= 0], chances, minlength=num_items)
    return counts


def _lists_of_items(log: Interactions, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The items that each value of a column names, (values, E) codes with -1 behind them, and the value of each event.

    A column of numbers has one item for each event, or none where it is not the id of one.
    """
    if name not in log.columns:
        raise unknown_column("extra_negatives", name, log.columns)
    column = np.asarray(log.columns[name])
    if name in log.column_ids:
        values, codes = ["", *map(str, log.column_ids[name].keys.tolist())], column
    else:
        numbers, codes = np.unique(column, return_inverse=True)
        values = [str(int(n)) if isinstance(n, int) or n.is_integer() else "" for n in numbers.tolist()]
    known = {str(key): code for code, key in enumerate(log.item_ids.keys.tolist())}
    words = [value.split() for value in values]
    lists = [[known[word] for word in of_value if word in known] for of_value in words]
    if name in log.column_ids and not any(words):
        raise ArgumentError("extra_negatives", f"ids of items in the column {name!r}", Verbatim("none in any event"))
    if not any(lists):
        got = next(filter(None, values), "" if name in log.column_ids else column[0].item())
        raise ArgumentError("extra_negatives", f"ids of items, with spaces between, in the column {name!r}", got)
    events = np.bincount(codes.reshape(-1), minlength=len(values))
    total, left = (int(events @ [len(of_value) for of_value in several]) for several in (words, lists))
    if left < total:
        unknown = next(word for word in chain.from_iterable(words) if word not in known)
        warn(
            f"extra_negatives: left out {total - left:,} of {total:,} ids in the column {name!r} unknown to the log, "
            f"such as {unknown!r}"
        )
    table = np.full((len(lists), max(map(len, lists))), -1, dtype=np.int64)
    for row, items in zip(table, lists, strict=True):
        row[: len(items)] = items
    return table, codes.reshape(-1)


def fingerprint_of(log: Interactions, columns: Sequence[str]) -> str:
    """What tells the data of a fit from other data: the log, and the columns that are read; "label" are its labels.

    Example:
        >>> log = Interactions.from_arrays([1, 1], [5, 7])
        >>> fingerprint_of(log, []) == log.fingerprint()
        True
    """
    arrays = [np.asarray(log.columns[name]) for name in columns if name in log.columns]
    if "label" in columns and "label" not in log.columns and log.labels is not None:
        arrays.append(np.asarray(log.labels))
    for name in columns:
        if name in log.column_ids:
            arrays += log.column_ids[name].state().values()
    return fingerprint([log.fingerprint()], *arrays) if arrays else log.fingerprint()


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
