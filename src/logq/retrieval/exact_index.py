"""`ExactIndex`: compares every vector, on any device; the reference for faster indexes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from logq._arguments import ArgumentError, check_int
from logq._files import parsing
from logq.retrieval.index_checks import (
    Combine,
    Exclusion,
    Metric,
    check_added,
    check_choice,
    check_removed,
    check_search,
    check_vectors,
    positions_in,
)
from logq.retrieval.index_file import FILE, check_array, read_index_file, write_index_file
from logq.retrieval.item_index import Ids, ItemIndex, SearchResult, Vectors

__all__ = ["ExactIndex", "best", "keys_of", "result_of", "scores_and_positions"]

_MAX_ITEMS: Final = 1 << 32  # positions are below this
_LOW: Final = _MAX_ITEMS - 1  # the bits of a key that hold a position
_ITEMS = 1 << 15  # items whose scores are computed at a time on the CPU
_CPU_SCRATCH = 1 << 26  # bytes of scores
_GPU_SCRATCH = 1 << 29


def keys_of(
    scores: Tensor,  # (..., n) float32, no NaN
    positions: Tensor,  # int64 in [0, 2^32), broadcast over scores
) -> Tensor:
    """Return (..., n) int64: the higher score has the larger key, and of equal scores the lower position.

    Example:
        >>> keys_of(torch.tensor([1.0, 2.0, 2.0, -1.0]), torch.arange(4)).argsort(descending=True).tolist()
        [1, 2, 0, 3]
    """
    return (_ordered((scores + 0.0).view(torch.int32)).to(torch.int64) << 32) | (_LOW - positions)  # + 0.0: -0.0 is 0.0


def scores_and_positions(
    keys: Tensor,  # int64
) -> tuple[Tensor, Tensor]:
    """Return the float32 scores and int64 positions that `keys_of` put into keys.

    Example:
        >>> [part.tolist() for part in scores_and_positions(keys_of(torch.tensor([-0.5, 3.0]), torch.tensor([7, 2])))]
        [[-0.5, 3.0], [7, 2]]
    """
    return _ordered((keys >> 32).to(torch.int32)).view(torch.float32), _LOW - (keys & _LOW)


def best(
    scores: Tensor,  # (b, c) float32, no NaN
    k: int,
    first: int = 0,
) -> Tensor:
    """Return the keys of the k highest scores of each row, descending; column j has the position first + j.

    torch.topk returns any of the items that are tied for the last rank, so it is asked for one more: where that one is
    as good as the last, the row is sorted by keys.

    Returns:
        (b, min(k, c)) int64.

    Example:
        >>> scores_and_positions(best(torch.tensor([[1.0, 3.0, 2.0, 3.0]]), 3))[1].tolist()
        [[1, 3, 2]]
    """
    columns = scores.shape[1]
    if k >= columns:
        positions = torch.arange(first, first + columns, device=scores.device)
        return keys_of(scores, positions).sort(1, descending=True).values
    values, positions = scores.topk(k + 1, dim=1)
    keys = keys_of(values[:, :k], first + positions[:, :k]).sort(1, descending=True).values
    tied = ((values[:, k] == values[:, k - 1]) & (values[:, k] > -torch.inf)).nonzero().squeeze(1)
    if len(tied):
        positions = torch.arange(first, first + columns, device=scores.device)
        keys[tied] = keys_of(scores[tied], positions).topk(k, dim=1).values
    return keys


def result_of(
    keys: Tensor,  # (B, k) int64
    ids: Tensor,  # (n,) int64, by position
) -> SearchResult:
    """Return the scores and ids of keys; those with a score of -inf are not items.

    Example:
        >>> result_of(keys_of(torch.tensor([[0.5, -torch.inf]]), torch.tensor([1, 0])), torch.tensor([7, 9])).ids
        tensor([[ 9, -1]])
    """
    scores, positions = scores_and_positions(keys)
    nothing = scores == -torch.inf
    if len(ids) == 0:
        return SearchResult(scores, torch.full_like(positions, -1))
    return SearchResult(scores, ids.to(keys.device)[positions.masked_fill(nothing, 0)].masked_fill(nothing, -1))


def _ordered(bits: Tensor) -> Tensor:
    """Convert the bits of floats to integers in the same order, or back."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


