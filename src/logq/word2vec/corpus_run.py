"""CorpusRun: training on an encoded corpus for some epochs, which can stop anywhere and continue from there."""

import math
from collections.abc import Callable

import numpy as np

from logq._arguments import ArgumentError, Verbatim
from logq._progress import Progress
from logq.text import EncodedCorpus
from logq.training.checkpoint import RunCheckpoint, RunState
from logq.training.estimator import prefixed, with_prefix
from logq.training.interrupts import uninterrupted
from logq.training.running_mean import DivergedError, RunningMean
from logq.training.validations import Validations
from logq.word2vec.engines import AROUND, Engine, Position, Span
from logq.word2vec.kernel import Losses

__all__ = ["CorpusRun", "check_finite"]

LR_FLOOR = 1e-4
"""The learning rate falls to this part of its start, as in word2vec.c."""

MEASURED_WHOLE = 100_000
"""Words: of a smaller corpus the loss of every pair is measured, of a larger one that of about one in 64."""


class CorpusRun:
    """Trains an engine on a corpus, span by span, and knows how far it is.

    What happens in a span depends only on the seed and on where it lies, so a run that was interrupted ends as one that
    was not, if the engine does its part.

    Args:
        corpus: what to train on.
        engine: what is trained.
        epochs: passes over the corpus.
        lr: learning rate at the start; it falls linearly over all epochs.
        seed: of everything random; see logq.training.estimator.Seeds.
        part: the entries of the corpus to train on; None for all of them.

    Attributes:
        epoch: the current one, from 0.
        entry: of the corpus that comes next.
        pairs, loss_sum, loss_pairs: of this epoch so far, see Losses.
        best: the best epoch, where a callback restores it in the end; None where none does.
        every: how many words a span has at most where somebody asks for the loss within epochs; 0 where nobody does.

    Example:
        See logq.Word2Vec, which makes one for each `fit`.
    """

    def __init__(
        self,
        corpus: EncodedCorpus,
        engine: Engine,
        *,
        epochs: int,
        lr: float,
        seed: int,
        part: range | None = None,
    ) -> None:
        self.corpus = corpus
        self.part = range(corpus.num_ids) if part is None else part
        self.engine = engine
        self.every = 0
        self.best: Validations | None = None
        engine.loss_every = 1 if corpus.num_words <= MEASURED_WHOLE else 64
        self.epochs = epochs
        self.lr = lr
        self.seed = seed
        self.epoch, self.entry = 0, self.part.start
        self.loss_sum, self.loss_pairs = 0.0, 0
        self.pairs = 0
        self._running = RunningMean(memory=100 if engine.name == "plain" else 10)
        self._consistent = True  # the engine has learned what lies before `entry`, and nothing else

    @property
    def epochs_done(self) -> float:
        """How many epochs are done, parts of the current one included."""
        return self.epoch + (self.entry - self.part.start) / len(self.part)

    @property
    def mean_loss(self) -> float:
        """Mean loss of a pair over the epoch so far; NaN if none was measured."""
        return self.loss_sum / self.loss_pairs if self.loss_pairs else math.nan

    # ------------------------------------------------------------------------------------------------------ checkpoints

    def state(self) -> RunState:
        """What `restore` needs to continue from here.

        Raises:
            FloatingPointError: training has diverged.
        """
        self._take_in(self.engine.finish())
        check_finite(self.engine, self.lr)
        position = {name: getattr(self, name) for name in ("epoch", "entry", "pairs", "loss_sum", "loss_pairs")}
        tensors = {"vectors": self.engine.vectors, **prefixed("engine", self.engine.state())}
        if self.best is not None:
            position |= self.best.position()
            tensors |= prefixed("best", self.best.best)
        return RunState(self.seed, position, tensors)

    def restore(self, state: RunState) -> None:
        """Continue from `state`, in a run over the same corpus that was made with its seed.

        Raises:
            KeyError, TypeError, ValueError: it is not the state of such a run.
        """
        if not all(np.isfinite(array).all() for array in state.tensors.values()):
            raise ValueError("not all of it is finite")
        position = state.position
        epoch, entry = int(position["epoch"]), int(position["entry"])
        if not (0 <= epoch < self.epochs and 0 <= entry <= self.corpus.num_ids):
            raise ValueError(f"there is no entry {entry} in epoch {epoch}")
        self.engine.load_state(state.tensors["vectors"], with_prefix("engine", state.tensors))
        self.epoch, self.entry = epoch, entry
        self.pairs, self.loss_pairs = int(position["pairs"]), int(position["loss_pairs"])
        self.loss_sum = float(position["loss_sum"])
        best = dict(with_prefix("best", state.tensors))
        if self.best is not None and best:
            self.best.restore(position, best)

    def restore_best(self) -> None:
        """Bring the engine to the best epoch, where a callback has chosen one."""
        if self.best is not None and self.best.best:
            self.engine.load_state(self.best.best["vectors"], with_prefix("engine", self.best.best))

    # --------------------------------------------------------------------------------------------------------- training

    def train(
        self,
        label: str,
        progress: bool | None,
        *,
        checkpoint: RunCheckpoint,
        on_epoch_end: Callable[[int], bool],
        on_span: Callable[[int, float], bool] | None = None,
    ) -> None:
        """Train to the end.

        Args:
            label: what the progress line says is being done.
            progress: as for logq.Word2Vec.fit.
            checkpoint: where the run is saved when it is due, and on Ctrl-C.
            on_epoch_end: called with the number of epochs done, the last one perhaps in part; whether to end here.
            on_span: called with the number of words done and the loss after each span; whether to end here.

        Raises:
            FloatingPointError: the loss is not a number, or far above where it began.
            ArgumentError: there is nothing to train on.
            KeyboardInterrupt: Ctrl-C, after the checkpoint.
        """
        last, words = self.part.stop, self.corpus.num_words
        with Progress(self.epochs * words, "words", label, progress) as bar:
            bar.advance(words * self.epochs_done)
            stops = False
            try:
                while True:
                    while self.entry < last and not stops:
                        before, end = self.entry, self._next_end()
                        self._train_span(end)
                        part = (end - before) / len(self.part)
                        bar.advance(words * part, epoch=f"{self.epoch + 1}/{self.epochs}", loss=self._running.recent)
                        if end < last or self.epoch + 1 < self.epochs:
                            checkpoint.save_if_due(self.state)
                        if on_span is not None:
                            stops = on_span(round(words * self.epochs_done), self._running.recent)
                    with uninterrupted():
                        self._take_in(self.engine.finish())
                    self._check_epoch()
                    if on_epoch_end(self.epoch + (self.entry == last)) or stops or self.epoch + 1 == self.epochs:
                        break
                    self._start_epoch()
            except KeyboardInterrupt:
                if self._consistent:
                    checkpoint.save_if_due(self.state, force=True)
                raise

    def _train_span(self, end: int) -> None:
        # An interrupted span has left its mark on the vectors: to train it again would not be the same run.
        with uninterrupted():
            self._consistent = False
            self._take_in(self._train_to(end))
            self._consistent = True

    def _train_to(self, end: int) -> Losses:
        losses = self.engine.train(*self._span(end))
        self.entry = end
        return losses

    def _take_in(self, losses: Losses) -> None:
        self._running.add(losses.loss_sum, losses.loss_pairs)
        self._check_divergence()
        self.loss_sum += losses.loss_sum
        self.loss_pairs += losses.loss_pairs
        self.pairs += losses.pairs

    def _start_epoch(self) -> None:
        with uninterrupted():
            self.epoch, self.entry = self.epoch + 1, self.part.start
            self.loss_sum, self.loss_pairs, self.pairs = 0.0, 0, 0

    def _next_end(self) -> int:
        """The end of the next span."""
        return min(self.part.stop, self.entry + self._step())

    def _step(self) -> int:
        """Entries of a span: few enough for a progress line that moves, and for Ctrl-C."""
        wanted = -(-len(self.part) // 20)
        if self.every and self.engine.name != "plain":  # whose draws depend on where a span begins
            wanted = min(wanted, self.every)
        return min(self.engine.max_span, max(self.engine.min_span, wanted))

    def _span(self, end: int) -> tuple[Span, Position]:
        around = AROUND * self.engine.reach
        first, last = max(0, self.entry - around), min(self.corpus.num_ids, end + around)
        ids = self.corpus.read(first, last)
        slope = self.lr / (self.epochs * len(self.part))
        start = self.lr * (1 - self.epoch / self.epochs) + slope * self.part.start
        rate = (start, slope, self.lr * LR_FLOOR)
        seed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)[0])
        return Span(ids, self.entry - first, end - first), Position(self.entry, rate, seed)

    def _check_divergence(self) -> None:
        running = self._running
        # Where the very first span diverges, the loss at its beginning is not measured, but known.
        first = min(running.first, self.engine.untrained_loss)
        if running.has_diverged(first):
            now = f"is {running.recent:.3g}" + (f", it began at {first:.3g}" if math.isfinite(first) else "")
            raise DivergedError(
                "lr",
                f"training diverged in epoch {self.epoch + 1}, the mean loss {now}; try less than {self.lr:g}"
                + (", or smaller batches" if self.engine.name == "plain" else ""),
            )

    def _check_epoch(self) -> None:
        if self.pairs == 0 and self.entry == self.part.stop:  # each sentence had several words
            raise ArgumentError(
                "sample",
                "neighboring words to be left after subsampling frequent ones",
                Verbatim(f"none of {self.corpus.num_words:,} words"),
                "for a small corpus take 0",
            )
        check_finite(self.engine, self.lr)


def check_finite(engine: Engine, lr: float) -> None:
    """Check that all vectors are finite.

    Raises:
        DivergedError: one is not: training diverged.

    Example:
        See CorpusRun.
    """
    vectors = engine.vectors
    for start in range(0, len(vectors), 1 << 14):
        part = vectors[start : start + (1 << 14)]
        if not np.isfinite(part).all():
            row = start + int((~np.isfinite(part).all(axis=1)).argmax())
            raise DivergedError("lr", f"training diverged, vector {row} is not finite; try less than {lr:g}")
