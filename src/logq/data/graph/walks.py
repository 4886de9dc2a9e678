"""Walks: from item to item along the edges of a graph, all walkers at once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq.arguments import check_int
from logq.data.graph.item_graph import ItemGraph

__all__ = ["walks"]


def walks(
    graph: ItemGraph,
    per_node: int,
    length: int,
    seed: int | None = None,
    *,
    starts: ArrayLike | None = None,
) -> NDArray[np.int32]:
    """Walk at random through a graph, each step by the weights of the edges that lead on.

        P(v_{t+1} = j | v_t = i) = w_ij / sum_k w_ik

    A walk ends early at an item that no edge leaves. Walkers are shuffled, so the rows stand in no order. Work is
    O(log E) a step, memory 4 bytes a step and some 50 bytes a walker; for more walks than fit, call it again with
    another seed.

    Args:
        graph: where to walk.
        per_node: how many walks start at each item.
        length: the most items of a walk, its start included.
        seed: of the walks; None takes one from the operating system.
        starts: the items to start from; None takes all that an edge leaves, as others would be walks of one item.

    Returns:
        (walks, length) int32, -1 where a walk has ended.

    Raises:
        TypeError, ValueError: an argument is not as described.

    References:
        Perozzi et al., DeepWalk: Online Learning of Social Representations, KDD 2014, arXiv:1403.6652, Alg. 1.
        Wang et al., arXiv:1803.02349, Eq. 1: weighted and directed.

    Example:
        >>> ring = ItemGraph.from_edges([0, 1, 2], [1, 2, 0])
        >>> walks(ring, per_node=1, length=4, seed=1)
        array([[0, 1, 2, 0],
               [1, 2, 0, 1],
               [2, 0, 1, 2]], dtype=int32)
    """
    per_node, length = check_int("per_node", per_node), check_int("length", length)
    rng = np.random.default_rng(None if seed is None else check_int("seed", seed, 0))
    if starts is None:
        first = np.flatnonzero(np.diff(graph.offsets))
    else:
        first = np.asarray(starts)
        if first.ndim != 1 or (first.size and first.dtype.kind not in "iu"):
            raise TypeError(f"starts: expected whole numbers of shape (n,), got {first.dtype} of shape {first.shape}")
        wrong = (first < 0) | (first >= graph.num_items)
        if wrong.any():
            raise ValueError(f"starts: expected items in [0, {graph.num_items}), got {first[wrong][0]}")
    now = rng.permutation(np.repeat(first.astype(np.int64), per_node))
    rows = np.arange(len(now))
    walked = np.full((len(now), length), -1, np.int32)
    # One running sum over all edges: those of an item are a stretch of it, within which a uniform number finds an edge.
    # Each stretch is 1 long, so that light items keep their precision beside heavy ones.
    shares = graph.weights / np.repeat(graph.out_weights, np.diff(graph.offsets))
    sums = np.concatenate([[0.0], np.cumsum(shares)])
    for step in range(length):
        walked[rows, step] = now
        if step + 1 == length:
            break
        begin, end = graph.offsets[now], graph.offsets[now + 1]
        goes_on = end > begin
        if not goes_on.all():
            rows, begin, end = rows[goes_on], begin[goes_on], end[goes_on]
        low, high = sums[begin], sums[end]
        edge = np.searchsorted(sums, low + rng.random(len(rows)) * (high - low), side="right") - 1
        # Rounding may reach the end of the stretch.
        now = graph.targets[np.clip(edge, begin, end - 1)].astype(np.int64)
    return walked
