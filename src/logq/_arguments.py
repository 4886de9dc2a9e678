"""ArgumentError, and the checks of plain values that raise it: numbers, switches and arrays of integers.

Nothing here imports torch: reading words and their vectors does without it, and starts at once.
"""

import math
import operator
import re
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "BadArgumentError",
    "Verbatim",
    "check_bool",
    "check_float",
    "check_int",
    "check_integers",
    "check_size",
    "is_tensor",
    "masked",
    "shown",
]


class Verbatim(str):
    """Text that stands in a message as it is, without quotes: a description of a value instead of the value."""

    __slots__ = ()


_NOTHING = Verbatim("")


class BadArgumentError(Exception):
    """What ArgumentError and ArgumentTypeError have in common: the fields that a message is made of.

    Args:
        name: of the argument, as the caller of the function knows it; "" where the message names none.
        expected: what it should have been, as a phrase: "an integer >= 1".
        got: the offending value; shown as its repr, shortened where that is long, unless it is Verbatim.
        hint: what to do instead, where the message can tell.

    Example:
        >>> error = ArgumentError("k", "at most C = 9", 12)
        >>> str(error), error.name
        ('k: expected at most C = 9, got 12', 'k')
    """

    def __init__(self, name: str, expected: str, got: object = _NOTHING, hint: str = "") -> None:
        # All of them, so that the error can be pickled: it may come from a worker process.
        super().__init__(name, expected, got, hint)
        self.name, self.expected, self.got, self.hint = name, expected, got, hint

    def __str__(self) -> str:
        return self.message(self.name)

    def add_hint(self, hint: str) -> None:
        """Say more at the end of the message."""
        self.hint = f"{self.hint}; {hint}" if self.hint else hint
        self.args = (self.name, self.expected, self.got, self.hint)

    def message(self, name: str) -> str:
        """The message with another name for the argument, such as the option of the command line that sets it."""
        nothing = isinstance(self.got, Verbatim) and not self.got
        came = "" if nothing else f", got {shown(self.got)}"
        return (f"{name}: " if name else "") + f"expected {self.expected}{came}" + (self.hint and f"; {self.hint}")


class ArgumentError(BadArgumentError, ValueError):
    """An argument has the right type and a wrong value. A ValueError; see BadArgumentError for its fields.

    Example:
        >>> raise ArgumentError("dim", "a multiple of heads = 3", 64)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: dim: expected a multiple of heads = 3, got 64
    """


class ArgumentTypeError(BadArgumentError, TypeError):
    """An argument has a wrong type. A TypeError; see BadArgumentError for its fields.

    Example:
        >>> isinstance(ArgumentTypeError("dim", "an integer >= 1", "64"), TypeError)
        True
    """


# Users meet them as logq.ArgumentError, so that is how a traceback names them.
BadArgumentError.__module__ = ArgumentError.__module__ = ArgumentTypeError.__module__ = "logq"


def check_bool(name: str, value: object) -> bool:
    """Return `value`, which must be True or False: a "no" or a 0.0 would silently count as one of them.

    Raises:
        ArgumentTypeError: `value` is not a bool.

    Example:
        >>> check_bool("cosine", "no")
        Traceback (most recent call last):
        ...
        logq.ArgumentTypeError: cosine: expected True or False, got 'no'
    """
    if not isinstance(value, bool):
        # Other libraries take 0 and 1, as gensim's sg=1.
        hint = f"write {name}={bool(value)}" if isinstance(value, int) and value in (0, 1) else ""
        raise ArgumentTypeError(name, "True or False", value, hint)
    return value


