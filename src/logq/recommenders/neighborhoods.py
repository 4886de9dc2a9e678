"""What recommenders by neighbors share: counts of items that go together, and rankings of the items with a score."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq._progress import Progress
from logq.logs.interactions import Interactions
from logq.recommenders.events.histories import Histories, gather_rows
from logq.recommenders.ranking.item_search import ItemSearch, first_left
from logq.recommenders.ranking.recommender import Recommender

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

    All others come after those, the most popular first. A subclass fills in `_summed` and `_costs`.

    Example:
        See logq.recommenders.ItemKNN, which is one.
    """

    has_vectors: ClassVar[bool] = False

    @abstractmethod
    def _summed(self, histories: Histories) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Row x C + item of the items with a score, ascending, each once, and the scores, > 0."""

    @abstractmethod
    def _costs(self, histories: Histories) -> NDArray[np.int64]:
        """(n,) how many numbers `_summed` adds up for each row."""

    def _rank(self, part: Histories, search: ItemSearch) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return self._rank_scored(part, search, self._summed, self._costs(part))

    def _rank_scored(
        self,
        part: Histories,
        search: ItemSearch,
        summed: Callable[[Histories], tuple[NDArray[np.int64], NDArray[np.float64]]],
        costs: NDArray[np.int64],
        *,
        fill: bool = True,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and codes (n, k) of the best items, of which only those with a score are looked at.

        Args:
            part: histories of n users.
            search: what is searched for.
            summed: gives items and scores, as `_summed` does.
            costs: (n,) how many numbers it adds up for each row.
            fill: let items without a score come after the others, the most popular first, by a number that is too
                small to change the order of the others; otherwise there are fewer.
        """
        if search.where is not None:
            raise self._no_vectors()
        scores = np.full((len(part), search.k), -np.inf, dtype=np.float32)
        codes = np.full((len(part), search.k), -1, dtype=np.int64)
        popularity, fallback = self.known.popularity, self.known.by_popularity
        last = popularity * np.float32(1e-6 / max(1.0, popularity[fallback[0]]))
        if search.allow is not None:
            fallback = fallback[search.allow[fallback]]
        ends = np.cumsum(costs)
        begin = 0
        while begin < len(part):
            done = ends[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, done + ENTRIES, side="right")))
            rows = part.part(begin, end)
            keys, sums = summed(rows)
            row, item = np.divmod(keys, self.known.num_items)
            added = sums.astype(np.float32) + (last[item] if fill else 0)
            seen = self._seen(rows) if search.exclude_seen else keys[:0]
            keeps = ~np.isin(keys, seen)
            if search.allow is not None:
                keeps &= search.allow[item]
            row, item, added = row[keeps], item[keeps], added[keeps]
            order = np.lexsort((-last[item], -added, row))
            row, item, added = row[order], item[order], added[order]
            number = np.bincount(row, minlength=len(rows))
            place = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number)
            kept = place < search.k
            at = (begin + row[kept], place[kept])
            scores[at], codes[at] = added[kept], item[kept]
            short = np.flatnonzero(number < search.k)
            if fill and len(short):
                owner, taken = np.divmod(np.union1d(keys, seen), self.known.num_items)
                bounds = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(rows)))])
                more = first_left(fallback, *gather_rows(taken, bounds, short), search.k, self.known.num_items)
                row, column = np.nonzero(np.arange(search.k) < search.k - number[short, None])
                filled, at = more[row, column], (begin + short[row], number[short[row]] + column)
                codes[at], scores[at] = filled, np.where(filled >= 0, last[filled], -np.inf)
            begin = end
        return scores, codes

    def _seen(self, histories: Histories) -> NDArray[np.int64]:
        """Row x C + item of what histories have."""
        owners = np.repeat(np.arange(len(histories)), histories.lengths)
        return np.unique(owners * self.known.num_items + histories.items)
