"""Ids of users and items as people type them, and the error for an unknown one, which suggests known ones."""

import contextlib
import difflib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logq.logs.identifiers import Identifiers

__all__ = ["UnknownIdError", "known_ids", "typed_ids"]

_COMPARED = 50_000  # ids compared letter by letter; a million would take seconds
_SUGGESTIONS = 5


class UnknownIdError(ValueError):
    """An id was asked about that the log does not have.

    Args:
        ids: the known ids.
        word: what was typed.
        what: "user" or "item".

    Example:
        >>> from logq.logs.identifiers import Identifiers
        >>> print(UnknownIdError(Identifiers(["ann", "bob"]), "anne", "user"))
        'anne' is not among the 2 users of the log; like it are ann
    """

    def __init__(self, ids: "Identifiers", word: str, what: str) -> None:
        super().__init__(word, what)
        self.word, self.what, self.num_known, self._ids = word, what, len(ids), ids

    @cached_property
    def some(self) -> str:
        """Known ids that look like it, or the first ones, as a phrase; computed on demand, as that takes a while."""
        keys = list(map(str, self._ids.keys[:_COMPARED].tolist()))
        word = self.word
        near = difflib.get_close_matches(word, keys, n=_SUGGESTIONS, cutoff=0.7)
        near += [key for key in keys if len(word) > 3 and word.lower() in key.lower() and key not in near]
        if near:
            return f"like it are {', '.join(near[:_SUGGESTIONS])}"
        return f"some of them are {', '.join(keys[:_SUGGESTIONS])}"

    def __str__(self) -> str:
        if not self.num_known:
            return f"the model was saved without its {self.what}s (--no-users); --history asks for a new one"
        return f"{self.word!r} is not among the {self.num_known:,} {self.what}s of the log; {self.some}"


def known_ids(ids: "Identifiers", words: Sequence[str], what: str) -> list[Any]:
    """Read ids as they were typed.

    Args:
        ids: the known ids.
        words: what was typed.
        what: "user" or "item", for the message.

    Raises:
        UnknownIdError: an id is not known; the message has those that look like it.

    Example:
        >>> from logq.logs import Identifiers
        >>> known_ids(Identifiers([10, 20]), ["20"], "item")
        [20]
    """
    found = typed_ids(ids, words)
    for word, value in zip(words, found, strict=True):
        if not isinstance(value, str if ids.kind == "str" else int) or int(ids.codes([value])[0]) < 0:
            raise UnknownIdError(ids, word, what)
    return found


def typed_ids(ids: "Identifiers", words: Sequence[str]) -> list[Any]:
    """Read ids as they were typed, known or not: as integers where those of the log are, and where they can be.

    Example:
        >>> from logq.logs import Identifiers
        >>> typed_ids(Identifiers([10, 20]), ["30", "thirty"])
        [30, 'thirty']
    """
    found: list[Any] = list(words)
    for place, word in enumerate(words):
        if ids.kind == "int":
            with contextlib.suppress(ValueError):
                value = int(word)
                found[place] = value if abs(value) < 1 << 63 else word
    return found
