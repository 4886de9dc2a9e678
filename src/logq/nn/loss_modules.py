"""The objectives of the table as modules that own their class weights."""

from typing import ClassVar

from typing_extensions import Unpack

from logq.nn.candidate_loss import CandidateLoss, LossOptions
from logq.nn.class_table import ClassTable
from logq.objectives import GBCE
from logq.samplers import Sampler

__all__ = [
    "FullLogisticLoss",
    "FullSoftmaxLoss",
    "GBCELoss",
    "NCELoss",
    "NegativeSamplingLoss",
    "RefinedSoftmaxLoss",
    "SampledLogisticLoss",
    "SampledSoftmaxLoss",
]


class _SampledLoss(CandidateLoss):
    """An objective that samples, and has no settings of its own."""

    OBJECTIVE: ClassVar[str]

    def __init__(
        self,
        in_features: int | ClassTable,
        num_classes: int | Sampler,
        sampler: Sampler | None = None,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(self.OBJECTIVE, in_features, num_classes, sampler, **options)


class _FullLoss(CandidateLoss):
    """An objective over all classes."""

    OBJECTIVE: ClassVar[str]

    def __init__(
        self, in_features: int | ClassTable, num_classes: int | None = None, **options: Unpack[LossOptions]
    ) -> None:
        super().__init__(self.OBJECTIVE, in_features, num_classes, **options)


class NegativeSamplingLoss(_SampledLoss):
    """Negative sampling: logistic loss on F, negatives S; F approximates log( P(y|x) / Q(y|x) ).

        loss = log(1 + exp(-F_t)) + sum_{s in S} log(1 + exp(F_s))

    Args:
        in_features: D, or a ClassTable, as for CandidateLoss.
        num_classes: C.
        sampler: over C classes.
        **options: as for CandidateLoss. The formula and its sources: logq.functional.negative_sampling_loss.

    Example:
        >>> from logq.samplers import Uniform
        >>> loss = NegativeSamplingLoss(8, 100, Uniform(100, 5, seed=1))
        >>> loss(torch.zeros(2, 8), torch.tensor([3, 99])).shape
        torch.Size([])
    """

    OBJECTIVE = "negative_sampling"


class NCELoss(_SampledLoss):
    """Noise-contrastive estimation: logistic loss on F - log Q, negatives S; F approximates log P(y|x).

        loss = log(1 + exp(-G_t)) + sum_{s in S} log(1 + exp(G_s)),    G = F - log Q

    Args:
        in_features: D, or a ClassTable, as for CandidateLoss.
        num_classes: C.
        sampler: over C classes.
        **options: as for CandidateLoss. The formula and its sources: logq.functional.nce_loss.

    Example:
        >>> from logq.samplers import Uniform
        >>> loss = NCELoss(8, 100, Uniform(100, 5, seed=1))
        >>> loss(torch.zeros(2, 8), torch.tensor([3, 99])).shape
        torch.Size([])
    """

    OBJECTIVE = "nce"


class SampledLogisticLoss(_SampledLoss):
    """Sampled logistic: logistic loss on F - log Q, negatives S - T; F approximates log( P / (1 - P) ).

        loss = log(1 + exp(-G_t)) + sum_{s in S - T} log(1 + exp(G_s)),    G = F - log Q

    Args:
        in_features: D, or a ClassTable, as for CandidateLoss.
        num_classes: C.
        sampler: over C classes.
        **options: as for CandidateLoss. The formula and its sources: logq.functional.sampled_logistic_loss.

    Example:
        >>> from logq.samplers import Uniform
        >>> loss = SampledLogisticLoss(8, 100, Uniform(100, 5, seed=1))
        >>> loss(torch.zeros(2, 8), torch.tensor([3, 99])).shape
        torch.Size([])
    """

    OBJECTIVE = "sampled_logistic"


class SampledSoftmaxLoss(_SampledLoss):
    """Sampled softmax: cross-entropy on F - log Q among T and S - T; F approximates log P(y|x) + K(x).

        loss = log( exp(G_t) + sum_{s in S - T} exp(G_s) ) - G_t,    G = F - log Q

    Args:
        in_features: D, or a ClassTable, as for CandidateLoss.
        num_classes: C.
        sampler: over C classes.
        **options: as for CandidateLoss. The formula and its sources: logq.functional.sampled_softmax_loss.

    Example:
        >>> from logq.samplers import Uniform
        >>> loss = SampledSoftmaxLoss(8, 100, Uniform(100, 5, seed=1))
        >>> loss(torch.zeros(2, 8), torch.tensor([3, 99])).shape
        torch.Size([])
    """

    OBJECTIVE = "sampled_softmax"


class RefinedSoftmaxLoss(_SampledLoss):
    """Refined softmax: cross-entropy on F of T and F - log Q of S - T; F approximates log P(y|x) + K(x).

        loss = log( exp(F_t) + sum_{s in S - T} exp(F_s - log Q_s) ) - F_t

    Args:
        in_features: D, or a ClassTable, as for CandidateLoss.
        num_classes: C.
        sampler: over C classes.
        **options: as for CandidateLoss. The formula and its sources: logq.functional.refined_softmax_loss.

    Example:
        >>> from logq.samplers import Uniform
        >>> loss = RefinedSoftmaxLoss(8, 100, Uniform(100, 5, seed=1))
        >>> loss(torch.zeros(2, 8), torch.tensor([3, 99])).shape
        torch.Size([])
    """

    OBJECTIVE = "refined_softmax"


class GBCELoss(CandidateLoss):
    """Generalized binary cross-entropy; F approximates log( P / (1 - P) ) + log( beta / Q ).

        loss = beta log(1 + exp(-F_t)) + sum_{s in S - T} log(1 + exp(F_s))
        beta = a (t (1 - 1/a) + 1/a),   a = S / (C - 1)

    Args:
        in_features: D, or a ClassTable, as for CandidateLoss.
        num_classes: C.
        sampler: over C classes. The paper's draws are uniform.
        calibration: t in [0, 1]: at 0 plain logistic loss, at 1 sigmoid(F) = P for uniform draws.
        rate: a in (0, 1]; None takes S / (C - 1), at most 1. For in-batch negatives S is the targets of the batch.
        **options: as for CandidateLoss. The formula and its sources: logq.functional.gbce_loss.

    Raises:
        ValueError: calibration or rate is out of range.

    Example:
        >>> from logq.samplers import Uniform
        >>> loss = GBCELoss(8, 100, Uniform(100, 5, seed=1))
        >>> loss(torch.zeros(2, 8), torch.tensor([3, 99])).shape
        torch.Size([])
    """

    def __init__(
        self,
        in_features: int | ClassTable,
        num_classes: int | Sampler,
        sampler: Sampler | None = None,
        *,
        calibration: float = 0.75,
        rate: float | None = None,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(GBCE.calibrated(calibration, rate), in_features, num_classes, sampler, **options)


class FullLogisticLoss(_FullLoss):
    """Full logistic: binary cross-entropy over all classes; F approximates log( P / (1 - P) ).

        loss = sum_{t in T} log(1 + exp(-F_t)) + sum_{c not in T} log(1 + exp(F_c))

    Args:
        in_features: D, or a ClassTable, as for CandidateLoss.
        num_classes: C.
        **options: as for CandidateLoss. The formula and its sources: logq.functional.full_logistic_loss.

    Example:
        >>> loss = FullLogisticLoss(8, 100)
        >>> loss(torch.zeros(2, 8), torch.tensor([3, 99])).shape
        torch.Size([])
    """

    OBJECTIVE = "full_logistic"


class FullSoftmaxLoss(_FullLoss):
    """Full softmax: cross-entropy over all classes; F approximates log P(y|x) + K(x).

        loss = log( sum_c exp(F_c) ) - F_t

    Args:
        in_features: D, or a ClassTable, as for CandidateLoss.
        num_classes: C.
        **options: as for CandidateLoss. The formula and its sources: logq.functional.full_softmax_loss.

    Example:
        >>> loss = FullSoftmaxLoss(8, 100)
        >>> loss(torch.zeros(2, 8), torch.tensor([3, 99])).shape
        torch.Size([])
    """

    OBJECTIVE = "full_softmax"
