"""gBCE as a module that owns its class table."""

import torch
from torch import Tensor
from typing_extensions import Unpack

from logq.functional.gbce import gbce_loss, gbce_objective, gbce_weight
from logq.nn.candidate_loss import CandidateLoss, Options
from logq.samplers import InBatch, Sampler
from logq.shapes import check_shape

__all__ = ["GBCELoss"]


class GBCELoss(CandidateLoss):
    """Generalized binary cross-entropy; F approximates log( P / (1 - P) ) + log( beta / Q ).

        loss = beta log(1 + exp(-F_t)) + sum_{s in S - T} log(1 + exp(F_s))
        beta = a (t (1 - 1/a) + 1/a),   a = S / (C - 1)

    Args:
        in_features: D.
        num_classes: C.
        sampler: over C classes. The paper's draws are uniform.
        calibration: t in [0, 1]: at 0 plain logistic loss, at 1 sigmoid(F) = P for uniform draws.
        rate: a in (0, 1]; None takes the sum of the sampler's expected counts over C - 1, at most 1.
        **options: as for CandidateLoss. The law and its sources: logq.functional.gbce_loss.

    Raises:
        ValueError: calibration or rate is out of range, or none is given for in-batch negatives.

    Example:
        >>> from logq.samplers import Uniform
        >>> loss = GBCELoss(8, 100, Uniform(100, 5, seed=1))
        >>> loss(torch.zeros(2, 8), torch.tensor([3, 99])).shape
        torch.Size([])
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        sampler: Sampler,
        *,
        calibration: float = 0.75,
        rate: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(gbce_objective(1.0), in_features, num_classes, sampler, **options)
        self.calibration = calibration
        self.rate = _rate(sampler) if rate is None else rate
        self.objective = gbce_objective(gbce_weight(self.calibration, self.rate))

    def forward(self, input: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch. Each call draws anew.

        Args:
            input: (B, D).
            targets: (B,) or (B, T) int64, true classes or `ignore_index`.

        Returns:
            As logq.functional.gbce_loss.
        """
        check_shape("input", input, "BD", {"D": self.in_features})
        assert self.sampler is not None
        return gbce_loss(
            input,
            self.weight,
            self.sampler.draw(targets, ignore_index=self.ignore_index, need_log_q=self.objective.subtract_log_q),
            calibration=self.calibration,
            rate=self.rate,
            bias=self.bias,
            temperature=self.temperature,
            cosine=self.cosine,
            remove_hits=self.remove_hits,
            reduction=self.reduction,
            sparse=self.sparse,
        )


def _rate(sampler: Sampler) -> float:
    if any(isinstance(part, InBatch) for part in sampler.modules()):
        raise ValueError("rate: expected a number in (0, 1], as in-batch negatives are as many as the rows of a batch")
    ids = torch.arange(sampler.num_classes, device=sampler.device)
    drawn = float(sampler.log_expected_count(ids).double().exp().sum())
    return min(1.0, drawn / max(1, sampler.num_classes - 1))
