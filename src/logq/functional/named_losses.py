"""The objectives of the table, each a function with its name and its formula."""

from typing import TypedDict

from torch import Tensor
from typing_extensions import Unpack

from logq.candidates import Candidates
from logq.functional.general_losses import full_loss, sampled_loss
from logq.objectives import (
    FULL_LOGISTIC,
    FULL_SOFTMAX,
    GBCE,
    NCE,
    NEGATIVE_SAMPLING,
    REFINED_SOFTMAX,
    SAMPLED_LOGISTIC,
    SAMPLED_SOFTMAX,
)

__all__ = [
    "full_logistic_loss",
    "full_softmax_loss",
    "gbce_loss",
    "nce_loss",
    "negative_sampling_loss",
    "refined_softmax_loss",
    "sampled_logistic_loss",
    "sampled_softmax_loss",
]


class FullOptions(TypedDict, total=False):
    """The keyword arguments of `full_loss`."""

    bias: Tensor | None
    temperature: float | Tensor
    cosine: bool
    reduction: str
    ignore_index: int
    row_weight: Tensor | None
    label_smoothing: float | None


class SampledOptions(FullOptions, total=False):
    """The keyword arguments of `sampled_loss`."""

    remove_hits: bool | None
    sparse: bool
    extra_negatives: Tensor | None


def negative_sampling_loss(
    input: Tensor, weight: Tensor, candidates: Candidates, **options: Unpack[SampledOptions]
) -> Tensor:
    """Negative sampling: logistic loss on F, negatives S; F approximates log( P(y|x) / Q(y|x) ).

        loss = log(1 + exp(-F_t)) + sum_{s in S} log(1 + exp(F_s))

    Equivalent to: word2vec's objective; chainer.functions.negative_sampling.

    Args, Returns and Raises: as `sampled_loss`.

    References:
        Mikolov et al., Distributed Representations of Words and Phrases, NeurIPS 2013, arXiv:1310.4546, Eq. 4.
        Levy and Goldberg, Neural Word Embedding as Implicit Matrix Factorization, NeurIPS 2014, Eq. 7.

    Example:
        >>> from logq.samplers import Uniform
        >>> candidates = Uniform(9, 3, seed=1).draw(torch.tensor([3]))
        >>> negative_sampling_loss(torch.ones(1, 2), torch.zeros(9, 2), candidates)  # 4 log 2
        tensor(2.7726)
    """
    return sampled_loss(NEGATIVE_SAMPLING, input, weight, candidates, **options)


def nce_loss(input: Tensor, weight: Tensor, candidates: Candidates, **options: Unpack[SampledOptions]) -> Tensor:
    """Noise-contrastive estimation: logistic loss on G = F - log Q, negatives S; F approximates log P(y|x).

        loss = log(1 + exp(-G_t)) + sum_{s in S} log(1 + exp(G_s))

    Equivalent to: tf.nn.nce_loss for one true class; with several, TensorFlow gives each a label of 1/T.

    Args, Returns and Raises: as `sampled_loss`.

    References:
        Gutmann and Hyvaerinen, Noise-contrastive estimation, AISTATS 2010, Eq. 3.
        Mnih and Teh, A fast and simple algorithm for training neural probabilistic language models, ICML 2012.

    Example:
        >>> from logq.samplers import Uniform
        >>> candidates = Uniform(9, 9, seed=1).draw(torch.tensor([3]))
        >>> nce_loss(torch.ones(1, 2), torch.zeros(9, 2), candidates)  # Q = 1: 10 log 2
        tensor(6.9315)
    """
    return sampled_loss(NCE, input, weight, candidates, **options)


def sampled_logistic_loss(
    input: Tensor, weight: Tensor, candidates: Candidates, **options: Unpack[SampledOptions]
) -> Tensor:
    """Sampled logistic: logistic loss on G = F - log Q, negatives S - T; F approximates log( P / (1 - P) ).

        loss = log(1 + exp(-G_t)) + sum_{s in S - T} log(1 + exp(G_s))

    Args, Returns and Raises: as `sampled_loss`.

    References:
        What is Candidate Sampling, TensorFlow documentation, "Sampled Logistic".

    Example:
        >>> from logq.samplers import EveryClass
        >>> candidates = EveryClass(9).draw(torch.tensor([3]))
        >>> sampled_logistic_loss(torch.ones(1, 2), torch.zeros(9, 2), candidates)  # 9 log 2
        tensor(6.2383)
    """
    return sampled_loss(SAMPLED_LOGISTIC, input, weight, candidates, **options)


def sampled_softmax_loss(
    input: Tensor, weight: Tensor, candidates: Candidates, **options: Unpack[SampledOptions]
) -> Tensor:
    """Sampled softmax: cross-entropy on G = F - log Q among T and S - T; F approximates log P(y|x) + K(x).

        loss = log( exp(G_t) + sum_{s in S - T} exp(G_s) ) - G_t

    Equivalent to: tf.nn.sampled_softmax_loss, which has no bias-free form and one true class too.

    Args, Returns and Raises: as `sampled_loss`.

    References:
        Jean et al., On Using Very Large Target Vocabulary for Neural Machine Translation, ACL 2015, arXiv:1412.2007.
        Bengio and Senecal, Adaptive Importance Sampling, IEEE Trans. Neural Networks 2008.

    Example:
        >>> from logq.samplers import EveryClass
        >>> candidates = EveryClass(9).draw(torch.tensor([3]))
        >>> sampled_softmax_loss(torch.ones(1, 2), torch.zeros(9, 2), candidates)  # log 9
        tensor(2.1972)
    """
    return sampled_loss(SAMPLED_SOFTMAX, input, weight, candidates, **options)


