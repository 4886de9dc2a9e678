"""Candidates for phrases: pairs of words that follow one another, counted in bounded memory and scored."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq.text.id_file import Ids32

__all__ = [
    "SCORINGS",
    "THRESHOLDS",
    "ConnectorRuns",
    "CountedPairs",
    "PairCounter",
    "PairCounts",
    "count_pairs",
    "find_pairs",
    "score_pairs",
]

Ids64 = NDArray[np.int64]

SCORINGS = ("default", "word2phrase", "npmi")
THRESHOLDS = {"default": 10.0, "word2phrase": 100.0, "npmi": 0.5}
"""The score that a phrase has to exceed by default."""

MOST_CONNECTORS = 64
"""Maximum number of connector words between the two words of a candidate."""

_MOST_RUNS = 1 << 20  # different runs of connector words
_LARGEST_KEY = 2**63 - 1
_BUFFER = 1 << 22  # keys that are collected before they are sorted


class ConnectorRuns:
    """Numbers for runs of connector words, which may stand between the two words of a phrase; 0 is the empty run.

    A run is the run without its last word, and that word, so all runs of a text are numbered in as many steps as the
    longest has words.

    Args:
        num_words: V, ids are below it.

    Attributes:
        limit: maximum number of runs, such that (run, word, word) fits into an int64.

    Example:
        >>> runs = ConnectorRuns(num_words=10)
        >>> runs.add([7, 8]), runs.add([7]), runs.words(2)
        (2, 1, (7, 8))
    """

    def __init__(self, num_words: int) -> None:
        self.num_words = num_words
        self.limit = min(_MOST_RUNS, _LARGEST_KEY // max(num_words, 1) ** 2)
        self._numbers: dict[int, int] = {}
        self._steps: list[int] = [0]

    def add(self, words: Iterable[int]) -> int:
        """Return the number of a run of connector words, a new one if it has none; -1 if there are too many."""
        number = 0
        for word in words:
            number = self._step(number * self.num_words + word, grow=True)
            if number < 0:
                break
        return number

    def words(self, number: int) -> tuple[int, ...]:
        """Return the words of a run."""
        run: list[int] = []
        while number:
            number, word = divmod(self._steps[number], self.num_words)
            run.append(word)
        return tuple(reversed(run))

    def find(self, ids: Ids32, positions: Ids64, gaps: Ids64, *, grow: bool) -> Ids64:
        """Return the number of the run of gaps[i] words after each position; -1 where it has none.

        Args:
            ids: the text.
            positions: those of the words before the runs.
            gaps: the lengths of the runs.
            grow: give numbers to runs that have none.
        """
        numbers = np.zeros(len(positions), np.int64)
        numbers[gaps > MOST_CONNECTORS] = -1
        unfinished, length = np.flatnonzero((gaps > 0) & (numbers == 0)), 1
        while len(unfinished):
            last = ids[positions[unfinished] + length]
            steps, which = np.unique(numbers[unfinished] * self.num_words + last, return_inverse=True)
            found = np.array([self._step(step, grow) for step in steps.tolist()], np.int64)
            numbers[unfinished] = found[which]
            unfinished = unfinished[(gaps[unfinished] > length) & (numbers[unfinished] > 0)]
            length += 1
        return numbers

    def _step(self, step: int, grow: bool) -> int:
        """Return the number of a run; `step` is (the run without its last word) * V + that word."""
        number = self._numbers.get(step, -1)
        if number < 0 and grow and len(self._steps) < self.limit:
            number = self._numbers[step] = len(self._steps)
            self._steps.append(step)
        return number


class PairCounter:
    """Counts keys in bounded memory, in sorted arrays: 16 bytes for each different key, and briefly as much again.

    Args:
        most: maximum number of different keys to hold, None for any number. When there are more, those that came once
            are dropped, the next time those that came up to twice since they were last dropped, and so on.

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
        """Merge the keys that still wait in the buffer into the counts."""
        if not self._waiting:
            return
        new = np.concatenate(self._buffer)
        self._buffer, self._waiting = [], 0
        new.sort()
        new, new_counts = _unique(new)
        # Counts of known keys are added, new keys are inserted: sorting all of them together takes more memory.
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


