"""FusedEngine: word2vec in compiled code on all cores, straight from the encoded corpus."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq.huffman import HuffmanTree
from logq.text import Vocabulary
from logq.word2vec.engines import Engine, Floats, Position, Span, check_arrays, first_vectors, rows_of_buckets
from logq.word2vec.kernel import Losses, Setup, alias_cells, keep_thresholds, table, train
from logq.word2vec.word2vec_config import Word2VecConfig
from logq.word2vec.word_parts import WordParts

__all__ = ["FusedEngine"]


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
        cells, tree, bits = np.zeros(0, np.uint64), None, 1.0 + settings.num_sampled
        if settings.hs:
            tree = HuffmanTree.from_counts(vocabulary.counts)
            bits = float(vocabulary.counts @ np.diff(tree.offsets)) / vocabulary.total
        else:
            cells = alias_cells(vocabulary.counts.astype(np.float64) ** settings.unigram_power)
        self.outputs = table(size if tree is None else size - 1, dim)
        self.untrained_loss = math.log(2) * bits
        self.setup = Setup(
            keep=keep_thresholds(vocabulary.keep_probability(settings.sample)),
            window=settings.window,
            skip_gram=settings.sg,
            mean=settings.cbow_mean,
            cells=cells,
            negatives=settings.num_sampled,
            shared=settings.shared_negatives is not False,
            tree=tree,
            parts=self._parts,
            threads=settings.used_threads,
            simd=settings.simd,
        )

    def train(self, span: Span, position: Position) -> Losses:
        """Train on the words of a span; with one thread the result is always the same."""
        return train(
            self.inputs,
            self.outputs,
            span.ids,
            replace(self.setup, loss_every=self.loss_every),
            begin=span.begin,
            end=span.end,
            position=position.entry - span.begin,
            seed=position.seed,
            rate=position.rate,
        )

    @property
    def vectors(self) -> Floats:
        """(V, D), a view."""
        return self._rows[: self._num_words]

    @property
    def parts(self) -> WordParts | None:
        """The rows that words consist of, if they are trained with their n-grams."""
        return self._parts

    @property
    def _rows(self) -> Floats:
        return self.inputs[:, : self.dim]

    @property
    def _num_words(self) -> int:
        return len(self.setup.keep)

    def state(self) -> dict[str, NDArray[Any]]:
        """The output vectors, or those of the inner nodes; and those of n-grams."""
        ngrams = {} if self._parts is None else {"ngrams": self._rows[self._num_words :]}
        return {"outputs": self.outputs[:, : self.dim], **ngrams}

    def load_state(self, vectors: Floats, state: Mapping[str, NDArray[Any]]) -> None:
        """Copy both tables."""
        check_arrays({"vectors": self.vectors, **self.state()}, {"vectors": vectors, **state})
        self.vectors[:] = vectors
        for name, array in self.state().items():
            array[:] = state[name]

    def copy_words(self, other: Engine, numbers: NDArray[np.int64]) -> None:
        """Copy the rows of its words."""
        assert isinstance(other, FusedEngine)
        self.vectors[numbers] = other.vectors
        self.outputs[numbers] = other.outputs
        if self._parts is not None:
            self.state()["ngrams"][rows_of_buckets(self._parts, other.parts)] = other.state()["ngrams"]
