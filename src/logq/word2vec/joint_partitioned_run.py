"""JointPartitionedRun: training by several processes, each of which has two parts of the vectors at a time."""

from collections.abc import Iterator

import torch

from logq._arguments import ArgumentError
from logq.processes import all_rows, exchange, world
from logq.text import EncodedCorpus
from logq.training.checkpoint import RunState
from logq.word2vec.engines import Floats
from logq.word2vec.kernel import Losses
from logq.word2vec.partitioned_engine import PartitionedEngine, buckets
from logq.word2vec.partitioned_table import PartitionedTable
from logq.word2vec.run_together import RunTogether
from logq.word2vec.word2vec_config import Word2VecConfig

__all__ = ["JointPartitionedRun"]


class JointPartitionedRun(RunTogether):
    """Trains all buckets of a span, W at a time, no two of which share a part.

    Process r of W owns the parts p with p % W = r of both tables. In turn t it trains its input parts with the output
    parts of process (r + t) % W, and hands these on to the one before it; after W turns they are with their owners
    again. Everything trained is what one process would train, in another order.

    All processes have all of the text and a file of both tables, in which only the own parts are up to date until they
    meet, after each epoch and for a checkpoint.

    Args:
        corpus: the same in all processes.
        engine: of this process.
        settings: of the fit.
        seed: of everything random, the same in all processes.

    Raises:
        ArgumentError: the number of partitions is not a multiple of that of processes.

    References:
        Gemulla et al., Large-Scale Matrix Factorization with Distributed Stochastic Gradient Descent, KDD 2011, Sec. 5.
        Lerer et al., PyTorch-BigGraph, SysML 2019, arXiv:1903.12287, Sec. 4.2.

    Example:
        See logq.Word2Vec, which makes one for each `fit` under torchrun with several partitions.
    """

    engine: PartitionedEngine

    def __init__(self, corpus: EncodedCorpus, engine: PartitionedEngine, settings: Word2VecConfig, seed: int) -> None:
        assert settings.lr is not None
        super().__init__(corpus, engine, epochs=settings.epochs, lr=settings.lr, seed=seed)
        there = world()
        if settings.partitions % there.size:
            expected = f"a multiple of {there.size}, the number of processes"
            raise ArgumentError("partitions", expected, settings.partitions)
        self._rank, self._size = there.rank, there.size
        self._each = settings.partitions // there.size

    def _train_to(self, end: int) -> Losses:
        place = self._span(end)
        found = []
        for turn in range(self._size):
            group = (self._rank + turn) % self._size
            here = [
                (first * self._size + self._rank, second * self._size + group) for first, second in buckets(self._each)
            ]
            found.append(self.engine.train_buckets(*place, here))
            for number in range(self._each):
                self._hand_on(number * self._size + group, number * self._size + (group + 1) % self._size)
        self.entry = end
        return self._of_all(Losses.total(found))

    def _hand_on(self, sent: int, received: int) -> None:
        """Give a part of the outputs to the process before this one, and take one from the next."""
        table = self.engine.outputs
        rows = torch.from_numpy(table.hold(sent))
        before, after = (self._rank - 1) % self._size, (self._rank + 1) % self._size
        for begin in range(0, table.length(0), table.piece):
            piece = rows[begin : begin + table.piece]
            for_each, from_each = [0] * self._size, [0] * self._size
            for_each[before] = len(piece)
            from_each[after] = max(0, min(table.piece, table.length(received) - begin))
            table.put(received, begin, exchange(piece, for_each, from_each).numpy())

    def _meet(self) -> None:
        for table in (self.engine.inputs, self.engine.outputs):
            for part, rows in _pieces(table):
                counts = [len(rows) * (rank == part % self._size) for rank in range(self._size)]
                own = torch.from_numpy(rows[: counts[self._rank]])
                rows[:] = all_rows(own, counts, doing="share parts of the vectors").numpy()

    def _check_epoch(self) -> None:
        self._meet()
        super()._check_epoch()

    def state(self) -> RunState:
        """What `restore` needs in as many processes; the same in all of them."""
        self._meet()
        return super().state()


def _pieces(table: PartitionedTable) -> Iterator[tuple[int, Floats]]:
    """The rows of each part, which is in memory meanwhile, some at a time."""
    for part in range(table.partitions):
        rows = table.hold(part)
        for begin in range(0, len(rows), table.piece):
            yield part, rows[begin : begin + table.piece]
