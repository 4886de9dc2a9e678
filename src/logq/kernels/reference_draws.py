"""Draws in plain torch: the meaning of the ops that samplers stand on.

next_seed        a number of the stream that seeds of draws come from where no host gives them
draws            independent draws from a distribution
distinct_draws   the first S different classes of a stream of draws, and the exact counts of tries
places_of        where in a sample of distinct classes a class stands
log_inclusion    how probable it was that a class is among the distinct ones
alias_table      probabilities -> Walker's alias table

    counted_draws, counted_distinct_draws    draws for a batch, with the expected counts of draws and targets
"""

from collections.abc import Callable

import torch
from torch import Tensor

from logq.candidates import IGNORED
from logq.kernels.distributions import OF_PARTS, STEP, Distribution, random_bits
from logq.kernels.draw_ops import distinct_draws_in_graph
from logq.tracing import is_fake, keeps_sizes

__all__ = [
    "alias_table",
    "by_tries",
    "counted",
    "counted_distinct_draws",
    "counted_draws",
    "distinct_draws",
    "draws",
    "log_inclusion",
    "next_seed",
    "places_of",
    "until_drawn",
]

FEW = 1 << 16
"""Ids that are copied to save a call: with more of them the copy costs more than the call."""


def next_seed(state: Tensor, key: int = 0) -> Tensor:
    """The next number of splitmix64, and its state moves on in place: the t-th call gives random_bits(state, t - 1).

    Args:
        state: () int64.
        key: int64; with another than 0 the number is mixed with it, and once more.

    Returns:
        () int64, where the state is.

    Example:
        >>> state = torch.tensor(1)
        >>> [int(next_seed(state)) for _ in range(2)] == random_bits(torch.tensor(1), torch.arange(2)).tolist()
        True
    """
    first = torch.zeros_like(state)
    seed = random_bits(state, first)
    state.add_(STEP)
    return random_bits(seed ^ key, first) if key else seed


