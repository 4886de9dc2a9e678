"""Groups of vectors that point the same way, so that a picture can give each group its colour.

This is plain k-means on unit vectors with a seeded start: enough to tell groups apart by eye, and no more is claimed.
"""

import numpy as np
from numpy.typing import NDArray

from logq.arguments import check_int

__all__ = ["cluster"]


def cluster(
    directions: NDArray[np.floating],  # (V, D) unit vectors
    groups: int,
    *,
    seed: int = 0,
    rounds: int = 50,
) -> NDArray[np.int64]:
    """Return the group of each vector, groups numbered by falling size.

        group(v) = argmax_g <v, centre_g>,   centre_g = mean of the group / its length

    The start is k-means++: the first centre is drawn uniformly, each further one with probability proportional to
    its squared distance from the centres so far.

    Args:
        directions: (V, D) unit vectors; a row of zeros is allowed and lands in some group.
        groups: how many groups to make at most; there are never more than distinct vectors.
        seed: the same seed gives the same groups.
        rounds: most rounds of reassignment.

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
    centres = points[chosen]
    labels = np.full(len(points), -1)
    for _ in range(rounds):
        nearest = (points @ centres.T).argmax(axis=1)
        if np.array_equal(nearest, labels):
            break
        labels = nearest
        sums = np.zeros_like(centres)
        np.add.at(sums, labels, points)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        # A group that lost all its members keeps its centre.
        centres = np.where(lengths > 1e-12, sums / np.maximum(lengths, 1e-12), centres)
    sizes = np.bincount(labels, minlength=len(centres))
    place = np.empty(len(centres), dtype=np.int64)
    place[np.argsort(-sizes, kind="stable")] = np.arange(len(centres))
    return place[labels]
