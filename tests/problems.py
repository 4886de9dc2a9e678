"""Small batches with everything in them that a loss must get right: duplicates, hits, exclusions, ignored targets."""

from typing import NamedTuple

import torch
from torch import Tensor

from logq.candidates import IGNORED, Candidates

B, D, C, S = 5, 3, 11, 7


class Problem(NamedTuple):
    input: Tensor  # (B, D)
    weight: Tensor  # (C, D)
    bias: Tensor  # (C,)
    candidates: Candidates

    def with_grad(self) -> "Problem":
        return Problem(*(x.clone().requires_grad_() for x in self[:3]), self.candidates)

    def to(self, device: str) -> "Problem":
        candidates = Candidates(*(None if x is None else x.to(device) for x in self.candidates))
        return Problem(*(x.to(device) for x in self[:3]), candidates)


def problem(
    *,
    per_row: bool = False,
    num_true: int | None = None,  # None: targets are (B,)
    excluded: bool = False,
    ignored: bool = False,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Problem:
    """Row 0 has its target twice among the sampled classes, and class 9 stands there twice for every row.

    Class 10 is neither a target nor sampled: its row is never touched. With `ignored`, row 1 has no true class at all
    and row 2 lacks its last one if there are several.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    targets = torch.randint(C - 1, (B, num_true or 1), generator=generator)
    ids = torch.randint(C - 1, (B, S) if per_row else (S,), generator=generator)
    ids[..., 0] = ids[..., 3] = targets[0, 0]
    ids[..., 1] = ids[..., 5] = 9
    if ignored:
        targets[1] = IGNORED
        if targets.shape[1] > 1:
            targets[2, -1] = IGNORED
    if num_true is None:
        targets = targets[:, 0]
    log_q = normal(C)
    candidates = Candidates(
        ids,
        log_q[ids],
        targets,
        log_q[targets.clamp(min=0)],
        torch.rand(B, S, generator=generator) < 0.3 if excluded else None,
    )
    return Problem(normal(B, D), normal(C, D), normal(C), candidates)


PROBLEMS = {
    "shared": {},
    "per row": {"per_row": True},
    "shared, excluded": {"excluded": True},
    "per row, excluded": {"per_row": True, "excluded": True},
    "shared, ignored": {"ignored": True},
    "per row, ignored, excluded": {"per_row": True, "ignored": True, "excluded": True},
}
SEVERAL_TRUE = {
    "one in a column": {"num_true": 1, "ignored": True},
    "two, shared": {"num_true": 2, "ignored": True},
    "three, per row": {"num_true": 3, "per_row": True, "ignored": True, "excluded": True},
}
