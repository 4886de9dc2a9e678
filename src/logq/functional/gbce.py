"""gBCE: logistic loss whose true classes count less, as most negatives were left out by sampling."""

import math
from typing import TypedDict

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from typing_extensions import Unpack

from logq._arguments import check_float
from logq.candidates import Candidates
from logq.functional.generic import sampled_loss
from logq.losses import logistic
from logq.objectives import Approximation, Negatives, Objective

__all__ = ["GBCEOptions", "gbce_loss", "gbce_objective", "gbce_weight"]


class GBCEOptions(TypedDict, total=False):
    """The keyword arguments of `sampled_loss` that gBCE takes too."""

    bias: Tensor | None
    temperature: float
    cosine: bool
    remove_hits: bool | None
    reduction: str
    ignore_index: int
    sparse: bool


def gbce_weight(calibration: float, rate: float) -> float:
    """beta = a (t (1 - 1/a) + 1/a) = 1 - t (1 - a), what a true class counts; t the calibration, a the rate.

    Example:
        >>> gbce_weight(0.5, 0.5)
        0.75
    """
    calibration = check_float("calibration", calibration, at_least=0, at_most=1)
    return 1 - calibration * (1 - check_float("rate", rate, above=0, at_most=1))


def gbce_objective(beta: float) -> Objective:
    """The row of gBCE, were it in the table: how negatives count, and what F approximates with a weight of beta.

    Example:
        >>> gbce_objective(0.5).negatives.value
        'S - T'
    """
    shift = math.log(beta)

    def of(p: Tensor, q: Tensor) -> Tensor:
        return p - torch.log(-torch.expm1(p)) + shift - q

    def log_p(f: Tensor, q: Tensor) -> Tensor:
        return logsigmoid(f - shift + q)

    meaning = Approximation(of=of, log_p=log_p, normalized=False, uses_q=True)
    return Objective("gbce", Negatives.S_MINUS_T, False, logistic, meaning)


ROW = gbce_objective(1.0)


def gbce_loss(
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    candidates: Candidates,
    *,
    calibration: float = 0.75,
    rate: float | None = None,
    **options: Unpack[GBCEOptions],
) -> Tensor:
    """Generalized binary cross-entropy; F approximates log( P / (1 - P) ) + log( beta / Q ).

        loss = beta log(1 + exp(-F_t)) + sum_{s in S - T} log(1 + exp(F_s))
        beta = a (t (1 - 1/a) + 1/a),   a = S / (C - 1)

    Negative sampling sees every true class and few of the others, so sigmoid(F) is far above P: overconfidence, which
    hurts the order of the best classes. Counting true classes by the rate a at which the others are seen makes
    sigmoid(F) = P: that is t = 1, exact where each class other than the true one is in the sample with probability a.
    t = 0 is plain logistic loss, beta = 1. Between them the order stays the same in theory, and training is
    easier. (Uniform draws from all C classes, hits removed, see each other class at the rate S / C.)

    The paper divides by S + 1, which here is left to the learning rate. A class table that is updated inside of
    backward (logq.optim) gets two updates a step, unless t = 0.

    Args:
        input: queries, float.
        weight: the class table, float.
        candidates: from a sampler's `draw`, or made by hand.
        calibration: t, in [0, 1]. The paper recommends 0.75 with many negatives.
        rate: a, in (0, 1]; None takes S / (C - 1), at most 1.
        **options: as `sampled_loss`.

    Returns and Raises: as `sampled_loss`; ValueError as well for a calibration or rate out of range.

    References:
        Petrov and Macdonald, gSASRec: Reducing Overconfidence in Sequential Recommendation Trained with Negative
        Sampling, RecSys 2023, arXiv:2308.07192, Section 5.

    Example:
        >>> from logq.samplers import Uniform
        >>> candidates = Uniform(9, 4, seed=1, replacement=False).draw(torch.tensor([8]))
        >>> gbce_loss(torch.ones(1, 2), torch.zeros(9, 2), candidates, calibration=1.0)  # (0.5 + 4) log 2
        tensor(3.1192)
    """
    loss = sampled_loss(ROW, input, weight, candidates, **options)
    if rate is None:
        rate = min(1.0, max(1, candidates.ids.shape[-1]) / max(1, weight.shape[0] - 1))
    beta = gbce_weight(calibration, rate)
    if beta == 1:
        return loss
    nothing = candidates.ids.new_empty(0)
    of_true = Candidates(
        nothing,
        candidates.log_expected_count.new_empty(0),
        candidates.targets,
        candidates.true_log_expected_count,
    )
    return loss + (beta - 1) * sampled_loss(ROW, input, weight, of_true, **options)
