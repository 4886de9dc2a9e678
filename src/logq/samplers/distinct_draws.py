"""Draws without replacement, and the exact probability with which each class was included.

Both ways draw class after class with probability proportional to p, what came before left out. Both report for class v
the probability that v is included, given everything about the draw that does not depend on v:

    Q_v = 1 - (1 - p_v)^M_v         by tries: independent draws until S of them differ (the op distinct_draws),
    Q_v = 1 - exp(-p_v t_v)         by race: every class arrives after an exponential time of rate p_v,

where M_v counts the draws of other classes until S of those differ, and t_v is the time when S others have arrived. As
v is included exactly if it comes before, the mean of Q_v is its inclusion probability and that of [v is included] / Q_v
is 1: the logistic losses are exactly stationary with it. TensorFlow's samplers have
Q = 1 - (1 - p)^tries, which is M_v for the classes outside of the sample and slightly too small for those inside.

References:
    Hajek, Sampling from a Finite Population, 1981, ch. 9 (successive sampling).
    Duffield, Lund and Thorup, Priority sampling for estimation of arbitrary subset sums, J. ACM 2007.
    Kool, van Hoof and Welling, Stochastic Beams and Where to Find Them, ICML 2019, arXiv:1903.06059, Sec. 4.1.
"""

import math

import torch
from torch import Tensor

from logq import kernels
from logq._arguments import ArgumentError

__all__ = ["by_race", "expected_tries", "log_inclusion"]

RACE_TIMES = 1 << 24
"""How many arrival times `by_race` holds at a time: 128 MiB."""


def log_inclusion(log_p: Tensor, tries: Tensor) -> Tensor:
    """log( 1 - (1 - p)^tries ), exact for small p too; the expected count of TensorFlow's `unique` samplers.

    Computed in double, where the p of every class that can be drawn is more than zero.

    Example:
        >>> log_inclusion(torch.tensor(0.5).log(), torch.tensor(2)).exp()
        tensor(0.7500)
    """
    return kernels.get("log_inclusion", log_p.device.type)(*torch.broadcast_tensors(log_p, tries))


def expected_tries(p: Tensor, num_sampled: int, number: Tensor | None = None) -> float:
    """About how many independent draws it takes to see `num_sampled` classes: n with sum_v (1 - exp(-n p_v)) that many.

    Args:
        p: (C,) float64 probabilities.
        num_sampled: how many classes.
        number: (C,) float64, how many classes each probability stands for; None for one.

    Returns:
        n, infinite if fewer than `num_sampled` classes have p > 0.

    Raises:
        ValueError: a p is not a probability, as where a table was filled with something else.

    Example:
        >>> round(expected_tries(torch.full((1000,), 1e-3, dtype=torch.float64), 500))
        693
    """
    is_right = (p >= 0) & (p <= 1)
    if not bool(is_right.all()):
        raise ArgumentError("p", "probabilities", float(p[~is_right][0]), "the table of the sampler was written to")
    if number is None:
        number = torch.ones_like(p)
    if num_sampled >= int(number[p > 0].sum()):
        return float("inf")
    tries, step = float(num_sampled), math.inf
    while step > 1e-9 * tries:  # Newton's steps; they stay below the solution, as the sum is concave and rises
        unseen = torch.exp(-tries * p)
        step = float((num_sampled - (number * (1 - unseen)).sum()) / (number * p * unseen).sum())
        tries += step
    return tries


def by_race(p: Tensor, num_rows: int, num_sampled: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw `num_sampled` distinct classes per row by exponential clocks: O(R C), for samples of a good part of C.

    Args:
        p: (C,) float64 probabilities.
        num_rows: R.
        num_sampled: S, at most the number of classes with p > 0.
        generator: of the clocks.

    Returns:
        ids (R, S) in order of arrival; t of them (R, 1); t of every other class (R, 1).
    """
    ids, inside, outside = [], [], []
    for rows in torch.arange(num_rows, device="cpu").split(max(1, RACE_TIMES // p.numel())):
        clocks = torch.empty(len(rows), p.numel(), dtype=p.dtype, device=p.device).exponential_(generator=generator)
        arrival = clocks.div_(p).masked_fill_(p == 0, torch.inf)
        # With all classes inside, the next one never arrives.
        next_one = min(num_sampled + 1, p.numel())
        times, order = arrival.topk(next_one, dim=1, largest=False, sorted=True)
        ids.append(order[:, :num_sampled])
        inside.append(times[:, num_sampled:] if next_one > num_sampled else times.new_full((len(rows), 1), torch.inf))
        outside.append(times[:, num_sampled - 1 : num_sampled])
    if not ids:
        nothing = p.new_zeros(0, 1)
        return torch.zeros(0, num_sampled, dtype=torch.int64, device=p.device), nothing, nothing
    return torch.cat(ids), torch.cat(inside), torch.cat(outside)
