"""Vectors of words or items as arrays of NumPy and as tables: for databases, notebooks and services of one's own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._files import atomic_write

__all__ = ["write_array", "write_arrays", "write_list", "write_projector"]


def write_arrays(model: Any, folder: Path, titles: Sequence[str] | None = None) -> None:
    """Write vectors as .npy, and what their rows are of as JSON.

    Of a recommender `items.npy` has what `recommend` ranks by, and `similar.npy` what `similar_items` compares.
    """
    if hasattr(model, "known"):
        write_array(folder / "items.npy", model.search_vectors)
        write_array(folder / "similar.npy", model.item_vectors)
        write_array(folder / "counts.npy", model.known.item_counts())
        write_list(folder / "item_ids.json", model.item_ids.tolist())
        if titles is not None:
            write_list(folder / "titles.json", list(titles))
        return
    vectors = words_of(model)
    write_array(folder / "vectors.npy", vectors.vectors)
    write_list(folder / "words.json", vectors.index_to_key)
    if vectors.counts is not None:
        write_array(folder / "counts.npy", vectors.counts)


def write_projector(model: Any, folder: Path, titles: Sequence[str] | None = None) -> None:
    """Write `vectors.tsv` and `metadata.tsv`, which projector.tensorflow.org loads."""
    if hasattr(model, "known"):
        vectors, counts = model.item_vectors, model.known.item_counts()
        called = titles or [""] * len(vectors)
        names = [f"{item} {title}".strip() for item, title in zip(model.item_ids, called, strict=True)]
    else:
        words = words_of(model)
        vectors, names, counts = words.vectors, words.index_to_key, words.counts
    with atomic_write(folder / "vectors.tsv") as file:
        np.savetxt(file, np.asarray(vectors, dtype=np.float32), delimiter="\t", fmt="%.6g")
    lines = [[name] for name in names]  # a table of one column has no line of names there
    if counts is not None:
        lines = [["name", "count"], *([name, str(count)] for name, count in zip(names, counts, strict=True))]
    with atomic_write(folder / "metadata.tsv") as file:
        for line in lines:
            text = "\t".join(" ".join(part.split()) for part in line)
            file.write(text.encode("utf-8", "backslashreplace") + b"\n")


def words_of(model: Any) -> Any:
    """The KeyedVectors of a Word2Vec, or themselves.

    Example:
        >>> from logq import KeyedVectors
        >>> words_of(KeyedVectors(["a"], [[1.0]]))
        KeyedVectors(1 words, 1 dimensions)
    """
    return model.vectors if hasattr(model, "vocabulary") else model


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as .npy, which np.load(path, mmap_mode="r") opens without reading it."""
    with atomic_write(path) as file:
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)


def write_list(path: Path, values: list[Any]) -> None:
    """Write a list as JSON, a value a line."""
    with atomic_write(path) as file:
        file.write(json.dumps(values, ensure_ascii=False, indent=0).encode("utf-8", "backslashreplace") + b"\n")