class ExactIndex(ItemIndex):
    """Exact search, which compares each query with all items, a part of them at a time.

    Scores are float32. In addition to its vectors and the result, a search needs `scratch` bytes for scores, and the
    memory of the best of them: never all B C scores. Items that are excluded or not allowed are dropped before the best
    ones are chosen. The same search gives the same answer; but a matrix product may round differently at the edge of a
    block, so that copies of a vector can have scores that differ in the last bit, and are then not in order of ids.

    Args:
        vectors: (n, D) vectors of items; they are copied, and normalized where the metric is "cosine".
        ids: (n,) their ids, integers >= 0; None means 0 to n - 1.
        metric: "inner_product" or "cosine".
        device: of the vectors; None leaves them where they are.
        scratch: bytes of scores at a time; None means 64 MB on the CPU, 512 MB elsewhere.

    Raises:
        ArgumentTypeError: vectors are not numbers, or ids not integers.
        ArgumentError: a shape does not fit, a vector is not finite, or an id is negative or occurs twice.

    Example:
        >>> index = ExactIndex([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
        >>> scores, ids = index.search([[1.0, 0.5]], k=2)
        >>> ids.tolist(), scores.tolist()
        ([[2, 0]], [[1.5, 1.0]])
        >>> index.search([[1.0, 0.5]], k=2, exclude=([2], [0, 1])).ids.tolist()
        [[0, 1]]
    """

    kind = "exact"

    def __init__(
        self,
        vectors: Vectors,
        ids: Ids | None = None,
        *,
        metric: Metric = "inner_product",
        device: torch.device | str | None = None,
        scratch: int | None = None,
    ) -> None:
        """See the class."""
        check_choice("metric", metric, ("inner_product", "cosine"))
        table = check_vectors("vectors", vectors, device=None if device is None else torch.device(device))
        self.metric = metric
        self.dim = table.shape[1]
        self._scratch = None if scratch is None else check_int("scratch", scratch)
        self._ids = torch.empty(0, dtype=torch.int64, device="cpu")
        self._vectors = table[:0]
        self.add(torch.arange(len(table), device="cpu") if ids is None else ids, table)

    @property
    def vectors(self) -> Tensor:
        """The vectors in the order of `ids`, (n, D) float32; of length 1 where the metric is "cosine"."""
        return self._vectors

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors and ids."""
        return self._vectors.nbytes + self._ids.nbytes

    @property
    def device(self) -> torch.device:
        """The device of the vectors."""
        return self._vectors.device

    def search(
        self,
        queries: Vectors,
        k: int = 10,
        *,
        exclude: tuple[Ids, Ids] | None = None,
        allow: Ids | None = None,
        combine: Combine = "max",
    ) -> SearchResult:
        """Return the k items with the highest scores for each query; see `ItemIndex.search`."""
        search = check_search(queries, k, exclude, allow, combine, dim=self.dim, ids=self._ids, device=self.device)
        asked = search.directions(self.metric, combine)
        rows = None if search.allowed is None else search.allowed.nonzero().squeeze(1)
        keys = torch.empty((len(asked), search.k), dtype=torch.int64, device=self.device)
        with torch.autocast(self.device.type, enabled=False):  # which would rank by scores of 8 bits
            for part in self._query_parts(asked.shape[0], asked.shape[1]):
                keys[part] = self._best_of(asked[part], search.k, rows, self._pairs(search.exclusion, part, rows))
        return result_of(keys, self._ids if rows is None else self._ids[rows])

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add items; see `ItemIndex.add`. All vectors are copied each time, so add many items together."""
        new, table = check_added(ids, vectors, self._ids, self.dim, self.metric, self.device)
        if len(self._ids) + len(new) >= _MAX_ITEMS:
            raise ArgumentError("vectors", f"fewer than {_MAX_ITEMS} items in total", len(self._ids) + len(new))
        self._ids, order = torch.cat([self._ids, new]).sort()
        self._vectors = torch.cat([self._vectors, table])
        if bool((order[1:] < order[:-1]).any()):
            self._vectors = self._vectors[order.to(self.device)]

    def remove(self, ids: Ids) -> None:
        """Remove items; see `ItemIndex.remove`."""
        kept = torch.ones(len(self._ids), dtype=torch.bool, device="cpu")
        kept[positions_in(self._ids, check_removed(ids, self._ids))[0]] = False
        self._ids = self._ids[kept]
        self._vectors = self._vectors[kept.to(self.device)]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the index into a folder; see `ItemIndex.save`."""
        arrays = {"ids": self._ids.numpy(), "vectors": self._vectors.cpu().numpy()}
        about = {"kind": self.kind, "metric": self.metric, "dim": self.dim, "items": len(self)}
        write_index_file(folder, arrays, about)

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], *, check: bool = True, device: torch.device | str | None = None
    ) -> Self:
        """Read what `save` wrote, onto a device; see `ItemIndex.load`."""
        arrays, about = read_index_file(folder, cls.kind, check=check)
        vectors = check_array(folder, arrays, "vectors", np.float32, (about["items"], about["dim"]))
        ids = check_array(folder, arrays, "ids", np.int64, (about["items"],))
        with parsing(Path(folder, FILE)):
            return cls(vectors, ids, metric=about["metric"], device=device)

    def _query_parts(self, rows: int, interests: int) -> Iterator[slice]:
        step = max(1, self._numbers() // (interests * min(self._step(), max(1, len(self)))))
        return (slice(start, min(start + step, rows)) for start in range(0, rows, step))

    def _numbers(self) -> int:
        return (self._scratch or (_CPU_SCRATCH if self.device.type == "cpu" else _GPU_SCRATCH)) // 4

    def _step(self) -> int:
        """Return the number of items at a time: on the CPU a block of their vectors fits in the cache."""
        return max(1, min(self._numbers(), _ITEMS if self.device.type == "cpu" else self._numbers() // 64))

    def _pairs(self, exclusion: Exclusion | None, part: slice, rows: Tensor | None) -> tuple[Tensor, Tensor] | None:
        """Return the excluded (query of this part, position of an item), by ascending position."""
        if exclusion is None:
            return None
        bounds = exclusion.offsets[part.start : part.stop + 1]
        ids = exclusion.ids[int(bounds[0]) : int(bounds[-1])]
        queries = torch.repeat_interleave(torch.arange(len(bounds) - 1, device="cpu"), bounds.diff())
        searchable = self._ids if rows is None else self._ids[rows]
        positions, known = positions_in(searchable, ids)
        positions, order = positions[known].sort()
        return queries[known][order], positions

    def _best_of(self, asked: Tensor, k: int, rows: Tensor | None, excluded: tuple[Tensor, Tensor] | None) -> Tensor:
        """Return the keys of the best items for queries (b, K, D), (b, k), with positions among the allowed rows."""
        count, interests = asked.shape[:2]
        flat = asked.reshape(count * interests, self.dim)
        searched = len(self) if rows is None else len(rows)
        missing = torch.full((count, k), -torch.inf, dtype=torch.float32, device=self.device)
        found = keys_of(missing, torch.zeros(1, dtype=torch.int64, device=self.device))
        starts = range(0, searched, self._step())
        queries = positions = torch.zeros(0, dtype=torch.int64, device="cpu")
        if excluded is not None:
            queries, positions = excluded
        bounds = torch.searchsorted(positions, torch.tensor([*starts, searched], device="cpu")).tolist()
        queries, positions = queries.to(self.device), positions.to(self.device)
        for start, first, last in zip(starts, bounds[:-1], bounds[1:], strict=True):
            stop = min(start + self._step(), searched)
            block = self._vectors[start:stop] if rows is None else self._vectors[rows[start:stop].to(self.device)]
            scores = flat @ block.T
            if interests > 1:
                scores = scores.view(count, interests, -1).amax(1)
            if first < last:
                at = queries[first:last] * (stop - start) + (positions[first:last] - start)
                scores.view(-1).index_fill_(0, at, -torch.inf)  # half the time of scores[rows, columns] = -inf
            found = torch.cat([found, best(scores, k, start)], 1).topk(k, dim=1).values
        return found
