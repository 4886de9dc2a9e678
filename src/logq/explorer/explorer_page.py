"""The page of an explorer: alone in a file, or asking the process that serves it."""

import base64
import importlib.resources
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from typing_extensions import Unpack

from logq._arguments import ArgumentError, check_int
from logq._files import atomic_write
from logq.evaluation.map_layout import Layout, check_layout, unit
from logq.evaluation.map_page import ALONE, page_of
from logq.evaluation.map_points import NEIGHBORS, MapPoints, MapSource, WordSource, arrange
from logq.serving.open_models import open_model
from logq.vectors.keyed_vectors import KeyedVectors

__all__ = ["LIVE", "TOP", "ExplorerPage", "PageOptions", "names_of", "source_of", "sources_of", "write_explorer"]

TOP = 2000
"""Points of a map, unless somebody says how many."""

ANSWERS = 10
"""Items or words that are named."""

LIVE = f"{ALONE}; connect-src 'self'"
"""What a page may load that asks the process which serves it."""

_ALONE_NEIGHBORS = 30  # of each item, in a file that has nobody to ask
_EXAMPLE = ("king", "man", "woman")


def source_of(model: Any, device: str = "cpu") -> MapSource:
    """Open a model to be drawn.

    Args:
        model: a folder or a file; or a model in memory.
        device: of neural models.

    Raises:
        ArgumentError: it is neither word vectors nor a recommender that compares items.
        OSError, ValueError: it cannot be opened.

    Example:
        >>> source_of(KeyedVectors(["tea"], [[1.0]])).kind
        'word'
    """
    opened = open_model(Path(model), device=device) if isinstance(model, str | Path) else model
    if isinstance(opened, KeyedVectors):
        return WordSource(opened)
    family = getattr(opened, "family", "")
    if family == "word vectors":
        return WordSource(opened.vectors)
    if family == "recommender" or hasattr(opened, "titles"):
        from logq.explorer.item_source import ItemSource
        from logq.folders.recommender_folders import RecommenderFolder

        alone = isinstance(opened, RecommenderFolder)
        return ItemSource(opened if alone else RecommenderFolder(opened, None, None, None, {}))
    raise ArgumentError("model", "word vectors or a recommender; a language model has no map", type(opened).__name__)


def sources_of(model: Any, beside: Any = None, device: str = "cpu") -> list[MapSource]:
    """Open the model, and the one beside it where there is one.

    Raises:
        ArgumentError: one cannot be drawn, or one has words and the other items.
    """
    sources = [source_of(model, device), *([] if beside is None else [source_of(beside, device)])]
    if sources[0].kind != sources[-1].kind:
        raise ArgumentError("beside", f"a model of {sources[0].kind}s, as the first one", f"one of {sources[1].kind}s")
    return sources


def names_of(model: Any, beside: Any = None) -> list[str]:
    """What models are called on the page: their folders, or their classes, and numbers where these are the same.

    Example:
        >>> names_of(Path("models/sasrec"), Path("models/ease")), names_of("a/model", "b/model")
        (['sasrec', 'ease'], ['a/model', 'b/model'])
    """
    models = [model, *([] if beside is None else [beside])]
    places = [Path(one) if isinstance(one, str | Path) else None for one in models]
    names = [
        type(one).__name__ if place is None else Path(os.path.abspath(place)).name
        for one, place in zip(models, places, strict=True)
    ]
    if len({*names}) < len(names):
        names = [
            f"{name} {at + 1}" if place is None else str(place)
            for at, (name, place) in enumerate(zip(names, places, strict=True))
        ]
    return names


class PageOptions(TypedDict, total=False):
    """The keyword arguments of ExplorerPage, which `create_explorer` and `write_explorer` take too."""

    top: int
    layout: Layout
    seed: int
    title: str | None
    device: str
    progress: bool | None


