"""A run through an encoded corpus, some epochs long, that can stop anywhere and go on from there."""

import math
from collections.abc import Callable

import numpy as np

from logq._progress import Progress
from logq.text import EncodedCorpus
from logq.training.interrupts import uninterrupted
from logq.training.running_mean import RunningMean
from logq.word2vec.engines import Engine, Place, Stretch

__all__ = ["Run"]

LR_FLOOR = 1e-4
"""The learning rate falls to this part of its start, as in word2vec.c."""

AROUND = 100
"""Text on both sides of a stretch, in words for each of the widest window: what is thinned out takes no part in it."""


class Run:
    """Trains an engine on a corpus, stretch by stretch, and knows how far it is.

    What happens in a stretch depends on the seed and on where it lies, so a run that was interrupted ends as one that
    was not, if the engine does its part.

    Args:
        corpus: what to train on.
        engine: what is trained.
        epochs: passes through the corpus.
        lr: learning rate at the start; it falls linearly over all epochs.
        seed: of everything random.

    Attributes:
        epoch: the pass that is being made, from 0.
        position: the entry of the corpus that comes next.
        pairs, loss_sum, loss_pairs: of this epoch so far, see Losses.
        seed: as given, or as the checkpoint has it.

    Example:
        See logq.Word2Vec, which makes one for each `fit`.
    """

    def __init__(self, corpus: EncodedCorpus, engine: Engine, *, epochs: int, lr: float, seed: int) -> None:
        self.corpus = corpus
        self.engine = engine
        self.epochs = epochs
        self.lr = lr
        self.seed = seed
        self.epoch = self.position = 0
        self.loss_sum, self.loss_pairs = 0.0, 0
        self.pairs = 0
        self._whole = True  # position and engine fit each other

    @property
    def mean_loss(self) -> float:
        """Of a pair, over the epoch so far; 0 if there was none."""
        return self.loss_sum / max(1, self.loss_pairs)

    def go(
        self,
        label: str,
        progress: bool | None,
        *,
        on_epoch_end: Callable[[int], None],
        save: Callable[[bool], None] | None = None,
    ) -> None:
        """Train to the end.

        Args:
            label: what the progress line says is being done.
            progress: as for logq.Word2Vec.fit.
            on_epoch_end: called with the number of epochs done.
            save: called with False when something could be saved, and with True when it must be: at Ctrl-C.

        Raises:
            FloatingPointError: the loss is no number any more, or far above where it began.
            ValueError: there is nothing to train on.
            KeyboardInterrupt: Ctrl-C, after `save`.
        """
        running = RunningMean(memory=10 if self.engine.name == "fused" else 100)
        size, words = self.corpus.num_ids, self.corpus.num_words
        with Progress(self.epochs * words, "words", label, progress) as bar:
            bar.advance(words * (self.epoch + self.position / size))
            try:
                while True:
                    while self.position < size:
                        before, end = self.position, min(size, self.position + self._step())
                        self._train(end, running)
                        bar.advance(words * (end - before) / size, loss=running.recent)
                        if save is not None and not (end == size and self.epoch + 1 == self.epochs):
                            save(False)
                    self._end_epoch()
                    on_epoch_end(self.epoch + 1)
                    if self.epoch + 1 == self.epochs:
                        break
                    self._next_epoch()
            except KeyboardInterrupt:
                if save is not None and self._whole:
                    save(True)
                raise

    def _train(self, end: int, running: RunningMean) -> None:
        # An interrupted stretch has left its mark on the vectors: to train it again would not be the same run.
        with uninterrupted():
            self._whole = False
            losses = self.engine.train(*self._stretch(end))
            running.add(losses.loss_sum, losses.loss_pairs)
            self._watch(running)
            self.loss_sum += losses.loss_sum
            self.loss_pairs += losses.loss_pairs
            self.pairs += losses.pairs
            self.position = end
            self._whole = True

    def _next_epoch(self) -> None:
        with uninterrupted():
            self.epoch, self.position = self.epoch + 1, 0
            self.loss_sum, self.loss_pairs, self.pairs = 0.0, 0, 0

    def _step(self) -> int:
        """Entries of a stretch: few enough for a progress line that moves, and for Ctrl-C."""
        return min(self.engine.stretch, max(1 << 14, -(-self.corpus.num_ids // 20)))

    def _stretch(self, end: int) -> tuple[Stretch, Place]:
        around = AROUND * self.engine.reach
        first, last = max(0, self.position - around), min(self.corpus.num_ids, end + around)
        ids = self.corpus.read(first, last)
        slope = self.lr / (self.epochs * self.corpus.num_ids)
        rate = (self.lr * (1 - self.epoch / self.epochs), slope, self.lr * LR_FLOOR)
        seed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)[0])
        return Stretch(ids, self.position - first, end - first), Place(self.position, rate, seed)

    def _watch(self, running: RunningMean) -> None:
        # Where the very first stretch diverges, what it began with is not seen any more, but known.
        first = min(running.first, self.engine.untrained_loss)
        if running.has_diverged(first):
            now = f"is {running.recent:.3g}" + (f", it began at {first:.3g}" if math.isfinite(first) else "")
            raise FloatingPointError(
                f"lr: training diverged in epoch {self.epoch + 1}, the mean loss {now}; try less than {self.lr:g}"
                + (", or smaller batches" if self.engine.name == "plain" else "")
            )

    def _end_epoch(self) -> None:
        if self.pairs == 0:
            raise ValueError(
                f"sample: no two neighbouring words were left of {self.corpus.num_words} after thinning out frequent "
                "ones; for a small corpus take 0"
            )
        check_finite(self.engine, self.lr)


def check_finite(engine: Engine, lr: float) -> None:
    """Look at all vectors.

    Raises:
        FloatingPointError: one is not finite: training diverged.

    Example:
        See Run.
    """
    vectors = engine.vectors
    for start in range(0, len(vectors), 1 << 14):
        part = vectors[start : start + (1 << 14)]
        if not np.isfinite(part).all():
            row = start + int((~np.isfinite(part).all(axis=1)).argmax())
            raise FloatingPointError(
                f"lr: training diverged, vector {row} is not finite any more; try less than {lr:g}"
            )
