"""`ApproximateIndex`: what indexes by libraries of approximate search share: slots, filters, exclusion, and files."""

import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from logq._arguments import ArgumentError
from logq._files import DamagedFileError, atomic_write
from logq._progress import Progress
from logq.retrieval.exact_index import ExactIndex, keys_of, result_of, scores_and_positions
from logq.retrieval.index_checks import (
    Combine,
    Exclusion,
    Metric,
    Search,
    check_added,
    check_removed,
    check_search,
    positions_in,
)
from logq.retrieval.index_file import check_array, read_index_file, write_index_file
from logq.retrieval.item_index import Ids, ItemIndex, SearchResult, Vectors

__all__ = ["DENSER", "ApproximateIndex"]

Floats: TypeAlias = NDArray[np.float32]
Slots: TypeAlias = NDArray[np.int64]

DENSER: Final[tuple[dict[str, Any], ...]] = (
    {"links": 48, "ef_construction": 256},
    {"links": 64, "ef_construction": 512},
)
"""Options of graphs that find more than those of the defaults, at the price of memory and of time to build."""

_NUMBERS = 1 << 22  # results fetched at a time
_NARROW = 64  # where at most one item in 64 is allowed, the allowed ones are searched exactly
_AT_A_TIME = 1 << 14  # vectors added between two updates of the progress line


