"""Indexes of items in folders of their own, and that each was made from the model beside which it is used."""

import contextlib
import hashlib
import json
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logq._files import atomic_write
from logq.folders.folder_contents import FolderError, find_contents
from logq.retrieval.index_registry import INDEXES

if TYPE_CHECKING:
    from logq.folders.recommender_folders import RecommenderFolder
    from logq.retrieval import ItemIndex
    from logq.vectors import KeyedVectors

__all__ = [
    "MADE_OF",
    "check_index_folder",
    "compared_vectors",
    "hash_of_items",
    "hash_of_words",
    "load_index_of",
    "load_index_of_words",
    "writing_index",
]

MADE_OF = "made_of.json"
"""The file of an index that tells the vectors that it was made of."""


@contextlib.contextmanager
def writing_index(folder: Path) -> Generator[dict[str, Any], None, None]:
    """A block that saves an index in a folder; what it puts into the dict tells later what the index was made of.

    An index that the block does not finish tells nothing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, writing_index(Path(folder)) as about:
        ...     about["kind"] = "exact"
    """
    (folder / MADE_OF).unlink(missing_ok=True)
    about: dict[str, Any] = {}
    yield about
    with atomic_write(folder / MADE_OF) as file:
        file.write(json.dumps(about).encode())


def load_index_of(found: "RecommenderFolder", folder: Path, metric: str | None = None) -> "ItemIndex":
    """Load an index, and check that it was made from this model.

    Args:
        found: the model.
        folder: of the index.
        metric: that it has to compare by; None takes any.

    Raises:
        FolderError: there is none, it was made of another, or compares by something else.
    """
    made = _opened(folder)
    said = _made_of(folder)
    by_rows = "rows" in said  # of an index of shards
    expected = _fingerprint(found, made.metric) if by_rows else hash_of_items(found)
    _check_made(folder, said.get("rows" if by_rows else "vectors"), expected, made.metric, metric)
    return made


def load_index_of_words(known: "KeyedVectors", folder: Path, metric: str | None = None) -> "ItemIndex":
    """Load an index of word vectors, and check that it was made from these; one that Python saved does not tell.

    Args:
        known: the words.
        folder: of the index.
        metric: that it has to compare by; None takes any.

    Raises:
        FolderError: there is none, it was made of other vectors, or compares by something else.
    """
    made, expected = _opened(folder), hash_of_words(known)
    of = _made_of(folder).get("vectors") if (folder / MADE_OF).exists() else expected
    _check_made(folder, of, expected, made.metric, metric)
    return made


def check_index_folder(folder: Path) -> None:
    """Check that a folder has an index and that its library is there, before the model is loaded that it is of.

    Raises:
        FolderError: there is none.
        ModuleNotFoundError: the library is not installed; the message says how to.
    """
    if not folder.is_dir():
        raise FolderError(f"{folder}: there is no such index; `logq index` makes one")
    there = find_contents(folder)
    if there is None or there.family != "index":
        raise FolderError(
            f"{folder}: expected an index of items, found {'none' if there is None else there.name}; "
            "`logq index MODEL -o INDEX` makes one"
        )
    kind = _made_of(folder).get("kind")
    if kind in INDEXES:
        INDEXES[kind].check_installed()


def _opened(folder: Path) -> "ItemIndex":
    check_index_folder(folder)
    from logq.retrieval.index_kinds import load_index

    return load_index(folder)


def _made_of(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / MADE_OF).read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def _check_made(folder: Path, of: Any, expected: str, by: str, metric: str | None) -> None:
    if of != expected:
        raise FolderError(f"{folder}: this index was made from another model, or an earlier one; build it again")
    if metric not in (None, by):
        raise FolderError(
            f"{folder}: expected an index by {metric}, got one by {by}; "
            f"`logq index MODEL -o INDEX --metric {metric}` makes one"
        )


def compared_vectors(found: "RecommenderFolder", metric: str) -> Any:
    """The vectors of items that queries are compared with."""
    return found.model.item_vectors if metric == "cosine" else found.model.search_vectors


def hash_of_items(found: "RecommenderFolder") -> str:
    """What `made_of.json` says of the vectors."""
    return hashlib.blake2b(found.model.search_vectors.tobytes(), digest_size=16).hexdigest()


def hash_of_words(known: "KeyedVectors") -> str:
    """What `made_of.json` says of word vectors."""
    import numpy as np

    return hashlib.blake2b(np.asarray(known.vectors, dtype=np.float32).tobytes(), digest_size=16).hexdigest()


def _fingerprint(found: "RecommenderFolder", metric: str) -> str:
    import numpy as np

    from logq.retrieval.shard_indexes import fingerprint_of_rows

    vectors = compared_vectors(found, metric)
    return fingerprint_of_rows([(np.arange(len(vectors)), vectors)])
