"""Where words or items stand on a map, which groups they make, and which are nearest to each."""

import importlib.util
import math
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, check_int
from logq._progress import Progress
from logq._project import check_installed

__all__ = ["LAYOUTS", "Layout", "check_layout", "cluster", "group", "nearest", "project", "unit"]

Layout: TypeAlias = Literal["auto", "tsne", "pca"]
LAYOUTS: tuple[Layout, ...] = ("auto", "tsne", "pca")

_WEIGHT_OF_POSITIONS = 2.0  # beside the vectors, when words are grouped
_CELLS = 1 << 24  # cosines in memory at a time: 64 MiB
_CHUNKS = 64  # cosines of which only the highest is looked at first
_MORE = 8  # candidates beyond those asked for, as their cosines are computed once more
_ROUNDS = (250, 500)  # of t-SNE, with exaggerated attraction and without
_TOLD = 10  # rounds between two looks at how far it is


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
        sums = (labels == np.arange(len(centers))[:, None]).astype(np.float64) @ points
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
    progress: bool | None = False,
) -> tuple[NDArray[np.float64], Literal["tsne", "pca"]]:
    """Return a position in the plane for each vector, and the method that was used.

        pca:   the first two columns of U S, where U S V^T = X - mean(X)
        tsne:  the plane whose Student-t neighborhoods differ least from the Gaussian ones of X (Kullback-Leibler)

    Args:
        directions: (V, D) vectors, of unit length where the angle is what counts.
        layout: "tsne" keeps neighbors together and needs openTSNE; "pca" keeps large distances; "auto" is t-SNE if
            openTSNE is installed and there are at least four vectors.
        seed: the same seed gives the same picture (on the same machine).
        progress: whether to show how far t-SNE is; None does on a terminal, and prints plain lines elsewhere.

    Returns:
        (V, 2) float64 positions in [0, 1], filled by the longer side, and the method used.

    Raises:
        ImportError: t-SNE was asked for and openTSNE is missing.
        ArgumentError: `layout` is not one of the three, or t-SNE was asked for fewer than four vectors.

    References:
        van der Maaten and Hinton, Visualizing data using t-SNE, JMLR 2008.
        Linderman et al., Fast interpolation-based t-SNE for improved visualization of single-cell RNA-seq data, Nature
        Methods 2019, for many points.

    Example:
        >>> positions, used = project(np.array([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0]]), "pca")
        >>> sorted(positions[:, 0].tolist()), used
        ([0.0, 1.0], 'pca')
    """
    check_int("seed", seed, minimum=0)
    check_layout(layout)
    points = np.asarray(directions, dtype=np.float64)
    installed = importlib.util.find_spec("openTSNE") is not None
    if layout == "tsne" and len(points) < 4:
        raise ArgumentError("layout", "'pca' for fewer than 4 points, which t-SNE needs", layout)
    if layout == "tsne" or (layout == "auto" and installed and len(points) >= 4):
        return _fill_square(_tsne(points, seed, progress)), "tsne"
    return _fill_square(_pca(points)), "pca"


def check_layout(layout: str) -> None:
    """Check that a layout is one that there is, and that what it needs is installed.

    Raises:
        ModuleNotFoundError: openTSNE is not; the message says how to install it.
        ArgumentError: it is not one of LAYOUTS.

    Example:
        >>> check_layout("pca")
    """
    if layout not in LAYOUTS:
        raise ArgumentError("layout", f"one of {', '.join(LAYOUTS)}", layout)
    if layout == "tsne":
        check_installed("t-SNE", "map", "openTSNE")


def _pca(points: NDArray[np.float64]) -> NDArray[np.float64]:
    positions = np.zeros((len(points), 2))
    if len(points):
        left, sizes, right = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
        kept = min(2, len(sizes))
        # The sign of a singular vector is arbitrary: its largest weight is made positive, so pictures do not flip.
        strongest = right[:kept][np.arange(kept), np.abs(right[:kept]).argmax(axis=1)]
        positions[:, :kept] = left[:, :kept] * sizes[:kept] * np.where(strongest < 0, -1.0, 1.0)
    return positions


def _tsne(points: NDArray[np.float64], seed: int, progress: bool | None) -> NDArray[np.float64]:
    from openTSNE import TSNE  # optional extra `map`

    start = _pca(points)
    spread = start[:, 0].std()
    if spread == 0:  # all words at one position
        return start
    first, second = _ROUNDS
    # Neighbors are exact for few points, approximate for many. Several threads would sum in another order each time.
    with Progress(first + second, "rounds", "t-SNE", progress) as bar:

        def told(_: int, __: float, ___: Any) -> None:
            bar.advance(_TOLD)

        make: Any = TSNE  # which is annotated more narrowly than what it takes
        method = make(
            perplexity=min(30.0, (len(points) - 1) / 3),
            initialization=start / spread * 1e-4,
            early_exaggeration_iter=first,
            n_iter=second,
            n_jobs=1,
            random_state=seed,
            callbacks=told,
            callbacks_every_iters=_TOLD,
        )
        return np.asarray(method.fit(points), dtype=np.float64)


