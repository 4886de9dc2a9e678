"""The losses of fused backends as autograd functions, for the passes of any backend.

A mean or a sum has one number for upstream gradient, which scales whatever is known by then: its gradients are
computed together with the losses, in one pass over the logits, and no logit is kept. Losses of rows may each be scaled
by another number, so theirs are computed by a second such pass, in backward.

Backward gives class weights and biases gradients that are summed per class; or, where an optimizer asked for it in
logq.kernels.updates, applies these to the touched rows at once and gives none. A backward that is to be differentiated
again, by create_graph or forward, is that of the reference.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from logq.candidates import IGNORED, Candidates
from logq.kernels import ops, reference, updates
from logq.kernels.logits import computed_dtype
from logq.kernels.passes import Entries, FullPassInputs, LossesAndGradients, Passes, PassInputs
from logq.kernels.tensor_memory import is_plain
from logq.objectives import Objective, softmax
from logq.tracing import goes_forward

__all__ = ["FullLoss", "SampledLoss", "Settings", "of_reference", "run_pass"]

Result = TypeVar("Result")


class Settings(NamedTuple):
    """What a loss is made by, besides tensors."""

    backend: Passes
    objective: Objective
    temperature: float
    cosine: bool
    reduction: str
    remove_hits: bool = True
    sparse: bool = False


def of_reference(
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    classes: Candidates | Tensor,  # the candidates, or of a loss over all classes the targets
    row_weight: Tensor | None,  # (B,)
    settings: Settings,
) -> Tensor:  # (B,) or a scalar
    """The loss of the reference."""
    options: dict[str, Any] = {
        "temperature": settings.temperature,
        "cosine": settings.cosine,
        "reduction": settings.reduction,
        "row_weight": row_weight,
    }
    if isinstance(classes, Tensor):
        return reference.full_loss(settings.objective, input, weight, bias, classes, **options)
    options |= {"remove_hits": settings.remove_hits, "sparse": settings.sparse}
    return reference.sampled_loss(settings.objective, input, weight, bias, classes, **options)


def run_pass(
    input: Tensor,  # (B, D), of length 1 if cosine
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    candidates: Candidates,  # targets (B, T)
    settings: Settings,
    row_scale: Tensor | None,  # (B,)
    *,
    gradients: bool,
) -> LossesAndGradients:
    """Losses and gradients of given candidates, by the pass that their shape asks for."""
    ids, log_q, targets, true_log_q, excluded = candidates
    objective, dtype = settings.objective, computed_dtype(input, weight)
    of_true = objective.subtract_log_q and objective.true_log_q
    true_ids = targets if bias is None else targets.clamp(min=0)
    given = PassInputs(
        input.contiguous(),
        weight,
        targets.contiguous(),
        ids.contiguous(),
        true_offsets=offsets(bias, true_ids, true_log_q if of_true else None, dtype, settings),
        offsets=offsets(bias, ids, log_q if objective.subtract_log_q else None, dtype, settings),
        excluded=None if excluded is None else excluded.contiguous(),
        row_scale=row_scale,
        softmax=objective.loss is softmax,
        remove_hits=settings.remove_hits,
        temperature=settings.temperature,
        cosine=settings.cosine,
        gradients=gradients,
        biases=bias is not None,
        true_weight=objective.true_weight(ids.shape[-1], weight.shape[0]),
    )
    name, backend = "shared_pass" if ids.dim() == 1 else "per_row_pass", settings.backend
    if is_plain(input, weight):
        return without_autocast(input.device.type, getattr(backend, name), given)
    return ops.run_pass(name, given, backend.name)


def without_autocast(device: str, function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    """Call a function with autocast off on a type of devices: products in it must not be narrowed."""
    if not torch.is_autocast_enabled(device):
        return function(*arguments, **options)
    with torch.autocast(device, enabled=False):
        return function(*arguments, **options)


def offsets(
    bias: Tensor | None, ids: Tensor, log_q: Tensor | None, dtype: torch.dtype, settings: Settings
) -> Tensor | None:
    """bias / temperature - log Q of some classes, without the terms that are missing."""
    result = None
    if bias is not None:
        result = bias.index_select(0, ids) if ids.dim() == 1 else bias.index_select(0, ids.flatten()).view(ids.shape)
        result = result if result.dtype is dtype else result.to(dtype)  # each call takes a microsecond
        if settings.temperature != 1:
            result = result / settings.temperature
    if log_q is not None:
        log_q = log_q if log_q.dtype is dtype else log_q.to(dtype)
        result = -log_q if result is None else result - log_q
    return None if result is None else result.contiguous()


def scale_of_rows(
    input: Tensor,
    weight: Tensor,
    targets: Tensor,  # (B, T)
    row_weight: Tensor | None,  # (B,), of the dtype that both are computed in
    settings: Settings,
) -> Tensor | None:  # (B,)
    """What the loss of each row counts: its weight, in a mean over the sum of those of the rows with a true class."""
    if settings.reduction != "mean":
        return None if row_weight is None else row_weight.contiguous()  # passes read one number after the other
    is_true = targets != IGNORED
    is_row = is_true if targets.shape[1] == 1 else is_true.any(dim=1)
    if row_weight is not None:
        total = row_weight.where(is_row.view(-1), 0.0).sum()
        return row_weight / total.where(total > 0, 1.0)
    dtype = computed_dtype(input, weight)
    if settings.backend.reads_values and is_plain(input):
        return input.new_full((input.shape[0],), 1 / max(1, int(is_row.count_nonzero())), dtype=dtype)
    return is_row.sum().clamp(min=1).to(dtype).reciprocal().expand(input.shape[0]).contiguous()


class SampledLoss(torch.autograd.Function):
    """Input, class weights and biases -> weighted and reduced loss, for both shapes of ids."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        row_weight: Tensor | None,
        settings: Settings,
        *fields: Tensor,  # of Candidates one by one: torch looks for tensors among arguments, and not in tuples
    ) -> Tensor:
        """Compute the loss; if it is one number, the gradients too."""
        candidates = Candidates(*fields)
        ctx.settings = settings
        if settings.reduction == "none":
            ctx.save_for_backward(input, weight, bias, row_weight, *candidates)
            losses = run_pass(input, weight, bias, candidates, settings, None, gradients=False).losses
            return losses if row_weight is None else losses * row_weight
        row_scale = scale_of_rows(input, weight, candidates.targets, row_weight, settings)
        losses, *made = run_pass(input, weight, bias, candidates, settings, row_scale, gradients=True)
        if is_plain(input, weight):
            # Not saved, for torch would refuse a table that changed since. It does change where two losses of a step
            # share it and backward updates it, and unless lengths of rows are needed backward does not read it.
            ctx.table = weight, bias
            ctx.versions = versions(weight, bias)
            ctx.save_for_backward(input, None, None, row_weight, *candidates, *made)
        else:
            ctx.save_for_backward(input, weight, bias, row_weight, *candidates, *made)
        return (losses if row_scale is None else losses * row_scale).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what is known, or compute it now, and sum it per class."""
        settings: Settings = ctx.settings
        (upstream,) = gradients
        input, weight, bias, row_weight, ids, log_q, targets, true_log_q, excluded, *made = ctx.saved_tensors
        candidates = Candidates(ids, log_q, targets, true_log_q, excluded)
        again = (torch.is_grad_enabled() or goes_forward()) and not torch.compiler.is_compiling()
        if weight is None:
            weight, bias = ctx.table
            if (again or settings.cosine) and versions(weight, bias) != ctx.versions:
                raise RuntimeError("weight: expected its values from forward, got a table that has changed since")
        if again:
            leaves = input, weight, bias
            return *differentiable(ctx, upstream, *leaves, candidates, row_weight, settings), *[None] * 7
        scale = upstream
        if settings.reduction == "none":
            row_scale = upstream.to(computed_dtype(input, weight))
            if row_weight is not None:
                row_scale = row_scale * row_weight
            row_scale = row_scale.contiguous()
            _, *made = run_pass(input, weight, bias, candidates, settings, row_scale, gradients=True)
            scale = upstream.new_ones(())
        of_input, true_factors, factors, rows = made
        if excluded is not None and ids.dim() == 2:
            ids = ids.masked_fill(excluded, IGNORED)  # they add nothing: no need to sort and sum them
        entries = Entries(input, targets, true_factors, ids, factors, rows if ids.dim() == 1 else None)
        plain = is_plain(input, weight)
        if plain and settings.backend.reads_values:
            scale = scale.item()
        of_weight, of_bias = of_classes(ctx, entries, weight, bias, scale, settings, plain=plain)
        if not isinstance(scale, float) or scale != 1.0:
            of_input = of_input * scale
        return of_input, of_weight, of_bias, *[None] * 7


def versions(weight: Tensor, bias: Tensor | None) -> tuple[int, ...]:
    """How often each tensor was written to."""
    return tuple(0 if tensor is None else tensor._version for tensor in (weight, bias))


def of_classes(
    ctx: Any,
    entries: Entries,
    weight: Tensor,
    bias: Tensor | None,
    scale: float | Tensor,
    settings: Settings,
    *,
    plain: bool,
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of class weights and biases, after those that have a rule for it were updated instead."""
    backend = settings.backend
    _, needs_weight, needs_bias, *_ = ctx.needs_input_grad
    if plain:
        weight_rule = updates.find(weight) if needs_weight and updates.is_stored(ctx, 1) else None
        bias_rule = updates.find(bias) if needs_bias and bias is not None and updates.is_stored(ctx, 2) else None
        if weight_rule is not None or bias_rule is not None:
            without_autocast(
                weight.device.type,
                backend.update_classes,
                entries,
                weight,
                bias,
                scale=scale,
                cosine=settings.cosine,
                weight_rule=weight_rule,
                bias_rule=bias_rule,
            )
            needs_weight, needs_bias = needs_weight and weight_rule is None, needs_bias and bias_rule is None

    def gradients(entries: Entries, table: Tensor, *, bias: bool, cosine: bool) -> tuple[Tensor, Tensor | None]:
        options: dict[str, Any] = {"bias": bias, "scale": scale, "cosine": cosine}
        if not plain:
            return ops.class_gradients(entries, table, backend=backend.name, **options)
        run = backend.class_gradients
        return without_autocast(table.device.type, run, entries, table, sparse=settings.sparse, **options)

    of_weight = of_bias = None
    # Biases are summed with the rows unless they are wider.
    together = needs_weight and needs_bias and bias is not None and bias.dtype.itemsize <= max(weight.dtype.itemsize, 4)
    if needs_weight:
        of_weight, of_bias = gradients(entries, weight, bias=together, cosine=settings.cosine)
    if needs_bias and bias is not None and not together:
        # Biases alone are a table of width 1, to which each entry adds its factor.
        ones, rows = entries.input.new_ones(len(entries.input), 1), entries.rows
        column = entries._replace(input=ones, rows=None if rows is None else entries.factors[:, None])
        of_bias = gradients(column, bias.unsqueeze(1), bias=False, cosine=False)[0].select(1, 0)
    return of_weight, of_bias if of_bias is None or bias is None else of_bias.to(bias.dtype)


