"""A map of words: one HTML file to browse and search, without a server or a network."""

import html
import importlib.resources
import importlib.util
import json
import math
import os
import re
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, Verbatim, check_int
from logq._files import atomic_write
from logq.vectors import KeyedVectors

__all__ = ["cluster", "project", "word_map"]

Layout = Literal["auto", "tsne", "pca"]
LAYOUTS: tuple[Layout, ...] = ("auto", "tsne", "pca")

_NEIGHBORS = 8
_GRID = 9999  # coordinates are integers 0.._GRID: finer than any screen, shorter than floats
_WEIGHT_OF_POSITIONS = 2.0  # beside the vectors, when words are grouped
_CELLS = 1 << 22  # cosines in memory at a time: 32 MiB


def cluster(
    directions: NDArray[np.floating],  # (V, D) unit vectors
    groups: int,
    *,
    seed: int = 0,
    rounds: int = 50,
) -> NDArray[np.int64]:
    """Return the group of each vector, groups numbered by decreasing size.

        group(v) = argmax_g <v, center_g>,   center_g = mean of the group / its length

    Initialized by k-means++: the first center is drawn uniformly, each further one with a probability proportional to
    its squared distance from the centers so far.

    Args:
        directions: (V, D) unit vectors; a row of zeros is allowed and gets into some group.
        groups: maximum number of groups; there are never more than distinct vectors.
        seed: the same seed gives the same groups.
        rounds: maximum number of rounds of reassignment.

    Returns:
        (V,) int64 group numbers from 0.

    References:
        Dhillon and Modha, Concept decompositions for large sparse text data using clustering, Machine Learning 2001.
        Arthur and Vassilvitskii, k-means++: the advantages of careful seeding, SODA 2007.

    Example:
        >>> cluster(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), 2).tolist()
        [1, 0, 0]
    """
    groups = check_int("groups", groups)
    rng = np.random.default_rng(check_int("seed", seed, minimum=0))
    points = np.asarray(directions, dtype=np.float64)
    if len(points) == 0:
        return np.zeros(0, dtype=np.int64)
    chosen = [int(rng.integers(len(points)))]
    distance = np.square(points - points[chosen[0]]).sum(axis=1)
    while len(chosen) < groups and distance.max() > 1e-12:
        chosen.append(int(rng.choice(len(points), p=distance / distance.sum())))
        distance = np.minimum(distance, np.square(points - points[chosen[-1]]).sum(axis=1))
    centers = points[chosen]
    labels = np.full(len(points), -1)
    for _ in range(rounds):
        nearest = (points @ centers.T).argmax(axis=1)
        if np.array_equal(nearest, labels):
            break
        labels = nearest
        sums = np.zeros_like(centers)
        np.add.at(sums, labels, points)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        # A group that lost all its members keeps its center.
        centers = np.where(lengths > 1e-12, sums / np.maximum(lengths, 1e-12), centers)
    sizes = np.bincount(labels, minlength=len(centers))
    ranks = np.empty(len(centers), dtype=np.int64)
    ranks[np.argsort(-sizes, kind="stable")] = np.arange(len(centers))
    return ranks[labels]


