"""JointRun: training by several processes, each a replica on its share of a corpus."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError
from logq.huffman import HuffmanTree
from logq.processes import world
from logq.text import EncodedCorpus
from logq.training.checkpoint import RunState
from logq.vectors.word_parts import WordParts
from logq.word2vec.corpus_run import LR_FLOOR
from logq.word2vec.engines import Engine
from logq.word2vec.joint_text import share_of
from logq.word2vec.kernel import Losses
from logq.word2vec.replicas import Replica
from logq.word2vec.run_together import RunTogether
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = ["JointRun"]

ALL_ROWS = 250_000
"""The most words that a process trains between two exchanges of all rows."""

FIRST_ROWS = 10_000
"""How many it trains before the first one."""

GROWTH = 0.05
"""How many it trains between two, as a share of those that it has trained: replicas that know little move far."""

ALONE = 1_000_000
"""The most words that the first process trains before the others join in; else a tenth of what each will train.

Vectors that have learned nothing grow from one another, the faster the longer they are, which moves of replicas that
are added up do not. It costs little time and saves the exchanges that would be most frequent.
"""

FREQUENT_ROWS = 5
"""How many times as often frequent rows are exchanged: those that are updated in between, on average."""

RATE_GROWTH = 0.125
"""The rate is that of one process times the number of processes to this power.

