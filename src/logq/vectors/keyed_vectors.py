"""`KeyedVectors`: words with their vectors, and the queries on them, under the names known from gensim."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.text.words import check_strings, check_word_counts, index_words
from logq.vectors import vector_files
from logq.vectors.exchange_formats import (
    Duplicates,
    Errors,
    ReadingOptions,
    check_dtype,
    read_vectors,
    write_word2vec_format,
)
from logq.vectors.fasttext_files import is_fasttext, read_fasttext, write_fasttext
from logq.vectors.gensim_names import with_gensim_arguments
from logq.vectors.nearest_words import norms
from logq.vectors.subwords import Subwords
from logq.vectors.vector_arguments import Vectors, check_vectors, read_only
from logq.vectors.word_queries import WordQueries

if TYPE_CHECKING:
    from torch import Tensor, nn  # not needed to use vectors, and takes a second to load

__all__ = ["KeyedVectors"]

_GENSIM_HINTS = {
    "unicode_errors": "it is called errors here",
    "datatype": "it is called dtype here",
    "no_header": "leave it out: a file with a first line 'V D' and one without are told apart",
    "fvocab": "give the counts to KeyedVectors(keys, vectors, counts)",
    "binary_chunk_size": "leave it out",
}


class KeyedVectors(WordQueries):
    """V words, each with a vector of D numbers, compared by the cosine of the angle between them.

        cos(a, b) = a.b / (|a| |b|)          <- 0 if one of them is the zero vector

    Every answer is exact: a query costs one product with the whole table, V D multiplications.

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
            shares the memory, and would write there.
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
        self.index_to_key = check_strings("keys", keys)
        self.key_to_index = index_words("keys", self.index_to_key)
        self.vectors = check_vectors(vectors, self.index_to_key, copy=copy, dtype=check_dtype(dtype))
        self.counts = None if counts is None else check_word_counts(counts, self.index_to_key, minimum=0)
        if subwords is not None and subwords.vectors.shape[1] != self.vectors.shape[1]:
            got = Verbatim(f"{subwords.vectors.shape[1]}")
            raise ArgumentError("subwords", f"vectors of {self.vectors.shape[1]} dimensions", got)
        self.subwords = subwords
        self.info: dict[str, Any] = {}
        self._norms = norms(self.vectors)

    def __iter__(self) -> Iterator[str]:
        return iter(self.index_to_key)

    def __repr__(self) -> str:
        return f"KeyedVectors({len(self)} words, {self.vector_size} dimensions)"

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.vectors = read_only(self.vectors)  # a copy of a read-only array can be written

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
            folder,
            self.index_to_key,
            self.vectors,
            self.counts,
            {**self.info, **(info or {})},
            subwords=self.subwords,
        )

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        limit: int | None = None,
        dtype: DTypeLike | None = None,
        encoding: str | None = None,
        errors: Errors = "strict",
        duplicates: Duplicates = "error",
        check: bool = True,
    ) -> "KeyedVectors":
        """Read vectors from a folder that `save` wrote, or a file of word2vec, GloVe or fastText (.vec and .bin).

        Text and binary files are told apart, as are those with and without a first line `V D`; they may be compressed
        (.gz, .bz2, .xz, .zst, or a .zip with one file in it). Words of text may have blanks in them. A model of
        fastText, .bin, has vectors of unknown words, too; it is mapped, not copied, if it is not compressed.

        Args:
            path: the folder or file; "-" is standard input.
            limit: number of words to read, from the first; None reads all.
            dtype: float32 or float16; None is that of a file that `save` wrote, and float32.
            encoding: of the words in a file of another tool, such as "latin-1"; None recognizes it.
            errors: what to do with bytes that are invalid in it: "strict" raises an error, "replace" reads them as
                U+FFFD, "ignore" leaves them out. word2vec.c cuts long words inside of characters.
            duplicates: what to do with words that come again: "error", or keep the "first" or the "last" vector.
            check: compare the digests in a file that `save` wrote, at about the speed of a copy.

        Raises:
            OSError: there is no such file, or it cannot be read.
            ArgumentError, ArgumentTypeError: an argument is not as described.
            ValueError: the file is damaged or truncated, or does not hold vectors; the message names it, and the line
                or word.
        """
        options = ReadingOptions.checked(
            limit=limit, dtype=dtype or np.float32, encoding=encoding, errors=errors, duplicates=duplicates
        )
        target = Path(path)
        if target.is_dir():
            target = target / vector_files.FILE
            if not target.exists():
                raise FileNotFoundError(f"{path}: there are no vectors in this folder (no {target.name})")
        if not vector_files.is_safetensors(target):
            if is_fasttext(target):
                model = read_fasttext(target, **options._asdict())
                return cls._from_file(target, model.words, model.vectors, model.counts, model.subwords)
            return cls._from_file(target, *read_vectors(target, options), None)
        words, vectors, counts, subwords = vector_files.read_safetensors(target, check=check)
        if dtype is not None and vectors.dtype != options.dtype:
            vectors = vectors[:limit].astype(options.dtype)
            if subwords is not None:
                subwords = Subwords(subwords.ngrams, subwords.vectors.astype(options.dtype), subwords.buckets)
        counts = None if counts is None else counts[:limit]
        return cls._from_file(target, words[:limit], vectors[:limit], counts, subwords)

    def save_fasttext(self, path: str | os.PathLike[str]) -> None:
        """Write a model that fastText and gensim read, .bin, with these vectors and those of n-grams, to 1e-6.

        Every bucket has a row in that file, those without a vector zeros. There are no output vectors, so it gives
        vectors, but is not trained on; `Word2Vec.save_fasttext` writes them.

        Args:
            path: the file to write.

        Raises:
            ArgumentError: a word has a character 0 in it, or no UTF-8 form.
            OSError: the file cannot be written.
        """
        write_fasttext(path, self.index_to_key, self.counts, self.vectors, self.subwords)

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

    @with_gensim_arguments(
        fvocab="counts are written by save(folder), not in this format",
        total_vec="leave it out: all words are written",
        write_header="leave it out: the first line, of V and D, is part of the format",
        prefix="leave it out: words are written as they are",
        append="leave it out: a file holds one model",
        sort_attr="leave it out: words keep their order",
    )
    def save_word2vec_format(self, path: str | os.PathLike[str], binary: bool = False, *, newline: bool = True) -> None:
        """Write the vectors in a format of the C program word2vec, without the counts.

        Args:
            path: the file to write.
            binary: write the binary instead of the text format. Text gives back the same float32 numbers, too.
            newline: in the binary format, whether a newline follows each vector, as from word2vec.c but not gensim.

        Raises:
            ArgumentError: a word is empty, holds white space, has no UTF-8 form or more than 65,536 bytes.
            OSError: the file cannot be written.
        """
        write_word2vec_format(path, self.index_to_key, self.vectors, binary=binary, newline=newline)

    @classmethod
    def load_word2vec_format(
        cls,
        path: str | os.PathLike[str],
        binary: bool | None = None,
        *,
        limit: int | None = None,
        dtype: DTypeLike = np.float32,
        encoding: str | None = None,
        errors: Errors = "strict",
        duplicates: Duplicates = "error",
        **others: Any,
    ) -> "KeyedVectors":
        """Read vectors in a format of another tool.

        Args:
            path: the file to read.
            binary: whether it is the binary format of word2vec.c; None goes by the bytes.
            limit: as for `load`, like all others.
            dtype: float32 or float16.
            encoding: of the words; None recognizes it.
            errors: "strict", "replace" or "ignore" bytes that are invalid in it.
            duplicates: "error", or the vector to keep of words that come again, "first" or "last".
            others: none; gensim's arguments are answered with those of this method.

        Raises:
            OSError, ArgumentError, ArgumentTypeError, ValueError: as `load`.
        """
        for name in others:
            raise ArgumentTypeError(name, "an argument of load_word2vec_format", hint=_GENSIM_HINTS.get(name, ""))
        options = ReadingOptions.checked(
            limit=limit, dtype=dtype, encoding=encoding, errors=errors, duplicates=duplicates
        )
        return cls._from_file(path, *read_vectors(path, options, binary=binary), None)

    @classmethod
    def _from_file(
        cls,
        path: str | os.PathLike[str],
        words: list[str],
        vectors: Vectors,
        counts: NDArray[np.int64] | None,
        subwords: Subwords | None = None,
    ) -> "KeyedVectors":
        try:
            return cls(words, read_only(vectors), counts, copy=False, dtype=vectors.dtype, subwords=subwords)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
