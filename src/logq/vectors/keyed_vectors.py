"""`KeyedVectors`: words with their vectors, and the queries on them, under the names known from gensim."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_int
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
from logq.vectors.gensim_names import with_gensim_arguments
from logq.vectors.mapped_tensor import is_mapped
from logq.vectors.vector_arguments import Vectors, check_vectors, read_only, to_array
from logq.vectors.word_queries import WordQueries

if TYPE_CHECKING:
    from torch import Tensor, nn  # not needed to use vectors, and takes a second to load

__all__ = ["KeyedVectors"]

_ROWS = 1 << 14  # converted to float64 at a time

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

    Attributes:
        index_to_key: the words, a list.
        key_to_index: the index of each word, a dict.
        vectors: (V, D) float32 or float16, read-only. For torch take `to_tensor` or `embedding`: torch.from_numpy
            shares the memory, and would write there.
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
        self,
        keys: Sequence[str],
        vectors: "ArrayLike | Tensor",
        counts: ArrayLike | None = None,
        *,
        copy: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.index_to_key = check_strings("keys", keys)
        self.key_to_index = index_words("keys", self.index_to_key)
        self.vectors = check_vectors(vectors, self.index_to_key, copy=copy, dtype=check_dtype(dtype))
        self.counts = None if counts is None else check_word_counts(counts, self.index_to_key, minimum=0)
        self.info: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.index_to_key)

    def __repr__(self) -> str:
        return f"KeyedVectors({len(self)} words, {self.vector_size} dimensions)"

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.vectors = read_only(self.vectors)  # a copy of a read-only array can be written

    def add_vectors(
        self,
        keys: str | Sequence[str],
        vectors: "ArrayLike | Tensor",
        counts: ArrayLike | None = None,
        *,
        replace: bool = False,
    ) -> "KeyedVectors":
        """Return vectors of these and further words, which follow; those here stay what they are.

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
        found = KeyedVectors([*self.index_to_key, *new], read_only(made), of_words, copy=False, dtype=made.dtype)
        found.info = dict(self.info)
        return found

    def all_but_the_top(self, components: int = 0) -> "KeyedVectors":
        """Return the vectors without their mean, and without their first principal components.

        The mean alone costs nothing and often helps with relatedness; both have cost similarity sets more than they
        gained, see docs/migration.md. So it is nothing that is done unasked.

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
        made = np.array(self.vectors, dtype=np.float32)
        made -= made.mean(axis=0, dtype=np.float64).astype(np.float32)
        if components:
            products = np.zeros((self.vector_size, self.vector_size))
            for start in range(0, len(made), _ROWS):  # so that no second table is allocated
                part = made[start : start + _ROWS].astype(np.float64)
                products += part.T @ part
            top = np.linalg.eigh(products)[1][:, -components:]
            for start in range(0, len(made), _ROWS):
                part = made[start : start + _ROWS]
                part -= part @ top @ top.T
        found = KeyedVectors(self.index_to_key, read_only(made), self.counts, copy=False)
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

    def save(
        self,
        folder: str | os.PathLike[str],
        info: Mapping[str, Any] | None = None,
        *,
        dtype: Literal["float32", "float16", "int8"] | None = None,
    ) -> None:
        """Write `vectors.safetensors`, which holds everything, and the summary `vectors.json` into a folder.

        The folder is created if it is missing. Each file is replaced atomically.

        Args:
            folder: the folder.
            info: more about how the vectors were made, in addition to their own `info`; must be JSON.
            dtype: of the numbers in the file; None is that of the vectors. float16 takes half of float32, and int8 a
                quarter: each row is divided by its largest number and rounded to 127 steps, and is read as float32.

        Raises:
            ArgumentTypeError: JSON cannot hold `info`.
            ArgumentError: a word has no UTF-8 form.
            OSError: a file cannot be written.
        """
        if dtype not in (None, "float32", "float16", "int8"):
            raise ArgumentError("dtype", "float32, float16, int8 or None", dtype)
        vector_files.write_safetensors(
            folder, self.index_to_key, self.vectors, self.counts, {**self.info, **(info or {})}, dtype=dtype
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
        mmap: bool = False,
    ) -> "KeyedVectors":
        """Read vectors from a folder, or a file of word2vec, GloVe or fastText (.vec).

        The folder is one that `save` wrote, or `save` of a Word2Vec, of which the word vectors are read.

        Text and binary files are told apart, as are those with and without a first line `V D`; they may be compressed
        (.gz, .bz2, .xz, .zst, or a .zip with one file in it). Words of text may have blanks in them.

        Args:
            path: the folder or file; "-" is standard input.
            limit: number of words to read, from the first; None reads all.
            dtype: float32 or float16; None is that of a file that `save` wrote, and float32.
            encoding: of the words in a file of another tool, such as "latin-1"; None recognizes it.
            errors: what to do with bytes that are invalid in it: "strict" raises an error, "replace" reads them as
                U+FFFD, "ignore" leaves them out. word2vec.c cuts long words inside of characters.
            duplicates: what to do with words that come again: "error", or keep the "first" or the "last" vector.
            check: compare the digests in a file that `save` wrote, at about the speed of a copy.
            mmap: read words only, and leave the vectors in a file that `save` wrote: they are read when they are asked
                for, and processes share them. The digest of the vectors is not compared then, and a number that is not
                finite is found by the first question. The file must not be written to; `save` replaces it, which leaves
                what is open as it was.

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
            files = [target / name for name in (vector_files.FILE, vector_files.MODEL_FILE)]
            target = next((file for file in files if file.exists()), None)
            if target is None:
                raise FileNotFoundError(f"{path}: there are no vectors in this folder (no {vector_files.FILE})")
        if not vector_files.is_safetensors(target):
            if check_bool("mmap", mmap):
                raise ArgumentError("mmap", "False for a file that `save` did not write", True)
            return cls._from_file(target, *read_vectors(target, options), None)
        words, vectors, counts = vector_files.read_safetensors(target, check=check, mmap=mmap)
        if mmap and dtype is not None and vectors.dtype != options.dtype:
            raise ArgumentError("dtype", f"{vectors.dtype} or None, as the mapped file has it", Verbatim(options.dtype))
        if dtype is not None and vectors.dtype != options.dtype:
            vectors = vectors[:limit].astype(options.dtype)
        elif limit is not None and not mmap:
            vectors = vectors[:limit].copy()  # so that the others are not kept in memory
        return cls._from_file(target, words[:limit], vectors[:limit], None if counts is None else counts[:limit])

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
        cls, path: str | os.PathLike[str], words: list[str], vectors: Vectors, counts: NDArray[np.int64] | None
    ) -> "KeyedVectors":
        try:
            return cls(
                words, vectors if is_mapped(vectors) else read_only(vectors), counts, copy=False, dtype=vectors.dtype
            )
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
