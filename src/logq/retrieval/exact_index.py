"""ExactIndex: every vector is compared, on any device; the truth that faster indexes are held to."""

import os
from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize
from typing_extensions import Self

from logq._arguments import check_int
from logq.retrieval.index_checks import (
    Combine,
    Exclusion,
    Metric,
    check_allowed,
    check_choice,
    check_exclusion,
    check_ids,
    check_new_ids,
    check_queries,
    check_vectors,
)
from logq.retrieval.index_file import check_array, read_index_file, write_index_file
from logq.retrieval.item_index import Ids, ItemIndex, SearchResult, Vectors

__all__ = ["PLACES", "ExactIndex", "best", "keys_of", "scores_and_places"]

PLACES: Final = 1 << 32
"""Places are below this."""

_LOW: Final = PLACES - 1


def keys_of(
    scores: Tensor,  # (..., n) float32, no NaN
    places: Tensor,  # int64 in [0, 2^32), broadcast over scores
) -> Tensor:
    """Return (..., n) int64: the higher score has the larger key, and of equal scores the lower place.

    Example:
        >>> keys_of(torch.tensor([1.0, 2.0, 2.0, -1.0]), torch.arange(4)).argsort(descending=True).tolist()
        [1, 2, 0, 3]
    """
    return (_ordered((scores + 0.0).view(torch.int32)).to(torch.int64) << 32) | (_LOW - places)  # + 0.0: -0.0 is 0.0


def scores_and_places(
    keys: Tensor,  # int64
) -> tuple[Tensor, Tensor]:
    """Return what `keys_of` put into keys: float32 scores and int64 places.

    Example:
        >>> [part.tolist() for part in scores_and_places(keys_of(torch.tensor([-0.5, 3.0]), torch.tensor([7, 2])))]
        [[-0.5, 3.0], [7, 2]]
    """
    return _ordered((keys >> 32).to(torch.int32)).view(torch.float32), _LOW - (keys & _LOW)


def best(
    scores: Tensor,  # (b, c) float32, no NaN
    k: int,
    first: int = 0,
) -> Tensor:
    """Return the keys of the k highest scores of each row, descending; column j has the place first + j.

    torch.topk takes any of the items that share the last place, so it is asked for one more: where that one is as good
    as the last, the row is sorted by keys.

    Returns:
        (b, min(k, c)) int64.

    Example:
        >>> scores_and_places(best(torch.tensor([[1.0, 3.0, 2.0, 3.0]]), 3))[1].tolist()
        [[1, 3, 2]]
    """
    columns = scores.shape[1]
    if k >= columns:
        return (
            keys_of(scores, torch.arange(first, first + columns, device=scores.device)).sort(1, descending=True).values
        )
    values, places = scores.topk(k + 1, dim=1)
    keys = keys_of(values[:, :k], first + places[:, :k]).sort(1, descending=True).values
    tied = ((values[:, k] == values[:, k - 1]) & (values[:, k] > -torch.inf)).nonzero().squeeze(1)
    if len(tied):
        places = torch.arange(first, first + columns, device=scores.device)
        keys[tied] = keys_of(scores[tied], places).topk(k, dim=1).values
    return keys


