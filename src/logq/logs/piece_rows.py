"""The rows of a log in pieces: every question goes to all of them, and their answers are put together."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from logq.logs.log_rows import Group, Met, coded_values
from logq.logs.parquet_reader import parquet_source
from logq.logs.piece_tasks import LogPiece, collect_values, look, values_file
from logq.logs.preparation import copy_to

__all__ = ["PieceRows"]

_TOGETHER: dict[str, Callable[[list[Any]], Any]] = {
    "bool_and": all,
    "bool_or": any,
    "max": max,
    "count_if": sum,
}
"""How the answers of pieces become one, by the function that they were asked for."""


class PieceRows:
    """The rows of a log that are in pieces; see `LogRows`.

    Args:
        run: runs a function for each of some arguments, and returns the results.
        pieces: of the rows, in order.
        connection: of DuckDB, to merge.
        work: the work folder.

    Attributes:
        tables: that were made: "dates", "v_KEY".

    Example:
        See TaskSteps, which asks by one.
    """

    def __init__(
        self,
        run: Callable[[Callable[..., Any], Sequence[Sequence[Any]]], list[Any]],
        pieces: Sequence[LogPiece],
        connection: Any,
        work: Path,
    ) -> None:
        self._run, self._pieces, self._connection, self._work = run, pieces, connection, work
        self.tables: list[str] = []

    def kind(self, column: str) -> str:
        """See LogRows."""
        return self._pieces[0].kinds[column]

    def one(self, function: str, what: str, where: str = "true") -> Any:
        """See LogRows."""
        answers = [answer for answer in self._ask("one", function, what, where) if answer is not None]
        return _TOGETHER[function](answers) if answers else None

    def first(self, what: str, where: str) -> Met | None:
        """See LogRows."""
        return next((Met(*answer) for answer in self._ask("first", what, where) if answer is not None), None)

    def groups(self, what: str, where: str, shown: str) -> list[Group]:
        """See LogRows."""
        found: dict[Any, Group] = {}
        for answer in self._ask("groups", what, where, shown):
            for group in (Group(*one) for one in answer):
                before = found.get(group.value)
                found[group.value] = group if before is None else before._replace(rows=before.rows + group.rows)
        return sorted(found.values(), key=lambda group: group.row)

    def some(self, what: str, where: str, most: int) -> list[str]:
        """See LogRows."""
        return list(dict.fromkeys(text for answer in self._ask("some", what, where, most) for text in answer))[:most]

    def read_dates(self, text: str, present: str, time_format: str | None) -> tuple[str, bool]:
        """See LogRows."""
        answers = self._ask("read_dates", text, present, time_format)
        self.tables.append("dates")
        return next((kind for kind, _ in answers if kind), ""), any(fractions for _, fractions in answers)

    def factor(self, key: str, what: str) -> None:
        """See LogRows."""
        self._run(collect_values, [(piece, key, what) for piece in self._pieces])
        source = parquet_source(*(self._work / values_file(key, piece) for piece in self._pieces))
        merged = f"SELECT value, min(first) AS first FROM {source} GROUP BY value"
        copy_to(self._work / f"v_{key}.parquet", f"{coded_values(merged)} ORDER BY code", self._connection)
        self.tables.append(f"v_{key}")

    def _ask(self, question: str, *arguments: Any) -> list[Any]:
        return self._run(look, [(piece, question, arguments) for piece in self._pieces])
