"""What indexes of approximate search have in common: slots, filters, exclusion by asking for more, interests, files."""

import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize
from typing_extensions import Self

from logq._arguments import check_int
from logq._progress import Progress
from logq.retrieval.exact_index import ExactIndex, keys_of, scores_and_places
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

__all__ = ["ApproximateIndex"]

Floats: TypeAlias = NDArray[np.float32]
Slots: TypeAlias = NDArray[np.int64]

_NUMBERS = 1 << 22  # results fetched at a time
_NARROW = 64  # where at most one item in so many is allowed, these are compared one by one
_AT_A_TIME = 1 << 14  # vectors added between two looks at the progress line


class ApproximateIndex(ItemIndex):
    """An index whose library numbers vectors by slots, 0, 1, 2, ... in the order in which they were added.

    A search asks for more than k where a row has excluded items, and again for more, with more effort, for the rows
    that have too few left. A library that cannot filter is asked for more likewise where an allow-list is given.

    Attributes:
        family: the library, with which the kinds begin.
        filters: whether the library looks at allowed slots only.
    """

    family: ClassVar[str]
    filters: ClassVar[bool]

    def __init__(self, kind: str, dim: int, metric: Metric) -> None:
        """Begin without items."""
        self.kind = kind
        self.dim = dim
        self.metric = metric
        self._slot_ids = np.empty(0, dtype=np.int64)  # of every slot
        self._live = np.empty(0, dtype=bool)  # False: removed
        self._order()

    @abstractmethod
    def _insert(self, first: int, vectors: Floats) -> None:
        """Add vectors into the slots first, first + 1, ..."""

    @abstractmethod
    def _erase(self, slots: Slots) -> None:
        """Remove slots, if the library can; a library that filters does not have to."""

    @abstractmethod
    def _nearest(
        self, queries: Floats, count: int, level: int, wanted: NDArray[np.bool_] | None
    ) -> tuple[Floats, Slots]:
        """Return scores and slots (M, count), slot -1 where there is none; each level is more effort than the last."""

    @abstractmethod
    def _at_most(self, level: int) -> bool:
        """Whether more than this level of effort would find nothing more."""

    @abstractmethod
    def _vectors_of(self, slots: Slots) -> Floats:
        """Return the vectors in some slots, as well as the library has them."""

    @abstractmethod
    def _to_bytes(self) -> NDArray[np.uint8]:
        """Return the library's own form of the index."""

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """Return what is to be kept beside it."""

    @classmethod
    @abstractmethod
    def _from_bytes(cls, data: NDArray[np.uint8], about: Mapping[str, Any], slots: int, items: int) -> Self:
        """Return an index with the library's part read; ValueError says what does not fit."""

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self._ids)

    @property
    def ids(self) -> Tensor:
        """The ids of all items, (n,) int64 on the CPU, ascending."""
        return self._ids

    def search(
        self,
        queries: Vectors,
        k: int = 10,
        *,
        exclude: tuple[Ids, Ids] | None = None,
        allow: Ids | None = None,
        combine: Combine = "max",
    ) -> SearchResult:
        """Return about the k items with the highest scores for each query; see `ItemIndex.search`."""
        k = check_int("k", k)
        check_choice("combine", combine, ("max", "sum"))
        asked = check_queries(queries, self.dim, device=torch.device("cpu"))
        unwanted = check_exclusion(exclude, len(asked))
        allowed = check_allowed(allow, self._ids)
        if allowed is not None and int(allowed.sum()) * _NARROW <= len(self):
            chosen = np.flatnonzero(allowed.numpy())
            few = ExactIndex(self._vectors_of(self._slots[chosen]), self._ids[chosen], metric=self.metric)
            return few.search(asked, k, exclude=exclude, combine=combine)
        if self.metric == "cosine":
            asked = normalize(asked, dim=2)
        if combine == "sum":
            asked = asked.sum(1, keepdim=True)  # the sum of products is the product with the sum
        keys = torch.empty((len(asked), k), dtype=torch.int64)
        pending = np.arange(len(asked))
        count, level = min(k + (k + 16 if unwanted is not None else 0), max(1, len(self))), 0
        while len(pending):
            last = (count >= len(self) and self._at_most(level)) or len(self) == 0
            step = max(1, _NUMBERS // (count * asked.shape[1]))
            parts = [pending[start : start + step] for start in range(0, len(pending), step)]
            unhappy: list[Slots] = []
            for rows in parts:
                keys[rows], enough = self._look(asked[rows], rows, k, count, level, unwanted, allowed)
                unhappy.append(rows[~enough])
            pending = np.concatenate(unhappy)[: 0 if last else None]
            count, level = min(4 * count, max(1, len(self))), level + 1
        scores, places = scores_and_places(keys)
        nothing = scores == -torch.inf
        found = self._ids[places.masked_fill(nothing, 0)] if len(self) else places
        return SearchResult(scores, found.masked_fill(nothing, -1))

    def add(self, ids: Ids, vectors: Vectors, *, progress: bool | None = False) -> None:
        """Add items; see `ItemIndex.add`.

        Args:
            ids: (n,) integers >= 0 that are not here yet.
            vectors: (n, D).
            progress: True draws a bar, None does so on a terminal and prints lines elsewhere, False is silent.
        """
        table = check_vectors("vectors", vectors, self.dim, device=torch.device("cpu"))
        new = check_new_ids(ids, len(table))
        known = torch.isin(new, self._ids)
        if bool(known.any()):
            raise ValueError(f"ids: expected items that are not here yet, got {int(new[known][0])}")
        if self.metric == "cosine":
            table = normalize(table)
        rows = np.ascontiguousarray(table.numpy())
        first = len(self._slot_ids)
        with Progress(len(rows), "items", f"building {self.kind}", progress) as line:
            for start in range(0, len(rows), _AT_A_TIME):
                part = rows[start : start + _AT_A_TIME]
                self._insert(first + start, part)
                self._slot_ids = np.concatenate([self._slot_ids, new.numpy()[start : start + len(part)]])
                self._live = np.concatenate([self._live, np.ones(len(part), dtype=bool)])
                line.advance(len(part))
        self._order()

    def remove(self, ids: Ids) -> None:
        """Remove items; see `ItemIndex.remove`. Their memory is given back when the index is built anew."""
        gone = check_ids("ids", ids)
        unknown = ~torch.isin(gone, self._ids)
        if bool(unknown.any()):
            raise ValueError(f"ids: expected items that are here, got {int(gone[unknown][0])}")
        slots = np.unique(self._slots[torch.searchsorted(self._ids, gone).numpy()])
        self._erase(slots)
        self._live[slots] = False
        self._order()

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the index into a folder; see `ItemIndex.save`."""
        arrays: dict[str, NDArray[Any]] = {"ids": self._ids.numpy(), "slots": self._slots, "index": self._to_bytes()}
        about = {"kind": self.kind, "metric": self.metric, "dim": self.dim, "items": len(self)}
        write_index_file(folder, arrays, {**about, "all_slots": len(self._slot_ids), "options": self._options()})

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; see `ItemIndex.load`."""
        arrays, about = read_index_file(folder)
        if not about["kind"].startswith(cls.family):
            raise ValueError(f"{os.fspath(folder)}: expected an index of {cls.family}, it holds {about['kind']!r}")
        items, all_slots, options = about["items"], about.get("all_slots"), about.get("options")
        ids = check_array(folder, arrays, "ids", np.int64, (items,))
        slots = check_array(folder, arrays, "slots", np.int64, (items,))
        data = check_array(folder, arrays, "index", np.uint8, (-1,))
        if not isinstance(all_slots, int) or not isinstance(options, dict):
            raise ValueError(f"{os.fspath(folder)}: expected the number of slots and options, got {about}")
        if (slots < 0).any() or (slots >= all_slots).any() or len(np.unique(slots)) != items:
            raise ValueError(f"{os.fspath(folder)}: expected slots below {all_slots}, each once")
        try:
            index = cls._from_bytes(data, about, all_slots, items)
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{os.fspath(folder)}: the index cannot be read: {error}") from None
        index._slot_ids, index._live = np.full(all_slots, -1, dtype=np.int64), np.zeros(all_slots, dtype=bool)
        index._slot_ids[slots], index._live[slots] = ids, True
        index._order()
        return index

    def _order(self) -> None:
        live = np.flatnonzero(self._live)
        order = np.argsort(self._slot_ids[live], kind="stable")
        self._slots = live[order]  # in the order of ids
        self._ids = torch.from_numpy(self._slot_ids[self._slots])
        self._places = np.zeros(len(self._live), dtype=np.int64)  # of a slot, in the order of ids
        self._places[self._slots] = np.arange(len(self._slots))

    def _look(
        self,
        asked: Tensor,  # (b, K, D)
        rows: Slots,  # (b,) which of all queries they are
        k: int,
        count: int,
        level: int,
        unwanted: Exclusion | None,
        allowed: Tensor | None,  # (n,) bool
    ) -> tuple[Tensor, NDArray[np.bool_]]:
        """Return the keys of the best places (b, k), and which rows have k of them from each of their interests."""
        flat = np.ascontiguousarray(asked.reshape(-1, self.dim).numpy())
        wanted = self._live
        if allowed is not None:
            wanted = np.zeros(len(self._live), dtype=bool)
            wanted[self._slots[allowed.numpy()]] = True
        scores, slots = self._nearest(flat, count, level, None if wanted.all() or not self.filters else wanted)
        good = slots >= 0
        slots = np.where(good, slots, 0)
        good &= wanted[slots] if len(wanted) else False
        places = self._places[slots] if len(wanted) else slots
        if unwanted is not None:
            good &= ~self._unwanted(places, np.repeat(rows, asked.shape[1]), unwanted)
        enough = (good.sum(1) >= min(k, int(wanted.sum()))).reshape(len(asked), -1).all(1)
        values = torch.from_numpy(np.where(good, scores, -np.inf).astype(np.float32)).reshape(len(asked), -1)
        keys = keys_of(values, torch.from_numpy(places).reshape(len(asked), -1))
        if asked.shape[1] > 1:
            keys = _each_once(keys)
        if keys.shape[1] < k:
            nothing = keys_of(torch.full((len(asked), k), -torch.inf), torch.zeros(1, dtype=torch.int64))
            keys = torch.cat([keys, nothing], 1)
        return keys.topk(k, dim=1).values, enough

    def _unwanted(self, places: Slots, rows: Slots, unwanted: Exclusion) -> NDArray[np.bool_]:
        """Return which results (M, count) are excluded for the queries of their rows (M,)."""
        offsets, width = unwanted.offsets.numpy(), len(self)
        here = torch.isin(unwanted.ids, self._ids).numpy()
        queries = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[here]
        taken = queries * width + torch.searchsorted(self._ids, unwanted.ids).numpy()[here]
        return np.isin(places + width * rows[:, None], taken)


def _each_once(keys: Tensor) -> Tensor:
    """Leave of each place in a row its best key, and make the others the worst there is."""
    best_first = keys.sort(1, descending=True).values
    places, order = torch.sort(scores_and_places(best_first)[1], dim=1, stable=True)
    again = torch.zeros_like(best_first, dtype=torch.bool)
    again[:, 1:] = places[:, 1:] == places[:, :-1]
    nothing = keys_of(torch.tensor(-torch.inf), torch.zeros((), dtype=torch.int64))
    return best_first.gather(1, order).masked_fill(again, int(nothing))
