"""What an estimator can be told to train with, by name, without loading what the names stand for."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["OBJECTIVES", "SAMPLERS", "SamplerChoice", "check_objective", "check_sampler"]

OBJECTIVES = {
    "negative_sampling": True,
    "nce": True,
    "sampled_logistic": True,
    "sampled_softmax": True,
    "full_logistic": False,
    "full_softmax": False,
}
"""The rows of the table in logq.objectives, and whether they sample."""

SAMPLERS = ("unigram", "uniform", "log_uniform", "learned_unigram", "in_batch", "every_class")
"""The samplers that have a name."""

SamplerChoice: TypeAlias = str | Callable[[NDArray[np.int64]], Any]
"""A name, or a function of the counts of the classes, most frequent first, that makes a sampler."""


def check_objective(objective: object) -> str:
    """Return the name of a row of the table.

    Raises:
        ValueError: there is no such row.

    Example:
        >>> check_objective("nce")
        'nce'
    """
    name = getattr(objective, "name", objective)  # a row itself will do as well
    if not isinstance(name, str) or name not in OBJECTIVES:
        raise ValueError(f"objective: expected one of {', '.join(OBJECTIVES)}, got {objective!r}")
    return name


def check_sampler(choice: object) -> Any:
    """Return `choice`, a name or a function.

    Raises:
        TypeError, ValueError: it is neither.

    Example:
        >>> check_sampler("uniform")
        'uniform'
    """
    if hasattr(choice, "log_expected_count"):
        raise TypeError(
            f"sampler: expected a name or a function that makes one once the words are counted, got a {choice}; "
            "write lambda counts: Uniform(len(counts), 64)"
        )
    if callable(choice) or (isinstance(choice, str) and choice in SAMPLERS):
        return choice
    kind = ValueError if isinstance(choice, str) else TypeError
    raise kind(f"sampler: expected one of {', '.join(SAMPLERS)} or a function of the counts, got {choice!r}")
