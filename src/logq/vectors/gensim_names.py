"""Names of gensim that are others here: whoever writes one is told what to write instead."""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from logq._arguments import ArgumentTypeError

__all__ = ["WithGensimNames", "with_gensim_arguments"]

P = ParamSpec("P")
R = TypeVar("R")


class WithGensimNames:
    """A class that says what the attributes of gensim are called here.

    Attributes:
        gensim_hints: by name of gensim, what to do instead.

    Example:
        >>> class Vectors(WithGensimNames):
        ...     gensim_hints = {"index2word": "it is called index_to_key"}
        >>> Vectors().index2word
        Traceback (most recent call last):
        ...
        AttributeError: Vectors: there is no index2word here; it is called index_to_key
    """

    gensim_hints: ClassVar[Mapping[str, str]] = {}

    if not TYPE_CHECKING:  # or every name would count as known

        def __getattr__(self, name: str) -> Any:
            hint = type(self).gensim_hints.get(name)
            if hint is None:
                return object.__getattribute__(self, name)  # again, for the error that a property raised
            raise AttributeError(f"{type(self).__name__}: there is no {name} here; {hint}", name=name, obj=self)


def with_gensim_arguments(**hints: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function answer gensim's names of its arguments with what to write instead.

    Args:
        hints: by name of gensim, what to do instead.

    Example:
        >>> @with_gensim_arguments(w1="it is called a here")
        ... def similarity(a, b):
        ...     return a * b
        >>> similarity(w1=1, w2=2)
        Traceback (most recent call last):
        ...
        logq.ArgumentTypeError: w1: expected an argument of similarity; it is called a here
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **options: P.kwargs) -> R:
            for name in options:
                if name in hints:
                    raise ArgumentTypeError(name, f"an argument of {function.__name__}", hint=hints[name])
            return function(*args, **options)

        return call

    return decorate
