"""A map as one HTML file to browse and search, without a server or a network."""

import html
import importlib.resources
import json
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from logq._files import atomic_write
from logq.evaluation.map_layout import Layout
from logq.evaluation.map_points import MapPoints, WordSource, arrange

if TYPE_CHECKING:
    from logq.vectors import KeyedVectors

__all__ = ["ALONE", "page_of", "word_map", "write_map"]

ALONE = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
"""What a page may load that asks nobody: what is in it."""

_GRID = 9999  # coordinates are integers 0.._GRID: finer than any screen, shorter than floats


def word_map(
    vectors: "KeyedVectors",  # V words, D dimensions
    path: str | os.PathLike[str],
    top: int = 500,
    layout: Layout = "auto",
    *,
    seed: int = 0,
    title: str | None = None,
    progress: bool | None = False,
) -> str:
    """Write a map of the most frequent words as one self-contained HTML file.

    Words are near each other when their vectors point in the same direction; the colors are groups found by k-means.
    The page zooms, pans and searches, and shows for each word the eight nearest ones among those drawn, which are taken
    from the vectors themselves, not from the picture, which cannot keep every distance.

    Args:
        vectors: the words to draw. The most frequent are taken by their counts, or the first ones where there are none.
        path: file to write, atomically.
        top: maximum number of words to draw.
        layout: "tsne" (openTSNE, extra `map`), "pca", or "auto": t-SNE if it is installed and principal components
            otherwise.
        seed: of the layout and the groups.
        title: headline of the page.
        progress: whether to show how far it is; None does on a terminal, and prints plain lines elsewhere.

    Returns:
        The layout that was used, "tsne" or "pca".

    Raises:
        ImportError: t-SNE was asked for and openTSNE is missing.
        ArgumentError: there are no words, or an argument is out of range.
        OSError: the file cannot be written.

    Example:
        >>> import pathlib, tempfile
        >>> from logq import KeyedVectors
        >>> words = KeyedVectors(["tea", "coffee", "train"], [[1.0, 0.1], [1.0, 0.2], [-0.1, 1.0]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     word_map(words, pathlib.Path(folder, "map.html"), layout="pca")
        'pca'
    """
    points = arrange(WordSource(vectors), top, layout, seed=seed, progress=progress)
    write_map(points, path, title)
    return points.layout


def write_map(points: MapPoints, path: str | os.PathLike[str], title: str | None = None) -> None:
    """Write points as a page.

    Args:
        points: what to show.
        path: file to write, atomically.
        title: headline of the page.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_write(path) as file:
        file.write(page_of(points, title))


def page_of(
    points: MapPoints,
    title: str | None = None,
    *,
    explore: Mapping[str, Any] | None = None,
    program: str = "const explorer = null;",
    policy: str = ALONE,
) -> bytes:
    """Return the page that shows points.

    Args:
        points: what to show.
        title: headline.
        explore: what the program of an explorer reads.
        program: that program.
        policy: what the page may load, a Content-Security-Policy.

    Example:
        >>> from logq import KeyedVectors
        >>> points = arrange(WordSource(KeyedVectors(["tea", "rail"], [[1.0, 0.0], [0.0, 1.0]])), layout="pca")
        >>> page_of(points, "Tea & rails")[:15]
        b'<!doctype html>'
    """
    grid = np.rint(points.positions * _GRID).astype(int)
    ids = [str(one) for one in points.ids]
    data: dict[str, Any] = {
        "kind": points.kind,
        "layout": points.layout,
        "vocabulary": points.size,
        "dimensions": points.dimensions,
        "words": points.names,
        "ids": None if ids == points.names else ids,
        "x": grid[:, 0].tolist(),
        "y": (_GRID - grid[:, 1]).tolist(),
        "group": points.groups.tolist(),
        "names": points.telling,
        "count": None if points.counts is None else points.counts.tolist(),
        "near": points.neighbors.lists(),
        "similarity": points.neighbors.thousandths(),
        "explore": explore,
    }
    parts = (_asset("map_view.js"), _asset("map_panel.js"), program, _asset("map_begin.js"))
    page = _fill(
        _asset("map.html"),
        title=html.escape(title if title is not None else f"A map of {points.kind}s"),
        policy=policy,
        style=_asset("map.css"),
        data=_json_for_html(data),
        program="\n".join(part.rstrip() for part in parts),
    )
    return page.encode("utf-8", "replace")  # a title may be a name of a file that is no text


def _asset(name: str) -> str:
    return importlib.resources.files("logq.evaluation").joinpath(name).read_text(encoding="utf-8")


def _json_for_html(data: dict[str, Any]) -> str:
    """Return JSON that is safe inside a script element: no tag can begin or end in it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A lone surrogate has no UTF-8 form; JSON's own escape carries it.
    return re.sub("[<>&\u2028\u2029\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _fill(template: str, **values: str) -> str:
    # In one pass, so that a title or a word that looks like a placeholder is not replaced.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)
