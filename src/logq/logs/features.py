"""`Features`: side information of items or users, as codes for embedding tables."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim, check_int
from logq._compression import read_bytes
from logq._files import parsing, seekable
from logq.logs.column_names import unknown_column
from logq.logs.data_frames import frame_columns
from logq.logs.examples import check_indices
from logq.logs.feature_values import Coding, Scale, known_rows, lists_of, make_coding, needs_buckets, unknown_values
from logq.logs.identifiers import Identifiers
from logq.logs.log_files import plain_headers, read_table
from logq.logs.text_layout import detect_layout
from logq.logs.vector_values import check_finite, vectors_in, vectors_of

__all__ = ["Features"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Features:
    """A table of side information of n items or users: codes 1, 2, ... for known values, 0 for unknown ones.

    Attributes:
        values: name -> (n,) int32 codes, or (n, width) where an item may have several, padded with -1; an item with
            none has a 0 and then -1.
        codings: name -> how values become codes: `Categories` (known values) or `Buckets` (quantiles of numbers).
        dense: name -> (n, width) float32 vectors, zeros for an item that has none. Models learn from those of items.
        scales: name -> how numbers became vectors of `dense`, for those that are numbers; see `Scale`.
        dropped: number of rows that were dropped, by reason.

    Example:
        >>> ids = Identifiers([10, 20, 30])
        >>> table = {"item": [20, 10], "kind": ["tea", "salt"], "tags": ["hot|green", "white"]}
        >>> features = Features.from_frame(table, ids, separator={"tags": "|"})
        >>> features.values["kind"].tolist(), features.values["tags"].tolist(), features.sizes
        ([2, 1, 0], [[3, -1], [1, 2], [0, -1]], {'kind': 3, 'tags': 4})
        >>> features.encode({"kind": ["tea", "gold"], "tags": [["green"], []]})["tags"].tolist()
        [[2, -1], [0, -1]]
    """

    values: Mapping[str, NDArray[np.int32]]
    codings: Mapping[str, Coding]
    dropped: Mapping[str, int] = dataclasses.field(default_factory=dict)
    dense: Mapping[str, NDArray[np.float32]] = dataclasses.field(default_factory=dict)
    scales: Mapping[str, Scale] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        """Return n."""
        return next((len(table) for table in [*self.values.values(), *self.dense.values()]), 0)

    def __repr__(self) -> str:
        """Show the features, their sizes and what was dropped."""
        sizes = [f"{name}: {size:,}" for name, size in self.sizes.items()]
        sizes += [
            f"{name}: numbers" if name in self.scales else f"{name}: vectors of {table.shape[1]:,}"
            for name, table in self.dense.items()
        ]
        dropped = "".join(f", dropped {count:,} ({reason})" for reason, count in self.dropped.items())
        return f"Features({len(self):,} rows, {', '.join(sizes)}{dropped})"

    @property
    def names(self) -> list[str]:
        """The names of the features that are codes."""
        return list(self.values)

    @property
    def sizes(self) -> dict[str, int]:
        """The number of codes of each feature, including 0 for unknown values: the rows of its embedding table."""
        return {name: len(coding) + 1 for name, coding in self.codings.items()}

    @property
    def widths(self) -> dict[str, int]:
        """The maximum number of values of an item, for each feature of which it may have several."""
        return {name: table.shape[1] for name, table in self.values.items() if table.ndim == 2}

    def rows(self, codes: ArrayLike) -> dict[str, NDArray[np.int32]]:
        """Return the features of some items or users by code; for -1 all are unknown.

        Raises:
            IndexError: a code is not in [-1, n).

        Example:
            >>> features = Features.from_frame({"item": [5], "kind": ["tea"]}, Identifiers([5, 6]))
            >>> features.rows([1, 0, -1])["kind"].tolist()
            [0, 1, 0]
        """
        which = check_indices("codes", codes, len(self), least=-1)
        found: dict[str, NDArray[np.int32]] = {}
        for name, table in self.values.items():
            taken = table[which]
            if table.ndim == 2:
                taken[which < 0] = -1
                taken[which < 0, 0] = 0
            else:
                taken[which < 0] = 0
            found[name] = taken
        return found

    def encode(self, columns: Mapping[str, object] | Any) -> dict[str, NDArray[Any]]:
        """Return the codes of new rows, such as items that are not in the log, and the vectors of `dense` features.

        Args:
            columns: name -> (m,) raw values, as when the table was made (a dict or a data frame). A feature that is
                missing is unknown in every row, a vector that is missing zeros; values beyond `width` are dropped.

        Returns:
            name -> (m,) or (m, width) int32 codes, or (m, width) float32 vectors.

        Raises:
            ArgumentError: there is no feature of this table, columns differ in length, or vectors from those before.
            ArgumentTypeError: values have another type than before.

        Example:
            >>> features = Features.from_frame({"item": [5], "image": [[0.5, 1.5]]}, Identifiers([5]))
            >>> features.encode({"image": [[1, 2], None]})["image"].tolist()
            [[1.0, 2.0], [0.0, 0.0]]
        """
        known = {**self.values, **self.dense}
        given = {name: values for name, values in frame_columns(columns).items() if name in known}
        if not given:
            raise ArgumentError("columns", f"some of {', '.join(known)}", list(frame_columns(columns)))
        counts = {name: len(values) for name, values in given.items()}
        rows = next(iter(counts.values()))
        if set(counts.values()) != {rows}:
            raise ArgumentError("columns", "the same number of rows in all", counts)
        found: dict[str, NDArray[Any]] = {}
        for name, table in self.dense.items():
            width = table.shape[1]
            if name not in given:
                found[name] = np.zeros((rows, width), np.float32)
            elif name in self.scales:
                found[name] = self.scales[name].encode(given[name], name)
            else:
                found[name] = vectors_of(given[name], name, width)
        for name, coding in self.codings.items():
            width = self.widths.get(name)
            if name in given:
                found[name] = coding.encode(given[name], name, width)
            else:
                found[name] = unknown_values((rows,) if width is None else (rows, width))
        return found

    def first(self, count: int) -> Self:
        """Return the table of the first items alone."""
        values = {name: table[:count] for name, table in self.values.items()}
        return dataclasses.replace(self, values=values, dense={name: t[:count] for name, t in self.dense.items()})

    def extended(self, rows: Mapping[str, NDArray[Any]]) -> Self:
        """Return the table with further items at its end, of which `encode` gave the codes and vectors.

        Example:
            >>> features = Features.from_frame({"item": [5], "kind": ["tea"]}, Identifiers([5]))
            >>> features.extended(features.encode({"kind": ["tea", "gold"]})).values["kind"].tolist()
            [1, 1, 0]
        """
        values = {name: np.concatenate([table, rows[name].astype(np.int32)]) for name, table in self.values.items()}
        dense = {name: np.concatenate([table, rows[name]]) for name, table in self.dense.items()}
        return dataclasses.replace(self, values=values, dense=dense)

    def joined(self, other: "Features") -> Self:
        """Return the features of both tables, which are of the same items.

        Raises:
            ArgumentError: a name is in both, or they differ in length.
        """
        twice = next((name for name in [*other.values, *other.dense] if name in {**self.values, **self.dense}), None)
        if twice is not None:
            raise ArgumentError("other", "other names of features", twice)
        if len(other) != len(self):
            raise ArgumentError("other", f"features of {len(self)} rows", len(other))
        return type(self)(
            {**self.values, **other.values},
            {**self.codings, **other.codings},
            self.dropped,
            {**self.dense, **other.dense},
            {**self.scales, **other.scales},
        )

    @classmethod
    def from_vectors(cls, keys: object, vectors: ArrayLike, ids: Identifiers, *, name: str = "vector") -> Self:
        """Make the table from vectors that were computed elsewhere, such as those of texts or images.

        Args:
            keys: (m,) the ids whose vectors they are. Those that `ids` lacks are counted in `dropped`.
            vectors: (m, width) floats, which may be mapped from a file. Where they are float32 and in the order of
                `ids` they are not copied.
            ids: what the codes stand for: `log.item_ids` or `log.user_ids`.
            name: of the feature.

        Raises:
            ArgumentError: they are not (m, width), one has a number that is not finite, or `ids` has none of the keys.

        Example:
            >>> Features.from_vectors([7, 5], [[1.0, 2.0], [0.5, 0.0]], Identifiers([5, 6])).dense["vector"].tolist()
            [[0.5, 0.0], [0.0, 0.0]]
        """
        table = np.asanyarray(vectors)
        codes = ids.codes(keys)  # pyright: ignore[reportArgumentType]
        if table.ndim != 2 or len(table) != len(codes) or table.dtype.kind not in "fiu":
            got = Verbatim(f"{table.dtype} {table.shape}")
            raise ArgumentError("vectors", f"numbers of shape (m, width) with m = {len(codes)}", got)
        check_finite(table, name)
        which, rows, dropped = known_rows(codes, keys, "keys")
        if len(table) == len(ids) and table.dtype == np.float32 and np.array_equal(codes, np.arange(len(ids))):
            found = table
        else:
            found = np.zeros((len(ids), table.shape[1]), dtype=np.float32)
            found[which] = table[rows]
        return cls({}, {}, dropped, {name: found})

    @classmethod
    def from_frame(
        cls,
        frame: object,
        ids: Identifiers,
        *,
        key: str | int = 0,
        columns: Sequence[str] | None = None,
        separator: str | Mapping[str, str] | None = None,
        buckets: Mapping[str, int] | int | None = None,
        numeric: Sequence[str] = (),
        min_count: int = 1,
        max_values: int | None = None,
    ) -> Self:
        """Make the table from a data frame, as `Interactions.from_frame` takes, or from a dict of columns.

        Args:
            frame: one row for each item or user. Columns of lists have several values in a row, those of lists of
                floats a vector (`dense`); text such as "[0.5, 1.0]" is read as a list. True and False are categories.
            ids: what the codes stand for: `log.item_ids` or `log.user_ids`. Rows of others are counted in `dropped`.
            key: the column with the id: its name or position.
            columns: the features to keep; None keeps all.
            separator: what separates several values of a row: {column: "|"}, or one for all columns of strings.
            buckets: {column: number of buckets}: numbers or dates are cut at their quantiles into buckets of about
                equal size; or one number for all columns with fractions or dates.
            numeric: columns of numbers or dates that stay numbers, in units of their spread.
            min_count: values of fewer rows become unknown.
            max_values: maximum number of values of a row to keep.

        Raises:
            ArgumentError: a column is missing, or longer than others, or `ids` has none of the rows.
            ArgumentTypeError: a column has fractions or dates but no `buckets`, or mixed types.
            ArgumentError: vectors of a column differ in length.
        """
        check_int("min_count", min_count)
        if max_values is not None:
            check_int("max_values", max_values)
        table = frame_columns(frame)
        names = list(table)
        if isinstance(key, int):
            key = names[key]
        names = [name for name in names if name != key] if columns is None else list(columns)
        per_column = buckets if isinstance(buckets, Mapping) else {}
        of_separator = separator if isinstance(separator, Mapping) else {}
        for argument, asked in (
            *(("key", [key]), ("columns", names), ("buckets", per_column)),
            *(("numeric", numeric), ("separator", of_separator)),
        ):
            for name in asked:
                if name not in table:
                    raise unknown_column(argument, name, table)
        codes = ids.codes(table[key])
        lengths = {name: len(table[name]) for name in (key, *names)}
        if set(lengths.values()) != {len(codes)}:
            raise ArgumentError("frame", "the same number of rows in all columns", lengths)
        which, rows, dropped = known_rows(codes, table[key], "frame")
        values: dict[str, NDArray[np.int32]] = {}
        codings: dict[str, Coding] = {}
        dense: dict[str, NDArray[np.float32]] = {}
        scales: dict[str, Scale] = {}
        for name in names:
            if name in numeric:
                scales[name] = Scale.of(table[name], name, rows)
                dense[name] = np.zeros((len(ids), 2), dtype=np.float32)
                dense[name][which] = scales[name].encode(table[name], name)[rows]
                continue
            mark = separator.get(name) if isinstance(separator, Mapping) else separator
            vectors = vectors_in(table[name], name, mark)
            if vectors is not None:
                dense[name] = np.zeros((len(ids), vectors.shape[1]), dtype=np.float32)
                dense[name][which] = vectors[rows]
                continue
            cut = per_column.get(name)
            if isinstance(buckets, int) and needs_buckets(table[name], text=True):
                cut = buckets
            coding, coded = make_coding(table[name], rows, name, mark, cut, min_count, max_values)
            values[name], codings[name] = unknown_values((len(ids), *coded.shape[1:])), coding
            values[name][which] = coded
        return cls(values, codings, dropped, dense, scales)

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike[str],
        ids: Identifiers,
        *,
        key: str | int = 0,
        columns: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        separator: str | Mapping[str, str] | None = None,
        buckets: Mapping[str, int] | int | None = None,
        numeric: Sequence[str] = (),
        min_count: int = 1,
        max_values: int | None = None,
        field_separator: str | None = None,
    ) -> Self:
        """Read the table from a text file, as `Interactions.from_csv` reads logs. Needs polars.

        Columns that RecBole's headers call token_seq have values separated by spaces.

        Args:
            path: the file.
            ids: what the codes stand for.
            key: the column with the id.
            columns: the features to keep; None keeps all.
            names: names for the columns of a file without a header.
            separator: what separates several values of a row.
            buckets: {column: number of buckets}, or one number for all columns with fractions or dates.
            numeric: columns of numbers or dates that stay numbers.
            min_count: values of fewer rows become unknown.
            max_values: maximum number of values of a row to keep.
            field_separator: what separates columns; None detects it.

        Raises:
            ImportError: polars is not installed.
            ArgumentError: there are not as many `names` as columns; otherwise as `from_frame`.
            ValueError: the file is empty or truncated.
        """
        with parsing(path, by_arguments=True), seekable(path) as name:
            layout = detect_layout(name, field_separator, False if names is not None else None)
            if names is not None and len(names) != len(layout.names):
                raise ArgumentError("names", f"{len(layout.names)} names, one for each column", names)
            titles, lists = plain_headers(layout.names)
            titles = list(names) if names is not None else titles
            common = dict.fromkeys(titles, separator) if isinstance(separator, str) and separator else {}
            given = separator if isinstance(separator, Mapping) else common
            marks = {title: mark for title, mark in {**dict.fromkeys(lists, " "), **given}.items() if mark}
            number = titles.index(key) if isinstance(key, str) and key in titles else key
            id_name = layout.names[number] if isinstance(number, int) else ""
            frame = read_table(name, layout, layout.names, {id_name})
            frame.columns = titles
            return cls.from_frame(
                frame,
                ids,
                key=key,
                columns=columns,
                separator=marks,
                buckets=buckets,
                numeric=numeric,
                min_count=min_count,
                max_values=max_values,
            )

    @classmethod
    def from_json(
        cls,
        path: str | os.PathLike[str],
        ids: Identifiers,
        *,
        name: str = "attributes",
        min_count: int = 1,
        max_values: int | None = None,
    ) -> Self:
        """Read one feature from a JSON object {id: value or list of values}.

        Args:
            path: the file, also .gz.
            ids: what the codes stand for.
            name: the name of the feature.
            min_count: values of fewer rows become unknown.
            max_values: maximum number of values of a row to keep.

        Raises:
            ValueError: it is not a JSON object, or a key is not an integer where `ids` are.
        """
        content = read_bytes(path)
        with parsing(path, by_arguments=True):
            try:
                table = json.loads(content)
            except ValueError as error:
                raise ValueError(f"{os.fspath(path)}: expected JSON ({error})") from None
            if not isinstance(table, dict):
                got = type(table).__name__
                raise ValueError(f'{os.fspath(path)}: expected an object {{"id": [values]}}, got a {got}')
            keys: list[Any] = list(table)
            if ids.kind == "int":  # a key of JSON is always a string
                try:
                    keys = [int(key) for key in keys]
                except ValueError as error:
                    raise ValueError(f"{os.fspath(path)}: expected integers as ids, as in the log ({error})") from None
            frame = {"id": keys, name: lists_of(list(table.values()))}
            return cls.from_frame(frame, ids, min_count=min_count, max_values=max_values)
