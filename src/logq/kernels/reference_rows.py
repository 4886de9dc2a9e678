"""The meaning of the ops on rows of a table, in plain torch: what adds up to a sparse gradient, and what it does.

sum_rows       ids with repeats x a row for each -> the distinct ids in order, and the sum of the rows of each
update_rows    a rule x a table x gradients of some rows -> the table and its states changed in place
rounded        numbers x random bits -> one of the two numbers of half precision next to each
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from logq.kernels.distributions import random_bits, shifted
from logq.kernels.updates import HALF_PRECISION, RowRule, real_dtype
from logq.tracing import is_exported

__all__ = ["Ranked", "falling_shares", "ranked", "rounded", "sum_rows", "update_rows"]


STEEPEST = 1e4
"""exp(-STEEPEST) is 0 in every dtype."""


class Ranked(NamedTuple):
    """Ids in order, found without a wait for their device.

    Args:
        ordered: (N,) int64, ascending.
        order: (N,) int64, where each was; equal ones as they came.
        begins: (N,) bool, the first of each id from 0 on.
        ranks: (N,) int64, how many smaller ids from 0 on there are, each counted once; -1 for an id below 0.
    """

    ordered: Tensor
    order: Tensor
    begins: Tensor
    ranks: Tensor


def falling_shares(
    codes: Tensor,  # (B, W) int64
    decay: float,
    dtype: torch.dtype,
) -> Tensor:
    """What each code of a row counts in a mean: less by a factor with each newer one, 1 in all.

        share_t = decay^(codes of the row after t) / sum

    Args:
        codes: most recent last, below 0 where there is none.
        decay: in [0, 1]: 1 weighs all alike, 0 takes the last one.
        dtype: of the shares.

    Returns:
        (B, W), 0 where there is no code.

    Example:
        >>> falling_shares(torch.tensor([[7, -1, 5], [-1, -1, -1]]), 0.25, torch.float64)
        tensor([[0.2000, 0.0000, 0.8000],
                [0.0000, 0.0000, 0.0000]], dtype=torch.float64)
    """
    is_code = codes >= 0
    if codes.shape[1:] == (1,) and not is_exported():  # as in windows, whose length a graph may not know
        return is_code.to(dtype)
    is_none = ~is_code
    slope = min(-math.log(decay), STEEPEST) if decay > 0 else STEEPEST
    shares = (slope * is_code.cumsum(dim=1, dtype=dtype)).masked_fill(is_none, -math.inf).softmax(dim=1)
    return shares.masked_fill(is_none, 0.0)


def ranked(ids: Tensor) -> Ranked:
    """Sort ids (N,), and number the distinct ones from 0 on in their order.

    Example:
        >>> ranked(torch.tensor([7, -1, 3, 7])).ranks
        tensor([-1,  0,  1,  1])
    """
    ordered, order = ids.sort(stable=True)
    begins = ordered >= 0
    begins[1:] &= ordered[1:] != ordered[:-1]
    return Ranked(ordered, order, begins, begins.cumsum(0) - 1)


def sum_rows(ids: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of the rows of each distinct id, added in float32 at least and rounded once.

    Args:
        ids: (N,) int64; entries below 0 are left out.
        rows: (N, D) of a floating point dtype.

    Returns:
        ids (n,) int64, distinct and ascending, and rows (n, D) in the dtype of `rows`.

    Example:
        >>> sum_rows(torch.tensor([2, 0, 2, -100]), torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
        (tensor([0, 2]), tensor([[2.], [4.]]))
    """
    ordered, order, _, ranks = ranked(ids)
    size = int(ranks[-1]) + 1 if len(ids) else 0  # the only wait for a device
    at = ranks.where(ranks >= 0, size)
    distinct = ids.new_empty(size + 1).scatter_(0, at, ordered)[:size]
    positions = torch.empty_like(order).scatter_(0, order, at)
    total = torch.zeros(size + 1, rows.shape[1], dtype=real_dtype(rows.dtype), device=rows.device)
    return distinct, total.index_add_(0, positions, rows.to(total.dtype))[:size].to(rows.dtype)


