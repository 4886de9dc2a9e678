"""Search among the users of a log: by the vectors of what they want, or by the items that they have in common."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from logq.evaluation.ranking_ties import tie_order
from logq.recommenders.events.histories import Histories, gather_rows
from logq.recommenders.events.known_log import KnownLog
from logq.recommenders.ranking.item_search import NUMBERS, UntiedIndex

__all__ = ["UserSearch", "UserSets", "UserVectors"]


class UserSearch(Protocol):
    """Finds users of a log that are like others.

    Example:
        See UserSets, which is one.
    """

    def search(
        self, request: Histories, queries: Tensor | None, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Cosines and codes (n, k) of the users that are most like those of a request, without these themselves."""
        ...


class UserVectors:
    """Users compared by their vectors, of which each has K.

        s(u, v) = max over i, j <= K of cos(q_ui, q_vj)

    Args:
        vectors: (m, D) or (m, K, D), of those users that have any.
        users: (m,) their codes, ascending.
        places: (U,) the place of each user among equal ones.

    Example:
        >>> import torch
        >>> vectors = UserVectors(torch.eye(3)[:, :2] + 0.5, np.arange(3), np.arange(3))
        >>> vectors.search(Histories(np.array([0]), np.array([0, 1]), np.array([0])), torch.tensor([[1.5, 0.5]]), 1)[1]
        array([[2]])
    """

    def __init__(self, vectors: Tensor, users: NDArray[np.int64], places: NDArray[np.int64]) -> None:
        self._users = users
        self._per_user = vectors.shape[1] if vectors.ndim == 3 else 1
        rank = np.argsort(np.argsort(places[users]))
        own = rank[:, None] * self._per_user + np.arange(self._per_user)
        self._index = UntiedIndex(vectors.reshape(-1, vectors.shape[-1]), own.ravel(), "cosine")

    def search(
        self, request: Histories, queries: Tensor | None, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See UserSearch; `queries` are the vectors of the request."""
        assert queries is not None
        many, count = self._per_user, len(self._users)
        at = np.searchsorted(self._users, request.users)
        known = self._users[np.minimum(at, count - 1)] == request.users
        exclude = (at[known][:, None] * many + np.arange(many)).ravel(), np.append(0, np.cumsum(known * many))
        # A user may be found by each of their vectors: the best k * K of all are those of k users at least.
        scores, found = self._index.search(queries, min(k, count) * many, exclude=exclude)
        users = np.where(found >= 0, self._users[np.maximum(found, 0) // many], -1)
        return _first_of_each(scores, users, k)


class UserSets:
    """Users compared by which items they did, however often.

        s(u, v) = |I_u and I_v| / sqrt( |I_u| |I_v| )

    The cost of a request is the number of users of each item of its history.

    Args:
        known: what a recommender remembers of its log.

    Example:
        >>> from logq.logs import Interactions
        >>> log = Interactions.from_sessions([["tea", "cup"], ["tea", "cup", "nut"], ["nut"]])
        >>> known = KnownLog.of(log)
        >>> cosines, users = UserSets(known).search(known.histories([0]), None, 2)
        >>> users.tolist(), cosines.round(2).tolist()
        ([[1, -1]], [[0.8199999928474426, -inf]])
    """

    def __init__(self, known: KnownLog) -> None:
        self._num_items, self._num_users = known.num_items, known.num_users
        self._places = tie_order(known.user_ids.keys)
        users = np.repeat(np.arange(known.num_users), np.diff(known.offsets))
        users, items = np.divmod(np.unique(users * known.num_items + known.items), known.num_items)
        self._sizes = np.bincount(users, minlength=known.num_users)
        order = np.argsort(items, kind="stable")
        self._users_of = users[order]
        self._offsets = np.searchsorted(items[order], np.arange(known.num_items + 1))

    def search(
        self, request: Histories, queries: Tensor | None, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See UserSearch."""
        scores = np.full((len(request), k), -np.inf, dtype=np.float32)
        codes = np.full((len(request), k), -1, dtype=np.int64)
        costs = np.append(0, np.cumsum(np.diff(self._offsets)[request.items]))[request.offsets]
        begin = 0
        while begin < len(request):
            end = max(begin + 1, int(np.searchsorted(costs, costs[begin] + NUMBERS, side="right")) - 1)
            scores[begin:end], codes[begin:end] = self._best(request.part(begin, end), k)
            begin = end
        return scores, codes

    def _best(self, part: Histories, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        rows = np.repeat(np.arange(len(part)), part.lengths)
        rows, items = np.divmod(np.unique(rows * self._num_items + part.items), self._num_items)
        others, ends = gather_rows(self._users_of, self._offsets, items)
        keys, both = np.unique(np.repeat(rows, np.diff(ends)) * self._num_users + others, return_counts=True)
        row, user = np.divmod(keys, self._num_users)
        other = user != part.users[row]
        row, user, both = row[other], user[other], both[other]
        sizes = np.bincount(rows, minlength=len(part))
        cosines = (both / np.sqrt(sizes[row] * self._sizes[user])).astype(np.float32)
        order = np.lexsort((self._places[user], -cosines, row))
        row, user, cosines = row[order], user[order], cosines[order]
        return _table(row, user, cosines, len(part), k)


def _first_of_each(
    scores: NDArray[np.float32], users: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rankings (n, k) in which each user comes once, of those (n, m) that may have one several times."""
    rows = np.broadcast_to(np.arange(len(users))[:, None], users.shape)
    keys = (rows * (users.max(initial=0) + 1) + users)[users >= 0]
    first = np.sort(np.unique(keys, return_index=True)[1])
    there = users >= 0
    return _table(rows[there][first], users[there][first], scores[there][first], len(users), k)


def _table(
    rows: NDArray[np.int64],  # ascending
    codes: NDArray[np.int64],
    scores: NDArray[np.float32],
    count: int,
    k: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The first k entries of each row as a table (count, k)."""
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = place < k
    at = (rows[kept], place[kept])
    found = np.full((count, k), -np.inf, dtype=np.float32), np.full((count, k), -1, dtype=np.int64)
    found[0][at], found[1][at] = scores[kept], codes[kept]
    return found
