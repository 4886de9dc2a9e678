"""FusedBackend: the base of backends whose losses are passes over a batch. Each brings its passes and nothing else."""

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import normalize

from logq.candidates import Candidates, as_columns
from logq.graph_breaks import outside_of_graphs
from logq.kernels import updates
from logq.kernels.autograd import FullLoss, SampledLoss, Settings, of_reference, run_pass
from logq.kernels.distributions import OF_PARTS, Distribution
from logq.kernels.fallback import Case, report
from logq.kernels.logits import computed_dtype, reduce
from logq.kernels.passes import Passes
from logq.kernels.tensor_memory import is_plain
from logq.objectives import Negatives, Objective, logistic, softmax
from logq.tracing import goes_forward, in_transform, is_exported

__all__ = ["TRANSFORMED", "FusedBackend", "refuses_distribution", "refuses_draws"]

PASSES: Final = {"sampled_loss": ("shared_pass", "per_row_pass"), "full_loss": ("full_pass",)}
"""The ops that are made of passes, and the passes of which they need one at least."""


class FusedBackend(Passes):
    """Sampled and full losses, made of the passes that a subclass has.

    A subclass says `device_types` and whether it `reads_values`, overrides `shared_pass`, `per_row_pass` and
    `full_pass` where it has them, and `class_gradients` and `update_classes` if it can sum faster than plain torch.
    Every other op it may override as any backend does. What has no pass, and what passes cannot do, runs on the
    reference, with a FallbackWarning.

    Example:
        >>> from logq import kernels
        >>> kernels.backend("cpp").reads_values
        True
    """

    def brings(self, name: str) -> bool:
        """Whether the backend has a pass of that name."""
        return getattr(type(self), name) is not getattr(Passes, name)

    def has(self, op: str) -> bool:
        """Whether an op is more than inherited: it, or for an op of losses one of its passes, is overridden."""
        if op in PASSES and getattr(type(self), op) is getattr(FusedBackend, op):
            return any(self.brings(name) for name in PASSES[op])
        return super().has(op)

    def refusal(self, op: str, case: Case) -> str:
        """Why a loss runs on the reference in a case; "" where it does not."""
        if op == "sampled_loss" and case.objective is not None:
            transformed = case.transformed and not case.compiled
            return self._refuses_sampled(case.objective, case.dim, case.shared, transformed)
        if op == "full_loss" and case.objective is not None:
            same_dtype = case.dtype is case.table_dtype
            lacks = self._lacks_full(case.gradients, case.reduction, case.cosine, case.dtype, same_dtype)
            return lacks or (TRANSFORMED if case.transformed and not case.compiled else own_full_loss(case.objective))
        return ""

    @staticmethod
    def drawn_and_counted(*arguments: Any, **options: Any) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """`counted_distinct_draws` in one pass, where a backend has one; None where that cannot count."""
        return None

    def counted_distinct_draws(self, *arguments: Any, **options: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """In one pass where there is one; otherwise as any backend does."""
        made = self.drawn_and_counted(*arguments, **options)
        return super().counted_distinct_draws(*arguments, **options) if made is None else made

    # ---------------------------------------------------------------------------------------------- the op sampled_loss

    def sampled_loss(
        self,
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
        row_weight: Tensor | None = None,  # (B,)
    ) -> Tensor:  # (B,) or a scalar
        """The meaning of the reference's, in one pass over the logits; sparse gradients are coalesced.

        Under torch.compile sparse gradients and updates inside of backward leave the graph.
        """
        if remove_hits is None:
            remove_hits = objective.negatives is not Negatives.S
        settings = Settings(self, objective, temperature, cosine, reduction, remove_hits, sparse)
        given = input, weight, bias, candidates, row_weight, settings
        if torch.compiler.is_compiling() and (sparse or updates.exist()):
            return self._eagerly(*given)
        return self._sampled(*given)

    @outside_of_graphs
    def _eagerly(self, *given: Any) -> Tensor:
        return self._sampled(*given)

    def _refuses_sampled(self, objective: Objective, dim: int, shared: bool, transformed: bool) -> str:
        refusal = own_loss(objective)
        if refusal:
            return refusal
        if not self.brings("shared_pass" if shared else "per_row_pass"):
            return f"it has no pass over {'a shared sample' if shared else 'samples of rows'}"
        if transformed:
            return TRANSFORMED
        return "" if dim else "vectors have width 0"

    def _sampled(
        self,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        candidates: Candidates,
        row_weight: Tensor | None,
        settings: Settings,
    ) -> Tensor:
        objective, cosine = settings.objective, settings.cosine
        transformed = not torch.compiler.is_compiling() and in_transform()
        refusal = self._refuses_sampled(objective, weight.shape[1], candidates.ids.dim() == 1, transformed)
        if not refusal and goes_forward():
            refusal = FORWARD
        if refusal:
            report("sampled_loss", self.name, refusal)
            return of_reference(input, weight, bias, candidates, row_weight, settings)
        ids, log_q, targets, true_log_q, excluded = candidates
        candidates = Candidates(ids, log_q, as_columns(targets), as_columns(true_log_q), excluded)
        objective.check_num_true(candidates.targets.shape[1])
        dtype = computed_dtype(input, weight)
        if cosine or not self.takes_half:
            input = input.to(dtype)
        if cosine:
            with torch.autocast(input.device.type, enabled=False):
                input = normalize(input, dim=-1)
        if row_weight is not None:
            row_weight = row_weight.to(dtype)
        differentiable = input.requires_grad or weight.requires_grad or (bias is not None and bias.requires_grad)
        if differentiable and torch.is_grad_enabled():
            return SampledLoss.apply(input, weight, bias, row_weight, settings, *candidates)
        with torch.no_grad():  # log Q may have a gradient, which is ignored
            losses = run_pass(input, weight, bias, candidates, settings, None, gradients=False).losses
        return reduce(losses, candidates.is_true(), settings.reduction, row_weight)

    # ------------------------------------------------------------------------------------------------- the op full_loss

    def full_loss(
        self,
        objective: Objective,
        input: Tensor,  # (B, D)
        weight: Tensor,  # (C, D)
        bias: Tensor | None,  # (C,)
        targets: Tensor,  # (B,) or (B, T), IGNORED allowed
        *,
        temperature: float,
        cosine: bool,
        reduction: str = "none",
        row_weight: Tensor | None = None,  # (B,)
    ) -> Tensor:  # (B,) or a scalar
        """The meaning of the reference's; where gradients of a mean or a sum are wanted, they are made with the losses.

        The reference makes each product twice, once more for backward, as it keeps no logits. The gradient of one
        number is known as soon as the losses are, so a pass turns logits into it at once. What is rarer runs on the
        reference: losses of rows, cosine, half precision if passes do not take it, and the transforms of torch.func.
        """
        columns = as_columns(targets)
        tensors = (input, weight) if bias is None else (input, weight, bias)
        gradients = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        same_dtype = all(tensor.dtype is input.dtype for tensor in tensors)
        # What its options say of a loss is told by `explain`; what a caller cannot see of it is reported.
        refusal = self._lacks_full(gradients, reduction, cosine, input.dtype, same_dtype)
        if not refusal:
            refusal = _refuses_full(objective, weight, tensors)
            if refusal:
                report("full_loss", self.name, refusal)
        settings = Settings(self, objective, temperature, cosine, reduction)
        if refusal or weight.numel() == 0:
            return of_reference(input, weight, bias, targets, row_weight, settings)
        objective.check_num_true(columns.shape[1])
        if row_weight is not None:
            row_weight = row_weight.to(computed_dtype(input, weight))
        return FullLoss.apply(input, weight, bias, columns, row_weight, settings)

    def _lacks_full(
        self, gradients: bool, reduction: str, cosine: bool, dtype: torch.dtype | None, same_dtype: bool
    ) -> str:
        if not gradients:
            return NO_GRADIENTS
        if reduction == "none":
            return "losses of rows are wanted, and not their mean or sum"
        if cosine:
            return "logits are cosines"
        half = self.takes_half and dtype is not None and dtype.itemsize == 2
        if not (dtype in (torch.float32, torch.float64) or half) or not same_dtype:
            return f"input and class weights are not both in float32, or float64{', or half' * self.takes_half}"
        if is_exported():
            return EXPORTED
        return "" if self.brings("full_pass") else "it has no pass over all classes"


NO_GRADIENTS: Final = "no gradients are wanted, which is all that the fused pass saves"
TRANSFORMED: Final = "inside of a transform of torch.func tensors have no memory of their own"
FORWARD: Final = "derivatives go forward"
EXPORTED: Final = "a graph is exported, for others who may not have logq"


def own_loss(objective: Objective) -> str:
    """Why no pass knows the loss of an objective; "" if passes do.

    Example:
        >>> from logq.objectives import NCE
        >>> own_loss(NCE)
        ''
    """
    if objective.label_smoothing:
        return f"objective {objective.name} has label smoothing"
    if objective.loss is logistic or objective.loss is softmax:
        return ""
    return f"the loss of objective {objective.name} is neither logistic nor softmax"


def own_full_loss(objective: Objective) -> str:
    """The same over all classes, of which a true one counts once.

    Example:
        >>> from logq.objectives import FULL_SOFTMAX
        >>> own_full_loss(FULL_SOFTMAX)
        ''
    """
    return own_loss(objective) or (
        "" if objective.calibration is None else f"objective {objective.name} weighs true classes"
    )


def refuses_distribution(distribution: Distribution, transformed: bool) -> str:
    """Why compiled code does not draw from a distribution: it knows four; "" for these.

    Example:
        >>> from logq.kernels.distributions import UniformDistribution
        >>> refuses_distribution(UniformDistribution(3), transformed=False)
        ''
    """
    if not isinstance(distribution, OF_PARTS):
        return f"compiled code knows no distribution of class {type(distribution).__name__}"
    return TRANSFORMED if transformed else ""


def refuses_draws(op: str, case: Case) -> str:
    """Why an op of draws that is compiled runs on the reference in a case; "" where it does not, and for other ops.

    Example:
        >>> refuses_draws("places_of", Case(transformed=True)) == TRANSFORMED
        True
    """
    if op in ("draws", "distinct_draws") and case.distribution is not None:
        return refuses_distribution(case.distribution, case.transformed)
    return TRANSFORMED if op in ("places_of", "log_inclusion") and case.transformed else ""


def _refuses_full(objective: Objective, weight: Tensor, tensors: tuple[Tensor, ...]) -> str:
    compiling = torch.compiler.is_compiling()
    if not compiling and in_transform():
        return TRANSFORMED
    if goes_forward():
        return FORWARD
    if not compiling and not is_plain(*tensors):
        return "tensors are of a class that stands for others"
    return own_full_loss(objective) or ("" if weight.is_contiguous() else "class weights are not contiguous")
