"""Draws like those of TensorFlow's candidate samplers, with expected counts from tries, and accidental hits."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from logq import kernels
from logq._arguments import ArgumentError
from logq.compat.tensorflow.tf_arguments import Classes, Seed, as_generator, as_ids, as_true_classes
from logq.kernels.distributions import Distribution
from logq.samplers.streams import take_seed
from logq.shapes import check_ids

__all__ = [
    "AccidentalHits",
    "Probability",
    "SampledValues",
    "compute_accidental_hits",
    "distinct_with_tries",
    "draw",
    "expected_count",
    "masked",
]


class AccidentalHits(NamedTuple):
    """The accidental hits of a batch.

    Args:
        indices: (H,) int32, rows of the batch.
        ids: (H,) int64, positions in the sample.
        weights: (H,) float32, all -3.4e38.

    Example:
        >>> compute_accidental_hits([[3], [4]], [4, 3, 5], num_true=1).ids
        tensor([1, 0])
    """

    indices: Tensor
    ids: Tensor
    weights: Tensor


def last_positions(sampled: Tensor, classes: Tensor) -> Tensor:
    """Return the last position of each class in a sample, or -1.

    Args:
        sampled: (S,) int64.
        classes: int64 of any shape.

    Example:
        >>> last_positions(torch.tensor([3, 7, 3]), torch.tensor([[3, 8]]))
        tensor([[ 2, -1]])
    """
    if sampled.numel() == 0:
        return torch.full_like(classes, -1)
    ordered, position = sampled.sort(stable=True)  # so the last copy is the last of equals
    at = (torch.searchsorted(ordered, classes.contiguous(), right=True) - 1).clamp_(min=0)
    return torch.where(ordered[at] == classes, position[at], -1)


def masked(sampled: Tensor, true_classes: Tensor) -> Tensor:
    """Return (B, S) bool: what the losses leave out when they remove accidental hits.

    Example:
        >>> masked(torch.tensor([3, 7, 3]), torch.tensor([[3], [4]]))
        tensor([[False, False,  True],
                [False, False, False]])
    """
    position = last_positions(sampled, true_classes)
    # An extra column for classes that are not in the sample, dropped again: the values need not be read.
    position = position.where(position >= 0, sampled.numel())
    mask = torch.zeros(position.shape[0], sampled.numel() + 1, dtype=torch.bool, device=sampled.device)
    return mask.scatter_(1, position, True)[:, :-1]


def compute_accidental_hits(
    true_classes: Classes,  # (B, T)
    sampled_candidates: Classes,  # (S,)
    num_true: int,
    seed: Seed = None,
    name: str | None = None,
) -> AccidentalHits:
    """Find the sampled classes that are true classes of a row.

    Equivalent to: tf.nn.compute_accidental_hits, in its order: by row, then by true class. Of a class that was sampled
    more than once only the last copy is reported; logq's own losses leave out all of them.

    Args:
        true_classes: (B, T) class ids.
        sampled_candidates: (S,) class ids.
        num_true: T.
        seed: not used, nor in TensorFlow.
        name: not used.

    Returns:
        AccidentalHits: indices (H,) int32, the row of each hit; ids (H,) int64, its position in `sampled_candidates`;
        weights (H,) float32, -FLT_MAX, to be added to the logit there.

    Raises:
        ArgumentTypeError, ArgumentError: an argument has a wrong type or shape.

    Example:
        >>> hits = compute_accidental_hits([[3, 5], [7, 1]], [3, 5, 3, 9], num_true=2)
        >>> hits.indices.tolist(), hits.ids.tolist()  # the first 3 is not reported
        ([0, 0], [2, 1])
    """
    classes = as_true_classes("true_classes", true_classes, num_true)
    sampled = as_ids("sampled_candidates", sampled_candidates).to(classes.device)
    if sampled.dim() != 1:
        raise ArgumentError("sampled_candidates", "shape (S,)", tuple(sampled.shape))
    position = last_positions(sampled, classes)
    found = position >= 0
    indices = found.nonzero()[:, 0].int()
    weights = torch.full(indices.shape, torch.finfo(torch.float32).min, device=indices.device)
    return AccidentalHits(indices, position[found], weights)


Probability = Callable[[Tensor], Tensor]
"""From class ids on the CPU to their probabilities, float64."""


class SampledValues(NamedTuple):
    """What a candidate sampler returns and `sampled_values` of the losses takes.

    Args:
        sampled_candidates: (S,) int64.
        true_expected_count: (B, T) float32, the expected counts of the true classes in the sample.
        sampled_expected_count: (S,) float32, those of the sampled classes.

    Example:
        >>> from logq.compat.tensorflow import all_candidate_sampler
        >>> all_candidate_sampler([[2]], num_true=1, num_sampled=3, unique=True).sampled_candidates
        tensor([0, 1, 2])
    """

    sampled_candidates: Tensor
    true_expected_count: Tensor
    sampled_expected_count: Tensor


def expected_count(probability: Tensor, num_sampled: int, num_tries: int) -> Tensor:
    """Return TensorFlow's expected count of a class in a sample that took `num_tries` draws.

        S p                   if num_tries = S, which it is with replacement
        1 - (1 - p)^tries     else

    Args:
        probability: float64.
        num_sampled: S.
        num_tries: number of draws until S classes differed.

    Returns:
        The same shape, float32 as in TensorFlow.

    Example:
        >>> p = torch.tensor(0.5, dtype=torch.float64)
        >>> expected_count(p, 2, 2), expected_count(p, 2, 3)
        (tensor(1.), tensor(0.8750))
    """
    if num_tries == num_sampled:
        return (probability * num_sampled).float()
    return (-torch.expm1(num_tries * torch.log1p(-probability))).float()


def draw(
    distribution: Distribution,
    probability: Probability,
    true_classes: Tensor,  # (B, T) int64
    num_classes: int,
    num_sampled: int,
    unique: bool,
    seed: Seed,
) -> SampledValues:
    """Draw one sample of a distribution for a batch.

    Draws and expected counts are computed on the CPU, as in TensorFlow, so that a seed gives the same sample on every
    device; they are returned on that of `true_classes`.

    Args:
        distribution: with its tables on the CPU.
        probability: its p of classes.
        true_classes: any device.
        num_classes: C.
        num_sampled: S; if `unique`, at most the number of classes with p > 0.
        unique: whether to drop repeated draws, until S classes differ.
        seed: as in the samplers.

    Example:
        >>> from logq.kernels.distributions import UniformDistribution
        >>> p = lambda ids: torch.full(ids.shape, 0.25, dtype=torch.float64)
        >>> draw(UniformDistribution(4), p, torch.tensor([[3]]), 4, 2, False, seed=1).true_expected_count
        tensor([[0.5000]])
    """
    on_cpu = true_classes.cpu()
    check_ids("true_classes", on_cpu, num_classes)
    generator = as_generator(seed)
    key = take_seed(generator, generator.device).cpu()  # a generator moves on by one number at each call
    if unique:
        ids, num_tries = distinct_with_tries(distribution, probability, key, num_classes, num_sampled)
    else:
        ids, num_tries = kernels.get("draws")(distribution, key, (num_sampled,)), num_sampled
    device = true_classes.device
    return SampledValues(
        ids.to(device),
        expected_count(probability(on_cpu), num_sampled, num_tries).to(device),
        expected_count(probability(ids), num_sampled, num_tries).to(device),
    )


def distinct_with_tries(
    distribution: Distribution,
    probability: Probability,
    key: Tensor,
    num_classes: int,
    num_sampled: int,
    most: int | None = None,
) -> tuple[Tensor, int]:
    """Draw until S classes differ, and return them with the number of draws.

    Where it takes more than `most` draws, the missing classes are found by exponential clocks, with the same
    distribution, as a Poisson process of draws has no memory: class v arrives after a time of rate p_v, and until the
    last one arrives, at t, classes that are there since t_v come again Poisson(sum_v p_v (t - t_v)) times. (The op
    distinct_draws counts until S + 1 classes differ, which never happens if there are S.)

    Args:
        distribution: as in `draw`.
        probability: as in `draw`.
        key: () int64, the seed of the stream.
        num_classes: C.
        num_sampled: S.
        most: maximum number of draws before clocks; None means 1024 + min(64 S, 2 C).

    Returns:
        ids (S,) in order of their first appearance, and the number of draws.

    Example:
        >>> from logq.kernels.distributions import UniformDistribution
        >>> distinct_with_tries(UniformDistribution(2), lambda ids: ids.double() * 0 + 0.5, torch.tensor(1), 2, 2)
        (tensor([1, 0]), 4)
    """
    if most is None:  # clocks cost O(C), like that many draws
        most = 1024 + min(64 * num_sampled, 2 * num_classes)
    size = min(most, num_sampled + max(16, num_sampled // 2))
    while True:
        stream = kernels.get("draws")(distribution, key, (size,))
        ordered, position = stream.sort(stable=True)
        new = torch.ones_like(ordered, dtype=torch.bool)
        new[1:] = ordered[1:] != ordered[:-1]
        first = position[new].sort().values[:num_sampled]
        if first.numel() == num_sampled:
            return stream[first], int(first[-1]) + 1
        if size == most:
            break
        size = min(2 * size, most)
    found, missing = stream[first], num_sampled - first.numel()
    generator = torch.Generator().manual_seed(int(key))
    p = probability(torch.arange(num_classes, device="cpu"))
    clocks = torch.empty_like(p).exponential_(generator=generator).div_(p).masked_fill_(p == 0, torch.inf)
    clocks[found] = torch.inf
    times, ids = clocks.topk(missing, largest=False, sorted=True)
    again = p[found].sum() * times[-1] + (p[ids] * (times[-1] - times)).sum()
    num_tries = size + missing + int(torch.poisson(again, generator=generator))
    return torch.cat([found, ids]), num_tries
