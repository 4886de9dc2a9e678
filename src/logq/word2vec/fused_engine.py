"""FusedEngine: word2vec in compiled code on all cores, straight from the encoded corpus."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq.huffman import HuffmanTree
from logq.text import Vocabulary
from logq.word2vec.engines import Engine, Floats, Position, Span, check_arrays
from logq.word2vec.kernel import Losses, Setup, alias_cells, cells_of_parts, keep_thresholds, table, train
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = ["FusedEngine", "setup_of"]


def setup_of(settings: Word2VecConfig, vocabulary: Vocabulary) -> Setup:
    """What the kernel is told of a model.

    Example:
        >>> setup_of(Word2VecConfig(window=3), Vocabulary(["a", "b"], [2, 1])).window
        3
    """
    tree = HuffmanTree.from_counts(vocabulary.counts) if settings.hs else None
    noise = vocabulary.counts.astype(np.float64) ** settings.unigram_power
    parts, shares = (
        cells_of_parts(noise, settings.partitions) if settings.partitions > 1 else ((), np.zeros(0, np.uint64))
    )
    return Setup(
        keep=keep_thresholds(vocabulary.keep_probability(settings.sample)),
        window=settings.window,
        skip_gram=settings.sg,
        mean=settings.cbow_mean,
        cells=np.zeros(0, np.uint64) if tree is not None or parts else alias_cells(noise),
        negatives=settings.num_sampled,
        shared=settings.shared_negatives is not False,
        tree=tree,
        threads=settings.used_threads,
        simd=settings.simd,
        parts=parts,
        shares=shares,
    )


class FusedEngine(Engine):
    """Skip-gram and CBOW with negative sampling or hierarchical softmax; see logq.word2vec.kernel."""

    name = "fused"
    max_span = 1 << 20

    def __init__(self, settings: Word2VecConfig, vocabulary: Vocabulary, vectors: Floats, seed: int) -> None:
        size, dim = vectors.shape
        self.dim = dim
        self.reach = settings.window
        self.inputs = table(size, dim)
        self.inputs[:, :dim] = vectors
        self.setup = setup_of(settings, vocabulary)
        tree, bits = self.setup.tree, 1.0 + settings.num_sampled
        if tree is not None:
            bits = float(vocabulary.counts @ np.diff(tree.offsets)) / vocabulary.total
        self.outputs = table(size if tree is None else size - 1, dim)
        self.untrained_loss = math.log(2) * bits

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
        return self.inputs[:, : self.dim]

    def state(self) -> dict[str, NDArray[Any]]:
        """The output vectors, or those of the inner nodes."""
        return {"outputs": self.outputs[:, : self.dim]}

    def load_state(self, vectors: Floats, state: Mapping[str, NDArray[Any]]) -> None:
        """Copy both tables."""
        check_arrays({"vectors": self.vectors, **self.state()}, {"vectors": vectors, **state})
        self.inputs[:, : self.dim] = vectors
        self.outputs[:, : self.dim] = state["outputs"]

    def copy_words(self, other: Engine, numbers: NDArray[np.int64]) -> None:
        """Copy the rows of its words."""
        assert isinstance(other, FusedEngine)
        self.inputs[numbers] = other.inputs
        self.outputs[numbers] = other.outputs
