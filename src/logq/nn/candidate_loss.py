"""CandidateLoss: a class table, a row of the table of objectives, and a sampler, in one module."""

import math
from typing import NamedTuple, TypedDict

import torch
from torch import Tensor, nn

from logq import kernels
from logq._arguments import check_bool, check_int
from logq.candidates import IGNORED, as_columns
from logq.functional import full_loss, sampled_loss
from logq.functional.checks import check_options, check_table, check_targets, find_objective
from logq.kernels.logits import chunks, logits, true_logits
from logq.kernels.memory import prefer_huge_pages
from logq.objectives import Objective
from logq.samplers import Sampler
from logq.shapes import check_device, check_dtype, check_shape

__all__ = ["CandidateLoss", "Options", "TopK"]


class Options(TypedDict, total=False):
    """The keyword arguments of CandidateLoss, which the six modules named after the rows take too."""

    bias: bool
    weight: nn.Parameter | None
    temperature: float
    cosine: bool
    remove_hits: bool | None
    reduction: str
    ignore_index: int
    sparse: bool
    device: torch.device | str | None
    dtype: torch.dtype | None


class TopK(NamedTuple):
    """The best classes of each row, the best one first, and log P of them."""

    log_prob: Tensor
    ids: Tensor


class CandidateLoss(nn.Module):
    """Owns the class table `weight` (C, D) and `bias` (C,), trains it by sampling, and reads log P off it.

    The six modules named after the rows of the table are this one with the row filled in. Every call draws anew, in
    `eval()` too: for a loss that does not depend on draws take `-log_prob(input, targets).mean()`. Losses of different
    rows, samplers or numbers of samples are not comparable with each other; log-probabilities are.

    Args:
        objective: a row of logq.objectives, or its name.
        in_features: D.
        num_classes: C.
        sampler: of the negatives, over C classes; for the rows that sample. It is part of the module.
        bias: whether the classes have one. It starts where F says that all classes are alike: at 0, and for the rows
            whose F approximates log P or log odds at what that is for P = 1/C.
        weight: a Parameter (C, D) to share, such as the embedding of the inputs; None makes one, uniform in
            +-1/sqrt(D) as torch.nn.Linear.
        temperature, cosine, remove_hits, reduction, ignore_index: as in logq.functional.sampled_loss.
        sparse: whether the class table gets sparse gradients, with the touched rows only, for the optimisers and the
            clipping of logq.optim; torch's SGD, Adagrad and SparseAdam take them too, its Adam and clip_grad_norm_ do
            not. Not for the rows that touch all classes. torch.compile leaves them to eager mode.
        device, dtype: of a new class table.

    Shape:
        input (B, D) float, targets (B,) or (B, T) int64 -> scalar, or (B,) for reduction="none".

    Raises:
        ValueError: sampler and row do not belong together, or sizes do not fit.

    Example:
        >>> from logq.samplers import LogUniform
        >>> loss = CandidateLoss("sampled_softmax", 16, 1000, LogUniform(1000, 50, seed=1))
        >>> loss(torch.randn(4, 16), torch.tensor([1, 5, 900, 0])).backward()
        >>> loss.topk(torch.randn(4, 16), 10).ids.shape
        torch.Size([4, 10])
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        objective: Objective | str,
        in_features: int,
        num_classes: int,
        sampler: Sampler | None = None,
        *,
        bias: bool = True,
        weight: nn.Parameter | None = None,
        temperature: float = 1.0,
        cosine: bool = False,
        remove_hits: bool | None = None,
        reduction: str = "mean",
        ignore_index: int = IGNORED,
        sparse: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        device, dtype = check_device(device), check_dtype(dtype)
        self.objective = find_objective(objective)
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
        self.temperature = float(temperature)
        self.cosine = cosine
        self.remove_hits = remove_hits
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.sparse = sparse
        self.sampler = self._check_sampler(sampler)
        if weight is None:
            table = torch.empty(self.num_classes, self.in_features, device=device, dtype=dtype)
            prefer_huge_pages(table)
            self.weight = nn.Parameter(table)
        else:
            if not isinstance(weight, nn.Parameter):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"weight: expected a torch.nn.Parameter to share, got {type(weight).__name__}")
            if weight.shape != (self.num_classes, self.in_features):
                raise ValueError(
                    f"weight: expected shape (C, D) = ({num_classes}, {in_features}), got {tuple(weight.shape)}"
                )
            if not weight.is_floating_point():
                raise TypeError(f"weight: expected a floating point dtype, got {weight.dtype}")
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
                raise ValueError(f"sampler: {self.objective.name} uses every class and takes no sampler, got {sampler}")
            if self.sparse:
                raise ValueError(f"sparse: {self.objective.name} touches all classes, its gradient is never sparse")
            return None
        if not isinstance(sampler, Sampler):
            raise TypeError(f"sampler: {self.objective.name} needs one of logq.samplers, got {type(sampler).__name__}")
        if sampler.num_classes != self.num_classes:
            raise ValueError(f"sampler: expected num_classes = {self.num_classes}, got {sampler.num_classes}")
        return sampler

    def reset_parameters(self) -> None:
        """Draw the class table anew, from torch's global generator as all torch modules do; a shared one stays."""
        if self._owns_weight:
            bound = 1 / math.sqrt(self.in_features)
            nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            meaning = self.objective.approximates
            start = 0.0 if meaning.uses_q else meaning.start(self.num_classes)
            nn.init.constant_(self.bias, start * self.temperature)

    def forward(self, input: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch. Each call draws anew.

        Args:
            input: (B, D).
            targets: (B,) or (B, T) int64, true classes or `ignore_index`.

        Returns:
            As logq.functional.sampled_loss.
        """
        # Here and not by the loss: it would lay a wrong width to the class table, and after the draw.
        check_shape("input", input, "BD", {"D": self.in_features})
        if self.sampler is None:
            return full_loss(
                self.objective,
                input,
                self.weight,
                targets,
                bias=self.bias,
                temperature=self.temperature,
                cosine=self.cosine,
                reduction=self.reduction,
                ignore_index=self.ignore_index,
            )
        return sampled_loss(
            self.objective,
            input,
            self.weight,
            self.sampler.draw(targets, ignore_index=self.ignore_index, need_log_q=self.objective.subtract_log_q),
            bias=self.bias,
            temperature=self.temperature,
            cosine=self.cosine,
            remove_hits=self.remove_hits,
            reduction=self.reduction,
            sparse=self.sparse,
        )

    def log_prob(self, input: Tensor, targets: Tensor | None = None) -> Tensor:
        """Log-probabilities, as the table's last column reads them off F, of all classes or of some.

        For the rows whose P is a distribution over the classes it is normalized over all of them; for the logistic rows
        that approximate log odds each class stands alone, P = sigmoid(F). Negative sampling needs the sampler's Q for
        it: P is proportional to Q exp(F).

        Args:
            input: (B, D).
            targets: (B,) or (B, T) int64, classes to look at; None for all. With targets no (B, C) tensor is made.

        Returns:
            (B, C), or the shape of targets, with 0 where a target is `ignore_index`.
        """
        sizes = {"D": self.in_features}
        check_table(input, self.weight, self.bias, sizes)
        temperature, cosine, shift = self.temperature, self.cosine, self._log_q()
        to_log_p = self.objective.approximates.log_p
        if targets is None:
            parts = chunks(input.shape[0], self.weight, self.bias)
            all_logits = torch.cat(
                [logits(input, rows, bias, temperature=temperature, cosine=cosine) for _, rows, bias in parts], dim=1
            )
            log_p = to_log_p(all_logits, all_logits.new_zeros(()) if shift is None else shift)
            return log_p.log_softmax(dim=1) if self.objective.approximates.normalized else log_p
        check_targets("targets", targets, sizes, self.ignore_index)
        is_true = targets != self.ignore_index
        columns = as_columns(targets.where(is_true, 0))
        some = true_logits(input, self.weight, self.bias, columns, temperature=temperature, cosine=cosine)
        log_p = to_log_p(some, some.new_zeros(()) if shift is None else shift[columns])
        if self.objective.approximates.normalized:
            total = kernels.get("log_normalizer", input.device.type)(
                input, self.weight, self.bias, shift=shift, temperature=temperature, cosine=cosine
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
            raise ValueError(f"k: expected at most C = {self.num_classes}, got {k}")
        check_table(input, self.weight, self.bias, {"D": self.in_features})
        temperature, cosine, shift = self.temperature, self.cosine, self._log_q()
        meaning = self.objective.approximates
        best, ids, total = input.new_empty(len(input), 0), input.new_empty(len(input), 0, dtype=torch.int64), None
        for first, rows, bias in chunks(input.shape[0], self.weight, self.bias):
            scores = logits(input, rows, bias, temperature=temperature, cosine=cosine)
            of_chunk = slice(first, first + len(rows))
            log_p = meaning.log_p(scores, scores.new_zeros(()) if shift is None else shift[of_chunk])
            part = log_p.logsumexp(dim=1)
            total = part if total is None else torch.logaddexp(total, part)
            values, places = log_p.topk(min(k, len(rows)), dim=1)
            values = torch.cat([best.to(values.dtype), values], dim=1)
            values, order = values.topk(min(k, values.shape[1]), dim=1)
            ids = torch.cat([ids, places + first], dim=1).gather(1, order)
            best = values
        if meaning.normalized and total is not None:
            best = best - total[:, None]
        return TopK(best, ids)

    def _log_q(self) -> Tensor | None:
        """(C,) log Q where the way from F to log P needs it."""
        if self.sampler is None or not self.objective.approximates.uses_q:
            return None
        return self.sampler.log_expected_count(torch.arange(self.num_classes, device=self.weight.device))

    def extra_repr(self) -> str:
        """What repr() shows."""
        parts = [self.objective.name, f"in_features={self.in_features}", f"num_classes={self.num_classes}"]
        parts += [] if self.bias is not None else ["bias=False"]
        parts += [] if self.temperature == 1 else [f"temperature={self.temperature:g}"]
        return ", ".join(parts + [name for name in ("cosine", "sparse") if getattr(self, name)])
