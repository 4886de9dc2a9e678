"""Recommenders to files and back: what they learned, what they remember of their log, and how they were made."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from logq._model_file import FILE, SUMMARY, Stored, read_stored, write_stored
from logq.logs import Features, Identifiers
from logq.logs.storage import features_from_state, features_state
from logq.recommenders.histories import Seen

if TYPE_CHECKING:
    from logq.recommenders.recommender import Recommender

__all__ = ["FORMAT", "load_recommender", "save_recommender"]

FORMAT = "logq.recommender"


def save_recommender(model: "Recommender", folder: str | os.PathLike[str]) -> None:
    """Write a fitted recommender into a folder.

    Raises:
        OSError: a file cannot be written.
    """
    seen = model.seen
    small = seen.num_items <= np.iinfo(np.int32).max
    tensors: dict[str, NDArray[Any]] = {
        "seen.items": seen.items.astype(np.int32 if small else np.int64),
        "seen.offsets": seen.offsets,
        **_prefixed("users", seen.user_ids.state()),
        **_prefixed("items", seen.item_ids.state()),
        **_prefixed("learned", model.state()),
    }
    info: dict[str, Any] = {"settings": model.settings(), "facts": model.facts, "features": {}}
    for name, features in (("user_features", seen.user_features), ("item_features", seen.item_features)):
        if features is not None:
            arrays, description = features_state(features)
            tensors |= _prefixed(name, arrays)
            info["features"][name] = description
    info |= {"users": seen.num_users, "items": seen.num_items}
    home = Path(folder)
    write_stored(home / FILE, Stored(type(model).__name__, info, tensors), format=FORMAT, summary=home / SUMMARY)


def load_recommender(
    wanted: "type[Recommender]", folder: str | os.PathLike[str], device: torch.device | str
) -> "Recommender":
    """Read what `save_recommender` wrote.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, changed, or of another version or class.
    """
    path = Path(folder) / FILE
    stored = read_stored(path, format=FORMAT)
    kinds = {kind.__name__: kind for kind in _kinds(wanted)}
    if stored.kind not in kinds:
        expected = "a recommender" if len(kinds) > 1 else f"a {wanted.__name__}"
        raise ValueError(f"{path}: expected {expected}, the file holds a {stored.kind}")
    try:
        settings = dict(stored.info["settings"])
        if settings.get("sampler") == "custom":
            settings["sampler"] = None  # it was a function; answers do not need it
        model = kinds[stored.kind](**settings, device=device)
        tensors = stored.tensors
        model.seen = _seen(tensors, stored.info)
        model.facts = dict(stored.info["facts"])
        model.restore(_part(tensors, "learned"))
    except KeyError as error:
        raise ValueError(f"{path}: the file was changed, it lacks {error}") from None
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{path}: the file was changed, {error}") from None
    return model


def _seen(tensors: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Seen:
    users, items = (Identifiers.from_state(_part(tensors, name)) for name in ("users", "items"))
    codes, offsets = tensors["seen.items"], tensors["seen.offsets"]
    if codes.ndim != 1 or codes.dtype.kind != "i" or offsets.dtype != np.int64 or offsets.shape != (len(users) + 1,):
        raise ValueError("expected 'seen.items' (N,) and 'seen.offsets' (U + 1,)")
    if offsets[0] != 0 or offsets[-1] != len(codes) or (np.diff(offsets) < 0).any():
        raise ValueError("expected 'seen.offsets' that rise from 0 to the number of events")
    if len(codes) and (codes.min() < 0 or codes.max() >= len(items)):
        raise ValueError(f"expected codes of {len(items)} items in 'seen.items'")
    features: dict[str, Features | None] = {"user_features": None, "item_features": None}
    for name, size in (("user_features", len(users)), ("item_features", len(items))):
        if name in info["features"]:
            found = features_from_state(_part(tensors, name), info["features"][name])
            _check_features(name, found, size)
            features[name] = found
    return Seen(users, items, codes.astype(np.int64), offsets, **features)


def _prefixed(name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{name}/{key}": array for key, array in arrays.items()}


def _part(tensors: Mapping[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    return {key[len(name) + 1 :]: array for key, array in tensors.items() if key.startswith(f"{name}/")}


def _kinds(wanted: "type[Recommender]") -> "list[type[Recommender]]":
    return [wanted, *(kind for inner in wanted.__subclasses__() for kind in _kinds(inner))]


def _check_features(name: str, features: Features, size: int) -> None:
    for feature, values in features.values.items():
        if len(values) != size or values.dtype != np.int32 or values.ndim not in (1, 2):
            raise ValueError(
                f"expected {size} rows of int32 for {feature!r} in {name}, got {values.dtype} {values.shape}"
            )
        lowest = -1 if values.ndim == 2 else 0
        if size and (values.min() < lowest or values.max() >= features.sizes[feature]):
            raise ValueError(f"expected codes below {features.sizes[feature]} for {feature!r} in {name}")
