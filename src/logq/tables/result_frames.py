"""`to_frame`: whatever logq answers as a data frame of pandas or polars."""

import dataclasses
import importlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError

__all__ = ["Columns", "HasColumns", "columns_of", "to_frame"]

Columns: TypeAlias = Mapping[str, Sequence[Any] | NDArray[Any]]
"""Columns of equal length by name."""

PAIR = ("word", "score")
"""The columns of pairs, which questions about words are answered by."""


@runtime_checkable
class HasColumns(Protocol):
    """A result that says itself which columns a table of it has.

    Example:
        >>> from logq.evaluation import Interval, RankingScores
        >>> isinstance(RankingScores((10,), {"HR@10": 0.25}, {"HR@10": Interval(0.1, 0.4)}, {}, users=8), HasColumns)
        True
    """

    def to_columns(self) -> Columns:
        """Return the columns by name, all of the same length."""
        ...


def to_frame(result: Any, *, library: Literal["pandas", "polars"] | None = None) -> Any:
    """Return a result as a data frame: a row for each recommendation, metric, word, epoch, sampler or trial.

    Args:
        result: Recommendations (places that filters left empty have no row); scores of an evaluation; what words are
            nearest; the training log of a model, or the model; gradient errors; a tuning; or a list of mappings, of
            named tuples or of dataclasses, such as the parts of any of these.
        library: "pandas" or "polars"; None takes pandas where it is installed, and polars otherwise.

    Raises:
        ArgumentTypeError, ArgumentError: the result is none of these, or `library` is another one.
        ModuleNotFoundError: the library is not installed.

    Example:
        >>> from logq import Interactions, Popularity, to_frame
        >>> model = Popularity().fit(Interactions.from_arrays(["ann", "bob", "bob"], ["tea", "tea", "cup"]))
        >>> frame = to_frame(model.recommend(["ann"], k=1, exclude_seen=False))
        >>> frame.drop(columns="score").to_dict("records")
        [{'row': 0, 'rank': 1, 'item': 'tea', 'status': ''}]
    """
    if library not in (None, "pandas", "polars"):
        raise ArgumentError("library", "'pandas', 'polars' or None", library)
    columns = columns_of(result)
    return _load(library).DataFrame({name: _plain(values) for name, values in columns.items()})


def columns_of(result: Any) -> Columns:
    """Return the columns that a table of a result has.

    Raises:
        ArgumentTypeError: it is none of those that `to_frame` takes.

    Example:
        >>> columns_of([{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 2.0, "ndcg@10": 0.1}])
        {'epoch': [1, 2], 'loss': [2.5, 2.0], 'ndcg@10': [None, 0.1]}
        >>> columns_of([("tea", 0.9), ("cup", 0.2)])
        {'word': ['tea', 'cup'], 'score': [0.9, 0.2]}
    """
    if isinstance(result, HasColumns):
        return result.to_columns()
    log = getattr(result, "training_log", None)
    rows: Any = result if log is None else log
    if isinstance(rows, Iterable) and not isinstance(rows, str | bytes | Mapping):
        found = [_row(row) for row in rows]
        if all(row is not None for row in found):
            return _of_rows([row for row in found if row is not None])
    expected = "a result of logq, such as Recommendations or scores, or a model with a training log"
    raise ArgumentTypeError("result", expected, result)


def _row(row: Any) -> Mapping[str, Any] | None:
    """A row by the names of its columns; None where it has none."""
    if isinstance(row, Mapping):
        return {str(name): value for name, value in row.items()}
    if hasattr(row, "_asdict"):
        return row._asdict()
    if dataclasses.is_dataclass(row) and not isinstance(row, type):
        return {part.name: getattr(row, part.name) for part in dataclasses.fields(row)}
    if isinstance(row, tuple) and len(row) == len(PAIR) and isinstance(row[0], str):
        return dict(zip(PAIR, row, strict=True))
    return None


def _of_rows(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Columns of rows, in the order in which their names occur; None where a row has no such value."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [row.get(name) for row in rows] for name in names}


def _plain(values: Sequence[Any] | NDArray[Any]) -> Any:
    """What both libraries read: an array of objects, whose values may be strings and None, is a list."""
    return values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind in "OUS" else values


def _load(library: str | None) -> Any:
    name = library or ("pandas" if find_spec("pandas") else "polars")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        needed, hint = library or "pandas or polars", "'logq[logs]'" if name == "polars" else name
        raise ModuleNotFoundError(f"to_frame needs {needed}: pip install {hint}", name=name) from None
