"""HuffmanTree: the binary tree over classes whose paths are the shortest on average, as flat arrays of numpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq.tables.short_texts import result_text

__all__ = ["HuffmanTree"]


@dataclass(frozen=True, eq=False)
class HuffmanTree:
    """The way from the root to each of V classes: which of the V - 1 inner nodes it passes, and where it turns.

        path of class i = points[offsets[i] : offsets[i + 1]], turns = codes[offsets[i] : offsets[i + 1]]

    Made by `from_counts`, or by `from_paths` from a tree of your own; both check what they are given.

    Args:
        offsets: (V + 1,) int64, where the paths begin and end.
        points: (N,) int32, inner nodes in [0, V - 1), each path from the root downwards.
        codes: (N,) uint8, at each of these nodes 0 or 1: which of its two children comes next.

    Example:
        >>> tree = HuffmanTree.from_counts([5, 1, 2])
        >>> tree.path(0)
        (array([1], dtype=int32), array([1], dtype=uint8))
        >>> tree.path(1)
        (array([1, 0], dtype=int32), array([0, 0], dtype=uint8))
    """

    offsets: NDArray[np.int64]
    points: NDArray[np.int32]
    codes: NDArray[np.uint8]

    def __repr__(self) -> str:
        return result_text(self, f"{len(self.offsets) - 1:,} classes", f"{len(self.points):,} turns")

    @classmethod
    def from_counts(cls, counts: ArrayLike) -> "HuffmanTree":
        """Join the two rarest nodes to a new one until one is left: sum_i counts_i * length_i is as small as it can be.

        Inner nodes are numbered as they are made, so the root is V - 2; the rarer child has code 0. Both as in
        word2vec.c. Ties are settled so that no path is longer than it must be, and that the tree depends on counts
        only: of equal nodes a class is taken before an inner node, the class with the larger id and the older inner
        node first. So a class has never a shorter path than one with a larger count, or with the same count and a
        smaller id. (word2vec.c takes inner nodes first, which makes a chain of classes whose count is 0.)

        Args:
            counts: (V,) finite numbers >= 0, V >= 1. A single class has an empty path.

        Raises:
            TypeError: they are not real numbers.
            ValueError: there are none, the shape is another, or one is negative or not finite; the first is named.

        References:
            Huffman, A Method for the Construction of Minimum-Redundancy Codes, Proc. IRE 40(9), 1952.
            Mikolov et al., Distributed Representations of Words and Phrases, 2013, arXiv:1310.4546, section 2.1.

        Example:
            >>> HuffmanTree.from_counts([8, 4, 2, 1, 1]).offsets.tolist()
            [0, 1, 3, 6, 10, 14]
        """
        values = _check_counts(counts)
        if values.max() > 1e290:
            values = np.ldexp(values, -64)  # only ratios matter, and the sum would be infinite
        last = len(values) - 1
        order = last - np.argsort(values[::-1], kind="stable")  # rarest first, of equal ones the larger id
        return _as_paths(_join(values[order].tolist()), order)

    @classmethod
    def from_paths(cls, offsets: ArrayLike, points: ArrayLike, codes: ArrayLike) -> "HuffmanTree":
        """Take the paths of a given binary tree, of any shape.

        Args:
            offsets: as for the class, and so are the others.
            points: inner nodes.
            codes: turns.

        Raises:
            TypeError: they are not integers.
            ValueError: these are not the paths of one binary tree with a class at each end.

        Example:
            >>> HuffmanTree.from_paths([0, 1, 2], [0, 0], [0, 1]).num_classes
            2
            >>> HuffmanTree.from_paths([0, 1, 2], [0, 0], [1, 1])
            Traceback (most recent call last):
            ...
            ValueError: points, codes: code 1 of inner node 0 leads to two places
        """
        starts, nodes, turns = (
            _check_whole(name, given) for name, given in (("offsets", offsets), ("points", points), ("codes", codes))
        )
        _check_paths(starts, nodes, turns)
        return cls(starts, nodes.astype(np.int32), turns.astype(np.uint8))

    @property
    def num_classes(self) -> int:
        """V."""
        return len(self.offsets) - 1

    @property
    def depth(self) -> int:
        """The length of the longest path."""
        return int(np.diff(self.offsets).max())

    def path(self, class_id: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Return the inner nodes from the root to a class, and the code at each of them.

        Raises:
            ValueError: there is no such class.
        """
        if check_int("class_id", class_id, 0) >= self.num_classes:
            raise ArgumentError("class_id", f"a class id in [0, {self.num_classes})", class_id)
        part = slice(self.offsets[class_id], self.offsets[class_id + 1])
        return self.points[part], self.codes[part]


def _join(leaves: list[float]) -> NDArray[np.int64]:
    """(V - 1, 2) children of the inner nodes from counts in rising order: j < V is the j-th count, V + k inner node k.

    Counts of inner nodes rise as well in the order they are made, so two queues do instead of a heap. Lists and not
    arrays: a million steps of plain Python take half a second, with arrays ten times that.
    """
    total = len(leaves)
    leaves.append(float("inf"))  # the end of a queue is never the smaller of the two
    inner = [float("inf")] * total
    children: list[int] = []
    leaf = joined = 0
    for made in range(total - 1):
        count = 0
        for _ in range(2):
            if leaves[leaf] <= inner[joined]:
                children.append(leaf)
                count += leaves[leaf]
                leaf += 1
            else:
                children.append(total + joined)
                count += inner[joined]
                joined += 1
        inner[made] = count
    return np.array(children, dtype=np.int64).reshape(total - 1, 2)


