"""Checks of words: sentences are lists of strings, vocabularies have different words, counts fit their words."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, shown
from logq._warnings import warn

__all__ = [
    "LONGEST_WORD",
    "check_sentence",
    "check_sentences",
    "check_strings",
    "check_utf8_form",
    "check_utf8_forms",
    "check_word_counts",
    "has_utf8_form",
    "index_words",
    "is_too_long",
    "is_writable_word",
    "warn_of_odd_text",
]


LONGEST_WORD = 65_536
"""Maximum length of a word in bytes, in texts and in files of vectors."""


def check_sentences(source: object) -> Iterable[Any]:
    """Return a source that is not files, which must be something to iterate over.

    Raises:
        ArgumentTypeError: it is not iterable, or it is text.

    Example:
        >>> check_sentences([["to", "be"]])
        [['to', 'be']]
    """
    if isinstance(source, str | bytes | bytearray) or not isinstance(source, Iterable):
        expected = "a path, a list of paths or lists of words"
        raise ArgumentTypeError("source", expected, Verbatim(type(source).__name__))
    return cast("Iterable[Any]", source)


def check_sentence(sentence: object, number: int) -> list[str]:
    """Return a sentence of `source` as a list; whether its words are strings is not checked.

    Raises:
        ArgumentTypeError: it is a string or not a collection; the message gives its number.

    Example:
        >>> check_sentence("to be", 3)
        Traceback (most recent call last):
        ...
        logq.ArgumentTypeError: source: expected each sentence to be a list of words, got 'to be' as sentence 3
    """
    if isinstance(sentence, str | bytes | Iterator) or not isinstance(sentence, Iterable):
        got = Verbatim(f"{shown(sentence)} as sentence {number}")
        raise ArgumentTypeError("source", "each sentence to be a list of words", got)
    return list(cast("Iterable[str]", sentence))


def check_strings(name: str, words: Iterable[Any]) -> list[str]:
    """Return words as a list.

    Raises:
        ArgumentTypeError: `words` is a single string, or holds something other than strings; the message gives the
            first.

    Example:
        >>> check_strings("words", ["a", 1])
        Traceback (most recent call last):
        ...
        logq.ArgumentTypeError: words: expected strings, got 1 (int)
    """
    if isinstance(words, str | bytes):
        raise ArgumentTypeError(name, "a list of words", Verbatim(f"the single string {words[:40]!r}"))
    checked = list(words)
    for word in checked:
        if not isinstance(word, str):
            raise ArgumentTypeError(name, "strings", Verbatim(f"{word!r} ({type(word).__name__})"))
    return checked


def index_words(name: str, words: Sequence[str]) -> dict[str, int]:
    """Return the position of each word.

    Raises:
        ArgumentError: a word is there twice; the message gives the first.

    Example:
        >>> index_words("words", ["a", "rose"])
        {'a': 0, 'rose': 1}
    """
    positions = {word: position for position, word in enumerate(words)}
    if len(positions) < len(words):
        # The dict keeps the last position of a word, so a word with another one comes again later.
        twice = next(word for position, word in enumerate(words) if positions[word] != position)
        raise ArgumentError(name, "different words", Verbatim(f"{twice!r} more than once"))
    return positions


def check_word_counts(counts: ArrayLike, words: Sequence[str], minimum: int) -> NDArray[np.int64]:
    """Return counts (V,) as int64, one for each of V words.

    Raises:
        ArgumentTypeError: they are not integers.
        ArgumentError: there are more or fewer than words, or one is below `minimum`; the message gives the first.

    Example:
        >>> check_word_counts([3, 0], ["a", "rose"], minimum=1)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: counts: expected integers >= 1, got 0 for 'rose'
    """
    array = np.asarray(counts)
    if array.shape != (len(words),):
        raise ArgumentError("counts", f"shape ({len(words)},), one per word", array.shape)
    if array.size and array.dtype.kind not in "iu":
        raise ArgumentTypeError("counts", "integers", Verbatim(f"dtype {array.dtype}"))
    array = array.astype(np.int64)
    if (array < minimum).any():
        where = int((array < minimum).argmax())
        raise ArgumentError("counts", f"integers >= {minimum}", Verbatim(f"{array[where]} for {words[where]!r}"))
    return array


def has_utf8_form(word: str) -> bool:
    r"""Whether a word can be written as UTF-8: it has no lone surrogates.

    Example:
        >>> has_utf8_form("caf\u00e9"), has_utf8_form("\udc80")
        (True, False)
    """
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_too_long(word: str) -> bool:
    """Whether a word has more than LONGEST_WORD bytes, so that readers of texts would leave it out.

    Example:
        >>> is_too_long("a" * 65_536), is_too_long("a" * 65_537)
        (False, True)
    """
    return 4 * len(word) > LONGEST_WORD and len(word.encode("utf-8", "surrogatepass")) > LONGEST_WORD


def check_utf8_form(name: str, word: str, where: str = "") -> None:
    r"""Check that a word can be written as UTF-8: what is trained is to be saved.

    Raises:
        ArgumentError: it has a lone surrogate, half of a pair that stands for a character.

    Example:
        >>> check_utf8_form("source", "\ud83d", " in sentence 3")
        Traceback (most recent call last):
        ...
        logq.ArgumentError: source: expected words with a UTF-8 form, got '\ud83d' in sentence 3; read the text with ...
    """
    if not has_utf8_form(word):
        hint = "read the text with errors='replace', or leave such words out"
        raise ArgumentError(name, "words with a UTF-8 form", Verbatim(f"{word[:40]!r}{where}"), hint)


def check_utf8_forms(name: str, words: Sequence[str]) -> None:
    r"""Check that each of many words can be written as UTF-8, most of the time by one look at all of them.

    Raises:
        ArgumentError: see check_utf8_form.

    Example:
        >>> check_utf8_forms("words", ["tea", "caf\u00e9"])
    """
    if not has_utf8_form("".join(words)):
        for word in words:
            check_utf8_form(name, word)


def is_writable_word(word: str) -> bool:
    """Whether a word survives in a text file: it is not empty or too long, has no white space and a UTF-8 form.

    Example:
        >>> is_writable_word("new_york"), is_writable_word("new york")
        (True, False)
    """
    return word.split() == [word] and has_utf8_form(word) and not is_too_long(word)


def warn_of_odd_text(invalid_lines: int, long_words: int) -> None:
    """Warn of what in a text was not read as it stands there.

    Example:
        >>> warn_of_odd_text(0, 0)
    """
    if invalid_lines:
        lines = "1 line of the text has" if invalid_lines == 1 else f"{invalid_lines:,} lines of the text have"
        text = f"{lines} bytes that are not UTF-8, read as \N{REPLACEMENT CHARACTER}; give encoding= if it has another"
        warn(text)
    if long_words:
        words = (
            "1 word of more than 65,536 bytes was"
            if long_words == 1
            else (f"{long_words:,} words of more than 65,536 bytes were")
        )
        warn(f"{words} left out of the text")
