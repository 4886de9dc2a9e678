"""The meaning of the ops of losses, in plain torch. A faster backend passes the same tests.

    sampled_loss     input x the rows of the class weights that candidates name -> loss of each row, or reduced
    full_loss        input x all class weights x targets -> loss of each row, or reduced
    log_normalizer   input x all class weights -> log of the sum over all classes of exp(logit), for each row

The other ops have theirs in logq.kernels.reference_draws and logq.kernels.reference_rows. Letters as in logq.shapes;
what a logit is, in logq.kernels.logits.
"""

# Annotations stay text: torch.compile of 2.6 cannot make the `X | None` of a function within a function.
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize
from torch.utils.checkpoint import checkpoint

from logq.candidates import IGNORED, Candidates, as_columns
from logq.graph_breaks import outside_of_graphs
from logq.kernels import updates
from logq.kernels.logits import chunks, class_rows, computed_dtype, logits, reduce, stand_in, true_logits
from logq.objectives import Objective, logistic, softmax
from logq.tracing import in_transform, is_exported

__all__ = ["full_loss", "log_normalizer", "sampled_loss", "sum_of_logits"]


def sampled_loss(
    objective: Objective,
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    candidates: Candidates,
    *,
    temperature: float | Tensor,
    cosine: bool,
    remove_hits: bool | None,
    sparse: bool,
    reduction: str,
    row_weight: Tensor | None = None,  # (B,)
) -> Tensor:  # (B,) or a scalar
    """The losses, weighted and reduced, from no other rows of the class weights than the candidates name."""
    if torch.compiler.is_compiling() and updates.exist():
        return _eagerly(
            objective,
            input,
            weight,
            bias,
            candidates,
            temperature=temperature,
            cosine=cosine,
            remove_hits=remove_hits,
            sparse=sparse,
            reduction=reduction,
            row_weight=row_weight,
        )
    ids, named = candidates.ids, _named(candidates)
    input = input.to(computed_dtype(input, weight))  # once, so that its gradient is rounded once
    targets = as_columns(stand_in(candidates.targets, ids))  # (B, T)
    # One gather for true and sampled classes: two would make two dense (C, D) gradients.
    if ids.dim() == 2:
        rows, biases = class_rows(weight, bias, torch.cat([targets, ids], dim=1), sparse=sparse, named=named)
        scores = logits(input, rows, biases, temperature=temperature, cosine=cosine)
        true, sampled = scores.split([targets.shape[1], ids.shape[1]], dim=1)
    else:
        rows, biases = class_rows(weight, bias, torch.cat([targets.reshape(-1), ids]), sparse=sparse, named=named)
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
    return reduce(losses, candidates.is_true(), reduction, row_weight)


def _named(candidates: Candidates) -> Tensor | None:
    """The classes that are updated inside of backward where an optimizer asks for it, below 0 what adds nothing."""
    if not updates.exist():
        return None
    targets, ids = as_columns(candidates.targets), candidates.ids
    if ids.dim() == 1:
        return torch.cat([targets.reshape(-1), ids])
    if candidates.excluded is not None:
        ids = ids.masked_fill(candidates.excluded, IGNORED)
    return torch.cat([targets, ids], dim=1)


@outside_of_graphs
def _eagerly(*arguments: Any, **options: Any) -> Tensor:
    return sampled_loss(*arguments, **options)


def over_all_classes(
    step: Callable[[Tensor, int, Tensor, Tensor | None], Tensor],
    start: Tensor,
    num_rows: int,
    weight: Tensor,
    bias: Tensor | None,
) -> Tensor:
    """Fold `step(total, first class, rows, biases)` over the class weights; its logits are computed again for backward.

    So memory holds one chunk of logits at a time, and never (B, C), at the price of computing them twice.
    """
    parts = list(chunks(num_rows, weight, bias))
    # Transforms of torch.func and graphs that are exported know no checkpoints.
    again = len(parts) > 1 and torch.is_grad_enabled() and not in_transform() and not is_exported()
    total = start
    for part in parts:
        if again:
            total = checkpoint(step, total, *part, use_reentrant=False, preserve_rng_state=False)
        else:
            total = step(total, *part)  # pyright: ignore[reportArgumentType]
    return total  # pyright: ignore[reportReturnType]