class ApproximateIndex(ItemIndex):
    """An index whose library numbers vectors by slots, 0, 1, 2, ... in the order in which they were added.

    A search asks for more than k where items are excluded, and then for more and with more effort for the rows that
    have too few left. A library that cannot filter is also asked for more where an allow-list is given. Rows that have
    too few all the same are compared with all items: of many equal vectors a graph does not reach all.

    Attributes:
        family: the library, with which the names of its kinds begin.
        filters: whether the library can search among allowed slots only.
    """

    family: ClassVar[str]
    filters: ClassVar[bool]

    def __init__(self, kind: str, dim: int, metric: Metric) -> None:
        """Begin without items."""
        self.kind = kind
        self.dim = dim
        self.metric = metric
        self._slot_ids = np.empty(0, dtype=np.int64)  # of every slot
        self._live = np.empty(0, dtype=bool)  # False for removed slots
        self._order()

    @abstractmethod
    def _insert(self, first: int, vectors: Floats) -> None:
        """Add vectors into the slots first, first + 1, ..."""

    @abstractmethod
    def _erase(self, slots: Slots) -> None:
        """Remove slots, if the library can; it does not need to if it filters."""

    @abstractmethod
    def _nearest(
        self, queries: Floats, count: int, level: int, allowed: NDArray[np.bool_] | None
    ) -> tuple[Floats, Slots]:
        """Return scores and slots (M, count), slot -1 where there is none; a higher level is more effort."""

    @abstractmethod
    def _is_exhaustive(self, level: int) -> bool:
        """Return whether more effort than this level would find nothing more."""

    @abstractmethod
    def _vectors_of(self, slots: Slots) -> Floats:
        """Return the vectors in some slots, as precisely as the library stores them."""

    @abstractmethod
    def _to_bytes(self) -> NDArray[np.uint8]:
        """Return the index in the library's own format."""

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """Return what to save in addition."""

    @classmethod
    @abstractmethod
    def _from_bytes(
        cls, data: NDArray[np.uint8], about: Mapping[str, Any], slots: int, live: NDArray[np.int64]
    ) -> Self:
        """Return an index with the part of the library; a ValueError says what does not fit.

        Args:
            data: what `_to_bytes` returned; the library sees it only when each of its lengths and numbers is checked.
            about: the description of the index.
            slots: how many there are.
            live: the slots that hold items.
        """

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
        cpu = torch.device("cpu")
        search = check_search(queries, k, exclude, allow, combine, dim=self.dim, ids=self._ids, device=cpu)
        _, k, exclusion, allowed = search
        if allowed is not None and int(allowed.sum()) * _NARROW <= len(self):
            return result_of(
                self._compared(search, torch.arange(len(search.queries), device="cpu"), combine), self._ids
            )
        asked = search.directions(self.metric, combine)
        keys = torch.empty((len(asked), k), dtype=torch.int64, device="cpu")
        pending = np.arange(len(asked))
        count, level = min(k + (k + 16 if exclusion is not None else 0), max(1, len(self))), 0
        while len(pending):
            last = (count >= len(self) and self._is_exhaustive(level)) or len(self) == 0
            step = max(1, _NUMBERS // (count * asked.shape[1]))
            parts = [pending[start : start + step] for start in range(0, len(pending), step)]
            unfinished: list[Slots] = []
            for rows in parts:
                keys[rows], enough = self._best_of(asked[rows], rows, k, count, level, exclusion, allowed)
                unfinished.append(rows[~enough])
            pending = np.concatenate(unfinished)
            if last:
                if len(pending):
                    keys[pending] = self._compared(search, torch.from_numpy(pending), combine)
                break
            count, level = min(4 * count, max(1, len(self))), level + 1
        return result_of(keys, self._ids)

    def add(self, ids: Ids, vectors: Vectors, *, progress: bool | None = False) -> None:
        """Add items; see `ItemIndex.add`.

        Args:
            ids: (n,) integers >= 0 that are not in the index yet.
            vectors: (n, D).
            progress: True draws a bar, None does so on a terminal and prints lines elsewhere, False is silent.
        """
        new, table = check_added(ids, vectors, self._ids, self.dim, self.metric, torch.device("cpu"))
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
        """Remove items; see `ItemIndex.remove`. Their memory is freed when the index is built again."""
        removed = check_removed(ids, self._ids)
        slots = np.unique(self._slots[torch.searchsorted(self._ids, removed).numpy()])
        self._erase(slots)
        self._live[slots] = False
        self._order()

    @property
    def nbytes(self) -> int:
        """Bytes of the index as the library writes it, which are about those of its memory."""
        return len(self._to_bytes())

    def write_native(self, path: str | os.PathLike[str]) -> None:
        """Write the file that the library itself reads, for programs without logq; its keys are the ids.

        It compares by inner products: of an index with the metric "cosine", vectors are of length 1 there, and queries
        have to be.

        Args:
            path: of the file, which is replaced.

        Raises:
            ArgumentError: ids are not 0 to n - 1 in the order in which they were added, or items were removed.
        """
        if not (self._live.all() and np.array_equal(self._slot_ids, np.arange(len(self._slot_ids)))):
            raise ArgumentError(
                "ids", "0 to n - 1, in this order, none removed, which are the keys in the file", hint="build it again"
            )
        with atomic_write(path) as file:
            file.write(self._to_bytes().data)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the index into a folder; see `ItemIndex.save`."""
        write_index_file(folder, *self._state())

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, check: bool = True) -> Self:
        """Read what `save` wrote; see `ItemIndex.load`."""
        return cls._from_state(folder, *read_index_file(folder, check=check))

    def __reduce__(self) -> tuple[Any, ...]:
        # The library's index cannot be pickled, but its bytes can.
        return type(self)._from_state, ("a pickle", *self._state())

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the arrays of the index, and their description."""
        arrays: dict[str, NDArray[Any]] = {"ids": self._ids.numpy(), "slots": self._slots, "index": self._to_bytes()}
        about = {"kind": self.kind, "metric": self.metric, "dim": self.dim, "items": len(self)}
        return arrays, {**about, "all_slots": len(self._slot_ids), "options": self._options()}

    @classmethod
    def _from_state(
        cls, folder: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]
    ) -> Self:
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
            if not items <= all_slots <= len(data):  # each slot has a byte at least
                raise ValueError(f"expected slots for {items} items, got {all_slots}")
            index = cls._from_bytes(data, about, all_slots, slots)
        except ImportError:
            raise
        except Exception as error:
            raise DamagedFileError(f"{os.fspath(folder)}: the index cannot be read: {error}") from None
        index._slot_ids, index._live = np.full(all_slots, -1, dtype=np.int64), np.zeros(all_slots, dtype=bool)
        index._slot_ids[slots], index._live[slots] = ids, True
        index._order()
        return index

    def _order(self) -> None:
        live = np.flatnonzero(self._live)
        order = np.argsort(self._slot_ids[live], kind="stable")
        self._slots = live[order]  # in the order of ids
        self._ids = torch.from_numpy(self._slot_ids[self._slots])
        self._positions = np.zeros(len(self._live), dtype=np.int64)  # of a slot, in the order of ids
        self._positions[self._slots] = np.arange(len(self._slots))

    def _compared(self, search: Search, rows: Tensor, combine: Combine) -> Tensor:
        """Return the keys (b, k) of the best items for some rows (b,), by comparing them with all that are allowed."""
        among = np.arange(len(self)) if search.allowed is None else np.flatnonzero(search.allowed.numpy())
        exclude = None if search.exclusion is None else search.exclusion.of(rows)
        keys = self._nothing(len(rows), search.k)
        step = max(1, _NUMBERS // self.dim)
        for start in range(0, len(among), step):
            part = among[start : start + step]
            some = ExactIndex(self._vectors_of(self._slots[part]), self._ids[part], metric=self.metric)
            found = some.search(search.queries[rows], search.k, exclude=exclude, combine=combine)
            positions = torch.searchsorted(self._ids, found.ids)
            keys = torch.cat([keys, keys_of(found.scores, positions)], 1).topk(search.k, dim=1).values
        return keys

    @staticmethod
    def _nothing(rows: int, k: int) -> Tensor:
        """Return keys of no items."""
        scores = torch.full((rows, k), -torch.inf, device="cpu")
        return keys_of(scores, torch.zeros(1, dtype=torch.int64, device="cpu"))

    def _best_of(
        self,
        asked: Tensor,  # (b, K, D)
        rows: Slots,  # (b,) their numbers among all queries
        k: int,
        count: int,
        level: int,
        exclusion: Exclusion | None,
        allowed: Tensor | None,  # (n,) bool
    ) -> tuple[Tensor, NDArray[np.bool_]]:
        """Return the keys of the best items (b, k), and which rows have k of them from each of their interests."""
        flat = np.ascontiguousarray(asked.reshape(-1, self.dim).numpy())
        open_slots = self._live
        if allowed is not None:
            open_slots = np.zeros(len(self._live), dtype=bool)
            open_slots[self._slots[allowed.numpy()]] = True
        filtered = None if open_slots.all() or not self.filters else open_slots
        scores, slots = self._nearest(flat, count, level, filtered)
        good = slots >= 0
        slots = np.where(good, slots, 0)
        good &= open_slots[slots] if len(open_slots) else False
        positions = self._positions[slots] if len(open_slots) else slots
        if exclusion is not None:
            good &= ~self._excluded(positions, np.repeat(rows, asked.shape[1]), exclusion)
        enough = (good.sum(1) >= min(k, int(open_slots.sum()))).reshape(len(asked), -1).all(1)
        values = torch.from_numpy(np.where(good, scores, -np.inf).astype(np.float32)).reshape(len(asked), -1)
        keys = keys_of(values, torch.from_numpy(positions).reshape(len(asked), -1))
        if asked.shape[1] > 1:
            keys = _deduplicated(keys)
        if keys.shape[1] < k:
            keys = torch.cat([keys, self._nothing(len(asked), k)], 1)
        return keys.topk(k, dim=1).values, enough

    def _excluded(self, positions: Slots, rows: Slots, exclusion: Exclusion) -> NDArray[np.bool_]:
        """Return which results (M, count) are excluded for the queries of their rows (M,)."""
        offsets, width = exclusion.offsets.numpy(), len(self)
        at, known = positions_in(self._ids, exclusion.ids)
        queries = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[known.numpy()]
        pairs = np.sort(queries * width + at.numpy()[known.numpy()])
        if not len(pairs):
            return np.zeros(positions.shape, dtype=bool)
        asked = positions + width * rows[:, None]
        return pairs[np.minimum(np.searchsorted(pairs, asked), len(pairs) - 1)] == asked


def _deduplicated(keys: Tensor) -> Tensor:
    """Keep the best key of each position in a row, and replace the others by the worst possible key."""
    best_first = keys.sort(1, descending=True).values
    positions, order = torch.sort(scores_and_positions(best_first)[1], dim=1, stable=True)
    again = torch.zeros_like(best_first, dtype=torch.bool)
    again[:, 1:] = positions[:, 1:] == positions[:, :-1]
    nothing = keys_of(torch.tensor(-torch.inf, device="cpu"), torch.zeros((), dtype=torch.int64, device="cpu"))
    return best_first.gather(1, order).masked_fill(again, int(nothing))
