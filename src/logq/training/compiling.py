"""Models compiled by torch.compile, where it has a compiler."""

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

import torch

from logq._warnings import warn
from logq.training.running_mean import TrainingWarning

__all__ = ["Compiled"]

P = ParamSpec("P")
R = TypeVar("R")


class Compiled(Generic[P, R]):
    """A function compiled when it is first called, and the function itself if that fails.

    Args:
        function: of a module in training: from a batch to queries.

    Warns:
        TrainingWarning: it cannot be compiled here, as where there is no C++ compiler, or on a GPU no Triton.

    Example:
        >>> double = Compiled(lambda x: 2 * x)  # doctest: +SKIP
        >>> double(torch.ones(2))  # doctest: +SKIP
        tensor([2., 2.])
    """

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        self._compiled: Callable[P, R] | None = torch.compile(function)
        self._failure: type[Exception] = torch._dynamo.exc.TorchDynamoException  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function returns, up to rounding."""
        if self._compiled is None:
            return self.function(*args, **kwargs)
        try:
            return self._compiled(*args, **kwargs)
        except self._failure as error:
            self._compiled = None
            why = " ".join(str(error).partition("\n\n")[0].split())
            text = f"compile: torch.compile failed, so the model is trained without ({why})"
            warn(text, TrainingWarning)
            return self.function(*args, **kwargs)