def refined_softmax_loss(
    input: Tensor, weight: Tensor, candidates: Candidates, **options: Unpack[SampledOptions]
) -> Tensor:
    """Refined softmax: cross-entropy on F of T and F - log Q of S - T; F approximates log P(y|x) + K(x).

        loss = log( exp(F_t) + sum_{s in S - T} exp(F_s - log Q_s) ) - F_t

    The argument of the logarithm is an unbiased estimate of the normalizer of the full softmax: the true class is in it
    with certainty, and so carries no log Q. Its gradient is that of the full softmax up to a bias, as of any logarithm
    of an estimate, and F is what it approximates in the limit of large samples alone, where `sampled_softmax_loss` has
    designs that are exact with a sample of one. docs/consistency.md compares the two.

    The paper writes the same gradient as a weighted loss, with 1 - P_t held fixed as the weight. Its distribution of
    draws other than the true class, Q / (1 - Q_t), is not needed here: Q counts what is expected of a whole sample,
    hits included, which then leave it.

    Args, Returns and Raises: as `sampled_loss`.

    References:
        Khrylchenko, Baikalov, Makeev, Matveev and Liamaev, Correcting the LogQ Correction: Revisiting Sampled Softmax
        for Large-Scale Retrieval, RecSys 2025, arXiv:2507.09331.

    Example:
        >>> from logq.samplers import EveryClass
        >>> candidates = EveryClass(9).draw(torch.tensor([3]))
        >>> refined_softmax_loss(torch.ones(1, 2), torch.zeros(9, 2), candidates)  # log 9
        tensor(2.1972)
    """
    return sampled_loss(REFINED_SOFTMAX, input, weight, candidates, **options)


def gbce_loss(
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    candidates: Candidates,
    *,
    calibration: float = 0.75,
    rate: float | None = None,
    **options: Unpack[SampledOptions],
) -> Tensor:
    """Generalized binary cross-entropy; F approximates log( P / (1 - P) ) + log( beta / Q ).

        loss = beta log(1 + exp(-F_t)) + sum_{s in S - T} log(1 + exp(F_s))
        beta = a (t (1 - 1/a) + 1/a),   a = S / (C - 1)

    Negative sampling sees every true class and few of the others, so sigmoid(F) is far above P: overconfidence, which
    hurts the order of the best classes. Counting true classes by the rate a at which the others are seen makes
    sigmoid(F) = P: that is t = 1, exact where each class other than the true one is in the sample with probability a.
    t = 0 is plain logistic loss, beta = 1. Between them the order stays the same in theory, and training is
    easier. (Uniform draws from all C classes, hits removed, see each other class at the rate S / C.)

    The paper divides by S + 1, which here is left to the learning rate.

    Args:
        input: queries, float.
        weight: the class weights, float.
        candidates: from a sampler's `draw`, or made by hand.
        calibration: t, in [0, 1]. The paper recommends 0.75 with many negatives.
        rate: a, in (0, 1]; None takes S / (C - 1), at most 1. For in-batch negatives S is the targets of the batch.
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
    return sampled_loss(GBCE.calibrated(calibration, rate), input, weight, candidates, **options)


def full_logistic_loss(input: Tensor, weight: Tensor, targets: Tensor, **options: Unpack[FullOptions]) -> Tensor:
    """Full logistic: binary cross-entropy over all classes; F approximates log( P / (1 - P) ).

        loss = sum_{t in T} log(1 + exp(-F_t)) + sum_{c not in T} log(1 + exp(F_c))

    Equivalent to: torch.nn.functional.binary_cross_entropy_with_logits summed over classes, without (B, C) logits.

    Args, Returns and Raises: as `full_loss`.

    Example:
        >>> full_logistic_loss(torch.ones(1, 2), torch.zeros(9, 2), torch.tensor([[3, 5]]))  # 9 log 2
        tensor(6.2383)
    """
    return full_loss(FULL_LOGISTIC, input, weight, targets, **options)


def full_softmax_loss(input: Tensor, weight: Tensor, targets: Tensor, **options: Unpack[FullOptions]) -> Tensor:
    """Full softmax: cross-entropy over all classes; F approximates log P(y|x) + K(x).

        loss = log( sum_c exp(F_c) ) - F_t

    Equivalent to: torch.nn.functional.cross_entropy(input @ weight.T, targets), without (B, C) logits.

    Args, Returns and Raises: as `full_loss`.

    Example:
        >>> full_softmax_loss(torch.ones(1, 2), torch.zeros(9, 2), torch.tensor([3]))  # log 9
        tensor(2.1972)
    """
    return full_loss(FULL_SOFTMAX, input, weight, targets, **options)