Where several have moved a row their moves are damped as they are added up, so that together they learn less than one
process would: of 17 million words analogies and the mean of seven similarity sets come back by this.
"""

CURVATURE = (0.6, 0.1)
"""Of the loss: what part of its way to where it ends an update brings a row of either table, by the learning rate."""


class JointRun(RunTogether):
    """Trains the replica of this process, and exchanges what it has learned with those of the others.

    Each process trains on its share of the corpus, at the positions and thus with the draws that one process would
    have there, and the learning rate falls with the words that all have trained. The first one begins alone, and the
    others go on from its vectors. All rows are exchanged at the end of
    each epoch and after each round of a process, of `FIRST_ROWS` words at first and `ALL_ROWS` later, and frequent
    ones `FREQUENT_ROWS` times in a round. Between two rounds the run can stop, in all processes alike, and continue.

    Args:
        corpus: the same in all processes, of which each has at least its share.
        engine: the compiled one.
        settings: of the fit.
        seed: of everything random, the same in all processes.
        goes_on: whether the engine has learned before, so that none begins alone.

    Raises:
        ArgumentError: there are more processes than entries of the corpus.

    Example:
        See logq.Word2Vec, which makes one for each `fit` under torchrun.
    """

    def __init__(
        self, corpus: EncodedCorpus, engine: Engine, settings: Word2VecConfig, seed: int, *, goes_on: bool = False
    ) -> None:
        there = world()
        if corpus.num_ids < there.size:
            raise ArgumentError("source", f"a word for each of {there.size} processes at least", corpus.num_words)
        assert settings.lr is not None
        share = share_of(corpus.num_ids, there.rank, there.size)
        lr = settings.lr * there.size**RATE_GROWTH
        super().__init__(corpus, engine, epochs=settings.epochs, lr=lr, seed=seed, part=share)
        self._length = corpus.num_ids // there.size  # of an epoch for one process, about
        self._done = 0  # of these
        self._alone = 0 if goes_on else min(ALONE, self._length // 2, settings.epochs * self._length // 10)
        self._settings = settings
        self._replicas: list[Replica] = []
        self._frequent: list[Sequence[int] | NDArray[np.int64]] = []

    def _meet(self) -> None:
        tables = [self.engine.rows, self.engine.state()["outputs"]]
        updates = _updates(self._settings, self.corpus, self.engine.parts, negatives=True)
        few = _updates(self._settings, self.corpus, self.engine.parts, negatives=False)
        words = self.epoch * self._length + self._done
        self._replicas = [Replica(*one, words) for one in zip(tables, updates, strict=True)]
        often = FREQUENT_ROWS / ALL_ROWS
        frequent = [np.flatnonzero(one >= often) for one in few]
        # Those of words are the first ones, as words are sorted by frequency, and are found faster so.
        self._frequent = [range(len(ids)) if len(ids) and ids[-1] == len(ids) - 1 else ids for ids in frequent]

    # --------------------------------------------------------------------------------------------------------- training

    def _next_end(self) -> int:
        return self._entry_at(self._next_round())

    def _next_round(self) -> int:
        """How much of an epoch is done after the next round, in words of a process."""
        known = self._alone // world().size + self.epoch * self._length + self._done
        step = min(ALL_ROWS, max(FIRST_ROWS, int(GROWTH * known)))
        end = self._done + step
        return end if end + step // 2 < self._length else self._length

    def _entry_at(self, done: int) -> int:
        start = self.part.start + (self._alone if self.epoch == 0 and world().is_first else 0)
        return start + (self.part.stop - start) * done // self._length

    def _train_to(self, end: int) -> Losses:
        """Train to the end of a round, and return the losses of all processes."""
        begin, step = self._done, self._next_round() - self._done
        found = []
        if self.epoch == 0 and begin == 0:
            if (start := self._entry_at(0)) > self.entry:
                found.append(super()._train_to(start))
            self._meet()
        for number in range(1, FREQUENT_ROWS + 1):
            is_last = number == FREQUENT_ROWS
            self._done = begin + step * number // FREQUENT_ROWS
            there = end if is_last else self._entry_at(self._done)
            if there > self.entry:
                found.append(super()._train_to(there))
            self._exchange([range(len(one.table)) for one in self._replicas] if is_last else self._frequent)
        return self._of_all(Losses.total(found))

    def _exchange(self, rows: Sequence[Sequence[int] | NDArray[np.int64]]) -> None:
        """Exchange rows of each table."""
        words = self.epoch * self._length + self._done  # the same number in all processes
        rate = max(self.lr * (1 - words / (self.epochs * self._length)), self.lr * LR_FLOOR)
        for replica, some, curvature in zip(self._replicas, rows, CURVATURE, strict=True):
            replica.exchange(some, words=words, rate=rate * curvature)
        self._hold(everywhere=all(len(some) == len(one.table) for some, one in zip(rows, self._replicas, strict=True)))

    def _hold(self, *, everywhere: bool) -> None:
        """Put held words back whose n-grams have moved, as soon as all processes have the same rows."""
        held = self.engine.held
        if everywhere and held is not None and self.engine.parts is not None:
            self.engine.put_back()
            self._replicas[0].agree(held.rows)

    def _start_epoch(self) -> None:
        super()._start_epoch()
        self._done = 0

    # ------------------------------------------------------------------------------------------------------ checkpoints

    def state(self) -> RunState:
        """What `restore` needs in as many processes; the same in all of them, as it is taken between two rounds."""
        state = super().state()
        return replace(state, position={**state.position, "entry": self._done})

    def restore(self, state: RunState) -> None:
        """Continue from `state`, in as many processes.

        Raises:
            KeyError, TypeError, ValueError: it is not the state of such a run.
        """
        super().restore(state)
        if self.entry > self._length:
            raise ValueError(f"there is no entry {self.entry} for one of several processes")
        self._done = self.entry
        self.entry = self._entry_at(self._done)


def _updates(
    settings: Word2VecConfig, corpus: EncodedCorpus, parts: WordParts | None, *, negatives: bool
) -> list[NDArray[np.float64]]:
    """How often rows of both tables are updated for each word of the text, about, as negatives too or not.

    The row of an n-gram is updated with all words that have it.
    """
    vocabulary = corpus.vocabulary  # whose counts are those of other texts too, where a model goes on
    kept = corpus.counts * vocabulary.keep_probability(settings.sample) / int(corpus.counts.sum())
    if settings.hs:
        tree = HuffmanTree.from_counts(vocabulary.counts)
        outputs = np.zeros(len(vocabulary) - 1)
        np.add.at(outputs, tree.points, np.repeat(kept, np.diff(tree.offsets)))
    else:
        noise = vocabulary.counts**settings.unigram_power
        outputs = kept + negatives * settings.num_sampled * kept.sum() * noise / noise.sum()
    around = settings.words_around
    inputs = kept * around
    if parts is not None:
        of_rows = np.bincount(parts.rows, np.repeat(inputs, np.diff(parts.offsets)), parts.num_rows)
        inputs = of_rows.astype(np.float64, copy=False)
    return [inputs, outputs * around if settings.sg else outputs]
