"""What recommenders by neighbors share: counts of items that go together, and rankings of the items with a score."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq._progress import Progress
from logq.logs.interactions import Interactions
from logq.recommenders.histories import Histories, gather_rows
from logq.recommenders.item_search import ItemSearch, first_left
from logq.recommenders.recommender import Recommender

__all__ = ["CoCounts", "NeighborRecommender", "co_counts", "summed_by_key"]

ENTRIES = 1 << 21
"""Numbers that are added up to scores at a time; a block takes about 100 MB."""

PAIRS = 1 << 22
"""Pairs of items of one user that are counted at a time; a block takes about 200 MB."""


class _Rows(NamedTuple):
    """A sparse matrix of ones, row by row."""

    columns: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, rows: NDArray[np.int64], columns: NDArray[np.int64], height: int) -> "_Rows":
        """Of places whose rows ascend."""
        return cls(columns, np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=height))]))


class CoCounts(NamedTuple):
    """For some items i: how many users did both i and j, for each other item j that anybody did with i.

    Args:
        items: codes of i, ascending.
        others: codes of j, ascending for each i.
        both: number of users, >= 1.
        counts: (C,) number of users of each item.

    Example:
        See co_counts.
    """

    items: NDArray[np.int64]
    others: NDArray[np.int64]
    both: NDArray[np.int64]
    counts: NDArray[np.int64]


def co_counts(log: Interactions, title: str, progress: bool | None = False) -> Iterator[CoCounts]:
    """Count for all pairs of items how many users did both, a block of items at a time.

    The cost is the number of pairs of items of one user; (C, C) numbers are never held.

    Args:
        log: what users did; that one did an item several times is not counted.
        title: of the progress line.
        progress: as for `fit`.

    Example:
        >>> log = Interactions.from_sessions([["tea", "cup"], ["tea", "cup"], ["tea", "saw"]])
        >>> [(i, j, n) for part in co_counts(log, "pairs") for i, j, n in zip(*map(np.ndarray.tolist, part[:3]))]
        [(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 0, 1)]
    """
    num_items = log.num_items
    pairs = np.unique(np.asarray(log.users, dtype=np.int64) * num_items + log.items)
    users, items = np.divmod(pairs, num_items)
    counts = np.bincount(items, minlength=num_items)
    by_user = _Rows.of(users, items, log.num_users)
    order = np.argsort(items, kind="stable")
    by_item = _Rows.of(items[order], users[order], num_items)
    # Users who did an item once more for each item that they did: what an item of the table costs.
    costs = np.bincount(items, weights=np.diff(by_user.offsets)[users], minlength=num_items)
    ends = np.cumsum(costs)
    begin = 0
    with Progress(float(ends[-1]), "pairs", title, progress) as bar:
        while begin < num_items:
            done = ends[begin - 1] if begin else 0.0
            end = max(begin + 1, int(np.searchsorted(ends, done + PAIRS, side="right")))
            yield CoCounts(*_counted(by_item, by_user, begin, end, num_items), counts)
            bar.advance(float(ends[end - 1] - done))
            begin = end


def _counted(
    by_item: _Rows, by_user: _Rows, begin: int, end: int, num_items: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For items begin to end: (item, other item, how many users did both), where any did, by item and other item."""
    users, bounds = gather_rows(*by_item, np.arange(begin, end))
    others, ends = gather_rows(*by_user, users)
    row = np.repeat(np.repeat(np.arange(end - begin), np.diff(bounds)), np.diff(ends))
    keys = row * num_items + others
    if (end - begin) * num_items <= 4 * PAIRS:
        counts = np.bincount(keys, minlength=1)
        found = counts.nonzero()[0]
        counts = counts[found]
    else:
        found, counts = np.unique(keys, return_counts=True)
    rows, items = np.divmod(found, num_items)
    other = items != rows + begin
    return begin + rows[other], items[other], counts[other]


