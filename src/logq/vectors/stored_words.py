"""StoredWords: the words of a file as they lie there, of which one is found or read without the others."""

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from logq._files import DamagedFileError

__all__ = ["StoredWords"]


class StoredWords(Sequence[str]):
    """V words as UTF-8 bytes one after the other; a million of them are no million strings.

    A word is found by one look at the lengths of all and at some bytes of those that have its length, a few
    milliseconds for a million. That they differ is seen when one is looked for, not when they are read.

    Args:
        path: of the file that they are from, for messages.
        joined: the bytes of all, uint8.
        offsets: (V + 1,) int64, where each begins and the last one ends, ascending; into `joined`.

    Example:
        >>> words = StoredWords("file", np.frombuffer("teaöl".encode(), np.uint8), np.array([0, 3, 6]))
        >>> list(words), words[1], words.find("öl"), words.find("te")
        (['tea', 'öl'], 'öl', 1, None)
    """

    def __init__(self, path: str | os.PathLike[str], joined: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        self.path = os.fspath(path)
        self._joined = joined
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "StoredWords": ...
    def __getitem__(self, index: Any) -> "str | StoredWords":
        if isinstance(index, slice):
            first, end, step = index.indices(len(self))
            if step != 1:
                raise ValueError("expected a slice of words that follow one another")
            return StoredWords(self.path, self._joined, self._offsets[first : max(first, end) + 1])
        at = range(len(self))[index]
        return self._decoded(self._joined[self._offsets[at] : self._offsets[at + 1]].tobytes())

    def __iter__(self) -> Iterator[str]:
        first = int(self._offsets[0])
        text = self._joined[first : self._offsets[-1]].tobytes()
        for begin, end in pairwise((self._offsets - first).tolist()):
            yield self._decoded(text[begin:end])

    def find(self, word: str) -> int | None:
        """Return the position of a word, None if it is not there.

        Raises:
            ValueError: it is there twice.
        """
        try:
            wanted = word.encode("utf-8")
        except UnicodeEncodeError:  # which no word of a file has
            return None
        found = np.flatnonzero(np.diff(self._offsets) == len(wanted))
        starts = self._offsets[found]
        for place, byte in enumerate(wanted):
            same = self._joined[starts + place] == byte
            found, starts = found[same], starts[same]
        if len(found) > 1:
            raise DamagedFileError(f"{self.path}: expected different words, got {word!r} more than once")
        return int(found[0]) if len(found) else None

    def _decoded(self, text: bytes) -> str:
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError:
            raise DamagedFileError(f"{self.path}: the file is damaged, a word in it is not UTF-8") from None
