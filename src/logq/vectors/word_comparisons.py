"""WordComparisons: how near words are to one another, and what several of them have in common."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, Verbatim, check_bool, check_float
from logq._warnings import warn
from logq.text.words import check_strings
from logq.vectors.gensim_names import with_gensim_arguments
from logq.vectors.nearest_words import cosines, norms, unit
from logq.vectors.vector_arguments import listed_terms
from logq.vectors.word_table import WordTable

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["WordComparisons"]

Floats: TypeAlias = NDArray[np.float32]

_PAIR = {"w1": "it is called a here", "w2": "it is called b here"}


class WordComparisons(WordTable):
    """What `KeyedVectors` answers about words that are named."""

    @with_gensim_arguments(**_PAIR)
    def similarity(self, a: str, b: str) -> float:
        """Return the cosine between the vectors of two words.

        Raises:
            UnknownWord: one of them has no vector.
        """
        first, second = (unit(self._of_word(word)) for word in (a, b))
        self._check_rows(self._rows_of((a, b)))
        return float(np.clip(first @ second, -1, 1))

    @with_gensim_arguments(**_PAIR)
    def distance(self, a: str, b: str) -> float:
        """Return 1 - cosine of two words, from 0 to 2."""
        return 1 - self.similarity(a, b)

    def distances(self, word_or_vector: "str | ArrayLike | Tensor", other_words: Iterable[str] = ()) -> Floats:
        """Return 1 - cosine of a word or vector (D,) with other words, (n,) float32; by default with all, (V,)."""
        direction = unit(self._vector("word_or_vector", word_or_vector))
        words = check_strings("other_words", other_words)
        if self.subwords is not None and len(self._rows_of(words)) < len(words):
            vectors = self[words]
            return 1 - cosines(vectors, norms(vectors), direction)
        rows = [self._index(word) for word in words]
        others = rows or slice(None)
        self._check_rows(rows or range(len(self)))
        found = cosines(self._table[others], self._norms[others], direction)
        self._check_finite(found, np.array(rows) if rows else slice(None))
        return 1 - found

    def closer_than(self, key1: str, key2: str) -> list[str]:
        """Return the words that are nearer to `key1` than `key2` is, without `key1` itself, in order of their index."""
        self._of_word(key1)  # a word
        distances, row = self.distances(key1), self._row(key2)
        far = self.distances(key1, [key2])[0] if row is None else distances[row]
        itself = self._rows_of([key1])
        return [self._word(i) for i in (distances < far).nonzero()[0] if i not in itself]

    def rank(self, key1: str, key2: str) -> int:
        """Return the rank of `key2` among the neighbors of `key1`: 1 for the nearest."""
        return len(self.closer_than(key1, key2)) + 1

    def n_similarity(self, ws1: Iterable[str], ws2: Iterable[str]) -> float:
        """Return the cosine between the sums of the vectors of two lists of words; those without a vector are left out.

        Raises:
            ArgumentError: no word of a list has a vector; gensim returns 0 then.
        """
        sums: list[NDArray[np.float64]] = []
        for name, words in (("ws1", ws1), ("ws2", ws2)):
            known, _ = self._known(name, words)
            sums.append(unit(self[known].astype(np.float64).sum(axis=0)))
        return float(np.clip(sums[0] @ sums[1], -1, 1))

    def doesnt_match(self, words: Iterable[str]) -> str:
        """Return the word that is least like the others, with the smallest cosine with the mean of all directions.

        Words without a vector are left out, with a warning that names them.

        Raises:
            ArgumentError: no word has a vector.
        """
        known, unknown = self._known("words", words)
        if unknown:
            named = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
            warn(f"words: {named} have no vector and are left out")
        directions = np.stack([unit(self._of_word(word)) for word in known])
        return known[int(np.argmin(directions @ unit(directions.mean(axis=0))))]

    def most_similar_to_given(self, key1: str, keys_list: Iterable[str]) -> str:
        """Return which of some words is nearest to `key1`; of equally near ones the first.

        Raises:
            UnknownWord: one of them has no vector.
            ArgumentError: there are no words.

        Example:
            >>> from logq import KeyedVectors
            >>> kv = KeyedVectors(["cat", "dog", "car"], [[1.0, 0.2], [0.9, 0.4], [-0.2, 1.0]])
            >>> kv.most_similar_to_given("cat", ["car", "dog"])
            'dog'
        """
        listed = check_strings("keys_list", keys_list)
        if not listed:
            raise ArgumentError("keys_list", "at least one word", Verbatim("none"))
        return listed[int(np.argmin(self.distances(key1, listed)))]

    def get_mean_vector(
        self,
        keys: "Iterable[str | ArrayLike | Tensor]",
        weights: Iterable[float] | None = None,
        pre_normalize: bool = True,
        post_normalize: bool = False,
        ignore_missing: bool = True,
    ) -> Floats:
        """Return the weighted mean of the vectors of words, (D,) float32: sum_i w_i v_i / sum_i |w_i|.

        Args:
            keys: words, or vectors (D,).
            weights: one for each; None for 1.
            pre_normalize: divide the vectors of words by their lengths first; vectors that are given stay as they are.
            post_normalize: divide the mean by its length.
            ignore_missing: leave out words without a vector, instead of raising UnknownWord.

        Raises:
            UnknownWord: a word has no vector, and `ignore_missing` is False.
            ArgumentError: nothing with a weight other than 0 has a vector, where gensim returns zeros; or there are
                more or fewer weights.

        Example:
            >>> from logq import KeyedVectors
            >>> KeyedVectors(["cat", "dog"], [[2.0, 0.0], [0.0, 1.0]]).get_mean_vector(["cat", "dog", "unknown"])
            array([0.5, 0.5], dtype=float32)
        """
        listed = listed_terms("keys", keys)
        factors = [1.0] * len(listed) if weights is None else [check_float("weights", one) for one in weights]
        if len(factors) != len(listed):
            raise ArgumentError("weights", f"{len(listed)} numbers, one for each key", len(factors))
        scaled = check_bool("pre_normalize", pre_normalize)
        check_bool("ignore_missing", ignore_missing)
        total, weight, rows = np.zeros(self.vector_size), 0.0, list[int]()
        for key, factor in zip(listed, factors, strict=True):
            if isinstance(key, str):
                if ignore_missing and key not in self:
                    continue
                found = self._of_word(key)
                rows += self._rows_of([key])
                vector = unit(found) if scaled else found.astype(np.float64)
            else:
                vector = self._check_vector("keys", key)
            total += factor * vector
            weight += abs(factor)
        self._check_rows(rows)
        if weight == 0:
            raise ArgumentError("keys", "at least one word with a vector", Verbatim(f"none of {len(listed)}"))
        mean = total / weight
        return (unit(mean) if check_bool("post_normalize", post_normalize) else mean).astype(np.float32)