def summed_by_key(
    keys: NDArray[np.int64], weights: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Each key once, ascending, and the sum of its weights.

    Example:
        >>> [part.tolist() for part in summed_by_key(np.array([7, 3, 7]), np.array([0.5, 2.0, 1.0]))]
        [[3, 7], [2.0, 1.5]]
    """
    order = np.argsort(keys, kind="stable")
    keys, ordered = keys[order], weights[order].astype(np.float64)
    if not len(keys):
        return keys, ordered
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[starts], np.add.reduceat(ordered, starts)


class NeighborRecommender(Recommender):
    """A recommender that gives a score to the few items that neighbors lead to.

    All others come after those, the most popular first. A subclass fills in `_sums_of_pairs` and `_costs`.

    Example:
        See logq.recommenders.ItemKNN, which is one.
    """

    has_vectors: ClassVar[bool] = False

    @abstractmethod
    def _sums_of_pairs(self, histories: Histories) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Row x C + item of the items with a score, ascending, each once, and the scores, > 0."""

    @abstractmethod
    def _costs(self, histories: Histories) -> NDArray[np.int64]:
        """(n,) how many numbers `_sums_of_pairs` adds up for each row."""

    def _rank(self, part: Histories, search: ItemSearch) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        k, allow, index, exclude_seen = search
        if index is not None:
            raise self._no_vectors()
        scores = np.empty((len(part), k), dtype=np.float32)
        codes = np.empty((len(part), k), dtype=np.int64)
        popularity, fallback = self.known.popularity, self.known.by_popularity
        last = popularity * np.float32(1e-6 / max(1.0, popularity[fallback[0]]))
        if allow is not None:
            fallback = fallback[allow[fallback]]
        ends = np.cumsum(self._costs(part))
        begin = 0
        while begin < len(part):
            done = ends[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, done + ENTRIES, side="right")))
            found = self._best(part.part(begin, end), k, exclude_seen, allow, last, fallback)
            scores[begin:end], codes[begin:end] = found
            begin = end
        return scores, codes

    def _best(
        self,
        histories: Histories,
        k: int,
        exclude_seen: bool,
        allow: NDArray[np.bool_] | None,
        last: NDArray[np.float32],
        fallback: NDArray[np.int64],
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and codes (n, k) of the best items, of which only those with a score are looked at.

        Args:
            histories: of n users.
            k: how many.
            exclude_seen: leave out what a history has.
            allow: (C,), which items may be found.
            last: (C,) what is added to each score: items without a score come last, and the most popular of
                them first.
            fallback: the items that may be found by descending `last`.
        """
        num_items = self.known.num_items
        keys, sums = self._sums_of_pairs(histories)
        row, item = np.divmod(keys, num_items)
        keeps = np.ones(len(keys), dtype=np.bool_) if allow is None else allow[item]
        seen = np.repeat(np.arange(len(histories)), histories.lengths) * num_items + histories.items
        if exclude_seen and len(seen):
            seen = np.unique(seen)
            keeps &= seen[np.minimum(np.searchsorted(seen, keys), len(seen) - 1)] != keys
        row, item, sums = row[keeps], item[keeps], (sums.astype(np.float32) + last[item])[keeps]
        order = np.lexsort((-last[item], -sums, row))
        row, item, sums = row[order], item[order], sums[order]
        bounds = np.searchsorted(row, np.arange(len(histories) + 1))
        place = np.arange(len(row)) - bounds[row]
        scores = np.full((len(histories), k), -np.inf, dtype=np.float32)
        codes = np.full((len(histories), k), -1, dtype=np.int64)
        kept = place < k
        scores[row[kept], place[kept]], codes[row[kept], place[kept]] = sums[kept], item[kept]
        short = np.flatnonzero(np.diff(bounds) < k)
        if len(short):
            used = keys if not exclude_seen else np.union1d(keys, seen)
            owner, taken = np.divmod(used, num_items)
            ends = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(histories)))])
            taken, ends = gather_rows(taken, ends, short)
            more = first_left(fallback, taken, ends, k, num_items)
            has = np.diff(bounds)[short, None]
            columns = np.arange(k)
            behind = columns >= has
            filled = np.take_along_axis(more, np.maximum(columns - has, 0), axis=1)
            codes[short] = np.where(behind, filled, codes[short])
            scores[short] = np.where(behind & (filled >= 0), last[filled], scores[short])
        return scores, codes
