"""Indexes of items whose vectors are in shards: built, and searched exactly, with a shard in memory at a time."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from logq._arguments import ArgumentError, Verbatim
from logq._files import DamagedFileError, atomic_write
from logq._model_file import ArrayInPieces, pack_strings, read_tensors, unpack_strings, write_tensors
from logq.distributed.vector_shards import VectorShards
from logq.retrieval.exact_index import ExactIndex, keys_of, result_of
from logq.retrieval.faiss_index import number_of_lists
from logq.retrieval.index_checks import Metric, check_choice, check_vectors
from logq.retrieval.index_file import write_index_file
from logq.retrieval.index_kinds import make_index
from logq.retrieval.index_registry import INDEX_KINDS
from logq.retrieval.item_index import SearchResult, Vectors

__all__ = ["ITEMS", "fingerprint_of_rows", "index_shards", "item_keys", "search_shards"]

ITEMS: Final = "items.safetensors"
"""The file of an index with what users call its items."""

_ROWS = 1 << 18
"""Vectors that are looked at at a time."""

_MIX = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x2545F4914F6CDD1D, 0x94D049BB133111EB], dtype=np.uint64)
"""Factors and increments of generators of random bits, all odd."""

_PER_LIST = 64
"""Vectors for each list that ivf and pq learn from; k-means has enough with 39."""


def index_shards(
    shards: VectorShards | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    kind: str = "exact",
    *,
    metric: Metric | None = None,
    **options: Any,
) -> str:
    """Make an index of vectors in shards, and save it into a folder, for `load_index`.

    In memory are one shard and, but for "exact", the index; the lists and codes of "faiss-ivf" and "faiss-pq" are
    learned from every n-th vector. "exact" writes vectors where they belong in a file beside that of the index, which
    takes as much of the disk for the time. Ids of the index are those of the shards, 0 to C - 1. What users call the
    items is in `items.safetensors` beside it, if the shards say so; see `item_keys`.

    Args:
        shards: what logq.distributed.write_vector_shards or `write_vector_shards` of a recommender wrote. A bias of a
            class is one more number of its vector, for which queries have a 1.
        folder: for the index; it is made if it is missing.
        kind: as for `make_index`.
        metric: "inner_product" or "cosine"; None for the one that the shards were written for.
        **options: of the index, as for `make_index`.

    Returns:
        The fingerprint of the vectors; see `fingerprint_of_rows`.

    Raises:
        ModuleNotFoundError: the library of the index is not installed; the message says how to.
        ArgumentError: the shards were written for another metric, or an argument is out of range.
        OSError: a file cannot be read or written.
        ValueError: a shard is damaged.

    Example:
        >>> from logq.distributed import ShardedClassTable, write_vector_shards
        >>> from logq.retrieval import load_index
        >>> table = ShardedClassTable(5, 3, init=lambda ids: torch.eye(5)[ids, :3])
        >>> with tempfile.TemporaryDirectory() as place:
        ...     write_vector_shards(table, f"{place}/shards")
        ...     _ = index_shards(f"{place}/shards", f"{place}/index")
        ...     load_index(f"{place}/index").search([[0.0, 1.0, 0.0, 1.0]], k=1).ids.tolist()
        [[1]]
    """
    shards = shards if isinstance(shards, VectorShards) else VectorShards(shards)
    check_choice("kind", kind, INDEX_KINDS)
    by = _metric(shards, metric)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    if kind == "exact":
        if options:
            raise ArgumentError(next(iter(options)), "no settings of an exact index", next(iter(options.values())))
        _write_exact(shards, target, by)
    else:
        _write_approximate(shards, target, kind, by, options)
    _write_keys(shards, target)
    return fingerprint_of_rows((ids, vectors.numpy()) for ids, vectors in _pieces(shards))


def search_shards(
    shards: VectorShards | str | os.PathLike[str], queries: Vectors, k: int = 10, *, metric: Metric | None = None
) -> SearchResult:
    """The k best items of all for each query, by exact search of one shard after the other.

    Args:
        shards: as for `index_shards`.
        queries: (B, D) or (B, K, D).
        k: how many.
        metric: as for `index_shards`.

    Example:
        >>> from logq.distributed import ShardedClassTable, write_vector_shards
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = ShardedClassTable(5, 3, bias=False, init=lambda ids: torch.eye(5)[ids, :3])
        ...     write_vector_shards(table, folder)
        ...     search_shards(folder, [[0.0, 1.0, 0.5]], k=2).ids.tolist()
        [[1, 2]]
    """
    shards = shards if isinstance(shards, VectorShards) else VectorShards(shards)
    by, found = _metric(shards, metric), None
    for ids, vectors in _pieces(shards):
        scores, best = ExactIndex(vectors, ids, metric=by).search(queries, k)
        keys = keys_of(scores, best.clamp(min=0))
        found = keys if found is None else torch.cat([found, keys], dim=1).topk(k, dim=1).values
    assert found is not None
    return result_of(found, torch.arange(shards.num_classes))


def item_keys(folder: str | os.PathLike[str], ids: NDArray[np.int64] | Tensor) -> NDArray[Any]:
    """What users call items of an index that `index_shards` made.

    Args:
        folder: of the index.
        ids: of any shape, as a search returns them.

    Returns:
        The keys in the shape of `ids`, None for -1.

    Raises:
        OSError: the shards of the index told no keys, or the file cannot be read.
        ValueError: it is damaged.

    Example:
        >>> from logq import Interactions, YoutubeDNN
        >>> log = Interactions.from_sessions([["tea", "milk"]] * 4)
        >>> model = YoutubeDNN(dim=4, num_sampled=1, epochs=1, seed=1).fit(log, progress=False)
        >>> with tempfile.TemporaryDirectory() as place:
        ...     model.write_vector_shards(f"{place}/shards")
        ...     _ = index_shards(f"{place}/shards", f"{place}/index")
        ...     item_keys(f"{place}/index", np.array([[0, -1]])).tolist(), str(log.item_ids.keys[0])
        ([['tea', None]], 'tea')
    """
    path = Path(folder, ITEMS)
    arrays = read_tensors(path)
    try:
        own = arrays["ids"]
        keys = arrays["keys"] if "keys" in arrays else unpack_strings(arrays["key_text"], arrays["key_ends"])
    except KeyError as error:
        raise DamagedFileError(f"{path}: the file was changed, it lacks {error}") from None
    asked = np.asarray(ids)
    names = np.empty(len(own) + 1, dtype=object)
    if len(keys) != len(own) or not np.array_equal(np.sort(own), np.arange(len(own))):
        raise DamagedFileError(f"{path}: the file was changed, expected a key for each item")
    names[own] = keys.tolist() if isinstance(keys, np.ndarray) else keys
    return names[np.where(asked < 0, len(own), asked)]


def fingerprint_of_rows(parts: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]]) -> str:
    """What tells vectors by id from others, in whatever order and parts they come; against mistakes, not malice.

    Args:
        parts: ids (n,) and vectors (n, D).

    Example:
        >>> rows = np.arange(8, dtype=np.float32).reshape(4, 2)
        >>> whole = fingerprint_of_rows([(np.arange(4), rows)])
        >>> whole == fingerprint_of_rows([(np.array([i]), rows[i : i + 1]) for i in (2, 0, 3, 1)])
        True
        >>> whole == fingerprint_of_rows([(np.arange(4), rows[::-1])])
        False
    """
    total = np.zeros(2, dtype=np.uint64)  # sums of 64 bits of each row, which wrap around
    for ids, vectors in parts:
        bits = np.ascontiguousarray(vectors + np.float32(0.0)).view(np.uint32).astype(np.uint64)  # -0.0 is 0.0
        for place, (first, factor) in enumerate(((_MIX[0], _MIX[1]), (_MIX[2], _MIX[3]))):
            mixed = (ids.astype(np.uint64) + first) * factor
            for column in bits.T:
                mixed = (mixed ^ (mixed >> np.uint64(29)) ^ column) * factor + first
            total[place : place + 1] += (mixed ^ (mixed >> np.uint64(32))).sum(keepdims=True)
    return "".join(f"{int(number):016x}" for number in total)


def _metric(shards: VectorShards, asked: Metric | None) -> Metric:
    written: Any = shards.about.get("metric")
    metric: Metric = asked or written or "inner_product"
    check_choice("metric", metric, ("inner_product", "cosine"))
    if written not in (None, metric):
        hint = f'write_vector_shards(folder, metric="{metric}") of the model writes others'
        raise ArgumentError("metric", f"{written}, which the shards were written for", Verbatim(metric), hint)
    return metric


def _pieces(shards: VectorShards) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Ids (n,) and vectors (n, D') of some classes at a time."""
    for shard in shards:
        for first in range(0, len(shard.ids), _ROWS):
            rows = slice(first, first + _ROWS)
            vectors = torch.from_numpy(np.asarray(shard.vectors[rows], dtype=np.float32))
            if shard.bias is not None:
                bias = torch.from_numpy(np.asarray(shard.bias[rows], dtype=np.float32))
                vectors = torch.cat([vectors, bias[:, None]], dim=1)
            yield shard.ids[rows], vectors


