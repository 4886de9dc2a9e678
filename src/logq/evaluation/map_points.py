"""What a map shows: points with names, places, groups and neighbors, and the models that they come from."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim, check_int
from logq._files import atomic_write
from logq.evaluation.map_layout import Layout, group, nearest, project, unit
from logq.logs.log_files import import_polars
from logq.tables.short_texts import result_text

if TYPE_CHECKING:
    from logq.vectors import KeyedVectors

__all__ = ["NEIGHBORS", "MapPoints", "MapSource", "Neighbors", "WordSource", "arrange", "write_parquet"]

NEIGHBORS = 8
"""Neighbors of a point that a map shows."""


@dataclass(frozen=True)
class Neighbors:
    """The points nearest to each point, the nearest first.

    Args:
        near: (n, k) their places among the points; -1 where there are no more.
        similarity: (n, k) how alike they are: cosines, or what the model has instead.

    Example:
        >>> Neighbors(np.array([[1], [0]]), np.array([[0.5], [0.5]])).lists()
        [[1], [0]]
    """

    near: NDArray[np.int64]
    similarity: NDArray[np.float64]

    def __repr__(self) -> str:
        count, k = self.near.shape
        return result_text(self, f"{k} of each of {count:,} points")

    def lists(self) -> list[list[int]]:
        """Return the places, as many as there are for each point."""
        return [[place for place in row if place >= 0] for row in self.near.tolist()]

    def thousandths(self) -> list[list[int]]:
        """Return how alike they are, times a thousand."""
        values = np.rint(np.where(self.near >= 0, self.similarity, 0) * 1000).astype(int).tolist()
        return [row[: len(there)] for row, there in zip(values, self.lists(), strict=True)]


class MapSource(ABC):
    """A model whose words or items are drawn.

    Attributes:
        kind: what the points are.
        model: what answers questions about them.

    Example:
        See WordSource, which is one.
    """

    kind: Literal["word", "item"]
    model: Any

    @property
    @abstractmethod
    def size(self) -> int:
        """How many there are."""

    @abstractmethod
    def ids(self, top: int) -> list[Any]:
        """Return the ids of the most frequent ones."""

    @abstractmethod
    def known(self, ids: Sequence[Any]) -> list[bool]:
        """Return which of some ids it knows."""

    @abstractmethod
    def names(self, ids: Sequence[Any]) -> list[str]:
        """Return what they are called."""

    @abstractmethod
    def counts(self, ids: Sequence[Any]) -> "NDArray[np.int64] | None":
        """Return how frequent they are, where that is known."""

    @property
    def explains(self) -> bool:
        """Whether answers come with reasons."""
        return False

    def recommended(
        self, ids: Sequence[Any], count: int, progress: bool | None
    ) -> "list[tuple[list[int], list[float]]] | None":
        """Return what a recommender answers to each id alone, as places among them and scores; None if it does not."""
        return None

    @abstractmethod
    def vectors(self, ids: Sequence[Any], progress: bool | None) -> NDArray[Any]:
        """Return (n, D) vectors, near each other where the points shall be."""

    @abstractmethod
    def neighbors(self, ids: Sequence[Any], count: int, progress: bool | None) -> Neighbors:
        """Return the nearest of these ids to each of them; none for ids that the model does not know."""


class WordSource(MapSource):
    """Words, with their vectors.

    Args:
        vectors: the words.

    Example:
        >>> from logq import KeyedVectors
        >>> source = WordSource(KeyedVectors(["tea", "coffee", "rail"], [[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]]))
        >>> source.neighbors(["coffee", "gold", "tea"], 1, False).near.tolist()
        [[2], [-1], [0]]
    """

    kind = "word"

    def __init__(self, vectors: "KeyedVectors") -> None:
        self._vectors = self.model = vectors

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self._vectors)

    def ids(self, top: int) -> list[Any]:
        """Return the most frequent words, or the first ones where nobody knows how frequent they are."""
        counts = self._vectors.counts
        order = np.arange(len(self._vectors)) if counts is None else np.argsort(-counts, kind="stable")
        return [self._vectors.index_to_key[word] for word in order[:top]]

    def known(self, ids: Sequence[Any]) -> list[bool]:
        """Return which of some words have a vector of their own."""
        return [word in self._vectors.key_to_index for word in ids]

    def names(self, ids: Sequence[Any]) -> list[str]:
        """Return the words themselves."""
        return [*ids]

    def counts(self, ids: Sequence[Any]) -> "NDArray[np.int64] | None":
        """Return how often they came in the text."""
        return None if self._vectors.counts is None else np.asarray(self._vectors.counts)[self._rows(ids)]

    def vectors(self, ids: Sequence[Any], progress: bool | None = False) -> NDArray[Any]:
        """Return their vectors."""
        return np.asarray(self._vectors.vectors)[self._rows(ids)]

    def neighbors(self, ids: Sequence[Any], count: int, progress: bool | None) -> Neighbors:
        """Return those with the highest cosines."""
        known = np.array(
            [place for place, word in enumerate(ids) if word in self._vectors.key_to_index], dtype=np.int64
        )
        kept = min(count, max(0, len(ids) - 1))
        near, similarity = np.full((len(ids), kept), -1), np.zeros((len(ids), kept))
        if len(known):
            found, cosines = nearest(unit(self.vectors([ids[place] for place in known])), kept, progress)
            near[known, : found.shape[1]], similarity[known, : found.shape[1]] = known[found], cosines
        return Neighbors(near, similarity)

    def _rows(self, ids: Sequence[Any]) -> NDArray[np.int64]:
        return np.array([self._vectors.key_to_index[word] for word in ids], dtype=np.int64)


@dataclass(frozen=True)
class MapPoints:
    """Points of a map, the most frequent first.

    Args:
        kind: what they are.
        size: how many there are in the model, drawn or not.
        dimensions: of the vectors that were laid flat.
        layout: how.
        ids: as the model knows them.
        names: what they are called.
        counts: how frequent they are; None where nobody knows.
        positions: (n, 2) in the unit square.
        groups: (n,) numbers of groups.
        telling: for each group the points that describe it.
        neighbors: the nearest to each.

    Example:
        See `arrange`, which makes them.
    """

    kind: Literal["word", "item"]
    size: int
    dimensions: int
    layout: Literal["tsne", "pca"]
    ids: list[Any]
    names: list[str]
    counts: "NDArray[np.int64] | None"
    positions: NDArray[np.float64]
    groups: NDArray[np.int64]
    telling: list[list[int]]
    neighbors: Neighbors

    def __repr__(self) -> str:
        drawn = f"{len(self.ids):,} of {self.size:,} {self.kind}s"
        return result_text(self, drawn, f"{self.dimensions} dimensions", self.layout, f"{len(self.telling)} groups")


def arrange(
    source: MapSource,
    top: int = 500,
    layout: Layout = "auto",
    *,
    seed: int = 0,
    neighbors: int = NEIGHBORS,
    progress: bool | None = False,
) -> MapPoints:
    """Lay out the most frequent words or items of a model.

    Args:
        source: the model.
        top: maximum number of points.
        layout: as for `project`.
        seed: of the layout and the groups.
        neighbors: how many to find for each point.
        progress: as for `project`.

    Raises:
        ImportError: t-SNE was asked for and openTSNE is missing.
        ArgumentError: there is nothing to draw, or an argument is out of range.

    Example:
        >>> from logq import KeyedVectors
        >>> points = arrange(WordSource(KeyedVectors(["tea", "rail"], [[1.0, 0.1], [0.0, 1.0]])), layout="pca")
        >>> points.names, points.positions.round(2).tolist()
        (['tea', 'rail'], [[1.0, 0.5], [0.0, 0.5]])
    """
    top = check_int("top", top)
    check_int("seed", seed, minimum=0)
    if not source.size:
        raise ArgumentError("vectors", f"at least one {source.kind}", Verbatim("none"))
    ids = source.ids(top)
    vectors, counts = source.vectors(ids, progress), source.counts(ids)
    directions = unit(vectors)
    positions, used = project(directions, layout, seed=seed, progress=progress)
    groups, telling = group(directions, positions, counts, seed)
    near = source.neighbors(ids, neighbors, progress)
    return MapPoints(
        kind=source.kind,
        size=source.size,
        dimensions=vectors.shape[1],
        layout=used,
        ids=ids,
        names=source.names(ids),
        counts=counts,
        positions=positions,
        groups=groups,
        telling=telling,
        neighbors=near,
    )


def write_parquet(points: MapPoints, path: str | os.PathLike[str]) -> None:
    """Write points into a Parquet file, with a row for each.

        word, or item and title;  x, y;  group, group_name;  count, where it is known
        neighbors   {ids, distances}: rows of the file, counted from 0, and 1 - cosine

    These are the columns that embedding-atlas reads, by `--text word --x x --y y --neighbors neighbors`.

    Args:
        points: of a map.
        path: of the file, which is written atomically.

    Raises:
        ImportError: polars is not installed (the extra `logs`).
        OSError: the file cannot be written.

    Example:
        >>> import pathlib, tempfile
        >>> from logq import KeyedVectors
        >>> points = arrange(WordSource(KeyedVectors(["tea", "rail"], [[1.0, 0.0], [0.0, 1.0]])), layout="pca")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_parquet(points, path := pathlib.Path(folder, "map.parquet"))
        ...     path.read_bytes()[:4]
        b'PAR1'
    """
    polars = import_polars("Parquet files")
    near, alike = points.neighbors.lists(), points.neighbors.similarity.tolist()
    columns: dict[str, Any] = {points.kind: points.ids}
    if points.names != points.ids:
        columns["title"] = points.names
    columns |= {"x": points.positions[:, 0], "y": points.positions[:, 1], "group": points.groups}
    columns["group_name"] = [", ".join(points.names[one] for one in points.telling[number]) for number in points.groups]
    if points.counts is not None:
        columns["count"] = points.counts
    columns["neighbors"] = polars.Series(
        [
            {"ids": ids, "distances": [1 - value for value in values[: len(ids)]]}
            for ids, values in zip(near, alike, strict=True)
        ],
        dtype=polars.Struct({"ids": polars.List(polars.Int64), "distances": polars.List(polars.Float64)}),
    )
    with atomic_write(path) as file:
        polars.DataFrame(columns).write_parquet(file)
