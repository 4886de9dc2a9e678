"""`Identifiers`: the ids of users and items in a log, and the codes 0..n-1 that stand for them everywhere else."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, shown
from logq.logs.examples import check_indices

__all__ = ["Factor", "Identifiers", "code_type", "factorize", "first_seen", "translated"]

_LONGEST = 1024  # characters of an id: in a numpy array each string takes the memory of the longest
_CHUNK = 1 << 18
_EXACT = 2.0**53  # above this not every integer is a float
_NONE: Any = None
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))


class Factor(NamedTuple):
    """Codes of values and the values that they stand for: values[i] == keys[codes[i]], -1 where a value is missing.

    Example:
        >>> factorize(["b", "a", None, "b"]).codes.tolist()
        [0, 1, -1, 0]
    """

    codes: NDArray[Any]  # (N,) int32 where it fits, else int64
    keys: NDArray[Any]  # (n,) int64 or str, by first appearance


def factorize(values: object, name: str = "values") -> Factor:
    """Give each different value a code, by first appearance.

    None, NaN, NaT and the empty string are missing. Integers may be stored as floats, as in a column of a data frame
    with missing values.

    Args:
        values: (N,) integers or strings: a list, an array, or a series of pandas or polars.
        name: what the caller calls the argument.

    Returns:
        Codes (N,) and keys (n,).

    Raises:
        ArgumentTypeError: the values are neither integers nor strings, or both; the message has the first one.
        ArgumentError: they are not one-dimensional, a string is longer than 1,024 characters, or a number does not fit
            into a signed integer of 64 bits; or it is a float above 2**53, where different ids may be the same.

    Example:
        >>> factorize([7, 3, 7]).keys.tolist()
        [7, 3]
    """
    if hasattr(values, "to_physical"):  # a series of polars
        return _factorize_polars(values, name)
    if hasattr(values, "factorize"):  # a series of pandas
        codes, keys = values.factorize()  # pyright: ignore[reportAttributeAccessIssue]
        return _with_keys(np.asarray(codes), np.asarray(keys), name)
    array = values if isinstance(values, np.ndarray) else _as_array(values)
    if array.ndim != 1:
        raise ArgumentError(name, "one value for each row", Verbatim(f"shape {array.shape}"))
    if array.dtype.kind == "O":
        return _factorize_objects(array, name)
    if array.dtype.kind == "f":
        return _factorize_present(array, ~np.isnan(array), name)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind == "U":
        _check_length(array.dtype.itemsize // 4, name)
        present = array != ""
        return _factorize_strings(array) if present.all() else _factorize_present(array, present, name)
    return _factorize_numbers(_to_integers(array, name))


def first_seen(codes: NDArray[Any], size: int) -> NDArray[np.int64]:
    """Return the first position of each code: (size,), N for a code that does not occur.

    Example:
        >>> first_seen(np.array([1, 0, 1]), 3).tolist()
        [1, 0, 3]
    """
    positions = np.full(size, len(codes), dtype=np.int64)
    # Of several values for the same index numpy keeps the last one, so the first must come last.
    positions[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return positions


def code_type(size: int) -> "np.dtype[Any]":
    """Return the dtype of codes below `size`: int32 where it fits, which halves the memory that batches are read from.

    Example:
        >>> code_type(10).name
        'int32'
    """
    return np.dtype(np.int32 if size <= np.iinfo(np.int32).max else np.int64)


def _as_array(values: object) -> NDArray[Any]:
    if isinstance(values, list | tuple) and set(map(type, values)) == {str}:
        return np.asarray(values, dtype=object)  # in an array of strings all would be as wide as the longest
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        return np.asarray(values, dtype=object)
    # numpy would turn a mix of numbers and strings into strings, and None into "None".
    mixed = array.dtype.kind in "US" and not isinstance(values, np.ndarray)
    if mixed and not set(map(type, values)) <= {str, np.str_}:  # pyright: ignore[reportArgumentType]
        return np.asarray(values, dtype=object)
    return array


def _to_integers(array: NDArray[Any], name: str) -> NDArray[np.int64]:
    kind = array.dtype.kind
    if kind == "f":
        wrong = np.flatnonzero((array != np.rint(array)) | np.isinf(array))
        if len(wrong):
            raise ArgumentTypeError(name, "integers or strings", array[wrong[0]].item())
        wrong = np.flatnonzero(np.abs(array) > _EXACT)
        if len(wrong):
            raise ArgumentError(
                name,
                "integers below 2**53, or stored as integers or strings, as floats cannot tell them apart",
                array[wrong[0]].item(),
            )
    elif kind == "u" and array.size and array.max() > np.uint64(np.iinfo(np.int64).max):
        raise ArgumentError(name, "signed integers of 64 bits", int(array.max()))
    elif kind == "O" and array.size and all(type(value) is int for value in array):
        largest = max(array.tolist(), key=abs)
        raise ArgumentError(name, "signed integers of 64 bits", largest)
    elif kind not in "iu":
        raise ArgumentTypeError(name, "integers or strings", Verbatim(f"values of {array.dtype}"))
    return array.astype(np.int64, copy=False)


def _factorize_present(array: NDArray[Any], present: NDArray[np.bool_], name: str) -> Factor:
    kept = array[present]
    inner = _factorize_strings(kept) if array.dtype.kind == "U" else _factorize_numbers(_to_integers(kept, name))
    return _spread(inner, present)


def _spread(inner: Factor, present: NDArray[np.bool_]) -> Factor:
    """Return the factor of values of which `inner` has those that are present, with -1 for the others."""
    codes = np.full(len(present), -1, dtype=inner.codes.dtype)
    codes[present] = inner.codes
    return Factor(codes, inner.keys)


def _factorize_objects(array: NDArray[Any], name: str) -> Factor:
    present = np.not_equal(array, _NONE) & np.equal(array, array)
    kept = array[present]
    types = set(map(type, kept.tolist()))
    if not types:
        return Factor(np.full(len(array), -1, dtype=np.int32), np.zeros(0, dtype=np.int64))
    text = {kind for kind in types if issubclass(kind, str)}
    numbers = {kind for kind in types if issubclass(kind, (int, float, np.integer, np.floating)) and kind is not bool}
    if types not in (text, numbers):
        alike = text if type(kept[0]) in text else numbers
        other = next(value for value in kept if type(value) not in alike)
        got = shown(kept[0]) if other is kept[0] else f"{shown(kept[0])} and {shown(other)}"
        raise ArgumentTypeError(name, "all integers or all strings", Verbatim(got))
    if text:
        _check_length(max(map(len, kept.tolist())), name)
        return _spread(_factorize_text(kept.tolist()), present)
    return _spread(factorize(_to_integers(np.array(kept.tolist()), name), name), present)


def _factorize_text(values: list[str]) -> Factor:
    known: dict[str, int] = {}
    without_zeros = (value.rstrip("\0") for value in values)  # which arrays of strings lose at the end
    codes = [known.setdefault(value, len(known)) if value else -1 for value in without_zeros]
    return Factor(np.array(codes, dtype=code_type(len(known))), np.array(list(known), dtype=np.str_))


def _factorize_polars(series: Any, name: str) -> Factor:
    import polars as pl

    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if series.dtype != pl.String:
        if series.dtype == pl.Null:
            return Factor(np.full(len(series), -1, dtype=np.int32), np.zeros(0, dtype=np.int64))
        if not series.null_count():
            return factorize(_physical(series, name), name)
        # With missing values numpy would get floats, in which large ids lose their last digits.
        present = series.is_not_null().to_numpy()
        return _spread(factorize(_physical(series.drop_nulls(), name), name), present)
    if series.str.ends_with("\0").any():  # which arrays of strings lose at the end
        series = series.str.strip_chars_end("\0")
    keys = series.drop_nulls().unique(maintain_order=True)
    keys = keys.filter(keys != "")
    _check_length(int(keys.str.len_chars().max() or 0), name)
    codes = series.cast(pl.Enum(keys), strict=False).to_physical().cast(pl.Int64).fill_null(-1)
    return Factor(codes.to_numpy().astype(code_type(len(keys))), np.array(keys.to_list(), dtype=np.str_))


def _physical(series: Any, name: str) -> NDArray[Any]:
    if "128" in str(series.dtype):
        raise ArgumentError(name, "signed integers of 64 bits", Verbatim(f"numbers of {series.dtype}"))
    return series.to_numpy()


def _with_keys(codes: NDArray[Any], keys: NDArray[Any], name: str) -> Factor:
    """Convert what pandas factorized to our types, in which different values may be equal or missing, such as ""."""
    again = factorize(keys, name)
    table = np.append(again.codes, -1)  # the last is that of -1
    return Factor(table[codes].astype(code_type(len(again.keys))), again.keys)


def _check_length(longest: int, name: str) -> None:
    if longest > _LONGEST:
        raise ArgumentError(name, f"strings of at most {_LONGEST} characters", Verbatim(f"one of {longest}"))


def _factorize_numbers(array: NDArray[np.int64]) -> Factor:
    if not len(array):
        return Factor(np.zeros(0, dtype=np.int32), array)
    lowest, highest = int(array.min()), int(array.max())
    if highest - lowest <= 4 * len(array) + 1_000_000:  # a table over the range is faster than sorting
        shifted = array - lowest if lowest else array
        positions = first_seen(shifted, highest - lowest + 1)
        present = np.flatnonzero(positions < len(array))
        in_order = present[np.argsort(positions[present], kind="stable")]
        ranks = np.empty(highest - lowest + 1, dtype=code_type(len(in_order)))
        ranks[in_order] = np.arange(len(in_order))
        return Factor(ranks[shifted], in_order + lowest)
    return _factorize_sorted(array)


def _factorize_sorted(array: NDArray[Any]) -> Factor:
    order = np.argsort(array, kind="stable")
    ordered = array[order]
    starts = np.empty(len(array), dtype=np.bool_)
    starts[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
    firsts = order[starts]  # a stable sort keeps the first of equal values first
    in_order = np.argsort(firsts, kind="stable")
    ranks = np.empty(len(firsts), dtype=code_type(len(firsts)))
    ranks[in_order] = np.arange(len(firsts))
    codes = np.empty(len(array), dtype=ranks.dtype)
    codes[order] = ranks[np.cumsum(starts) - 1]
    return Factor(codes, array[firsts[in_order]])


def _factorize_strings(array: NDArray[Any], hashes: "Callable[[NDArray[Any]], NDArray[Any]] | None" = None) -> Factor:
    """Factorize by 64-bit hashes instead of strings, and check that different strings have different ones."""
    if not len(array) or not array.dtype.itemsize:
        return _factorize_sorted(array)
    inner = _factorize_sorted((hashes or _hashes)(array))
    keys = array[first_seen(inner.codes, len(inner.keys))]
    for start in range(0, len(array), _CHUNK):
        part = slice(start, start + _CHUNK)
        if not np.array_equal(keys[inner.codes[part]], array[part]):
            return _factorize_sorted(array)  # a collision: sort the strings themselves
    return Factor(inner.codes, keys)


def _hashes(array: NDArray[Any]) -> NDArray[np.int64]:
    letters = np.ascontiguousarray(array).view(np.uint32).reshape(len(array), -1)
    value = np.zeros(len(array), dtype=np.uint64)
    for column in letters.T:
        value ^= column
        value *= _MIX[0]
        value ^= value >> np.uint64(29)
    value *= _MIX[1]
    return (value ^ (value >> np.uint64(32))).view(np.int64)


class Identifiers:
    """n different ids, integers or strings; the code of an id is its position.

        codes(keys) = 0..n-1,  codes(anything else) = -1,  keys_of(codes(x)) = x

    Args:
        keys: (n,) different ids by code, all integers or all strings.

    Raises:
        ArgumentTypeError: they are neither, or mixed.
        ArgumentError: an id is there twice, missing, or a string of more than 1,024 characters.

    Example:
        >>> ids = Identifiers(["tea", "rice", "salt"])
        >>> ids.codes(["salt", "gold"]).tolist(), ids.keys_of([1, 0]).tolist()
        ([2, -1], ['rice', 'tea'])
    """

    def __init__(self, keys: ArrayLike) -> None:
        """See the class."""
        found = factorize(keys, "keys")
        if len(found.keys) != len(found.codes):
            wrong = int(np.flatnonzero(found.codes != np.arange(len(found.codes)))[0])
            problem = (
                "a missing one" if found.codes[wrong] < 0 else f"{shown(found.keys[found.codes[wrong]].item())} twice"
            )
            raise ArgumentError("keys", "different ids", Verbatim(f"{problem}, at position {wrong}"))
        self.keys = found.keys
        self._order: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Return n."""
        return len(self.keys)

    def __repr__(self) -> str:
        """Show their number and kind."""
        return f"Identifiers({len(self)} {'strings' if self.kind == 'str' else 'integers'})"

    @property
    def kind(self) -> str:
        """The type of the ids: "int" or "str".

        Example:
            >>> Identifiers([4, 2]).kind
            'int'
        """
        return "str" if self.keys.dtype.kind == "U" else "int"

    def codes(self, raw: ArrayLike, name: str = "ids") -> NDArray[np.int64]:
        """Return the codes of ids: (m,) int64, -1 for one that is unknown or missing.

        Args:
            raw: (m,) ids, or one; also a series of pandas or polars.
            name: what the caller calls the argument.

        Raises:
            ArgumentTypeError: strings where the ids are integers, or the reverse.

        Example:
            >>> Identifiers([10, 20]).codes([20, 30, 10]).tolist()
            [1, -1, 0]
        """
        found = factorize([raw] if isinstance(raw, (str, int, np.integer)) else raw, name)
        if not len(found.keys) or not len(self):
            return np.full(len(found.codes), -1, dtype=np.int64)
        if (found.keys.dtype.kind == "U") != (self.keys.dtype.kind == "U"):
            expected = "strings" if self.kind == "str" else "integers"
            raise ArgumentTypeError(name, f"{expected}, as the ids of this log are", found.keys[0].item())
        if self._order is None:
            self._order = np.argsort(self.keys, kind="stable")
        ranks = np.minimum(np.searchsorted(self.keys, found.keys, sorter=self._order), len(self) - 1)
        near = self._order[ranks]
        # The last entry is that of -1, a missing id.
        table = np.append(np.where(self.keys[near] == found.keys, near, -1), -1)
        return table[found.codes]

    def keys_of(self, codes: ArrayLike) -> NDArray[Any]:
        """Return the ids of codes of any shape.

        Raises:
            IndexError: a code is not in [0, n); -1 does not stand for an id.

        Example:
            >>> Identifiers(["a", "b"]).keys_of([[1], [0]]).tolist()
            [['b'], ['a']]
        """
        return self.keys[check_indices("codes", codes, len(self))]

    def state(self) -> dict[str, NDArray[Any]]:
        """Return arrays that hold the ids: "keys" int64, or "text" (UTF-8, one id after the other) and "ends".

        Example:
            >>> Identifiers(["a", "bc"]).state()["ends"].tolist()
            [1, 3]
        """
        if self.kind == "int":
            return {"keys": self.keys.astype(np.int64)}
        parts = [key.encode("utf-8", "surrogatepass") for key in self.keys.tolist()]
        lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
        return {"text": np.frombuffer(b"".join(parts), dtype=np.uint8), "ends": np.cumsum(lengths)}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> "Identifiers":
        """Rebuild the ids that `state` returned.

        Raises:
            ArgumentError: the arrays do not fit together.

        Example:
            >>> Identifiers.from_state(Identifiers(["a", "bc"]).state()).keys.tolist()
            ['a', 'bc']
        """
        if "keys" in state:
            return cls(np.array(state["keys"], dtype=np.int64))
        if "text" not in state or "ends" not in state:
            raise ArgumentError("state", '"keys", or "text" and "ends"', sorted(state))
        text, ends = np.asarray(state["text"], dtype=np.uint8).tobytes(), np.asarray(state["ends"], dtype=np.int64)
        starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        if (len(ends) and ends[-1] != len(text)) or (ends < starts).any():
            raise ArgumentError("state", f"ends that rise to {len(text)}, the length of the text", ends)
        try:
            pairs = zip(starts.tolist(), ends.tolist(), strict=True)
            keys = [text[start:end].decode("utf-8", "surrogatepass") for start, end in pairs]
        except UnicodeDecodeError as error:
            raise ArgumentError("state", "text in UTF-8", Verbatim(error)) from None
        return cls(np.array(keys, dtype=np.str_))


def translated(theirs: Identifiers, ours: Identifiers) -> NDArray[np.int64]:
    """Our code of each of their codes, -1 for what we do not know.

    Example:
        >>> translated(Identifiers(["tea", "gold"]), Identifiers(["cup", "tea"])).tolist()
        [1, -1]
    """
    if theirs is ours or np.array_equal(theirs.keys, ours.keys):
        return np.arange(len(ours))
    return np.asarray(ours.codes(theirs.keys), dtype=np.int64)
