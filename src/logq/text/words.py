"""Checks for lists of words: that they are different strings, and that their counts fit them."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["check_strings", "check_word_counts", "index_words"]


def check_strings(name: str, words: Iterable[Any]) -> list[str]:
    """Return words as a list.

    Raises:
        TypeError: `words` is a single string, or holds something else than strings; the message gives the first.

    Example:
        >>> check_strings("words", ["a", 1])
        Traceback (most recent call last):
        ...
        TypeError: words: expected strings, got 1 (int)
    """
    if isinstance(words, str | bytes):
        raise TypeError(f"{name}: expected a list of words, got the single string {words[:40]!r}")
    checked = list(words)
    for word in checked:
        if not isinstance(word, str):
            raise TypeError(f"{name}: expected strings, got {word!r} ({type(word).__name__})")
    return checked


def index_words(name: str, words: Sequence[str]) -> dict[str, int]:
    """Return the place of each word.

    Raises:
        ValueError: a word is there twice; the message gives the first.

    Example:
        >>> index_words("words", ["a", "rose"])
        {'a': 0, 'rose': 1}
    """
    places = {word: place for place, word in enumerate(words)}
    if len(places) < len(words):
        # The dict keeps the last place of a word, so a word that is not at its own place is there again later.
        twice = next(word for place, word in enumerate(words) if places[word] != place)
        raise ValueError(f"{name}: expected different words, got {twice!r} more than once")
    return places


def check_word_counts(counts: ArrayLike, words: Sequence[str], minimum: int) -> NDArray[np.int64]:
    """Return counts (V,) as int64, one for each of V words.

    Raises:
        TypeError: they are not integers.
        ValueError: there are more or fewer than words, or one is below `minimum`; the message gives the first.

    Example:
        >>> check_word_counts([3, 0], ["a", "rose"], minimum=1)
        Traceback (most recent call last):
        ...
        ValueError: counts: expected integers >= 1, got 0 for 'rose'
    """
    array = np.asarray(counts)
    if array.shape != (len(words),):
        raise ValueError(f"counts: expected shape ({len(words)},), one a word, got {array.shape}")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"counts: expected integers, got dtype {array.dtype}")
    array = array.astype(np.int64)
    if (array < minimum).any():
        where = int((array < minimum).argmax())
        raise ValueError(f"counts: expected integers >= {minimum}, got {array[where]} for {words[where]!r}")
    return array