def _width(shards: VectorShards) -> int:
    return shards.dim + (shards.part(0, shards.num_classes).bias is not None)


def _write_exact(shards: VectorShards, folder: Path, metric: Metric) -> None:
    count, width = shards.num_classes, _width(shards)
    seen = np.zeros(count, dtype=np.bool_)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(max(1, count * width * 4))
        table = np.memmap(file, dtype=np.float32, mode="r+", shape=(count, width))
        for ids, vectors in _pieces(shards):
            checked = check_vectors("vectors", vectors, width)
            if len(ids) and (ids.min() < 0 or ids.max() >= count or seen[ids].any()):
                raise DamagedFileError(f"{shards.folder}: expected ids from 0 to {count - 1}, each once")
            seen[ids] = True
            table[ids] = (normalize(checked) if metric == "cosine" else checked).numpy()
        if not seen.all():
            raise DamagedFileError(f"{shards.folder}: expected ids from 0 to {count - 1}, each once")
        about = {"kind": "exact", "metric": metric, "dim": width, "items": count}
        write_index_file(folder, {"ids": np.arange(count), "vectors": table}, about)


def _write_approximate(shards: VectorShards, folder: Path, kind: str, metric: Metric, options: dict[str, Any]) -> None:
    count = shards.num_classes
    if kind in ("faiss-ivf", "faiss-pq"):
        lists = number_of_lists(count, options.get("nlist"))
        step = max(1, count // (lists * _PER_LIST))
        sample = torch.cat([vectors[::step].clone() for _, vectors in _pieces(shards)])  # a view would keep its shard
        options = {**options, "nlist": min(lists, len(sample)), "learn_from": sample}
    index: Any = make_index(kind, torch.empty(0, _width(shards)), metric=metric, **options)
    options.pop("learn_from", None)
    for ids, vectors in _pieces(shards):
        index.add(ids, vectors)
    if not np.array_equal(index.ids.numpy(), np.arange(count)):
        raise DamagedFileError(f"{shards.folder}: expected ids from 0 to {count - 1}, each once")
    index.save(folder)


def _write_keys(shards: VectorShards, folder: Path) -> None:
    """Write what users call the items, in the order of the shards; or remove what an earlier index had."""
    path, count, whole = folder / ITEMS, shards.num_classes, np.dtype(np.int64)
    kinds = {None if keys is None else keys.dtype.kind for _, keys in shards.without_vectors()}
    if None in kinds:
        path.unlink(missing_ok=True)
        return
    arrays = {"ids": ArrayInPieces(whole, (count,), lambda: (ids for ids, _ in shards.without_vectors()))}
    if kinds == {"i"}:
        arrays["keys"] = ArrayInPieces(
            whole, (count,), lambda: (np.asarray(keys) for _, keys in shards.without_vectors())
        )
    else:
        size = sum(len(text) for text, _ in _packed(shards))
        arrays["key_text"] = ArrayInPieces(np.dtype(np.uint8), (size,), lambda: (text for text, _ in _packed(shards)))
        arrays["key_ends"] = ArrayInPieces(whole, (count + 1,), lambda: _ends(shards))
    with atomic_write(path) as file:
        write_tensors(file, arrays, {"format": "logq.index_items 1"})


def _packed(shards: VectorShards) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    for _, keys in shards.without_vectors():
        yield pack_strings(np.asarray(keys).tolist())


def _ends(shards: VectorShards) -> Iterator[NDArray[np.int64]]:
    last = 0
    yield np.zeros(1, dtype=np.int64)
    for _, ends in _packed(shards):
        yield last + ends[1:]
        last += int(ends[-1])
