"""WordTable: words with their vectors, looked up."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, shown
from logq._files import DamagedFileError
from logq.text.words import check_strings, index_words
from logq.vectors.gensim_names import WithGensimNames
from logq.vectors.mapped_tensor import ScaledRows
from logq.vectors.nearest_words import UnknownWord, norms, unit
from logq.vectors.stored_words import StoredWords
from logq.vectors.subwords import Subwords
from logq.vectors.vector_arguments import Vectors, check_rows, read_only, to_array

__all__ = ["WordTable"]

_SOUGHT = 100  # words that are looked for among stored ones, before all get an index, which takes as long


class WordTable(WithGensimNames):
    """What a `KeyedVectors` is: words, their vectors, and the lengths of these."""

    gensim_hints = MappingProxyType(
        {
            "has_index_for": "write: word in vectors",
            "word_vec": "take get_vector(word)",
            "words_closer_than": "it is called closer_than",
            "get_normed_vectors": "divide vectors by their lengths, or take get_vector(word, norm=True) for one",
            "vectors_norm": "divide vectors by their lengths, or take get_vector(word, norm=True) for one",
            "syn0": "it is called vectors",
            "init_sims": "leave it out: lengths are computed once, when the vectors are loaded",
            "fill_norms": "leave it out: lengths are computed once, when the vectors are loaded",
            "index2word": "it is called index_to_key",
            "index2entity": "it is called index_to_key",
            "vocab": "the words are in key_to_index, and how often they occurred in counts",
            "wv": "these are the vectors themselves",
            "get_vecattr": "how often a word occurred is counts[key_to_index[word]]",
            "evaluate_word_pairs": "take logq.evaluation.word_similarity(vectors, logq.evaluation.read_pairs(path))",
            "evaluate_word_analogies": (
                "take logq.evaluation.word_analogies(vectors, logq.evaluation.read_analogies(path))"
            ),
            "add_vector": "take add_vectors([word], [vector]), which returns new ones",
            "intersect_word2vec_format": "give them to fit: Word2Vec(...).fit(text, initial=path, frozen=True)",
            "relative_cosine_similarity": (
                "divide similarity(a, b) by the sum of the cosines that most_similar(a) returns"
            ),
            "wmdistance": "take SentenceVectors(vectors).similarity(a, b), which compares texts by their means",
            "sort_by_descending_frequency": "words keep the order in which they were given",
            "vectors_for_all": "make them: KeyedVectors(words, vectors[words]); most_similar(among=words) needs none",
            "cosine_similarities": "take distances(vector), which are 1 - cosine",
            "norms": "take numpy.linalg.norm(vectors.vectors, axis=1)",
            "unit_normalize_all": "make new ones: KeyedVectors(words, rows), with rows divided by their lengths",
            "set_vecattr": "give counts to KeyedVectors(words, vectors, counts)",
            "similarity_unseen_docs": "take logq.vectors.SentenceVectors(vectors).similarity(a, b)",
            "get_sentence_vector": "take logq.vectors.SentenceVectors(vectors, smoothing=None).encode([words])",
            "vectors_ngrams": "they are subwords.vectors",
            "rank_by_centrality": "sort words by their similarity(...) to get_mean_vector(words)",
        }
    )

    subwords: Subwords | None
    _table: Vectors | ScaledRows
    _stored: StoredWords | None = None
    _sought = 0  # words that were looked for among those that are stored

    @cached_property
    def index_to_key(self) -> list[str]:
        """The words; of a mapped file they are read when all are asked for."""
        assert self._stored is not None  # otherwise they were given
        return list(self._stored)

    @cached_property
    def key_to_index(self) -> dict[str, int]:
        """The index of each word; of a mapped file it is made when all are asked for, or many were looked for."""
        try:
            return index_words("keys", self.index_to_key)
        except ArgumentError as error:
            raise DamagedFileError(f"{self._place}: {error}") from None

    @cached_property
    def vectors(self) -> Vectors:
        """(V, D) float32 or float16, read-only."""
        table = self._table
        return read_only(np.asarray(table)) if isinstance(table, ScaledRows) else table

    @cached_property
    def _norms(self) -> NDArray[np.float64]:
        """The length of each vector, by one look at all of them when it is first needed, if the file has none."""
        lengths = norms(self._table)
        self._check_finite(lengths, slice(None))
        return lengths

    def _check_finite(self, values: NDArray[np.floating], rows: slice | NDArray[np.int64]) -> None:
        """Check what was computed of these rows of a table that may be mapped, and was not looked at before."""
        finite = np.isfinite(values)
        if not finite.all():
            word = self._word(int(np.arange(len(self))[rows][~finite][0]))
            raise ValueError(f"{self._place}: expected finite numbers for {word!r}")

    def _check_rows(self, rows: Sequence[int]) -> None:
        try:
            check_rows(self._table, self._norms, rows)
        except RuntimeError:
            if self._stored is None:
                raise
            raise DamagedFileError(
                f"{self._place}: the file was changed or is damaged, vectors in it do not have their lengths"
            ) from None

    @property
    def _place(self) -> str:
        return "vectors" if self._stored is None else self._stored.path

    @property
    def vector_size(self) -> int:
        """D, the number of dimensions."""
        return int(self._table.shape[1])

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, key: object) -> bool:
        """Whether a word has a vector, be it by its n-grams; those with a vector of their own are in key_to_index."""
        return self._row(key) is not None or (isinstance(key, str) and self._by_ngrams(key) is not None)

    def __getitem__(self, key: str | Iterable[str]) -> Vectors:
        """Return the vector (D,) of a word, or those (n, D) of a list of n words."""
        if isinstance(key, str):
            return self._of_word(key)
        if not isinstance(key, Iterable):
            raise ArgumentTypeError("key", "a word or a list of words", key)
        words = list(key)
        if self.subwords is not None and not all(self._row(word) is not None for word in words):
            return cast("Vectors", np.stack([self._of_word(word) for word in words]))
        return self._table[np.array([self._index(word) for word in words], dtype=np.int64)]

    def get_vector(self, key: str, norm: bool = False) -> Vectors:
        """Return the vector (D,) of a word, scaled to length 1 if `norm` (a zero vector stays zero).

        Raises:
            UnknownWord: the word has no vector.
        """
        vector = self._of_word(key)
        return unit(vector).astype(np.float32) if norm else vector

    def get_index(self, key: str, default: int | None = None) -> int:
        """Return the index of a word, or `default` where it has none and that is given: one look at a mapped file.

        Raises:
            UnknownWord: the word has no vector of its own, and there is no default.

        Example:
            >>> from logq import KeyedVectors
            >>> kv = KeyedVectors(["cat", "dog"], [[1.0], [2.0]])
            >>> kv.get_index("dog"), kv.get_index("cow", -1)
            (1, -1)
        """
        if default is None:
            return self._index(key)
        row = self._row(key)
        return default if row is None else row

    def _index(self, key: Any) -> int:
        if not isinstance(key, str):
            raise ArgumentTypeError("key", "a word", Verbatim(f"{key!r} ({type(key).__name__})"))
        index = self._row(key)
        if index is None:
            raise UnknownWord(key, self._words)
        return index

    def _row(self, key: Any) -> int | None:
        """The row of a word, None if it has none."""
        if self._stored is None or "key_to_index" in vars(self) or not isinstance(key, str):
            return self.key_to_index.get(key)
        self._sought += 1
        return self._stored.find(key) if self._sought <= _SOUGHT else self.key_to_index.get(key)

    def _word(self, row: int) -> str:
        return self._words[row]

    @property
    def _words(self) -> Sequence[str]:
        return self.index_to_key if self._stored is None or "index_to_key" in vars(self) else self._stored

    def _vector(self, name: str, term: Any) -> NDArray[Any]:
        if not isinstance(term, str):
            return self._check_vector(name, term)
        self._check_rows(self._rows_of([term]))
        return self._of_word(term)

    def _of_word(self, key: Any) -> Vectors:
        """The vector (D,) of a word, by its n-grams if it is not known."""
        row = self._row(key) if isinstance(key, str) else None
        if row is None and isinstance(key, str):
            composed = self._by_ngrams(key)
            if composed is not None:
                return composed
        return self._table[self._index(key) if row is None else row]

    def _by_ngrams(self, word: str) -> NDArray[np.float32] | None:
        return None if self.subwords is None else self.subwords.vector(word)

    def _rows_of(self, words: Iterable[str]) -> list[int]:
        """The rows of words that have one."""
        return [row for row in map(self._row, words) if row is not None]

    def _check_vector(self, name: str, vector: Any) -> NDArray[np.float64]:
        array = to_array(name, vector).astype(np.float64)
        if array.shape != (self.vector_size,) or not np.isfinite(array).all():
            raise ArgumentError(name, f"{self.vector_size} finite numbers", Verbatim(f"shape {array.shape}: {array}"))
        return array

    def _known(self, name: str, words: Iterable[str]) -> tuple[list[str], list[str]]:
        """The words that have a vector, and those that have none."""
        listed = check_strings(name, words)
        known = [word for word in listed if word in self]
        self._check_rows(self._rows_of(known))
        if not known:
            got = f"{shown(listed[0])}, which has none" if listed else "none"
            raise ArgumentError(name, "at least one word with a vector", Verbatim(got))
        return known, [word for word in listed if word not in self]
