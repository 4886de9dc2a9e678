"""Candidates for phrases: pairs of words that follow one another, with nothing but connector words between them."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_CONNECTORS", "Middles", "Pairs", "find_pairs"]

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
