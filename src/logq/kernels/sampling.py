"""Draws in plain torch: the meaning of the ops that samplers stand on.

draws            independent draws from a law
distinct_draws   the first S different classes of a stream of draws, and the exact counts of tries
places_of        where in a sample of distinct classes a class stands
"""

from collections.abc import Callable

import torch
from torch import Tensor

from logq.kernels.laws import Law, random_bits

__all__ = ["by_tries", "distinct_draws", "draws", "log_inclusion", "places_of"]


def draws(law: Law, seed: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Independent draws, those at the first places of a stream.

    Args:
        law: what is drawn.
        seed: () int64, of the stream; draws are where it is.
        shape: of the result.

    Returns:
        ids: int64 of that shape.
    """
    size = torch.Size(shape).numel()
    return law.at(seed, torch.arange(size, device=seed.device)).view(shape)


def distinct_draws(law: Law, seed: Tensor, num_rows: int, num_sampled: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw `num_sampled` distinct classes a row by independent draws that drop what was seen.

    Row r draws from the stream whose seed is the r-th number of the stream of `seed`.

    Args:
        law: what is drawn; more than `num_sampled` classes must be possible.
        seed: () int64.
        num_rows: R.
        num_sampled: S.

    Returns:
        ids (R, S) in order of their first appearance; M of each of them (R, S); M of every other class (R, 1), where
        M_v counts the draws of other classes than v until S of those differ.
    """
    seeds = random_bits(seed, torch.arange(num_rows, device=seed.device))[:, None]
    drawn = 0

    def sample(shape: tuple[int, int]) -> Tensor:
        nonlocal drawn
        places = torch.arange(drawn, drawn + shape[1], device=seed.device)
        drawn += shape[1]
        return law.at(seeds, places)

    return by_tries(sample, num_rows, num_sampled)


def places_of(ids: Tensor, classes: Tensor) -> Tensor:
    """Where in its row of a sample each class stands, or -1.

    Args:
        ids: (R, S) int64, distinct within a row.
        classes: (R, N) int64.

    Returns:
        (R, N) int64.
    """
    ordered, order = ids.sort(dim=1)
    at = torch.searchsorted(ordered, classes.contiguous()).clamp_(max=ids.shape[1] - 1)
    return torch.where(ordered.gather(1, at) == classes, order.gather(1, at), -1)


def log_inclusion(log_p: Tensor, tries: Tensor) -> Tensor:
    """log( 1 - (1 - p)^tries ), in double, where the p of every class that can be drawn is more than zero.

    Args:
        log_p: float32 or float64, at most 0.
        tries: int64, of the same shape; 1 at least.

    Returns:
        The same shape and dtype.
    """
    return torch.log(-torch.expm1(tries * torch.log1p(-log_p.double().exp()))).to(log_p.dtype)


def by_tries(
    sample: Callable[[tuple[int, int]], Tensor], num_rows: int, num_sampled: int
) -> tuple[Tensor, Tensor, Tensor]:
    """As `distinct_draws`, from draws that come from anywhere.

    Args:
        sample: shape -> that many more independent draws, int64.
        num_rows: R.
        num_sampled: S, less than the number of classes that can be drawn.
    """
    draws = sample((num_rows, num_sampled + max(16, num_sampled // 2)))
    while True:
        size = draws.shape[1]
        ordered, position = draws.sort(dim=1, stable=True)
        new = torch.ones_like(ordered, dtype=torch.bool)
        new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        # One class more than is asked for: its arrival ends the count of the classes inside.
        if num_rows == 0 or bool((new.sum(dim=1) > num_sampled).all()):
            break
        draws = torch.cat([draws, sample((num_rows, size))], dim=1)
    first = position.masked_fill(~new, size).sort(dim=1).values[:, : num_sampled + 1]  # positions of first appearances
    inside, end = first[:, :num_sampled], first[:, num_sampled:]
    ids = draws.gather(1, inside)
    # How often each class stands before `end`: number the classes of a row, count, and look the sampled ones up.
    number = torch.empty_like(position).scatter_(1, position, new.cumsum(dim=1) - 1)
    before_end = torch.arange(size, device=draws.device) < end
    copies = torch.zeros_like(number).scatter_add_(1, number, before_end.long()).gather(1, number.gather(1, inside))
    return ids, end + 1 - copies, inside[:, -1:] + 1
