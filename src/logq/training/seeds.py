"""Seeds: of a run, and of each of its streams of random numbers."""

from typing import NamedTuple

import numpy as np
from typing_extensions import Self

__all__ = ["Seeds", "fresh_seed"]


def fresh_seed(seed: int | None) -> int:
    """Return the seed of a run: it follows from `seed`, or comes from the operating system where that is None.

    Example:
        >>> fresh_seed(1) == fresh_seed(1) != fresh_seed(2)
        True
    """
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]) >> 1


class Seeds(NamedTuple):
    """The seed of a run, and those of its streams of random numbers, which follow from it.

    Args:
        run: what the others follow from, and what a checkpoint keeps.
        weights: of the first weights; the same in all processes.
        batches: of the order of examples; the same in all processes.
        sampler: of what is drawn; the same in all processes, as draws fold in the rank themselves.
        dropout: of what happens while training; its own in each process.

    Example:
        >>> one, other = Seeds.of(5), Seeds.of(5, rank=1)
        >>> one.batches == other.batches, one.dropout == other.dropout
        (True, False)
    """

    run: int
    weights: int
    batches: int
    sampler: int
    dropout: int

    @classmethod
    def of(cls, run: int, rank: int = 0) -> Self:
        """Derive them; the rank of a process is folded in here and nowhere else."""
        # A last number apart from 0: SeedSequence([run, 0]) is that of `run` alone.
        weights, batches = _generated(2, run)
        (dropout,), (sampler,) = _generated(1, run, rank, 1), _generated(1, run, 0, 2)
        return cls(run, weights, batches, sampler, dropout)


def _generated(count: int, *entropy: int) -> list[int]:
    return [int(number) >> 1 for number in np.random.SeedSequence(entropy).generate_state(count, np.uint64)]
