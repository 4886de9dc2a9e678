"""THE TABLE of candidate sampling algorithms, as data, and the one way to apply a row of it to logits.

    row                   negatives of row i   logits of the loss   loss       F(x,y) approximates
    negative sampling     S_i                  F                    logistic   log( P(y|x) / Q(y|x) )
    NCE                   S_i                  F - log Q            logistic   log P(y|x)
    sampled logistic      S_i - T_i            F - log Q            logistic   log( P / (1 - P) )
    sampled softmax       S_i - T_i            F - log Q            softmax    log P(y|x) + K(x)
    full logistic         L - T_i              F                    logistic   log( P / (1 - P) )
    full softmax          L - T_i              F                    softmax    log P(y|x) + K(x)

S_i is the sample of row i, T_i its true classes, L all classes. P(y|x) is the probability, or for rows with several
true classes the expected number, of y among T_i; Q(y|x) the expected count of y in S_i. K(x) does not depend on the
class.

References:
    What is Candidate Sampling, TensorFlow documentation, the table on its last page.
    Mikolov et al., Distributed Representations of Words and Phrases, NeurIPS 2013, arXiv:1310.4546, Eq. 4.
    Gutmann and Hyvaerinen, Noise-contrastive estimation, AISTATS 2010. Mnih and Teh, ICML 2012, arXiv:1206.6426.
    Jean et al., On Using Very Large Target Vocabulary, ACL 2015, arXiv:1412.2007, Sec. 3.
    Ma and Collins, Noise Contrastive Estimation and Negative Sampling, EMNLP 2018, arXiv:1809.01812.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from logq.candidates import Candidates, as_columns
from logq.losses import Loss, logistic, softmax

__all__ = [
    "FULL_LOGISTIC",
    "FULL_SOFTMAX",
    "NCE",
    "NEGATIVE_SAMPLING",
    "OBJECTIVES",
    "SAMPLED_LOGISTIC",
    "SAMPLED_SOFTMAX",
    "Approximation",
    "Negatives",
    "Objective",
]


class Negatives(Enum):
    """Which classes are the negatives of a row.

    Example:
        >>> Negatives.S_MINUS_T.value
        'S - T'
    """

    S = "S"
    S_MINUS_T = "S - T"
    L_MINUS_T = "L - T"

    @property
    def sampled(self) -> bool:
        """Whether they come from a sampler (S) and not from all classes (L)."""
        return self is not Negatives.L_MINUS_T


@dataclass(frozen=True)
class Approximation:
    """The last column: what the logits F are trained to approximate, and the way back to log P.

    Args:
        of: (log P, log Q) -> F.
        log_p: (F, log Q) -> log P up to a constant of the row; for `normalized` False exactly.
        normalized: whether log P of a row is a distribution over the classes, so that its constant can be found.
        uses_q: whether the way back needs log Q.
        has_constant: whether F is right up to a constant K(x) of the row only.

    Example:
        >>> NEGATIVE_SAMPLING.approximates.of(torch.tensor(0.5).log(), torch.tensor(2.0).log()).exp()
        tensor(0.2500)
    """

    of: Callable[[Tensor, Tensor], Tensor]
    log_p: Callable[[Tensor, Tensor], Tensor]
    normalized: bool = True
    uses_q: bool = False
    has_constant: bool = False

    def start(self, num_classes: int, log_q: float = 0.0) -> float:
        """F where all classes are alike, P = 1 / C: where biases should start. 0 where F is right up to a constant.

        Example:
            >>> round(NCE.approximates.start(1000), 3)
            -6.908
        """
        if self.has_constant or num_classes < 2:
            return 0.0
        log_p = torch.tensor(-math.log(num_classes), dtype=torch.float64)
        return float(self.of(log_p, torch.full_like(log_p, log_q)))


LOG_P_OVER_Q: Final = Approximation(of=lambda p, q: p - q, log_p=lambda f, q: f + q, uses_q=True)
LOG_P: Final = Approximation(of=lambda p, q: p, log_p=lambda f, q: f)
LOG_P_PLUS_K: Final = Approximation(of=lambda p, q: p, log_p=lambda f, q: f, has_constant=True)
LOG_ODDS: Final = Approximation(
    of=lambda p, q: p - torch.log(-torch.expm1(p)), log_p=lambda f, q: logsigmoid(f), normalized=False
)


@dataclass(frozen=True)
class Objective:
    """One row of the table.

    Args:
        name: as in OBJECTIVES.
        negatives: which classes are negatives.
        subtract_log_q: whether the logits of the loss are F - log Q or F.
        loss: logistic or softmax.
        approximates: what F is trained to approximate.

    Example:
        >>> from logq.samplers import EveryClass
        >>> every = EveryClass(3).draw(torch.tensor([2]))
        >>> SAMPLED_SOFTMAX(torch.tensor([1.0]), torch.tensor([[0.0, 0.0, 1.0]]), every)
        tensor([0.5514])
    """

    name: str
    negatives: Negatives
    subtract_log_q: bool
    loss: Loss
    approximates: Approximation

    def __call__(
        self,
        true_logits: Tensor,  # (B,) or (B, T), float
        sampled_logits: Tensor,  # (B, S), float
        candidates: Candidates,
        *,
        remove_hits: bool | None = None,
    ) -> Tensor:  # (B,)
        """The loss of each row, in nats; gradients reach both logits.

        Args:
            true_logits: F of the true classes; what stands at IGNORED entries does not matter.
            sampled_logits: F of the sampled classes.
            candidates: the classes that these are the logits of, and their expected counts.
            remove_hits: whether sampled copies of a true class leave the negatives; None means as the table says.
                Softmax over draws with replacement is exact when hits stay (each draw then is a class of its own:
                Ma and Collins 2018) and biased when they leave, the less the more classes there are, and the more the
                larger the sample is (docs/diagnostics.md).

        Returns:
            (B,); 0 for a row without a true class.

        Raises:
            ValueError: several true classes for a row whose loss takes one.
        """
        true_log_q, log_q = candidates.true_log_expected_count, candidates.log_expected_count
        true_logits, true_log_q, is_true = map(as_columns, (true_logits, true_log_q, candidates.is_true()))
        self.check_num_true(is_true.shape[1])
        if self.subtract_log_q:
            true_logits = true_logits - true_log_q.detach().to(true_logits.dtype)
            sampled_logits = sampled_logits - log_q.detach().to(sampled_logits.dtype)
        # An entry that is no class may carry anything, also NaN or the infinity of an expected count of 0: it must not
        # reach the gradient.
        true_logits = true_logits.where(is_true, 0.0)
        if remove_hits is None:
            remove_hits = self.negatives is not Negatives.S
        is_negative = ~candidates.hits() if remove_hits else None
        if candidates.excluded is not None:
            is_negative = ~candidates.excluded if is_negative is None else is_negative & ~candidates.excluded
        loss = self.loss(true_logits, sampled_logits, is_true, is_negative)
        return loss.where(is_true.any(dim=1), 0.0)

    def check_num_true(self, num_true: int) -> None:
        """Raise ValueError if a row may not have that many true classes."""
        if self.loss is softmax and num_true != 1:
            raise ValueError(
                f"targets: {self.name} takes one true class a row, got {num_true}; repeat the input and pass a row for "
                "each (input.repeat_interleave(T, dim=0), targets.flatten()), or take a logistic objective"
            )


# fmt: off
NEGATIVE_SAMPLING: Final = Objective("negative_sampling", Negatives.S,         False, logistic, LOG_P_OVER_Q)
NCE:               Final = Objective("nce",               Negatives.S,         True,  logistic, LOG_P)
SAMPLED_LOGISTIC:  Final = Objective("sampled_logistic",  Negatives.S_MINUS_T, True,  logistic, LOG_ODDS)
SAMPLED_SOFTMAX:   Final = Objective("sampled_softmax",   Negatives.S_MINUS_T, True,  softmax,  LOG_P_PLUS_K)
FULL_LOGISTIC:     Final = Objective("full_logistic",     Negatives.L_MINUS_T, False, logistic, LOG_ODDS)
FULL_SOFTMAX:      Final = Objective("full_softmax",      Negatives.L_MINUS_T, False, softmax,  LOG_P_PLUS_K)
# fmt: on

OBJECTIVES: Final = {
    row.name: row for row in (NEGATIVE_SAMPLING, NCE, SAMPLED_LOGISTIC, SAMPLED_SOFTMAX, FULL_LOGISTIC, FULL_SOFTMAX)
}
"""The rows by name."""
