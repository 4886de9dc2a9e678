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
from collections.abc import Iterator

import torch
from torch import Tensor

from logq import kernels
from logq._arguments import ArgumentError
from logq.kernels.distributions import random_bits, shifted
from logq.tracing import keeps_sizes

__all__ = ["by_race", "expected_tries", "log_inclusion", "permuted", "surely_enough"]

RACE_TIMES = 1 << 24
"""How many random numbers, one for each row and class, are held at a time: 128 MiB."""


def log_inclusion(log_p: Tensor, tries: Tensor) -> Tensor:
    """log( 1 - (1 - p)^tries ), exact for small p too; the expected count of TensorFlow's `unique` samplers.

    Computed in double, where the p of every class that can be drawn is more than zero.

    Example:
        >>> log_inclusion(torch.tensor(0.5).log(), torch.tensor(2)).exp()
        tensor(0.7500)
    """
    return kernels.get("log_inclusion", log_p.device.type)(*torch.broadcast_tensors(log_p, tries))


def expected_tries(p: Tensor, num_sampled: int, number: Tensor | None = None) -> float | Tensor:
    """About how many independent draws it takes to see `num_sampled` classes: n with sum_v (1 - exp(-n p_v)) that many.

    Args:
        p: (C,) float64 probabilities.
        num_sampled: how many classes.
        number: (C,) float64, how many classes each probability stands for; None for one.

    Returns:
        n, infinite if fewer than `num_sampled` classes have p > 0. Where p is on another device than the CPU it is a
        tensor there, and nothing is waited for.

    Raises:
        ValueError: a p is not a probability, as where a table was filled with something else.

    Example:
        >>> round(expected_tries(torch.full((1000,), 1e-3, dtype=torch.float64), 500))
        693
    """
    number = torch.ones_like(p) if number is None else number
    if keeps_sizes(p):
        return _expected_tries_there(p, num_sampled, number)
    is_right = (p >= 0) & (p <= 1)
    if not bool(is_right.all()):
        raise ArgumentError("p", "probabilities", float(p[~is_right][0]), "the table of the sampler was written to")
    if num_sampled >= int(number[p > 0].sum()):
        return float("inf")
    tries, step = float(num_sampled), math.inf
    while step > 1e-9 * tries:  # Newton's steps; they stay below the solution, as the sum is concave and rises
        unseen = torch.exp(-tries * p)
        step = float((num_sampled - (number * (1 - unseen)).sum()) / (number * p * unseen).sum())
        tries += step
    return tries


def _expected_tries_there(p: Tensor, num_sampled: int, number: Tensor) -> Tensor:
    """The same by a number of steps that is always enough.

    The logarithm of n lies between that of S and that of the largest float. Halving that span 20 times leaves 7e-4 of
    it, relative to n, and each of Newton's steps then squares the error times 25 at most: sums over classes that are
    not yet seen weigh n p by exp(-n p), so that what counts has n p below log C.
    """
    low = torch.full((), math.log(num_sampled), dtype=torch.float64, device=p.device)
    high = torch.full_like(low, 709.0)
    for _ in range(20):
        middle = (low + high) / 2
        enough = (number * -torch.expm1(-middle.exp() * p)).sum() >= num_sampled
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    tries = low.exp()
    for _ in range(4):
        unseen = torch.exp(-tries * p)
        tries = tries + (num_sampled - (number * (1 - unseen)).sum()) / (number * p * unseen).sum()
    return tries.where((number * (p > 0)).sum() > num_sampled, torch.inf)


def surely_enough(p: Tensor, num_sampled: int, number: Tensor) -> int:
    """A number of independent draws that see more than `num_sampled` classes, but with a probability below 2^-80.

    Whether each class is seen are negatively associated events, so that Chernoff's bounds hold for their number: for
    the lower tail of the seen ones, with mean m, P <= exp(-(m - S)^2 / 2m), and for the upper tail of the a = C - S
    that must not be unseen, with mean u, P <= (e u / a)^a.

    Args:
        p: (C,) float64 probabilities.
        num_sampled: S, less than the number of classes with p > 0.
        number: (C,) float64, how many classes each probability stands for.

    Example:
        >>> one, thousand = torch.tensor([[0.001], [1000.0]], dtype=torch.float64)
        >>> surely_enough(one, 100, thousand), surely_enough(one, 999, thousand)
        (343, 64750)
    """
    p, number = p.cpu(), number.cpu()
    possible = float(number[p > 0].sum())
    draws = max(float(expected_tries(p, num_sampled, number)), num_sampled + 1.0)
    while True:
        unseen = float((number * torch.exp(-draws * p))[p > 0].sum())
        seen, rest = possible - unseen, possible - num_sampled
        by_seen = (seen - num_sampled) ** 2 / (2 * seen) if seen > num_sampled else 0.0
        by_unseen = rest * math.log(rest / unseen) - rest if unseen > 0 else math.inf
        if max(by_seen, by_unseen) > 80 * math.log(2):
            return math.ceil(draws)
        draws *= 1.125


def permuted(seed: Tensor, num_rows: int, num_classes: int, num_sampled: int) -> Tensor:
    """The first `num_sampled` classes of a random order of all of them, one order per row: O(R C).

    Args:
        seed: () int64, of the random order.
        num_rows: R.
        num_classes: C.
        num_sampled: S, at most C.

    Returns:
        (R, S) int64.

    Example:
        >>> permuted(torch.tensor(1), 1, 5, 5)
        tensor([[3, 1, 2, 4, 0]])
    """
    orders = [bits.argsort(dim=1, stable=True)[:, :num_sampled] for bits in _bits_of_rows(seed, num_rows, num_classes)]
    return torch.cat(orders)


def _bits_of_rows(seed: Tensor, num_rows: int, num_classes: int) -> Iterator[Tensor]:
    """64 random bits for each row and class, (some rows, C) int64 at a time, one part at least."""
    seeds = random_bits(seed, torch.arange(num_rows, device=seed.device))[:, None]
    classes = torch.arange(num_classes, device=seed.device)
    for rows in seeds.split(max(1, RACE_TIMES // num_classes)):
        yield random_bits(rows, classes)


def by_race(p: Tensor, num_rows: int, num_sampled: int, seed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Draw `num_sampled` distinct classes per row by exponential clocks: O(R C), for samples of a good part of C.

    Args:
        p: (C,) float64 probabilities.
        num_rows: R.
        num_sampled: S, at most the number of classes with p > 0.
        seed: () int64, of the clocks.

    Returns:
        ids (R, S) in order of arrival; t of them (R, 1); t of every other class (R, 1).
    """
    ids, inside, outside = [], [], []
    for bits in _bits_of_rows(seed, num_rows, p.numel()):
        uniform = (shifted(bits, 11) + 1).double().mul_(2.0**-53)  # in (0, 1]
        arrival = uniform.log_().neg_().div_(p).masked_fill_(p == 0, torch.inf)
        # With all classes inside, the next one never arrives.
        next_one = min(num_sampled + 1, p.numel())
        times, order = arrival.topk(next_one, dim=1, largest=False, sorted=True)
        ids.append(order[:, :num_sampled])
        inside.append(times[:, num_sampled:] if next_one > num_sampled else times.new_full((len(bits), 1), torch.inf))
        outside.append(times[:, num_sampled - 1 : num_sampled])
    return torch.cat(ids), torch.cat(inside), torch.cat(outside)