def project(
    directions: NDArray[np.floating],  # (V, D)
    layout: Layout = "auto",
    *,
    seed: int = 0,
) -> tuple[NDArray[np.float64], Literal["tsne", "pca"]]:
    """Return a position in the plane for each vector, and the method that was used.

        pca:   the first two columns of U S, where U S V^T = X - mean(X)
        tsne:  the plane whose Student-t neighborhoods differ least from the Gaussian ones of X (Kullback-Leibler)

    Args:
        directions: (V, D) vectors, of unit length where the angle is what counts.
        layout: "tsne" keeps neighbors together and needs scikit-learn; "pca" keeps large distances; "auto" is t-SNE if
            scikit-learn is installed and there are at least four vectors.
        seed: the same seed gives the same picture (on the same machine).

    Returns:
        (V, 2) float64 positions in [0, 1], filled by the longer side, and the method used.

    Raises:
        ImportError: t-SNE was asked for and scikit-learn is missing.
        ArgumentError: `layout` is not one of the three, or t-SNE was asked for fewer than four vectors.

    References:
        van der Maaten and Hinton, Visualizing data using t-SNE, JMLR 2008.

    Example:
        >>> positions, used = project(np.array([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0]]), "pca")
        >>> sorted(positions[:, 0].tolist()), used
        ([0.0, 1.0], 'pca')
    """
    check_int("seed", seed, minimum=0)
    if layout not in LAYOUTS:
        raise ArgumentError("layout", f"one of {', '.join(LAYOUTS)}", layout)
    points = np.asarray(directions, dtype=np.float64)
    installed = importlib.util.find_spec("sklearn") is not None
    if layout == "tsne" and not installed:
        raise ImportError("layout: t-SNE needs scikit-learn: pip install 'logq[map]'")
    if layout == "tsne" and len(points) < 4:
        raise ArgumentError("layout", "'pca' for fewer than 4 words, which t-SNE needs", layout)
    if layout == "tsne" or (layout == "auto" and installed and len(points) >= 4):
        return _fill_square(_tsne(points, seed)), "tsne"
    return _fill_square(_pca(points)), "pca"


def _pca(points: NDArray[np.float64]) -> NDArray[np.float64]:
    positions = np.zeros((len(points), 2))
    if len(points):
        left, sizes, right = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
        kept = min(2, len(sizes))
        # The sign of a singular vector is arbitrary: its largest weight is made positive, so pictures do not flip.
        strongest = right[:kept][np.arange(kept), np.abs(right[:kept]).argmax(axis=1)]
        positions[:, :kept] = left[:, :kept] * sizes[:kept] * np.where(strongest < 0, -1.0, 1.0)
    return positions


