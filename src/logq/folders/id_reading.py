"""Ids of users and items as people type them, and the error for an unknown one, which suggests known ones."""

import contextlib
import difflib
from collections.abc import Sequence
from typing import Any

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

    Attributes:
        expected: what it should have been, as a phrase.

    Example:
        >>> print(UnknownIdError(Identifiers(["ann", "bob"]), "anne", "user"))
        'anne' is not among the 2 users of the log; like it are ann
    """

    def __init__(self, ids: Identifiers, word: str, what: str) -> None:
        self.word, self.what = word, what
        near = [] if not len(ids) else _near(ids, word)
        some = f"like it are {', '.join(near)}" if near else f"some of them are {', '.join(map(str, ids.keys[:5]))}"
        self.expected = f"one of the {len(ids):,} {what}s of the log; {some}"
        said = f"{word!r} is not among the {len(ids):,} {what}s of the log; {some}"
        if not len(ids):
            self.expected = f"none, as the model was saved without its {what}s"
            said = f"the model was saved without its {what}s (--no-histories); --history asks for a new one"
        super().__init__(said)


def known_ids(ids: Identifiers, words: Sequence[str], what: str) -> list[Any]:
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


def typed_ids(ids: Identifiers, words: Sequence[str]) -> list[Any]:
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


def _near(ids: Identifiers, word: str) -> list[str]:
    keys = list(map(str, ids.keys[:_COMPARED].tolist()))
    near = difflib.get_close_matches(word, keys, n=_SUGGESTIONS, cutoff=0.7)
    more = [key for key in keys if len(word) > 3 and word.lower() in key.lower() and key not in near]
    return near + more[: _SUGGESTIONS - len(near)]
