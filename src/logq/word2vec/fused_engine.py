"""The fused engines: word2vec in compiled code on all cores, straight from the encoded corpus."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from logq.huffman import HuffmanTree
from logq.text import Vocabulary
from logq.word2vec import engines
from logq.word2vec.engines import Floats, Place, Stretch
from logq.word2vec.kernel import Losses, Setup, alias_cells, keep_thresholds, table, train

if TYPE_CHECKING:
    from logq.word2vec.word2vec import Word2Vec

__all__ = ["Engine"]


class Engine(engines.Engine):
    """Skip-gram and CBOW with negative sampling or hierarchical softmax; see logq.word2vec.kernel."""

    name = "fused"
    stretch = 1 << 20

    def __init__(self, model: "Word2Vec", vocabulary: Vocabulary, vectors: Floats, seed: int) -> None:
        size, dim = vectors.shape
        self.dim = dim
        self.reach = model.window
        tree = HuffmanTree.from_counts(vocabulary.counts) if model.hs else None
        self.inputs = table(size, dim)
        self.inputs[:, :dim] = vectors
        self.outputs = table(size - 1 if model.hs else size, dim)
        bits = 1 + model.negatives
        if tree is not None:
            bits = float(vocabulary.counts @ np.diff(tree.offsets)) / vocabulary.total
        self.untrained_loss = math.log(2) * bits
        self.setup = Setup(
            keep=keep_thresholds(vocabulary.keep_probability(model.sample)),
            window=model.window,
            skip_gram=model.sg,
            mean=model.cbow_mean,
            cells=np.zeros(0, np.uint64)
            if model.hs
            else alias_cells(vocabulary.counts.astype(np.float64) ** model.power),
            negatives=model.negatives,
            shared=model.shared_negatives is not False,
            tree=tree,
            threads=model.used_threads,
            simd=model.simd,
        )

    def train(self, stretch: Stretch, place: Place) -> Losses:
        """Train on the words of a stretch; with one thread the result is always the same."""
        return train(
            self.inputs,
            self.outputs,
            stretch.ids,
            self.setup,
            begin=stretch.begin,
            end=stretch.end,
            position=place.position - stretch.begin,
            seed=place.seed,
            rate=place.rate,
        )

    @property
    def vectors(self) -> Floats:
        """(V, D), a view."""
        return self.inputs[:, : self.dim]

    def state(self) -> dict[str, NDArray[Any]]:
        """The output vectors, or those of the inner nodes."""
        return {"outputs": self.outputs[:, : self.dim]}

    def load_state(self, vectors: Floats, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over both tables."""
        outputs = state.get("outputs")
        expected = self.state()["outputs"].shape
        if outputs is None or outputs.shape != expected:
            raise ValueError(f"outputs: expected shape {expected}, got {None if outputs is None else outputs.shape}")
        self.inputs[:, : self.dim] = vectors
        self.outputs[:, : self.dim] = outputs

    def grow(self, other: engines.Engine, known: NDArray[np.int64]) -> None:
        """Take over the rows of known words."""
        assert isinstance(other, Engine)
        self.inputs[known] = other.inputs
        self.outputs[known] = other.outputs
