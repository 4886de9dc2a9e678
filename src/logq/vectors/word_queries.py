"""WordQueries: neighbors and analogies, under the names known from gensim."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, Verbatim, check_int
from logq.text.words import check_strings
from logq.vectors.gensim_names import with_gensim_arguments
from logq.vectors.nearest_words import cosine_products, cosines, highest, unit
from logq.vectors.vector_arguments import check_topn, check_weight, listed_terms
from logq.vectors.word_comparisons import WordComparisons

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["WordQueries"]

Floats: TypeAlias = NDArray[np.float32]
Nearest: TypeAlias = list[tuple[str, float]]
Term: TypeAlias = "str | NDArray[Any] | Tensor | tuple[Any, float]"
Among: TypeAlias = "Iterable[str] | NDArray[np.bool_]"


class WordIndex(Protocol):
    """A search among vectors, as those of logq.retrieval are.

    Example:
        See WordQueries.most_similar.
    """

    def __len__(self) -> int: ...
    @property
    def metric(self) -> str:
        """It is "cosine"."""
        ...

    def search(self, queries: Any, k: int, *, allow: Any = None) -> Any:
        """Return an object with `ids` (1, k): the rows that are nearest, -1 where there are no more."""
        ...


_ALL = "leave it out; restrict_vocab=N takes the first N words only"


class WordQueries(WordComparisons):
    """What `KeyedVectors` answers about all words: which are nearest."""

    @overload
    def most_similar(
        self,
        positive: "Term | Sequence[Term]" = (),
        negative: "Term | Sequence[Term]" = (),
        topn: int = 10,
        *,
        restrict_vocab: int | None = None,
        among: "Among | None" = None,
        index: WordIndex | None = None,
    ) -> Nearest: ...
    @overload
    def most_similar(
        self,
        positive: "Term | Sequence[Term]" = (),
        negative: "Term | Sequence[Term]" = (),
        *,
        topn: None,
        restrict_vocab: int | None = None,
        among: "Among | None" = None,
    ) -> Floats: ...
    @with_gensim_arguments(
        clip_start=_ALL, clip_end=_ALL, indexer="it is called index here; without it every answer is exact"
    )
    def most_similar(
        self,
        positive: "Term | Sequence[Term]" = (),
        negative: "Term | Sequence[Term]" = (),
        topn: int | None = 10,
        *,
        restrict_vocab: int | None = None,
        among: "Among | None" = None,
        index: WordIndex | None = None,
    ) -> "Nearest | Floats":
        """Return the words nearest to a sum: king + woman - man, or the neighbors of a single word.

        Words enter the sum with length 1, vectors as they are. The words of the query are excluded.

        Args:
            positive: what to add: a word, a vector (D,), or a list of words, vectors and (word or vector, weight).
            negative: what to subtract, likewise. A weight is what the vector is multiplied by, so it is below 0 here.
            topn: maximum number of words to return; None returns the cosines of all words, in order of their index.
            restrict_vocab: number of words, from the first, that may be answers; None takes all.
            among: the only words that may be answers, or a mask (V,) of bool; None takes all.
            index: of logq.retrieval, over `vectors` with metric="cosine", that finds the candidates; their cosines are
                exact. None looks at all words.

        Returns:
            (word, cosine) pairs, the nearest first; or float32 (V,), of those that may be answers.

        Raises:
            UnknownWord: a word has no vector.
            ArgumentTypeError: a term is neither a word nor a vector.
            ArgumentError: there is no term, a vector does not have D finite numbers, or the index is another.

        Example:
            >>> from logq import KeyedVectors
            >>> kv = KeyedVectors(["man", "king", "woman", "queen"], [[0, 1], [1, 1], [0, -1], [1, -1]])
            >>> kv.most_similar(positive=["king", "woman"], negative=["man"], topn=1)[0][0]
            'queen'
            >>> kv.most_similar("king", among=["man", "woman"])[0][0]
            'man'

        An index answers without a look at all words, which pays for a million of them:

            >>> from logq.retrieval import ExactIndex
            >>> kv.most_similar("king", topn=1, index=ExactIndex(kv.vectors, metric="cosine"))[0][0]
            'man'
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
        return self._nearest(total, topn, excluded, self._rows(restrict_vocab, among), index)

    @overload
    def similar_by_word(
        self,
        word: str,
        topn: int = 10,
        restrict_vocab: int | None = None,
        *,
        among: "Among | None" = None,
        index: WordIndex | None = None,
    ) -> Nearest: ...
    @overload
    def similar_by_word(
        self, word: str, topn: None, restrict_vocab: int | None = None, *, among: "Among | None" = None
    ) -> Floats: ...
    def similar_by_word(
        self,
        word: str,
        topn: int | None = 10,
        restrict_vocab: int | None = None,
        *,
        among: "Among | None" = None,
        index: WordIndex | None = None,
    ) -> "Nearest | Floats":
        """Return the words nearest to a word, and their cosines: `most_similar(word)`, with its arguments.

        Raises:
            UnknownWord: the word has no vector.
        """
        rows = self._rows(restrict_vocab, among)
        return self._nearest(unit(self._of_word(word)), topn, self._rows_of([word]), rows, index)

    similar_by_key = similar_by_word

    @overload
    def similar_by_vector(
        self,
        vector: "ArrayLike | Tensor",
        topn: int = 10,
        restrict_vocab: int | None = None,
        *,
        among: "Among | None" = None,
        index: WordIndex | None = None,
    ) -> Nearest: ...
    @overload
    def similar_by_vector(
        self,
        vector: "ArrayLike | Tensor",
        topn: None,
        restrict_vocab: int | None = None,
        *,
        among: "Among | None" = None,
    ) -> Floats: ...
    def similar_by_vector(
        self,
        vector: "ArrayLike | Tensor",
        topn: int | None = 10,
        restrict_vocab: int | None = None,
        *,
        among: "Among | None" = None,
        index: WordIndex | None = None,
    ) -> "Nearest | Floats":
        """Return the words nearest to a vector (D,), and their cosines. A word with exactly this vector is among them.

        Raises:
            ArgumentError: the vector does not have D finite numbers.
        """
        rows = self._rows(restrict_vocab, among)
        return self._nearest(self._check_vector("vector", vector), topn, [], rows, index)

    @overload
    def most_similar_cosmul(
        self,
        positive: "Term | Sequence[Term]" = (),
        negative: "Term | Sequence[Term]" = (),
        topn: int = 10,
        restrict_vocab: int | None = None,
        *,
        among: "Among | None" = None,
    ) -> Nearest: ...
    @overload
    def most_similar_cosmul(
        self,
        positive: "Term | Sequence[Term]" = (),
        negative: "Term | Sequence[Term]" = (),
        *,
        topn: None,
        restrict_vocab: int | None = None,
        among: "Among | None" = None,
    ) -> Floats: ...
    def most_similar_cosmul(
        self,
        positive: "Term | Sequence[Term]" = (),
        negative: "Term | Sequence[Term]" = (),
        topn: int | None = 10,
        restrict_vocab: int | None = None,
        *,
        among: "Among | None" = None,
    ) -> "Nearest | Floats":
        """Return the words that are near to all of `positive` and far from all of `negative`, and their scores.

            score(x) = prod_p s(x, p) / (prod_n s(x, n) + 0.001),   s = (1 + cos) / 2

        Equivalent to: gensim's, which adds 0.000001, so that scores differ a little.

        Args:
            positive: a word, a vector (D,), or a list of them; at least one.
            negative: likewise, or nothing.
            topn: maximum number of words to return; None returns the scores of all words, (V,) float32.
            restrict_vocab: number of words, from the first, that may be answers; None takes all.
            among: the only words that may be answers, or a mask (V,) of bool; None takes all.

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
        rows = self._rows(restrict_vocab, among)
        values = cosine_products(self._table[rows], self._norms[rows], above, below)
        return self._best(values, topn, excluded, rows)

    def _rows(self, restrict_vocab: int | None, among: "Among | None") -> slice | NDArray[np.int64]:
        """Which words may be answers: the first ones, or rows in ascending order."""
        first = slice(None if restrict_vocab is None else check_int("restrict_vocab", restrict_vocab))
        if among is None:
            return first
        if isinstance(among, np.ndarray) and among.dtype == np.bool_:
            if among.shape != (len(self),):
                raise ArgumentError("among", f"a mask of {len(self)} words", among.shape)
            rows = np.flatnonzero(among)
        else:
            rows = np.unique(np.array([self._index(word) for word in check_strings("among", among)], dtype=np.int64))
        return rows if first.stop is None else rows[rows < first.stop]

    def _nearest(
        self,
        vector: NDArray[np.float64],
        topn: int | None,
        excluded: list[int],
        rows: slice | NDArray[np.int64],
        index: WordIndex | None,
    ) -> "Nearest | Floats":
        if index is not None:
            rows = self._found_by(index, unit(vector), topn, excluded, rows)
        return self._best(cosines(self._table[rows], self._norms[rows], unit(vector)), topn, excluded, rows)

    def _found_by(
        self,
        index: WordIndex,
        direction: NDArray[np.float64],
        topn: int | None,
        excluded: list[int],
        rows: slice | NDArray[np.int64],
    ) -> NDArray[np.int64]:
        if index.metric != "cosine" or len(index) != len(self):
            got = Verbatim(f'{len(index):,} with metric="{index.metric}"')
            raise ArgumentError("index", f'one of these {len(self):,} vectors with metric="cosine"', got)
        if topn is None:
            raise ArgumentError("topn", "a number with an index, which does not look at all words", None)
        wanted = min(len(self), check_int("topn", topn, 0) + len(set(excluded)))
        whole = isinstance(rows, slice) and rows.stop is None
        allow = None if whole else np.arange(len(self))[rows]
        if wanted == 0 or (allow is not None and not len(allow)):
            return np.zeros(0, dtype=np.int64)
        found = np.asarray(index.search(direction[None].astype(np.float32), wanted, allow=allow).ids[0])
        return np.sort(found[found >= 0]).astype(np.int64)

    def _best(
        self, values: Floats, topn: int | None, excluded: list[int], rows: slice | NDArray[np.int64]
    ) -> "Nearest | Floats":
        checked = check_topn(topn)
        self._check_finite(values, rows)
        if checked is None:
            self._check_rows(excluded)
            return values
        if isinstance(rows, slice):
            best = highest(values, checked, [row for row in excluded if row < len(values)])
            places = best
        else:
            best = highest(values, checked, np.flatnonzero(np.isin(rows, excluded)).tolist())
            places = rows[best].tolist()
        self._check_rows([*excluded, *places])
        return [(self._word(row), float(values[at])) for row, at in zip(places, best, strict=True)]
