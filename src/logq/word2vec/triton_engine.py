"""TritonEngine: word2vec on a GPU, straight from the encoded corpus, by programs that add to the same tables."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq._arguments import ArgumentError, Verbatim
from logq.kernels.distributions import HALF, random_bits, shifted, signed
from logq.kernels.triton.launching import launch, product_precision
from logq.kernels.triton.word2vec_kernel import BLOCK, columns_kernel, tile_for, word2vec_kernel
from logq.shapes import check_device
from logq.text import Vocabulary
from logq.word2vec.engines import Engine, Floats, Position, Span, check_arrays, in_pieces
from logq.word2vec.kernel import Losses, alias_cells, keep_thresholds
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = ["Thinned", "TritonEngine", "most_programs", "thinned"]

MOST_AT_ONCE = 12.0
"""Learning rate times the pairs that may change one row without seeing each other; where all of these were summed in a
batch, training learned as well as with few at 24, and diverged at 43."""

HIGH_RATE = 0.05
"""Above this learning rate even fewer: at twice of it training diverged at 12, and not at 6."""

PER_PROCESSOR = {"tf32x3": 2, "tf32": 3, "ieee": 2}
"""Programs that a multiprocessor holds, by the precision of products: registers allow no more."""


class Thinned(NamedTuple):
    """The words of a text that stay, on the device; the size of the arrays is that of the text, of which it knows.

    Args:
        words: (n,) int32.
        places: (n,) int32, where in the text they stand.
        sentences: (n,) int32, their sentences; -1 behind the last word.
        reaches: (n,) int32, how far their windows reach.
        bounds: (2,) int32, the first word to predict and the one behind the last.
    """

    words: Tensor
    places: Tensor
    sentences: Tensor
    reaches: Tensor
    bounds: Tensor


def thinned(
    ids: Tensor,  # (n,) int32
    keep: Tensor,  # (V,) int64
    *,
    begin: int,
    end: int,
    position: int,
    seed: int,
    window: int,
    shrinks: bool = True,
) -> Thinned:
    """Leave frequent words out and draw the reach of windows, as the compiled engine does, without a wait.

    Args:
        ids: words, and negative numbers where sentences end.
        keep: from logq.word2vec.kernel.keep_thresholds.
        begin: index of the first word to predict.
        end: index behind the last.
        position: of ids[0] in the corpus.
        seed: of this pass over the corpus, in [0, 2**64).
        window: maximum reach.
        shrinks: whether the reach of each is drawn; all have the maximum otherwise.

    Example:
        >>> ids, keep = torch.tensor([1, 0, -1, 0]), torch.tensor([0, 2**32 - 1])
        >>> kept = thinned(ids, keep, begin=0, end=4, position=0, seed=1, window=1)
        >>> kept.words.tolist(), kept.bounds.tolist()
        ([1, -1, -1, -1], [0, 1])
    """
    size, device = len(ids), ids.device
    places = torch.arange(size, device=device)
    bits = random_bits(torch.full((), signed(seed), dtype=torch.int64, device=device), places + position)
    is_word = ids >= 0
    stays = is_word & (shifted(bits, 32) <= keep[ids.clamp(min=0).long()])
    numbers = stays.cumsum(0)
    reaches = 1 + ((bits & HALF) * window >> 32) if shrinks else torch.full_like(bits, window)
    rows = torch.stack((ids.long(), places, (~is_word).cumsum(0), reaches)).int()
    width = size + 1 + -(size + 1) % 4  # so that each row begins at a multiple of 16 bytes, as kernels like it
    made = torch.full((4, width), -1, dtype=torch.int32, device=device)
    made.scatter_(1, torch.where(stays, numbers - 1, size).expand(4, size), rows)  # what goes is put behind the end
    before = torch.cat((numbers.new_zeros(1), numbers))
    words, at, sentences, reaches = made[:, :size]
    return Thinned(words, at, sentences, reaches, torch.stack((before[begin], before[end])).int())


def most_programs(settings: Word2VecConfig, vocabulary: Vocabulary, centers: int) -> int:
    """How many programs may train at once, each on `centers` neighboring words, before training may diverge.

    Programs read a row before others have added to it, so what they add sums up, as in a batch. Of n centers that are
    trained at once, about n (window + 1) (p + k q) pairs meet in the output vector of the most frequent word, with its
    share p of the words that stay and q of the negatives; n (p + k q) where CBOW takes means. Times the learning rate
    that must not be much.

    Example:
        >>> few, many = (Vocabulary([str(word) for word in range(size)], [1] * size) for size in (100, 1000))
        >>> settings = Word2VecConfig(sample=1e-3, num_sampled=5)
        >>> most_programs(settings, few, centers=5), most_programs(settings, many, centers=5)
        (266, 2666)
    """
    assert settings.lr is not None
    counts = vocabulary.counts.astype(np.float64)
    kept = counts * vocabulary.keep_probability(settings.sample)
    noise = counts**settings.unigram_power
    share = float((kept / kept.sum() + settings.num_sampled * noise / noise.sum()).max())
    pairs = centers * share * (1 if settings.kind == "cbow" and settings.cbow_mean else settings.words_around)
    return max(1, int(MOST_AT_ONCE * min(1.0, HIGH_RATE / settings.lr) / (settings.lr * pairs)))


class _Running(NamedTuple):
    """A span that the device may still be training."""

    totals: Tensor  # (2,) float64: pairs, and the sum of their losses
    done: Any  # an event behind their copy to the CPU; None where they were not copied

    def losses(self) -> Losses:
        """Wait for them."""
        if self.done is not None:
            self.done.synchronize()
        pairs, loss = self.totals.tolist()
        return Losses(int(pairs), loss, int(pairs))


class TritonEngine(Engine):
    """Skip-gram and CBOW with negative sampling; see logq.kernels.triton.word2vec_kernel.

    Both tables lie on the device, with rows of a multiple of 32 bytes. A call to `train` starts work there and returns
    the losses of the one before, so that text is read meanwhile.
    """

    name = "triton"
    max_span = 1 << 20

    @classmethod
    def check_device(cls, device: Any) -> str:
        """A GPU that Triton compiles for."""
        return str(check_device(device))

    def __init__(self, settings: Word2VecConfig, vocabulary: Vocabulary, vectors: Floats, seed: int) -> None:
        if torch.are_deterministic_algorithms_enabled():
            got = Verbatim("'triton' under torch.use_deterministic_algorithms")
            raise ArgumentError(
                "engine", "'plain'", got, "programs add to a row in any order, so no two runs are alike"
            )
        size, self.dim = vectors.shape
        self.device = torch.device(str(settings.device))
        self.reach = self.window = settings.window
        self.shrinks = settings.shrink_windows
        self.negatives = settings.num_sampled
        self.precision = precision_of_products()
        self.options = {"SKIP_GRAM": settings.sg, "MEAN": settings.cbow_mean, "PRECISION": self.precision}
        self.untrained_loss = math.log(2) * (1 + self.negatives)
        stride = -(-self.dim // 8) * 8
        cells = alias_cells(vocabulary.counts.astype(np.float64) ** settings.unigram_power)
        keep = keep_thresholds(vocabulary.keep_probability(settings.sample))
        try:
            self.inputs, self.outputs = torch.zeros(2, size, stride, device=self.device)
            self.keep = torch.from_numpy(keep.astype(np.int64)).to(self.device)
            self.cells = torch.from_numpy(cells.view(np.int64)).to(self.device)
        except torch.OutOfMemoryError:
            raise MemoryError from None
        self.inputs[:, : self.dim] = torch.from_numpy(np.ascontiguousarray(vectors))
        self.tile = tile_for(self.window, self.negatives, stride)
        self.programs = min(self._programs_that_fit(), most_programs(settings, vocabulary, self.tile.centers))
        self._running: _Running | None = None

    def _programs_that_fit(self) -> int:
        if self.device.type != "cuda":  # in Triton's interpreter, one after the other
            return 1
        processors = torch.cuda.get_device_properties(self.device).multi_processor_count
        return processors * PER_PROCESSOR[self.precision]

    def train(self, span: Span, position: Position) -> Losses:
        """Start training on the words of a span, and return the losses of the call before."""
        if self.held is None:
            return self._take(span, position)
        every: list[Losses] = []
        for piece, place in in_pieces(span, position, self.reach):
            every.append(self._take(piece, place))
            self.put_back(piece.ids)  # on the device's own stream, behind what was started there
        return Losses.total(every)

    def _take(self, span: Span, position: Position) -> Losses:
        before, self._running = self._running, self._start(span, position)
        return Losses(0, 0.0, 0) if before is None else before.losses()

    def finish(self) -> Losses:
        """Wait for what was started last."""
        before, self._running = self._running, None
        return Losses(0, 0.0, 0) if before is None else before.losses()

    def _start(self, span: Span, position: Position) -> _Running:
        words = len(self.inputs)
        if len(span.ids) and span.ids.max() >= words:
            raise ArgumentError("ids", f"words below {words}", int(span.ids.max()))
        first = position.entry - span.begin
        ids = torch.from_numpy(np.ascontiguousarray(span.ids))
        ids = (ids.pin_memory() if self.device.type == "cuda" else ids).to(self.device, non_blocking=True)
        place: dict[str, Any] = {"begin": span.begin, "end": span.end, "position": first}
        kept = thinned(ids, self.keep, seed=position.seed, window=self.window, shrinks=self.shrinks, **place)
        each = 1 + self.negatives
        number = (span.end - span.begin) * each
        columns = torch.empty(number, dtype=torch.int32, device=self.device)
        totals = torch.zeros(2, self.programs, dtype=torch.float64, device=self.device)
        if number:
            launch(
                columns_kernel,
                (-(-number // BLOCK),),
                columns,
                kept.words,
                kept.places,
                kept.bounds,
                self.cells,
                words,
                ~signed(position.seed),
                first,
                NEGATIVES=self.negatives,
                BLOCK=BLOCK,
            )
            start, slope, floor = position.rate
            tile = self.tile
            launch(
                word2vec_kernel,
                (self.programs,),
                self.inputs,
                self.outputs,
                *kept,
                columns,
                totals,
                len(ids),
                start - slope * first,
                slope,
                floor,
                WINDOW=self.window,
                NEGATIVES=self.negatives,
                STRIDE=self.inputs.shape[1],
                CENTERS=tile.centers,
                ROWS=tile.rows,
                COLUMNS=tile.columns,
                WIDTH=tile.width,
                **self.options,
                num_warps=tile.warps,
                num_stages=1,  # a table is not read before what was added to it
            )
        sums = totals.sum(1)
        if self.device.type != "cuda":
            return _Running(sums, None)
        module = torch.get_device_module(self.device)
        sums, done = sums.to("cpu", non_blocking=True), module.Event()
        done.record(module.current_stream(self.device))
        return _Running(sums, done)

    @property
    def vectors(self) -> Floats:
        """(V, D), a copy, but for the CPU."""
        return self.inputs[:, : self.dim].cpu().numpy()

    def state(self) -> dict[str, NDArray[Any]]:
        """The output vectors."""
        return {"outputs": self.outputs[:, : self.dim].cpu().numpy()}

    def load_state(self, vectors: Floats, state: Mapping[str, NDArray[Any]]) -> None:
        """Copy both tables."""
        expected = np.empty((len(self.inputs), self.dim), np.float32)
        check_arrays({"vectors": expected, "outputs": expected}, {"vectors": vectors, **state})
        self.inputs[:, : self.dim] = torch.from_numpy(np.ascontiguousarray(vectors))
        self.outputs[:, : self.dim] = torch.from_numpy(np.ascontiguousarray(state["outputs"]))

    def put_vectors(self, rows: NDArray[np.int64], vectors: Floats) -> None:
        """Replace the rows of some words."""
        of_words = torch.from_numpy(np.ascontiguousarray(vectors)).to(self.device)
        self.inputs[torch.from_numpy(rows).to(self.device), : self.dim] = of_words

    def copy_words(self, other: Engine, numbers: NDArray[np.int64]) -> None:
        """Copy the rows of its words."""
        assert isinstance(other, TritonEngine)
        rows = torch.from_numpy(numbers).to(self.device)
        self.inputs[rows] = other.inputs
        self.outputs[rows] = other.outputs


def precision_of_products() -> str:
    """How tensor cores multiply: float32 out of three products of TF32, or TF32 where torch may take that.

    Example:
        >>> precision_of_products()
        'tf32x3'
    """
    if torch.version.hip:
        return "ieee"
    return "tf32x3" if product_precision() == "highest" else "tf32"
