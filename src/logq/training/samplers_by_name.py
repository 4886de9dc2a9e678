"""Samplers by name, for estimators that learn the classes and their counts from the data."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from logq.samplers import EveryClass, InBatch, LearnedUnigram, LogUniform, Sampler, Uniform, Unigram
from logq.samplers.proposal import Options
from logq.training.choices import SamplerChoice, check_sampler

__all__ = ["make_sampler"]


def make_sampler(
    choice: SamplerChoice,
    counts: NDArray[np.int64],  # (C,)
    num_sampled: int,
    *,
    power: float,
    shared: bool,
    seed: int,
    replacement: bool = True,
    target_counts: NDArray[np.float64] | None = None,  # (C,)
) -> Sampler:
    """Make the sampler that was chosen, for classes with these counts.

    Args:
        choice: one of logq.training.choices.SAMPLERS, or a function counts -> sampler.
        counts: of the classes in the data, most frequent first, which log_uniform relies on.
        num_sampled: S; in_batch and every_class have their own.
        power: of the counts, for unigram.
        shared: whether a batch shares one sample, or each row has its own.
        seed: of the draws.
        replacement: whether a class may stand in a sample twice; without, S is the number of classes at most.
        target_counts: how often each class is a target, for in_batch; None if that is `counts`.

    Returns:
        A sampler over len(counts) classes.

    Raises:
        TypeError: the function returned something else.
        ValueError: there is no sampler of that name, or its number of classes is wrong.

    Example:
        >>> make_sampler("unigram", np.array([8, 1]), 3, power=0.75, shared=False, seed=1)
        Unigram(
          num_classes=2, num_sampled=3, per_row=True
          (table): AliasTable()
        )
    """
    size = len(counts)
    how: Options = {"replacement": replacement, "per_row": not shared, "seed": seed}
    if not replacement:
        num_sampled = min(num_sampled, size)
    if callable(choice):
        sampler = choice(counts)
        if not isinstance(sampler, Sampler):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"sampler: expected the function to return a sampler, got {type(sampler).__name__}")
        if sampler.num_classes != size:
            raise ValueError(f"sampler: expected num_classes = {size}, got {sampler.num_classes}")
        return sampler
    makers: dict[str, Callable[[], Sampler]] = {
        "unigram": lambda: Unigram(counts, num_sampled, power=power, **how),
        "uniform": lambda: Uniform(size, num_sampled, **how),
        "log_uniform": lambda: LogUniform(size, num_sampled, **how),
        "learned_unigram": lambda: LearnedUnigram(size, num_sampled, **how),
        "in_batch": lambda: InBatch(size, counts=counts if target_counts is None else target_counts, seed=seed),
        "every_class": lambda: EveryClass(size, seed=seed),
    }
    return makers[check_sampler(choice)]()