def _as_paths(children: NDArray[np.int64], order: NDArray[np.int64]) -> HuffmanTree:
    """Paths from `_join`'s children; `order` says which class is the j-th count. A level of the tree at a time."""
    total = len(order)
    root = total - 2
    lengths = np.zeros(2 * total - 1, dtype=np.int64)
    level = np.array([root] if total > 1 else [], dtype=np.int64)
    while len(level):
        below = children[level]
        lengths[below] = lengths[total + level, None] + 1
        level = below[below >= total] - total
    offsets = np.zeros(total + 1, dtype=np.int64)
    offsets[order + 1] = lengths[:total]
    np.cumsum(offsets, out=offsets)

    points = np.empty(offsets[-1], dtype=np.int32)
    codes = np.empty(offsets[-1], dtype=np.uint8)
    turn = np.empty(2 * total - 1, dtype=np.int32)  # of a node: 2 * parent + code
    turn[children.ravel()] = np.arange(children.size, dtype=np.int32)
    last = turn[: total if total > 1 else 0]
    place = offsets[order[: len(last)] + 1] - 1
    while len(last):  # all classes climb together, and write their paths from the end
        parent = last >> 1
        points[place], codes[place] = parent, last & 1
        below = (parent != root).nonzero()[0]
        last, place = turn[parent[below] + total], place[below] - 1
    return HuffmanTree(offsets, points, codes)


def _check_counts(counts: ArrayLike) -> NDArray[np.generic]:
    try:
        values = np.asarray(counts)
    except ValueError as error:  # lists of unequal length
        raise ArgumentError("counts", f"shape (V,) ({error})") from None
    if values.dtype.kind not in "iuf":
        raise ArgumentTypeError("counts", "numbers, one per class", Verbatim(f"dtype {values.dtype}"))
    if values.ndim != 1 or len(values) == 0:
        raise ArgumentError("counts", "shape (V,) with V >= 1", values.shape)
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
    wrong = ~np.isfinite(values) | (values < 0)
    if wrong.any():
        where = int(wrong.argmax())
        raise ArgumentError("counts", "finite numbers >= 0", Verbatim(f"{values[where]:g} for class {where}"))
    return values


def _check_whole(name: str, given: ArrayLike) -> NDArray[np.int64]:
    values = np.asarray(given)
    if values.size == 0:
        values = values.astype(np.int64)  # an empty list has no dtype of its own
    if values.dtype.kind not in "iu":
        raise ArgumentTypeError(name, "integers", Verbatim(f"dtype {values.dtype}"))
    if values.ndim != 1:
        raise ArgumentError(name, "one dimension", Verbatim(f"shape {values.shape}"))
    return values.astype(np.int64)


def _check_paths(offsets: NDArray[np.int64], points: NDArray[np.int64], codes: NDArray[np.int64]) -> None:
    total = len(offsets) - 1
    if total < 1 or offsets[0] != 0 or offsets[-1] != len(points):
        raise ArgumentError("offsets", f"V + 1 numbers from 0 to {len(points)}, the length of points")
    lengths = np.diff(offsets)
    if (lengths < (total > 1)).any():
        where = int((lengths < (total > 1)).argmax())
        raise ArgumentError("offsets", "a path of at least one node", Verbatim(f"{lengths[where]} for class {where}"))
    if codes.shape != points.shape:
        raise ArgumentError("codes", f"shape {points.shape} as points", codes.shape)
    for name, values, limit in (("points", points, total - 1), ("codes", codes, 2)):
        wrong = (values < 0) | (values >= limit)
        if wrong.any():
            where = int(wrong.argmax())
            raise ArgumentError(name, f"numbers in [0, {limit})", Verbatim(f"{values[where]} at position {where}"))
    if total == 1:
        return
    roots = points[offsets[:-1]]
    if (roots != roots[0]).any():
        where = int((roots != roots[0]).argmax())
        raise ValueError(f"points: class 0 starts at inner node {roots[0]}, class {where} at {roots[where]}")
    # What each of the 2 (V - 1) turns leads to: an inner node, or V - 1 + a class. If each leads to one place only, it
    # is a tree: R inner nodes that occur have 2 R turns, of which V lead to classes and at least one to each inner node
    # but the root. So V + R - 1 <= 2 R; with R <= V - 1 all nodes occur, and no turn is left for a second way to one.
    turns = 2 * points + codes
    leads_to = np.append(points[1:], 0)
    leads_to[offsets[1:] - 1] = total - 1 + np.arange(total)
    place = np.zeros(2 * (total - 1), dtype=np.int64)
    place[turns] = leads_to
    wrong = place[turns] != leads_to
    if wrong.any():
        turn = int(turns[wrong.argmax()])
        raise ValueError(f"points, codes: code {turn % 2} of inner node {turn // 2} leads to two places")
