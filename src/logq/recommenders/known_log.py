"""KnownLog: what a fitted recommender remembers from its log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, shown
from logq.logs.features import Features
from logq.logs.identifiers import Identifiers
from logq.logs.interactions import Interactions
from logq.logs.storage import features_from_state, features_state
from logq.recommenders.histories import Histories, gather_rows
from logq.training.estimator import prefixed, with_prefix

__all__ = ["KnownLog"]


@dataclass(frozen=True)
class KnownLog:
    """What a recommender remembers from the log that it was fitted on: users, items, and the history of each user.

    Args:
        user_ids: of U users.
        item_ids: of C items.
        items: codes of what all users did, one user after the other, oldest first.
        offsets: (U + 1,), user u did items[offsets[u] : offsets[u + 1]].
        user_features: of the users, or None.
        item_features: of the items, or None.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_arrays(["ann", "bob", "ann"], ["tea", "tea", "cup"])
        >>> KnownLog.of(log).histories(["ann"]).lengths
        array([2])
    """

    user_ids: Identifiers
    item_ids: Identifiers
    items: NDArray[np.int64]
    offsets: NDArray[np.int64]
    user_features: Features | None = None
    item_features: Features | None = None

    @classmethod
    def of(cls, log: Interactions) -> "KnownLog":
        """Take from a log what to remember."""
        items = np.ascontiguousarray(log.items, dtype=np.int64)
        offsets = np.ascontiguousarray(log.offsets, dtype=np.int64)
        return cls(log.user_ids, log.item_ids, items, offsets, log.user_features, log.item_features)

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """C."""
        return len(self.item_ids)

    def item_counts(self) -> NDArray[np.int64]:
        """(C,) number of events of each item."""
        return np.bincount(self.items, minlength=self.num_items)

    def user_codes(self, users: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
        """Codes of users.

        Raises:
            ValueError: one is not in the log.
        """
        return _known("users", self.user_ids, users, "give histories= for users that the log does not know")

    def item_codes(self, name: str, items: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
        """Codes of items, which the caller's argument `name` gives.

        Raises:
            ValueError: one is not in the log.
        """
        return _known(name, self.item_ids, items, "the model was fitted without it")

    def histories(self, users: Sequence[Any] | NDArray[Any] | None) -> Histories:
        """Histories of known users; None for all of them."""
        codes = np.arange(self.num_users) if users is None else self.user_codes(users)
        return self.of_codes(codes)

    def of_codes(self, users: NDArray[np.int64]) -> Histories:
        """Histories of users by their codes."""
        items, offsets = gather_rows(self.items, self.offsets, users)
        return Histories(items, offsets, users, self.features_of(users))

    def given(self, histories: Sequence[Iterable[Any]], users: NDArray[np.int64] | None) -> Histories:
        """Histories that a caller gave as raw ids, a list per row.

        Raises:
            ArgumentTypeError: a history is not a list of ids.
            ValueError: an item is not in the log.
        """
        rows: list[list[Any]] = []
        for row in histories:
            if isinstance(row, str | bytes) or not isinstance(row, Iterable):
                raise ArgumentTypeError("histories", "a list of item ids for each row", row)
            rows.append(list(row))
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        flat = [item for row in rows for item in row]
        codes = self.item_codes("histories", flat) if flat else np.zeros(0, dtype=np.int64)
        who = np.full(len(rows), -1, dtype=np.int64) if users is None else users
        return Histories(codes, offsets, who, self.features_of(who))

    def features_of(self, users: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Codes of the features of users, 0 (unknown) for those whom the log does not know."""
        found: dict[str, NDArray[np.int64]] = {}
        if self.user_features is not None:
            for name in self.user_features.names:
                values = np.asarray(self.user_features.values[name])[np.maximum(users, 0)].astype(np.int64)
                cold = users < 0
                if cold.any():
                    unknown = np.zeros_like(values[cold])
                    if unknown.ndim == 2:
                        unknown[:, 1:] = -1
                    values[cold] = unknown
                found[name] = values
        return found

    # ------------------------------------------------------------------------------------------------------- files

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What a file holds of it: a description, as JSON can hold it, and arrays."""
        small = self.num_items <= np.iinfo(np.int32).max
        tensors: dict[str, NDArray[Any]] = {
            "seen.items": self.items.astype(np.int32 if small else np.int64),
            "seen.offsets": self.offsets,
            **prefixed("users", self.user_ids.state()),
            **prefixed("items", self.item_ids.state()),
        }
        described: dict[str, Any] = {"users": self.num_users, "items": self.num_items, "features": {}}
        for name, features in (("user_features", self.user_features), ("item_features", self.item_features)):
            if features is not None:
                arrays, description = features_state(features)
                tensors |= prefixed(name, arrays)
                described["features"][name] = description
        return described, tensors

    @classmethod
    def from_state(cls, described: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> "KnownLog":
        """Make it of what `state` gave.

        Raises:
            KeyError, ValueError: arrays are missing, or do not belong together.
        """
        users, items = (Identifiers.from_state(with_prefix(name, tensors)) for name in ("users", "items"))
        codes, offsets = tensors["seen.items"], tensors["seen.offsets"]
        if (
            codes.ndim != 1
            or codes.dtype.kind != "i"
            or offsets.dtype != np.int64
            or offsets.shape != (len(users) + 1,)
        ):
            raise ValueError("expected 'seen.items' (N,) and 'seen.offsets' (U + 1,)")
        if offsets[0] != 0 or offsets[-1] != len(codes) or (np.diff(offsets) < 0).any():
            raise ValueError("expected 'seen.offsets' that rise from 0 to the number of events")
        if len(codes) and (codes.min() < 0 or codes.max() >= len(items)):
            raise ValueError(f"expected codes of {len(items)} items in 'seen.items'")
        features: dict[str, Features | None] = {"user_features": None, "item_features": None}
        for name, size in (("user_features", len(users)), ("item_features", len(items))):
            if name in described["features"]:
                found = features_from_state(with_prefix(name, tensors), described["features"][name])
                _check_features(name, found, size)
                features[name] = found
        return cls(users, items, codes.astype(np.int64), offsets, **features)


def _known(name: str, ids: Identifiers, raw: Iterable[Any] | NDArray[Any], hint: str) -> NDArray[np.int64]:
    rows: Any = list(raw) if isinstance(raw, set | frozenset) else raw  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    codes = ids.codes(rows, name)
    if (codes < 0).any():
        where = int((codes < 0).argmax())
        first = next(islice(iter(rows), where, None))  # by position, which [where] of a pandas series is not
        first = first.item() if isinstance(first, np.generic) else first
        raise ArgumentError(name, "ids of the log", Verbatim(f"{shown(first)} at position {where}"), hint)
    return codes


def _check_features(name: str, features: Features, size: int) -> None:
    for feature, values in features.values.items():
        if len(values) != size or values.dtype != np.int32 or values.ndim not in (1, 2):
            raise ValueError(
                f"expected {size} rows of int32 for {feature!r} in {name}, got {values.dtype} {values.shape}"
            )
        lowest = -1 if values.ndim == 2 else 0
        if size and (values.min() < lowest or values.max() >= features.sizes[feature]):
            raise ValueError(f"expected codes below {features.sizes[feature]} for {feature!r} in {name}")