def _tsne(points: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE  # optional extra `map`
    from threadpoolctl import threadpool_limits  # comes with it

    start = _pca(points)
    spread = start[:, 0].std()
    if spread == 0:  # all words at one position
        return start
    method = TSNE(
        n_components=2, perplexity=min(30.0, (len(points) - 1) / 3), init=start / spread * 1e-4, random_state=seed
    )
    with threadpool_limits(1):  # for a few hundred points threads wait longer than they work
        return np.asarray(method.fit_transform(points), dtype=np.float64)


def _fill_square(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(positions) == 0:
        return positions
    low, high = positions.min(axis=0), positions.max(axis=0)
    span = float((high - low).max())
    if span == 0:
        return np.full_like(positions, 0.5)
    return (positions - low + (span - (high - low)) / 2) / span


def word_map(
    vectors: KeyedVectors,  # V words, D dimensions
    path: str | os.PathLike[str],
    top: int = 500,
    layout: Layout = "auto",
    *,
    seed: int = 0,
    title: str | None = None,
) -> str:
    """Write a map of the most frequent words as one self-contained HTML file.

    Words are near each other when their vectors point in the same direction; the colors are groups found by k-means.
    The page zooms, pans and searches, and shows for each word the eight nearest ones among those drawn, which are taken
    from the vectors themselves, not from the picture, which cannot keep every distance.

    Args:
        vectors: the words to draw. The most frequent are taken by their counts, or the first ones where there are none.
        path: file to write, atomically.
        top: maximum number of words to draw.
        layout: "tsne" (scikit-learn, extra `map`), "pca", or "auto": t-SNE if it is installed and principal components
            otherwise.
        seed: of the layout and the groups.
        title: headline of the page.

    Returns:
        The layout that was used, "tsne" or "pca".

    Raises:
        ImportError: t-SNE was asked for and scikit-learn is missing.
        ArgumentError: there are no words, or an argument is out of range.
        OSError: the file cannot be written.

    Example:
        >>> import pathlib, tempfile
        >>> words = KeyedVectors(["tea", "coffee", "train"], [[1.0, 0.1], [1.0, 0.2], [-0.1, 1.0]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     word_map(words, pathlib.Path(folder, "map.html"), layout="pca")
        'pca'
    """
    top = check_int("top", top)
    check_int("seed", seed, minimum=0)
    if len(vectors) == 0:
        raise ArgumentError("vectors", "at least one word", Verbatim("none"))
    counts = vectors.counts
    order = np.arange(len(vectors)) if counts is None else np.argsort(-counts, kind="stable")
    chosen = order[:top]
    directions = _unit(vectors.vectors[chosen])
    positions, used = project(directions, layout, seed=seed)
    groups, names = _groups(directions, positions, None if counts is None else counts[chosen], seed)
    near, similarity = _nearest(directions)

    grid = np.rint(positions * _GRID).astype(int)
    data: dict[str, Any] = {
        "layout": used,
        "vocabulary": len(vectors),
        "dimensions": vectors.vector_size,
        "words": [vectors.index_to_key[word] for word in chosen],
        "x": grid[:, 0].tolist(),
        "y": (_GRID - grid[:, 1]).tolist(),
        "group": groups.tolist(),
        "names": names,
        "count": None if counts is None else counts[chosen].tolist(),
        "near": near.tolist(),
        "similarity": np.rint(similarity * 1000).astype(int).tolist(),
    }
    page = _fill(
        importlib.resources.files("logq.evaluation").joinpath("word_map.html").read_text(encoding="utf-8"),
        title=html.escape(title if title is not None else "A map of words"),
        data=_json_for_html(data),
    )
    with atomic_write(path) as file:
        file.write(page.encode("utf-8"))
    return used


def _unit(rows: NDArray[Any]) -> NDArray[np.float64]:
    rows = np.asarray(rows, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def _groups(
    directions: NDArray[np.float64],  # (n, D) unit vectors
    positions: NDArray[np.float64],  # (n, 2)
    counts: NDArray[Any] | None,  # (n,)
    seed: int,
) -> tuple[NDArray[np.int64], list[list[int]]]:
    """Return the group of each word, and the words that describe each group, the most telling first."""
    # Words of one corpus share a common direction, which says nothing about groups. Positions are part of the features
    # so that a color is also a region of the picture.
    centered = positions - positions.mean(axis=0)
    features = _unit(np.hstack([_unit(directions - directions.mean(axis=0)), _WEIGHT_OF_POSITIONS * centered]))
    # More than ten colors cannot be told apart; with few words a group would be a single word.
    groups = cluster(features, max(1, min(10, round(math.sqrt(len(positions) / 4)))), seed=seed)
    frequency = np.ones(len(positions)) if counts is None else np.log1p(counts)
    names: list[list[int]] = []
    for group in range(int(groups.max()) + 1):
        members = (groups == group).nonzero()[0]
        closeness = features[members] @ features[members].mean(axis=0)
        names.append(members[np.argsort(-closeness * frequency[members], kind="stable")[:4]].tolist())
    return groups, names


def _nearest(directions: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return for each of n unit vectors the k others with the largest cosine, and the cosines, both (n, k)."""
    words = len(directions)
    kept = min(_NEIGHBORS, words - 1)
    near = np.empty((words, kept), dtype=np.int64)
    similarity = np.empty((words, kept))
    height = max(1, _CELLS // words)
    for start in range(0, words, height):
        cosines = directions[start : start + height] @ directions.T
        own = np.arange(len(cosines))
        cosines[own, start + own] = -np.inf
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :kept]
        near[start : start + height] = best
        similarity[start : start + height] = np.take_along_axis(cosines, best, axis=1)
    return near, similarity


def _json_for_html(data: dict[str, Any]) -> str:
    """Return JSON that is safe inside a script element: no tag can begin or end in it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A lone surrogate has no UTF-8 form; JSON's own escape carries it.
    return re.sub("[<>&\u2028\u2029\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _fill(template: str, **values: str) -> str:
    # In one pass, so that a title or a word that looks like a placeholder is not replaced.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)
