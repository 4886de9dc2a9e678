"""The vocabulary of a model that goes on learning from new text."""

import numpy as np

from logq.text import Vocabulary

__all__ = ["grown_vocabulary"]


def grown_vocabulary(known: Vocabulary, new: Vocabulary, *, min_count: int, max_vocab: int | None = None) -> Vocabulary:
    """Return the known words and those of a new text, most frequent first, with the counts of both added up.

    Every known word stays, however rare it is.

    Args:
        known: the words so far.
        new: all words of the new text.
        min_count: how often an unknown one must occur there to be added.
        max_vocab: the most words that there may be in all, unless more are known.

    Example:
        >>> grown = grown_vocabulary(Vocabulary(["a", "b"], [4, 3]), Vocabulary(["b", "c"], [2, 1]), min_count=1)
        >>> grown.index_to_key, grown.counts.tolist()
        (['b', 'a', 'c'], [5, 4, 1])
    """
    counts = dict(zip(known.index_to_key, known.counts.tolist(), strict=True))
    room = float("inf") if max_vocab is None else max_vocab - len(known)
    for word, count in zip(new.index_to_key, new.counts.tolist(), strict=True):
        if word in counts:
            counts[word] += count
        elif room > 0 and count >= min_count:
            counts[word] = count
            room -= 1
    words = list(counts)
    values = np.array([counts[word] for word in words], dtype=np.int64)
    order = np.argsort(-values, kind="stable")
    return Vocabulary([words[place] for place in order], values[order], raw_words=known.raw_words + new.raw_words)
