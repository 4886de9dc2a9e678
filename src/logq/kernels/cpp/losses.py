"""The op `sampled_loss` of the compiled backend."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from logq.candidates import Candidates, as_columns
from logq.kernels import reference, updates
from logq.kernels.cpp.arrays import has_memory
from logq.kernels.cpp.autograd import SampledLoss, Settings, parts
from logq.kernels.logits import computed_dtype
from logq.kernels.reduction import reduce
from logq.objectives import Negatives, Objective, logistic, softmax

__all__ = ["sampled_loss"]


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
    """The meaning of the reference's, in one pass over the logits; sparse gradients are coalesced.

    What the compiled code does not know runs on the reference: a loss that is neither logistic nor softmax, vectors of
    width 0, and the transforms of torch.func. Under torch.compile sparse gradients and updates inside of backward leave
    the graph.
    """
    run: Callable[..., Tensor] = _fused if _knows(objective, weight) else reference.sampled_loss
    if torch.compiler.is_compiling() and (sparse or _updates_exist()):
        run = _outside_of_graphs
    return run(
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
    )


@torch.compiler.assume_constant_result
def _updates_exist() -> bool:
    # Asked when a graph is made. One that is older than its optimiser gives gradients, which the optimiser takes too.
    return updates.exist()


def _knows(objective: Objective, weight: Tensor) -> bool:
    if objective.loss is not logistic and objective.loss is not softmax:
        return False
    if weight.shape[1] == 0:
        return False
    return torch.compiler.is_compiling() or has_memory()


def _fused(
    objective: Objective,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    candidates: Candidates,
    *,
    temperature: float,
    cosine: bool,
    remove_hits: bool | None,
    sparse: bool,
    reduction: str,
) -> Tensor:
    ids, log_q, targets, true_log_q, excluded = candidates
    targets, true_log_q = as_columns(targets), as_columns(true_log_q)
    objective.check_num_true(targets.shape[1])
    input = input.to(computed_dtype(input, weight))
    if cosine:
        with torch.autocast(input.device.type, enabled=False):
            input = normalize(input, dim=-1)
    if remove_hits is None:
        remove_hits = objective.negatives is not Negatives.S
    settings = Settings(objective, temperature, cosine, remove_hits, sparse, reduction)
    differentiable = input.requires_grad or weight.requires_grad or (bias is not None and bias.requires_grad)
    if torch.is_grad_enabled() and differentiable:
        return SampledLoss.apply(input, weight, bias, ids, log_q, targets, true_log_q, excluded, settings)
    candidates = Candidates(ids, log_q, targets, true_log_q, excluded)
    with torch.no_grad():  # log Q may have a gradient, which is ignored
        losses = parts(input, weight, bias, candidates, settings, None, gradients=False).losses
    return reduce(losses, candidates.is_true(), reduction)


_outside_of_graphs: Any = torch.compiler.disable(sampled_loss)
