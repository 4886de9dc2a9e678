"""FusedEngine: word2vec in compiled code on all cores, straight from the encoded corpus."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq.huffman import HuffmanTree
from logq.text import Vocabulary
from logq.vectors.word_parts import WordParts
from logq.word2vec.engines import (
    Engine,
    Floats,
    Position,
    Span,
    check_arrays,
    first_vectors,
    in_pieces,
    rows_of_buckets,
)
from logq.word2vec.kernel import Losses, Setup, alias_cells, cells_of_partitions, keep_thresholds, table, train
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = ["FusedEngine", "setup_of", "train_span"]

CBOW_BLOCK = 4
"""Neighboring windows of CBOW that are trained at once; one alone has to wait for the one before."""


def setup_of(settings: Word2VecConfig, vocabulary: Vocabulary, parts: WordParts | None = None) -> Setup:
    """What the kernel is told of a model.

    Example:
        >>> setup_of(Word2VecConfig(window=3, sample=1e-3, num_sampled=5), Vocabulary(["a", "b"], [2, 1])).window
        3
    """
    tree = HuffmanTree.from_counts(vocabulary.counts) if settings.hs else None
    noise = vocabulary.counts.astype(np.float64) ** settings.unigram_power
    of_partitions, shares = (), np.zeros(0, np.uint64)
    if settings.partitions > 1:
        of_partitions, shares = cells_of_partitions(noise, settings.partitions)
    return Setup(
        keep=keep_thresholds(vocabulary.keep_probability(settings.sample)),
        window=settings.window,
        shrink=settings.shrink_windows,
        skip_gram=settings.sg,
        mean=settings.cbow_mean,
        cells=np.zeros(0, np.uint64) if tree is not None or of_partitions else alias_cells(noise),
        negatives=settings.num_sampled,
        shared=settings.shared_negatives is not False,
        block=1 if settings.sg else CBOW_BLOCK,
        tree=tree,
        parts=parts,
        threads=settings.used_threads,
        simd=settings.simd,
        partition_cells=of_partitions,
        shares=shares,
    )


def train_span(
    inputs: Floats, outputs: Floats, setup: Setup, span: Span, position: Position, bucket: tuple[int, int] = (0, 0)
) -> Losses:
    """Train both tables, or a part of each, on a span of the corpus; see logq.word2vec.kernel.train.

    Example:
        >>> setup = setup_of(Word2VecConfig(window=1, num_sampled=1, sample=0), Vocabulary(["a", "b"], [2, 1]))
        >>> span, position = Span(np.array([0, 1, -1], np.int32), 0, 3), Position(0, (0.1, 0.0, 0.1), 1)
        >>> train_span(table(2, 4), table(2, 4), setup, span, position).pairs
        2
    """
    return train(
        inputs,
        outputs,
        span.ids,
        setup,
        begin=span.begin,
        end=span.end,
        position=position.entry - span.begin,
        seed=position.seed,
        rate=position.rate,
        bucket=bucket,
    )


class FusedEngine(Engine):
    """Skip-gram and CBOW with negative sampling or hierarchical softmax; see logq.word2vec.kernel."""

    name = "fused"
    max_span = 1 << 20

    def __init__(self, settings: Word2VecConfig, vocabulary: Vocabulary, vectors: Floats, seed: int) -> None:
        size, dim = vectors.shape
        self.dim = dim
        self.reach = settings.window
        self._parts = None if settings.ngrams is None else WordParts.of(vocabulary.index_to_key, settings.ngrams)
        self.inputs = table(size if self._parts is None else self._parts.num_rows, dim)
        self.inputs[:size, :dim] = vectors
        if self._parts is not None:
            self.inputs[size:, :dim] = first_vectors(len(self._parts.buckets), dim, seed)
        self.setup = setup_of(settings, vocabulary, self._parts)
        tree, bits = self.setup.tree, 1.0 + settings.num_sampled
        if tree is not None:
            bits = float(vocabulary.counts @ np.diff(tree.offsets)) / vocabulary.total
        self.outputs = table(size if tree is None else size - 1, dim)
        self.untrained_loss = math.log(2) * bits

    def train(self, span: Span, position: Position) -> Losses:
        """Train on the words of a span; with one thread the result is always the same."""
        if self.held is None:
            return self._train(span, position)
        every: list[Losses] = []
        for piece, place in in_pieces(span, position, self.reach):
            every.append(self._train(piece, place))
            self.put_back(piece.ids)
        self.put_back()
        return Losses.total(every)

    def _train(self, span: Span, position: Position) -> Losses:
        setup = replace(self.setup, loss_every=self.loss_every)
        return train_span(self.inputs, self.outputs, setup, span, position)

    @property
    def vectors(self) -> Floats:
        """(V, D), a view."""
        return self.rows[: self._num_words]

    @property
    def parts(self) -> WordParts | None:
        """The rows that words consist of, if they are trained with their n-grams."""
        return self._parts

    @property
    def rows(self) -> Floats:
        """All rows, a view."""
        return self.inputs[:, : self.dim]

    @property
    def _num_words(self) -> int:
        return len(self.setup.keep)

    def state(self) -> dict[str, NDArray[Any]]:
        """The output vectors, or those of the inner nodes; and those of n-grams."""
        ngrams = {} if self._parts is None else {"ngrams": self.rows[self._num_words :]}
        return {"outputs": self.outputs[:, : self.dim], **ngrams}

    def load_state(self, vectors: Floats, state: Mapping[str, NDArray[Any]]) -> None:
        """Copy both tables."""
        check_arrays({"vectors": self.vectors, **self.state()}, {"vectors": vectors, **state})
        self.vectors[:] = vectors
        for name, array in self.state().items():
            array[:] = state[name]

    def put_vectors(self, rows: NDArray[np.int64], vectors: Floats) -> None:
        """Replace some rows."""
        self.inputs[rows, : self.dim] = vectors

    def copy_words(self, other: Engine, numbers: NDArray[np.int64]) -> None:
        """Copy the rows of its words."""
        self.vectors[numbers] = other.vectors
        self.state()["outputs"][numbers] = other.state()["outputs"]
        if self._parts is not None:
            self.state()["ngrams"][rows_of_buckets(self._parts, other.parts)] = other.state()["ngrams"]