def draws(distribution: Distribution, seed: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Independent draws, at the first positions of a stream.

    Args:
        distribution: what is drawn from.
        seed: () int64, of the stream; draws are where it is.
        shape: of the result.

    Returns:
        ids: int64 of that shape.
    """
    size = torch.Size(shape).numel()
    return distribution.at(seed, torch.arange(size, device=seed.device)).view(shape)


def counted_draws(
    distribution: Distribution,
    seed: Tensor,
    shape: tuple[int, ...],
    targets: Tensor,
    log_counts: Callable[[Tensor], Tensor],
    are_classes: bool = False,
    draws: Callable[[Distribution, Tensor, tuple[int, ...]], Tensor] = draws,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Independent draws for a batch, with the logs of the expected counts of what was drawn and of the targets.

    Args:
        distribution: as for `draws`.
        seed: as for `draws`.
        shape: of the draws.
        targets: int64 of any shape, IGNORED where there is no class.
        log_counts: class ids of any shape -> the log of their expected counts.
        are_classes: tells that no target is IGNORED.
        draws: what draws.

    Returns:
        ids, their log expected counts, a copy of the targets, and their log expected counts, 0 where IGNORED: the
        fields of Candidates in their order.
    """
    ids = draws(distribution, seed, shape)
    targets = targets.clone(memory_format=torch.contiguous_format)
    of_ids, of_targets = counted(ids, targets, log_counts, are_classes)
    return ids, of_ids, targets, of_targets


def counted(
    ids: Tensor, targets: Tensor, log_counts: Callable[[Tensor], Tensor], are_classes: bool, alike: bool = True
) -> tuple[Tensor, Tensor]:
    """The log expected counts of a sample and of targets, 0 where those are IGNORED.

    Args:
        ids: (S,) or (B, S).
        targets: (B,) or (B, T).
        log_counts: class ids -> the log of their expected counts.
        are_classes: tells that no target is IGNORED.
        alike: whether `log_counts` takes any shape, and not only (N,) for a shared sample and (B, N) for one per row.
    """
    is_true = None if are_classes else targets != IGNORED
    some = targets if is_true is None else targets.where(is_true, 0)
    if alike and ids.numel() <= FEW:  # one look-up does for both
        both = log_counts(torch.cat([ids.view(-1), some.view(-1)]))
        of_ids, of_targets = both.split([ids.numel(), some.numel()])
        of_ids, of_targets = of_ids.view(ids.shape), of_targets.view(some.shape)
    else:
        column = ids.dim() == 2 and some.dim() == 1
        of_targets = log_counts(some[:, None])[:, 0] if column else log_counts(some)
        of_ids = log_counts(ids)
    return of_ids, of_targets if is_true is None else of_targets.where(is_true, 0.0)


def distinct_draws(
    distribution: Distribution,
    seed: Tensor,
    num_rows: int,
    num_sampled: int,
    enough: Callable[[], int] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw `num_sampled` distinct classes per row by independent draws that drop what was seen.

    Row r draws from the stream whose seed is the r-th number of the stream of `seed`.

    Args:
        distribution: what is drawn from; more than `num_sampled` classes must be possible.
        seed: () int64.
        num_rows: R.
        num_sampled: S.
        enough: gives a number of draws that is certain to suffice, for devices that are not to be waited for; None to
            look at whether they do.

    Returns:
        ids (R, S) in order of their first appearance; M of each of them (R, S); M of every other class (R, 1), where
        M_v counts the draws of other classes than v until S of those differ.
    """
    if torch.compiler.is_compiling() and isinstance(distribution, OF_PARTS):
        return distinct_draws_in_graph("reference", distribution, seed, num_rows, num_sampled)
    seeds = random_bits(seed, torch.arange(num_rows, device=seed.device))[:, None]
    drawn = 0

    def sample(shape: tuple[int, int]) -> Tensor:
        nonlocal drawn
        positions = torch.arange(drawn, drawn + shape[1], device=seed.device)
        drawn += shape[1]
        return distribution.at(seeds, positions)

    return by_tries(sample, num_rows, num_sampled, enough if keeps_sizes(seed) else None)


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


def until_drawn(
    classes: Tensor,
    ids: Tensor,
    inside: Tensor,
    outside: Tensor,
    places_of: Callable[[Tensor, Tensor], Tensor] = places_of,
) -> Tensor:
    """The M of any classes, where `distinct_draws` gave those of a sample and that of the others.

    Args:
        classes: (R, N).
        ids: (R, S).
        inside: (R, S).
        outside: (R, 1).
        places_of: what finds classes in a sample.

    Returns:
        (R, N).
    """
    place = places_of(ids, classes)
    return torch.where(place >= 0, inside.gather(1, place.clamp(min=0)), outside)


def log_inclusion(log_p: Tensor, tries: Tensor) -> Tensor:
    """log( 1 - (1 - p)^tries ), in double, where the p of every class that can be drawn is more than zero.

    Args:
        log_p: float32 or float64, at most 0.
        tries: int64, of the same shape; 1 at least.

    Returns:
        The same shape and dtype.
    """
    return torch.log(-torch.expm1(tries * torch.log1p(-log_p.double().exp()))).to(log_p.dtype)


def counted_distinct_draws(
    distribution: Distribution,
    seed: Tensor,
    num_rows: int,
    num_sampled: int,
    targets: Tensor,
    log_q: Callable[[Tensor], Tensor],
    are_classes: bool = False,
    enough: Callable[[], int] | None = None,
    *,
    distinct_draws: Callable[..., tuple[Tensor, Tensor, Tensor]] = distinct_draws,
    places_of: Callable[[Tensor, Tensor], Tensor] = places_of,
    log_inclusion: Callable[[Tensor, Tensor], Tensor] = log_inclusion,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distinct draws for a batch, with the logs of the expected counts of what was drawn and of the targets.

    Args:
        distribution: as for `distinct_draws`.
        seed: as for `distinct_draws`.
        num_rows: as for `distinct_draws`.
        num_sampled: as for `distinct_draws`.
        targets: int64, as many for each row, IGNORED where there is no class.
        log_q: class ids of any shape -> the log of the probability that a single draw is of one.
        are_classes: tells that no target is IGNORED.
        enough: as for `distinct_draws`.
        distinct_draws: the op.
        places_of: the op.
        log_inclusion: the op.

    Returns:
        ids, their log expected counts, a copy of the targets, and their log expected counts, 0 where IGNORED.
    """
    more = {} if enough is None else {"enough": enough}
    ids, inside, outside = distinct_draws(distribution, seed, num_rows, num_sampled, **more)

    def log_counts(classes: Tensor) -> Tensor:
        until = inside if classes is ids else until_drawn(classes, ids, inside, outside, places_of)
        return log_inclusion(log_q(classes), until)

    targets = targets.clone(memory_format=torch.contiguous_format)
    rows = targets.view(num_rows, targets.numel() // max(1, num_rows))
    of_ids, of_targets = counted(ids, rows, log_counts, are_classes, alike=False)
    return ids, of_ids, targets, of_targets.view(targets.shape)


def by_tries(
    sample: Callable[[tuple[int, int]], Tensor],
    num_rows: int,
    num_sampled: int,
    enough: Callable[[], int] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """As `distinct_draws`, from draws that come from anywhere.

    Args:
        sample: shape -> that many more independent draws, int64.
        num_rows: R.
        num_sampled: S, less than the number of classes that can be drawn.
        enough: as for `distinct_draws`.
    """
    draws = sample((num_rows, num_sampled + max(16, num_sampled // 2) if enough is None else enough()))
    while True:
        size = draws.shape[1]
        ordered, position = draws.sort(dim=1, stable=True)
        new = torch.ones_like(ordered, dtype=torch.bool)
        new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        # One class more than is asked for: its arrival ends the count of the classes inside.
        suffice = (new.sum(dim=1) > num_sampled).all()
        if enough is not None:
            torch._assert_async(suffice, "distinct_draws: draws that are enough were not")  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
            break
        if num_rows == 0 or is_fake(new) or bool(suffice):
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


def alias_table(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Walker's alias table: cell i, drawn with probability 1/C, gives i with probability accept_i, else alias_i.

    The sweep of Huebschle-Schneider and Sanders through light classes (s = C p <= 1) and heavy ones (s > 1), each in
    the order of their ids, written with cumulative sums: light class i leans on the first heavy one whose surplus,
    added to that of the heavy ones before, exceeds the deficit of the light ones before i; a heavy class that gave away
    more than its surplus leans on the next heavy one. Rounding makes this differ from p by about 1e-16 C a cell.

    Args:
        probabilities: (C,) float64, not negative, any positive sum.

    Returns:
        accept (C,) float64 in [0, 1] and alias (C,) int32.

    References:
        Walker, ACM Trans. Math. Softw. 1977. Vose, IEEE Trans. Softw. Eng. 1991.
        Huebschle-Schneider and Sanders, Parallel Weighted Random Sampling, 2019, arXiv:1903.00227, Sec. 4.
    """
    size = probabilities.shape[0]
    scaled = probabilities / probabilities.sum() * size
    accept = torch.ones_like(scaled)
    alias = torch.arange(size, dtype=torch.int32, device=probabilities.device)
    heavy = (scaled > 1).nonzero()[:, 0]
    light = (scaled <= 1).nonzero()[:, 0]
    if heavy.numel() == 0 or light.numel() == 0:  # all alike, but for rounding
        return accept, alias
    deficit = (1 - scaled[light]).cumsum(0)  # up to and with each light class
    surplus = (scaled[heavy] - 1).cumsum(0)
    before = torch.cat([deficit.new_zeros(1), deficit[:-1]])
    donor = torch.searchsorted(surplus, before, right=True).clamp_(max=heavy.numel() - 1)
    accept[light] = scaled[light]
    alias[light] = heavy[donor].int()
    # The light class that empties heavy class j is the first whose deficit reaches the surplus up to j.
    emptied_by = torch.searchsorted(deficit, surplus[:-1]).clamp_(max=light.numel() - 1)
    accept[heavy[:-1]] = (1 - (deficit[emptied_by] - surplus[:-1])).clamp_(0, 1)
    alias[heavy[:-1]] = heavy[1:].int()
    return accept, alias
