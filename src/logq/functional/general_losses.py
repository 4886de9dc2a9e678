"""The two losses that take an objective as an argument: with sampled negatives, and with all classes."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from logq import kernels
from logq._arguments import ArgumentError, Verbatim
from logq.candidates import IGNORED, Candidates
from logq.functional.extra_negatives import check_extra_negatives, losses_with_extra
from logq.functional.loss_checks import (
    check_candidates,
    check_options,
    check_place,
    check_row_weight,
    check_table,
    check_targets,
    check_temperature,
)
from logq.kernels.logits import reduce
from logq.objectives import Objective, find_objective

__all__ = ["drawn_loss", "full_loss", "op_of_loss", "sampled_loss"]

kernels.active()  # loads the backends now: torch.compile cannot follow an import into its graph


def op_of_loss(op: str, input: Tensor, temperature: float | Tensor) -> Callable[..., Tensor]:
    """What runs an op of losses: the reference where the temperature gets a gradient, which it alone gives.

    Example:
        >>> op_of_loss("full_loss", torch.zeros(1, 2), 1.0).__self__.name
        'cpp'
    """
    if isinstance(temperature, Tensor):
        return getattr(kernels.backend("reference"), op)
    return kernels.get(op, input.device.type)


def sampled_loss(
    objective: Objective | str,
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    candidates: Candidates,
    *,
    bias: Tensor | None = None,  # (C,)
    temperature: float | Tensor = 1.0,
    cosine: bool = False,
    remove_hits: bool | None = None,
    reduction: str = "mean",
    ignore_index: int = IGNORED,
    sparse: bool = False,
    row_weight: Tensor | None = None,  # (B,)
    label_smoothing: float | None = None,
    extra_negatives: Tensor | None = None,  # (B, K)
) -> Tensor:
    """The loss of an objective that samples its negatives.

    Only the rows of `weight` and `bias` that the candidates name are read and get a gradient.

    Args:
        objective: one of logq.objectives, or its name.
        input: queries, float.
        weight: the class weights, float.
        candidates: from a sampler's `draw`, or made by hand.
        bias: of the classes.
        temperature: divides the logits, before log Q is subtracted. A tensor of one number gets a gradient if it asks
            for one; the loss then runs on the reference backend.
        cosine: whether the logits are cosines instead of inner products; the bias is added to the cosine.
        remove_hits: whether sampled copies of a true class leave the negatives; None: as the table says.
        reduction: "none" (B,), "mean" over the rows that have a true class, or "sum".
        ignore_index: a target that is not a class, besides the IGNORED that samplers leave. A row of nothing else has
            loss 0 and does not count in the mean.
        sparse: whether `weight` and `bias` get sparse gradients, (C, D) and (C,) with the touched rows only. On the CPU
            they are coalesced. torch.compile leaves the graph for them: with fullgraph=True it refuses.
        row_weight: what each row counts, >= 0; None: 1. The mean divides by the sum of the weights of the rows that
            have a true class, as torch's does by those of classes.
        label_smoothing: epsilon in [0, 1], see logq.objectives.Objective.smoothed; None: that of the objective, which
            is 0 in the table. Other values run on the reference backend.
        extra_negatives: int64, classes that are negatives of a row beside its sample, such as what was shown and not
            chosen; -1 where a row has fewer. They are there for certain, so that their Q(y|x) is 1, and that of a true
            class among them. They must follow from the row and not from its target for F to approximate what the table
            says; sampled softmax is then exact for samples that include classes independently, and otherwise biased,
            the less the larger the sample.

    Returns:
        The loss in nats, (B,) or a scalar, float32 or wider; 0 for an empty batch.

    Raises:
        TypeError: an argument is of another kind than described.
        ValueError: a shape does not fit, an id leaves [0, C), several true classes for softmax, an unknown reduction or
            objective, a true class with expected count 0 where log Q is subtracted.

    Example:
        >>> from logq.samplers import LogUniform
        >>> weight, input, targets = torch.zeros(1000, 8), torch.ones(2, 8), torch.tensor([3, 999])
        >>> candidates = LogUniform(1000, 20, seed=1).draw(targets)
        >>> sampled_loss("negative_sampling", input, weight, candidates)  # 21 log 2
        tensor(14.5561)
    """
    objective = find_objective(objective).smoothed(label_smoothing)
    if not objective.negatives.sampled:
        raise ArgumentError(
            "objective", "one that samples", Verbatim(objective.name), "call full_loss with the targets"
        )
    check_options(
        temperature=temperature,
        cosine=cosine,
        reduction=reduction,
        ignore_index=ignore_index,
        remove_hits=remove_hits,
        sparse=sparse,
    )
    sizes: dict[str, int] = {}
    check_table(input, weight, bias, sizes)
    check_row_weight(row_weight, input, sizes)
    candidates = check_candidates(candidates, sizes, ignore_index, input.device, finite=objective.subtract_log_q)
    return drawn_loss(
        objective,
        input,
        weight,
        bias,
        candidates,
        sizes,
        row_weight,
        extra_negatives,
        temperature=check_temperature(temperature),
        reduction=reduction,
        cosine=cosine,
        remove_hits=remove_hits,
        sparse=sparse,
    )


def drawn_loss(
    objective: Objective,
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    candidates: Candidates,
    sizes: dict[str, int],
    row_weight: Tensor | None = None,  # (B,)
    extra_negatives: Tensor | None = None,  # (B, K)
    *,
    temperature: float | Tensor,
    reduction: str,
    **options: Any,
) -> Tensor:
    """`sampled_loss` of what was checked, or what a sampler made for targets that were; B, C, D are bound in `sizes`.

    Example:
        >>> from logq.objectives import NCE
        >>> from logq.samplers import Uniform
        >>> given = NCE, torch.zeros(1, 4), torch.zeros(9, 4), None, Uniform(9, 2, seed=1).draw(torch.tensor([3]))
        >>> options = {"temperature": 1.0, "cosine": False, "remove_hits": None, "sparse": False, "reduction": "none"}
        >>> drawn_loss(*given, {"B": 1, "C": 9, "D": 4}, **options).shape
        torch.Size([1])
    """
    loss = op_of_loss("sampled_loss", input, temperature)
    given = objective, input, weight, bias, candidates
    if extra_negatives is not None:
        check_extra_negatives(extra_negatives, objective, sizes, input.device, (weight, bias))
        losses = losses_with_extra(loss, *given, extra_negatives, temperature=temperature, **options)
        return reduce(losses, candidates.is_true(), reduction, row_weight)
    return loss(*given, temperature=temperature, reduction=reduction, row_weight=row_weight, **options)


def full_loss(
    objective: Objective | str,
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    targets: Tensor,  # (B,) or (B, T)
    *,
    bias: Tensor | None = None,  # (C,)
    temperature: float | Tensor = 1.0,
    cosine: bool = False,
    reduction: str = "mean",
    ignore_index: int = IGNORED,
    row_weight: Tensor | None = None,  # (B,)
    label_smoothing: float | None = None,
) -> Tensor:
    """The loss of an objective whose negatives are all classes but the true ones.

    Runs through the class weights in chunks and never holds (B, C) logits.

    Args:
        objective: one of logq.objectives, or its name.
        input: queries, float.
        weight: the class weights, float.
        targets: int64, the true classes.
        bias: of the classes.
        temperature: divides the logits; a tensor of one number as in `sampled_loss`.
        cosine: whether the logits are cosines instead of inner products; the bias is added to the cosine.
        reduction: "none" (B,), "mean" over the rows that have a true class, or "sum".
        ignore_index: a target that is not a class. A row of nothing else has loss 0 and does not count in the mean.
        row_weight: as in `sampled_loss`.
        label_smoothing: as in `sampled_loss`.

    Returns:
        As `sampled_loss`.

    Raises:
        TypeError, ValueError: as `sampled_loss`.

    Example:
        >>> full_loss("full_softmax", torch.ones(2, 8), torch.zeros(1000, 8), torch.tensor([3, 999]))  # log 1000
        tensor(6.9078)
    """
    objective = find_objective(objective).smoothed(label_smoothing)
    if objective.negatives.sampled:
        raise ArgumentError(
            "objective",
            "one whose negatives are all classes",
            Verbatim(objective.name),
            "call sampled_loss with candidates",
        )
    check_options(
        temperature=temperature,
        cosine=cosine,
        reduction=reduction,
        ignore_index=ignore_index,
        remove_hits=None,
        sparse=False,
    )
    sizes: dict[str, int] = {}
    check_table(input, weight, bias, sizes)
    check_row_weight(row_weight, input, sizes)
    check_place("targets", targets, input.device)
    check_targets("targets", targets, sizes, ignore_index)
    objective.check_num_true(1 if targets.dim() == 1 else targets.shape[1])
    targets = targets.masked_fill(targets == ignore_index, IGNORED)
    temperature = check_temperature(temperature)
    return op_of_loss("full_loss", input, temperature)(
        objective,
        input,
        weight,
        bias,
        targets,
        temperature=temperature,
        cosine=cosine,
        reduction=reduction,
        row_weight=row_weight,
    )
