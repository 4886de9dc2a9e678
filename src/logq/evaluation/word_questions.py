"""The words of a test set that have a vector, found with or without regard to case."""

import numpy as np
from numpy.typing import NDArray

from logq._arguments import check_bool, check_int
from logq.vectors import KeyedVectors

__all__ = ["KnownWords"]


class KnownWords:
    """The words that take part in an evaluation, found with or without regard to case.

    Test sets write Athens, corpora are often in lower case. Without regard to case a word stands for the first one with
    the same upper case form, which is the most frequent one where words are sorted by frequency.

    Args:
        vectors: the words.
        restrict_vocab: number of words, from the first, that take part; None takes all.
        case_insensitive: compare upper case forms.

    Attributes:
        size: number of words that take part.
        first: (size,) int64, for each of them the row of the first word that is the same to this evaluation.

    Raises:
        ArgumentTypeError: `restrict_vocab` is not an integer, or `case_insensitive` not a bool.
        ArgumentError: `restrict_vocab` is below 1.

    Example:
        >>> known = KnownWords(KeyedVectors(["rose", "Rose", "tea"], [[1.0], [2.0], [3.0]]))
        >>> known.find("ROSE"), known.find("coffee"), known.first.tolist()
        (0, None, [0, 0, 2])
    """

    def __init__(
        self, vectors: KeyedVectors, *, restrict_vocab: int | None = None, case_insensitive: bool = True
    ) -> None:
        self._folds = check_bool("case_insensitive", case_insensitive)
        words = vectors.index_to_key
        if restrict_vocab is not None:
            words = words[: check_int("restrict_vocab", restrict_vocab)]
        self.size = len(words)
        self._words, self._vectors = words, vectors
        self._by_ngrams = vectors.subwords is not None and restrict_vocab is None
        self._rows: dict[str, int] = {}
        self.first: NDArray[np.int64] = np.fromiter(
            (self._rows.setdefault(self._form(word), row) for row, word in enumerate(words)), np.int64, self.size
        )

    def find(self, word: str) -> int | None:
        """Return the row of a word, or None if it does not take part."""
        return self._rows.get(self._form(word))

    def word(self, word: str) -> str | None:
        """Return the word that stands for a word; one that is not known stands for itself if its n-grams have vectors.

        Without regard to case that is its lower case form.
        """
        row = self.find(word)
        if row is not None:
            return self._words[row]
        lower = word.lower() if self._folds else word
        return lower if self._by_ngrams and lower in self._vectors else None

    def _form(self, word: str) -> str:
        return word.upper() if self._folds else word
