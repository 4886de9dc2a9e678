"""Two logs as one: their events in one order, and what becomes of columns that only one of them has."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq.logs.identifiers import Identifiers, code_type
from logq.logs.interactions import Interactions
from logq.logs.ordering import order_rows

__all__ = ["joined_log"]


def joined_log(parts: Sequence[Interactions], *, filled: bool = False) -> tuple[Interactions, NDArray[Any]]:
    """Put the events of logs together, whose users, items and columns have the same codes.

    They are ordered by user, then time if all parts have times, then part, then position in it.

    Args:
        parts: the logs; ids, features and notes are those of the first one.
        filled: whether a column, or labels, that a part lacks are 0 there; otherwise they are left out.

    Returns:
        The log, and the number (N,) that each of its events has among those of all parts.

    Example:
        >>> log = Interactions.from_arrays([1, 1, 2, 2], [5, 7, 9, 5])
        >>> both, order = joined_log([log.select([0, 2]), log.select([1, 3])])
        >>> both.items.tolist() == log.items.tolist(), order.tolist()
        (True, [0, 2, 1, 3])
    """
    first = parts[0]
    users = np.concatenate([part.users for part in parts])
    times = _column([part.timestamps for part in parts], parts, filled=False)
    order = order_rows(users, times)
    names = {name: None for part in parts for name in part.columns}
    columns = {name: _column([part.columns.get(name) for part in parts], parts, filled=filled) for name in names}
    labels = _column([part.labels for part in parts], parts, filled=filled)
    kept = {name: column[order] for name, column in columns.items() if column is not None}
    column_ids: Mapping[str, Identifiers] = {name: ids for part in parts for name, ids in part.column_ids.items()}
    joined = Interactions(
        users=users[order].astype(code_type(first.num_users), copy=False),
        items=np.concatenate([part.items for part in parts])[order].astype(code_type(first.num_items), copy=False),
        timestamps=None if times is None else times[order],
        labels=None if labels is None else labels[order].astype(np.float32, copy=False),
        columns=kept,
        user_ids=first.user_ids,
        item_ids=first.item_ids,
        column_ids={name: ids for name, ids in column_ids.items() if name in kept},
        item_features=first.item_features,
        user_features=first.user_features,
        dropped=first.dropped,
        notes=first.notes,
    )
    return joined, order


def _column(
    columns: Sequence[NDArray[Any] | None], parts: Sequence[Interactions], *, filled: bool
) -> NDArray[Any] | None:
    """A column of logs one after the other, 0 where a log lacks it; None where it is to be left out."""
    there = [np.asarray(column) for column in columns if column is not None]
    if not there or (len(there) < len(parts) and not filled):
        return None
    kind = np.result_type(*[column.dtype for column in there])
    each = [
        np.zeros(len(part), kind) if column is None else column for column, part in zip(columns, parts, strict=True)
    ]
    return np.concatenate(each).astype(kind, copy=False)
