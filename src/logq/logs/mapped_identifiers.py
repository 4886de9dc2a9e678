"""Ids that stay in their files: of any number, and looked up without reading the others."""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from logq._arguments import ArgumentTypeError
from logq.logs.examples import check_indices
from logq.logs.identifiers import Identifiers, code_type, factorize
from logq.logs.ordering import pieces

__all__ = ["MappedIdentifiers", "count_repeated", "lookup_arrays"]


class MappedIdentifiers(Identifiers):
    """n different ids in arrays that may be mapped from files, in the layout of Arrow's strings.

        id i = text[ends[i-1] : ends[i]] in UTF-8, or keys[i] where ids are integers

    Integers are found by binary search in their order, strings in that of their hashes. `keys` reads all of them into
    memory when it is asked for.

    Args:
        state: what `Identifiers.state` returns, and beside it what `lookup_arrays` does.

    Example:
        >>> state = Identifiers(["tea", "rice"]).state()
        >>> ids = MappedIdentifiers({**state, **lookup_arrays(state)})
        >>> ids.codes(["rice", "gold"]).tolist(), ids.keys_of([0]).tolist(), len(ids)
        ([1, -1], ['tea'], 2)
    """

    def __init__(self, state: Mapping[str, NDArray[Any]]) -> None:
        """See the class."""
        self._state = state

    def __len__(self) -> int:
        """Return n."""
        return len(self._state["order"])

    @property
    @override
    def kind(self) -> str:
        """The type of the ids: "int" or "str"."""
        return "int" if "keys" in self._state else "str"

    @cached_property
    def keys(self) -> NDArray[Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """All ids by code, in memory."""
        return self.keys_of(np.arange(len(self)))

    @override
    def codes(self, raw: ArrayLike, name: str = "ids") -> NDArray[np.int64]:
        """Return the codes of ids: (m,) int64, -1 for one that is unknown or missing."""
        found = factorize([raw] if isinstance(raw, (str, int, np.integer)) else raw, name)
        if not len(found.keys) or not len(self):
            return np.full(len(found.codes), -1, dtype=np.int64)
        text = found.keys.dtype.kind == "U"
        if text != (self.kind == "str"):
            expected = "strings" if self.kind == "str" else "integers"
            raise ArgumentTypeError(name, f"{expected}, as the ids of this log are", found.keys[0].item())
        codes = self._codes_of_text(found.keys) if text else self._codes_of_numbers(found.keys)
        return np.append(codes, -1)[found.codes]

    @override
    def keys_of(self, codes: ArrayLike) -> NDArray[Any]:
        """Return the ids of codes of any shape."""
        found = check_indices("codes", codes, len(self))
        if self.kind == "int":
            return np.asarray(self._state["keys"][found])
        texts = [self._text(code).decode("utf-8", "surrogatepass") for code in found.ravel().tolist()]
        return np.array(texts, dtype=np.str_).reshape(found.shape)

    @override
    def state(self) -> dict[str, NDArray[Any]]:
        """Return arrays that hold the ids, as `Identifiers.state` does."""
        return {name: self._state[name] for name in ("keys", "text", "ends") if name in self._state}

    def _text(self, code: int) -> bytes:
        ends = self._state["ends"]
        return self._state["text"][ends[code - 1] if code else 0 : ends[code]].tobytes()

    def _codes_of_numbers(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        known, order = self._state["keys"], self._state["order"]
        low, high = np.zeros(len(keys), np.int64), np.full(len(keys), len(order), np.int64)
        while (low < high).any():  # np.searchsorted would read all keys in their order
            middle = (low + high) // 2
            less = (low < high) & (known[order[np.minimum(middle, len(order) - 1)]] < keys)
            low, high = np.where(less, middle + 1, low), np.where(less, high, middle)
        near = order[np.minimum(low, len(order) - 1)].astype(np.int64)
        return np.where(known[near] == keys, near, -1)

    def _codes_of_text(self, keys: NDArray[np.str_]) -> NDArray[np.int64]:
        hashes, order = self._state["hashes"], self._state["order"]
        texts = [key.encode("utf-8", "surrogatepass") for key in keys.tolist()]
        wanted = np.array([_hash(text) for text in texts], dtype=np.uint64)
        places = np.searchsorted(hashes, wanted)
        codes = np.full(len(keys), -1, dtype=np.int64)
        for number, (text, place) in enumerate(zip(texts, places.tolist(), strict=True)):
            while place < len(hashes) and hashes[place] == wanted[number]:  # two ids may have one hash
                if self._text(int(order[place])) == text:
                    codes[number] = order[place]
                    break
                place += 1
        return codes


def lookup_arrays(state: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return what ids are looked up by: "order" (n,), and of strings "hashes" (n,) uint64 in that order.

    Example:
        >>> lookup_arrays(Identifiers([7, 3]).state())["order"].tolist()
        [1, 0]
    """
    if "keys" in state:
        order = np.argsort(state["keys"], kind="stable")
        return {"order": order.astype(code_type(len(order)))}
    hashes = np.fromiter(_hashes(state["text"], state["ends"]), dtype=np.uint64, count=len(state["ends"]))
    order = np.argsort(hashes, kind="stable")
    return {"order": order.astype(code_type(len(order))), "hashes": hashes[order]}


def count_repeated(state: Mapping[str, NDArray[Any]], lookup: Mapping[str, NDArray[Any]]) -> int:
    """Return how many ids are there that were there before.

    Example:
        >>> state = {"keys": np.array([7, 3, 7])}
        >>> count_repeated(state, lookup_arrays(state))
        1
    """
    order = lookup["order"]
    if "keys" in state:
        ordered = state["keys"][order]
        return int(np.count_nonzero(ordered[1:] == ordered[:-1]))
    ids, hashes, repeated = MappedIdentifiers({**state, **lookup}), lookup["hashes"], 0
    same = np.flatnonzero(hashes[1:] == hashes[:-1]) + 1
    if not len(same):
        return 0
    for group in np.split(same, np.flatnonzero(np.diff(same) > 1) + 1):  # of one hash each
        texts = ids.keys_of(order[np.append(group[:1] - 1, group)]).tolist()
        repeated += len(texts) - len(set(texts))
    return repeated


def _hashes(text: NDArray[np.uint8], ends: NDArray[np.int64]) -> Iterator[int]:
    start = 0
    for piece in pieces(len(ends)):
        part = ends[piece].tolist()
        data, base = text[start : part[-1]].tobytes(), start
        for end in part:
            yield _hash(data[start - base : end - base])
            start = end


def _hash(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
