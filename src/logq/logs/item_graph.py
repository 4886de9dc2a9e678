"""ItemGraph: which item follows which, and how often; and random walks along its edges."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import check_bool, check_int

__all__ = ["ItemGraph", "walks"]

Ids: TypeAlias = NDArray[np.int64]
Weights: TypeAlias = NDArray[np.float64]


class ItemGraph:
    """A directed, weighted graph of items 0..C-1; the edges of a source stand together (CSR).

        P(next = j | now = i) = w_ij / sum_k w_ik

    Args:
        offsets: (C + 1,) the edges of item i are those from offsets[i] up to offsets[i + 1].
        targets: (E,) where each edge leads.
        weights: (E,) how heavy it is, positive.

    Attributes:
        num_items: C.
        offsets: (C + 1,) int64.
        targets: (E,) int32.
        weights: (E,) float64.

    Raises:
        TypeError: offsets or targets are not integers.
        ValueError: an offset falls, a target is no item, a weight is not positive or not finite.

    References:
        Wang et al., Billion-scale Commodity Embedding for E-commerce Recommendation in Alibaba, KDD 2018,
        arXiv:1803.02349, Sec. 2.2: the graph of sessions.

    Example:
        >>> graph = ItemGraph.from_sessions(np.array([0, 1, 2, 0, 1]), np.array([0, 3, 5]))
        >>> list(zip(graph.sources.tolist(), graph.targets.tolist(), graph.weights.tolist()))
        [(0, 1, 2.0), (1, 2, 1.0)]
    """

    def __init__(self, offsets: ArrayLike, targets: ArrayLike, weights: ArrayLike) -> None:
        self.offsets = _whole_numbers("offsets", offsets)
        self.num_items = check_int("offsets: one entry less is the number of items, which", len(self.offsets) - 1)
        wide = _whole_numbers("targets", targets)
        self.weights = _check_weights(weights, len(wide))
        falls = np.diff(self.offsets) < 0
        if self.offsets[0] != 0 or self.offsets[-1] != len(wide) or falls.any():
            raise ValueError(
                f"offsets: expected numbers that rise from 0 to {len(wide)}, the number of edges, "
                f"got {self.offsets[:8]}"
            )
        _check_items("targets", wide, self.num_items)
        self.targets = wide.astype(np.int32)

    @classmethod
    def from_edges(
        cls,
        sources: ArrayLike,  # (N,)
        targets: ArrayLike,  # (N,)
        weights: ArrayLike | None = None,  # (N,)
        *,
        num_items: int | None = None,
    ) -> "ItemGraph":
        """Build the graph of a list of edges; the weights of equal edges are added up.

        Args:
            sources: (N,) items in [0, C).
            targets: (N,) items in [0, C).
            weights: (N,) positive; None counts each edge as 1.
            num_items: C; None takes one more than the largest item.

        Returns:
            The graph, the edges of a source in the order of their targets.

        Raises:
            TypeError, ValueError: as the class; or there are no edges and `num_items` is not given.

        Example:
            >>> ItemGraph.from_edges([2, 0, 2], [1, 1, 1], [1.0, 5.0, 2.5]).weights
            array([5. , 3.5])
        """
        start, end = _whole_numbers("sources", sources), _whole_numbers("targets", targets)
        if len(start) != len(end):
            raise ValueError(f"targets: expected shape ({len(start)},), one a source, got ({len(end)},)")
        if num_items is None:
            if len(start) == 0:
                raise ValueError("num_items: expected a number where there are no edges, got None")
            num_items = max(int(start.max()), int(end.max())) + 1
        num_items = check_int("num_items", num_items)
        _check_items("sources", start, num_items)
        _check_items("targets", end, num_items)
        heavy = np.ones(len(start)) if weights is None else _check_weights(weights, len(start))
        edges, place = np.unique(start * num_items + end, return_inverse=True)
        offsets = np.searchsorted(edges, np.arange(num_items + 1) * num_items)
        return cls(offsets, edges % num_items, np.bincount(place, heavy, minlength=len(edges)))

    @classmethod
    def from_sessions(
        cls,
        items: ArrayLike,  # (N,)
        offsets: ArrayLike,  # (sessions + 1,)
        *,
        num_items: int | None = None,
        self_loops: bool = False,
    ) -> "ItemGraph":
        """Build the graph of sessions: the weight of i -> j counts how often j came right after i.

        Args:
            items: (N,) items of all sessions, one after the other in the order of time.
            offsets: (sessions + 1,) where each session begins, and N.
            num_items: C; None takes one more than the largest item.
            self_loops: whether an item that follows itself makes an edge; walks would stay where they are.

        Returns:
            The graph.

        Raises:
            TypeError, ValueError: as `from_edges`; or the offsets do not fit the items.
        """
        ids, bounds = _whole_numbers("items", items), _whole_numbers("offsets", offsets)
        if len(bounds) == 0 or bounds[0] != 0 or bounds[-1] != len(ids) or (np.diff(bounds) < 0).any():
            raise ValueError(f"offsets: expected numbers that rise from 0 to {len(ids)}, got {bounds[:8]}")
        if num_items is None and len(ids):
            num_items = int(ids.max()) + 1
        session = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        follows = session[1:] == session[:-1]
        if not check_bool("self_loops", self_loops):
            follows &= ids[1:] != ids[:-1]
        return cls.from_edges(ids[:-1][follows], ids[1:][follows], num_items=num_items)

    @property
    def num_edges(self) -> int:
        """E, the number of different edges."""
        return len(self.targets)

    @property
    def sources(self) -> NDArray[np.int32]:
        """(E,) where each edge comes from."""
        return np.repeat(np.arange(self.num_items, dtype=np.int32), np.diff(self.offsets))

    @property
    def out_weights(self) -> Weights:
        """(C,) the sum of the weights of the edges from each item; 0 where a walk ends."""
        return np.bincount(self.sources, self.weights, minlength=self.num_items).astype(np.float64)

    def __repr__(self) -> str:
        return f"ItemGraph({self.num_items} items, {self.num_edges} edges)"


def _whole_numbers(name: str, values: Any) -> Ids:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected one dimension, got shape {array.shape}")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got dtype {array.dtype}")
    return array.astype(np.int64, copy=False)


def _check_items(name: str, ids: Ids, num_items: int) -> None:
    wrong = (ids < 0) | (ids >= num_items)
    if wrong.any():
        where = int(wrong.argmax())
        raise ValueError(f"{name}: expected items in [0, {num_items}), got {ids[where]} at position {where}")


def _check_weights(weights: Any, num_edges: int) -> Weights:
    array = np.asarray(weights)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"weights: expected numbers, got dtype {array.dtype}")
    array = array.astype(np.float64)
    if array.shape != (num_edges,):
        raise ValueError(f"weights: expected shape ({num_edges},), one an edge, got {array.shape}")
    wrong = ~((array > 0) & np.isfinite(array))
    if wrong.any():
        where = int(wrong.argmax())
        raise ValueError(f"weights: expected finite numbers > 0, got {array[where]:g} at position {where}")
    return array


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
            raise TypeError(f"starts: expected integers of shape (n,), got {first.dtype} of shape {first.shape}")
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
