"""The state of a KnownLog, as files of models hold it: written, and checked when it is read."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq.logs.identifiers import Identifiers
from logq.logs.storage import features_from_state, features_state
from logq.recommenders.events.known_log import KnownLog
from logq.training.estimator import prefixed, with_prefix

__all__ = ["known_log_from_state", "known_log_state"]


def known_log_state(known: KnownLog) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What a file holds: a description, as JSON can hold it, and arrays.

    Example:
        >>> from logq.logs import Interactions
        >>> known = KnownLog.of(Interactions.from_arrays(["ann", "bob"], ["tea", "cup"]))
        >>> known_log_from_state(*known_log_state(known))
        KnownLog(2 users, 2 items, 2 events)
    """
    small = known.num_items <= np.iinfo(np.int32).max
    tensors: dict[str, NDArray[Any]] = {
        "seen.items": known.items.astype(np.int32 if small else np.int64, copy=False),
        "seen.offsets": known.offsets,
        **prefixed("users", known.user_ids.state()),
        **prefixed("items", known.item_ids.state()),
    }
    if known.times is not None:
        tensors["seen.times"] = known.times
    if known.counts is not None:
        tensors["seen.counts"] = known.counts
    described: dict[str, Any] = {"users": known.num_users, "items": known.num_items, "features": {}}
    if known.added:
        described["added"] = known.added
    for name, features in (("user_features", known.user_features), ("item_features", known.item_features)):
        if features is not None:
            arrays, description = features_state(features)
            tensors |= prefixed(name, arrays)
            described["features"][name] = description
    return described, tensors


def known_log_from_state(described: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> KnownLog:
    """Make it of what `known_log_state` gave.

    Raises:
        KeyError, ValueError: arrays are missing, or do not belong together.
    """
    users, items = (Identifiers.from_state(with_prefix(name, tensors)) for name in ("users", "items"))
    codes, offsets = tensors["seen.items"], tensors["seen.offsets"]
    if codes.ndim != 1 or codes.dtype.kind != "i" or offsets.dtype != np.int64 or offsets.shape != (len(users) + 1,):
        raise ValueError("expected 'seen.items' (N,) and 'seen.offsets' (U + 1,)")
    if offsets[0] != 0 or offsets[-1] != len(codes) or (np.diff(offsets) < 0).any():
        raise ValueError("expected 'seen.offsets' that rise from 0 to the number of events")
    if len(codes) and (codes.min() < 0 or codes.max() >= len(items)):
        raise ValueError(f"expected codes of {len(items)} items in 'seen.items'")
    times, counts = tensors.get("seen.times"), tensors.get("seen.counts")
    if times is not None and (times.shape != codes.shape or times.dtype.kind not in "if"):
        raise ValueError("expected 'seen.times' (N,), one for each event")
    if counts is not None and (counts.shape != (len(items),) or counts.dtype != np.int64 or (counts < 0).any()):
        raise ValueError("expected 'seen.counts' (C,) int64, >= 0")
    features: dict[str, Any] = {"user_features": None, "item_features": None}
    for name, size in (("user_features", len(users)), ("item_features", len(items))):
        if name in described["features"]:
            found = features_from_state(with_prefix(name, tensors), described["features"][name])
            if len(found) != size:
                raise ValueError(f"expected {size} rows in {name}, got {len(found)}")
            features[name] = found
    added = described.get("added", 0)
    if not isinstance(added, int) or not 0 <= added < len(items):
        raise ValueError(f"expected 'added' of {len(items)} items, got {added!r}")
    return KnownLog(users, items, codes.astype(np.int64), offsets, **features, times=times, counts=counts, added=added)
