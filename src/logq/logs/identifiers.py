"""Identifiers: what users and items are called in a log, and the codes 0..n-1 that stand for them elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import shown
from logq.logs.examples import whole_numbers

__all__ = ["Factor", "Identifiers", "code_type", "factorize", "first_seen"]

_LONGEST = 1024  # characters of an id: numpy gives each string of an array the room of the longest
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

    None, NaN, NaT and the empty string are missing. Whole numbers stored as floats are integers, as a column of a
    data frame holds them when some are missing.

    Args:
        values: (N,) integers or strings: a list, an array, or a series of pandas or polars.
        name: what messages call the values.

    Returns:
        Codes (N,) and keys (n,).

    Raises:
        TypeError: the values are neither integers nor strings, or both; the message has the first one.
        ValueError: they are not one-dimensional, a string is longer than 1,024 characters, or a number does not fit in
            64 bits with a sign; or it is a float above 2**53, where different ids may have become the same.

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
        raise ValueError(f"{name}: expected one value a row, got the shape {array.shape}")
    if array.dtype.kind == "O":
        return _factorize_objects(array, name)
    if array.dtype.kind == "f":
        return _some(array, ~np.isnan(array), name)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind == "U":
        _check_length(array.dtype.itemsize // 4, name)
        present = array != ""
        return _factorize_strings(array) if present.all() else _some(array, present, name)
    return _factorize_numbers(_whole(array, name))


def first_seen(codes: NDArray[Any], size: int) -> NDArray[np.int64]:
    """Where each code stands first: (size,) places in [0, N), N for a code that is not there.

    Example:
        >>> first_seen(np.array([1, 0, 1]), 3).tolist()
        [1, 0, 3]
    """
    places = np.full(size, len(codes), dtype=np.int64)
    # Of several values for the same place numpy keeps the last one, so the first must come last.
    places[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return places


def code_type(size: int) -> "np.dtype[Any]":
    """The integers that codes below `size` are kept in: int32 where it fits, which halves what batches are read from.

    Example:
        >>> code_type(10).name
        'int32'
    """
    return np.dtype(np.int32 if size <= np.iinfo(np.int32).max else np.int64)


def _as_array(values: object) -> NDArray[Any]:
    array = np.asarray(values)
    # numpy would make one string of numbers and strings mixed, and "None" of None.
    mixed = array.dtype.kind in "US" and not isinstance(values, np.ndarray)
    if mixed and not set(map(type, values)) <= {str, np.str_}:  # pyright: ignore[reportArgumentType]
        return np.asarray(values, dtype=object)
    return array


def _whole(array: NDArray[Any], name: str) -> NDArray[np.int64]:
    kind = array.dtype.kind
    if kind == "f":
        wrong = np.flatnonzero((array != np.rint(array)) | np.isinf(array))
        if len(wrong):
            raise TypeError(f"{name}: expected integers or strings, got {array[wrong[0]].item()!r}")
        wrong = np.flatnonzero(np.abs(array) > _EXACT)
        if len(wrong):
            raise ValueError(
                f"{name}: expected integers that floats can tell apart, below 2**53 or stored as integers or "
                f"strings, got {array[wrong[0]].item()!r}"
            )
    elif kind == "u" and array.size and array.max() > np.uint64(np.iinfo(np.int64).max):
        raise ValueError(f"{name}: expected integers of 64 bits with a sign, got {array.max()}")
    elif kind == "O" and array.size and all(type(value) is int for value in array):
        largest = max(array.tolist(), key=abs)
        raise ValueError(f"{name}: expected integers of 64 bits with a sign, got {shown(largest)}")
    elif kind not in "iu":
        raise TypeError(f"{name}: expected integers or strings, got values of {array.dtype}")
    return array.astype(np.int64, copy=False)


def _some(array: NDArray[Any], present: NDArray[np.bool_], name: str) -> Factor:
    """Factorize where something is present, with -1 elsewhere."""
    kept = array[present]
    inner = _factorize_strings(kept) if array.dtype.kind == "U" else _factorize_numbers(_whole(kept, name))
    codes = np.full(len(array), -1, dtype=inner.codes.dtype)
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
        raise TypeError(f"{name}: expected all integers or all strings, got {got}")
    if text:
        _check_length(max(map(len, kept.tolist())), name)
        values = kept.astype(np.str_)
    else:
        values = _whole(np.array(kept.tolist()), name)
    inner = factorize(values, name)
    codes = np.full(len(array), -1, dtype=inner.codes.dtype)
    codes[present] = inner.codes
    return Factor(codes, inner.keys)


def _factorize_polars(series: Any, name: str) -> Factor:
    import polars as pl

    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if series.dtype != pl.String:
        if series.dtype == pl.Null:
            return Factor(np.full(len(series), -1, dtype=np.int32), np.zeros(0, dtype=np.int64))
        if not series.null_count():
            return factorize(_physical(series, name), name)
        # With the missing ones numpy would get floats, in which large ids lose their last digits.
        present = series.is_not_null().to_numpy()
        inner = factorize(_physical(series.drop_nulls(), name), name)
        codes = np.full(len(series), -1, dtype=inner.codes.dtype)
        codes[present] = inner.codes
        return Factor(codes, inner.keys)
    keys = series.drop_nulls().unique(maintain_order=True)
    keys = keys.filter(keys != "")
    _check_length(int(keys.str.len_chars().max() or 0), name)
    codes = series.cast(pl.Enum(keys), strict=False).to_physical().cast(pl.Int64).fill_null(-1)
    return Factor(codes.to_numpy().astype(code_type(len(keys))), np.array(keys.to_list(), dtype=np.str_))


def _physical(series: Any, name: str) -> NDArray[Any]:
    if "128" in str(series.dtype):
        raise ValueError(f"{name}: expected integers of 64 bits with a sign, got numbers of {series.dtype}")
    return series.to_numpy()


def _with_keys(codes: NDArray[Any], keys: NDArray[Any], name: str) -> Factor:
    """Bring what pandas factorized into our types; different values may have become the same or missing, such as ""."""
    again = factorize(keys, name)
    table = np.append(again.codes, -1)  # the code -1 finds the last
    return Factor(table[codes].astype(code_type(len(again.keys))), again.keys)


def _check_length(longest: int, name: str) -> None:
    if longest > _LONGEST:
        raise ValueError(f"{name}: expected strings of at most {_LONGEST} characters, got one of {longest}")


def _factorize_numbers(array: NDArray[np.int64]) -> Factor:
    if not len(array):
        return Factor(np.zeros(0, dtype=np.int32), array)
    lowest, highest = int(array.min()), int(array.max())
    if highest - lowest <= 4 * len(array) + 1_000_000:  # a table over the range is quicker than sorting
        shifted = array - lowest if lowest else array
        places = first_seen(shifted, highest - lowest + 1)
        present = np.flatnonzero(places < len(array))
        by_place = present[np.argsort(places[present], kind="stable")]
        ranks = np.empty(highest - lowest + 1, dtype=code_type(len(by_place)))
        ranks[by_place] = np.arange(len(by_place))
        return Factor(ranks[shifted], by_place + lowest)
    return _factorize_sorted(array)


def _factorize_sorted(array: NDArray[Any]) -> Factor:
    order = np.argsort(array, kind="stable")
    ordered = array[order]
    starts = np.empty(len(array), dtype=np.bool_)
    starts[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
    places = order[starts]  # a stable sort keeps the first of equal values first
    by_place = np.argsort(places, kind="stable")
    ranks = np.empty(len(places), dtype=code_type(len(places)))
    ranks[by_place] = np.arange(len(places))
    codes = np.empty(len(array), dtype=ranks.dtype)
    codes[order] = ranks[np.cumsum(starts) - 1]
    return Factor(codes, array[places[by_place]])


def _factorize_strings(array: NDArray[Any], hashes: "Callable[[NDArray[Any]], NDArray[Any]] | None" = None) -> Factor:
    """Sort 64-bit hashes in the place of strings, and look whether two strings had the same one."""
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
    """n different ids, integers or strings; the code of an id is its place.

        codes(keys) = 0..n-1,  codes(anything else) = -1,  keys_of(codes(x)) = x

    Args:
        keys: (n,) ids by code, all integers or all strings, no two the same.

    Raises:
        TypeError: they are neither, or mixed.
        ValueError: an id is there twice, missing, or a string of more than 1,024 characters.

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
            raise ValueError(f"keys: expected different ids, got {problem}, at place {wrong}")
        self.keys = found.keys
        self._order: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Return n."""
        return len(self.keys)

    def __repr__(self) -> str:
        """Say how many and which."""
        return f"Identifiers({len(self)} {'strings' if self.kind == 'str' else 'numbers'})"

    @property
    def kind(self) -> str:
        """What the ids are: "int" or "str".

        Example:
            >>> Identifiers([4, 2]).kind
            'int'
        """
        return "str" if self.keys.dtype.kind == "U" else "int"

    def codes(self, raw: ArrayLike) -> NDArray[np.int64]:
        """The codes of ids: (m,) int64, -1 for one that is unknown or missing. Takes series of data frames too.

        Args:
            raw: (m,) ids, or one.

        Raises:
            TypeError: strings where the ids are integers, or the other way round.

        Example:
            >>> Identifiers([10, 20]).codes([20, 30, 10]).tolist()
            [1, -1, 0]
        """
        found = factorize([raw] if isinstance(raw, (str, int, np.integer)) else raw, "ids")
        if not len(found.keys) or not len(self):
            return np.full(len(found.codes), -1, dtype=np.int64)
        if (found.keys.dtype.kind == "U") != (self.keys.dtype.kind == "U"):
            expected = "strings" if self.kind == "str" else "integers"
            raise TypeError(f"ids: expected {expected}, as the ids of this log are, got {shown(found.keys[0].item())}")
        if self._order is None:
            self._order = np.argsort(self.keys, kind="stable")
        places = np.minimum(np.searchsorted(self.keys, found.keys, sorter=self._order), len(self) - 1)
        near = self._order[places]
        # The last entry answers for -1, a missing id.
        table = np.append(np.where(self.keys[near] == found.keys, near, -1), -1)
        return table[found.codes]

    def keys_of(self, codes: ArrayLike) -> NDArray[Any]:
        """The ids of codes, of any shape.

        Raises:
            IndexError: a code is outside of [0, n); -1 too, as it is no id.

        Example:
            >>> Identifiers(["a", "b"]).keys_of([[1], [0]]).tolist()
            [['b'], ['a']]
        """
        return self.keys[whole_numbers("codes", codes, len(self))]

    def state(self) -> dict[str, NDArray[Any]]:
        """Plain arrays that hold the ids: "keys" int64, or "text" (bytes of UTF-8, one after the other) and "ends".

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
        """Make them of what `state` gave.

        Raises:
            ValueError: the arrays do not belong together.

        Example:
            >>> Identifiers.from_state(Identifiers(["a", "bc"]).state()).keys.tolist()
            ['a', 'bc']
        """
        if "keys" in state:
            return cls(np.array(state["keys"], dtype=np.int64))
        if "text" not in state or "ends" not in state:
            raise ValueError(f'state: expected "keys", or "text" and "ends", got {sorted(state)}')
        text, ends = np.asarray(state["text"], dtype=np.uint8).tobytes(), np.asarray(state["ends"], dtype=np.int64)
        starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        if (len(ends) and ends[-1] != len(text)) or (ends < starts).any():
            raise ValueError("state: expected ends that rise to the length of the text")
        try:
            pairs = zip(starts.tolist(), ends.tolist(), strict=True)
            keys = [text[start:end].decode("utf-8", "surrogatepass") for start, end in pairs]
        except UnicodeDecodeError as error:
            raise ValueError(f"state: expected text in UTF-8 ({error})") from None
        return cls(np.array(keys, dtype=np.str_))