def log_normalizer(
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    *,
    temperature: float | Tensor,
    cosine: bool,
    shift: Tensor | None = None,  # (C,), added to the logits
) -> Tensor:  # (B,)
    """The log of the sum over c of exp(F(i, c) + shift_c), a chunk of classes at a time."""
    input = input.to(computed_dtype(input, weight))
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


def sum_of_logits(
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    *,
    temperature: float | Tensor,
    cosine: bool,
) -> Tensor:  # (B,)
    """The sum over c of F(i, c), which is the logit with the sum of the rows, a chunk of classes at a time."""
    dtype, dim = computed_dtype(input, weight), weight.shape[1]

    def add(total: Tensor, first: int, rows: Tensor, biases: Tensor | None) -> Tensor:
        rows = normalize(rows.to(dtype), dim=-1) if cosine else rows.to(dtype)
        of_bias = rows.new_zeros(1) if biases is None else biases.to(dtype).sum()[None]
        return total + torch.cat([rows.sum(dim=0), of_bias])

    with torch.autocast(input.device.type, enabled=False):
        input = normalize(input.to(dtype), dim=-1) if cosine else input.to(dtype)
        total = over_all_classes(add, input.new_zeros(dim + 1), dim, weight, bias)
        return (input @ total[:dim] + total[dim]) / temperature


def full_loss(
    objective: Objective,
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    targets: Tensor,  # (B,) or (B, T), IGNORED allowed
    *,
    temperature: float | Tensor,
    cosine: bool,
    reduction: str = "none",
    row_weight: Tensor | None = None,  # (B,)
) -> Tensor:  # (B,) or a scalar
    """The loss of each row, weighted and reduced, against all classes that are not true ones of it.

    Both losses add up over chunks of classes, so no (B, C) logits are kept. As the softmax runs over T and L - T, which
    is L, its sum needs no mask.
    """
    targets, dtype = as_columns(targets), computed_dtype(input, weight)
    input, bias = input.to(dtype), None if bias is None else bias.to(dtype)
    is_true, smoothing = targets != IGNORED, objective.label_smoothing
    true = true_logits(input, weight, bias, targets, temperature=temperature, cosine=cosine)
    if objective.loss is softmax:
        loss = log_normalizer(input, weight, bias, temperature=temperature, cosine=cosine) - true[:, 0]
        if smoothing:
            total = sum_of_logits(input, weight, bias, temperature=temperature, cosine=cosine)
            loss = loss + smoothing * (true[:, 0] - total / weight.shape[0])
        return reduce(loss.where(is_true[:, 0], 0.0), is_true, reduction, row_weight)

    def add(total: Tensor, first: int, rows: Tensor, biases: Tensor | None) -> Tensor:
        scores = logits(input, rows, biases, temperature=temperature, cosine=cosine)
        ids = torch.arange(first, first + rows.shape[0], device=targets.device)
        hits = Candidates(ids, ids, targets, targets).hits()
        losses = -logsigmoid(-scores) - smoothing / 2 * scores if smoothing else -logsigmoid(-scores)
        return total + losses.where(~hits, 0.0).sum(dim=1)

    true_weight = objective.true_weight(weight.shape[0], weight.shape[0])
    positives = logistic(true, true[:, :0], is_true, None, true_weight)
    if smoothing:
        positives = positives + smoothing / 2 * true_weight * true.where(is_true, 0.0).sum(dim=1)
    loss = over_all_classes(add, positives, input.shape[0], weight, bias)
    return reduce(loss.where(is_true.any(dim=1), 0.0), is_true, reduction, row_weight)
