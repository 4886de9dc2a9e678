"""The op `full_loss` of the compiled backend: losses against all classes, and gradients with them, in tiles."""

from typing import Any

import torch
from torch import Tensor

from logq.candidates import IGNORED, as_columns
from logq.kernels import _native, reference
from logq.kernels.cpp.arrays import array, has_memory, running
from logq.kernels.cpp.autograd import mean_scale, versions
from logq.kernels.cpp.ops import exact, is_plain
from logq.kernels.cpp.parts import Parts
from logq.kernels.cpp.tiles import Hits, Law, Tiles
from logq.objectives import Objective, logistic, softmax

__all__ = ["full_loss"]


def full_loss(
    objective: Objective,
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    targets: Tensor,  # (B,) or (B, T), IGNORED allowed
    *,
    temperature: float,
    cosine: bool,
    reduction: str,
) -> Tensor:  # (B,) or a scalar
    """The meaning of the reference's; where gradients of a mean or a sum are wanted, these are made with the losses.

    The reference makes each product twice, once more for backward, as it keeps no logits. The gradient of one number is
    known as soon as the losses are, so here a tile of logits is turned into it at once. What is rarer runs on the
    reference: losses of rows, cosine, half precision, graphs of torch.compile and the transforms of torch.func.
    """
    columns = as_columns(targets)
    if reduction != "none" and not cosine and _knows(objective, input, weight, bias):
        objective.check_num_true(columns.shape[1])
        return FullLoss.apply(input, weight, bias, columns, objective, temperature, reduction)
    return reference.full_loss(
        objective, input, weight, bias, targets, temperature=temperature, cosine=cosine, reduction=reduction
    )


def _knows(objective: Objective, input: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    if objective.calibration is not None or (objective.loss is not logistic and objective.loss is not softmax):
        return False
    tensors = [input, weight] if bias is None else [input, weight, bias]
    if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in tensors):
        return False
    if torch.autograd.forward_ad._current_level >= 0:  # pyright: ignore[reportPrivateUsage]
        return False
    if not is_plain(*tensors) or not has_memory() or not weight.is_contiguous() or weight.numel() == 0:
        return False
    return input.dtype in (torch.float32, torch.float64) and all(tensor.dtype is input.dtype for tensor in tensors)


class FullLoss(torch.autograd.Function):
    """Input, class table and biases -> the mean or the sum of the losses."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,  # (B, T)
        objective: Objective,
        temperature: float,
        reduction: str,
    ) -> Tensor:
        """Compute the loss and its gradients."""
        row_scale = mean_scale(input, targets) if reduction == "mean" else None
        needs = ctx.needs_input_grad[:3]
        made = exact(_parts, input, weight, bias, targets, row_scale, objective.loss is softmax, temperature, needs)
        ctx.arguments = objective, temperature, reduction
        ctx.table, ctx.versions = (weight, bias), versions(weight, bias)
        ctx.save_for_backward(input, targets, made.input, made.rows, made.factors)
        return (made.losses if row_scale is None else made.losses * row_scale).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what is known."""
        (upstream,) = gradients
        input, targets, of_input, of_weight, of_bias = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *_by_reference(ctx, input, targets, upstream), *[None] * 4
        needed = [
            of if needs else None
            for of, needs in zip((of_input, of_weight, of_bias), ctx.needs_input_grad, strict=False)
        ]
        scale = upstream.item()
        # New tensors: these are kept for a second backward, and what is given may be changed in place by others.
        return *[None if of is None else of * scale for of in needed], *[None] * 4


def _parts(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    row_scale: Tensor | None,
    is_softmax: bool,
    temperature: float,
    needs: tuple[bool, bool, bool],
) -> Parts:
    """As of a sample of all classes in order, but with what the true classes add in the gradients of the classes.

    Gradients that nobody needs, of input, class table and biases, are left out.
    """
    of_inputs, of_classes, of_biases = needs
    input, weight, targets = input.detach().contiguous(), weight.detach(), targets.contiguous()
    is_true = targets != IGNORED
    classes = torch.arange(weight.shape[0])
    true_logits = input.new_empty(targets.shape)
    stored = str(weight.dtype).removeprefix("torch.")
    rows_of_targets = array(weight), stored, array(targets)
    _native.true_dots(array(input), *rows_of_targets, cosine=False, dots=array(true_logits), **running())
    true_logits.div_(temperature)
    offsets = None
    if bias is not None:
        offsets = (bias.detach() / temperature).contiguous()
        true_logits.add_(offsets[targets.where(is_true, 0)])
    begin = targets.where(is_true, 0)
    law = Law(
        targets=targets,
        true_logits=true_logits,
        offsets=offsets,
        excluded=None,
        row_scale=row_scale,
        hits=Hits(classes, begin, begin + is_true),
        temperature=temperature,
        softmax=is_softmax,
    )
    tiles = Tiles(input, weight, law, gradients=True)
    of_input = torch.zeros_like(input)
    of_weight = torch.zeros_like(weight) if of_classes else weight.new_zeros(0)
    of_bias = input.new_zeros(len(weight) if of_biases else 0)
    for part in tiles.rows:
        for columns, tile in tiles.of_rows(part):
            if of_inputs:
                of_input[part].addmm_(tile, weight[columns])
            if of_classes:
                of_weight[columns].addmm_(tile.T, input[part])
            if of_biases:
                of_bias[columns].add_(tile.sum(dim=0))
    _native.add_true_rows(
        array(of_input), *rows_of_targets, factors=array(tiles.true_factors), cosine=False, **running()
    )
    for column, factors in zip(begin.unbind(dim=1), tiles.true_factors.unbind(dim=1), strict=True):
        if of_classes:
            of_weight.index_add_(0, column, input * factors[:, None])  # the factor of what is no class is 0
        if of_biases:
            of_bias.index_add_(0, column, factors)
    return Parts(tiles.losses, of_input, tiles.true_factors, of_bias, of_weight)


def _by_reference(ctx: Any, input: Tensor, targets: Tensor, upstream: Tensor) -> list[Tensor | None]:
    """Gradients that can be differentiated again."""
    objective, temperature, reduction = ctx.arguments
    weight, bias = ctx.table
    if versions(weight, bias) != ctx.versions:
        raise RuntimeError("weight: expected what it was in forward, got a table that has changed since")
    input, weight = input.view_as(input), weight.view_as(weight)
    bias = None if bias is None else bias.view_as(bias)
    loss = reference.full_loss(
        objective, input, weight, bias, targets, temperature=temperature, cosine=False, reduction=reduction
    )
    places = (input, weight, bias)
    needed = [place for place, needs in zip(places, ctx.needs_input_grad, strict=False) if needs and place is not None]
    found = iter(torch.autograd.grad(loss, needed, upstream, create_graph=True))
    return [next(found) if needs else None for needs in ctx.needs_input_grad[:3]]