def _unique(keys: Ids64) -> tuple[Ids64, Ids64]:
    """Return the different keys of a sorted array that is not empty, and how often each occurs."""
    new = np.empty(len(keys), np.bool_)
    new[0] = True
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    first = np.flatnonzero(new)
    return keys[first], np.diff(first, append=len(keys))


class CountedPairs(NamedTuple):
    """The counts of the words and pairs of a text.

    Attributes:
        word_counts: (V,) how often each word occurs.
        pairs: the keys of the pairs, as `find_pairs` has them, and their counts.
        runs: the runs of connector words that the keys refer to.
    """

    word_counts: Ids64
    pairs: PairCounter
    runs: ConnectorRuns


def count_pairs(
    parts: Iterable[Ids32], num_words: int, is_connector: NDArray[np.bool_] | None, most: int | None
) -> CountedPairs:
    """Count the words and pairs of a text that comes in parts, cut anywhere.

    Args:
        parts: ids in [0, num_words), -1 after each sentence.
        num_words: V.
        is_connector: (V + 1,), see `find_pairs`.
        most: maximum number of different pairs to hold, see `PairCounter`.

    Example:
        >>> counted = count_pairs([np.array([0, 1, 0], np.int32), np.array([1, -1], np.int32)], 2, None, None)
        >>> counted.word_counts, counted.pairs.keys, counted.pairs.counts
        (array([2, 2]), array([1, 2]), array([2, 1]))
    """
    word_counts = np.zeros(num_words, np.int64)
    counter, runs = PairCounter(most), ConnectorRuns(num_words)
    rest = np.empty(0, np.int32)  # the last word that may be the first of a pair, and the connector words after it
    for part in parts:
        word_counts += np.bincount(part[part >= 0], minlength=num_words)
        ids = np.concatenate([rest, part])
        positions, keys = find_pairs(ids, is_connector, runs, grow=True)
        counter.add(keys[keys >= 0])
        rest = ids[positions[-1] :] if len(positions) else ids[:0]
        if len(rest) > MOST_CONNECTORS + 1:
            rest = ids[:0]
    counter.finish()
    return CountedPairs(word_counts, counter, runs)


class Pairs(NamedTuple):
    """The candidates of a part of a text.

    Attributes:
        positions: (P,) of words that are not connector words, and of ends of sentences.
        keys: (P - 1,) (run x V + first word) x V + second word of each two in a row, -1 where they are not a candidate.
    """

    positions: Ids64
    keys: Ids64


def find_pairs(ids: Ids32, is_connector: NDArray[np.bool_] | None, runs: ConnectorRuns, *, grow: bool = False) -> Pairs:
    """Return the candidates of a part of a text: any two words of a sentence with only connector words between them.

    Args:
        ids: words, -1 after each sentence.
        is_connector: (V + 1,) for each id, and last for -1, whether it is a connector word; None if there are none.
        runs: the numbers of runs of connector words.
        grow: give numbers to runs that have none.

    Example:
        >>> find_pairs(np.array([1, 2, -1, 3], np.int32), None, ConnectorRuns(10)).keys
        array([12, -1, -1])
    """
    num_words = runs.num_words
    if is_connector is None:
        positions = np.arange(len(ids))
        words = ids.astype(np.int64)
        keys = words[:-1] * num_words + words[1:]
        keys[(words[:-1] < 0) | (words[1:] < 0)] = -1
    else:
        positions = np.flatnonzero(~is_connector[ids])
        words = ids[positions].astype(np.int64)
        between = runs.find(ids, positions[:-1], np.diff(positions) - 1, grow=grow)
        keys = (between * num_words + words[:-1]) * num_words + words[1:]
        keys[(words[:-1] < 0) | (words[1:] < 0) | (between < 0)] = -1
    return Pairs(positions, keys)


class PairCounts(NamedTuple):
    """How often pairs and their words occur.

    Attributes:
        pair: (K,) of each pair.
        first: (K,) of its first word.
        second: (K,) of its second word.
        num_types: different words and pairs together, without connector words.
        num_words: all words of the text, including connector words.
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
    # math.log, as numpy's differs in the last digit, on which a score at the threshold must not depend.
    scores[often] = [
        math.log(ratio) / -math.log(p) for ratio, p in zip((p_ab / (p_a * p_b)).tolist(), p_ab.tolist(), strict=True)
    ]
    return scores
