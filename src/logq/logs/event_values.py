"""What the events of a log consist of, as SQL over its rows, and which rows count: the same for every engine."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from logq._arguments import ArgumentError, Verbatim
from logq.logs.log_rows import LogRows
from logq.logs.parquet_reader import quoted, text_literal
from logq.logs.prepare_values import Values, id_values, label_values, number_or_category, time_values

__all__ = ["EventValues", "find_values"]


class EventValues(NamedTuple):
    """The values of an event, and what is to be said of them.

    Args:
        values: by what they are called in SQL: "item", "user", "time", "label", "session", "c0", ...
        further: the names of further columns, by what they are called in SQL.
        categories: those of them whose values are in a table v_KEY.
        wrong: the condition for each reason for which a row is dropped, in order.
        repeats: how repeated rows are told, as `Cleaning` has it.
        notes: what was guessed.
    """

    values: Mapping[str, Values]
    further: Mapping[str, str]
    categories: Mapping[str, str]
    wrong: Mapping[str, str]
    repeats: str | None
    notes: list[str]

    def state(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        return {**self._asdict(), "values": {name: value._asdict() for name, value in self.values.items()}}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "EventValues":
        """The opposite of `state`."""
        values = {name: Values(**value) for name, value in state["values"].items()}
        return cls(values, **{name: value for name, value in state.items() if name != "values"})

    @property
    def columns(self) -> dict[str, str]:
        """What columns beside users and items are called in files, by what they are called in SQL."""
        return {key: self.further.get(key, key) for key in self.values if key not in ("user", "item")}

    def typed(self) -> str:
        """The statement for the values of all rows, with the number of each as "row"."""
        selected = ", ".join(f"{value.sql} AS {quoted(name)}" for name, value in self.values.items())
        joins = " ".join(dict.fromkeys(value.table for value in self.values.values() if value.table))
        return f'SELECT rows.rowid AS "row", {selected} FROM rows {joins}'

    def complete(self, typed: str) -> str:
        """The statement for those of some typed rows that are not dropped."""
        incomplete = " OR ".join(f"({condition})" for condition in self.wrong.values())
        return f"SELECT * FROM {typed} WHERE NOT coalesce({incomplete}, false)"

    def count_dropped(self, connection: Any, typed: str) -> dict[str, int]:
        """How many typed rows are dropped, by reason."""
        reason = " ".join(f"WHEN {condition} THEN {text_literal(name)}" for name, condition in self.wrong.items())
        found = dict(
            connection.execute(f"SELECT CASE {reason} END AS reason, count(*) FROM {typed} GROUP BY reason").fetchall()
        )
        return {name: found[name] for name in self.wrong if name in found}

    def different(self, complete: str) -> str:
        """The rows of a statement that are not repeats."""
        if self.repeats is None or (self.repeats == "exact" and "time" not in self.values):
            return complete
        if self.repeats == "exact":
            columns = ", ".join(map(quoted, self.values))
            return f'SELECT min("row") AS "row", {columns} FROM ({complete}) GROUP BY {columns}'
        order = [*(["time"] if "time" in self.values else []), '"row"']
        down = " DESC" if self.repeats == "last" else ""
        by = ", ".join(f"{name}{down}" for name in order)
        return f'{complete} QUALIFY row_number() OVER (PARTITION BY "user", item ORDER BY {by}) = 1'


def find_values(rows: LogRows, about: Mapping[str, Any], settings: Mapping[str, Any]) -> EventValues:
    """Find out how users, items, times, labels and further columns are read.

    Args:
        rows: of the log; tables of dates, and of values of categories, are made of them.
        about: "names", "guesses", "text" and "decimal_comma" of `RawLog`, and how many "rows" there are.
        settings: of the preparation.

    Raises:
        BadArgumentError: a value is wrong; the message has the first one and its row.
    """
    if not about["rows"]:
        raise ArgumentError("log", "at least two events", Verbatim("none"))
    names, guesses, further = about["names"], dict(about["guesses"]), list[str]()
    cleaning, comma = settings["cleaning"], about["decimal_comma"]
    values: dict[str, Values] = {}
    for role in ("item", "user", "session"):
        if role in names:
            values[role] = id_values(rows, role, role, cleaning.get("missing"), text=about["text"])
            if values[role].note:
                further.append(f"{role}: {values[role].note}")
    if "user" not in values:
        values["user"] = values["session"]
        further.append("user: there is no such column, each session counts as a user")
    if "time" in names:
        values["time"], kind = time_values(rows, "time", settings["time_format"], decimal_comma=comma)
        _note_time(guesses, kind, settings["time_format"])
    label = _label(rows, names, guesses, cleaning, comma)
    if label is not None:
        values["label"] = label
    kept, categories = _further(rows, about, settings["columns"], values)
    wrong = {f"no {role}": _absent(role) for role in ("user", "item", "time", "label") if role in values}
    if (least := cleaning.get("min_label")) is not None:
        wrong[f"label below {least:g}"] = f"label < CAST({least} AS DOUBLE)"
    notes = [*(f"{role}: {note}" for role, note in guesses.items()), *further]
    return EventValues(values, kept, categories, wrong, cleaning.get("deduplicate", "exact"), notes)


def _label(
    rows: LogRows, names: Mapping[str, str], guesses: dict[str, str], cleaning: Mapping[str, Any], comma: bool
) -> Values | None:
    """The labels; those that nobody asked for must not cost a row."""
    if "label" not in names:
        if cleaning.get("min_label") is not None:
            raise ArgumentError("min_label", "None for a log without labels", cleaning["min_label"])
        return None
    guessed = "label" in guesses and cleaning.get("min_label") is None
    try:
        found = label_values(rows, "label", decimal_comma=comma)
    except TypeError:
        if not guessed or not names["label"].isdigit():
            raise
        guesses["label"] = f"none, as the column {names['label']} does not only have numbers"
        return None
    without = rows.one("count_if", f"({found.sql}) IS NULL OR isnan(CAST({found.sql} AS DOUBLE))")
    if guessed and without:
        column = f"the column {names['label']!r}"
        guesses["label"] = f"none, as {without:,} rows of {column} have no number; label (--label) names it"
        return None
    return found


def _further(
    rows: LogRows, about: Mapping[str, Any], asked: Any, values: dict[str, Values]
) -> tuple[dict[str, str], dict[str, str]]:
    """Further columns: numbers, or codes by first appearance; return their names, and those with codes."""
    kept, categories = dict[str, str](), dict[str, str]()
    if "session" in values:
        rows.factor("session", values["session"].sql)
        values["session"] = Values("coalesce(v_session.code, -1)", table=_joined("session", values["session"].sql))
    for key in about["names"]:
        if not key.startswith("c"):
            continue
        name = list(asked)[int(key[1:])]
        kind = asked.get(name) if isinstance(asked, Mapping) else None
        found = number_or_category(rows, key, name, kind, text=about["text"], decimal_comma=about["decimal_comma"])
        kept[key] = name
        if found.category:
            categories[key] = name
            rows.factor(key, found.sql)
            found = Values(f"coalesce(v_{key}.code + 1, 0)", table=_joined(key, found.sql))
        elif not found.whole:
            found = found._replace(sql=f"coalesce({found.sql}, 'NaN'::FLOAT)")
        values[key] = found
    return kept, categories


def _joined(key: str, sql: str) -> str:
    return f"LEFT JOIN v_{key} ON v_{key}.value = {sql}"


def _absent(role: str) -> str:
    name = quoted(role)
    return f"{name} IS NULL" if role in ("user", "item") else f"({name} IS NULL OR isnan(CAST({name} AS DOUBLE)))"


def _note_time(guesses: dict[str, str], kind: str, time_format: str | None) -> None:
    unit = kind.partition(" since 1970")[0]
    kept = kind != unit and unit != "seconds" and time_format is None
    said = f"{kind}, so ages and gaps are in {unit} too" if kept else kind
    if "time" in guesses:
        guesses["time"] += f" ({said})"
    elif kept or "first" in kind:
        guesses["time"] = f"read as {said}"
