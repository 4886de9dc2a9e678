"""`ItemGraph`: which item follows which, and how often; and random walks along its edges."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_int, check_integers

__all__ = ["ItemGraph", "walks"]

Weights: TypeAlias = NDArray[np.float64]


class ItemGraph:
    """A directed, weighted graph of items 0..C-1, in compressed sparse rows (CSR).

        P(next = j | now = i) = w_ij / sum_k w_ik

    Args:
        offsets: (C + 1,) the edges of item i are those from offsets[i] up to offsets[i + 1].
        targets: (E,) the item that each edge leads to.
        weights: (E,) positive.

    Attributes:
        num_items: C.
        offsets: (C + 1,) int64.
        targets: (E,) int32.
        weights: (E,) float64.

    Raises:
        ArgumentTypeError: offsets or targets are not integers.
        ArgumentError: offsets decrease, a target is not an item, or a weight is not positive and finite.

    References:
        Wang et al., Billion-scale Commodity Embedding for E-commerce Recommendation in Alibaba, KDD 2018,
        arXiv:1803.02349, Sec. 2.2: the graph of sessions.

    Example:
        >>> graph = ItemGraph.from_sessions(np.array([0, 1, 2, 0, 1]), np.array([0, 3, 5]))
        >>> list(zip(graph.sources.tolist(), graph.targets.tolist(), graph.weights.tolist()))
        [(0, 1, 2.0), (1, 2, 1.0)]
    """

    def __init__(self, offsets: ArrayLike, targets: ArrayLike, weights: ArrayLike) -> None:
        self.offsets = check_integers("offsets", offsets)
        self.num_items = len(self.offsets) - 1
        if self.num_items < 1:
            raise ArgumentError("offsets", "one entry more than there are items", len(self.offsets))
        wide = check_integers("targets", targets, at_least=0, below=self.num_items, kind="items")
        self.weights = _check_weights(weights, len(wide))
        _check_offsets(self.offsets, len(wide))
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
        """Build the graph of a list of edges; the weights of equal edges are added.

        Args:
            sources: (N,) items in [0, C).
            targets: (N,) items in [0, C).
            weights: (N,) positive; None counts each edge as 1.
            num_items: C; None takes the largest item plus one.

        Returns:
            The graph, with the edges of a source sorted by target.

        Raises:
            ArgumentTypeError, ArgumentError: as the class; or there are no edges and `num_items` is not given.

        Example:
            >>> ItemGraph.from_edges([2, 0, 2], [1, 1, 1], [1.0, 5.0, 2.5]).weights
            array([5. , 3.5])
        """
        start, end = check_integers("sources", sources), check_integers("targets", targets)
        if len(start) != len(end):
            raise ArgumentError("targets", f"shape ({len(start)},), one for each source", end.shape)
        if num_items is None:
            if len(start) == 0:
                raise ArgumentError("num_items", "an integer where there are no edges", None)
            num_items = max(int(start.max()), int(end.max())) + 1
        num_items = check_int("num_items", num_items)
        for name, ids in (("sources", start), ("targets", end)):
            check_integers(name, ids, at_least=0, below=num_items, kind="items")
        each = np.ones(len(start)) if weights is None else _check_weights(weights, len(start))
        edges, place = np.unique(start * num_items + end, return_inverse=True)
        offsets = np.searchsorted(edges, np.arange(num_items + 1) * num_items)
        return cls(offsets, edges % num_items, np.bincount(place, each, minlength=len(edges)))

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
            items: (N,) items of all sessions, one session after the other, in the order of time.
            offsets: (sessions + 1,) where each session begins, and N.
            num_items: C; None takes the largest item plus one.
            self_loops: whether an item that follows itself makes an edge, on which walks stay where they are.

        Returns:
            The graph.

        Raises:
            ArgumentTypeError, ArgumentError: as `from_edges`; or the offsets do not fit the items.
        """
        ids, bounds = check_integers("items", items), check_integers("offsets", offsets)
        _check_offsets(bounds, len(ids))
        if num_items is None and len(ids):
            num_items = int(ids.max()) + 1
        session = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        follows = session[1:] == session[:-1]
        if not check_bool("self_loops", self_loops):
            follows &= ids[1:] != ids[:-1]
        return cls.from_edges(ids[:-1][follows], ids[1:][follows], num_items=num_items)

    @property
    def num_edges(self) -> int:
        """E, the number of edges."""
        return len(self.targets)

    @property
    def sources(self) -> NDArray[np.int32]:
        """(E,) the item that each edge starts from."""
        return np.repeat(np.arange(self.num_items, dtype=np.int32), np.diff(self.offsets))

    @property
    def out_weights(self) -> Weights:
        """(C,) the sum of the weights of the edges from each item; 0 where a walk ends."""
        return np.bincount(self.sources, self.weights, minlength=self.num_items).astype(np.float64)

    def __repr__(self) -> str:
        return f"ItemGraph({self.num_items} items, {self.num_edges} edges)"


def _check_offsets(offsets: NDArray[np.int64], end: int) -> None:
    if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != end or (np.diff(offsets) < 0).any():
        raise ArgumentError("offsets", f"numbers that rise from 0 to {end}", offsets[:8].tolist())


def _check_weights(weights: Any, num_edges: int) -> Weights:
    array = np.asarray(weights)
    if array.dtype.kind not in "biuf":
        raise ArgumentTypeError("weights", "numbers", Verbatim(f"dtype {array.dtype}"))
    array = array.astype(np.float64)
    if array.shape != (num_edges,):
        raise ArgumentError("weights", f"shape ({num_edges},), one for each edge", array.shape)
    wrong = ~((array > 0) & np.isfinite(array))
    if wrong.any():
        where = int(wrong.argmax())
        raise ArgumentError("weights", "finite numbers > 0", Verbatim(f"{array[where]:g} at position {where}"))
    return array


def walks(
    graph: ItemGraph,
    per_node: int,
    length: int,
    seed: int | None = None,
    *,
    starts: ArrayLike | None = None,
) -> NDArray[np.int32]:
    """Walk at random through a graph, choosing each step by the weights of the edges.

        P(v_{t+1} = j | v_t = i) = w_ij / sum_k w_ik

    A walk ends early at an item without outgoing edges. The rows are in random order. A step takes O(log E) time and 4
    bytes, a walk about 50 bytes more; for more walks than fit in memory, call it again with another seed.

    Args:
        graph: the graph.
        per_node: number of walks from each item.
        length: maximum number of items of a walk, including its start.
        seed: of the walks; None takes one from the operating system.
        starts: the items to start from; None takes all with outgoing edges, as walks from others have one item.

    Returns:
        (walks, length) int32, -1 where a walk has ended.

    Raises:
        ArgumentTypeError, ArgumentError: an argument is not as described.

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
        first = check_integers("starts", starts, at_least=0, below=graph.num_items, kind="items")
    now = rng.permutation(np.repeat(first, per_node))
    rows = np.arange(len(now))
    walked = np.full((len(now), length), -1, np.int32)
    # One running sum over all edges: those of an item are an interval of it, in which a uniform number finds an edge.
    # Each interval has length 1, so that light items keep their precision beside heavy ones.
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
        # Rounding may reach the end of the interval.
        now = graph.targets[np.clip(edge, begin, end - 1)].astype(np.int64)
    return walked
