"""The numbers of a case as tensors, on the memory that numpy gave them."""

from typing import NamedTuple

import numbers_of_cases
import torch
from torch import Tensor
from workloads import Case


class Batch(NamedTuple):
    """One batch; `input` is a leaf that wants a gradient, as the output of a user tower does."""

    input: Tensor  # (B, D)
    targets: Tensor  # (B,)
    ids: Tensor  # (S,) or (B, k)
    log_q: Tensor  # of `ids`
    true_log_q: Tensor  # (B,)


class Problem(NamedTuple):
    """A case with its numbers. All contestants of this process share one table, which they all train."""

    case: Case
    weight: Tensor  # (C, D)
    batches: list[Batch]


def problem(case: Case) -> Problem:
    """Make table and batches."""
    made = [Batch(*map(torch.from_numpy, batch)) for batch in numbers_of_cases.batches(case)]
    for batch in made:
        batch.input.requires_grad_()
    return Problem(case, torch.from_numpy(numbers_of_cases.table(case)), made)