class FullLoss(torch.autograd.Function):
    """Input, class weights and biases -> the mean or the sum of the losses over all classes."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,  # (B, T)
        row_weight: Tensor | None,  # (B,)
        settings: Settings,
    ) -> Tensor:
        """Compute the loss and its gradients."""
        row_scale = scale_of_rows(input, weight, targets, row_weight, settings)
        given = FullPassInputs(
            input,
            weight,
            bias,
            targets,
            row_scale,
            softmax=settings.objective.loss is softmax,
            temperature=settings.temperature,
            needs=tuple(ctx.needs_input_grad[:3]),
        )
        ctx.settings, ctx.plain = settings, is_plain(input, weight)
        if ctx.plain:
            made = without_autocast(input.device.type, settings.backend.full_pass, given)
            ctx.table, ctx.versions = (weight, bias), versions(weight, bias)
        else:
            made = ops.run_pass("full_pass", given, settings.backend.name)
        ctx.save_for_backward(input, targets, row_weight, made.input_gradient, made.row_gradient, made.factors)
        return (made.losses if row_scale is None else made.losses * row_scale).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what is known."""
        settings: Settings = ctx.settings
        (upstream,) = gradients
        input, targets, row_weight, *made = ctx.saved_tensors
        if ctx.plain and (torch.is_grad_enabled() or goes_forward()):
            weight, bias = ctx.table
            if versions(weight, bias) != ctx.versions:
                raise RuntimeError("weight: expected its values from forward, got a table that has changed since")
            leaves = input, weight, bias
            return *differentiable(ctx, upstream, *leaves, targets, row_weight, settings), *[None] * 3
        scale = upstream.item() if ctx.plain and settings.backend.reads_values else upstream
        # New tensors: these are kept for a second backward, and what is given may be changed in place by others.
        needed = zip(made, ctx.needs_input_grad, strict=False)
        return *[gradient * scale if needs else None for gradient, needs in needed], *[None] * 3


def differentiable(
    ctx: Any, upstream: Tensor, input: Tensor, weight: Tensor, bias: Tensor | None, *given: Any
) -> list[Tensor | None]:
    """Gradients of `of_reference`, which can be differentiated again, backward and forward."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, for one tensor may be several of the arguments.
        leaves = input.view_as(input), weight.view_as(weight), None if bias is None else bias.view_as(bias)
        needed = [leaf for leaf, needs in zip(leaves, ctx.needs_input_grad, strict=False) if needs and leaf is not None]
        found = iter(torch.autograd.grad(of_reference(*leaves, *given), needed, upstream, create_graph=again))
    return [next(found) if needs else None for needs in ctx.needs_input_grad[:3]]
