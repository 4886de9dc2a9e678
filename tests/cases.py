"""One instance of everything exported from logq.samplers, logq.objectives, logq.functional and logq.nn.

Generic tests run over these tables, and tests/test_completeness.py fails when something exported is in none of them.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from logq import functional
from logq import nn as logq_nn
from logq.objectives import OBJECTIVES, Objective
from logq.samplers import (
    CrossBatch,
    EveryClass,
    InBatch,
    LearnedUnigram,
    LogUniform,
    Mixture,
    Partition,
    Prefetch,
    Sampler,
    Uniform,
    Unigram,
    WithinGroup,
)

SAMPLED = 5
"""How many draws (per part, for mixtures) the samplers of the table make; they need more classes than that."""

SamplerCase = Callable[[int, torch.dtype, int], Sampler]


def falling_counts(num_classes: int) -> Tensor:
    return torch.arange(num_classes, 0, -1, dtype=torch.float64, device="cpu")


def learned(num_classes: int, **arguments) -> LearnedUnigram:
    sampler = LearnedUnigram(num_classes, SAMPLED, **arguments)
    classes = torch.arange(num_classes, device="cpu")
    sampler.learn(classes.repeat_interleave(classes))
    return sampler


def streaming(num_classes: int, **arguments) -> InBatch:
    """In-batch negatives whose frequency estimates have seen every class."""
    sampler = InBatch(num_classes, **arguments)
    if sampler.device.type != "meta":
        sampler.draw(torch.arange(num_classes).repeat(2))
    return sampler


def remembering(num_classes: int, **arguments) -> CrossBatch:
    """In-batch negatives beside those of a memory that is full, as it is from the first few batches on."""
    sampler = CrossBatch(num_classes, 2 * SAMPLED, **arguments)
    if sampler.device.type != "meta":
        sampler.draw(torch.arange(num_classes).repeat(2))
    return sampler


def mixed(num_classes: int, *, dtype: torch.dtype, seed: int, **arguments) -> Mixture:
    return Mixture(
        [
            Uniform(num_classes, SAMPLED, seed=seed, dtype=dtype, **arguments),
            LogUniform(num_classes, SAMPLED, seed=seed + 1, dtype=dtype, **arguments),
        ]
    )


def with_in_batch(num_classes: int, *, dtype: torch.dtype, seed: int, **arguments) -> Mixture:
    return Mixture(
        [
            InBatch(num_classes, counts=falling_counts(num_classes), seed=seed, dtype=dtype),
            Uniform(num_classes, SAMPLED, seed=seed + 1, dtype=dtype, **arguments),
        ]
    )


def partition(num_classes: int, *, dtype: torch.dtype, seed: int, **arguments) -> Partition:
    """Part 0 holds every class, so that any target may be drawn for; part 1 the first half."""
    subsets = [list(range(num_classes)), list(range(num_classes // 2))]
    return Partition(num_classes, subsets, seed=seed, dtype=dtype, **arguments)


def within_group(num_classes: int, **arguments) -> WithinGroup:
    """One group, so that any target may be drawn for every row."""
    return WithinGroup(falling_counts(num_classes), [0] * num_classes, SAMPLED, power=0.75, **arguments)


def ahead(num_classes: int, **how) -> Prefetch:
    return Prefetch(Unigram(falling_counts(num_classes), SAMPLED, power=0.75, **how))


def learned_ahead(num_classes: int, **how) -> Prefetch:
    return Prefetch(learned(num_classes, **how))


# How a sampler of the table draws, by the end of its name.
WAYS = {
    "": {},
    "-distinct": {"replacement": False},
    "-per_row": {"per_row": True},
    "-distinct-per_row": {"replacement": False, "per_row": True},
}

# distribution(num_classes, dtype=, seed=, **way) -> sampler
FOUR_WAYS: dict[str, Callable[..., Sampler]] = {
    "uniform": lambda c, **how: Uniform(c, SAMPLED, **how),
    "log_uniform": lambda c, **how: LogUniform(c, SAMPLED, **how),
    "unigram": lambda c, **how: Unigram(falling_counts(c), SAMPLED, power=0.75, **how),
    "learned_unigram": learned,
    "mixture": mixed,
    "mixture-in_batch": with_in_batch,
    "prefetch": ahead,
    "prefetch-learned_unigram": learned_ahead,
    "prefetch-mixture": lambda c, **how: Prefetch(mixed(c, **how)),
}
ONE_WAY: dict[str, Callable[..., Sampler]] = {
    "every_class": EveryClass,
    "in_batch-counts": lambda c, **how: InBatch(c, counts=falling_counts(c), **how),
    "in_batch-streaming": streaming,
    "in_batch-sampled": lambda c, **how: InBatch(c, counts=falling_counts(c), num_sampled=2, **how),
    "in_batch-group": lambda c, **how: InBatch(c, counts=falling_counts(c), group="world", **how),
    "cross_batch-counts": lambda c, **how: remembering(c, counts=falling_counts(c), **how),
    "cross_batch-streaming": remembering,
    "partition": partition,
    "partition-sampled": lambda c, **how: partition(c, num_sampled=SAMPLED, **how),
    "partition-distinct": lambda c, **how: partition(c, num_sampled=SAMPLED, replacement=False, **how),
    "within_group-per_row": within_group,
}


def case(distribution: Callable[..., Sampler], **way: bool) -> SamplerCase:
    return lambda num_classes, dtype, seed: distribution(num_classes, dtype=dtype, seed=seed, **way)


SAMPLERS: dict[str, SamplerCase] = {
    distribution + name: case(make, **way) for distribution, make in FOUR_WAYS.items() for name, way in WAYS.items()
} | {distribution: case(make) for distribution, make in ONE_WAY.items()}
"""name -> (num_classes, dtype of the logarithms, seed) -> sampler. Names tell how it draws: with replacement and one
sample shared by the batch, unless `distinct` or `per_row` says otherwise. C must exceed SAMPLED."""

FUNCTIONS: dict[str, Objective | None] = {
    "negative_sampling_loss": OBJECTIVES["negative_sampling"],
    "nce_loss": OBJECTIVES["nce"],
    "sampled_logistic_loss": OBJECTIVES["sampled_logistic"],
    "sampled_softmax_loss": OBJECTIVES["sampled_softmax"],
    "refined_softmax_loss": OBJECTIVES["refined_softmax"],
    "full_logistic_loss": OBJECTIVES["full_logistic"],
    "full_softmax_loss": OBJECTIVES["full_softmax"],
    "gbce_loss": OBJECTIVES["gbce"],
    # These two take the objective as an argument.
    "sampled_loss": None,
    "full_loss": None,
}
"""name in logq.functional -> the objective of the table that it is."""

MODULES: dict[str, Callable[..., nn.Module]] = {
    "CandidateLoss": lambda d, c, **options: logq_nn.CandidateLoss("nce", d, c, sampler(c), **options),
    "NegativeSamplingLoss": lambda d, c, **options: logq_nn.NegativeSamplingLoss(d, c, sampler(c), **options),
    "NCELoss": lambda d, c, **options: logq_nn.NCELoss(d, c, sampler(c), **options),
    "SampledLogisticLoss": lambda d, c, **options: logq_nn.SampledLogisticLoss(d, c, sampler(c), **options),
    "SampledSoftmaxLoss": lambda d, c, **options: logq_nn.SampledSoftmaxLoss(d, c, sampler(c), **options),
    "RefinedSoftmaxLoss": lambda d, c, **options: logq_nn.RefinedSoftmaxLoss(d, c, sampler(c), **options),
    "GBCELoss": lambda d, c, **options: logq_nn.GBCELoss(d, c, sampler(c), **options),
    "FullLogisticLoss": lambda d, c, **options: logq_nn.FullLogisticLoss(d, c, **options),
    "FullSoftmaxLoss": lambda d, c, **options: logq_nn.FullSoftmaxLoss(d, c, **options),
}
"""name in logq.nn -> (in_features, num_classes, **options) -> module, with a seeded sampler in float64."""

SAMPLED_MODULES = [name for name in MODULES if not name.startswith("Full")]

NOT_AN_INSTANCE = {
    "logq.samplers": {"Draw", "Proposal", "Sampler"},
    "logq.objectives": {
        "OBJECTIVES",
        "Approximation",
        "Loss",
        "Negatives",
        "Objective",
        "find_objective",
        "logistic",
        "objective_name",
        "softmax",
    },
    "logq.functional": set(),
    "logq.nn": {"ClassTable", "TopK"},
}
"""Exported names that are abstract, or the result or part of something that has a case."""


def sampler(num_classes: int) -> Sampler:
    return Unigram(falling_counts(num_classes), SAMPLED, seed=1, dtype=torch.float64)


def call(name: str, input: Tensor, weight: Tensor, candidates, **options) -> Tensor:
    """A function of logq.functional by name, on candidates; full losses get their targets."""
    function = getattr(functional, name)
    row = FUNCTIONS[name] or OBJECTIVES["nce" if name == "sampled_loss" else "full_logistic"]
    arguments = (input, weight, candidates if row.negatives.sampled else candidates.targets)
    return function(row, *arguments, **options) if FUNCTIONS[name] is None else function(*arguments, **options)


__all__ = [
    "FUNCTIONS",
    "MODULES",
    "NOT_AN_INSTANCE",
    "SAMPLED",
    "SAMPLED_MODULES",
    "SAMPLERS",
    "SamplerCase",
    "call",
    "falling_counts",
]