def _fill_square(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(positions) == 0:
        return positions
    low, high = positions.min(axis=0), positions.max(axis=0)
    span = float((high - low).max())
    if span == 0:
        return np.full_like(positions, 0.5)
    return (positions - low + (span - (high - low)) / 2) / span


def unit(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return rows at length 1; those of zeros stay.

    Example:
        >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    rows = np.asarray(rows, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def group(
    directions: NDArray[np.float64],  # (n, D) unit vectors
    positions: NDArray[np.float64],  # (n, 2)
    counts: NDArray[Any] | None,  # (n,)
    seed: int,
) -> tuple[NDArray[np.int64], list[list[int]]]:
    """Return the group of each point, and the points that describe each group, the most telling first.

    Args:
        directions: unit vectors.
        positions: in the plane.
        counts: how frequent they are; None where nobody knows.
        seed: of the grouping.

    Example:
        >>> group(np.eye(2), np.eye(2), None, 0)
        (array([0, 0]), [[0, 1]])
    """
    # Vectors of one model share a common direction, which says nothing about groups. Positions are part of the features
    # so that a color is also a region of the picture.
    centered = positions - positions.mean(axis=0)
    features = unit(np.hstack([unit(directions - directions.mean(axis=0)), _WEIGHT_OF_POSITIONS * centered]))
    # More than ten colors cannot be told apart; with few words a group would be a single word.
    groups = cluster(features, max(1, min(10, round(math.sqrt(len(positions) / 4)))), seed=seed)
    frequency = np.ones(len(positions)) if counts is None else np.log1p(counts)
    names: list[list[int]] = []
    for number in range(int(groups.max()) + 1):
        members = (groups == number).nonzero()[0]
        closeness = features[members] @ features[members].mean(axis=0)
        names.append(members[np.argsort(-closeness * frequency[members], kind="stable")[:4]].tolist())
    return groups, names


def nearest(
    directions: NDArray[np.float64],  # (n, D) unit vectors
    count: int,
    progress: bool | None = False,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return for each of n unit vectors the k others with the largest cosine, and the cosines, both (n, k).

    Candidates are found in float32: the `count` chunks with the highest cosines hold all of the `count` highest ones.
    Their cosines are computed once more in float64.

    Args:
        directions: unit vectors.
        count: how many others, at most n - 1.
        progress: as for `project`.

    Example:
        >>> nearest(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), 1)[0].tolist()
        [[2], [2], [1]]
    """
    points = len(directions)
    kept = min(count, points - 1)
    wanted = min(kept + _MORE, points - 1)
    chunk = _CHUNKS if points > _CHUNKS * 2 * (wanted + 1) else 1
    chunks = -(-points // chunk)
    table = directions.astype(np.float32)
    near = np.empty((points, kept), dtype=np.int64)
    cosines = np.empty((points, kept))
    height = max(1, _CELLS // (chunk * chunks))
    with Progress(points, "points", "neighbors", progress) as bar:
        for start in range(0, points, height):
            own = np.arange(start, min(points, start + height))
            dots = np.full((len(own), chunk * chunks), -np.inf, dtype=np.float32)
            np.matmul(table[own], table.T, out=dots[:, :points])
            dots[own - start, own] = -np.inf
            if chunk > 1:  # column c is in the chunk c % chunks
                highest = dots.reshape(len(own), chunk, chunks).max(axis=1)
                of = np.argpartition(highest, -wanted, axis=1)[:, -wanted:]
                columns = (of[:, :, None] + chunks * np.arange(chunk)).reshape(len(own), -1)
                dots = np.take_along_axis(dots, columns, axis=1)
                found = np.argpartition(dots, -wanted, axis=1)[:, -wanted:] if wanted else columns[:, :0]
                found = np.take_along_axis(columns, found, axis=1)
            else:
                found = np.argpartition(dots, -wanted, axis=1)[:, -wanted:] if wanted else np.empty((len(own), 0), int)
            found.sort(axis=1)
            exact = np.einsum("nd,nkd->nk", directions[own], directions[found])
            best = np.argsort(-exact, axis=1, kind="stable")[:, :kept]
            near[own] = np.take_along_axis(found, best, axis=1)
            cosines[own] = np.take_along_axis(exact, best, axis=1)
            bar.advance(len(own))
    return near, cosines
