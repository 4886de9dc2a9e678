"""PartitionedEngine: skip-gram for vocabularies whose vectors are larger than memory, bucket by bucket."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim
from logq._mapped_file import release_mapped
from logq._model_file import ArrayInPieces
from logq.text import Vocabulary
from logq.word2vec.engines import Engine, Floats, Position, Span, check_arrays, in_pieces
from logq.word2vec.fused_engine import setup_of, train_span
from logq.word2vec.kernel import Losses, Setup
from logq.word2vec.partitioned_table import PartitionedTable
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = ["PartitionedEngine", "buckets"]


def buckets(partitions: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of inputs and outputs that are trained together, all P * P pairs, one part changing at a time.

    Each bucket but the first has a part that was trained before, so that all vectors come to lie in one space.

    References:
        Lerer et al., PyTorch-BigGraph, SysML 2019, arXiv:1903.12287, Sec. 4.2.

    Example:
        >>> list(buckets(2))
        [(0, 0), (0, 1), (1, 1), (1, 0)]
    """
    for first in range(partitions):
        row = range(partitions)
        for second in row if first % 2 == 0 else reversed(row):
            yield first, second


class PartitionedEngine(Engine):
    """Trains each span of text once for each bucket: one part of the word vectors, one of the output vectors.

    A window is planned as in the whole tables, with the same words and rate, and each bucket takes the pairs of which
    both rows are in its parts. The k negatives of a window come from one part of the outputs, by q(y) / q(part) as in
    Partition and Stratified, and a part is drawn as often as it has of q:

        Q(y) = k q(part) q(y) / q(part) = k q(y)

    as without partitions, exactly. In memory are two parts, the text of a span, and 12 bytes for each word.
    """

    name = "fused"
    max_span = 1 << 24
    min_span = max_span  # moving parts costs time, and shorter spans were not seen to be better

    def __init__(self, settings: Word2VecConfig, vocabulary: Vocabulary, vectors: Any, seed: int) -> None:
        size, dim = vectors.shape
        if size < settings.partitions:
            got = Verbatim(f"{settings.partitions} for {size} words")
            raise ArgumentError("partitions", "at most one for each word", got)
        self.reach = settings.window
        self.setup = setup_of(settings, vocabulary)
        self.untrained_loss = math.log(2) * (1.0 + settings.num_sampled)
        self.inputs = PartitionedTable(size, dim, settings.partitions)
        self.outputs = PartitionedTable(size, dim, settings.partitions)
        self._still: PartitionedTable | None = None
        self._is_held = np.zeros(0, np.bool_)
        if not isinstance(vectors, ArrayInPieces):
            self.inputs.fill(vectors)
            return
        begin = 0
        for rows in vectors.pieces():
            self.inputs.write(begin, rows)
            begin += len(rows)

    def train(self, span: Span, position: Position) -> Losses:
        """Train all buckets on the words of a span; with one thread the result is always the same."""
        return self.train_buckets(span, position, buckets(self.inputs.partitions))

    def train_buckets(self, span: Span, position: Position, some: Iterable[tuple[int, int]]) -> Losses:
        """Train some buckets, in their order."""
        pieces = [(span, position)] if self._still is None else [*in_pieces(span, position, self.reach)]
        setup = replace(self.setup, loss_every=self.loss_every)
        return Losses.total(self._train(setup, *piece, bucket) for bucket in some for piece in pieces)

    def _train(self, setup: Setup, span: Span, position: Position, bucket: tuple[int, int]) -> Losses:
        tables = self.inputs.hold(bucket[0]), self.outputs.hold(bucket[1])
        losses = train_span(*tables, setup, span, position, bucket)
        if self._still is not None:
            words = np.unique(span.ids[span.ids % self.inputs.partitions == bucket[0]])
            rows = words[self._is_held[words]] // self.inputs.partitions  # that of the end of a sentence is never held
            self.inputs.rows[rows] = self._still.hold(bucket[0])[rows]
        return losses

    def hold(self, rows: NDArray[np.int64]) -> None:
        """Keep some word vectors as they are now, by a file of all of them, of which a part is in memory."""
        self._still = None
        self._is_held = np.zeros(len(self.inputs) + 1, np.bool_)
        self._is_held[rows] = True
        if len(rows):
            self._still = PartitionedTable(*self.inputs.shape, self.inputs.partitions)
            self._still.fill(self.inputs)

    @property
    def vectors(self) -> Any:
        """(V, D), which slices read."""
        return self.inputs

    def state(self) -> dict[str, Any]:
        """The output vectors, which slices read."""
        return {"outputs": self.outputs}

    def load_state(self, vectors: Any, state: Mapping[str, NDArray[Any]]) -> None:
        """Copy both tables."""
        check_arrays({"vectors": self.vectors, **self.state()}, {"vectors": vectors, **state})
        self.inputs.fill(vectors)
        self.outputs.fill(state["outputs"])

    def put_vectors(self, rows: NDArray[np.int64], vectors: Floats) -> None:
        """Replace some word vectors, a part at a time."""
        self.put_words(rows, vectors)

    def put_words(self, words: NDArray[np.int64], vectors: Any, chosen: NDArray[np.int64] | None = None) -> None:
        """Replace the vectors of some words, a part at a time, and of each part those that lie near one another."""
        chosen = np.arange(len(words)) if chosen is None else chosen
        parts, order = words % self.inputs.partitions, np.argsort(chosen, kind="stable")
        for part in np.unique(parts).tolist():
            held, of_part = self.inputs.hold(part), order[parts[order] == part]
            cuts = np.searchsorted(chosen[of_part], np.arange(0, len(vectors), self.inputs.piece))
            for here in np.split(of_part, cuts):
                held[words[here] // self.inputs.partitions, : vectors.shape[1]] = vectors[chosen[here]]
                release_mapped(vectors)

    def copy_words(self, other: Engine, numbers: NDArray[np.int64]) -> None:
        """Copy the rows of its words, a part at a time."""
        learned = ((self.inputs, other.vectors), (self.outputs, other.state()["outputs"]))
        for new, old in learned:
            for part in range(new.partitions):
                rows = new.hold(part)
                for begin in range(0, len(old), new.piece):
                    of_piece = numbers[begin : begin + new.piece]
                    here = of_piece % new.partitions == part
                    rows[of_piece[here] // new.partitions, : new.shape[1]] = old[begin : begin + new.piece][here]
