"""What a step of a sharded table moves, by arithmetic: bytes and messages of each process, and what they weigh."""

from dataclasses import dataclass

NUMBER = 4
"""Bytes of a number: rows in float32, and their places in int32."""

EXCHANGES = 5
"""Of a step, one after the other."""


@dataclass(frozen=True)
class Step:
    """A step of `size` processes.

    Args:
        size: W.
        foreign: distinct classes that a process asks others for, in the mean.
        num_sampled: S, of all processes together.
        dim: D.
        batch: B, queries of each process.
    """

    size: int
    foreign: float
    num_sampled: int
    dim: int
    batch: int

    @property
    def rows(self) -> float:
        """Bytes that a process sends where rows go to the queries.

        An id, a row with bias and log Q, and its gradient for each class that is asked for; of the sample the rows of
        S / W classes to W - 1 others, with their ids, and gradients of S classes, all but the own, back.
        """
        row, gradient = self.dim + 2, self.dim + 1
        asked = self.foreign * (1 + row + gradient)
        sampled = self.num_sampled / self.size * (self.size - 1) * (row + 1 + gradient)
        return NUMBER * (asked + sampled)

    @property
    def queries(self) -> float:
        """Bytes that a process sends where queries go to the rows: both ways, with targets out and two sums back."""
        return (self.size - 1) * self.batch * (2 * self.dim * NUMBER + 8 + 2 * 2 * NUMBER)

    def replicated(self, num_classes: int) -> float:
        """Bytes that a process sends for a dense gradient of all rows and biases, in a ring."""
        return 2 * (self.size - 1) / self.size * num_classes * (self.dim + 1) * NUMBER

    def gathered(self, distinct: float) -> float:
        """Bytes that a process sends to all others where each gathers the rows with a gradient, ids in int64."""
        return (self.size - 1) * distinct * ((self.dim + 1) * NUMBER + 2 * 8)

    @property
    def in_batch(self) -> float:
        """Bytes that a process sends where the targets of all are negatives: vectors to all, gradients back."""
        return (self.size - 1) * self.batch * (2 * self.dim * NUMBER + 8)

    @property
    def messages(self) -> int:
        """Messages that a process sends: numbers, ids, rows, the sample, and the gradients of both."""
        return EXCHANGES * (self.size - 1)
