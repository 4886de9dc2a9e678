"""Recommendations for everybody as one Parquet file, of which never more than a part is in memory."""

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from logq._files import atomic_write, is_stream
from logq.logs.log_files import import_polars

__all__ = ["RecommendationParts", "WrittenRecommendations"]

ROWS = 1 << 20
"""Recommendations that are in memory at a time."""


class WrittenRecommendations(NamedTuple):
    """What a file of recommendations has.

    Args:
        users: who were asked about.
        recommendations: number of rows of the file.
        without: how many of the users got none.

    Example:
        >>> WrittenRecommendations(users=10, recommendations=45, without=1).without
        1
    """

    users: int
    recommendations: int
    without: int


class RecommendationParts:
    """A context in which recommendations are collected, and then put together to one file, or none where it fails.

    The file has a row for each recommendation: user, rank (1 is the best), item, and score; users in the order in which
    they were added. Parts of it lie beside it until it is complete, or in the folder for temporary files where it is
    a pipe.

    Args:
        path: of the file.
        user_ids: (U,) by code.
        item_ids: (C,) by code.

    Raises:
        ImportError: polars is not installed.
        OSError: a file cannot be written; what was there stays.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with RecommendationParts(Path(folder, "all.parquet"), np.array(["ann"]), np.array([7, 9])) as parts:
        ...         parts.add(np.array([0]), np.array([[0.5, 0.25]], dtype=np.float32), np.array([[1, 0]]))
        ...     import_polars("Parquet files").read_parquet(Path(folder, "all.parquet")).rows()
        [('ann', 1, 9, 0.5), ('ann', 2, 7, 0.25)]
    """

    def __init__(self, path: str | os.PathLike[str], user_ids: NDArray[Any], item_ids: NDArray[Any]) -> None:
        self._polars = import_polars("Parquet files")
        self._path = os.fspath(path)
        self._users, self._items = self._polars.Series("user", user_ids), self._polars.Series("item", item_ids)
        self._pieces: list[Any] = []
        self._waiting = self._parts = 0
        self.recommendations = 0

    def __enter__(self) -> "RecommendationParts":
        """Make the folder for the parts."""
        target = None if is_stream(self._path) else Path(os.path.realpath(self._path))
        if target is not None and target.is_dir():  # before everybody is answered, and not after
            raise IsADirectoryError(errno.EISDIR, "expected a file to write, it is a folder", self._path)
        try:
            self._folder = tempfile.TemporaryDirectory(
                prefix=".logq-" if target is None else f".{target.name[:40]}.",
                suffix=".parts",
                dir=None if target is None else target.parent,
            )
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), self._path) from error
        nothing = np.empty((0, 0), dtype=np.int64)
        self.add(nothing.ravel(), nothing.astype(np.float32), nothing)  # so that there are always columns
        return self

    def add(self, users: NDArray[np.int64], scores: NDArray[np.float32], codes: NDArray[np.int64]) -> None:
        """Add the recommendations (n, k) of some users (n,); there is none where a code is -1."""
        polars = self._polars
        rows, places = (codes >= 0).nonzero()
        piece = polars.DataFrame(
            [
                self._users.gather(users[rows]),
                polars.Series("rank", (places + 1).astype(np.int32)),
                self._items.gather(codes[rows, places]),
                polars.Series("score", scores[rows, places]),
            ]
        )
        self._pieces.append(piece)
        self._waiting += len(piece)
        self.recommendations += len(piece)
        if self._waiting >= ROWS:
            self._write()

    def _write(self) -> None:
        self._polars.concat(self._pieces).write_parquet(self._part(self._parts))
        self._parts += 1
        self._pieces, self._waiting = [], 0

    def _part(self, number: int) -> str:
        return os.path.join(self._folder.name, f"{number}.parquet")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Put the parts together, where nothing failed."""
        with self._folder:
            if kind is not None:
                return
            if self._pieces:
                self._write()
            whole = self._part(0)
            if self._parts > 1:
                whole = self._part(self._parts)
                self._polars.scan_parquet([self._part(n) for n in range(self._parts)]).sink_parquet(whole)
            with atomic_write(self._path) as file, open(whole, "rb") as made:
                shutil.copyfileobj(made, file, 1 << 20)
