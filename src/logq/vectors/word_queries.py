"""The questions that word vectors answer: neighbors, analogies, similarities, under the names known from gensim."""

import warnings
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int, shown
from logq.text.words import check_strings
from logq.vectors.gensim_names import WithGensimNames, with_gensim_arguments
from logq.vectors.nearest_words import UnknownWord, cosine_products, cosines, highest, norms, unit
from logq.vectors.subwords import Subwords
from logq.vectors.vector_arguments import (
    Vectors,
    check_rows,
    check_topn,
    check_weight,
    listed_terms,
    to_array,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["WordQueries"]

Floats: TypeAlias = NDArray[np.float32]
Nearest: TypeAlias = list[tuple[str, float]]
Term: TypeAlias = "str | NDArray[Any] | Tensor | tuple[Any, float]"


_PAIR = {"w1": "it is called a here", "w2": "it is called b here"}
_ALL = "leave it out; restrict_vocab=N takes the first N words only"


class WordQueries(WithGensimNames):
    """What `KeyedVectors` answers, from its words, its vectors and their lengths."""

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
            "most_similar_to_given": "take min(words, key=lambda word: vectors.distance(key, word))",
            "get_mean_vector": "take vectors[words].mean(axis=0)",
            "add_vector": "make new ones: KeyedVectors(keys, vectors)",
            "add_vectors": "make new ones: KeyedVectors(keys, vectors)",
        }
    )

    index_to_key: list[str]
    key_to_index: dict[str, int]
    vectors: Vectors
    subwords: Subwords | None
    _norms: NDArray[np.float64]

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

    @with_gensim_arguments(**_PAIR)
    def similarity(self, a: str, b: str) -> float:
        """Return the cosine between the vectors of two words.

        Raises:
            UnknownWord: one of them has no vector.
        """
        first, second = (unit(self._of_word(word)) for word in (a, b))
        check_rows(self.vectors, self._norms, self._rows_of((a, b)))
        return float(np.clip(first @ second, -1, 1))

    @overload
    def most_similar(
        self,
        positive: "Term | Sequence[Term]" = (),
        negative: "Term | Sequence[Term]" = (),
        topn: int = 10,
        *,
        restrict_vocab: int | None = None,
    ) -> Nearest: ...
    @overload
    def most_similar(
        self,
        positive: "Term | Sequence[Term]" = (),
        negative: "Term | Sequence[Term]" = (),
        *,
        topn: None,
        restrict_vocab: int | None = None,
    ) -> Floats: ...
    @with_gensim_arguments(clip_start=_ALL, clip_end=_ALL, indexer="leave it out: every answer is exact")
    def most_similar(
        self,
        positive: "Term | Sequence[Term]" = (),
        negative: "Term | Sequence[Term]" = (),
        topn: int | None = 10,
        *,
        restrict_vocab: int | None = None,
    ) -> "Nearest | Floats":
        """Return the words nearest to a sum: king + woman - man, or the neighbors of a single word.

        Words enter the sum with length 1, vectors as they are. The words of the query are excluded.

        Args:
            positive: what to add: a word, a vector (D,), or a list of words, vectors and (word or vector, weight).
            negative: what to subtract, likewise. A weight is what the vector is multiplied by, so it is below 0 here.
            topn: maximum number of words to return; None returns the cosines of all words, in order of their index.
            restrict_vocab: number of words, from the first, that may be answers; None takes all.

        Returns:
            (word, cosine) pairs, the nearest first; or (V,) float32.

        Raises:
            UnknownWord: a word has no vector.
            ArgumentTypeError: a term is neither a word nor a vector.
            ArgumentError: there is no term, or a vector does not have D finite numbers.

        Example:
            >>> from logq import KeyedVectors
            >>> kv = KeyedVectors(["man", "king", "woman", "queen"], [[0, 1], [1, 1], [0, -1], [1, -1]])
            >>> kv.most_similar(positive=["king", "woman"], negative=["man"], topn=1)[0][0]
            'queen'
        """
        terms = [(1.0, "positive", term) for term in listed_terms("positive", positive)]
        terms += [(-1.0, "negative", term) for term in listed_terms("negative", negative)]
        if not terms:
            raise ArgumentError("positive", "at least one word or vector, here or in negative", Verbatim("none"))
        excluded: list[int] = []
        total = np.zeros(self.vector_size)
        for sign, name, term in terms:
            key, weight = term, sign
            if isinstance(term, tuple) and len(term) == 2:
                key, weight = term[0], check_weight(name, *term)
            if isinstance(key, str):
                excluded += self._rows_of([key])
                total += weight * unit(self._of_word(key))
            else:
                total += weight * self._check_vector(name, key)
        return self._nearest(total, topn, excluded, restrict_vocab)

    @overload
    def similar_by_word(self, word: str, topn: int = 10, restrict_vocab: int | None = None) -> Nearest: ...
    @overload
    def similar_by_word(self, word: str, topn: None, restrict_vocab: int | None = None) -> Floats: ...
    def similar_by_word(
        self, word: str, topn: int | None = 10, restrict_vocab: int | None = None
    ) -> "Nearest | Floats":
        """Return the words nearest to a word, and their cosines: `most_similar(word)`.

        Raises:
            UnknownWord: the word has no vector.
        """
        return self._nearest(unit(self._of_word(word)), topn, self._rows_of([word]), restrict_vocab)

    similar_by_key = similar_by_word

    @overload
    def similar_by_vector(
        self, vector: "ArrayLike | Tensor", topn: int = 10, restrict_vocab: int | None = None
    ) -> Nearest: ...
    @overload
    def similar_by_vector(
        self, vector: "ArrayLike | Tensor", topn: None, restrict_vocab: int | None = None
    ) -> Floats: ...
    def similar_by_vector(
        self, vector: "ArrayLike | Tensor", topn: int | None = 10, restrict_vocab: int | None = None
    ) -> "Nearest | Floats":
        """Return the words nearest to a vector (D,), and their cosines. A word with exactly this vector is among them.

        Raises:
            ArgumentError: the vector does not have D finite numbers.
        """
        return self._nearest(self._check_vector("vector", vector), topn, [], restrict_vocab)

    @overload
    def most_similar_cosmul(
        self,
        positive: "Term | Sequence[Term]" = (),
        negative: "Term | Sequence[Term]" = (),
        topn: int = 10,
        restrict_vocab: int | None = None,
    ) -> Nearest: ...
    @overload
    def most_similar_cosmul(
        self,
        positive: "Term | Sequence[Term]" = (),
        negative: "Term | Sequence[Term]" = (),
        *,
        topn: None,
        restrict_vocab: int | None = None,
    ) -> Floats: ...
    def most_similar_cosmul(
        self,
        positive: "Term | Sequence[Term]" = (),
        negative: "Term | Sequence[Term]" = (),
        topn: int | None = 10,
        restrict_vocab: int | None = None,
    ) -> "Nearest | Floats":
        """Return the words that are near to all of `positive` and far from all of `negative`, and their scores.

            score(x) = prod_p s(x, p) / (prod_n s(x, n) + 0.001),   s = (1 + cos) / 2

        Equivalent to: gensim's, which adds 0.000001, so that scores differ a little.

        Args:
            positive: a word, a vector (D,), or a list of them; at least one.
            negative: likewise, or nothing.
            topn: maximum number of words to return; None returns the scores of all words, (V,) float32.
            restrict_vocab: number of words, from the first, that may be answers; None takes all.

        Raises:
            UnknownWord, ArgumentTypeError, ArgumentError: as `most_similar`; or a term has a weight.

        References:
            Levy and Goldberg, Linguistic regularities in sparse and explicit word representations, CoNLL 2014, Eq. 4.
        """
        near, far = listed_terms("positive", positive), listed_terms("negative", negative)
        if not near:
            raise ArgumentError("positive", "at least one word or vector", Verbatim("none"))
        excluded = self._rows_of(term for term in (*near, *far) if isinstance(term, str))
        above = [unit(self._vector("positive", term)) for term in near]
        below = [unit(self._vector("negative", term)) for term in far]
        rows = self._rows(restrict_vocab)
        values = cosine_products(self.vectors[rows], self._norms[rows], above, below)
        return self._best(values, topn, excluded)

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
        check_rows(self.vectors, self._norms, rows or range(len(self.index_to_key)))
        return 1 - cosines(self.vectors[others], self._norms[others], direction)

    def closer_than(self, key1: str, key2: str) -> list[str]:
        """Return the words that are nearer to `key1` than `key2` is, without `key1` itself, in order of their index."""
        self._of_word(key1)  # a word
        far, itself, distances = self._index(key2), self._rows_of([key1]), self.distances(key1)
        return [self.index_to_key[i] for i in (distances < distances[far]).nonzero()[0] if i not in itself]

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
            warnings.warn(f"words: {named} have no vector and are left out", UserWarning, stacklevel=2)
        directions = np.stack([unit(self._of_word(word)) for word in known])
        return known[int(np.argmin(directions @ unit(directions.mean(axis=0))))]

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

    def _by_ngrams(self, word: str) -> Floats | None:
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

    def _rows(self, restrict_vocab: int | None) -> slice:
        return slice(None if restrict_vocab is None else check_int("restrict_vocab", restrict_vocab))

    def _nearest(
        self, vector: NDArray[np.float64], topn: int | None, excluded: list[int], restrict_vocab: int | None
    ) -> "Nearest | Floats":
        rows = self._rows(restrict_vocab)
        return self._best(cosines(self.vectors[rows], self._norms[rows], unit(vector)), topn, excluded)

    def _best(self, values: Floats, topn: int | None, excluded: list[int]) -> "Nearest | Floats":
        checked = check_topn(topn)
        best = [] if checked is None else highest(values, checked, [i for i in excluded if i < len(values)])
        check_rows(self.vectors, self._norms, [*excluded, *best])
        return values if checked is None else [(self.index_to_key[i], float(values[i])) for i in best]
