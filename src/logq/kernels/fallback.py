"""Cases that fused backends leave to the reference, and the warning about them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from logq._warnings import warn

if TYPE_CHECKING:
    import torch

    from logq.kernels.distributions import Distribution
    from logq.objectives import Objective

__all__ = ["Case", "FallbackWarning", "forget_reports", "report"]


class FallbackWarning(UserWarning):
    """A fused backend is active, but the reference runs: results are the same, but slower.

    It is given once a cause and process. `warnings.simplefilter("error", FallbackWarning)` finds where it comes from,
    and `logq.kernels.explain` says beforehand what runs.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     reported = report("draws", "cpp", "it knows no distribution of the kind Mine"), forget_reports()
        >>> print(caught[0].message)
        logq runs draws on the reference, not on cpp: it knows no distribution of the kind Mine
    """


@dataclass(frozen=True)
class Case:
    """What an op is asked for, as far as a backend's choice depends on it.

    Args:
        objective: of a loss.
        distribution: of draws.
        shared: whether the rows of a batch share their sample.
        dtype: of the input.
        table_dtype: of the class weights.
        dim: D.
        cosine: whether logits are cosines.
        reduction: of the losses.
        gradients: whether any are asked for.
        compiled: whether torch.compile makes a graph.
        transformed: whether a transform of torch.func is active.

    Example:
        >>> Case(reduction="sum").shared
        True
    """

    objective: "Objective | None" = None
    distribution: "Distribution | None" = None
    shared: bool = True
    dtype: "torch.dtype | None" = None
    table_dtype: "torch.dtype | None" = None
    dim: int = 1
    cosine: bool = False
    reduction: str = "mean"
    gradients: bool = True
    compiled: bool = False
    transformed: bool = False


_reported: set[tuple[str, str, str]] = set()


def report(op: str, backend: str, reason: str) -> bool:
    """Warn that an op runs on the reference, once per reason; under torch.compile, when the graph is made.

    Args:
        op: one of OPS.
        backend: the one that refused.
        reason: why.

    Returns:
        True. The tracer of torch.compile takes the call for a constant, and so wants one.
    """
    cause = op, backend, reason
    if cause not in _reported:
        text = f"logq runs {op} on the reference, not on {backend}: {reason}"
        warn(text, FallbackWarning)
        _reported.add(cause)  # not where the warning was made an error: that is to be met again
    return True


# As torch.compiler.assume_constant_result does, which would import the compiler: the tracer runs the function.
report._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def forget_reports() -> None:
    """Warn about every cause again, as a new process would."""
    _reported.clear()
