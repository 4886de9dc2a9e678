"""What users and items are called in a log, and the codes 0..n-1 that stand for them everywhere else."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq.arguments import shown
from logq.data.logs.examples import whole_numbers
from logq.data.logs.factorize import factorize

__all__ = ["Identifiers"]


class Identifiers:
    """n different ids, whole numbers or strings; the code of an id is its place.

        codes(keys) = 0..n-1,  codes(anything else) = -1,  keys_of(codes(x)) = x

    Args:
        keys: (n,) ids by code, all whole numbers or all strings, no two the same.

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
            TypeError: strings where the ids are whole numbers, or the other way round.

        Example:
            >>> Identifiers([10, 20]).codes([20, 30, 10]).tolist()
            [1, -1, 0]
        """
        found = factorize([raw] if isinstance(raw, (str, int, np.integer)) else raw, "ids")
        if not len(found.keys) or not len(self):
            return np.full(len(found.codes), -1, dtype=np.int64)
        if (found.keys.dtype.kind == "U") != (self.keys.dtype.kind == "U"):
            expected = "strings" if self.kind == "str" else "whole numbers"
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
