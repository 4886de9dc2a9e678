"""Features of a later table, as those of an earlier one are: cut at the same edges, in the same units."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError
from logq.logs.column_names import unknown_column
from logq.logs.data_frames import frame_columns
from logq.logs.feature_values import Categories, Coding, known_rows, unknown_values
from logq.logs.features import Features
from logq.logs.growing import grown_ids
from logq.logs.identifiers import Identifiers, factorize

__all__ = ["later_features"]


def later_features(features: Features, frame: object, ids: Identifiers, *, key: str | int = 0) -> Features:
    """Read a table that has grown as an earlier one was read, so that `grow_log` can put both together.

    Numbers and dates are cut where the earlier table was cut, or stay numbers in its units, and a field has several
    values where it had several. Categories that are new follow the known ones. What the earlier table has not is left
    out.

    Args:
        features: those of the earlier table.
        frame: the later one, as `Features.from_frame` takes it.
        ids: what the codes stand for: `item_ids` or `user_ids` of the later log.
        key: the column with the id: its name or position.

    Raises:
        ArgumentError: the table has none of the features, or `ids` none of its rows.
        ArgumentTypeError: values have another type than before.

    Example:
        >>> ids = Identifiers([10, 20])
        >>> table = {"item": [10, 20], "kind": ["tea", "salt"], "price": [1.5, 2.5]}
        >>> features = Features.from_frame(table, ids, buckets=2)
        >>> later = later_features(features, {"item": [20], "kind": ["jam"], "price": [1.75]}, ids)
        >>> later.values["price"].tolist(), later.values["kind"].tolist(), later.sizes["kind"]
        ([0, 1], [0, 3], 4)
    """
    table = frame_columns(frame)
    if isinstance(key, int):
        key = list(table)[key]
    if key not in table:
        raise unknown_column("key", key, table)
    own = {name: values for name, values in table.items() if name != key}
    known = [name for name in (*features.values, *features.dense) if name in own]
    if not known:
        raise ArgumentError(
            "frame", f"some of the features {', '.join((*features.values, *features.dense))}", list(own)
        )
    codes = ids.codes(table[key])
    which, rows, dropped = known_rows(codes, table[key], "frame")
    codings = {name: coding for name, coding in features.codings.items() if name in own}
    codings = {name: _grown(coding, own[name], name) for name, coding in codings.items()}
    widths = {name: _width(codings[name], own[name], width) for name, width in features.widths.items() if name in own}
    encoded = Features(
        {name: np.zeros((0, widths[name]) if name in widths else 0, np.int32) for name in codings},
        codings,
        dense={name: vectors[:0] for name, vectors in features.dense.items() if name in own},
        scales={name: scale for name, scale in features.scales.items() if name in own},
    )
    found = {name: _spread(table, which, rows, len(ids)) for name, table in encoded.encode(own).items()}
    return dataclasses.replace(
        encoded,
        values={name: found[name] for name in encoded.values},
        dense={name: found[name] for name in encoded.dense},
        dropped=dropped,
    )


def _grown(coding: Coding, values: Any, name: str) -> Coding:
    """The coding, with the categories that are new."""
    if not isinstance(coding, Categories):
        return coding
    new = Identifiers(factorize(coding.plain(values)[0], name).keys)
    if len(new) and len(coding) and new.kind != coding.known.kind:
        raise coding.of_another_type(name, new.keys[0].item())
    return dataclasses.replace(coding, known=grown_ids(coding.known, new))


def _width(coding: Coding, values: Any, width: int) -> int:
    """How many values an item may have: as before, or more where the later table has more."""
    assert isinstance(coding, Categories)
    return max(width, int(coding.plain(values)[1].max(initial=1)))


def _spread(table: NDArray[Any], which: NDArray[np.int64], rows: NDArray[np.int64], size: int) -> NDArray[Any]:
    """Some rows of a table at their places in one of all ids, where others are unknown."""
    shape = (size, *table.shape[1:])
    found = unknown_values(shape) if table.dtype.kind == "i" else np.zeros(shape, dtype=table.dtype)
    found[which] = table[rows]
    return found
