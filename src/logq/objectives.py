"""THE TABLE of candidate sampling algorithms, as data, and the one way to apply an objective of it to logits.

    objective            negatives of row i   logits of the loss   loss               F(x,y) approximates
    negative sampling    S_i                  F                    logistic           log( P(y|x) / Q(y|x) )
    NCE                  S_i                  F - log Q            logistic           log P(y|x)
    sampled logistic     S_i - T_i            F - log Q            logistic           log( P / (1 - P) )
    sampled softmax      S_i - T_i            F - log Q            softmax            log P(y|x) + K(x)
    refined softmax      S_i - T_i            F - log Q of S_i     softmax            log P(y|x) + K(x)
    gBCE                 S_i - T_i            F                    logistic, beta     log( P / (1 - P) / Q ) + log beta
    full logistic        L - T_i              F                    logistic           log( P / (1 - P) )
    full softmax         L - T_i              F                    softmax            log P(y|x) + K(x)

S_i is the sample of row i, T_i its true classes, L all classes. P(y|x) is the probability, or for rows with several
true classes the expected number, of y among T_i; Q(y|x) the expected count of y in S_i. K(x) does not depend on the
class. beta is what a true class of gBCE counts; elsewhere it is 1. Refined softmax subtracts no log Q from the true
class: its approximation is that of large samples.

The names of the table are known without torch, which is imported when something is computed.

References:
    What is Candidate Sampling, TensorFlow documentation, the table on its last page.
    Mikolov et al., Distributed Representations of Words and Phrases, NeurIPS 2013, arXiv:1310.4546, Eq. 4.
    Gutmann and Hyvaerinen, Noise-contrastive estimation, AISTATS 2010. Mnih and Teh, ICML 2012, arXiv:1206.6426.
    Jean et al., On Using Very Large Target Vocabulary, ACL 2015, arXiv:1412.2007, Sec. 3.
    Ma and Collins, Noise Contrastive Estimation and Negative Sampling, EMNLP 2018, arXiv:1809.01812.
    Petrov and Macdonald, gSASRec, RecSys 2023, arXiv:2308.07192, Sec. 5: gBCE.
    Khrylchenko et al., Correcting the LogQ Correction, RecSys 2025, arXiv:2507.09331: refined softmax.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from logq._arguments import ArgumentError, Verbatim, check_float
from logq.approximations import LOG_ODDS, LOG_ODDS_OVER_Q, LOG_P, LOG_P_OVER_Q, LOG_P_PLUS_K, Approximation
from logq.candidates import Candidates, as_columns
from logq.row_losses import Loss, logistic, mean_logit, softmax

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "FULL_LOGISTIC",
    "FULL_SOFTMAX",
    "GBCE",
    "NCE",
    "NEGATIVE_SAMPLING",
    "OBJECTIVES",
    "REFINED_SOFTMAX",
    "SAMPLED_LOGISTIC",
    "SAMPLED_SOFTMAX",
    "Approximation",
    "Loss",
    "Negatives",
    "Objective",
    "find_objective",
    "logistic",
    "objective_name",
    "softmax",
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
class Objective:
    """One objective of the table.

    Args:
        name: as in OBJECTIVES.
        negatives: which classes are negatives.
        subtract_log_q: whether the logits of the loss are F - log Q or F.
        loss: logistic or softmax; for sampled negatives also one of your own, which runs on the reference.
        approximates: what F is trained to approximate, but for beta.
        calibration: t in [0, 1]: a true class counts beta = 1 - t (1 - a) in the logistic loss, a being the rate at
            which the other classes are seen. None and 0 count it once.
        rate: a in (0, 1]; None for that of the sample, see `for_sample`.
        label_smoothing: epsilon in [0, 1], see `smoothed`.
        true_log_q: whether log Q, where it is subtracted, is subtracted from the true class as well.
        smoothed_over: C, over which softmax averages with label smoothing; None for the classes of the table that a
            loss is given, see `for_sample`.

    Raises:
        ArgumentError: a number is out of range, or the loss is not one that takes it; or negatives are all classes and
            the loss is one of your own.

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
    calibration: float | None = None
    rate: float | None = None
    label_smoothing: float = 0.0
    true_log_q: bool = True
    smoothed_over: int | None = None

    def __post_init__(self) -> None:
        table = self.loss in (logistic, softmax)
        if not self.negatives.sampled and not table:
            raise ArgumentError("loss", "logistic or softmax over all classes, a chunk at a time", self.loss)
        if check_float("label_smoothing", self.label_smoothing, at_least=0, at_most=1) and not table:
            raise ArgumentError("label_smoothing", "0 for a loss of your own", self.label_smoothing)
        if self.calibration is None:
            return
        check_float("calibration", self.calibration, at_least=0, at_most=1)
        if self.rate is not None:
            check_float("rate", self.rate, above=0, at_most=1)
        if self.loss is not logistic:
            raise ArgumentError("calibration", "None for a loss other than logistic", self.calibration)

    def __call__(
        self,
        true_logits: Tensor,  # (B,) or (B, T), float
        sampled_logits: Tensor,  # (B, S), float
        candidates: Candidates,
        *,
        remove_hits: bool | None = None,
        num_classes: int | None = None,
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
            num_classes: C, which gBCE needs unless it has a rate, and softmax with label smoothing.

        Returns:
            (B,); 0 for a row without a true class.

        Raises:
            ValueError: several true classes for a row whose loss takes one.
        """
        true_log_q, log_q = candidates.true_log_expected_count, candidates.log_expected_count
        true_logits, true_log_q, is_true = map(as_columns, (true_logits, true_log_q, candidates.is_true()))
        self.check_num_true(is_true.shape[1])
        plain = true_logits.where(is_true, 0.0), sampled_logits
        if self.subtract_log_q:
            if self.true_log_q:
                true_logits = true_logits - true_log_q.detach().to(true_logits.dtype)
            sampled_logits = sampled_logits - log_q.detach().to(sampled_logits.dtype)
        # An entry that is not a class may carry anything, also NaN or the infinity of an expected count of 0: it must
        # not reach the gradient.
        true_logits = true_logits.where(is_true, 0.0)
        if remove_hits is None:
            remove_hits = self.negatives is not Negatives.S
        is_negative = ~candidates.hits() if remove_hits else None
        if candidates.excluded is not None:
            is_negative = ~candidates.excluded if is_negative is None else is_negative & ~candidates.excluded
        weight = self.true_weight(sampled_logits.shape[1], num_classes)
        if self.calibration is None:
            loss = self.loss(true_logits, sampled_logits, is_true, is_negative)
        else:
            loss = logistic(true_logits, sampled_logits, is_true, is_negative, weight)
        if self.label_smoothing and self.loss is softmax:
            num_classes = self.smoothed_over or num_classes
            if num_classes is None:
                raise ArgumentError("num_classes", "C, which label smoothing averages over", Verbatim("None"))
            mean = mean_logit(*plain, log_q, is_negative, num_classes, with_true=remove_hits)
            loss = loss + self.label_smoothing * (plain[0][:, 0] - mean)
        elif self.label_smoothing:
            negative = sampled_logits if is_negative is None else sampled_logits.where(is_negative, 0.0)
            change = weight * true_logits.sum(dim=1) - negative.sum(dim=1)
            loss = loss + self.label_smoothing / 2 * change
        return loss.where(is_true.any(dim=1), 0.0)

    def check_num_true(self, num_true: int) -> None:
        """Raise ValueError if a row may not have that many true classes."""
        if self.loss is softmax and num_true != 1:
            raise ArgumentError(
                "targets",
                f"one true class per row for {self.name}",
                num_true,
                "repeat the input and pass a row for each (input.repeat_interleave(T, dim=0), targets.flatten()), or "
                "take a logistic objective",
            )

    def calibrated(self, calibration: float, rate: float | None = None) -> Objective:
        """The same objective with another calibration t and rate a.

        Raises:
            ArgumentError, ArgumentTypeError: a number is out of range, or is not a number.

        Example:
            >>> round(GBCE.calibrated(0.5, rate=0.5).true_weight(), 2)
            0.75
        """
        calibration = check_float("calibration", calibration, at_least=0, at_most=1)
        rate = None if rate is None else check_float("rate", rate, above=0, at_most=1)
        return replace(self, calibration=calibration, rate=rate)

    def smoothed(self, label_smoothing: float | None) -> Objective:
        """The same objective with label smoothing.

        Softmax trains on (1 - epsilon) of the true class and epsilon / C of every class, as
        torch.nn.functional.cross_entropy does: its loss grows by epsilon (F_t - mean_c F_c). Of a sample, the mean is
        estimated by 1/C sum F_s / Q_s, which is exact on average and for a sample of all classes. Logistic losses train
        on labels of 1 - epsilon / 2 and epsilon / 2.

        Args:
            label_smoothing: epsilon in [0, 1]; None leaves it as it is.

        Raises:
            ArgumentError, ArgumentTypeError: it is out of range, or is not a number.

        References:
            Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, arXiv:1512.00567,
            section 7.

        Example:
            >>> SAMPLED_SOFTMAX.smoothed(0.1).label_smoothing
            0.1
        """
        if label_smoothing is None:
            return self
        label_smoothing = check_float("label_smoothing", label_smoothing, at_least=0, at_most=1)
        return self if label_smoothing == self.label_smoothing else replace(self, label_smoothing=label_smoothing)

    def for_sample(self, num_sampled: float, num_classes: int) -> Objective:
        """The same objective with the rate of samples of S out of C classes: a = S / (C - 1), at most 1.

        For in-batch negatives S is the targets of the batch. A rate that was given stays. Label smoothing of softmax is
        over C, also where a loss is given the rows of some classes alone.

        Example:
            >>> NCE.for_sample(5, 101) is NCE, GBCE.for_sample(5, 101).rate
            (True, 0.05)
            >>> SAMPLED_SOFTMAX.smoothed(0.1).for_sample(5, 101).smoothed_over
            101
        """
        if self.label_smoothing and self.loss is softmax:
            return replace(self, smoothed_over=num_classes)
        if self.calibration is None or self.rate is not None:
            return self
        return replace(self, rate=_rate(num_sampled, num_classes))

    def true_weight(self, num_sampled: float | None = None, num_classes: int | None = None) -> float:
        """beta = a (t (1 - 1/a) + 1/a) = 1 - t (1 - a), what a true class counts.

        Args:
            num_sampled: S, and
            num_classes: C, as for `for_sample`.

        Example:
            >>> NCE.true_weight(), GBCE.true_weight(201, 101)
            (1.0, 1.0)
        """
        if self.calibration is None:
            return 1.0
        if self.rate is not None:
            return 1 - self.calibration * (1 - self.rate)
        if num_sampled is None or num_classes is None:
            hint = f"{self.name} needs the rate at which classes are sampled: for_sample gives it"
            raise ArgumentError("rate", "a number in (0, 1]", Verbatim("None"), hint)
        return 1 - self.calibration * (1 - _rate(num_sampled, num_classes))

    def logits(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """The last column: F of classes with these log P and log Q.

        Example:
            >>> GBCE.calibrated(1.0, rate=0.5).logits(torch.tensor(0.5).log(), torch.tensor(0.5).log())
            tensor(0.)
        """
        return self.approximates.of(log_p, log_q) + math.log(self.true_weight())

    def log_p(self, logits: Tensor, log_q: Tensor | None = None) -> Tensor:
        """The way back from F to log P, up to a constant of the row where that is `normalized`.

        Args:
            logits: F, of any shape.
            log_q: of the same classes; None adds nothing where it would be needed.

        Example:
            >>> SAMPLED_LOGISTIC.log_p(torch.tensor(0.0)).exp()
            tensor(0.5000)
        """
        shifted = logits - math.log(self.true_weight()) if self.calibration is not None else logits
        return self.approximates.log_p(shifted, logits.new_zeros(()) if log_q is None else log_q)

    def start(self, num_classes: int, log_q: float | None = None) -> float:
        """F where all classes are equally likely, P = 1 / C: where biases should start.

        Args:
            num_classes: C.
            log_q: of each class; where F depends on it and it is unknown, and where F is right up to a constant, 0.

        Example:
            >>> round(NCE.start(1000), 3), SAMPLED_SOFTMAX.start(1000)
            (-6.908, 0.0)
        """
        import torch

        if self.approximates.has_constant or num_classes < 2 or (self.approximates.uses_q and log_q is None):
            return 0.0
        log_p = torch.tensor(-math.log(num_classes), dtype=torch.float64, device="cpu")  # a number, on "meta" too
        return float(self.logits(log_p, torch.full_like(log_p, log_q or 0.0)))

    def ranking_offset(self, log_q: Tensor) -> Tensor | None:
        """(C,), what has to be added to F before classes are ranked by it; None where F ranks as P does.

        Negative sampling learns log( P / Q ), gBCE log odds of P up to - log Q, so log Q is added again.

        Args:
            log_q: (C,), of all classes; -inf for a class that is never drawn. It was never a target then, and goes
                below all others, but stays a number.

        Example:
            >>> NEGATIVE_SAMPLING.ranking_offset(torch.tensor([0.5, 0.25]).log()), NCE.ranking_offset(torch.zeros(2))
            (tensor([ 0.0000, -0.6931]), None)
        """
        if not self.approximates.uses_q:
            return None
        finite = log_q.isfinite()
        return log_q.where(finite, log_q.where(finite, math.inf).min() - 100.0) - log_q.max()


def _rate(num_sampled: float, num_classes: int) -> float:
    return min(1.0, max(1, num_sampled) / max(1, num_classes - 1))


# fmt: off
NEGATIVE_SAMPLING: Final = Objective("negative_sampling", Negatives.S,         False, logistic, LOG_P_OVER_Q)
NCE:               Final = Objective("nce",               Negatives.S,         True,  logistic, LOG_P)
SAMPLED_LOGISTIC:  Final = Objective("sampled_logistic",  Negatives.S_MINUS_T, True,  logistic, LOG_ODDS)
SAMPLED_SOFTMAX:   Final = Objective("sampled_softmax",   Negatives.S_MINUS_T, True,  softmax,  LOG_P_PLUS_K)
GBCE:              Final = Objective("gbce",              Negatives.S_MINUS_T, False, logistic, LOG_ODDS_OVER_Q, 0.75)
FULL_LOGISTIC:     Final = Objective("full_logistic",     Negatives.L_MINUS_T, False, logistic, LOG_ODDS)
FULL_SOFTMAX:      Final = Objective("full_softmax",      Negatives.L_MINUS_T, False, softmax,  LOG_P_PLUS_K)
# fmt: on
REFINED_SOFTMAX: Final = replace(SAMPLED_SOFTMAX, name="refined_softmax", true_log_q=False)

_TABLE = (
    NEGATIVE_SAMPLING,
    NCE,
    SAMPLED_LOGISTIC,
    SAMPLED_SOFTMAX,
    REFINED_SOFTMAX,
    GBCE,
    FULL_LOGISTIC,
    FULL_SOFTMAX,
)

OBJECTIVES: Final = {objective.name: objective for objective in _TABLE}
"""The table: objectives by name. Whatever takes an objective by name looks here."""


def find_objective(objective: Objective | str) -> Objective:
    """An objective of the table by its name; an Objective is returned as it is.

    Raises:
        ArgumentError: there is none of that name.

    Example:
        >>> find_objective("nce") is NCE
        True
    """
    return objective if isinstance(objective, Objective) else OBJECTIVES[objective_name(objective)]


def objective_name(objective: object, others: Sequence[str] = ()) -> str:
    """The name of an objective of the table, given by name or itself, for what keeps names.

    Args:
        objective: a name, or an Objective of the table.
        others: names that are allowed as well.

    Raises:
        ArgumentError: there is none of that name.

    Example:
        >>> objective_name(NCE), objective_name("adaptive_softmax", ["adaptive_softmax"])
        ('nce', 'adaptive_softmax')
    """
    name = getattr(objective, "name", objective)
    if not isinstance(name, str) or (name not in OBJECTIVES and name not in others):
        raise ArgumentError("objective", f"one of {', '.join((*OBJECTIVES, *others))}", objective)
    return name
