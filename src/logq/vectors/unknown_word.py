"""The error for a word that is not there, which names the known words that look like it."""

import difflib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

__all__ = ["UnknownWord"]

_LOOKED_AT = 20_000  # words compared letter by letter; comparing a million would take seconds
_SUGGESTIONS = 5


class UnknownWord(KeyError):  # noqa: N818 - named for what happened, like its parent
    """A word was asked for that has no vector.

    Args:
        word: what was asked for.
        known: the words that have one, frequent ones first if possible.

    Example:
        >>> print(UnknownWord("pyhton", ["snake", "python", "Python"]))
        'pyhton' is not among the 3 known words; the closest are python, Python
    """

    def __init__(self, word: str, known: Sequence[str]) -> None:
        super().__init__(word)
        self.word = word
        self.num_known = len(known)
        self._known = known

    @cached_property
    def suggestions(self) -> list[str]:
        """Known words that look like the word, the closest first, at most five.

        Looks at other capitals first, then compares with the first 20,000 words of similar length. That is done when
        it is asked for, so that a loop which catches the error for many words stays fast.
        """
        word = self.word
        folded = word.casefold()
        same = [w for w in self._known if len(w) == len(word) and w.casefold() == folded][:_SUGGESTIONS]
        # Words that share less than half of their letters are no help, nor can they be of very different length.
        similar = (w for w in self._known if len(word) / 2 <= len(w) <= 2 * len(word))
        pool = [w for w, _ in zip(similar, range(_LOOKED_AT), strict=False)]
        return list(dict.fromkeys([*same, *difflib.get_close_matches(word, pool, n=_SUGGESTIONS)]))[:_SUGGESTIONS]

    def __str__(self) -> str:
        sentence = f"{self.word!r} is not among the {self.num_known:,} known words"
        return f"{sentence}; the closest are {', '.join(self.suggestions)}" if self.suggestions else sentence

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled, as between processes, it carries its suggestions and not the whole vocabulary.
        return _restore, (self.word, self.num_known, self.suggestions)


def _restore(word: str, num_known: int, suggestions: list[str]) -> UnknownWord:
    error = UnknownWord(word, ())
    error.num_known = num_known
    error.suggestions = suggestions
    return error
