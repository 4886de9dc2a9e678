"""`KeyedVectors`: words with their vectors, and the queries on them, under the names known from gensim."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_float, check_int, is_tensor, shown
from logq.text.words import check_strings, check_word_counts, index_words
from logq.vectors import vector_files
from logq.vectors.nearest_words import UnknownWord, cosine_products, cosines, highest, norms, unit

if TYPE_CHECKING:
    from torch import Tensor  # not needed to use vectors, and takes a second to load

__all__ = ["KeyedVectors"]

Floats: TypeAlias = NDArray[np.float32]
Term: TypeAlias = "str | NDArray[Any] | Tensor | tuple[Any, float]"


class KeyedVectors:
    """V words, each with a vector of D numbers, compared by the cosine of the angle between them.

        cos(a, b) = a.b / (|a| |b|)          <- 0 if one of them is the zero vector

    Every answer is exact: a query costs one product with the whole table, V D multiplications.

    Equivalent to: gensim.models.KeyedVectors, for the methods that both have.

    Args:
        keys: V different words.
        vectors: (V, D) numbers, kept as float32.
        counts: (V,) how often each word occurred, if known.
        copy: keep a copy of the vectors, so that later changes to them have no effect here. False keeps a float32 array
            itself, which the caller must not change.

    Attributes:
        index_to_key: the words, a list.
        key_to_index: the index of each word, a dict.
        vectors: (V, D) float32, read-only.
        counts: (V,) int64, or None.
        info: how the vectors were made, a dict that `save` writes too.

    Raises:
        ArgumentTypeError: a key is not a string.
        ArgumentError: a key is there twice, the shapes do not fit, or a number is not finite.

    Example:
        >>> kv = KeyedVectors(["cat", "dog", "car"], [[1.0, 0.2], [0.9, 0.4], [-0.2, 1.0]])
        >>> [(word, round(cosine, 3)) for word, cosine in kv.most_similar("cat")]
        [('dog', 0.976), ('car', 0.0)]
        >>> kv.doesnt_match(["cat", "dog", "car"])
        'car'
    """

    def __init__(
        self, keys: Sequence[str], vectors: "ArrayLike | Tensor", counts: ArrayLike | None = None, *, copy: bool = True
    ) -> None:
        self.index_to_key = check_strings("keys", keys)
        self.key_to_index = index_words("keys", self.index_to_key)
        self.vectors = _check_vectors(vectors, self.index_to_key, copy=copy)
        self.counts = None if counts is None else check_word_counts(counts, self.index_to_key, minimum=0)
        self.info: dict[str, Any] = {}
        self._norms = norms(self.vectors)

    @property
    def vector_size(self) -> int:
        """D, the number of dimensions."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.index_to_key)

    def __contains__(self, key: object) -> bool:
        return key in self.key_to_index

    def __iter__(self) -> Iterator[str]:
        return iter(self.index_to_key)

    def __repr__(self) -> str:
        return f"KeyedVectors({len(self)} words, {self.vector_size} dimensions)"

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.vectors.flags.writeable = False  # a copy of a read-only array can be written

    def __getitem__(self, key: str | Iterable[str]) -> Floats:
        """Return the vector (D,) of a word, or those (n, D) of a list of n words."""
        if isinstance(key, str):
            return self.vectors[self._index(key)]
        if not isinstance(key, Iterable):
            raise ArgumentTypeError("key", "a word or a list of words", key)
        return self.vectors[np.array([self._index(word) for word in key], dtype=np.int64)]

    def get_vector(self, key: str, norm: bool = False) -> Floats:
        """Return the vector (D,) of a word, scaled to length 1 if `norm` (a zero vector stays zero).

        Raises:
            UnknownWord: the word has no vector.
        """
        vector = self.vectors[self._index(key)]
        return unit(vector).astype(np.float32) if norm else vector

    def similarity(self, a: str, b: str) -> float:
        """Return the cosine between the vectors of two words.

        Raises:
            UnknownWord: one of them has no vector.
        """
        first, second = (unit(self.vectors[self._index(word)]) for word in (a, b))
        return float(np.clip(first @ second, -1, 1))

    def most_similar(
        self,
        positive: "Term | Sequence[Term]" = (),
        negative: "Term | Sequence[Term]" = (),
        topn: int = 10,
    ) -> list[tuple[str, float]]:
        """Return the words nearest to a sum: king + woman - man, or the neighbors of a single word.

        Words enter the sum with length 1, vectors as they are. The words of the query are excluded.

        Args:
            positive: what to add: a word, a vector (D,), or a list of words, vectors and (word or vector, weight).
            negative: what to subtract, likewise; a weight is multiplied by -1 here.
            topn: maximum number of words to return.

        Returns:
            (word, cosine) pairs, the nearest first.

        Raises:
            UnknownWord: a word has no vector.
            ArgumentTypeError: a term is neither a word nor a vector.
            ArgumentError: there is no term, or a vector does not have D finite numbers.

        Example:
            >>> kv = KeyedVectors(["man", "king", "woman", "queen"], [[0, 1], [1, 1], [0, -1], [1, -1]])
            >>> kv.most_similar(positive=["king", "woman"], negative=["man"], topn=1)[0][0]
            'queen'
        """
        terms = [(1.0, "positive", term) for term in _listed("positive", positive)]
        terms += [(-1.0, "negative", term) for term in _listed("negative", negative)]
        if not terms:
            raise ArgumentError("positive", "at least one word or vector, here or in negative", Verbatim("none"))
        topn = check_int("topn", topn)
        excluded: list[int] = []
        total = np.zeros(self.vector_size)
        for sign, name, term in terms:
            key, weight = term if isinstance(term, tuple) and len(term) == 2 else (term, 1.0)
            weight = sign * _check_weight(name, key, weight)
            if isinstance(key, str):
                excluded.append(self._index(key))
                total += weight * unit(self.vectors[excluded[-1]])
            else:
                total += weight * self._check_vector(name, key)
        return self._nearest(total, topn, excluded)

    def similar_by_word(self, word: str, topn: int = 10) -> list[tuple[str, float]]:
        """Return the words nearest to a word, and their cosines: `most_similar(word)`.

        Raises:
            UnknownWord: the word has no vector.
        """
        return self._nearest(unit(self.vectors[self._index(word)]), check_int("topn", topn), [self.key_to_index[word]])

    similar_by_key = similar_by_word

    def similar_by_vector(self, vector: "ArrayLike | Tensor", topn: int = 10) -> list[tuple[str, float]]:
        """Return the words nearest to a vector (D,), and their cosines. A word with exactly this vector is among them.

        Raises:
            ArgumentError: the vector does not have D finite numbers.
        """
        return self._nearest(self._check_vector("vector", vector), check_int("topn", topn), [])

    def most_similar_cosmul(
        self, positive: "Term | Sequence[Term]" = (), negative: "Term | Sequence[Term]" = (), topn: int = 10
    ) -> list[tuple[str, float]]:
        """Return the words that are near to all of `positive` and far from all of `negative`, and their scores.

            score(x) = prod_p s(x, p) / (prod_n s(x, n) + 0.001),   s = (1 + cos) / 2

        Equivalent to: gensim's, which adds 0.000001, so that scores differ a little.

        Args:
            positive: a word, a vector (D,), or a list of them; at least one.
            negative: likewise, or nothing.
            topn: maximum number of words to return.

        Raises:
            UnknownWord, ArgumentTypeError, ArgumentError: as `most_similar`; or a term has a weight.

        References:
            Levy and Goldberg, Linguistic regularities in sparse and explicit word representations, CoNLL 2014, Eq. 4.
        """
        near, far = _listed("positive", positive), _listed("negative", negative)
        if not near:
            raise ArgumentError("positive", "at least one word or vector", Verbatim("none"))
        topn = check_int("topn", topn)
        excluded = [self._index(term) for term in (*near, *far) if isinstance(term, str)]
        above = [unit(self._vector("positive", term)) for term in near]
        below = [unit(self._vector("negative", term)) for term in far]
        values = cosine_products(self.vectors, self._norms, above, below)
        return [(self.index_to_key[i], float(values[i])) for i in highest(values, topn, excluded)]

    def distance(self, a: str, b: str) -> float:
        """Return 1 - cosine of two words, from 0 to 2."""
        return 1 - self.similarity(a, b)

    def distances(self, word_or_vector: "str | ArrayLike | Tensor", other_words: Iterable[str] = ()) -> Floats:
        """Return 1 - cosine of a word or vector (D,) with other words, (n,) float32; by default with all, (V,)."""
        direction = unit(self._vector("word_or_vector", word_or_vector))
        others = [self._index(word) for word in check_strings("other_words", other_words)] or slice(None)
        return 1 - cosines(self.vectors[others], self._norms[others], direction)

    def closer_than(self, key1: str, key2: str) -> list[str]:
        """Return the words that are nearer to `key1` than `key2` is, without `key1` itself, in order of their index."""
        far, itself, distances = self._index(key2), self._index(key1), self.distances(key1)
        return [self.index_to_key[i] for i in (distances < distances[far]).nonzero()[0] if i != itself]

    def rank(self, key1: str, key2: str) -> int:
        """Return the rank of `key2` among the neighbors of `key1`: 1 for the nearest."""
        return len(self.closer_than(key1, key2)) + 1

    def n_similarity(self, ws1: Iterable[str], ws2: Iterable[str]) -> float:
        """Return the cosine between the sums of the vectors of two lists of words.

        Raises:
            UnknownWord: a word has no vector; gensim skips it.
            ArgumentError: a list is empty.
        """
        sums: list[NDArray[np.float64]] = []
        for name, words in (("ws1", ws1), ("ws2", ws2)):
            rows = [self._index(word) for word in check_strings(name, words)]
            if not rows:
                raise ArgumentError(name, "at least one word", Verbatim("none"))
            sums.append(unit(self.vectors[rows].astype(np.float64).sum(axis=0)))
        return float(np.clip(sums[0] @ sums[1], -1, 1))

    def doesnt_match(self, words: Iterable[str]) -> str:
        """Return the word that is least like the others, with the smallest cosine with the mean of all directions.

        Raises:
            UnknownWord: a word has no vector.
            ArgumentError: there are no words.
        """
        if isinstance(words, str):
            raise ArgumentTypeError("words", "a list of words", Verbatim(f"the string {words!r}"))
        listed = list(words)
        if not listed:
            raise ArgumentError("words", "at least one", Verbatim("none"))
        directions = np.stack([unit(self.vectors[self._index(word)]) for word in listed])
        return listed[int(np.argmin(directions @ unit(directions.mean(axis=0))))]

    def save(self, folder: str | os.PathLike[str], info: Mapping[str, Any] | None = None) -> None:
        """Write `vectors.safetensors`, which holds everything, and the summary `vectors.json` into a folder.

        The folder is created if it is missing. Each file is replaced atomically.

        Args:
            folder: the folder.
            info: more about how the vectors were made, in addition to their own `info`; must be JSON.

        Raises:
            ArgumentTypeError: JSON cannot hold `info`.
            ArgumentError: a word has no UTF-8 form.
            OSError: a file cannot be written.
        """
        vector_files.write_safetensors(
            folder, self.index_to_key, self.vectors, self.counts, {**self.info, **(info or {})}
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "KeyedVectors":
        """Read vectors from a folder that `save` wrote, a .safetensors file, or a file in a format of word2vec.

        Raises:
            OSError: there is no such file, or it cannot be read.
            ValueError: the file is damaged or truncated, or does not hold vectors; the message names it.
        """
        target = Path(path)
        if target.is_dir():
            target = target / vector_files.FILE
            if not target.exists():
                raise FileNotFoundError(f"{path}: there are no vectors in this folder (no {target.name})")
        with open(target, "rb") as file:
            start = file.read(9)
        # A safetensors file begins with the length of its JSON header in 8 bytes, then the header.
        if target.suffix != ".safetensors" and start[8:] != b"{":
            return cls.load_word2vec_format(target)
        words, vectors, counts = vector_files.read_safetensors(target)
        return cls._from_file(target, words, vectors, counts)

    def save_word2vec_format(self, path: str | os.PathLike[str], binary: bool = False, *, newline: bool = True) -> None:
        """Write the vectors in a format of the C program word2vec, without the counts.

        Args:
            path: the file to write.
            binary: write the binary instead of the text format. Text gives back the same float32 numbers, too.
            newline: in the binary format, whether a newline follows each vector, as from word2vec.c but not gensim.

        Raises:
            ArgumentError: a word is empty, holds white space or has no UTF-8 form.
            OSError: the file cannot be written.
        """
        vector_files.write_word2vec_format(path, self.index_to_key, self.vectors, binary=binary, newline=newline)

    @classmethod
    def load_word2vec_format(cls, path: str | os.PathLike[str], binary: bool | None = None) -> "KeyedVectors":
        """Read vectors in a format of the C program word2vec, also through gzip; see `read_word2vec_format`.

        Args:
            path: the file to read.
            binary: which format it is; None detects it.

        Raises:
            OSError: the file cannot be read.
            ValueError: the file is truncated or damaged; the message names it and the line or word.
        """
        words, vectors = vector_files.read_word2vec_format(path, binary=binary)
        return cls._from_file(path, words, vectors, None)

    @classmethod
    def _from_file(
        cls, path: str | os.PathLike[str], words: list[str], vectors: Floats, counts: NDArray[np.int64] | None
    ) -> "KeyedVectors":
        try:
            return cls(words, vectors, counts, copy=False)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def _index(self, key: Any) -> int:
        if not isinstance(key, str):
            raise ArgumentTypeError("key", "a word", Verbatim(f"{key!r} ({type(key).__name__})"))
        index = self.key_to_index.get(key)
        if index is None:
            raise UnknownWord(key, self.index_to_key)
        return index

    def _vector(self, name: str, term: Any) -> NDArray[Any]:
        return self.vectors[self._index(term)] if isinstance(term, str) else self._check_vector(name, term)

    def _check_vector(self, name: str, vector: Any) -> NDArray[np.float64]:
        array = _to_array(name, vector).astype(np.float64)
        if array.shape != (self.vector_size,) or not np.isfinite(array).all():
            raise ArgumentError(name, f"{self.vector_size} finite numbers", Verbatim(f"shape {array.shape}: {array}"))
        return array

    def _nearest(self, vector: NDArray[np.float64], topn: int, excluded: list[int]) -> list[tuple[str, float]]:
        values = cosines(self.vectors, self._norms, unit(vector))
        return [(self.index_to_key[i], float(values[i])) for i in highest(values, topn, excluded)]


def _listed(name: str, terms: Any) -> list[Any]:
    if isinstance(terms, str) or ((isinstance(terms, np.ndarray) or is_tensor(terms)) and terms.ndim == 1):
        return [terms]
    if isinstance(terms, tuple) and len(terms) == 2 and isinstance(terms[1], int | float | np.number):
        return [terms]  # a single (word, weight)
    if terms is not None and not isinstance(terms, Iterable):
        raise ArgumentTypeError(name, "words or vectors", terms)
    return [] if terms is None else list(cast("Iterable[Any]", terms))


def _check_weight(name: str, key: Any, weight: Any) -> float:
    try:
        return check_float(name, weight)
    except (ArgumentError, ArgumentTypeError) as error:
        of = shown(key) if isinstance(key, str) else "a vector"
        raise type(error)(name, f"{error.expected} as the weight of {of}", weight) from None


def _to_array(name: str, values: Any) -> NDArray[Any]:
    try:
        array = values.detach().cpu().float().numpy() if is_tensor(values) else np.asarray(values)
    except ValueError as error:  # lists of unequal length
        raise ArgumentError(name, "an array of numbers", Verbatim(error)) from None
    if array.dtype.kind not in "fiu":
        raise ArgumentTypeError(name, "numbers", values)
    return array


def _check_vectors(vectors: Any, keys: list[str], *, copy: bool) -> Floats:
    given = _to_array("vectors", vectors)
    if given.ndim != 2 or len(given) != len(keys) or given.shape[1] < 1:
        raise ArgumentError("vectors", f"shape ({len(keys)}, D), one row for each word", given.shape)
    with np.errstate(over="ignore"):  # numbers too large for float32 are found below
        array = np.array(given, dtype=np.float32, order="C") if copy else np.ascontiguousarray(given, dtype=np.float32)
    rows = max(1, (1 << 20) // array.shape[1])  # at a time, so that no second table is allocated
    for start in range(0, len(array), rows):
        finite = np.isfinite(array[start : start + rows]).all(axis=1)
        if not finite.all():
            where = start + int(finite.argmin())
            raise ArgumentError("vectors", "finite numbers", Verbatim(f"others for {keys[where]!r} (row {where})"))
    array = array.view()
    array.flags.writeable = False  # their lengths are computed only once
    return array
