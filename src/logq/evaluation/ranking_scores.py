"""What rankings are worth: means over users, how sure they are, and the value of every user."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from logq.evaluation.bootstrap import Interval

__all__ = ["RankingScores"]


@dataclass(frozen=True)
class RankingScores:
    """Metrics of full rankings, by names such as "NDCG@10".

    Attributes:
        ks: the numbers of places that were looked at.
        values: the means over users, and the coverage.
        intervals: a confidence interval of each mean, by bootstrap over users; there is none of coverage.
        per_user: the value of each user (U,), NaN for those without a relevant item.
        users: how many users the means are of.
        left_out: how many users have no relevant item, and are in no mean.
        unknown_items: how many entries of the truth were -1, items that no ranking can hold; they do not count.
        about: how it was measured: confidence, resamples, seed, and what the caller adds, such as `exclude_seen`.

    Example:
        >>> scores = RankingScores((10,), {"HR@10": 0.25}, {"HR@10": Interval(0.1, 0.4)}, {}, users=8)
        >>> scores["hr@10"], scores.intervals["HR@10"].low
        (0.25, 0.1)
        >>> print(scores)
        HR@10  0.2500 [0.1000, 0.4000]
        8 users
    """

    ks: tuple[int, ...]
    values: Mapping[str, float]
    intervals: Mapping[str, Interval]
    per_user: Mapping[str, NDArray[np.float64]] = field(repr=False)
    users: int
    left_out: int = 0
    unknown_items: int = 0
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __getitem__(self, name: str) -> float:
        """Return a metric by its name, in capitals or not.

        Raises:
            KeyError: it was not measured; the message names what was.
        """
        for known, value in self.values.items():
            if known.lower() == name.lower():
                return value
        raise KeyError(f"{name}: expected one of {', '.join(self.values)}")

    def __str__(self) -> str:
        """Return a line for each metric, and what the table says below."""
        width = max(map(len, self.values), default=0)
        return "\n".join([*(f"{name:{width}}  {self._cell(name)}" for name in self.values), self._caption()])

    def to_json(self) -> dict[str, Any]:
        """Return everything but the values of users as what JSON can hold; a number that is none is null.

        Example:
            >>> RankingScores((1,), {"HR@1": float("nan")}, {}, {}, users=0).to_json()["values"]
            {'HR@1': None}
        """
        return {
            "values": {name: _plain(value) for name, value in self.values.items()},
            "intervals": {name: [_plain(end) for end in ends] for name, ends in self.intervals.items()},
            "ks": list(self.ks),
            "users": self.users,
            "left_out": self.left_out,
            "unknown_items": self.unknown_items,
            "about": json.loads(json.dumps(dict(self.about), default=_of_numpy)),
        }

    def table(self, title: str | None = None) -> Table:
        """Return a table for the terminal: a line for each metric, a column for each k.

        Example:
            >>> from rich.console import Console
            >>> scores = RankingScores((10,), {"HR@10": 0.25}, {"HR@10": Interval(0.1, 0.4)}, {}, users=8)
            >>> Console(width=60).print(scores.table())  # doctest: +SKIP
        """
        table = Table(title=title)
        table.add_column("metric")
        for k in self.ks:
            table.add_column(f"@{k}", justify="right")
        for metric in dict.fromkeys(name.partition("@")[0] for name in self.values):
            table.add_row(metric, *(self._cell(f"{metric}@{k}") for k in self.ks))
        table.caption = self._caption()
        return table

    def _caption(self) -> str:
        share = self.about.get("confidence")
        of = f"{self.users:,} users"
        return of if share is None or not self.intervals else f"{of}, {100 * share:g}% intervals"

    def _cell(self, name: str) -> str:
        if name not in self.values:
            return ""
        value = f"{self.values[name]:.4f}"
        if name not in self.intervals:
            return value
        return f"{value} [{self.intervals[name].low:.4f}, {self.intervals[name].high:.4f}]"


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _of_numpy(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"about: expected what JSON can hold, got {type(value).__name__}")
