"""SessionKNN: what came in the sessions most similar to the current one; V-SKNN (2018) and STAN (2019)."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from logq.logs import sessions
from logq.logs.interactions import Interactions
from logq.recommenders.events.held_out import HeldOut
from logq.recommenders.events.histories import Histories, gather_rows
from logq.recommenders.neighborhoods import NeighborRecommender, summed_by_key
from logq.recommenders.neural.neural_config import Gap
from logq.recommenders.ranking.item_search import ItemSearch
from logq.training.config import Above, AtLeast, Help, OneOf, TriedValues, configclass
from logq.training.estimator import FitOptions
from logq.training.options import DeviceConfig

__all__ = ["SessionKNN", "SessionKNNConfig"]


@configclass(group="Model")
class SessionKNNConfig(DeviceConfig):
    """The arguments of SessionKNN.

    Example:
        >>> SessionKNNConfig("vsknn").neighbors
        100
    """

    kind: Annotated[str, OneOf("stan", "vsknn"), Help("How sessions are compared and items weighted")] = field(
        default="stan", kw_only=False
    )
    neighbors: Annotated[
        int, AtLeast(1), TriedValues(50, 2000), Help("Number of similar sessions that items come from.")
    ] = 100
    recent: Annotated[
        int, AtLeast(1), Help("Number of sessions that are compared: the most recent ones that share an item.")
    ] = 2500
    max_length: Annotated[
        int, AtLeast(1), Help("Maximum length of the current session; the most recent events count.")
    ] = 50
    position_decay: Annotated[
        float,
        Above(0),
        TriedValues(0.5, 10),
        Help("Events back in the current session after which an item weighs 1/e, for stan."),
    ] = 2.0
    time_decay: Annotated[
        float | None,
        Above(0),
        Help(
            "Age of a session at which it weighs 1/e, for stan; {none} weighs all ages alike.",
            more="In the unit of the log's times; in sessions where it has none.",
            none="0",
        ),
    ] = None
    distance_decay: Annotated[
        float,
        Above(0),
        Help("Events away from the shared item in a similar session at which an item weighs 1/e, for stan."),
    ] = 4.0
    gap: Gap = None


class SessionKNN(SessionKNNConfig, NeighborRecommender):
    """Scores an item by the similar sessions that have it.

        score(i | s) = sum over the `neighbors` sessions n most similar to s that have i:  sim(s, n) v(i | s, n)

    The current session s has different items j, done last b_j events before its end; L is its length. Of all sessions
    that share an item with s, the `recent` most recent are compared; j* is the shared item that s did last, and p_n(i)
    the last position of i in n, which has |n| different items.

        vsknn:  sim = sum over j in s and n:  (L - b_j) / L
                v = 1
        stan:   sim = sum over j in s and n:  exp(-b_j / position_decay) / sqrt |n|  *  exp(-age of n / time_decay)
                v = exp(-|p_n(i) - p_n(j*)| / distance_decay)

    Scores are relative to the most similar session of s, whose sim counts as 1: factors that are the same for all n,
    such as the norm of s in the cosine of STAN and the time of s in its age, make no difference. Equal similarities are
    decided by what is more recent.

    Sessions are those of columns["session"], and end after a pause of `gap`; without both, all that a user did is one.
    A history that is asked about is a current session; those of the same user in the log are not its neighbors. Where
    the log has no times, its order counts, that of the first event of its users. `similar_items` compares the sets of
    sessions that have an item, by cosine. Nothing is trained: the model is the log, and cannot be saved without its
    users.

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described. `fit` raises ArgumentError for a gap where
            the log has no times.

    References:
        Ludewig and Jannach, Evaluation of Session-based Recommendation Algorithms, UMUAI 2018, arXiv:1803.09587.
        Garg et al., Sequence and Time Aware Neighborhood for Session-based Recommendations: STAN, SIGIR 2019.

    Example:
        >>> log = Interactions.from_sessions([["tea", "milk", "cup"], ["tea", "milk"], ["nail", "saw"]])
        >>> model = SessionKNN("vsknn").fit(log)
        >>> found = model.recommend(histories=["tea"], k=2)  # both sessions are as similar
        >>> found.items.tolist(), found.scores.round(2).tolist()
        (['milk', 'cup'], [2.0, 1.0])
    """

    needs_users: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        empty = np.zeros(0, dtype=np.int64)
        self._sessions = _Sessions(empty, empty, np.zeros(1, dtype=np.int64), empty, np.zeros(0))
        self._inverted = _Inverted(empty, empty, np.zeros(1, dtype=np.int64))
        self._owned = empty

    def _fit(self, log: Interactions, validation: HeldOut | None, options: FitOptions) -> None:
        self._settle(_Sessions.of(log, self.gap))

    def _settle(self, found: "_Sessions") -> None:
        self._sessions, self._inverted = found, _Inverted.of(found, self.known.num_items)
        self._owned = np.bincount(found.owners, minlength=self.known.num_users)  # (U,) number of sessions

    def _costs(self, histories: Histories) -> NDArray[np.int64]:
        items = histories.padded(self.max_length)
        listed = np.minimum(np.diff(self._inverted.offsets), self.recent)
        shared = np.where(items >= 0, listed[items], 0).sum(axis=1)
        mean = len(self._sessions.items) / max(1, len(self._sessions.owners))
        return shared + (np.minimum(shared, self.neighbors) * mean).astype(np.int64)

    def _summed(self, histories: Histories) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        log, stan = self._sessions, self.kind == "stan"
        row, session, similarity, position = self._neighbors(histories)
        items, offsets = gather_rows(log.items, log.offsets, session)
        number = np.diff(offsets)
        weights = np.repeat(similarity, number)
        if stan:
            away = np.abs(gather_rows(log.positions, log.offsets, session)[0] - np.repeat(position, number))
            weights *= np.exp(-away / self.distance_decay)
        return summed_by_key(np.repeat(row, number) * self.known.num_items + items, weights)

    def _neighbors(self, histories: Histories) -> "_Neighbors":
        """The most similar sessions of each row, the most similar one first."""
        log, stan = self._sessions, self.kind == "stan"
        of_row, items, back = self._current(histories)
        if stan:
            weights = np.exp(-back / self.position_decay)
        else:
            weights = (np.minimum(histories.lengths, self.max_length)[of_row] - back).astype(np.float64)
        # Of the most recent sessions that share any item, each is among the most recent of each item that it has.
        own = np.append(self._owned, 0)[histories.users]  # none of nobody, whose code is -1
        at, lengths = self._inverted.first(items, self.recent + own[of_row])
        row, weights = np.repeat(of_row, lengths), np.repeat(weights, lengths)
        session, position = self._inverted.sessions[at], self._inverted.positions[at]
        others = (log.owners[session] != histories.users[row]) | (histories.users[row] < 0)
        row, session, position, weights = row[others], session[others], position[others], weights[others]
        # The items of a row are in the order in which it did them, the last one first, and the sort is stable.
        keys = row * len(log.owners) + session
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
        similarity = np.add.reduceat(weights[order], starts) if len(starts) else weights[:0]
        last = order[starts]
        row, session, position = row[last], session[last], position[last]
        recent = _places(row) < self.recent  # sessions are numbered by how recent they are
        row, session, position, similarity = row[recent], session[recent], position[recent], similarity[recent]
        if stan:
            similarity = similarity / np.sqrt(np.diff(log.offsets)[session])
            if self.time_decay is not None:
                newest = np.full(len(histories), -np.inf)
                np.maximum.at(newest, row, log.times[session])
                similarity = similarity * np.exp((log.times[session] - newest[row]) / self.time_decay)
        order = np.lexsort((session, -similarity, row))
        order = order[_places(row[order]) < self.neighbors]
        row, session, position, similarity = row[order], session[order], position[order], similarity[order]
        best = np.ones(len(histories))
        first = np.flatnonzero(np.diff(row, prepend=-1))
        best[row[first]] = similarity[first]
        return _Neighbors(row, session, similarity / best[row], position)

    def _current(self, histories: Histories) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Row, item and the number of events after it, for each different item, the last one of a row first."""
        padded = histories.padded(self.max_length)
        row, column = (padded >= 0).nonzero()
        items, back = padded[row, column], np.minimum(histories.lengths, self.max_length)[row] - 1 - column
        order = np.lexsort((back, row))
        row, items, back = row[order], items[order], back[order]
        kept = np.sort(np.unique(row * self.known.num_items + items, return_index=True)[1])
        return row[kept], items[kept], back[kept]

    def _similar(
        self, vectors: Tensor | None, own: NDArray[np.int64] | None, search: ItemSearch
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        assert own is not None
        alone = Histories(own, np.arange(len(own) + 1), np.full(len(own), -1))
        mean = len(self._sessions.items) / max(1, len(self._sessions.owners))
        costs = np.ceil(np.diff(self._inverted.offsets)[own] * mean).astype(np.int64)
        return self._rank_scored(alone, search._replace(exclude_seen=True), self._cosines, costs, fill=False)

    def _cosines(self, alone: Histories) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """For histories of one item each: row x C + other item, and the cosine of the sets of their sessions."""
        log, number = self._sessions, np.diff(self._inverted.offsets)
        at, lengths = self._inverted.first(alone.items, number[alone.items])
        items, bounds = gather_rows(log.items, log.offsets, self._inverted.sessions[at])
        row = np.repeat(np.repeat(np.arange(len(alone)), lengths), np.diff(bounds))
        keys, both = summed_by_key(row * self.known.num_items + items, np.ones(len(items)))
        row, items = np.divmod(keys, self.known.num_items)
        return keys, both / np.sqrt(number[alone.items[row]] * number[items])

    def state(self) -> dict[str, NDArray[Any]]:
        """The sessions, the most recent one first, as arrays by name."""
        return dict(self._sessions._asdict())

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` returned."""
        found = _Sessions(**{name: state[name] for name in _Sessions._fields})
        found.check(self.known.num_items, self.known.num_users)
        self._settle(found)


class _Neighbors(NamedTuple):
    """Pairs of a row and a session: how similar they are, and where in the session the last shared item is."""

    rows: NDArray[np.int64]
    sessions: NDArray[np.int64]
    similarities: NDArray[np.float64]
    positions: NDArray[np.int64]


class _Sessions(NamedTuple):
    """Sessions, the most recent one first: the different items of each, and the last position of each item."""

    items: NDArray[np.int64]
    positions: NDArray[np.int64]
    offsets: NDArray[np.int64]
    owners: NDArray[np.int64]
    """Codes of their users."""
    times: NDArray[np.float64]
    """Of their last events, or their numbers where the log has no times."""

    @classmethod
    def of(cls, log: Interactions, gap: float | None) -> "_Sessions":
        """Cut a log into sessions."""
        bounds = sessions(log, gap=gap)
        number, lengths = len(bounds) - 1, np.diff(bounds)
        times = np.arange(number) if log.timestamps is None else np.asarray(log.timestamps)[bounds[1:] - 1]
        order = np.lexsort((np.arange(number), times))[::-1]
        places = np.empty(number, dtype=np.int64)
        places[order] = np.arange(number)
        session = np.repeat(places, lengths)
        position = np.arange(len(log)) - np.repeat(bounds[:-1], lengths)
        # Of events of a session with an item the last one, as unique takes the first.
        keys, last = np.unique((session * log.num_items + log.items)[::-1], return_index=True)
        rows, items = np.divmod(keys, log.num_items)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=number))])
        owners = np.asarray(log.users, dtype=np.int64)[bounds[:-1]][order]
        return cls(items, position[::-1][last], offsets, owners, times[order].astype(np.float64))

    def check(self, num_items: int, num_users: int) -> None:
        """Check arrays of a file.

        Raises:
            ValueError: they do not belong together.
        """
        number = len(self.owners)
        if self.offsets.shape != (number + 1,) or self.times.shape != (number,):
            raise ValueError(f"expected 'offsets' and 'times' of {number} sessions, as 'owners' are")
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.items) or (np.diff(self.offsets) < 0).any():
            raise ValueError("expected 'offsets' that rise from 0 to the number of items")
        if self.positions.shape != self.items.shape or self.items.ndim != 1:
            raise ValueError("expected 'items' and 'positions' of the same length")
        for name, codes, size in (("items", self.items, num_items), ("owners", self.owners, num_users)):
            if codes.dtype != np.int64 or (codes < 0).any() or (codes >= size).any():
                raise ValueError(f"expected {name!r} to be codes of {size}, int64")


class _Inverted(NamedTuple):
    """The sessions of each item, the most recent one first, and the last position of the item in each."""

    sessions: NDArray[np.int64]
    positions: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, found: _Sessions, num_items: int) -> "_Inverted":
        """Turn sessions of items into items with sessions."""
        order = np.argsort(found.items, kind="stable")
        session = np.repeat(np.arange(len(found.owners)), np.diff(found.offsets))
        offsets = np.concatenate([[0], np.cumsum(np.bincount(found.items, minlength=num_items))])
        return cls(session[order], found.positions[order], offsets)

    def first(self, items: NDArray[np.int64], number: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the first sessions of some items are, one item after the other, and how many each has."""
        starts = self.offsets[items]
        lengths = np.minimum(self.offsets[items + 1] - starts, number)
        begins = np.cumsum(lengths) - lengths
        return np.arange(int(lengths.sum())) + np.repeat(starts - begins, lengths), lengths


def _places(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each entry within its row, of rows that ascend."""
    return np.arange(len(rows)) - np.searchsorted(rows, rows)