def check_int(name: str, value: object, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`.

    Raises:
        ArgumentTypeError: `value` is not an integer (bools are rejected).
        ArgumentError: it is below `minimum`.

    Example:
        >>> check_int("num_sampled", 0)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: num_sampled: expected an integer >= 1, got 0
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise ArgumentTypeError(name, f"an integer >= {minimum}", value) from None
    if number < minimum:
        raise ArgumentError(name, f"an integer >= {minimum}", value)
    return number


def check_float(
    name: str, value: object, *, above: float = -math.inf, at_least: float = -math.inf, at_most: float = math.inf
) -> float:
    """Return `value` as a finite float with above < value, at_least <= value <= at_most.

    Raises:
        ArgumentTypeError: `value` is not a real number (bools are rejected).
        ArgumentError: it is not finite or out of range.

    Example:
        >>> check_float("temperature", 0, above=0)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: temperature: expected a finite number > 0, got 0
    """
    limits = [f"> {above:g}"] * (above > -math.inf) + [f">= {at_least:g}"] * (at_least > -math.inf)
    limits += [f"<= {at_most:g}"] * (at_most < math.inf)
    expected = " ".join(["a finite number", " and ".join(limits)]).rstrip()
    # A tensor would lose its gradient. (Tuples of types: torch.compile of 2.6 knows no unions.)
    if isinstance(value, (bool, str, bytes)) or (not isinstance(value, (float, int)) and is_tensor(value)):
        raise ArgumentTypeError(name, expected, value)
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, OverflowError):
        raise ArgumentTypeError(name, expected, value) from None
    if not (math.isfinite(number) and number > above and at_least <= number <= at_most):
        raise ArgumentError(name, expected, value)
    return number


def check_integers(
    name: str, values: "ArrayLike", *, at_least: int | None = None, below: int | None = None, kind: str = "integers"
) -> "NDArray[np.int64]":
    """Return `values` as a one-dimensional array of int64, at_least <= value < below.

    Args:
        name: what the caller calls the argument.
        values: integers, as a list or an array.
        at_least: the smallest value allowed; None for any.
        below: what all values are below; None for any.
        kind: what the integers are, for messages: "items".

    Raises:
        ArgumentTypeError: they are not integers.
        ArgumentError: there is not one dimension, or a value is out of range; the message names the first one.

    Example:
        >>> check_integers("targets", [3, 9], at_least=0, below=5, kind="items")
        Traceback (most recent call last):
        ...
        logq.ArgumentError: targets: expected items in [0, 5), got 9 at position 1
    """
    import numpy as np  # the command line starts without it

    array = np.asarray(values)
    if array.ndim != 1:
        raise ArgumentError(name, f"{kind} in one dimension", Verbatim(f"shape {array.shape}"))
    if array.size and array.dtype.kind not in "iu":
        raise ArgumentTypeError(name, "integers", Verbatim(f"dtype {array.dtype}"))
    low, high = np.iinfo(np.int64).min if at_least is None else at_least, np.inf if below is None else below
    wrong = (array < low) | (array >= high)
    if wrong.any():
        where = int(wrong.argmax())
        limits = f">= {at_least}" if below is None else f"in [{at_least}, {below})"
        raise ArgumentError(name, f"{kind} {limits}", Verbatim(f"{array[where]} at position {where}"))
    return array.astype(np.int64, copy=False)


def is_tensor(value: object) -> "TypeGuard[Tensor]":
    """Whether a value is a tensor of torch, asked without importing torch.

    Example:
        >>> is_tensor(torch.zeros(2)), is_tensor([0.0, 0.0])
        (True, False)
    """
    return hasattr(value, "requires_grad")


def shown(value: object) -> str:
    """Return the repr of a value, shortened where it is long: a whole corpus may have been passed for a number.

    Example:
        >>> shown("a" * 1000)[-7:]
        'aaaa...'
    """
    if isinstance(value, Verbatim):
        return str(value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_LOGIN = re.compile(r"""((?:\w[\w+.-]*:/{0,2})?[^\s:/@'"]*):[^\s'"]+@""")
_SECRET = re.compile(
    r"""\b((?:password|passwd|pwd|token|secret|api_?key)\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&'"]+)""", re.IGNORECASE
)


def masked(text: str) -> str:
    """Return a text without the passwords of the addresses in it, however badly these are written.

    Example:
        >>> masked("postgresql://me:secret@localhost/shop"), masked("host=localhost password='my secret' user=me")
        ('postgresql://me:...@localhost/shop', 'host=localhost password=... user=me')
    """
    return _SECRET.sub(r"\1...", _LOGIN.sub(r"\1:...@", text))


_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def check_size(name: str, value: object) -> int:
    """Return the bytes of a size that is written as "1GB", or "512 MiB".

    Raises:
        ArgumentError: it is not.

    Example:
        >>> check_size("memory", "1.5 kB")
        1500
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*", value) if isinstance(value, str) else None
    if found is None or found[2].lower() not in _UNITS or not float(found[1]):
        raise ArgumentError(name, "a size such as 1GB", value)
    return int(float(found[1]) * _UNITS[found[2].lower()])
