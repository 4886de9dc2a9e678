"""WordTable: words with their vectors, looked up."""

from collections.abc import Iterable
from functools import cached_property
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, shown
from logq.text.words import check_strings
from logq.vectors.gensim_names import WithGensimNames
from logq.vectors.nearest_words import UnknownWord, norms, unit
from logq.vectors.subwords import Subwords
from logq.vectors.vector_arguments import Vectors, check_rows, to_array

__all__ = ["WordTable"]


class WordTable(WithGensimNames):
    """What a `KeyedVectors` is: words, their vectors, and the lengths of these."""

    gensim_hints = MappingProxyType(
        {
            "get_index": "take key_to_index[word], or key_to_index.get(word, default)",
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
        }
    )

    index_to_key: list[str]
    key_to_index: dict[str, int]
    vectors: Vectors
    subwords: Subwords | None

    @cached_property
    def _norms(self) -> NDArray[np.float64]:
        """The length of each vector, by one look at all of them when it is first needed."""
        lengths = norms(self.vectors)
        if not np.isfinite(lengths).all():  # of a mapped table, which nobody has looked at before
            word = self.index_to_key[int((~np.isfinite(lengths)).argmax())]
            place = getattr(self.vectors, "filename", "vectors")
            raise ValueError(f"{place}: expected finite numbers for {word!r}")
        return lengths

    @property
    def vector_size(self) -> int:
        """D, the number of dimensions."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.index_to_key)

    def __contains__(self, key: object) -> bool:
        """Whether a word has a vector, be it by its n-grams; those with a vector of their own are in key_to_index."""
        return key in self.key_to_index or (isinstance(key, str) and self._by_ngrams(key) is not None)

    def __getitem__(self, key: str | Iterable[str]) -> Vectors:
        """Return the vector (D,) of a word, or those (n, D) of a list of n words."""
        if isinstance(key, str):
            return self._of_word(key)
        if not isinstance(key, Iterable):
            raise ArgumentTypeError("key", "a word or a list of words", key)
        words = list(key)
        if self.subwords is not None and not all(word in self.key_to_index for word in words):
            return cast("Vectors", np.stack([self._of_word(word) for word in words]))
        return self.vectors[np.array([self._index(word) for word in words], dtype=np.int64)]

    def get_vector(self, key: str, norm: bool = False) -> Vectors:
        """Return the vector (D,) of a word, scaled to length 1 if `norm` (a zero vector stays zero).

        Raises:
            UnknownWord: the word has no vector.
        """
        vector = self._of_word(key)
        return unit(vector).astype(np.float32) if norm else vector

    def _index(self, key: Any) -> int:
        if not isinstance(key, str):
            raise ArgumentTypeError("key", "a word", Verbatim(f"{key!r} ({type(key).__name__})"))
        index = self.key_to_index.get(key)
        if index is None:
            raise UnknownWord(key, self.index_to_key)
        return index

    def _vector(self, name: str, term: Any) -> NDArray[Any]:
        if not isinstance(term, str):
            return self._check_vector(name, term)
        check_rows(self.vectors, self._norms, self._rows_of([term]))
        return self._of_word(term)

    def _of_word(self, key: Any) -> Vectors:
        """The vector (D,) of a word, by its n-grams if it is not known."""
        if isinstance(key, str) and key not in self.key_to_index:
            composed = self._by_ngrams(key)
            if composed is not None:
                return composed
        return self.vectors[self._index(key)]

    def _by_ngrams(self, word: str) -> NDArray[np.float32] | None:
        return None if self.subwords is None else self.subwords.vector(word)

    def _rows_of(self, words: Iterable[str]) -> list[int]:
        """The rows of words that have one."""
        return [self.key_to_index[word] for word in words if word in self.key_to_index]

    def _check_vector(self, name: str, vector: Any) -> NDArray[np.float64]:
        array = to_array(name, vector).astype(np.float64)
        if array.shape != (self.vector_size,) or not np.isfinite(array).all():
            raise ArgumentError(name, f"{self.vector_size} finite numbers", Verbatim(f"shape {array.shape}: {array}"))
        return array

    def _known(self, name: str, words: Iterable[str]) -> tuple[list[str], list[str]]:
        """The words that have a vector, and those that have none."""
        listed = check_strings(name, words)
        known = [word for word in listed if word in self]
        check_rows(self.vectors, self._norms, self._rows_of(known))
        if not known:
            got = f"{shown(listed[0])}, which has none" if listed else "none"
            raise ArgumentError(name, "at least one word with a vector", Verbatim(got))
        return known, [word for word in listed if word not in self]
