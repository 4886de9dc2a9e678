"""Interaction logs as corpora: sessions are lines, items are words."""

import numpy as np
from numpy.typing import NDArray

from logq.data.logs import Interactions, sessions
from logq.data.text import EncodedCorpus, Vocabulary, encode_ids
from logq.training import Word2Vec

__all__ = ["first_vectors", "session_corpus"]


def session_corpus(
    log: Interactions, *, gap: float | None = None, shuffle: int | None = None
) -> tuple[NDArray[np.int64], EncodedCorpus]:
    """The sessions of a log as a corpus, and for each of its words the item that it stands for: those with an event.

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
        raise ValueError("log: expected a session of two events or more, got none: there is nothing to learn from")
    if shuffle is not None:
        session = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        items = items[np.lexsort((np.random.default_rng(shuffle).random(len(items)), session))]
    vocabulary = Vocabulary([str(code) for code in codes.tolist()], counts[codes])
    return codes, encode_ids(words[items], offsets, vocabulary)


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
    engine = Word2Vec(dim, window=10, sample=0.0, min_count=1, lr=0.05, epochs=epochs, seed=seed)
    with corpus:
        engine.fit(corpus, progress=progress)
    learned = engine.vectors.vectors - engine.vectors.vectors.mean(axis=0)
    found = np.zeros((log.num_items, dim), np.float32)
    found[codes] = learned / max(float(learned.std()), 1e-12) / dim**0.5
    return found
