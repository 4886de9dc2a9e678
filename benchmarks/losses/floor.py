"""The floor of a step: the time below which no implementation gets on this machine.

Shared samples: the three products that the gradient needs, (B, D) x (D, S), (B, S) x (S, D) and (S, B) x (B, D), by
torch.mm in float32 into memory that is there, timed in turn with the contestants. No logarithm, no row of the table
read or written: what a fused step adds to that is its distance to the floor.

Own samples for each row: bytes that must be moved at random over the bandwidth measured for that, or operations over
the measured peak, whichever takes longer. Bytes: each entry's row is read once (B (1 + k) rows), and each different row
is read and written once by the update, and so is the optimizer's state of it. No gradient is stored.
"""

from typing import Final, NamedTuple

import torch
from clock import seconds
from limits import Limits
from numbers_in_torch import Problem
from workloads import Case

FLOOR: Final = "floor"

STATE: Final = {"sgd": 0.0, "adagrad": 1.0, "rowwise_adagrad": 0.0, "adam": 2.0}
"""Numbers of state for each number of the table. Row-wise Adagrad's one number per row is taken as nothing."""


class Products:
    """The three bare products, a contestant like others."""

    def __init__(self, case: Case) -> None:
        self.input, self.rows = torch.rand(case.batch, case.dim), torch.rand(case.sampled, case.dim)
        self.scores = torch.empty(case.batch, case.sampled)
        self.of_input, self.of_rows = torch.empty_like(self.input), torch.empty_like(self.rows)

    def step(self) -> None:
        torch.mm(self.input, self.rows.t(), out=self.scores)
        torch.mm(self.scores, self.rows, out=self.of_input)
        torch.mm(self.scores.t(), self.input, out=self.of_rows)

    def seconds(self, index: int) -> float:
        return seconds(self.step)


class Moving(NamedTuple):
    """The floor of a step with own samples, in seconds."""

    moving: float
    computing: float

    @property
    def seconds(self) -> float:
        return max(self.moving, self.computing)


def of_rows(problem: Problem, machine: Limits) -> Moving:
    """Bytes over bandwidth, and operations over the peak."""
    case = problem.case
    different = [torch.cat([batch.targets, batch.ids.view(-1)]).unique().numel() for batch in problem.batches]
    row = 4 * case.dim
    read = case.entries * row
    updated = 2 * (1 + STATE[case.optimizer]) * row * sum(different) / len(different)
    operations = 3 * 2 * case.entries * case.dim
    return Moving(read / machine.read + updated / machine.update, operations / machine.compute)