@torch.no_grad()
def update_rows(rule: RowRule, table: Tensor, ids: Tensor | None, rows: Tensor) -> None:
    """Apply a rule to some rows of a table, in place; the other rows and their states stay what they are.

    Args:
        rule: see logq.kernels.updates.
        table: (C, D).
        ids: (n,) int64 in [0, C), distinct; None for all rows.
        rows: (n, D), the gradients, in the dtype of the table, or the one that it is computed in.

    Example:
        >>> table = torch.ones(3, 2)
        >>> update_rows(RowRule("sgd", lr=0.5), table, torch.tensor([1]), torch.tensor([[1.0, 2.0]]))
        >>> table[1]
        tensor([0.5000, 0.0000])
    """
    where = slice(None) if ids is None else ids
    w = table[where].to(real_dtype(table.dtype))
    g = rows.to(w.dtype)
    if rule.maximize:
        g = -g
    if rule.weight_decay:
        g = g + rule.weight_decay * w
    new = w - _step(rule, where, g)
    if rule.seed is None or table.dtype not in HALF_PRECISION:
        table[where] = new.to(table.dtype)
        return
    numbers = torch.arange(len(table), device=table.device) if ids is None else ids
    columns = torch.arange(table.shape[1], device=table.device)
    table[where] = rounded(new, table.dtype, rule.seed, numbers[:, None] * table.shape[1] + columns)


def rounded(values: Tensor, dtype: torch.dtype, seed: int, positions: Tensor) -> Tensor:
    """Round at random to one of the two neighbors in half precision, so that the mean over all random bits is exact.

    A number that lies a share p of the way up from one neighbor to the next goes up with probability p. So an update
    much smaller than the distance of two numbers is not lost: it is made at times, and whole. Of positive float16
    numbers below 2^-24, the smallest there is, p is exact up to 2^-24.

    Args:
        values: float32.
        dtype: bfloat16 or float16.
        seed: int64, of the random bits; see logq.kernels.distributions.random_bits.
        positions: int64, not negative, of each value in the stream of random bits.

    Example:
        >>> third = torch.full((3000,), 1 + 1 / 3 / 128)  # between 1 and 1 + 1 / 128
        >>> found = rounded(third, torch.bfloat16, 7, torch.arange(3000))
        >>> found.unique().tolist(), round(128 * float(found.double().mean() - 1), 2)
        ([1.0, 1.0078125], 0.33)

    References:
        Gupta, Agrawal, Gopalakrishnan, Narayanan, Deep Learning with Limited Numerical Precision, ICML 2015,
        arXiv:1502.02551.
    """
    random = random_bits(seed, positions)
    bits = values.contiguous().view(torch.int32)
    if dtype == torch.bfloat16:
        result = ((bits + shifted(random, 48).to(torch.int32)) & -(1 << 16)).view(torch.float32)
    else:
        result = ((bits + shifted(random, 51).to(torch.int32)) & -(1 << 13)).view(torch.float32)
        size = values.abs() * 2.0**24  # numbers below 2^-14 lie 2^-24 apart
        whole = size.floor()
        up = shifted(random, 40).to(torch.float32) * 2.0**-24 < size - whole
        result = torch.where(size < 2.0**10, ((whole + up) * 2.0**-24).copysign(values), result)
    return torch.where(values.isfinite(), result, values).to(dtype)


def _step(rule: RowRule, where: Tensor | slice, g: Tensor) -> Tensor:
    """What is taken off the rows; their states change."""
    if rule.kind == "sgd":
        return rule.lr * g
    # The states of a table of width 1 may be columns without the other dimension.
    states = [state[:, None] if state.dim() == 1 and rule.kind != "rowwise_adagrad" else state for state in rule.states]
    if rule.kind == "adam":
        means, squares = states
        m = means[where].lerp(g, 1 - rule.betas[0])
        v = rule.betas[1] * squares[where] + (1 - rule.betas[1]) * g * g
        means[where], squares[where] = m, v
        rate = rule.lr / (1 - rule.betas[0] ** rule.step)
        return rate * m / ((v / (1 - rule.betas[1] ** rule.step)).sqrt() + rule.eps)
    (sums,) = states
    if rule.kind == "adagrad":
        s = sums[where] + g * g
        sums[where] = s
    else:
        s = sums[where] + (g * g).mean(dim=1)
        sums[where] = s
        s = s[:, None]
    return rule.lr * g / (s.sqrt() + rule.eps)
