"""JointRun: training by several processes, each a replica on its share of a corpus."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from logq._arguments import ArgumentError
from logq.huffman import HuffmanTree
from logq.processes import LostProcessError, add_up, world
from logq.text import EncodedCorpus, Vocabulary
from logq.training.checkpoint import RunState
from logq.training.interrupts import StopRequest, stop_requests
from logq.word2vec.corpus_run import LR_FLOOR, CorpusRun
from logq.word2vec.engines import Engine
from logq.word2vec.joint_text import share_of
from logq.word2vec.kernel import Losses
from logq.word2vec.replicas import Replica
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = ["JointRun"]

ALL_ROWS = 250_000
"""Words that a process trains between two exchanges of all rows."""

FREQUENT_ROWS = 5
"""How many times as often frequent rows are exchanged."""

FREQUENT = 2_000
"""How many rows of each table are."""

CURVATURE = 0.05
"""Of the loss: how much nearer to where it ends an update brings a row, divided by the learning rate."""


class JointRun(CorpusRun):
    """Trains the replica of this process, and exchanges what it has learned with those of the others.

    Each process trains on its share of the corpus, at the positions and thus with the draws that one process would
    have there, and the learning rate falls with the words that all have trained. All rows are exchanged after every
    `ALL_ROWS` words of a process and at the end of each epoch, the most frequent ones `FREQUENT_ROWS` times as often.
    Where all were exchanged the run can stop, in all processes alike, and continue.

    Args:
        corpus: the same in all processes, of which each has at least its share.
        engine: the compiled one.
        settings: of the fit.
        seed: of everything random, the same in all processes.

    Raises:
        ArgumentError: there are more processes than entries of the corpus.

    Example:
        See logq.Word2Vec, which makes one for each `fit` under torchrun.
    """

    def __init__(self, corpus: EncodedCorpus, engine: Engine, settings: Word2VecConfig, seed: int) -> None:
        there = world()
        if corpus.num_ids < there.size:
            raise ArgumentError("source", f"a word for each of {there.size} processes at least", corpus.num_words)
        assert settings.lr is not None
        share = share_of(corpus.num_ids, there.rank, there.size)
        super().__init__(corpus, engine, epochs=settings.epochs, lr=settings.lr, seed=seed, part=share)
        self._rounds = max(1, round(corpus.num_ids / there.size / ALL_ROWS))  # of an epoch
        self._round = 0
        self._vocabulary, self._settings = corpus.vocabulary, settings
        self._replicas: list[Replica] = []
        self._frequent: list[NDArray[np.int64]] = []
        self._request = StopRequest()
        self._stops = False

    def train(self, label: str, progress: bool | None, **options: Any) -> None:
        """Train to the end; see CorpusRun.

        Raises:
            LostProcessError: another process has ended or does not answer.
            KeyboardInterrupt: one of the processes was asked to stop, by Ctrl-C or SIGTERM.
        """
        tables = [self.engine.vectors, *self.engine.state().values()]
        updates = _updates(self._settings, self._vocabulary)
        words = self._words(self.epoch + self._round / self._rounds)
        try:
            self._replicas = [Replica(*one, words) for one in zip(tables, updates, strict=True)]
            self._frequent = [np.sort(np.argsort(-one, kind="stable")[:FREQUENT]) for one in updates]
            with stop_requests() as self._request:
                super().train(label, progress, **options)
        except LostProcessError as error:
            raise error.during(f"after {self.corpus.num_words * self.epochs_done:,.0f} words") from error

    # --------------------------------------------------------------------------------------------------------- training

    def _next_end(self) -> int:
        return self._end_of(self._round + 1)

    def _end_of(self, rounds: int) -> int:
        return self.part.start + len(self.part) * rounds // self._rounds

    def _train_span(self, end: int) -> None:
        super()._train_span(end)
        if self._stops:
            raise KeyboardInterrupt

    def _train_to(self, end: int) -> Losses:
        """Train to the end of a round, and return the losses of all processes."""
        begin = self.entry
        of_round = torch.zeros(4, dtype=torch.float64)
        for number in range(1, FREQUENT_ROWS + 1):
            losses = super()._train_to(begin + (end - begin) * number // FREQUENT_ROWS)
            of_round += torch.tensor([losses.pairs, losses.loss_sum, losses.loss_pairs, 0.0])
            is_last = number == FREQUENT_ROWS
            rows = [range(len(one.table)) for one in self._replicas] if is_last else self._frequent
            self._exchange(self.epoch + (self._round + number / FREQUENT_ROWS) / self._rounds, rows)
        of_round[3] = bool(self._request)
        add_up(of_round, "add up losses")
        self._round += 1
        pairs, loss_sum, loss_pairs, stops = of_round.tolist()
        self._stops = stops > 0
        return Losses(int(pairs), loss_sum, int(loss_pairs))

    def _exchange(self, done: float, rows: Sequence[Sequence[int] | NDArray[np.int64]]) -> None:
        """Exchange rows of each table; `done` epochs are done, in all processes the same."""
        words = self._words(done)
        rate = max(self.lr * (1 - done / self.epochs), self.lr * LR_FLOOR)
        for replica, some in zip(self._replicas, rows, strict=True):
            replica.exchange(some, words=words, rate=rate * CURVATURE)

    def _words(self, epochs: float) -> float:
        """How many words each process has trained after so many epochs, about, the same number in all."""
        return epochs * self.corpus.num_words / world().size

    def _start_epoch(self) -> None:
        super()._start_epoch()
        self._round = 0

    # ------------------------------------------------------------------------------------------------------ checkpoints

    def state(self) -> RunState:
        """What `restore` needs in as many processes; the same in all of them, as it is taken between two rounds."""
        state = super().state()
        there = {**state.position, "entry": self.corpus.num_ids * self._round // self._rounds}
        return replace(state, position=there)

    def restore(self, state: RunState) -> None:
        """Continue from `state`, in as many processes.

        Raises:
            KeyError, TypeError, ValueError: it is not the state of such a run.
        """
        super().restore(state)
        self._round = -(-self.entry * self._rounds // self.corpus.num_ids)
        self.entry = self._end_of(self._round)


def _updates(settings: Word2VecConfig, vocabulary: Vocabulary) -> list[NDArray[np.float64]]:
    """How often rows of both tables are updated for each word of the text, about."""
    kept = vocabulary.counts * vocabulary.keep_probability(settings.sample) / vocabulary.total
    if settings.hs:
        tree = HuffmanTree.from_counts(vocabulary.counts)
        outputs = np.zeros(len(vocabulary) - 1)
        np.add.at(outputs, tree.points, np.repeat(kept, np.diff(tree.offsets)))
    else:
        noise = vocabulary.counts**settings.unigram_power
        outputs = kept + settings.num_sampled * kept.sum() * noise / noise.sum()
    around = settings.window + 1  # words that are learned from, on average
    return [kept * around, outputs * around if settings.sg else outputs]
