"""Indexes of items in folders of their own, and that each was made from the model beside which it is used."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq.folders.folder_contents import FolderError, find_contents

if TYPE_CHECKING:
    from logq.folders.recommender_folders import RecommenderFolder
    from logq.retrieval import ItemIndex

__all__ = ["MADE_OF", "compared_vectors", "hash_of_items", "load_index_of"]

MADE_OF = "made_of.json"
"""The file of an index that tells the vectors that it was made of."""


def load_index_of(found: "RecommenderFolder", folder: Path, metric: str | None = None) -> "ItemIndex":
    """Load an index, and check that it was made from this model.

    Args:
        found: the model.
        folder: of the index.
        metric: that it has to compare by; None takes any.

    Raises:
        FolderError: there is none, it was made of another, or compares by something else.
    """
    if not folder.is_dir():
        raise FolderError(f"{folder}: there is no such index; `logq index` makes one")
    there = find_contents(folder)
    if there is None or there.family != "index":
        raise FolderError(
            f"{folder}: expected an index of items, found {'none' if there is None else there.name}; "
            "`logq index MODEL -o INDEX` makes one"
        )
    from logq.retrieval.index_kinds import load_index

    made = load_index(folder)
    try:
        said = json.loads((folder / MADE_OF).read_bytes())
        of = said["rows"] if "rows" in said else said["vectors"]
        expected = _fingerprint(found, made.metric) if "rows" in said else hash_of_items(found)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        of, expected = None, ""
    if of != expected:
        raise FolderError(f"{folder}: this index was made from another model, or an earlier one; build it again")
    if metric not in (None, made.metric):
        raise FolderError(
            f"{folder}: expected an index by {metric}, got one by {made.metric}; "
            f"`logq index MODEL -o INDEX --metric {metric}` makes one"
        )
    return made


def compared_vectors(found: "RecommenderFolder", metric: str) -> Any:
    """The vectors of items that queries are compared with."""
    return found.model.item_vectors if metric == "cosine" else found.model.search_vectors


def hash_of_items(found: "RecommenderFolder") -> str:
    """What `made_of.json` says of the vectors."""
    return hashlib.blake2b(found.model.search_vectors.tobytes(), digest_size=16).hexdigest()


def _fingerprint(found: "RecommenderFolder", metric: str) -> str:
    import numpy as np

    from logq.retrieval.shard_indexes import fingerprint_of_rows

    vectors = compared_vectors(found, metric)
    return fingerprint_of_rows([(np.arange(len(vectors)), vectors)])
