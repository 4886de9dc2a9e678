"""One pass through lists of words from Python: numbered as they come, and written as ids."""

from array import array
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from logq.data.text.id_file import IdFile
from logq.data.text.text_scan import END_OF_LINE, Piece
from logq.data.text.words import check_strings

__all__ = ["ListScan"]

_BUFFER = 1 << 20  # ids written at a time


class ListScan:
    """A pass through sentences, each a list of words, and what it found. A word may hold anything, white space too.

    Args:
        ids: where ids go; None only counts.
        known: the number of each word to keep; None numbers all as they come.

    Attributes:
        words: the words in the order in which they came, or those known.
        counts: how often each was there.
        pieces: what was written at a time.
        raw_words: words read.
        num_lines: sentences with ids.

    Raises:
        TypeError: a sentence is no list of words, or a word no string.

    Example:
        >>> scan = ListScan(None)
        >>> for _ in scan.run([["New York", "is", "New York"], []]):
        ...     pass
        >>> scan.words, scan.counts.tolist()
        (['New York', 'is'], [2, 1])
    """

    def __init__(self, ids: IdFile | None, known: Mapping[str, int] | None = None) -> None:
        self.words: list[str] = [] if known is None else list(known)
        self.counts: NDArray[np.int64] = np.zeros(len(self.words), np.int64)
        self.pieces: list[Piece] = []
        self.raw_words = 0
        self.num_lines = 0
        self.invalid_lines = self.long_words = 0  # there are no bytes in a list of words
        self._ids = ids
        self._known = known
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__

    def run(self, sentences: Iterable[Any]) -> Generator[int, None, None]:
        """Read all sentences, and yield now and then how many words were in those since the last time."""
        buffer, told = array("i"), 0
        number = self._numbers.__getitem__ if self._known is None else self._known.get
        for place, sentence in enumerate(sentences):
            words = _words_of(sentence, place)
            before = len(buffer)
            try:
                if self._known is None:
                    buffer.extend(cast("map[int]", map(number, words)))
                else:
                    buffer.extend(self._known_ids(words, cast("Callable[[str], int | None]", number)))
            except TypeError:
                check_strings("source", words)
                raise
            self.raw_words += len(words)
            if len(buffer) > before:
                buffer.append(END_OF_LINE)
                self.num_lines += 1
            if len(buffer) >= _BUFFER:
                self._flush(buffer)
                yield self.raw_words - told
                told = self.raw_words
        self._flush(buffer)
        yield self.raw_words - told

    @staticmethod
    def _known_ids(words: list[str], number: Callable[[str], int | None]) -> list[int]:
        numbers = [number(word) for word in words]
        if None in numbers:
            check_strings("source", words)
        return [each for each in numbers if each is not None]

    def _flush(self, buffer: "array[int]") -> None:
        ids = np.array(buffer, np.int32)
        del buffer[:]
        if self._known is None:
            self.words += check_strings("source", islice(self._numbers, len(self.words), None))
        counts = np.bincount(ids[ids != END_OF_LINE], minlength=len(self.words))
        counts[: len(self.counts)] += self.counts
        self.counts = counts.astype(np.int64)
        if self._ids is not None:
            self._ids.append(ids)
        self.pieces.append(Piece(0, len(ids), 0))


def _words_of(sentence: Any, place: int) -> list[str]:
    if isinstance(sentence, str | bytes | Iterator) or not isinstance(sentence, Iterable):
        shown = repr(sentence)
        raise TypeError(
            f"source: expected each sentence to be a list of words, got "
            f"{shown if len(shown) <= 60 else shown[:57] + '...'} as sentence {place}"
        )
    return list(cast("Iterable[str]", sentence))
