"""Two dimensions out of many: t-SNE where scikit-learn is at hand, principal components otherwise."""

import importlib.util
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from logq.arguments import check_int

__all__ = ["LAYOUTS", "Layout", "project"]

Layout = Literal["auto", "tsne", "pca"]
LAYOUTS: tuple[Layout, ...] = ("auto", "tsne", "pca")


def project(
    directions: NDArray[np.floating],  # (V, D)
    layout: Layout = "auto",
    *,
    seed: int = 0,
) -> tuple[NDArray[np.float64], Literal["tsne", "pca"]]:
    """Return a place in the plane for each vector, and which method found it.

        pca:   the first two columns of U S, where U S V^T = X - mean(X)
        tsne:  the plane whose Student-t neighbourhoods differ least from the Gaussian ones of X (Kullback-Leibler)

    Args:
        directions: (V, D) vectors, of unit length where the angle is what counts.
        layout: "tsne" keeps neighbours together and needs scikit-learn; "pca" keeps the long distances; "auto" takes
            t-SNE where scikit-learn is installed and there are at least four vectors.
        seed: the same seed gives the same picture (on the same machine).

    Returns:
        (V, 2) float64 places in [0, 1], the longer side filling it, and the method used.

    Raises:
        ImportError: t-SNE was asked for and scikit-learn is missing.
        ValueError: `layout` is none of the three, or t-SNE was asked for fewer than four vectors.

    References:
        van der Maaten and Hinton, Visualizing data using t-SNE, JMLR 2008.

    Example:
        >>> places, used = project(np.array([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0]]), "pca")
        >>> sorted(places[:, 0].tolist()), used
        ([0.0, 1.0], 'pca')
    """
    check_int("seed", seed, minimum=0)
    if layout not in LAYOUTS:
        raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, got {layout!r}")
    points = np.asarray(directions, dtype=np.float64)
    installed = importlib.util.find_spec("sklearn") is not None
    if layout == "tsne" and not installed:
        raise ImportError("layout: t-SNE needs scikit-learn: pip install 'logq[map]'")
    if layout == "tsne" and len(points) < 4:
        raise ValueError(f"layout: t-SNE needs at least 4 words, got {len(points)}; choose 'pca'")
    if layout == "tsne" or (layout == "auto" and installed and len(points) >= 4):
        return _fill_square(_tsne(points, seed)), "tsne"
    return _fill_square(_pca(points)), "pca"


def _pca(points: NDArray[np.float64]) -> NDArray[np.float64]:
    places = np.zeros((len(points), 2))
    if len(points):
        left, sizes, right = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
        kept = min(2, len(sizes))
        # The sign of a singular vector is arbitrary: its largest weight is made positive, so pictures don't flip.
        strongest = right[:kept][np.arange(kept), np.abs(right[:kept]).argmax(axis=1)]
        places[:, :kept] = left[:, :kept] * sizes[:kept] * np.where(strongest < 0, -1.0, 1.0)
    return places


def _tsne(points: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE  # optional extra `map`
    from threadpoolctl import threadpool_limits  # comes with it

    start = _pca(points)
    spread = start[:, 0].std()
    if spread == 0:  # all words in one place: nothing to lay out
        return start
    method = TSNE(
        n_components=2, perplexity=min(30.0, (len(points) - 1) / 3), init=start / spread * 1e-4, random_state=seed
    )
    with threadpool_limits(1):  # for a few hundred points threads wait longer than they work
        return np.asarray(method.fit_transform(points), dtype=np.float64)


def _fill_square(places: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(places) == 0:
        return places
    low, high = places.min(axis=0), places.max(axis=0)
    span = float((high - low).max())
    if span == 0:
        return np.full_like(places, 0.5)
    return (places - low + (span - (high - low)) / 2) / span
