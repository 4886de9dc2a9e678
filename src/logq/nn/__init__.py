"""Modules that own a class table: losses in training, log-probabilities and the best classes afterwards."""

from logq.nn.candidate_loss import CandidateLoss, TopK
from logq.nn.loss_modules import (
    FullLogisticLoss,
    FullSoftmaxLoss,
    GBCELoss,
    NCELoss,
    NegativeSamplingLoss,
    SampledLogisticLoss,
    SampledSoftmaxLoss,
)

__all__ = [
    "CandidateLoss",
    "FullLogisticLoss",
    "FullSoftmaxLoss",
    "GBCELoss",
    "NCELoss",
    "NegativeSamplingLoss",
    "SampledLogisticLoss",
    "SampledSoftmaxLoss",
    "TopK",
]
