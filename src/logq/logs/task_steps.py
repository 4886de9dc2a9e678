"""The steps of a preparation by tasks, which an engine runs on its machines; this process says which, and merges.

    rows        rows of each file of the log, as they are
    values      how columns are read: every piece of the rows is asked, and the answers are put together
    split       events of each piece, by partition of their users
    events      events of each partition that are complete, different, and not rare
    items, users, files     as logq.logs.preparation has them

Tasks run the same SQL as `duckdb_steps`, each in a DuckDB of its own, so that all engines make the same log.
"""

import functools
import itertools
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from logq._project import version
from logq.logs import piece_tasks
from logq.logs.event_values import EventValues, find_values
from logq.logs.parquet_reader import file_literal, parquet_source
from logq.logs.piece_rows import PieceRows
from logq.logs.piece_tasks import LogPiece, LogTask, UserPart, Workplace, perform
from logq.logs.preparation import ROWS_A_PARTITION, Preparation, copy_to, number_type, rare_values
from logq.logs.prepare_columns import RawLog

__all__ = ["TaskRunner", "TaskSteps"]

ROWS_A_PIECE = 2_000_000

_FOLDERS = ("done", "rows", "dates", "values", "events", "kept", "counts", "users", "out")


class TaskRunner(Protocol):
    """What an engine does: it runs a function on its machines, as often as there are tasks.

    An engine is one class with these names, made with the number of threads of a task, in a file of its own, and a line
    in `prepare_engines`.
    """

    package: ClassVar[str]
    """The package that it needs, which the extra of its name installs."""

    about: str
    """Name and version."""

    where: str
    """Which cluster it is, and how many tasks that runs at a time."""

    finished: int
    """How many tasks of the call of `run` that goes on have ended."""

    def run(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
        """Call a function with each task; return the results in order.

        Raises:
            ConnectionError: a machine was lost, and what it did could not be done again.
        """
        ...

    def stop(self) -> None:
        """End what runs, with an error of `run`; called from another thread."""
        ...

    def close(self) -> None:
        """Give back what was started for it."""
        ...


class TaskSteps(Preparation):
    """The steps of a preparation by the tasks of an engine.

    Args:
        connection, work, files, settings: see Preparation.
        runner: runs the tasks.
        memory: of DuckDB in each task.
        threads: of each task.

    Example:
        See logq.logs.prepare, which makes one.
    """

    STEPS: ClassVar = {
        "rows": 0.25,
        "values": 0.15,
        "split": 0.2,
        "events": 0.15,
        "items": 0.02,
        "users": 0.01,
        "files": 0.12,
    }

    def __init__(
        self,
        connection: Any,
        work: Path,
        files: Sequence[Path],
        settings: Mapping[str, Any],
        *,
        runner: TaskRunner,
        memory: str | None,
        threads: int | None,
    ) -> None:
        super().__init__(connection, work, files, settings)
        self.engines = (runner.about,)
        self._runner, self._total = runner, 0
        self._questions, self._expected = 0, 1  # how many calls of the runner a step takes, about
        self._place = Workplace(str(work.resolve()), memory, threads or 1, version())
        for name in _FOLDERS:
            (work / name).mkdir(exist_ok=True)

    def done(self) -> float:
        """See Preparation."""
        share = self._runner.finished / self._total if self._total else 0.0
        return min((self._questions - 1 + share) / self._expected, 0.99) if self._questions else 0.0

    def stop(self) -> None:
        """See Preparation."""
        self._runner.stop()

    def step(self, name: str) -> None:
        """See Preparation."""
        self._total, self._questions = 0, 0
        self._expected = 4 * len(self.result("rows")["names"]) if name == "values" else 1
        super().step(name)

    def _run(self, function: Callable[..., Any], arguments: Sequence[Sequence[Any]], keep: str = "") -> list[Any]:
        """Run a task for each of some arguments; return the results, which a later call finds if `keep` names them."""
        kept = [f"done/{keep}-{number:05}.json" if keep else "" for number in range(len(arguments))]
        found = {number: self._work / name for number, name in enumerate(kept) if name and (self._work / name).exists()}
        results = {number: json.loads(path.read_bytes()) for number, path in found.items()}
        left = [number for number in range(len(arguments)) if number not in results]
        self._total, self._questions = len(left), self._questions + 1
        if left:
            tasks = [LogTask(function, arguments[number], kept[number]) for number in left]
            answers = self._runner.run(functools.partial(perform, self._place), tasks)
            failed = [error for error, _ in answers if error is not None]
            if failed:
                raise failed[0]
            results |= {number: answer for number, (_, answer) in zip(left, answers, strict=True)}
        return [results[number] for number in range(len(arguments))]

    # ------------------------------------------------------------------------------------------------------- steps

    def _read(self, raw: RawLog) -> dict[str, Any]:
        # The types of columns are those that hold the values of all files.
        select = raw.select(self._work) if not raw.text else ""
        described = self._connection.execute(f"DESCRIBE {select}").fetchall() if select else []
        kinds = {name: kind for name, kind, *_ in described} or dict.fromkeys(raw.names, "VARCHAR")
        parts = [(number, bounds) for number in range(len(raw.files)) for bounds in self._bounds(raw, number)]
        arguments = [(part, raw.only(number), kinds, bounds) for part, (number, bounds) in enumerate(parts)]
        counts = self._run(piece_tasks.read_rows, arguments, "rows")
        repeats = sum(count["repeats"] for count in counts)
        rows = sum(count["rows"] for count in counts) - repeats
        return {"rows": rows, "repeats": repeats, "kinds": kinds, "counts": counts, "condition": raw.repeats}

    def _bounds(self, raw: RawLog, number: int) -> list[tuple[int, int] | None]:
        """Which rows of a file one task each reads; text is read as a whole."""
        if raw.text:
            return [None]
        file = raw.files[number]
        names = self._connection.execute(f"SELECT name FROM parquet_schema({file_literal(file)})").fetchall()
        if any(name.lower() == "file_row_number" for (name,) in names):  # then there is no number to be had
            return [None]
        rows = self._one(f"SELECT count(*) FROM {parquet_source(file)}")
        return [*_ranges(rows)] or [None]

    def _pieces(self) -> list[LogPiece]:
        """Pieces of all rows, in their order."""
        found = self.result("rows")
        pieces, first = list[LogPiece](), 0
        for file, count in enumerate(found["counts"]):
            repeats = found["condition"] if count["repeats"] else ""
            for begin, end in _ranges(count["rows"]):
                pieces.append(LogPiece(len(pieces), file, first, begin, end, found["kinds"], repeats))
            first += count["rows"]
        return pieces

    def _make_values(self) -> dict[str, Any]:
        about = self.result("rows")
        rows = PieceRows(self._run, self._pieces(), self._connection, self._work)
        found = find_values(rows, about, self._settings)
        self._write_categories(found.categories, lambda key: parquet_source(self._work / f"v_{key}.parquet"))
        return {"values": found.state(), "tables": rows.tables}

    def _make_split(self) -> dict[str, Any]:
        about = self.result("values")
        partitions = self._settings["partitions"] or -(-self.result("rows")["rows"] // ROWS_A_PARTITION)
        arguments = [(piece, about["values"], about["tables"], partitions) for piece in self._pieces()]
        dropped: dict[str, int] = {}
        for found in self._run(piece_tasks.split_events, arguments, "split"):
            for reason, count in found.items():
                dropped[reason] = dropped.get(reason, 0) + count
        order = self.result("values")["values"]["wrong"]
        return {"partitions": partitions, "dropped": {name: dropped[name] for name in order if name in dropped}}

    def _make_events(self) -> dict[str, Any]:
        self._remove("rows", "dates", "values")
        about, state = self.result("split"), self.result("values")["values"]
        parts = [UserPart(number, 0) for number in range(about["partitions"])]
        found = self._run(piece_tasks.find_kept, [(part, state) for part in parts], "events")
        dropped = dict(about["dropped"])
        if repeated := sum(part["before"] - part["kept"] for part in found):
            dropped["duplicate"] = repeated
        found = self._drop_rare(found, dropped)
        self._check_kept(sum(part["kept"] for part in found), dropped)
        values = EventValues.from_state(state)
        return {"notes": values.notes, "dropped": dropped, "columns": values.columns, "parts": found}

    def _drop_rare(self, found: list[dict[str, int]], dropped: dict[str, int]) -> list[dict[str, int]]:
        """Drop rare items and users in turn until there are none; return what is left of each partition."""
        cleaning = self._settings["cleaning"]
        min_item, min_user = cleaning.get("min_item", 1), cleaning.get("min_user", 1)
        gone = min_item > 1 or min_user > 1
        while gone:
            if min_item > 1:
                rare = rare_values("item", min_item, self._counts(found), "sum(count)")
                copy_to(self._work / "rare.parquet", rare, self._connection)
            parts = [UserPart(number, part["turn"]) for number, part in enumerate(found)]
            before = found
            found = self._run(piece_tasks.drop_rare, [(part, min_item > 1, min_user) for part in parts])
            for part, now in zip(parts, found, strict=True):
                if part.turn and now["turn"] > part.turn:  # the first one is where a stopped step goes on from
                    (self._work / "kept" / part.name).unlink(missing_ok=True)
            for side in ("item", "user"):
                if count := sum(part[side] for part in found):
                    dropped[f"rare {side}"] = dropped.get(f"rare {side}", 0) + count
            gone = any(part["kept"] != was["kept"] for part, was in zip(found, before, strict=True))
        return found

    def _counts(self, found: Sequence[Mapping[str, int]]) -> str:
        """The counts of items in all partitions, as SQL."""
        names = (UserPart(number, part["turn"]).name for number, part in enumerate(found))
        return parquet_source(*(self._work / "counts" / name for name in names))

    def _make_items(self) -> dict[str, Any]:
        self._remove("events")
        counts = "SELECT item, CAST(sum(count) AS BIGINT) AS count, min(first) AS first FROM {} GROUP BY item"
        counts = counts.format(self._counts(self.result("events")["parts"]))
        kind = number_type(self._one(f"SELECT count(*) FROM ({counts})"))
        code = f"CAST(row_number() OVER (ORDER BY count DESC, first) - 1 AS {kind})"
        self._connection.execute(f"CREATE TABLE items AS SELECT item, {code} AS code, count FROM ({counts})")
        found = self._check_items()
        copy_to(self._out() / "items.parquet", "SELECT item, code, count FROM items ORDER BY code", self._connection)
        self._connection.execute("DROP TABLE items")
        return found

    def _make_users(self) -> dict[str, Any]:
        users = [part["users"] for part in self.result("events")["parts"]]
        return {"users": sum(users), "first": [0, *itertools.accumulate(users)][:-1]}

    def _make_files(self) -> dict[str, Any]:
        about, events = self.result("users"), self.result("events")
        # Partitions in which nobody is left have no file.
        left = [(number, part) for number, part in enumerate(events["parts"]) if part["users"]]
        arguments = [
            (UserPart(number, part["turn"]), place, about["first"][number], about["users"], events["columns"])
            for place, (number, part) in enumerate(left)
        ]
        unsorted = sum(self._run(piece_tasks.write_files, arguments, "files"))
        source = parquet_source(*(self._work / "users" / f"{place:05}.parquet" for place in range(len(left))))
        select = f'SELECT "user", code, count FROM {source}'
        copy_to(self._out() / "users.parquet", select, self._connection)
        return {"unsorted": unsorted}

    def _remove(self, *names: str) -> None:
        """Remove files of steps that are done, when the next one begins."""
        for name in names:
            shutil.rmtree(self._work / name, ignore_errors=True)


def _ranges(rows: int) -> list[tuple[int, int]]:
    return [(begin, min(begin + ROWS_A_PIECE, rows)) for begin in range(0, rows, ROWS_A_PIECE)]
