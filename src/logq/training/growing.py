"""The vocabulary of a model that goes on learning from new text."""

import numpy as np

from logq.data import EncodedCorpus, Vocabulary

__all__ = ["grown_vocabulary"]


def grown_vocabulary(known: Vocabulary, counted: EncodedCorpus, max_new: int | None = None) -> Vocabulary:
    """Return the known words and those of a new text, most frequent first, with the counts of both added up.

    Every known word stays, however rare it is.

    Args:
        known: the words so far.
        counted: the new text, encoded with a vocabulary of its own.
        max_new: the most words that there may be in all, unless more are known.

    Example:
        >>> from logq.data import encode
        >>> with encode([["b", "b", "c"]], min_count=1) as text:
        ...     grown = grown_vocabulary(Vocabulary(["a", "b"], [4, 3]), text)
        >>> grown.index_to_key, grown.counts.tolist()
        (['b', 'a', 'c'], [5, 4, 1])
    """
    counts = dict(zip(known.index_to_key, known.counts.tolist(), strict=True))
    room = None if max_new is None else max(0, max_new - len(known))
    for word, count in zip(counted.vocabulary.index_to_key, counted.counts.tolist(), strict=True):
        if word in counts:
            counts[word] += count
        elif room is None or room > 0:
            counts[word] = count
            room = None if room is None else room - 1
    words = list(counts)
    values = np.array([counts[word] for word in words], dtype=np.int64)
    order = np.argsort(-values, kind="stable")
    return Vocabulary([words[place] for place in order], values[order], raw_words=known.raw_words + counted.raw_words)
