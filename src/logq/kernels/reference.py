"""The meaning of every op, in plain torch. A faster backend has functions of the same names and passes the same tests.

    sampled_loss     input x the rows of the class table that candidates name -> loss of each row, or reduced
    full_loss        input x the whole class table x targets -> loss of each row, or reduced
    log_normalizer   input x the whole class table -> log of the sum over all classes of exp(logit), for each row
    alias_table      probabilities -> Walker's alias table
    sum_rows, update_rows    what optimisers do with rows of the table: in logq.kernels.reference_rows
    draws, distinct_draws, places_of, log_inclusion    see logq.kernels.sampling

Letters as in logq.shapes; what a logit is, in logq.kernels.logits.
"""

# Annotations stay text: torch.compile of 2.6 cannot make the `X | None` of a function within a function.
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from torch.utils.checkpoint import checkpoint

from logq.candidates import IGNORED, Candidates, as_columns
from logq.kernels.logits import chunks, class_rows, logits, stand_in, true_logits
from logq.kernels.reduction import reduce
from logq.kernels.reference_rows import sum_rows, update_rows
from logq.kernels.sampling import distinct_draws, draws, log_inclusion, places_of
from logq.objectives import Objective, logistic, softmax

__all__ = [
    "alias_table",
    "distinct_draws",
    "draws",
    "full_loss",
    "log_inclusion",
    "log_normalizer",
    "places_of",
    "sampled_loss",
    "sum_rows",
    "update_rows",
]


def sampled_loss(
    objective: Objective,
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    candidates: Candidates,
    *,
    temperature: float,
    cosine: bool,
    remove_hits: bool | None,
    sparse: bool,
    reduction: str,
) -> Tensor:  # (B,) or a scalar
    """The losses, reduced, from the rows of the class table that the candidates name, and from no others."""
    ids = candidates.ids
    targets = as_columns(stand_in(candidates.targets, ids))  # (B, T)
    # One gather for true and sampled classes: two would make two dense (C, D) gradients.
    if ids.dim() == 2:
        rows, biases = class_rows(weight, bias, torch.cat([targets, ids], dim=1), sparse=sparse)
        scores = logits(input, rows, biases, temperature=temperature, cosine=cosine)
        true, sampled = scores.split([targets.shape[1], ids.shape[1]], dim=1)
    else:
        rows, biases = class_rows(weight, bias, torch.cat([targets.reshape(-1), ids]), sparse=sparse)
        true_rows, sampled_rows = rows.split([targets.numel(), ids.numel()])
        true_bias, sampled_bias = (None, None) if biases is None else biases.split([targets.numel(), ids.numel()])
        true = logits(
            input,
            true_rows.view(*targets.shape, weight.shape[1]),
            None if true_bias is None else true_bias.view(targets.shape),
            temperature=temperature,
            cosine=cosine,
        )
        sampled = logits(input, sampled_rows, sampled_bias, temperature=temperature, cosine=cosine)
    true = true.view(candidates.targets.shape)
    losses = objective(true, sampled, candidates, remove_hits=remove_hits, num_classes=weight.shape[0])
    return reduce(losses, candidates.is_true(), reduction)


def over_all_classes(
    step: Callable[[Tensor, int, Tensor, Tensor | None], Tensor],
    start: Tensor,
    num_rows: int,
    weight: Tensor,
    bias: Tensor | None,
) -> Tensor:
    """Fold `step(total, first class, rows, biases)` over the class table; its logits are computed again for backward.

    So memory holds one chunk of logits at a time, and never (B, C), at the price of computing them twice.
    """
    parts = list(chunks(num_rows, weight, bias))
    if len(parts) == 1:
        return step(start, *parts[0])
    total = start
    for part in parts:
        total = checkpoint(step, total, *part, use_reentrant=False, preserve_rng_state=False)
    return total  # pyright: ignore[reportReturnType]


def log_normalizer(
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    *,
    temperature: float,
    cosine: bool,
    shift: Tensor | None = None,  # (C,), added to the logits
) -> Tensor:  # (B,)
    """The log of the sum over c of exp(F(i, c) + shift_c), a chunk of classes at a time."""
    if shift is not None:
        # A chunk of nothing but minus infinity would have a NaN for gradient.
        shift = shift.clamp(min=torch.finfo(torch.float32).min / 2)

    def add(total: Tensor, first: int, rows: Tensor, biases: Tensor | None) -> Tensor:
        scores = logits(input, rows, biases, temperature=temperature, cosine=cosine)
        if shift is not None:
            scores = scores + shift[first : first + rows.shape[0]].to(scores.dtype)
        part = scores.logsumexp(dim=1)
        # The first chunk starts the sum: logaddexp with -inf has the right value and a NaN for second derivative.
        return part if first == 0 else torch.logaddexp(total, part)

    return over_all_classes(add, input.new_zeros(input.shape[0]), input.shape[0], weight, bias)


def full_loss(
    objective: Objective,
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    targets: Tensor,  # (B,) or (B, T), IGNORED allowed
    *,
    temperature: float,
    cosine: bool,
    reduction: str = "none",
) -> Tensor:  # (B,) or a scalar
    """The loss of each row, reduced, against all classes that are not true ones of it.

    Both losses add up over chunks of classes, so no (B, C) logits are kept. As the softmax runs over T and L - T, which
    is L, its sum needs no mask.
    """
    targets = as_columns(targets)
    is_true = targets != IGNORED
    true = true_logits(input, weight, bias, targets, temperature=temperature, cosine=cosine)
    if objective.loss is softmax:
        total = log_normalizer(input, weight, bias, temperature=temperature, cosine=cosine)
        return reduce((total - true[:, 0]).where(is_true[:, 0], 0.0), is_true, reduction)

    def add(total: Tensor, first: int, rows: Tensor, biases: Tensor | None) -> Tensor:
        scores = logits(input, rows, biases, temperature=temperature, cosine=cosine)
        ids = torch.arange(first, first + rows.shape[0], device=targets.device)
        hits = Candidates(ids, ids, targets, targets).hits()
        return total - logsigmoid(-scores).where(~hits, 0.0).sum(dim=1)

    positives = logistic(true, true[:, :0], is_true, None, objective.true_weight(weight.shape[0], weight.shape[0]))
    loss = over_all_classes(add, positives, input.shape[0], weight, bias)
    return reduce(loss.where(is_true.any(dim=1), 0.0), is_true, reduction)


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
