"""StartingVectors: vectors that words start from instead of random ones, and words whose vectors stay as they are."""

import contextlib
import os
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq._mapped_file import release_mapped
from logq.text import CharacterNgrams, Vocabulary
from logq.text.words import check_strings
from logq.training.checkpoint import fingerprint
from logq.vectors import KeyedVectors
from logq.vectors.subwords import Subwords
from logq.word2vec.engines import Engine

__all__ = ["StartingVectors"]

_ROWS = 1 << 16
"""That are looked at in one go."""


class StartingVectors:
    """What `fit` is to start from.

    Args:
        initial: vectors, or a path to some; None for none.
        frozen: the words that are held; True for all that `initial` has.
        dim: D.
        ngrams: those that words consist of; None without subwords.
        mapped: whether vectors stay in their file until they are copied, where `KeyedVectors.save` wrote it.

    Attributes:
        started: how many words started from `initial`.
        held: how many are held.

    Raises:
        ArgumentError, ArgumentTypeError: the vectors have another dimension, or an argument is not as described.
        OSError, ValueError: the vectors cannot be read.

    Example:
        >>> given = KeyedVectors(["tea", "cup"], [[1, 0], [0, 1]])
        >>> start = StartingVectors(given, ["tea"], dim=2)
        >>> start.check(Vocabulary(["milk", "tea"], [2, 1]))
        >>> start.started, start.held
        (1, 1)
    """

    def __init__(
        self,
        initial: KeyedVectors | str | os.PathLike[str] | None,
        frozen: Iterable[str] | bool,
        dim: int,
        ngrams: CharacterNgrams | None = None,
        *,
        mapped: bool = False,
    ) -> None:
        given = _read(initial, mapped) if isinstance(initial, str | os.PathLike) else initial
        if given is not None and not isinstance(given, KeyedVectors):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentTypeError("initial", "KeyedVectors, or a path to some", given)
        if given is not None and given.vector_size != dim:
            hint = f"dim={given.vector_size} goes with them"
            raise ArgumentError("initial", f"vectors of {dim} numbers", given.vector_size, hint)
        if frozen is True and given is None:
            raise ArgumentError("frozen", "the words to hold, where no initial vectors are given", True)
        self._given = given
        self._ngrams = ngrams
        self._frozen = frozen if isinstance(frozen, bool) else check_strings("frozen", frozen)
        self.started = self.held = 0

    def check(self, vocabulary: Vocabulary) -> None:
        """Count the words that are in both.

        Raises:
            ArgumentError: a word that is to be held is not learned, or `initial` has none of the words.
        """
        if isinstance(self._frozen, list):
            unknown = next((word for word in self._frozen if word not in vocabulary), None)
            if unknown is not None:
                raise ArgumentError("frozen", "words that are learned", unknown)
        self.started, self.held = len(self._rows(vocabulary)[0]), len(self._held_rows(vocabulary))
        if self._given is not None and not self.started:
            raise ArgumentError("initial", "vectors of some of the words that are learned", Verbatim("none of them"))

    def put_into(self, engine: Engine, vocabulary: Vocabulary) -> None:
        """Replace what the words start from.

        Raises:
            ArgumentError: a vector in a mapped file is not finite, which is not seen when it is opened.
        """
        here, there = self._rows(vocabulary)
        if self._given is not None:
            ordered = np.sort(there)  # as they lie in the file
            for begin in range(0, len(ordered), _ROWS):
                rows = ordered[begin : begin + _ROWS]
                finite = np.isfinite(self._given.vectors[rows]).all(axis=1)
                if not finite.all():
                    got = Verbatim(f"others for {self._given.index_to_key[int(rows[finite.argmin()])]!r}")
                    raise ArgumentError("initial", "vectors of finite numbers", got)
                release_mapped(self._given.vectors)
            self._put_ngrams(engine, self._given.subwords)
            engine.put_words(here, self._given.vectors, there)

    def _put_ngrams(self, engine: Engine, given: Subwords | None) -> None:
        """Replace the n-grams of an engine with subwords, where the given ones have the same numbers."""
        if given is None or engine.parts is None or given.ngrams != self._ngrams:
            return
        rows = given.rows_of(engine.parts.buckets)
        there = np.flatnonzero(rows >= 0)
        engine.put_vectors(engine.parts.num_words + there, given.vectors[rows[there]].astype(np.float32, copy=False))

    def hold(self, engine: Engine, vocabulary: Vocabulary) -> None:
        """Hold rows of an engine as they are by now."""
        engine.hold(self._held_rows(vocabulary))

    @property
    def is_given(self) -> bool:
        """Whether anything was asked for."""
        return self._given is not None or bool(self._frozen)

    def fingerprint(self) -> str:
        """Return a hash of all this, by a look at all vectors."""
        words = self._frozen if isinstance(self._frozen, list) else []
        if self._given is None:
            return fingerprint(words)
        return fingerprint(
            [*self._given.index_to_key, *words], self._given.vectors, numbers=[int(self._frozen is True)]
        )

    def describe(self, vocabulary: Vocabulary) -> str:
        """What is given, as a sentence."""
        parts = [f"{self.started:,} of {len(vocabulary):,} words start from given vectors"] if self._given else []
        if self._given and self._ngrams and self._given.subwords:
            same = self._given.subwords.ngrams == self._ngrams
            parts.append("and so do their n-grams" if same else "their n-grams do not, as the given ones are others")
        if self.held:
            parts.append(f"{self.held:,} are held" if parts else f"{self.held:,} of {len(vocabulary):,} words are held")
        return ", ".join(parts)

    def _rows(self, vocabulary: Vocabulary) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of words in both, here and there."""
        known = {} if self._given is None else self._given.key_to_index
        there = np.fromiter((known.get(word, -1) for word in vocabulary.index_to_key), np.int64, len(vocabulary))
        here = np.flatnonzero(there >= 0)
        return here, there[here]

    def _held_rows(self, vocabulary: Vocabulary) -> NDArray[np.int64]:
        if isinstance(self._frozen, list):
            return np.array([vocabulary.key_to_index[word] for word in dict.fromkeys(self._frozen)], dtype=np.int64)
        return self._rows(vocabulary)[0] if self._frozen else np.zeros(0, dtype=np.int64)


def _read(path: str | os.PathLike[str], mapped: bool) -> KeyedVectors:
    if mapped:
        with contextlib.suppress(ArgumentError):  # it is not a file that can be mapped
            return KeyedVectors.load(path, mmap=True)
    return KeyedVectors.load(path)
