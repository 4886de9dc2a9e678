"""`KeyedVectors`: words with their vectors, and the queries on them, under the names known from gensim."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from logq._arguments import ArgumentError, Verbatim, check_int
from logq.tables.notebook_html import ROWS, block, columns_table
from logq.text.words import check_strings, check_word_counts, index_words
from logq.vectors.exchange_formats import (
    check_dtype,
)
from logq.vectors.mapped_tensor import ScaledRows, is_mapped
from logq.vectors.static_embedding import write_static_embedding
from logq.vectors.stored_words import StoredWords
from logq.vectors.subwords import Subwords
from logq.vectors.vector_arguments import Vectors, check_vectors, read_only, to_array
from logq.vectors.word_files import WordFiles

if TYPE_CHECKING:
    from torch import Tensor, nn  # not needed to use vectors, and takes a second to load

__all__ = ["KeyedVectors"]

_ROWS = 1 << 14  # converted to float64 at a time
_DIMENSIONS = 8  # that a notebook shows


class KeyedVectors(WordFiles):
    """V words, each with a vector of D numbers, compared by the cosine of the angle between them.

        cos(a, b) = a.b / (|a| |b|)          <- 0 if one of them is the zero vector

    Answers are exact: a query costs one product with the whole table, V D multiplications. An `index` of
    logq.retrieval looks at fewer.

    Equivalent to: gensim.models.KeyedVectors, for the methods that both have.

    Args:
        keys: V different words.
        vectors: (V, D) numbers.
        counts: (V,) how often each word occurred, if known.
        copy: keep a copy of the vectors, so that later changes to them have no effect here. False keeps a float32 array
            itself, which the caller must not change.
        dtype: to keep them in, float32 or float16, which takes half the memory and answers more slowly.
        subwords: vectors of character n-grams, from which a word gets its vector that is not among the keys.

    Attributes:
        index_to_key: the words, a list.
        key_to_index: the index of each word, a dict.
        vectors: (V, D) float32 or float16, read-only. For torch take `to_tensor` or `embedding`: torch.from_numpy
            shares the memory, and would write there. Those of a mapped file of int8 are made float32 when this is
            asked for, and not for answers.
        counts: (V,) int64, or None.
        subwords: as given, or None.
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
        self,
        keys: Sequence[str],
        vectors: "ArrayLike | Tensor",
        counts: ArrayLike | None = None,
        *,
        copy: bool = True,
        dtype: DTypeLike = np.float32,
        subwords: Subwords | None = None,
    ) -> None:
        if isinstance(keys, StoredWords):
            self._stored = keys
        else:
            self.index_to_key = check_strings("keys", keys)
            self.key_to_index = index_words("keys", self.index_to_key)
        self._table = check_vectors(vectors, self._words, copy=copy, dtype=check_dtype(dtype))
        self.counts = None if counts is None else check_word_counts(counts, self._words, minimum=0)
        if subwords is not None and subwords.vectors.shape[1] != self.vector_size:
            got = Verbatim(f"{subwords.vectors.shape[1]}")
            raise ArgumentError("subwords", f"vectors of {self.vector_size} dimensions", got)
        self.subwords = subwords
        self.info: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.index_to_key)

    def __repr__(self) -> str:
        return f"KeyedVectors({len(self)} words, {self.vector_size} dimensions)"

    def _repr_html_(self) -> str:
        words = self.index_to_key[:ROWS]
        columns: dict[str, Any] = {"word": words}
        if self.counts is not None:
            columns["count"] = self.counts[:ROWS]
        vectors = np.asarray(self.vectors[:ROWS, :_DIMENSIONS], dtype=np.float32)
        columns |= {f"{number + 1}": vectors[:, number] for number in range(vectors.shape[1])}
        return block(repr(self), columns_table(columns))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(self._table, np.ndarray):
            self._table = read_only(self._table)  # a copy of a read-only array can be written
        vars(self).pop("vectors", None)

    def add_vectors(
        self,
        keys: str | Sequence[str],
        vectors: "ArrayLike | Tensor",
        counts: ArrayLike | None = None,
        *,
        replace: bool = False,
    ) -> "KeyedVectors":
        """Return vectors of these and further words, which follow; those here and of n-grams stay what they are.

        Equivalent to: gensim's, which changes its object.

        Args:
            keys: n words, or one.
            vectors: (n, D) numbers; (D,) for one word.
            counts: (n,) how often they occurred; 0 where that is left out and the others have counts.
            replace: whether words that are here already get the new vector; otherwise they keep theirs.

        Raises:
            ArgumentTypeError, ArgumentError: as for the class, or the vectors have another D.

        Example:
            >>> kv = KeyedVectors(["a"], [[1.0, 2.0]]).add_vectors(["b", "a"], [[3.0, 4.0], [5.0, 6.0]])
            >>> kv.index_to_key, kv.vectors.tolist()
            (['a', 'b'], [[1.0, 2.0], [3.0, 4.0]])
        """
        words = [keys] if isinstance(keys, str) else keys
        table = np.atleast_2d(to_array("vectors", vectors)) if isinstance(keys, str) else vectors
        further = KeyedVectors(words, table, counts, dtype=self.vectors.dtype)
        if further.vector_size != self.vector_size:
            raise ArgumentError("vectors", f"vectors of {self.vector_size} numbers", further.vector_size)
        is_known = np.array([word in self.key_to_index for word in further.index_to_key], dtype=np.bool_)
        made = np.concatenate([self.vectors, further.vectors[~is_known]])
        known = [self.key_to_index[word] for word in further.index_to_key if word in self.key_to_index]
        of_words = None
        if self.counts is not None or further.counts is not None:
            here = np.zeros(len(self), np.int64) if self.counts is None else self.counts
            there = np.zeros(len(further), np.int64) if further.counts is None else further.counts
            of_words = np.concatenate([here, there[~is_known]])
            if replace and further.counts is not None:
                of_words[known] = there[is_known]
        if replace:
            made[known] = further.vectors[is_known]
        new = [word for word in further.index_to_key if word not in self.key_to_index]
        words, kind = [*self.index_to_key, *new], made.dtype
        found = KeyedVectors(words, read_only(made), of_words, copy=False, dtype=kind, subwords=self.subwords)
        found.info = dict(self.info)
        return found

    def all_but_the_top(self, components: int = 0) -> "KeyedVectors":
        """Return the vectors without their mean, and without their first principal components.

        The mean alone costs nothing and often helps with relatedness; both have cost similarity sets more than they
        gained, see docs/migration.md. So it is nothing that is done unasked. Vectors of n-grams lose the same, so that
        those of unknown words do, in which each n-gram has a vector.

        Args:
            components: number of directions to remove besides the mean; the paper takes about D / 100.

        Raises:
            ArgumentError: there are fewer than that.

        References:
            Mu and Viswanath, All-but-the-Top: Simple and Effective Postprocessing for Word Representations, ICLR 2018,
            arXiv:1702.01417.

        Example:
            >>> KeyedVectors(["a", "b"], [[1.0, 2.0], [3.0, 2.0]]).all_but_the_top().vectors.tolist()
            [[-1.0, 0.0], [1.0, 0.0]]
        """
        if check_int("components", components, 0) > self.vector_size:
            raise ArgumentError("components", f"at most {self.vector_size}", components)
        mean = np.mean(self.vectors, axis=0, dtype=np.float64).astype(np.float32)
        made, top = np.array(self.vectors, dtype=np.float32), np.zeros((self.vector_size, 0))
        made -= mean
        if components:
            products = np.zeros((self.vector_size, self.vector_size))
            for start in range(0, len(made), _ROWS):  # so that no second table is allocated
                part = made[start : start + _ROWS].astype(np.float64)
                products += part.T @ part
            top = np.linalg.eigh(products)[1][:, -components:]
            _project_out(made, top)
        subwords = self.subwords
        if subwords is not None:
            of_ngrams = np.array(subwords.vectors, dtype=np.float32)
            of_ngrams -= mean
            _project_out(of_ngrams, top)
            subwords = Subwords(subwords.ngrams, read_only(of_ngrams), subwords.buckets)
        found = KeyedVectors(self.index_to_key, read_only(made), self.counts, copy=False, subwords=subwords)
        found.info = {**self.info, "all_but_the_top": components}
        return found

    def to_tensor(self) -> "Tensor":
        """Return the vectors as a tensor (V, D) of their dtype: a copy, which may be changed.

        Example:
            >>> KeyedVectors(["a", "b"], [[1.0], [2.0]]).to_tensor()
            tensor([[1.],
                    [2.]])
        """
        import torch

        return torch.from_numpy(np.array(self.vectors))

    def embedding(self, *, freeze: bool = True, padding_idx: int | None = None, sparse: bool = False) -> "nn.Embedding":
        """Return an embedding layer with a copy of the vectors; `key_to_index` has the ids of the words.

        Args:
            freeze: keep the weights out of training. False trains the copy; the vectors here stay what they are.
            padding_idx: see torch.nn.Embedding, like `sparse`.
            sparse: whether gradients are sparse.

        Example:
            >>> layer = KeyedVectors(["a", "b"], [[1.0], [2.0]]).embedding(freeze=False)
            >>> layer.weight.requires_grad, layer.weight.dtype
            (True, torch.float32)
        """
        from torch import nn

        weights = self.to_tensor()
        return nn.Embedding.from_pretrained(weights, freeze=freeze, padding_idx=padding_idx, sparse=sparse)

    def to_static_embedding(self, folder: str | os.PathLike[str], *, lowercase: bool = False) -> None:
        """Write a folder that sentence-transformers opens: `SentenceTransformer(folder).encode(["black tea"])`.

        The vector of a text is the plain mean of the vectors of its words, which white space separates; words without
        a vector do not count. `SentenceVectors(vectors).to_static_embedding` writes means that are weighted by how rare
        words are. Vectors of character n-grams stay behind: the folder knows the words here.

        Args:
            folder: where it goes; made if it is missing.
            lowercase: whether texts are made lowercase first, for vectors of lowercase words.

        Raises:
            ArgumentError: a word has no UTF-8 form.
            OSError: a file cannot be written.
        """
        write_static_embedding(folder, self.index_to_key, self.vectors, lowercase=lowercase)

    def prune_subwords(self, most: int | None = None) -> "KeyedVectors":
        """Return the same words with the vectors of n-grams only that some of them have: a part to serve.

        Unknown words have other n-grams too, which were not trained and are nothing but noise, in files of fastText.

        Args:
            most: number of n-grams at most; those that most words have stay.

        Raises:
            ValueError: there are none.
        """
        if self.subwords is None:
            raise ValueError("subwords: there are no vectors of n-grams")
        pruned = self.subwords.pruned(self.index_to_key, most)
        made = KeyedVectors(
            self.index_to_key, self.vectors, self.counts, copy=False, dtype=self.vectors.dtype, subwords=pruned
        )
        made.info = dict(self.info)
        return made

    @classmethod
    def _from_file(
        cls,
        path: str | os.PathLike[str],
        words: Sequence[str],
        vectors: Vectors | ScaledRows,
        counts: NDArray[np.int64] | None,
        subwords: Subwords | None = None,
        lengths: NDArray[np.float64] | None = None,
    ) -> "KeyedVectors":
        try:
            table = vectors if is_mapped(vectors) else read_only(cast("Vectors", vectors))
            made = cls(words, cast("Any", table), counts, copy=False, dtype=vectors.dtype, subwords=subwords)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if lengths is not None and is_mapped(vectors):  # a table that was read is looked at when it is first asked
            made._norms = lengths
        return made


def _project_out(
    vectors: NDArray[np.float32],  # (n, D), changed in place
    directions: NDArray[np.float64],  # (D, K), orthonormal
) -> None:
    """Leave out what vectors have of some directions."""
    for start in range(0, len(vectors), _ROWS) if directions.size else ():
        part = vectors[start : start + _ROWS]
        part -= part @ directions @ directions.T
