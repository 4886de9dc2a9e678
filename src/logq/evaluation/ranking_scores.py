"""`RankingScores`: means over users with bootstrap intervals, and the value of each user."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from logq._arguments import ArgumentTypeError, Verbatim
from logq.tables.notebook_html import grid
from logq.tables.short_texts import first_of, result_text

__all__ = ["Interval", "RankingScores", "bootstrap_interval", "mean_of"]

Floats: TypeAlias = NDArray[np.float64]

_NUMBERS = 1 << 22  # counts in memory at a time, 32 MB
_MANY = 100_000  # kinds of users


class Interval(NamedTuple):
    """The ends of a confidence interval.

    Example:
        >>> low, high = Interval(0.29, 0.31)
    """

    low: float
    high: float


def mean_of(sums: Floats) -> Floats:
    """Return the mean of one column from sums over (column, 1).

    Example:
        >>> mean_of(np.array([[6.0, 3.0]])).tolist()
        [2.0]
    """
    return sums[:, 0] / sums[:, 1]


def bootstrap_interval(
    values: Floats,  # (n, M): what is summed over users; no NaN
    statistic: Callable[[Floats], Floats],  # (R, M) sums -> (R,)
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of a statistic of sums over users, who are resampled with replacement.

        each resample: n users from n with replacement; low and high: the (1 -+ confidence) / 2 quantiles

    Users with equal values are one kind of user, and the counts of kinds are multinomial. So the cost is resamples x
    kinds, and after leave-one-out there are not more kinds than ranks. Above 100,000 kinds the sums are drawn from the
    normal distribution with their mean and covariance, which is then equal to all digits that matter.

    References:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Example:
        >>> hits = np.repeat([[0.0, 1.0], [1.0, 1.0]], [700, 300], axis=0)
        >>> low, high = bootstrap_interval(hits, mean_of)
        >>> round(low, 2), round(high, 2)
        (0.27, 0.33)
    """
    if len(values) == 0:
        return Interval(float("nan"), float("nan"))
    kinds, counts = _kinds(values)
    generator = np.random.default_rng(seed)
    if len(kinds) > _MANY:
        mean, covariance = np.average(kinds, axis=0, weights=counts), np.cov(kinds.T, fweights=counts, ddof=0)
        total = counts.sum()
        sums = generator.multivariate_normal(total * mean, total * np.atleast_2d(covariance), resamples, method="eigh")
        return _interval(statistic(sums), confidence)
    found = np.empty(resamples)
    step = max(1, _NUMBERS // len(kinds))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        sums = _resample(generator, counts, size) @ kinds
        found[start : start + size] = statistic(sums)
    return _interval(found, confidence)


def _interval(found: Floats, confidence: float) -> Interval:
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def _kinds(values: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return the different rows, and how often each occurs."""
    rows = np.ascontiguousarray(values) + 0.0  # -0.0 has other bytes than 0.0
    keys: NDArray[Any] = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return rows[first], counts.astype(np.int64)


def _resample(generator: np.random.Generator, counts: NDArray[np.int64], size: int) -> Floats:
    """Return how often each kind is drawn, (size, kinds)."""
    total = int(counts.sum())
    if total > 2 * len(counts):
        return generator.multinomial(total, counts / total, size=size).astype(np.float64)
    # Nearly every user is a kind of its own: users are drawn one by one.
    kind_of = np.repeat(np.arange(len(counts)), counts)
    drawn = kind_of[generator.integers(total, size=(size, total))] + len(counts) * np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * len(counts)).reshape(size, -1).astype(np.float64)


@dataclass(frozen=True)
class RankingScores:
    """Metrics of full rankings, by names such as "NDCG@10".

    Attributes:
        ks: the lengths at which the rankings were cut.
        values: the means over users, and the coverage.
        intervals: a confidence interval of each mean, by bootstrap over users; none of the coverage.
        per_user: the value of each user (U,), NaN for those without a relevant item.
        users: number of users that the means are over.
        left_out: number of users without a relevant item, who are in no mean.
        unknown_items: number of entries of the truth that were -1, unknown items, which do not count.
        already_had: number of events of the test whose item their user had before. Where rankings leave out such items
            (`exclude_seen`), these events cannot be predicted and do not count.
        known_events: number of events of the test that the model knew already, which do not count.
        about: how it was evaluated: confidence, resamples, seed, and what the caller adds, such as `exclude_seen`.
        segments: the scores of parts of it by name, such as "tail items" and "cold users".

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
    already_had: int = 0
    known_events: int = 0
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    segments: Mapping[str, "RankingScores"] = field(default_factory=dict[str, "RankingScores"])

    def __getitem__(self, name: str) -> float:
        """Return a metric by its name, in any case.

        Raises:
            KeyError: it was not computed; the message names those that were.
        """
        for known, value in self.values.items():
            if known.lower() == name.lower():
                return value
        raise KeyError(f"{name}: expected one of {', '.join(self.values)}")

    def __repr__(self) -> str:
        values = first_of([f"{name} {value:.4f}" for name, value in self.values.items()])
        return result_text(self, values, f"{self.users:,} users", *self.segments)

    def __str__(self) -> str:
        """Return a line for each metric, also of the segments, and one with the number of users."""
        rows = [*self._rows()]
        width = max((len(f"{metric}@{k}{of}") for metric, of, scores in rows for k in scores.ks), default=0)
        lines = [
            f"{f'{metric}@{k}{of}':{width}}  {scores._cell(f'{metric}@{k}')}"
            for metric, of, scores in rows
            for k in scores.ks
            if f"{metric}@{k}" in scores.values
        ]
        return "\n".join([*lines, self._caption()])

    def to_json(self) -> dict[str, Any]:
        """Return everything but the values of users for JSON; a number that is not finite is null.

        Example:
            >>> RankingScores((1,), {"HR@1": float("nan")}, {}, {}, users=0).to_json()["values"]
            {'HR@1': None}
        """
        found = {
            "values": {name: _plain(value) for name, value in self.values.items()},
            "intervals": {name: [_plain(end) for end in ends] for name, ends in self.intervals.items()},
            "ks": list(self.ks),
            "users": self.users,
            "left_out": self.left_out,
            "unknown_items": self.unknown_items,
            "already_had": self.already_had,
            "known_events": self.known_events,
            "about": json.loads(json.dumps(dict(self.about), default=_from_numpy)),
        }
        if self.segments:
            found["segments"] = {name: scores.to_json() for name, scores in self.segments.items()}
        return found

    def to_columns(self) -> dict[str, list[Any]]:
        """Return the columns that `logq.to_frame` makes a table of; `part` is "" for everybody, else a segment.

        Example:
            >>> RankingScores((10,), {"HR@10": 0.25}, {"HR@10": Interval(0.1, 0.4)}, {}, users=8).to_columns()
            {'metric': ['HR'], 'k': [10], 'part': [''], 'value': [0.25], 'low': [0.1], 'high': [0.4], 'users': [8]}
        """
        rows: list[tuple[Any, ...]] = []
        for part, scores in (("", self), *self.segments.items()):
            for name, value in scores.values.items():
                metric, _, k = name.partition("@")
                low, high = scores.intervals.get(name, (math.nan, math.nan))
                rows.append((metric, int(k), part, value, low, high, scores.users))
        names = ("metric", "k", "part", "value", "low", "high", "users")
        return {name: [row[number] for row in rows] for number, name in enumerate(names)}

    def to_markdown(self) -> str:
        """Return the table as Markdown, the users below it.

        Example:
            >>> scores = RankingScores((10,), {"HR@10": 0.25}, {"HR@10": Interval(0.1, 0.4)}, {}, users=8)
            >>> print(scores.to_markdown())
            | metric | @10 |
            |---|---:|
            | HR | 0.2500 [0.1000, 0.4000] |
            <BLANKLINE>
            8 users
        """
        lines = [f"| metric |{''.join(f' @{k} |' for k in self.ks)}", f"|---|{'---:|' * len(self.ks)}"]
        for name, cells in self._cells():
            lines.append(f"| {name} |{''.join(f' {cell} |' for cell in cells)}")
        return "\n".join([*lines, "", self._caption()])

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        rows = ([name, *cells] for name, cells in self._cells())
        return grid(["metric", *(f"@{k}" for k in self.ks)], rows, self._caption())

    def _rows(self) -> Iterator[tuple[str, str, "RankingScores"]]:
        """Metrics, what they are of, and whose they are: first of everybody, then of the segments."""
        for of, scores in [("", self), *((f", {name}", scores) for name, scores in self.segments.items())]:
            for metric in dict.fromkeys(name.partition("@")[0] for name in scores.values):
                yield metric, of, scores

    def _cells(self) -> Iterator[tuple[str, list[str]]]:
        """The rows of a table: a name, and a cell for each k."""
        for metric, of, scores in self._rows():
            yield f"{metric}{of}", [scores._cell(f"{metric}@{k}") for k in self.ks]

    def table(self, title: str | None = None) -> Table:
        """Return a table for the terminal: a row for each metric, a column for each k.

        Example:
            >>> from rich.console import Console
            >>> scores = RankingScores((10,), {"HR@10": 0.25}, {"HR@10": Interval(0.1, 0.4)}, {}, users=8)
            >>> Console(width=60).print(scores.table())  # doctest: +SKIP
        """
        table = Table(title=title)
        table.add_column("metric")
        for k in self.ks:
            table.add_column(f"@{k}", justify="right")
        for name, cells in self._cells():
            table.add_row(name, *cells)
        table.caption = self._caption()
        return table

    def _caption(self) -> str:
        share = self.about.get("confidence")
        of = f"{self.users:,} users"
        if share is not None and self.intervals:
            of = f"{of}, {100 * share:g}% intervals"
        of += "".join(f", {scores.users:,} for {name}" for name, scores in self.segments.items())
        return "; ".join([of, *self.remarks()])

    def remarks(self) -> list[str]:
        """Return how many events of the test the model knew, or are of items that were there before, as phrases.

        Example:
            >>> RankingScores((1,), {}, {}, {}, users=8, known_events=90).remarks()
            ['90 events that the model knew already do not count']
        """
        found: list[str] = []
        if self.known_events:
            found.append(f"{self.known_events:,} events that the model knew already do not count")
        if self.already_had:
            counts = "do not count" if self.about.get("exclude_seen", True) else "count too"
            found.append(f"{self.already_had:,} events of items that their users had before {counts}")
        return found

    def _cell(self, name: str) -> str:
        if name not in self.values:
            return ""
        value = f"{self.values[name]:.4f}"
        if name not in self.intervals:
            return value
        return f"{value} [{self.intervals[name].low:.4f}, {self.intervals[name].high:.4f}]"


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _from_numpy(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise ArgumentTypeError("about", "what JSON can hold", Verbatim(type(value).__name__))
