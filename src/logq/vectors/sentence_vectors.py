"""SentenceVectors: a vector for a sentence, from those of its words, without training."""

import os
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_float, check_int
from logq.text.corpus import Corpus
from logq.text.words import check_strings
from logq.vectors.keyed_vectors import KeyedVectors
from logq.vectors.nearest_words import unit
from logq.vectors.static_embedding import write_static_embedding

__all__ = ["SentenceVectors"]

_ROWS = 4096  # sentences at a time


class SentenceVectors:
    """Means of the vectors of words, weighted by how rare these are, without what all sentences have in common.

        v(s) = 1/n sum_i a / (a + p(w_i)) v(w_i),   v(s) - sum_j u_j <u_j, v(s)>      <- smooth inverse frequency, SIF

    n are the words of the sentence that have a vector, p(w) is the share of a word in the counts of the vectors (0 for
    one that has its vector by its n-grams), and u_j are the first directions of the sentences that `fit` sees (the
    first right singular vectors, without centering).

    Args:
        vectors: of words, with counts unless `smoothing` is None.
        smoothing: a; 1e-3 to 1e-4 is usual. None takes the plain mean.
        components: how many directions `fit` removes.

    Attributes:
        directions: (components, D) float64 once fitted, else (0, D).

    Raises:
        ArgumentError, ArgumentTypeError: an argument is not as described, or the vectors have no counts.

    References:
        Arora, Liang and Ma, A Simple but Tough-to-Beat Baseline for Sentence Embeddings, ICLR 2017.

    Example:
        >>> words = KeyedVectors(["the", "tea", "cup", "saw"], [[1, 0], [0.5, 1], [0.5, 2], [1, -2]], [90, 5, 3, 2])
        >>> sentences = SentenceVectors(words).fit([["the", "tea"], ["the", "cup"], ["the", "saw"]])
        >>> sentences.encode([["the", "cup"], ["unknown"]]).shape
        (2, 2)
        >>> plain = SentenceVectors(words, smoothing=None)
        >>> plain.encode([["tea", "cup", "unknown"]]).tolist()
        [[0.5, 1.5]]
        >>> plain.similarity(["tea"], ["cup"]) > plain.similarity(["tea"], ["saw"])
        True
    """

    def __init__(self, vectors: KeyedVectors, *, smoothing: float | None = 1e-3, components: int = 1) -> None:
        if not isinstance(vectors, KeyedVectors):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentTypeError("vectors", "KeyedVectors", vectors)
        self.vectors = vectors
        self.components = check_int("components", components, 0)
        self.directions = np.zeros((0, vectors.vector_size))
        self._weights = np.ones(len(vectors))
        if smoothing is not None:
            smoothing = check_float("smoothing", smoothing, above=0)
            if vectors.counts is None:
                hint = "KeyedVectors(keys, vectors, counts) has them; smoothing=None does without"
                raise ArgumentError("vectors", "counts of the words", Verbatim("none"), hint)
            self._weights = smoothing / (smoothing + vectors.counts / max(1, int(vectors.counts.sum())))

    def fit(self, sentences: str | os.PathLike[str] | Iterable[Iterable[str]]) -> Self:
        """Find the directions that sentences have in common, in one pass and with D x D numbers; return the object.

        Args:
            sentences: lists of words, or a path to a text with a sentence per line.

        Raises:
            ArgumentError: no word of the sentences has a vector.
            OSError: the file cannot be read.
        """
        if isinstance(sentences, str | os.PathLike):
            sentences = Corpus(sentences)
        dim = self.vectors.vector_size
        products, any_known = np.zeros((dim, dim)), False
        for block in _blocks(sentences):
            means = self._means(block)
            products += means.T @ means
            any_known = any_known or bool(means.any())
        if not any_known:
            raise ArgumentError("sentences", "sentences with a word that has a vector", Verbatim("none"))
        _, directions = np.linalg.eigh(products)
        self.directions = directions.T[::-1][: self.components].copy()
        return self

    def encode(self, sentences: Iterable[Iterable[str]]) -> NDArray[np.float32]:
        """Return the vectors of sentences, (n, D); zeros for one without a word that has a vector.

        Args:
            sentences: lists of words.

        Raises:
            ArgumentTypeError: a sentence is no list of words.
        """
        found = [self._means(block) for block in _blocks(sentences)]
        if not found:
            return np.zeros((0, self.vectors.vector_size), np.float32)
        means = np.concatenate(found)
        return (means - means @ self.directions.T @ self.directions).astype(np.float32)

    def similarity(self, a: Iterable[str], b: Iterable[str]) -> float:
        """Return the cosine between two sentences, which need not have been seen before; 0 for one without vectors."""
        first, second = (unit(vector) for vector in self.encode([list(a), list(b)]))
        return float(np.clip(first @ second, -1, 1))

    def to_static_embedding(self, folder: str | os.PathLike[str], *, lowercase: bool = False) -> None:
        """Write a folder that sentence-transformers opens, whose vectors of texts are those of `encode`.

        `SentenceTransformer(folder).encode(["black tea"])` is `encode([["black", "tea"]])`: texts are split at white
        space, words without a vector of their own do not count. The weights of the words are in the rows of the table,
        and what `fit` removes is removed from each row, as means of rows without a direction have nothing of it either.

        Args:
            folder: where it goes; made if it is missing.
            lowercase: whether texts are made lowercase first, for vectors of lowercase words.

        Raises:
            ArgumentError: a word has no UTF-8 form.
            OSError: a file cannot be written.

        Example:
            >>> import tempfile
            >>> words = KeyedVectors(["tea", "cup"], [[1.0, 2.0], [3.0, 4.0]])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     SentenceVectors(words, smoothing=None).to_static_embedding(folder)
            ...     sorted(os.listdir(folder))
            ['config_sentence_transformers.json', 'model.safetensors', 'modules.json', 'tokenizer.json']
        """
        rows = np.empty((len(self.vectors), self.vectors.vector_size), np.float32)
        for start in range(0, len(rows), _ROWS):
            part = slice(start, start + _ROWS)
            weighted = self._weights[part, None] * np.asarray(self.vectors.vectors[part], dtype=np.float64)
            rows[part] = weighted - weighted @ self.directions.T @ self.directions
        write_static_embedding(folder, self.vectors.index_to_key, rows, lowercase=lowercase)

    def _means(self, sentences: list[Iterable[str]]) -> NDArray[np.float64]:
        known, subwords = self.vectors.key_to_index, self.vectors.subwords
        means = np.zeros((len(sentences), self.vectors.vector_size))
        for number, sentence in enumerate(sentences):
            if isinstance(sentence, str):
                hint = "sentence.split() makes one, and so does logq.text.tokenize(sentence)"
                raise ArgumentTypeError("sentences", "lists of words", sentence, hint)
            words = check_strings("sentences", sentence)
            rows = [known[word] for word in words if word in known]
            composed = [] if subwords is None else subwords.vectors_of(word for word in words if word not in known)
            if rows:
                means[number] = self._weights[rows] @ self.vectors.vectors[rows]
            if composed:
                means[number] += np.sum(composed, axis=0, dtype=np.float64)
            means[number] /= max(1, len(rows) + len(composed))
        return means


def _blocks(sentences: Iterable[Iterable[str]]) -> Iterable[list[Iterable[str]]]:
    if isinstance(sentences, str):
        raise ArgumentTypeError("sentences", "lists of words", sentences)
    block: list[Iterable[str]] = []
    for sentence in sentences:
        block.append(sentence)
        if len(block) == _ROWS:
            yield block
            block = []
    if block:
        yield block