class ExplorerPage:
    """A page to explore a model, or two side by side.

    Args:
        model: a folder or a file with word vectors or a recommender; or a model in memory.
        beside: another one, to compare.
        top: maximum number of words or items on the map, the most frequent first.
        layout: as for `logq.evaluation.word_map`.
        seed: of the layout and the groups.
        title: headline of the page.
        device: of neural models in folders.
        progress: whether to show how far it is.

    Attributes:
        sources: one model, or two.

    Raises:
        ArgumentError: there is no map of the model, or the other one has other things.
        OSError, ValueError: a model cannot be loaded.

    Example:
        >>> page = ExplorerPage(KeyedVectors(["tea", "rail"], [[1.0, 0.0], [0.0, 1.0]]), layout="pca")
        >>> points, html = page.alone()
        >>> points.names, b"explorer" in html
        (['tea', 'rail'], True)
    """

    def __init__(
        self,
        model: Any,
        beside: Any = None,
        *,
        top: int = TOP,
        layout: Layout = "auto",
        seed: int = 0,
        title: str | None = None,
        device: str = "cpu",
        progress: bool | None = False,
    ) -> None:
        """See the class."""
        check_layout(layout)
        self.sources = sources_of(model, beside, device)
        self._names = names_of(model, beside)
        self._title = title if title is not None else " and ".join(self._names)
        self._top, self._seed, self._progress = check_int("top", top), seed, progress
        self._layout: Layout = layout

    def alone(self) -> tuple[MapPoints, bytes]:
        """What the map shows, and the page that asks nobody: it has vectors of words, or neighbors of items."""
        points = self._points(_ALONE_NEIGHBORS if self.sources[0].kind == "item" else NEIGHBORS)
        return points, self._html(points)

    def live(self, paths: Sequence[str]) -> bytes:
        """The page that asks each model at a path, such as "" and "beside/"."""
        return self._html(self._points(NEIGHBORS), paths)

    def _points(self, neighbors: int) -> MapPoints:
        first, progress = self.sources[0], self._progress
        return arrange(first, self._top, self._layout, seed=self._seed, neighbors=neighbors, progress=progress)

    def _html(self, points: MapPoints, paths: Sequence[str] | None = None) -> bytes:
        live = paths is not None
        models: list[dict[str, Any]] = []
        for at, (source, name) in enumerate(zip(self.sources, self._names, strict=True)):
            known = None
            neighbors = points.neighbors
            if at:
                neighbors = source.neighbors(points.ids, points.neighbors.near.shape[1], self._progress)
                there = source.known(points.ids)
                known = None if all(there) else [int(one) for one in there]
            model: dict[str, Any] = {"name": name, "known": known}
            if at or not live:
                model |= {"near": neighbors.lists(), "similarity": neighbors.thousandths()}
            if paths is not None:
                model |= {"path": paths[at], "explains": source.explains}
            elif source.kind == "item":
                model["after"] = source.recommended(points.ids, ANSWERS, self._progress)
            else:
                model |= _packed(source, points.ids)
            models.append(model)
        example = [*_EXAMPLE] if points.kind == "word" and {*_EXAMPLE} <= {*points.names} else None
        explore = {"live": live, "models": models, "k": ANSWERS, "example": example, "neighbors": _ALONE_NEIGHBORS}
        program = importlib.resources.files("logq.explorer").joinpath("explorer.js").read_text(encoding="utf-8")
        return page_of(points, self._title, explore=explore, program=program, policy=LIVE if live else ALONE)


def write_explorer(
    model: Any, path: str | os.PathLike[str], beside: Any = None, **options: Unpack[PageOptions]
) -> MapPoints:
    """Write a page to explore a model into one HTML file, which needs neither a server nor a network.

    It has the map, and of word vectors the vectors themselves, rounded to 8 bits: sums of words are answered among the
    words of the map. Of a recommender it has what the model recommends after each single item; for longer histories it
    adds up how alike items are, and says that this is not the ranking of the model.

    Args:
        model: a folder or a file with word vectors or a recommender; or a model in memory.
        path: file to write, atomically.
        beside: another one, to compare.
        **options: `top`, the maximum number of words or items on the map, the most frequent first (2000); `layout`, as
            for `logq.evaluation.word_map` ("auto"); `seed` of the layout and the groups (0); `title`, the headline of
            the page; `device` of neural models in folders ("cpu"); `progress`, whether to show how far it is (False).

    Returns:
        What the map shows.

    Raises:
        ArgumentError: there is no map of the model, or the other one has other things.
        OSError, ValueError: a model cannot be loaded, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> words = KeyedVectors(["tea", "coffee", "rail"], [[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_explorer(words, Path(folder, "page.html"), layout="pca").names
        ['tea', 'coffee', 'rail']
    """
    points, page = ExplorerPage(model, beside, **options).alone()
    with atomic_write(path) as file:
        file.write(page)
    return points


def _packed(source: MapSource, ids: Sequence[Any]) -> dict[str, Any]:
    """Vectors of words as bytes in base64: directions, the largest number of each as 127; zeros for unknown words."""
    there = source.known(ids)
    rows = unit(source.vectors([one for one, known in zip(ids, there, strict=True) if known], False))
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    table = np.zeros((len(ids), rows.shape[1]), dtype=np.int8)
    table[np.array(there, dtype=np.bool_)] = np.rint(127 * np.divide(rows, largest, where=largest > 0, out=rows))
    return {"vectors": base64.b64encode(table.tobytes()).decode(), "dim": rows.shape[1]}
