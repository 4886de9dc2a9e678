"""The sampled loss as a function of autograd.

A mean or a sum has one number for upstream gradient, which scales whatever is known by then: its gradients are
computed together with the losses, in one pass over the logits, and no logit is kept. Losses of rows may each be scaled
by another number, so theirs are computed by a second such pass, in backward.

Backward gives class table and biases gradients that are summed per class; or, where an optimiser asked for it in
logq.kernels.updates, applies these to the touched rows at once and gives none. A backward that is to be differentiated
again (create_graph) is that of the reference.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from logq.candidates import IGNORED, Candidates
from logq.kernels import reference, updates
from logq.kernels.cpp import class_sums
from logq.kernels.cpp.class_sums import Entries
from logq.kernels.cpp.ops import exact, gradient_of, is_plain, parts_of
from logq.kernels.cpp.parts import Parts
from logq.objectives import Objective, softmax

__all__ = ["SampledLoss", "Settings", "parts"]


class Settings(NamedTuple):
    """What is no tensor."""

    objective: Objective
    temperature: float
    cosine: bool
    remove_hits: bool
    sparse: bool
    reduction: str


def parts(
    input: Tensor,  # (B, D) real, of length 1 if cosine
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    candidates: Candidates,  # targets (B, T)
    settings: Settings,
    row_scale: Tensor | None,  # (B,)
    *,
    gradients: bool,
) -> Parts:
    """Losses and gradients of given candidates: the arguments of logq.kernels.cpp.parts from those of an op."""
    ids, log_q, targets, true_log_q, excluded = candidates
    return parts_of(
        input.contiguous(),
        weight,
        targets.contiguous(),
        ids.contiguous(),
        offsets(bias, targets if bias is None else targets.clamp(min=0), true_log_q, input.dtype, settings),
        offsets(bias, ids, log_q, input.dtype, settings),
        None if excluded is None else excluded.contiguous(),
        row_scale,
        softmax=settings.objective.loss is softmax,
        true_weight=settings.objective.true_weight(ids.shape[-1], weight.shape[0]),
        remove_hits=settings.remove_hits,
        temperature=settings.temperature,
        cosine=settings.cosine,
        gradients=gradients,
        biases=bias is not None,
    )


def offsets(bias: Tensor | None, ids: Tensor, log_q: Tensor, dtype: torch.dtype, settings: Settings) -> Tensor | None:
    """bias / temperature - log Q of some classes, as far as there are such."""
    result = None
    if bias is not None:
        result = bias.index_select(0, ids.reshape(-1)).view(ids.shape).to(dtype) / settings.temperature
    if settings.objective.subtract_log_q:
        result = -log_q.to(dtype) if result is None else result - log_q.to(dtype)
    return None if result is None else result.contiguous()


def mean_scale(input: Tensor, targets: Tensor) -> Tensor:  # (B,)
    """1 / n for n rows with a true class, the same for all of them."""
    is_true = targets != IGNORED
    if is_plain(input):
        number = int(is_true.count_nonzero() if targets.shape[1] == 1 else is_true.any(dim=1).count_nonzero())
        return input.new_full((input.shape[0],), 1 / max(1, number))
    rows = is_true.any(dim=1).sum().clamp(min=1)
    return rows.to(input.dtype).reciprocal().expand(input.shape[0]).contiguous()


class SampledLoss(torch.autograd.Function):
    """Input, class table and biases -> reduced loss, for both shapes of ids."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        ids: Tensor,
        log_q: Tensor,
        targets: Tensor,
        true_log_q: Tensor,
        excluded: Tensor | None,
        settings: Settings,
    ) -> Tensor:
        """Compute the loss; if it is one number, the gradients too."""
        candidates = Candidates(ids, log_q, targets, true_log_q, excluded)
        ctx.settings = settings
        if settings.reduction == "none":
            ctx.save_for_backward(input, weight, bias, *candidates)
            return parts(input, weight, bias, candidates, settings, None, gradients=False).losses
        row_scale = mean_scale(input, targets) if settings.reduction == "mean" else None
        losses, *made = parts(input, weight, bias, candidates, settings, row_scale, gradients=True)
        if is_plain(input, weight):
            # Not saved, for torch would refuse a table that changed since. It does change where two losses of a step
            # share it and backward updates it, and unless lengths of rows are needed backward does not read it.
            ctx.table = weight, bias
            ctx.versions = versions(weight, bias)
            ctx.save_for_backward(input, None, None, *candidates, *made)
        else:
            ctx.save_for_backward(input, weight, bias, *candidates, *made)
        return (losses if row_scale is None else losses * row_scale).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what is known, or compute it now, and sum it per class."""
        settings: Settings = ctx.settings
        (upstream,) = gradients
        input, weight, bias, ids, log_q, targets, true_log_q, excluded, *made = ctx.saved_tensors
        candidates = Candidates(ids, log_q, targets, true_log_q, excluded)
        again = torch.is_grad_enabled() and not torch.compiler.is_compiling()
        if weight is None:
            weight, bias = ctx.table
            if (again or settings.cosine) and versions(weight, bias) != ctx.versions:
                raise RuntimeError("weight: expected what it was in forward, got a table that has changed since")
        if again:
            return *by_reference(ctx, input, weight, bias, candidates, upstream), *[None] * 6
        scale = upstream
        if settings.reduction == "none":
            row_scale = upstream.to(input.dtype).contiguous()
            _, *made = parts(input, weight, bias, candidates, settings, row_scale, gradients=True)
            scale = upstream.new_ones(())
        of_input, true_factors, factors, rows = made
        if excluded is not None and ids.dim() == 2:
            ids = ids.masked_fill(excluded, IGNORED)  # they add nothing: no need to sort and sum them
        entries = Entries(input, targets, true_factors, ids, factors, rows if ids.dim() == 1 else None)
        if is_plain(input, weight):
            scale = scale.item()
        of_weight, of_bias = of_classes(ctx, entries, weight, bias, scale, settings)
        if not isinstance(scale, float) or scale != 1.0:
            of_input = of_input * scale
        return of_input, of_weight, of_bias, *[None] * 6


def versions(weight: Tensor, bias: Tensor | None) -> tuple[int, ...]:
    """How often each was written to."""
    return tuple(0 if tensor is None else tensor._version for tensor in (weight, bias))


def is_stored(ctx: Any, place: int) -> bool:
    """Whether this backward adds to `grad` of the leaf in that place.

    It does not where the leaf is not among `inputs` of backward, nor where torch.autograd.grad hands its gradient out.
    """
    try:
        return torch._C._will_engine_execute_node(ctx.next_functions[place][0])  # pyright: ignore[reportPrivateUsage]
    except RuntimeError:  # what it answers of a leaf that torch.autograd.grad was asked for
        return False


def of_classes(
    ctx: Any,
    entries: Entries,
    weight: Tensor,
    bias: Tensor | None,
    scale: float | Tensor,
    settings: Settings,
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of class table and biases, after those that have a rule for it were updated instead."""
    _, needs_weight, needs_bias, *_ = ctx.needs_input_grad
    if isinstance(scale, float):
        weight_rule = updates.find(weight) if needs_weight and is_stored(ctx, 1) else None
        bias_rule = updates.find(bias) if needs_bias and bias is not None and is_stored(ctx, 2) else None
        if weight_rule is not None or bias_rule is not None:
            exact(
                class_sums.update_classes,
                entries,
                weight,
                bias,
                scale=scale,
                cosine=settings.cosine,
                weight_rule=weight_rule,
                bias_rule=bias_rule,
            )
            needs_weight, needs_bias = needs_weight and weight_rule is None, needs_bias and bias_rule is None
    of_weight = of_bias = None
    # Biases are summed with the rows unless they are wider.
    together = needs_weight and needs_bias and bias is not None and bias.dtype.itemsize <= max(weight.dtype.itemsize, 4)
    if needs_weight:
        of_weight, of_bias = gradient_of(
            entries,
            weight,
            bias=together,
            scale=scale,
            cosine=settings.cosine,
            sparse=settings.sparse,
        )
    if needs_bias and bias is not None and not together:
        # Biases alone are a table of width 1, to which each entry adds its factor.
        ones, rows = entries.input.new_ones(len(entries.input), 1), entries.rows
        column = entries._replace(input=ones, rows=None if rows is None else entries.factors[:, None])
        of_bias, _ = gradient_of(
            column, bias.unsqueeze(1), bias=False, scale=scale, cosine=False, sparse=settings.sparse
        )
        of_bias = of_bias.select(1, 0)
    return of_weight, of_bias if of_bias is None or bias is None else of_bias.to(bias.dtype)


def by_reference(
    ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, candidates: Candidates, upstream: Tensor
) -> list[Tensor | None]:
    """Gradients that can be differentiated again."""
    settings: Settings = ctx.settings
    # Views, for one tensor may stand in two places.
    input, weight = input.view_as(input), weight.view_as(weight)
    bias = None if bias is None else bias.view_as(bias)
    loss = reference.sampled_loss(
        settings.objective,
        input,
        weight,
        bias,
        candidates,
        temperature=settings.temperature,
        cosine=settings.cosine,
        remove_hits=settings.remove_hits,
        sparse=settings.sparse,
        reduction=settings.reduction,
    )
    places = (input, weight, bias)
    needed = [place for place, needs in zip(places, ctx.needs_input_grad, strict=False) if needs and place is not None]
    found = iter(torch.autograd.grad(loss, needed, upstream, create_graph=True))
    return [next(found) if needs else None for needs in ctx.needs_input_grad[:3]]
