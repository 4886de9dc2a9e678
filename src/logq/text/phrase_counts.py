"""Candidates for phrases: pairs of words that follow one another, counted in bounded memory, and their scores."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MOST_CONNECTORS",
    "SCORINGS",
    "THRESHOLDS",
    "CountedPairs",
    "Middles",
    "PairCounter",
    "PairCounts",
    "Pairs",
    "count_pairs",
    "find_pairs",
    "score_pairs",
]


Ids32 = NDArray[np.int32]


Ids64 = NDArray[np.int64]


MOST_CONNECTORS = 64
"""Words with more connector words in a row between them are no candidate."""


_MOST_MIDDLES = 1 << 20


_LARGEST_KEY = 2**63 - 1


class Middles:
    """Numbers for what can stand between the two words of a phrase: 0 for nothing, others for rows of connector words.

    A row is the row without its last word, and that word; so all rows of a text get their numbers in as many steps as
    the longest has words.

    Args:
        num_words: V, ids are below it.

    Attributes:
        limit: the most rows, such that (row, word, word) fits into an int64.

    Example:
        >>> middles = Middles(num_words=10)
        >>> middles.add([7, 8]), middles.add([7]), middles.words(2)
        (2, 1, (7, 8))
    """

    def __init__(self, num_words: int) -> None:
        self.num_words = num_words
        self.limit = min(_MOST_MIDDLES, _LARGEST_KEY // max(num_words, 1) ** 2)
        self._numbers: dict[int, int] = {}
        self._steps: list[int] = [0]

    def add(self, words: Iterable[int]) -> int:
        """Return the number of a row of connector words, a new one if there is none; -1 if there are too many."""
        number = 0
        for word in words:
            number = self._step(number * self.num_words + word, grow=True)
            if number < 0:
                break
        return number

    def words(self, number: int) -> tuple[int, ...]:
        """Return the row of a number."""
        row: list[int] = []
        while number:
            number, word = divmod(self._steps[number], self.num_words)
            row.append(word)
        return tuple(reversed(row))

    def find(self, ids: Ids32, places: Ids64, gaps: Ids64, *, grow: bool) -> Ids64:
        """Return the number of the row of gaps[i] words behind each place; -1 where there is none.

        Args:
            ids: the text.
            places: of the words in front of the rows.
            gaps: the lengths of the rows.
            grow: give numbers to rows that have none.
        """
        numbers = np.zeros(len(places), np.int64)
        numbers[gaps > MOST_CONNECTORS] = -1
        open_rows, step = np.flatnonzero((gaps > 0) & (numbers == 0)), 1
        while len(open_rows):
            last = ids[places[open_rows] + step]
            rows, which = np.unique(numbers[open_rows] * self.num_words + last, return_inverse=True)
            found = np.array([self._step(row, grow) for row in rows.tolist()], np.int64)
            numbers[open_rows] = found[which]
            open_rows = open_rows[(gaps[open_rows] > step) & (numbers[open_rows] > 0)]
            step += 1
        return numbers

    def _step(self, row: int, grow: bool) -> int:
        number = self._numbers.get(row, -1)
        if number < 0 and grow and len(self._steps) < self.limit:
            number = self._numbers[row] = len(self._steps)
            self._steps.append(row)
        return number


_BUFFER = 1 << 22  # keys to collect before they are sorted


class PairCounter:
    """Counts of keys in bounded memory, in sorted arrays: 16 bytes a different key, and as much again for a moment.

    Args:
        most: how many different keys to hold, None for any number. When there are more, those that came once are
            dropped, the next time those that came up to twice since they were last dropped, and so on.

    Attributes:
        keys: (K,) different keys, sorted.
        counts: (K,) how often each came.
        pruned: how many were dropped.

    Example:
        >>> counter = PairCounter()
        >>> counter.add(np.array([5, 3, 5]))
        >>> counter.finish()
        >>> counter.keys, counter.counts
        (array([3, 5]), array([1, 2]))
    """

    def __init__(self, most: int | None = None) -> None:
        self.keys: Ids64 = np.empty(0, np.int64)
        self.counts: Ids64 = np.empty(0, np.int64)
        self.pruned = 0
        self._most = most
        self._floor = 1
        self._buffer: list[Ids64] = []
        self._waiting = 0

    def add(self, keys: Ids64) -> None:
        """Count keys."""
        self._buffer.append(keys)
        self._waiting += len(keys)
        if self._waiting >= _BUFFER:
            self.finish()

    def finish(self) -> None:
        """Bring what was counted into the table."""
        if not self._waiting:
            return
        new = np.concatenate(self._buffer)
        self._buffer, self._waiting = [], 0
        new.sort()
        new, new_counts = _runs(new)
        # Both are sorted: what is known is added, what is not goes in between. Sorting them together takes more memory.
        at = np.searchsorted(self.keys, new)
        known = at < len(self.keys)
        known[known] = self.keys[at[known]] == new[known]
        self.counts[at[known]] += new_counts[known]
        at, new, new_counts = at[~known], new[~known], new_counts[~known]
        self.keys = np.insert(self.keys, at, new)
        self.counts = np.insert(self.counts, at, new_counts)
        while self._most is not None and len(self.keys) > self._most:
            kept = self.counts > self._floor
            self.pruned += len(kept) - int(np.count_nonzero(kept))
            self.keys, self.counts = self.keys[kept], self.counts[kept]
            self._floor += 1


def _runs(keys: Ids64) -> tuple[Ids64, Ids64]:
    """Different keys of a sorted array that is not empty, and how often each is there."""
    new = np.empty(len(keys), np.bool_)
    new[0] = True
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    first = np.flatnonzero(new)
    return keys[first], np.diff(first, append=len(keys))


class CountedPairs(NamedTuple):
    """The words and pairs of a text.

    Attributes:
        word_counts: (V,) how often each word occurs.
        pairs: the keys of the pairs, as `find_pairs` has them, and their counts.
        middles: the rows of connector words that the keys speak of.
    """

    word_counts: Ids64
    pairs: PairCounter
    middles: Middles


def count_pairs(
    parts: Iterable[Ids32], num_words: int, is_connector: NDArray[np.bool_] | None, most: int | None
) -> CountedPairs:
    """Count words and pairs of a text that comes in parts, cut anywhere.

    Args:
        parts: ids in [0, num_words), -1 behind each sentence.
        num_words: V.
        is_connector: (V + 1,), see `find_pairs`.
        most: how many different pairs to hold, see `PairCounter`.

    Example:
        >>> counted = count_pairs([np.array([0, 1, 0], np.int32), np.array([1, -1], np.int32)], 2, None, None)
        >>> counted.word_counts, counted.pairs.keys, counted.pairs.counts
        (array([2, 2]), array([1, 2]), array([2, 1]))
    """
    word_counts = np.zeros(num_words, np.int64)
    counter, middles = PairCounter(most), Middles(num_words)
    rest = np.empty(0, np.int32)  # the last word that may be the first of a pair, and connector words behind it
    for part in parts:
        word_counts += np.bincount(part[part >= 0], minlength=num_words)
        ids = np.concatenate([rest, part])
        places, keys = find_pairs(ids, is_connector, middles, grow=True)
        counter.add(keys[keys >= 0])
        rest = ids[places[-1] :] if len(places) else ids[:0]
        if len(rest) > MOST_CONNECTORS + 1:
            rest = ids[:0]
    counter.finish()
    return CountedPairs(word_counts, counter, middles)


class Pairs(NamedTuple):
    """The candidates of a part of a text.

    Attributes:
        places: (P,) where words stand that are no connector words, and ends of sentences.
        keys: (P - 1,) (row x V + first word) x V + second word of each two that follow one another, -1 for none.
    """

    places: Ids64
    keys: Ids64


def find_pairs(ids: Ids32, is_connector: NDArray[np.bool_] | None, middles: Middles, *, grow: bool = False) -> Pairs:
    """Return the candidates of a part of a text: any two words of a sentence with only connector words between them.

    Args:
        ids: words, -1 behind each sentence.
        is_connector: (V + 1,) for each id, and last for -1, whether it is a connector word; None if none is.
        middles: numbers of the rows of connector words.
        grow: give numbers to rows that have none.

    Example:
        >>> find_pairs(np.array([1, 2, -1, 3], np.int32), None, Middles(10)).keys
        array([12, -1, -1])
    """
    num_words = middles.num_words
    if is_connector is None:
        places = np.arange(len(ids))
        words = ids.astype(np.int64)
        keys = words[:-1] * num_words + words[1:]
        keys[(words[:-1] < 0) | (words[1:] < 0)] = -1
    else:
        places = np.flatnonzero(~is_connector[ids])
        words = ids[places].astype(np.int64)
        between = middles.find(ids, places[:-1], np.diff(places) - 1, grow=grow)
        keys = (between * num_words + words[:-1]) * num_words + words[1:]
        keys[(words[:-1] < 0) | (words[1:] < 0) | (between < 0)] = -1
    return Pairs(places, keys)


SCORINGS = ("default", "word2phrase", "npmi")
THRESHOLDS = {"default": 10.0, "word2phrase": 100.0, "npmi": 0.5}
"""What a score has to exceed, unless somebody says otherwise."""


class PairCounts(NamedTuple):
    """How often pairs occur, and their words.

    Attributes:
        pair: (K,) of each pair.
        first: (K,) of its first word.
        second: (K,) of its second word.
        num_types: different words and pairs together, connector words left aside.
        num_words: all words of the text, connector words too.
    """

    pair: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    num_types: int
    num_words: int


def score_pairs(scoring: str, counts: PairCounts, min_count: int) -> NDArray[np.float64]:
    """Return the score of each pair, float64.

        default:      (n_ab - min_count) / (n_a n_b) x types of words and pairs        (gensim's)
        word2phrase:  (n_ab - min_count) / (n_a n_b) x words of the text               (word2phrase.c's)
        npmi:         ln(p_ab / (p_a p_b)) / -ln p_ab, p = n / words of the text; -inf where n_ab < min_count

    Args:
        scoring: one of these names.
        counts: of K pairs.
        min_count: the discount of the first two, the smallest count of the third.

    References:
        Mikolov et al., Distributed Representations of Words and Phrases and their Compositionality, NIPS 2013,
        arXiv:1310.4546, Eq. 6, which leaves the factor out. Bouma, Normalized (Pointwise) Mutual Information in
        Collocation Extraction, GSCL 2009, Eq. 7.

    Example:
        >>> counts = PairCounts(np.array([9]), np.array([10]), np.array([20]), num_types=50, num_words=400)
        >>> [round(float(score_pairs(scoring, counts, min_count=5)[0]), 3) for scoring in SCORINGS]
        [1.0, 8.0, 0.762]
    """
    if scoring != "npmi":
        size = counts.num_types if scoring == "default" else counts.num_words
        product = counts.first.astype(np.float64) * counts.second
        return (counts.pair - min_count) / product * size
    scores = np.full(len(counts.pair), -np.inf)
    often = counts.pair >= min_count
    words = float(counts.num_words)
    p_ab, p_a, p_b = (n[often] / words for n in (counts.pair, counts.first, counts.second))
    # math.log, as numpy's differs from it in the last place: what stands at the threshold must not depend on that.
    scores[often] = [
        math.log(ratio) / -math.log(p) for ratio, p in zip((p_ab / (p_a * p_b)).tolist(), p_ab.tolist(), strict=True)
    ]
    return scores
