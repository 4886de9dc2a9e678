"""`Interactions`: a log of which user did what with which item, and when, as flat arrays sorted by user and time."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self, Unpack

from logq._arguments import ArgumentError
from logq._files import parsing, seekable
from logq.logs import frames
from logq.logs.arranging import Arranged, Cleaning
from logq.logs.examples import check_indices
from logq.logs.features import Features
from logq.logs.identifiers import Identifiers
from logq.logs.log_files import read_csv
from logq.logs.mapped_arrays import MappedEvents, select_events, take_rows
from logq.logs.ordering import chosen_rows, count_codes
from logq.logs.parquet_files import read_parquet
from logq.logs.partitions import open_prepared
from logq.logs.storage import fingerprint_of_arrays, load_log, save_log
from logq.logs.time_values import check_time_format

__all__ = ["Interactions"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """N events of U users with C items, sorted by user, then time, then position in the log.

    Users and items are codes 0..n-1, which `user_ids` and `item_ids` translate to the ids of the log. Items are coded
    most frequent first (ties by first appearance), users by first appearance. Make one with `from_arrays`,
    `from_frame`, `from_csv`, `from_parquet` or `from_sessions`.

    Attributes:
        users, items: (N,) codes, int32 where they fit.
        timestamps: (N,) in the unit of the log, seconds where the log has dates; None if it has no times.
        labels: (N,) float32, None if there are none.
        columns: further columns of events, each (N,): numbers, or codes of `column_ids`, 0 for a missing value.
        user_ids, item_ids: `Identifiers` of all users and items, including those without an event in a selection.
        column_ids: the values of each column of categories; code i + 1 stands for value i.
        item_features, user_features: `Features` by code, or None.
        dropped: number of rows of the log that were dropped, by reason.
        notes: what was guessed or corrected while reading.
        mapped: of a log whose columns stay in their files, its partitions and maps; None for one in memory.

    Example:
        >>> log = Interactions.from_arrays(["ann", "bob", "ann"], ["tea", "tea", "salt"], [3, 1, 2])
        >>> log.num_users, log.num_items, log.item_ids.keys_of(log.items).tolist()
        (2, 2, ['salt', 'tea', 'tea'])
    """

    users: NDArray[Any]
    items: NDArray[Any]
    timestamps: NDArray[Any] | None
    labels: NDArray[Any] | None
    columns: Mapping[str, NDArray[Any]]
    user_ids: Identifiers
    item_ids: Identifiers
    column_ids: Mapping[str, Identifiers] = dataclasses.field(default_factory=dict)
    item_features: Features | None = None
    user_features: Features | None = None
    dropped: Mapping[str, int] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()
    mapped: MappedEvents | None = None

    def __len__(self) -> int:
        """Return N."""
        return len(self.users)

    def __repr__(self) -> str:
        """Show its size and what was dropped."""
        dropped = "".join(f", dropped {count:,} ({reason})" for reason, count in self.dropped.items())
        return f"Interactions({len(self):,} events, {self.num_users:,} users, {self.num_items:,} items{dropped})"

    @property
    def num_users(self) -> int:
        """U, including users without an event here."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """C, including items without an event here."""
        return len(self.item_ids)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """(U+1,): the events of user u are the rows in [offsets[u], offsets[u+1])."""
        counts = count_codes(self.users, self.num_users, self.mapped)
        return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])

    def item_counts(self) -> NDArray[np.int64]:
        """Return the number of events of each item: (C,).

        Example:
            >>> Interactions.from_arrays([1, 1, 2], [5, 7, 7]).item_counts().tolist()
            [2, 1]
        """
        return count_codes(self.items, self.num_items, self.mapped)

    def column_sizes(self) -> dict[str, int]:
        """Return the number of codes of each column of categories, including 0 for a missing value.

        Example:
            >>> log = Interactions.from_arrays([1, 1], [5, 7], columns={"device": ["phone", None]})
            >>> log.columns["device"].tolist(), log.column_sizes()
            ([1, 0], {'device': 2})
        """
        return {name: len(ids) + 1 for name, ids in self.column_ids.items()}

    def select(self, rows: ArrayLike) -> Self:
        """Return the events of some rows, in the order of this log; codes of users and items stay the same.

        Args:
            rows: (N,) bool, or indices of rows in any order.

        Raises:
            ArgumentTypeError: they are neither.
            ArgumentError: the mask has another length.
            IndexError: an index is not in [0, N).

        Example:
            >>> log = Interactions.from_arrays([1, 1, 2], [5, 7, 7])
            >>> log.select(log.users == 1).num_users
            2
        """
        chosen = select_events(vars(self), chosen_rows(rows, len(self)), self.mapped)
        return dataclasses.replace(self, **chosen, dropped={}, notes=())

    def histories(self, user_codes: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the items of some users in time order, one user after the other, and offsets (m+1,) into these (n,).

        Args:
            user_codes: (m,) codes; -1, an unknown user, has no items.

        Raises:
            IndexError: a code is not in [-1, U).
            ArgumentTypeError: they are not integers.

        Example:
            >>> log = Interactions.from_arrays([1, 1, 2], [5, 7, 7])
            >>> items, offsets = log.histories([1, 0])
            >>> items.tolist(), offsets.tolist()
            ([0, 1, 0], [0, 1, 3])
        """
        users = check_indices("user_codes", user_codes, self.num_users, least=-1)
        known = users >= 0
        starts = np.where(known, self.offsets[users], 0)
        counts = np.where(known, self.offsets[users + 1] - starts, 0)
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
        rows = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
        return take_rows(self.items, rows, self.mapped).astype(np.int64), offsets

    def with_features(self, *, items: Features | None = None, users: Features | None = None) -> Self:
        """Return the log with features of items or users; None keeps those it has.

        Raises:
            ArgumentError: the features are those of another number of items or users.

        Example:
            >>> log = Interactions.from_arrays([1, 1], [5, 7])
            >>> log.with_features(items=Features.from_frame({"item": [5], "size": ["big"]}, log.item_ids))
            Interactions(2 events, 1 users, 2 items)
        """
        for name, features, size in (("items", items, self.num_items), ("users", users, self.num_users)):
            if features is not None and len(features) != size:
                raise ArgumentError(name, f"features of {size} {name}", len(features))
        return dataclasses.replace(
            self, item_features=items or self.item_features, user_features=users or self.user_features
        )

    def fingerprint(self) -> str:
        """Return a hash of events and ids that identifies this log: 32 hexadecimal digits.

        Example:
            >>> log = Interactions.from_arrays([1, 1], [5, 7])
            >>> log.fingerprint() == log.select([0, 1]).fingerprint() != log.select([0]).fingerprint()
            True
        """
        if self.mapped is not None and self.mapped.fingerprint:
            return self.mapped.fingerprint
        arrays = [self.users, self.items] if self.timestamps is None else [self.users, self.items, self.timestamps]
        ids = [*self.user_ids.state().values(), *self.item_ids.state().values()]
        return fingerprint_of_arrays(arrays + ids, self.mapped)

    @classmethod
    def _of(cls, found: Arranged, column_ids: Mapping[str, Identifiers], notes: Sequence[str]) -> Self:
        return cls(
            found.users,
            found.items,
            found.times,
            found.labels,
            found.columns,
            found.user_ids,
            found.item_ids,
            column_ids=column_ids,
            dropped=found.dropped,
            notes=[*notes, *found.notes],
        )

    @classmethod
    def from_arrays(
        cls,
        users: object,
        items: object,
        timestamps: object = None,
        labels: object = None,
        *,
        sessions: object = None,
        columns: Mapping[str, object] | None = None,
        time_format: str | None = None,
        **cleaning: Unpack[Cleaning],
    ) -> Self:
        """Make a log from columns with one value for each event: lists, arrays, or series of pandas or polars.

        Args:
            users: (N,) integers or strings.
            items: (N,) the same.
            timestamps: (N,) numbers or dates; None if the rows are in the order of time.
            labels: (N,) numbers, such as ratings.
            sessions: (N,) integers or strings, kept as codes in columns["session"].
            columns: further columns of events. Numbers stay numbers; strings become codes of `column_ids`.
            time_format: how times are written, as for `from_frame`.
            cleaning: `missing`, `min_label`, `deduplicate`, `min_user`, `min_item`, ..., as `Cleaning` says.

        Raises:
            ArgumentError: no row (is left), or columns of different lengths.
            ArgumentTypeError: a column has values of a wrong type; the message names it and the first one.

        Example:
            >>> log = Interactions.from_arrays(["a", "a", None, "b"], [1, 2, 2, 2], labels=[5, 1, 4, 5], min_label=1)
            >>> log.dropped
            {'no user': 1}
        """
        options = (cleaning, None, check_time_format(time_format))
        return cls._of(*frames.arrange_arrays(users, items, timestamps, labels, sessions, columns or {}, *options))

    @classmethod
    def from_frame(
        cls,
        frame: object,
        *,
        user: str | int | None = None,
        item: str | int | None = None,
        time: str | int | bool | None = None,
        label: str | int | bool | None = None,
        session: str | int | bool | None = None,
        time_format: str | None = None,
        columns: Sequence[str] | frames.ColumnKinds = (),
        **cleaning: Unpack[Cleaning],
    ) -> Self:
        """Make a log from a data frame, or from a dict of columns.

        Args:
            frame: of pandas or polars (lazy ones too), an Arrow table, a relation of DuckDB, or whatever else has the
                PyCapsule interface of Arrow.
            user: the name or position of the column of users; None takes one with a usual name, and says so in `notes`.
                Without users each session counts as one.
            item: the same for items.
            time: the same for times; False for none.
            label: the same for labels.
            session: the same for sessions.
            time_format: how times are written: "iso", "compact" (20260131), "month-first", "day-first", "month-name",
                "s", "ms", "us" or "ns" since 1970, or letters of strptime; None recognizes it, and says so in `notes`.
            columns: names of further columns to keep, or {name: "category" | "number"}.
            cleaning: as for `from_arrays`.

        Raises:
            ArgumentError: a column is missing; otherwise as `from_arrays`.
            ArgumentTypeError: as `from_arrays`.

        Example:
            >>> log = Interactions.from_frame({"userId": [1, 1], "movieId": [5, 7], "ts": [1, 2]})
            >>> log.notes[1:]
            ["item: took the column 'movieId'", "time: took the column 'ts' (numbers)"]
        """
        asked = {"user": user, "item": item, "time": time, "label": label, "session": session}
        return cls._of(*frames.arrange_frame(frame, asked, columns, cleaning, check_time_format(time_format)))

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike[str],
        *,
        separator: str | None = None,
        header: bool | None = None,
        **options: Unpack[frames.LogOptions],
    ) -> Self:
        r"""Read a log from a text file, separated by commas, tabs, spaces, "::" or others, also .gz. Needs polars.

        Args:
            path: the file. Columns of one without a header are called "0", "1" and so on, or given as numbers.
            separator: None detects it from the first lines, and says so in `notes`.
            header: whether the first line has names; None detects it.
            options: as for `from_frame`.

        Raises:
            ImportError: polars is not installed; the message says how to.
            ValueError: the file is empty or truncated; otherwise as `from_frame`.
            OSError: it cannot be opened.

        Example:
            >>> import tempfile, pathlib
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     file = pathlib.Path(folder, "log.txt")
            ...     _ = file.write_text("1 10\n1 11\n2 11\n")
            ...     Interactions.from_csv(file)
            Interactions(3 events, 2 users, 2 items)
        """
        asked, columns, time_format, cleaning = frames.sorted_options(options)
        with parsing(path, by_arguments=True), seekable(path) as name:
            file = read_csv(name, asked, list(columns), separator, header, cleaning.get("missing"))
            return cls._of(*frames.arrange_file(file, columns, cleaning, time_format))

    @classmethod
    def from_parquet(cls, path: str | os.PathLike[str], **options: Unpack[frames.LogOptions]) -> Self:
        """Read a log from a Parquet file, only the columns that are needed. Needs polars.

        Args:
            path: the file.
            options: as for `from_frame`.

        Raises:
            ImportError: polars is not installed; the message says how to.
            ValueError: it is not a Parquet file; otherwise as `from_frame`.
            OSError: it cannot be opened.
        """
        asked, columns, time_format, cleaning = frames.sorted_options(options)
        with parsing(path, by_arguments=True), seekable(path) as name:
            file = read_parquet(name, asked, list(columns))
            return cls._of(*frames.arrange_file(file, columns, cleaning, time_format))

    @classmethod
    def from_sessions(
        cls,
        source: str | os.PathLike[str] | Sequence[Sequence[Any]],
        *,
        leading_user: bool = False,
        **cleaning: Unpack[Cleaning],
    ) -> Self:
        """Make a log from lists of items, or from a file with one list per line, separated by white space, also .gz.

        Each session is a user of its own, whose id is its number from 0; with `leading_user` the first id of a line is
        the user, who may have several lines. The number of the session is in columns["session"].

        Args:
            source: a file, or a list of lists of integers or strings.
            leading_user: whether the first id of each line is a user.
            cleaning: as for `from_arrays`.

        Raises:
            ArgumentError: no session has an item; otherwise as `from_arrays`.
            OSError: the file cannot be opened.

        Example:
            >>> log = Interactions.from_sessions([["tea", "salt"], ["salt", "rice"]])
            >>> log.columns["session"].tolist(), log.item_ids.keys.tolist()
            ([0, 0, 1, 1], ['salt', 'tea', 'rice'])
        """
        return cls._of(*frames.arrange_sessions(source, leading_user, cleaning))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the log into a folder: one file for each array (.npy), and `interactions.json`, which is written last.

        Raises:
            OSError: a file cannot be written.

        Example:
            >>> import tempfile
            >>> log = Interactions.from_arrays([1, 1, 2], [5, 7, 7])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     log.save(folder)
            ...     Interactions.load(folder, mmap=False)
            Interactions(3 events, 2 users, 2 items)
        """
        save_log(folder, {field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, mmap: bool = True, check: bool = True) -> Self:
        """Read what `save` wrote; with `mmap` events stay in their files until they are used.

        With `check` the digests of the files are compared, which reads them once, at about the speed of a copy.

        Raises:
            FileNotFoundError: the folder does not hold a log.
            ValueError: it was written by another version, was changed, or its arrays do not fit together.
        """
        return cls(**load_log(folder, mmap=mmap, check=check))

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, check: bool = True) -> Self:
        """Open a log that `prepare` made, of any size: its events, users and items stay in their files.

        Everything that takes a log takes this one. A large selection of it goes to a temporary file. With `check` the
        digests of the files are compared, which reads them once, at about the speed of a copy.

        Raises:
            FileNotFoundError: the folder does not hold a prepared log, or one of its files is missing.
            ValueError: a file is truncated, was changed, or is of another version; the message names it.

        Example: see logq.logs.prepare.
        """
        found = open_prepared(folder, check=check)
        offsets = found.pop("offsets")
        vars(log := cls(**found))["offsets"] = offsets
        return log