def _ordered(bits: Tensor) -> Tensor:
    """Turn the bits of floats into integers in the same order, or back."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


_ITEMS = 1 << 15  # items whose scores are made at a time on the CPU
_CPU_SCRATCH = 1 << 26  # bytes of scores
_GPU_SCRATCH = 1 << 29


class ExactIndex(ItemIndex):
    """All items compared with each query, a part of them at a time.

    Scores are float32. Beside its vectors and the result, a search holds `scratch` bytes of scores, and what the best
    of them take: never all B C scores. Items that are excluded or not allowed leave before the best ones are chosen.
    The same search gives the same answer; but a matrix product may round differently at the edge of a block, so that
    copies of a vector can have scores that differ in the last bit, and then do not stand in the order of their ids.

    Args:
        vectors: (n, D) vectors of items; they are copied, and made to length 1 where the metric is "cosine".
        ids: (n,) their ids, integers >= 0; None means 0 to n - 1.
        metric: "inner_product" or "cosine".
        device: where the vectors shall lie; None leaves them where they are.
        scratch: bytes of scores at a time; None means 64 MB on the CPU, 512 MB elsewhere.

    Raises:
        TypeError: no numbers, or ids that are not integers.
        ValueError: a shape that does not fit, a vector that is not finite, an id that is negative or occurs twice.

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
        self._ids = torch.empty(0, dtype=torch.int64)
        self._vectors = table[:0]
        self.add(torch.arange(len(table)) if ids is None else ids, table)

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self._ids)

    @property
    def ids(self) -> Tensor:
        """The ids of all items, (n,) int64 on the CPU, ascending."""
        return self._ids

    @property
    def vectors(self) -> Tensor:
        """The vectors in the order of `ids`, (n, D) float32; of length 1 where the metric is "cosine"."""
        return self._vectors

    @property
    def device(self) -> torch.device:
        """Where the vectors lie."""
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
        k = check_int("k", k)
        check_choice("combine", combine, ("max", "sum"))
        asked = check_queries(queries, self.dim, device=self.device)
        unwanted = check_exclusion(exclude, len(asked))
        allowed = check_allowed(allow, self._ids)
        if self.metric == "cosine":
            asked = normalize(asked, dim=2)
        if combine == "sum":
            asked = asked.sum(1, keepdim=True)  # the sum of products is the product with the sum
        rows = None if allowed is None else allowed.nonzero().squeeze(1)
        keys = torch.empty((len(asked), k), dtype=torch.int64, device=self.device)
        for part in self._query_parts(asked.shape[0], asked.shape[1]):
            keys[part] = self._best_of(asked[part], k, rows, self._pairs(unwanted, part, rows))
        scores, places = scores_and_places(keys)
        nothing = scores == -torch.inf
        ids = self._ids if rows is None else self._ids[rows]
        if len(ids) == 0:
            return SearchResult(scores, torch.full_like(places, -1))
        found = ids.to(self.device)[places.masked_fill(nothing, 0)]
        return SearchResult(scores, found.masked_fill(nothing, -1))

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add items; see `ItemIndex.add`. All vectors are copied, so many at once are better than one by one."""
        table = check_vectors("vectors", vectors, self.dim, device=self.device)
        new = check_new_ids(ids, len(table))
        known = torch.isin(new, self._ids)
        if bool(known.any()):
            raise ValueError(f"ids: expected items that are not here yet, got {int(new[known][0])}")
        if len(self._ids) + len(new) >= PLACES:
            raise ValueError(f"vectors: expected fewer than {PLACES} items in all")
        if self.metric == "cosine":
            table = normalize(table)
        self._ids, order = torch.cat([self._ids, new]).sort()
        self._vectors = torch.cat([self._vectors, table])
        if bool((order[1:] < order[:-1]).any()):
            self._vectors = self._vectors[order.to(self.device)]

    def remove(self, ids: Ids) -> None:
        """Remove items; see `ItemIndex.remove`."""
        gone = check_ids("ids", ids)
        unknown = ~torch.isin(gone, self._ids)
        if bool(unknown.any()):
            raise ValueError(f"ids: expected items that are here, got {int(gone[unknown][0])}")
        kept = ~torch.isin(self._ids, gone)
        self._ids = self._ids[kept]
        self._vectors = self._vectors[kept.to(self.device)]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the index into a folder; see `ItemIndex.save`."""
        arrays = {"ids": self._ids.numpy(), "vectors": self._vectors.cpu().numpy()}
        about = {"kind": self.kind, "metric": self.metric, "dim": self.dim, "items": len(self)}
        write_index_file(folder, arrays, about)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, device: torch.device | str | None = None) -> Self:
        """Read what `save` wrote, onto a device; see `ItemIndex.load`."""
        arrays, about = read_index_file(folder, cls.kind)
        vectors = check_array(folder, arrays, "vectors", np.float32, (about["items"], about["dim"]))
        ids = check_array(folder, arrays, "ids", np.int64, (about["items"],))
        return cls(vectors, ids, metric=about["metric"], device=device)

    def _query_parts(self, rows: int, interests: int) -> Iterator[slice]:
        step = max(1, self._numbers() // (interests * min(self._step(), max(1, len(self)))))
        return (slice(start, min(start + step, rows)) for start in range(0, rows, step))

    def _numbers(self) -> int:
        return (self._scratch or (_CPU_SCRATCH if self.device.type == "cpu" else _GPU_SCRATCH)) // 4

    def _step(self) -> int:
        """How many items at a time: on the CPU so few that a block of their vectors stays in the cache."""
        return max(1, min(self._numbers(), _ITEMS if self.device.type == "cpu" else self._numbers() // 64))

    def _pairs(self, unwanted: Exclusion | None, part: slice, rows: Tensor | None) -> tuple[Tensor, Tensor] | None:
        """Which (query of this part, place of an item) must not be found, by ascending place."""
        if unwanted is None:
            return None
        bounds = unwanted.offsets[part.start : part.stop + 1]
        ids = unwanted.ids[int(bounds[0]) : int(bounds[-1])]
        queries = torch.repeat_interleave(torch.arange(len(bounds) - 1), bounds.diff())
        searchable = self._ids if rows is None else self._ids[rows]
        places = torch.searchsorted(searchable, ids)
        here = torch.isin(ids, searchable)
        places, order = places[here].sort()
        return queries[here][order], places

    def _best_of(self, asked: Tensor, k: int, rows: Tensor | None, unwanted: tuple[Tensor, Tensor] | None) -> Tensor:
        """Return the keys of the best places for queries (b, K, D), (b, k); places count the rows that are allowed."""
        count, interests = asked.shape[:2]
        flat = asked.reshape(count * interests, self.dim)
        searched = len(self) if rows is None else len(rows)
        missing = torch.full((count, k), -torch.inf, device=self.device)
        found = keys_of(missing, torch.zeros(1, dtype=torch.int64, device=self.device))
        for start in range(0, searched, self._step()):
            stop = min(start + self._step(), searched)
            block = self._vectors[start:stop] if rows is None else self._vectors[rows[start:stop].to(self.device)]
            scores = flat @ block.T
            if interests > 1:
                scores = scores.view(count, interests, -1).amax(1)
            if unwanted is not None:
                first, last = torch.searchsorted(unwanted[1], torch.tensor([start, stop])).tolist()
                at = (unwanted[0][first:last].to(self.device), unwanted[1][first:last].to(self.device) - start)
                scores[at] = -torch.inf
            found = torch.cat([found, best(scores, k, start)], 1).topk(k, dim=1).values
        return found
