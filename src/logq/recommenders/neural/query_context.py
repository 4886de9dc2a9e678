"""Context of a request: what is known besides the user, such as the words searched for, a market or a device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, BadArgumentError, Verbatim
from logq.logs.growing import GrownLog
from logq.logs.identifiers import Identifiers
from logq.logs.interactions import Interactions
from logq.recommenders.ranking.requests import is_scalar, unknown_values

__all__ = ["Context"]


@dataclass(frozen=True)
class Context:
    """The columns of categories of a log that a model was trained with, and the last value of each user.

    Codes are those of the log: value i of a column is i + 1, and 0 is for what is missing, unknown, or in the
    columns of the log but not in one of its events, so that nothing was learned of it.

    Args:
        ids: the values of each column.
        known: (n + 1,) int64 for each column: the code of each code of the log, or 0 where it did not occur.
        last: (U,) int64 for each column: the code of the last event of each user, 0 without one.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 2], [5, 7, 7], columns={"device": ["phone", "tv", None]})
        >>> context = Context.of(log, ["device"])
        >>> codes, unknown = context.encode({"device": ["tv", "fridge"]}, 2)
        >>> codes["device"].tolist(), unknown, context.last["device"].tolist()
        ([2, 0], [('device', 1, 'fridge')], [2, 0])
    """

    ids: Mapping[str, Identifiers]
    known: Mapping[str, NDArray[np.int64]]
    last: Mapping[str, NDArray[np.int64]]

    @classmethod
    def of(cls, log: Interactions, names: Sequence[str]) -> "Context":
        """What a log says of these columns.

        Raises:
            ValueError: the log has no such column of categories.
        """
        for name in names:
            if name not in log.column_ids:
                has = ", ".join(map(repr, log.column_ids)) or "none"
                numbers = "; numbers have to be given as strings" if name in log.columns else ""
                raise ArgumentError("context", f"columns of categories ({has})", Verbatim(f"{name!r}{numbers}"))
        ids = {name: log.column_ids[name] for name in names}
        known: dict[str, NDArray[np.int64]] = {}
        last: dict[str, NDArray[np.int64]] = {}
        begins, ends = np.asarray(log.offsets[:-1]), np.asarray(log.offsets[1:])
        for name in names:
            codes = np.asarray(log.columns[name], dtype=np.int64)
            known[name] = np.zeros(len(ids[name]) + 1, dtype=np.int64)
            known[name][codes] = codes
            last[name] = np.zeros(log.num_users, dtype=np.int64)
            last[name][ends > begins] = codes[ends[ends > begins] - 1]
        return cls(ids, known, last)

    @property
    def sizes(self) -> dict[str, int]:
        """How many codes each column has, with the 0."""
        return {name: len(ids) + 1 for name, ids in self.ids.items()}

    def encode(
        self, raw: Mapping[str, Any], rows: int
    ) -> tuple[dict[str, NDArray[np.int64]], list[tuple[str, int, Any]]]:
        """(n,) codes of raw values by column, and (column, row, value) of each value that is there, but unknown.

        Raises:
            TypeError: values of another type than those of the log.
            ValueError: a column that the model does not know, or another number of values.
        """
        found: dict[str, NDArray[np.int64]] = {}
        unknown: list[tuple[str, int, Any]] = []
        for name, given in raw.items():
            if name not in self.ids:
                raise ArgumentError("context", ", ".join(map(repr, self.ids)), name)
            values: Any = [given] if is_scalar(given) else given
            codes = self._codes(name, values)
            if len(codes) != rows:
                raise ArgumentError("context", f"{rows} values of {name!r}", len(codes))
            found[name] = codes
            unknown += [(name, row, value) for row, value in unknown_values(values, codes)]
        return found, unknown

    def without_users(self) -> "Context":
        """The same without what users had last."""
        return Context(self.ids, self.known, {name: codes[:0] for name, codes in self.last.items()})

    def after(self, before: "Context", grown: GrownLog) -> "Context":
        """What is known of a log that grew, of which this one was made, beside what was known before.

        Args:
            before: of the earlier log, whose users and values are the first ones of this one.
            grown: the log.
        """
        # The column of old events may be missing by now. The last event of a user counts if it is a new one.
        ends = np.asarray(grown.log.offsets[1:])
        is_later = (ends > np.asarray(grown.log.offsets[:-1])) & grown.is_new[np.maximum(ends - 1, 0)]
        known: dict[str, NDArray[np.int64]] = {}
        last: dict[str, NDArray[np.int64]] = {}
        for name, codes in self.known.items():
            known[name] = codes.copy()
            known[name][: len(before.known[name])] |= before.known[name]
            last[name] = self.last[name].copy()
            users = np.flatnonzero(~is_later[: len(before.last[name])])
            last[name][users] = before.last[name][users]
        return Context(self.ids, known, last)

    def at(self, events: Interactions, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """(n,) codes by column of some events of another log, for the columns that it has too."""
        found: dict[str, NDArray[np.int64]] = {}
        for name in self.ids:
            if name in events.column_ids:
                own = np.append(0, self._codes(name, events.column_ids[name].keys))
                found[name] = own[np.asarray(events.columns[name])[rows]]
        return found

    def of_users(self, users: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """(n,) codes by column of what users had last, 0 for a user of -1."""
        return {name: np.where(users >= 0, np.append(last, 0)[users], 0) for name, last in self.last.items()}

    def _codes(self, name: str, raw: ArrayLike) -> NDArray[np.int64]:
        try:
            codes = self.ids[name].codes(raw)
        except BadArgumentError as error:
            raise type(error)("context", f"for {name!r} {error.expected}", error.got, error.hint) from None
        except TypeError as error:
            raise TypeError(f"context: {name!r}: {error}") from None
        return self.known[name][codes + 1]

    def state(self) -> dict[str, NDArray[Any]]:
        """Plain arrays, for a file."""
        found: dict[str, NDArray[Any]] = {}
        for name, ids in self.ids.items():
            found |= {f"context/{name}/ids/{key}": array for key, array in ids.state().items()}
            found |= {f"context/{name}/known": self.known[name], f"context/{name}/last": self.last[name]}
        return found

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]], names: Sequence[str], num_users: int) -> "Context":
        """Make it of what `state` gave.

        Raises:
            KeyError, ValueError: arrays are missing, or do not belong together.
        """
        ids: dict[str, Identifiers] = {}
        known: dict[str, NDArray[np.int64]] = {}
        last: dict[str, NDArray[np.int64]] = {}
        for name in names:
            start = f"context/{name}/"
            inner = f"{start}ids/"
            ids[name] = Identifiers.from_state({k[len(inner) :]: v for k, v in state.items() if k.startswith(inner)})
            known[name], last[name] = state[f"{start}known"], state[f"{start}last"]
            size = len(ids[name]) + 1
            for key, array, length in (("known", known[name], size), ("last", last[name], num_users)):
                if array.dtype != np.int64 or array.shape != (length,) or not ((array >= 0) & (array < size)).all():
                    raise ValueError(f"expected ({length},) int64 codes below {size} for {start + key!r}")
        return cls(ids, known, last)
