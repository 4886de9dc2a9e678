"""Functions that break the graph of torch.compile, without loading the compiler until something is compiled."""

import sys
from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

import torch

__all__ = ["outside_of_graphs"]

REASON = (
    "it takes a number from a generator of the host, or makes sparse gradients, which no graph can; compile without "
    "fullgraph=True, or let the device draw, by sampler.seeds_on_device(), or draw before, candidates = "
    "sampler.draw(targets), and hand the candidates to a loss of logq.functional"
)

Function = TypeVar("Function", bound=Callable[..., Any])

_disabled: dict[str, Callable[..., Any]] = {}


def outside_of_graphs(function: Function) -> Function:
    """Run a function eagerly under torch.compile too, as torch.compiler.disable does: the graph breaks at its call.

    That decorator imports torch._dynamo when it is applied, which takes 1.3 s and 70 MB; here it is applied when a call
    is first traced.

    Example:
        >>> @outside_of_graphs
        ... def look(x):
        ...     return float(x)
        >>> look(torch.ones(()))
        1.0
    """
    name = f"{function.__module__}.{function.__qualname__}"

    def is_ready() -> bool:
        if name not in _disabled:
            # Since torch 2.7 what it says of a graph that may not break gives a reason.
            options: dict[str, Any] = (
                {"reason": REASON} if "reason" in signature(torch.compiler.disable).parameters else {}
            )
            _disabled[name] = torch.compiler.disable(function, **options)
        return True

    # What torch.compiler.assume_constant_result sets: the tracer runs the function, and then looks into the dict.
    is_ready._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if torch.compiler.is_compiling() and is_ready():
            return _disabled[name](*arguments, **options)
        # Where the compiler gives up on the caller, it goes on with what that calls: with the frame of `function`.
        if "torch._dynamo" in sys.modules and is_ready():
            return _disabled[name](*arguments, **options)
        return function(*arguments, **options)

    return call  # pyright: ignore[reportReturnType]
