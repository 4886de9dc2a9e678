"""CandidateLoss: class weights, an objective, and a sampler, in one module."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from logq import kernels
from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_int
from logq.candidates import IGNORED, as_columns
from logq.functional import full_loss
from logq.functional.general_losses import drawn_loss
from logq.functional.loss_checks import (
    check_options,
    check_row_weight,
    check_sparse,
    check_table,
    check_targets,
    check_temperature,
)
from logq.functional.losses_in_parts import check_parts, loss_in_parts, rows_of_a_part
from logq.graph_breaks import outside_of_graphs
from logq.kernels.logits import chunks, logits, mean_divisor, true_logits
from logq.kernels.tensor_memory import prefer_huge_pages
from logq.nn.best_classes import TopK, best_classes
from logq.nn.class_table import ClassTable, LossSettings, sampler_beside_table
from logq.nn.sparse_rows import TellsOfSparseRows
from logq.objectives import Objective, find_objective
from logq.samplers import Sampler
from logq.samplers.draw_contexts import with_numbers
from logq.samplers.proposal import Proposal
from logq.shapes import check_device, check_dtype, check_shape

__all__ = ["CandidateLoss", "LossOptions"]


class LossOptions(TypedDict, total=False):
    """The keyword arguments of CandidateLoss, which the modules named after the objectives take too."""

    bias: bool
    weight: nn.Parameter | None
    temperature: float | Tensor
    cosine: bool
    remove_hits: bool | None
    reduction: str
    ignore_index: int
    sparse: bool
    label_smoothing: float | None
    store_samples: bool
    device: torch.device | str | None
    dtype: torch.dtype | None


class CandidateLoss(TellsOfSparseRows):
    """Owns the class weights `weight` (C, D) and `bias` (C,), trains them by sampling, and reads log P off them.

    The modules named after the objectives are this one with the objective filled in. Every call makes a new draw, in
    `eval()` too: for a loss that does not depend on draws take `-log_prob(input, targets).mean()`. Losses of different
    objectives, samplers or numbers of samples are not comparable with each other; log-probabilities are.

    Args:
        objective: one of logq.objectives, or its name.
        in_features: D, or a table that holds the class weights elsewhere, such as logq.distributed.ShardedClassTable:
            they are no parameters of the module then, and num_classes and the options of new weights are left out.
        num_classes: C.
        sampler: of the negatives, over C classes; for the objectives that sample. It is part of the module.
        bias: whether the classes have one. It starts where F says that all classes are alike: at 0, and for the
            objectives whose F approximates log P or log odds at what that is for P = 1/C.
        weight: a Parameter (C, D) to share, such as the embedding of the inputs; None makes one, uniform in
            +-1/sqrt(D) as torch.nn.Linear.
        temperature, cosine, remove_hits, reduction, ignore_index: as in logq.functional.sampled_loss. A `temperature`
            that is a Parameter is one of the module, and is learned.
        sparse: whether the class weights get sparse gradients, with the touched rows only, for the optimizers and the
            clipping of logq.optim; torch's SGD, Adagrad and SparseAdam take them too, its Adam and clip_grad_norm_ do
            not. Not for the objectives that touch all classes. torch.compile leaves them to eager mode.
            DistributedDataParallel sums them over processes by gloo, as those of nn.Embedding(sparse=True). A `weight`
            that is shared must then be that of such an embedding, which comes before this module in the model.
        label_smoothing: as in logq.functional.sampled_loss.
        store_samples: False where the rows' own samples, (B, S) ids and as many factors, would be too large to keep:
            some rows are drawn, and lead to gradients, at a time. The loss and its gradients are the same, which are
            dense, and can be differentiated once. For a mean or a sum, a `temperature` that is a float, and samplers
            with `draws_in_parts`, such as LogUniform(..., per_row=True).
        device, dtype: of new class weights.

    Shape:
        input (B, D) float, targets (B,) or (B, T) int64 -> scalar, or (B,) for reduction="none".

    Raises:
        ValueError: sampler and objective do not belong together, or sizes do not fit.

    Example:
        >>> from logq.samplers import LogUniform
        >>> loss = CandidateLoss("sampled_softmax", 16, 1000, LogUniform(1000, 50, seed=1))
        >>> loss(torch.randn(4, 16), torch.tensor([1, 5, 900, 0])).backward()
        >>> loss.topk(torch.randn(4, 16), 10).ids.shape
        torch.Size([4, 10])
    """

    weight: nn.Parameter  # None beside a table that holds it
    bias: nn.Parameter | None

    def __init__(
        self,
        objective: Objective | str,
        in_features: int | ClassTable,
        num_classes: int | Sampler | None = None,
        sampler: Sampler | None = None,
        *,
        bias: bool = True,
        weight: nn.Parameter | None = None,
        temperature: float | Tensor = 1.0,
        cosine: bool = False,
        remove_hits: bool | None = None,
        reduction: str = "mean",
        ignore_index: int = IGNORED,
        sparse: bool = False,
        label_smoothing: float | None = None,
        store_samples: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        device, dtype = check_device(device), check_dtype(dtype)
        self.table = in_features if isinstance(in_features, ClassTable) else None
        if self.table is not None:
            sampler = sampler_beside_table(
                num_classes, sampler, bias=not bias, weight=weight, sparse=sparse, device=device, dtype=dtype
            )
            in_features, num_classes = self.table.dim, self.table.num_classes
        self.objective = find_objective(objective).smoothed(label_smoothing)
        self.in_features = check_int("in_features", in_features)
        self.num_classes = check_int("num_classes", num_classes)
        check_options(
            temperature=temperature,
            cosine=cosine,
            reduction=reduction,
            ignore_index=ignore_index,
            remove_hits=remove_hits,
            sparse=sparse,
        )
        # A Parameter becomes one of this module.
        self.temperature = temperature if isinstance(temperature, Tensor) else float(temperature)
        self.cosine = cosine
        self.remove_hits = remove_hits
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.sparse = sparse
        self.sampler = self._check_sampler(sampler)
        self.store_samples = check_bool("store_samples", store_samples)
        if not self.store_samples:
            check_parts(getattr(sampler, "draws_in_parts", False), reduction, sparse, temperature)
        if self.table is not None:
            if not self.store_samples:
                raise ArgumentError("store_samples", "True beside a table, whose rows come for all at once", False)
            self.table.join(self._settings())
            self._owns_weight = False
            self.register_parameter("weight", None)
            self.register_parameter("bias", None)
            return
        if weight is None:
            table = torch.empty(self.num_classes, self.in_features, device=device, dtype=dtype)
            prefer_huge_pages(table)
            self.weight = nn.Parameter(table)
        else:
            if not isinstance(weight, nn.Parameter):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ArgumentTypeError("weight", "a torch.nn.Parameter to share", Verbatim(type(weight).__name__))
            if weight.shape != (self.num_classes, self.in_features):
                expected = f"shape (C, D) = ({num_classes}, {in_features})"
                raise ArgumentError("weight", expected, tuple(weight.shape))
            if not weight.is_floating_point():
                raise ArgumentTypeError("weight", "a floating point dtype", weight.dtype)
            self.weight = weight
        if check_bool("bias", bias):
            self.bias = nn.Parameter(self.weight.new_empty(self.num_classes))
        else:
            self.register_parameter("bias", None)
        self._owns_weight = weight is None
        self.reset_parameters()

    def _check_sampler(self, sampler: Sampler | None) -> Sampler | None:
        if not self.objective.negatives.sampled:
            if sampler is not None:
                raise ArgumentError("sampler", f"None, as {self.objective.name} uses every class", Verbatim(sampler))
            if self.sparse:
                raise ArgumentError("sparse", f"False, as {self.objective.name} touches all classes", True)
            return None
        if not isinstance(sampler, Sampler):
            found = Verbatim(type(sampler).__name__)
            expected = f"one of logq.samplers for {self.objective.name}"
            hint = f"such as logq.samplers.LogUniform({self.num_classes}, num_sampled=1024)"
            raise ArgumentTypeError("sampler", expected, found, hint)
        if self.table is None and sampler.num_classes != self.num_classes:
            raise ArgumentError("sampler", f"num_classes = {self.num_classes}", sampler.num_classes)
        return sampler

    def reset_parameters(self) -> None:
        """Draw new class weights, from torch's global generator as all torch modules do; a shared one stays."""
        if self._owns_weight:
            bound = 1 / math.sqrt(self.in_features)
            nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.constant_(self.bias, self.objective.start(self.num_classes))
            with torch.no_grad():
                self.bias.mul_(self.temperature)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """As nn.Module does; an objective without a sampler has no use for the state of one."""
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        if self.sampler is None:
            unexpected_keys[:] = [key for key in unexpected_keys if not key.startswith(f"{prefix}sampler.")]

    def sparse_parameters(self) -> Mapping[str, nn.Parameter | None]:
        """Those of its own parameters that get sparse gradients."""
        if not self.sparse:
            return {}
        return {"weight": self.weight if self._owns_weight else None, "bias": self.bias}

    def forward(
        self,
        input: Tensor,
        targets: Tensor,
        row_weight: Tensor | None = None,
        extra_negatives: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch. Each call makes a new draw.

        Args:
            input: (B, D).
            targets: (B,) or (B, T) int64, true classes or `ignore_index`.
            row_weight: (B,), what each row counts, as in logq.functional.sampled_loss.
            extra_negatives: (B, K) int64, negatives beside the sample, likewise.

        Returns:
            As logq.functional.sampled_loss.
        """
        objective, sampler, weight, bias = self.objective, self.sampler, self.weight, self.bias
        if extra_negatives is not None and (sampler is None or not self.store_samples):
            name = f"for {objective.name}" if sampler is None else "with store_samples=False"
            raise ArgumentError("extra_negatives", f"None {name}", Verbatim("some"))
        if self.table is not None:
            return self.table.loss_of(self._settings(), input, targets, row_weight, extra_negatives)
        if sampler is None:
            check_shape("input", input, "BD", {"D": self.in_features})
            return full_loss(
                objective,
                input,
                weight,
                targets,
                bias=bias,
                temperature=self.temperature,
                cosine=self.cosine,
                reduction=self.reduction,
                ignore_index=self.ignore_index,
                row_weight=row_weight,
            )
        # Options were checked when the module was made; the sampler checks the targets and makes candidates that fit
        # them: nothing is checked twice.
        sizes = {"D": self.in_features}
        check_sparse(self.sparse)
        check_table(input, weight, bias, sizes)
        check_row_weight(row_weight, input, sizes)
        if not self.store_samples:
            return self._in_parts(input, targets, row_weight, sizes)
        candidates = sampler.draw(targets, ignore_index=self.ignore_index, need_log_q=objective.subtract_log_q)
        if candidates.targets.shape[0] != input.shape[0]:
            check_shape("targets", targets, "BT" if targets.dim() == 2 else "B", sizes)
        given = objective, input, weight, bias, candidates, sizes, row_weight, extra_negatives
        options: dict[str, Any] = {"cosine": self.cosine, "remove_hits": self.remove_hits, "sparse": self.sparse}
        return drawn_loss(*given, temperature=self._temperature(), reduction=self.reduction, **options)

    @outside_of_graphs
    def _in_parts(self, input: Tensor, targets: Tensor, row_weight: Tensor | None, sizes: dict[str, int]) -> Tensor:
        """The loss of a batch whose samples are not stored."""
        sampler, objective = self.sampler, self.objective
        assert isinstance(sampler, Proposal)
        check_targets("targets", targets, sizes, self.ignore_index)
        parts = sampler.draw_in_parts(
            targets,
            rows_of_a_part(sampler.num_sampled, input.device),
            ignore_index=self.ignore_index,
            need_log_q=objective.subtract_log_q,
        )
        loss = partial(
            kernels.get("sampled_loss", input.device.type),
            objective,
            temperature=self.temperature,
            cosine=self.cosine,
            remove_hits=self.remove_hits,
            reduction="sum",
        )
        total = loss_in_parts(loss, input, self.weight, self.bias, row_weight, parts)
        if self.reduction == "sum":
            return total
        return total / mean_divisor(targets != self.ignore_index, row_weight)

    def log_prob(self, input: Tensor, targets: Tensor | None = None) -> Tensor:
        """Log-probabilities, by the table's last column from F, of all classes or of some.

        For the objectives whose P is a distribution over the classes it is normalized over all of them; for those that
        approximate log odds each class stands alone, P = sigmoid(F). Negative sampling needs the sampler's Q for it: P
        is proportional to Q exp(F).

        Args:
            input: (B, D).
            targets: (B,) or (B, T) int64, classes to look at; None for all. With targets no (B, C) tensor is made.

        Returns:
            (B, C), or the shape of targets, with 0 where a target is `ignore_index`.
        """
        if self.table is not None:
            if targets is None:
                raise ArgumentError("targets", "classes to look at, as the table is too large for all", None)
            return self.table.log_prob_of(self._settings(), input, targets)
        sizes = {"D": self.in_features}
        check_table(input, self.weight, self.bias, sizes)
        temperature, cosine = self._temperature(), self.cosine
        log_q, objective = self._log_q(), self._readout()
        if targets is None:
            parts = chunks(input.shape[0], self.weight, self.bias)
            all_logits = torch.cat(
                [logits(input, rows, bias, temperature=temperature, cosine=cosine) for _, rows, bias in parts], dim=1
            )
            log_p = objective.log_p(all_logits, log_q)
            return log_p.log_softmax(dim=1) if objective.approximates.normalized else log_p
        check_targets("targets", targets, sizes, self.ignore_index)
        is_true = targets != self.ignore_index
        columns = as_columns(targets.where(is_true, 0))
        some = true_logits(input, self.weight, self.bias, columns, temperature=temperature, cosine=cosine)
        log_p = objective.log_p(some, None if log_q is None else log_q[columns])
        if objective.approximates.normalized:
            total = kernels.get("log_normalizer", input.device.type)(
                input, self.weight, self.bias, shift=log_q, temperature=temperature, cosine=cosine
            )
            log_p = log_p - total[:, None]
        return log_p.view(targets.shape).where(is_true, 0.0)

    @torch.no_grad()
    def topk(self, input: Tensor, k: int) -> TopK:
        """The k classes with the largest P(y|x), and log P of them, a chunk of classes at a time.

        Args:
            input: (B, D).
            k: at most C.

        Returns:
            TopK of (B, k) tensors, the best class first.

        Raises:
            ValueError: k is below 1 or above C.
        """
        if check_int("k", k) > self.num_classes:
            raise ArgumentError("k", f"at most C = {self.num_classes}", k)
        if self.table is not None:
            return self.table.topk_of(self._settings(), input, k)
        check_table(input, self.weight, self.bias, {"D": self.in_features})
        temperature, cosine = self._temperature(), self.cosine
        log_q, objective = self._log_q(), self._readout()
        about = None if log_q is None else log_q.__getitem__
        given = objective, input, self.weight, self.bias, k
        return best_classes(*given, temperature=temperature, cosine=cosine, log_q=about).of_all(objective)

    def _temperature(self) -> float | Tensor:
        """A float was checked when the module was made; what a tensor holds changes."""
        return self.temperature if isinstance(self.temperature, float) else check_temperature(self.temperature)

    def _settings(self) -> LossSettings:
        """What a table that lies elsewhere needs to know."""
        about = self.objective, self.sampler, self._temperature(), self.cosine
        return LossSettings(*about, self.remove_hits, self.reduction, self.ignore_index)

    def _log_q(self) -> Tensor | None:
        """(C,) log Q where the way from F to log P needs it."""
        if self.sampler is None or not self.objective.approximates.uses_q:
            return None
        return self.sampler.all_log_expected_counts()

    def _readout(self) -> Objective:
        """The objective with the rate that the sampler has now."""
        if self.sampler is None:
            return self.objective
        with with_numbers():
            return self.objective.for_sample(self.sampler.sample_size(), self.num_classes)

    def extra_repr(self) -> str:
        """What repr() shows."""
        parts = [self.objective.name, f"in_features={self.in_features}", f"num_classes={self.num_classes}"]
        parts += [] if self.bias is not None else ["bias=False"]
        if isinstance(self.temperature, Tensor):
            parts.append("temperature=a tensor")
        elif self.temperature != 1:
            parts.append(f"temperature={self.temperature:g}")
        return ", ".join(parts + [name for name in ("cosine", "sparse") if getattr(self, name)])
