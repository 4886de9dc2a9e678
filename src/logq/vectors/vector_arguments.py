"""Checks of what `KeyedVectors` is given: tables of vectors, and the terms of a question."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_float, check_int, is_tensor, shown
from logq._warnings import warn
from logq.vectors.mapped_tensor import ScaledRows, is_mapped

__all__ = [
    "Vectors",
    "check_rows",
    "check_topn",
    "check_vectors",
    "check_weight",
    "listed_terms",
    "read_only",
    "to_array",
]

Vectors: TypeAlias = NDArray[np.float32] | NDArray[np.float16]


def listed_terms(name: str, terms: Any) -> list[Any]:
    """Return the terms of a question as a list: a word, a vector, or one of them with a weight, is a list of one.

    Example:
        >>> listed_terms("positive", ("king", 0.5)), listed_terms("positive", None)
        ([('king', 0.5)], [])
    """
    if isinstance(terms, str) or ((isinstance(terms, np.ndarray) or is_tensor(terms)) and terms.ndim == 1):
        return [terms]
    if isinstance(terms, tuple) and len(terms) == 2 and isinstance(terms[1], int | float | np.number):
        return [terms]  # a single (word, weight)
    if terms is not None and not isinstance(terms, Iterable):
        raise ArgumentTypeError(name, "words or vectors", terms)
    return [] if terms is None else list(cast("Iterable[Any]", terms))


def check_weight(name: str, key: Any, weight: Any) -> float:
    """Return the weight of a term, which is what it is multiplied by, also among the negative ones.

    Warns:
        UserWarning: a weight among the negative ones is above 0.

    Example:
        >>> check_weight("negative", "man", -0.5)
        -0.5
    """
    of = shown(key) if isinstance(key, str) else "a vector"
    try:
        checked = check_float(name, weight)
    except (ArgumentError, ArgumentTypeError) as error:
        raise type(error)(name, f"{error.expected} as the weight of {of}", weight) from None
    if name == "negative" and checked > 0:
        text = f"negative: a weight of {checked:g} adds {of}, as in gensim; {-checked:g} subtracts it"
        warn(text)
    return checked


def check_topn(topn: Any) -> int | None:
    """Return the number of words to answer with, where None stands for the cosines of all.

    Example:
        >>> check_topn(0), check_topn(None)
        (0, None)
    """
    return None if topn is None else check_int("topn", topn, minimum=0)


def to_array(name: str, values: Any) -> NDArray[Any]:
    """Return numbers, which may be a tensor, as an array.

    Example:
        >>> to_array("vector", [1, 2])
        array([1, 2])
    """
    try:
        array = values.detach().cpu().float().numpy() if is_tensor(values) else np.asarray(values)
    except ValueError as error:  # lists of unequal length
        raise ArgumentError(name, "an array of numbers", Verbatim(error)) from None
    if array.dtype.kind not in "fiu":
        raise ArgumentTypeError(name, "numbers", values)
    return array


def check_vectors(vectors: Any, keys: Sequence[str], *, copy: bool, dtype: DTypeLike) -> Vectors | ScaledRows:
    """Return the vectors of words as a table (V, D) that cannot be written to.

    Raises:
        ArgumentTypeError: they are not numbers.
        ArgumentError: their shape does not fit the words, or a number is not finite.

    Example:
        >>> check_vectors([[1, 2]], ["a"], copy=True, dtype=np.float32).flags.writeable
        False
    """
    stays = not copy and is_mapped(vectors) and vectors.dtype == dtype
    given = vectors if stays else to_array("vectors", vectors)
    if given.ndim != 2 or len(given) != len(keys) or given.shape[1] < 1:
        raise ArgumentError("vectors", f"shape ({len(keys)}, D), one row for each word", given.shape)
    if stays:  # numbers that are not finite are found when the lengths are computed
        return given
    with np.errstate(over="ignore"):  # numbers too large for the dtype are found below
        array = np.array(given, dtype=dtype, order="C") if copy else np.ascontiguousarray(given, dtype=dtype)
    rows = max(1, (1 << 20) // array.shape[1])  # at a time, so that no second table is allocated
    for start in range(0, len(array), rows):
        finite = np.isfinite(array[start : start + rows]).all(axis=1)
        if not finite.all():
            where = start + int(finite.argmin())
            raise ArgumentError("vectors", "finite numbers", Verbatim(f"others for {keys[where]!r} (row {where})"))
    if array is not given:  # otherwise it is the caller's
        return read_only(array)
    array = array.view()
    array.flags.writeable = False
    return array


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Lock an array, and return a view of it, which cannot be made writable again as the array itself can.

    Example:
        >>> read_only(np.zeros(2)).flags.writeable
        False
    """
    array.flags.writeable = False
    return array.view()


def check_rows(
    vectors: Vectors | ScaledRows,  # (V, D)
    lengths: NDArray[np.float64],  # (V,)
    rows: Sequence[int],
) -> None:
    """Check that rows still have the lengths that were computed once; only the first hundred are looked at.

    numpy keeps the table from writes, torch.from_numpy does not: it shares the memory, and training writes there.

    Raises:
        RuntimeError: a row has another length.

    Example:
        >>> table = np.array([[3, 4]], dtype=np.float32)
        >>> check_rows(table, np.array([5.0]), [0])
    """
    looked_at = list(rows[:100])
    now = np.linalg.norm(vectors[looked_at].astype(np.float64), axis=1)
    if not np.allclose(now, lengths[looked_at], rtol=1e-5, atol=0):
        raise RuntimeError(
            "vectors: they were changed from outside, so that answers would be wrong; torch.from_numpy(kv.vectors) "
            "shares their memory, kv.to_tensor() and kv.embedding(freeze=False) make copies"
        )
