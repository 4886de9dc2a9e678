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
        titles: of the items, by code, where they have some.

    Example:
        >>> from logq.logs.identifiers import Identifiers
        >>> print(UnknownIdError(Identifiers(["ann", "bob"]), "anne", "user"))
        'anne' is not among the 2 users of the log; like it are ann
        >>> print(UnknownIdError(Identifiers(["B01", "B02"]), "lion king", "item", ["The Lion King", "Up"]))
        'lion king' is not among the 2 items of the log, which are known by id; like it are B01 (The Lion King)
    """

    def __init__(self, ids: "Identifiers", word: str, what: str, titles: Sequence[str] | None = None) -> None:
        super().__init__(word, what)
        self.word, self.what, self.num_known, self._ids = word, what, len(ids), ids
        self._titles = titles or ()

    @cached_property
    def some(self) -> str:
        """Known ids that look like it, or the first ones, as a phrase; computed on demand, as that takes a while."""
        keys = list(map(str, self._ids.keys[:_COMPARED].tolist()))
        word = self.word
        if self._entitled:
            return f"like it are {', '.join(f'{keys[code]} ({self._titles[code]})' for code in self._entitled)}"
        near = difflib.get_close_matches(word, keys, n=_SUGGESTIONS, cutoff=0.7)
        near += [key for key in keys if len(word) > 3 and word.lower() in key.lower() and key not in near]
        if near:
            return f"like it are {', '.join(near[:_SUGGESTIONS])}"
        return f"some of them are {', '.join(keys[:_SUGGESTIONS])}"

    @cached_property
    def _entitled(self) -> list[int]:
        """Codes of items whose title is what was typed, or has it; the shortest titles first."""
        word = self.word.lower()
        found = [
            code
            for code, title in enumerate(self._titles[:_COMPARED])
            if title and (word in title.lower() if len(word) > 3 else word == title.lower())
        ]
        return sorted(found, key=lambda code: len(self._titles[code]))[:_SUGGESTIONS]

    def __str__(self) -> str:
        if not self.num_known:
            return f"the model was saved without its {self.what}s (--no-users); --history asks for a new one"
        by_id = ", which are known by id" if self._entitled else ""
        return f"{self.word!r} is not among the {self.num_known:,} {self.what}s of the log{by_id}; {self.some}"


def known_ids(ids: "Identifiers", words: Sequence[str], what: str, titles: Sequence[str] | None = None) -> list[Any]:
    """Read ids as they were typed.

    Args:
        ids: the known ids.
        words: what was typed.
        what: "user" or "item", for the message.
        titles: of the items, by code, for the message.

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
            raise UnknownIdError(ids, word, what, titles)
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
