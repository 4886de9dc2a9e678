"""A neural recommender for a service without torch: its query tower as ONNX, and all else that an answer needs.

query.onnx      the tower: histories, and what else the model reads, to queries
items.npy       (C, D') float32, what queries are compared with by inner product
item_ids.json   the ids of the items, row by row
titles.json     what they are called, where that is known
service.json    the inputs of the tower, the longest history, and the codes of features and of the context
user_ids.json   only where the model has a vector of each user
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from logq._files import atomic_write
from logq.exports.vector_arrays import write_array, write_list
from logq.logs.feature_values import Buckets, Coding

__all__ = ["write_query_service"]


def write_query_service(model: Any, folder: Path, titles: Sequence[str] | None = None) -> None:
    """Write the folder of a service.

    Raises:
        ModuleNotFoundError: the extra `onnx` is not installed.
        ValueError: the model is too large for ONNX, or this process has a part of it alone.
    """
    inputs: list[str] = model.export(folder / "query.onnx")
    write_array(folder / "items.npy", model.search_vectors)
    write_list(folder / "item_ids.json", model.item_ids.tolist())
    if titles is not None:
        write_list(folder / "titles.json", list(titles))
    if "user" in inputs:
        write_list(folder / "user_ids.json", model.known.user_ids.keys.tolist())
    about: dict[str, Any] = {
        "model": type(model).__name__,
        "inputs": inputs,
        "max_length": model.max_length,
        "codes": {name: _codes(model, name) for name in inputs if name.startswith(("user.", "context."))},
    }
    with atomic_write(folder / "service.json") as file:
        file.write((json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))


def _codes(model: Any, column: str) -> dict[str, Any]:
    """How values of a column become codes; 0 is for those that are not there."""
    kind, _, name = column.partition(".")
    if kind == "context":
        ids = model._context.ids[name].keys.tolist()
        return {"values": {str(value): int(model._context.known[name][code + 1]) for code, value in enumerate(ids)}}
    features = model.known.user_features
    coding: Coding = features.codings[name]
    width: Mapping[str, int] = features.widths
    several = {"width": width[name]} if name in width else {}
    if isinstance(coding, Buckets):
        return {"edges": np.asarray(coding.edges).tolist(), **several}
    return {"values": {str(value): code + 1 for code, value in enumerate(coding.known.keys.tolist())}, **several}
