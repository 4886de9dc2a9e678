"""Negatives that are given beside the sampled ones: classes that a row has for certain, so that their log Q is 0."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from logq._arguments import ArgumentError, Verbatim
from logq.candidates import Candidates, as_columns
from logq.kernels import updates
from logq.kernels.logits import class_rows, logits, stand_in
from logq.objectives import Negatives, Objective, logistic, softmax
from logq.shapes import check_ids, check_shape

__all__ = ["check_extra_negatives", "losses_with_extra"]


def check_extra_negatives(
    extra: Tensor,
    objective: Objective,
    sizes: dict[str, int],
    device: torch.device,
    tables: tuple[Tensor | None, ...],
) -> None:
    """Check that `extra` (B, K) are classes or -1, and that objective and tables take them; `sizes` binds B and C."""
    check_ids("extra_negatives", extra, sizes["C"], ignore_index=-1)
    check_shape("extra_negatives", extra, "BK", sizes)
    if extra.device != device:
        raise ArgumentError("extra_negatives", f"a tensor on {device}, where input is", Verbatim(f"{extra.device}"))
    if objective.loss not in (logistic, softmax):
        raise ArgumentError("extra_negatives", "None for a loss of your own", Verbatim("some"))
    if objective.label_smoothing:
        raise ArgumentError("extra_negatives", "None with label smoothing", Verbatim("some"))
    if any(updates.is_attached(table) for table in tables if table is not None):
        # The sample and the extra classes would be two updates, which are not that of the sum of their gradients.
        raise ArgumentError("extra_negatives", "None with an optimizer that has in_backward=True", Verbatim("some"))


def losses_with_extra(
    loss: Callable[..., Tensor],
    objective: Objective,
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    candidates: Candidates,
    extra: Tensor,  # (B, K)
    *,
    temperature: float | Tensor,
    cosine: bool,
    remove_hits: bool | None,
    sparse: bool,
) -> Tensor:  # (B,)
    """The loss of each row, whose sample is S_i and the classes E_i that it has for certain.

        Q(y|x) = 1 for y in E_i,    else that of S_i

    A class of E_i is a negative once, however often it was sampled, so that its expected count is exact; a true class
    in E_i has log Q = 0, and its copy in E_i is a hit. With G = F - log Q as the objective has it, and l the loss of
    the rest of the sample,

        softmax:   log( exp(l) + sum_{e in E_i} exp(F_e - G_t) )            logistic:   l + sum_{e in E_i} softplus(F_e)

    so that a sample which a batch shares stays one, at K more logits a row.

    Args:
        loss: the op of sampled losses.
        objective: one that samples, of the table.
        input: queries.
        weight: the class weights.
        bias: of the classes.
        candidates: the samples S_i.
        extra: the classes E_i, -1 for none; one that is there twice counts once.
        temperature: as for `sampled_loss`.
        cosine: likewise.
        remove_hits: likewise.
        sparse: likewise.

    Example:
        >>> from logq.kernels import get
        >>> from logq.objectives import REFINED_SOFTMAX
        >>> from logq.samplers import Uniform
        >>> options = {"temperature": 1.0, "cosine": False, "remove_hits": None, "sparse": False}
        >>> input, weight, extra = torch.ones(1, 2), torch.zeros(9, 2), torch.tensor([[4, 7, -1]])
        >>> candidates = Uniform(9, 9, replacement=False, seed=1).draw(torch.tensor([3]))
        >>> losses_with_extra(
        ...     get("sampled_loss", "cpu"), REFINED_SOFTMAX, input, weight, None, candidates, extra, **options
        ... )  # log 9
        tensor([2.1972])
    """
    if not extra.shape[1]:
        extra = extra.new_full((len(extra), 1), -1)
    extra = extra.sort(dim=1).values
    is_negative = extra >= 0
    is_negative[:, 1:] &= extra[:, 1:] != extra[:, :-1]
    targets = as_columns(candidates.targets)
    is_given, is_hit = torch.zeros_like(targets, dtype=torch.bool), torch.zeros_like(is_negative)
    drawn = torch.zeros(len(extra), candidates.ids.shape[-1], dtype=torch.bool, device=extra.device)
    for column in extra.unbind(dim=1):  # (B, S, K) would be K times the logits
        drawn |= candidates.ids == column[:, None]
        is_given |= targets == column[:, None]
    for column in targets.unbind(dim=1):
        is_hit |= extra == column[:, None]
    candidates = Candidates(
        candidates.ids,
        candidates.log_expected_count,
        candidates.targets,
        candidates.true_log_expected_count.masked_fill(is_given.view(candidates.targets.shape), 0.0),
        drawn if candidates.excluded is None else candidates.excluded | drawn,
    )
    if objective.negatives is not Negatives.S if remove_hits is None else remove_hits:
        is_negative &= ~is_hit
    found = loss(
        objective,
        input,
        weight,
        bias,
        candidates,
        temperature=temperature,
        cosine=cosine,
        remove_hits=remove_hits,
        sparse=sparse,
        reduction="none",
    )
    # Every entry needs some row to point at: that of its target, whose gradient there is anyway.
    some = stand_in(targets, candidates.ids)
    ids = torch.cat([some, extra.where(is_negative, some[:, :1])], dim=1)
    rows, biases = class_rows(weight, bias, ids, sparse=sparse)
    scores = logits(input, rows, biases, temperature=temperature, cosine=cosine).to(found.dtype)
    of_true, of_extra = scores.split([targets.shape[1], extra.shape[1]], dim=1)
    is_row = candidates.is_true().view(targets.shape).any(dim=1)
    if objective.loss is logistic:
        return found + (softplus(of_extra) * is_negative).sum(dim=1).where(is_row, 0.0)
    true = of_true[:, 0]
    if objective.subtract_log_q and objective.true_log_q:
        true = true - as_columns(candidates.true_log_expected_count)[:, 0].where(is_row, 0.0).to(true.dtype)
    lowest = torch.finfo(scores.dtype).min / 4  # and not -inf, of which a sum over none has no gradient
    more = of_extra.masked_fill(~is_negative, lowest).logsumexp(dim=1)
    return torch.logaddexp(found, more - true).where(is_row, 0.0)
