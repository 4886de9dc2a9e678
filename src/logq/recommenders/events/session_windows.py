"""Sessions as corpora whose words are items, and the windows around each position as training examples."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import logq.text as text  # both load what is asked of them, which a model without `pretrain` is spared
import logq.word2vec as word2vec
from logq._arguments import ArgumentError, Verbatim, check_int
from logq._launch import each_alone
from logq.logs import sessions
from logq.logs.interactions import Interactions

__all__ = ["Windows", "first_vectors", "session_corpus"]


def session_corpus(
    log: Interactions, *, gap: float | None = None, shuffle: int | None = None
) -> "tuple[NDArray[np.int64], text.EncodedCorpus]":
    """The sessions of a log as a corpus, and the item that each of its words is: those with an event.

    Args:
        log: the log.
        gap: the longest pause within a session, in the unit of the log's times; None for no limit.
        shuffle: a seed by which the events of each session lose their order; None keeps it.

    Raises:
        ValueError: no session has two events.

    Example:
        >>> log = Interactions.from_sessions([["tea", "milk"], ["milk", "salt"]])
        >>> codes, corpus = session_corpus(log)
        >>> with corpus:
        ...     log.item_ids.keys_of(codes).tolist(), corpus.vocabulary.counts.tolist()
        (['milk', 'tea', 'salt'], [2, 1, 1])
    """
    counts = log.item_counts()
    codes = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    words = np.full(log.num_items, -1, dtype=np.int32)
    words[codes] = np.arange(len(codes))
    offsets, items = sessions(log, gap=gap), np.asarray(log.items)
    if not (np.diff(offsets) > 1).any():
        raise ArgumentError("log", "a session of two events or more", Verbatim("none: there is nothing to learn from"))
    if shuffle is not None:
        session = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        items = items[np.lexsort((np.random.default_rng(shuffle).random(len(items)), session))]
    vocabulary = text.Vocabulary([str(code) for code in codes.tolist()], counts[codes])
    return codes, text.encode_ids(words[items], offsets, vocabulary)


def first_vectors(
    log: Interactions, dim: int, *, epochs: int, seed: int, progress: bool | None = None
) -> NDArray[np.float32]:
    """Vectors of items that a model may start from: those of skip-gram over what users did, by the compiled engine.

    Each column has mean 0, and all of them together the variance 1 / D. Items without an event get zeros.

    Args:
        log: what to learn from.
        dim: D.
        epochs: passes over the log.
        seed: of everything random.
        progress: as for `fit`.

    Returns:
        (C, D).

    References:
        Covington et al., RecSys 2016, section 3.2, whose embeddings are learned "inspired by continuous bag of words".

    Example:
        >>> log = Interactions.from_sessions([["tea", "milk", "cup"], ["nut", "oil", "salt"]] * 20)
        >>> first_vectors(log, 8, epochs=10, seed=1, progress=False).shape
        (6, 8)
    """
    codes, corpus = session_corpus(log)
    options: dict[str, Any] = {"window": 10, "num_sampled": 5, "sample": 0.0, "min_count": 1, "lr": 0.05}
    engine = word2vec.Word2Vec(dim, **options, epochs=epochs, seed=seed)
    with corpus, each_alone():  # what processes do together is not what one would do, to the bit
        engine.fit(corpus, progress=progress)
    learned = engine.vectors.vectors - engine.vectors.vectors.mean(axis=0)
    found = np.zeros((log.num_items, dim), np.float32)
    found[codes] = learned / max(float(learned.std()), 1e-12) / dim**0.5
    return found


class Windows:
    """Examples of skip-gram: an item, and those around it in its sentence.

    Position i of the sentences sees the items at most r_i away, r_i uniform in 1..window, and what `also` says of it.
    Nothing but the sentences is stored: windows are gathered when a batch is asked for.

    Args:
        items: (n,) codes, one sentence after the other.
        offsets: (sentences + 1,) where each sentence begins, and n.
        window: the widest reach.
        seed: of the reaches.
        also: (n,) one more item that each position sees wherever it is, -1 for none; None for none at all.
        groups: (C,) the group of each item, for "group" in batches: that of the item in the middle.

    Example:
        >>> windows = Windows(np.array([5, 6, 7, 8]), np.array([0, 3, 4]), window=1, seed=1)
        >>> len(windows), windows.batch([1])["history"].tolist(), windows.batch([1])["targets"].tolist()
        (3, [[6]], [[5, 7]])
    """

    def __init__(
        self,
        items: NDArray[np.integer[Any]],
        offsets: NDArray[np.integer[Any]],
        *,
        window: int,
        seed: int,
        also: NDArray[np.integer[Any]] | None = None,
        groups: NDArray[np.int64] | None = None,
    ) -> None:
        self.window = check_int("window", window)
        self._items = np.ascontiguousarray(items, dtype=np.int32)
        self._groups = groups
        self._also = None if also is None else np.ascontiguousarray(also, dtype=np.int32)
        # How many items of the sentence are before and behind a position, as far as the window goes.
        lengths = np.diff(offsets)
        position = np.arange(len(items)) - np.repeat(offsets[:-1], lengths)
        reach = np.random.default_rng(seed).integers(1, window, size=len(items), endpoint=True, dtype=np.int16)
        self._before = np.minimum(position, reach).astype(np.int16)
        self._behind = np.minimum(np.repeat(lengths, lengths) - 1 - position, reach).astype(np.int16)
        sees = (self._before > 0) | (self._behind > 0)
        if self._also is not None:
            sees |= self._also >= 0
        self._positions = np.flatnonzero(sees)

    def __len__(self) -> int:
        """Return how many positions see anything."""
        return len(self._positions)

    def lengths(self, indices: ArrayLike | None = None) -> NDArray[np.int64]:
        """How long the history of each example is, or of each of these numbers: one item."""
        return np.ones(len(self) if indices is None else np.asarray(indices).shape, dtype=np.int64)

    def batch(self, indices: ArrayLike) -> dict[str, NDArray[Any]]:
        """The examples of some numbers.

        Returns:
            "history" (B, 1), the items in the middle; "targets" (B, 2 window [+ 1]), those around, -1 where there is
            none; "user" (B,), -1; "group" (B,) where there are groups.
        """
        positions = self._positions[np.asarray(indices)]
        steps = np.concatenate([np.arange(-self.window, 0), np.arange(1, self.window + 1)])
        inside = (steps >= -self._before[positions, None]) & (steps <= self._behind[positions, None])
        around = np.where(inside, self._items[np.where(inside, positions[:, None] + steps, 0)], -1)
        middle = self._items[positions].astype(np.int64)
        of_groups = {} if self._groups is None else {"group": self._groups[middle]}
        columns = [around] if self._also is None else [around, self._also[positions, None]]
        return {
            "history": middle[:, None],
            "targets": np.concatenate(columns, axis=1).astype(np.int64),
            "user": np.full(len(positions), -1, dtype=np.int64),
            **of_groups,
        }
