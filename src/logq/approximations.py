"""The last column of the table of objectives: what logits F approximate, and the way back from F to log P.

LOG_P_OVER_Q       F = log( P / Q )                 log P = F + log Q
LOG_P              F = log P                        log P = F
LOG_P_PLUS_K       F = log P + K(x)                 log P = F up to a constant of the row
LOG_ODDS           F = log( P / (1 - P) )           log P = log sigmoid(F)
LOG_ODDS_OVER_Q    F = log( P / (1 - P) / Q )       log P = log sigmoid(F + log Q)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LOG_ODDS", "LOG_ODDS_OVER_Q", "LOG_P", "LOG_P_OVER_Q", "LOG_P_PLUS_K", "Approximation"]


@dataclass(frozen=True)
class Approximation:
    """The last column where beta = 1: what the logits F are trained to approximate, and the way back to log P.

    Args:
        of: (log P, log Q) -> F.
        log_p: (F, log Q) -> log P up to a constant of the row; for `normalized` False exactly.
        normalized: whether log P of a row is a distribution over the classes, so that its constant can be found.
        uses_q: whether the way back needs log Q.
        has_constant: whether F is right up to a constant K(x) of the row only.
        formula: F as it stands in the table.

    Example:
        >>> LOG_P_OVER_Q.of(torch.tensor(0.5).log(), torch.tensor(2.0).log()).exp()
        tensor(0.2500)
    """

    of: Callable[[Tensor, Tensor], Tensor]
    log_p: Callable[[Tensor, Tensor], Tensor]
    normalized: bool = True
    uses_q: bool = False
    has_constant: bool = False
    formula: str = ""


# Functions and not lambdas, so that an objective can be pickled.


def _first(first: Tensor, second: Tensor) -> Tensor:
    return first


def _difference(log_p: Tensor, log_q: Tensor) -> Tensor:
    return log_p - log_q


def _sum(logits: Tensor, log_q: Tensor) -> Tensor:
    return logits + log_q


def _log_odds(log_p: Tensor, log_q: Tensor) -> Tensor:
    return log_p - log_p.expm1().neg().log()


def _log_odds_over_q(log_p: Tensor, log_q: Tensor) -> Tensor:
    return _log_odds(log_p, log_q) - log_q


def _log_sigmoid(logits: Tensor, log_q: Tensor) -> Tensor:
    from torch.nn.functional import logsigmoid

    return logsigmoid(logits)


def _log_sigmoid_of_sum(logits: Tensor, log_q: Tensor) -> Tensor:
    return _log_sigmoid(logits + log_q, log_q)


LOG_P_OVER_Q: Final = Approximation(_difference, _sum, uses_q=True, formula="log( P / Q )")
LOG_P: Final = Approximation(_first, _first, formula="log P")
LOG_P_PLUS_K: Final = Approximation(_first, _first, has_constant=True, formula="log P + K(x)")
LOG_ODDS: Final = Approximation(_log_odds, _log_sigmoid, normalized=False, formula="log( P / (1-P) )")
LOG_ODDS_OVER_Q: Final = Approximation(
    _log_odds_over_q, _log_sigmoid_of_sum, normalized=False, uses_q=True, formula="log( P / (1-P) / Q )"
)
