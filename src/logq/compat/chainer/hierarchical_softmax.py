"""Chainer's hierarchical softmax over a tree of nested pairs, and its Huffman tree of counts."""

import heapq
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, shown
from logq.compat.chainer.negatives import as_ids
from logq.hierarchical import HierarchicalSoftmax
from logq.huffman import HuffmanTree
from logq.shapes import can_look_at, check_shape

__all__ = ["BinaryHierarchicalSoftmax", "create_huffman_tree"]

Tree: TypeAlias = Any
"""A class, or a pair (left, right) of trees: nested tuples of any depth."""

_IGNORE = -1


def create_huffman_tree(word_counts: Mapping[Any, float] | Sequence[float]) -> Tree:
    """Return a Huffman tree: join the two rarest nodes to a pair until one is left, the rarer one on the left.

    Of equally rare nodes, that with the word that is first in `word_counts` is taken first.

    Equivalent to: chainer.links.BinaryHierarchicalSoftmax.create_huffman_tree. Differs from Chainer: `word_counts`
    may also be a list of counts of the classes 0..V-1.

    Go on to: logq.hierarchical.HuffmanTree.from_counts, which breaks ties such that paths stay short; here classes
    with a count of 0 form a chain.

    Args:
        word_counts: a count for each word, or a list of counts.

    Returns:
        Nested pairs of words, or the word itself if there is only one.

    Raises:
        ArgumentTypeError: a count is not a number.
        ArgumentError: there are no words, or a count is negative or not finite; the first is named.

    Example:
        >>> create_huffman_tree({0: 8, 1: 5, 2: 6, 3: 4})
        ((3, 1), (2, 0))
    """
    items = list(word_counts.items() if isinstance(word_counts, Mapping) else enumerate(word_counts))
    if not items:
        raise ArgumentError("word_counts", "at least one word", Verbatim("none"), "the vocabulary is empty")
    for word, count in items:
        try:
            wrong = not math.isfinite(count) or count < 0
        except TypeError:
            raise ArgumentTypeError("word_counts", "numbers", Verbatim(f"{shown(count)} for {shown(word)}")) from None
        if wrong:
            raise ArgumentError("word_counts", "finite numbers >= 0", Verbatim(f"{count:g} for {shown(word)}"))
    # No two nodes have the same number at the same time, so trees are never compared.
    queue: list[tuple[float, int, Tree]] = [(count, number, word) for number, (word, count) in enumerate(items)]
    heapq.heapify(queue)
    while len(queue) > 1:
        count, number, left = heapq.heappop(queue)
        other_count, other_number, right = queue[0]
        heapq.heapreplace(queue, (count + other_count, min(number, other_number), (left, right)))
    return queue[0][2]


class BinaryHierarchicalSoftmax(HierarchicalSoftmax):
    """Hierarchical softmax with weights `W` (V - 1, D) of the inner nodes of a tree of nested pairs of classes.

        loss = sum over rows and over the nodes n on the path of t of log(1 + exp(-c <x, W_n>)),  c = +1 left, -1 right

    Inner nodes are numbered in preorder, left before right: the root is 0. `W` starts uniform in [-1, 1). This is
    logq.hierarchical.HierarchicalSoftmax with this tree, the sum of the losses and t = -1 for rows without a class, and
    with its log_prob and predict, for V classes in increasing order of their ids.

    Equivalent to: chainer.links.BinaryHierarchicalSoftmax. Differs from Chainer: a class that is in the tree twice
    is an error, and so is one in t that is not a leaf (there its loss is 0); float16 is computed in float32; `W` can be
    differentiated twice.

    Go on to: logq.hierarchical.HierarchicalSoftmax with counts, which starts at 0 and takes the mean.

    Args:
        in_size: D.
        tree: nested pairs such as ((0, 1), 2); the leaves are integers >= 0. A single one is a tree of one class.
        device, dtype: of `W`.

    Attributes:
        W: the parameter (V - 1, D); `weight` is the same.
        leaves: (V,) the classes, increasing. They need not be all of 0..V-1.

    Shape:
        x (N, D) float, t (N,) integers -> scalar, of the dtype of x and W.

    Raises:
        ArgumentTypeError: a leaf is not an integer.
        ArgumentError: a node does not have two children, or a leaf is negative or there twice.

    References:
        Morin and Bengio, Hierarchical Probabilistic Neural Network Language Model, AISTATS 2005.

    Example:
        >>> tree = BinaryHierarchicalSoftmax.create_huffman_tree({0: 8, 1: 5, 2: 6, 3: 4})
        >>> link = BinaryHierarchicalSoftmax(3, tree)
        >>> link.W.shape
        torch.Size([3, 3])
        >>> link(torch.zeros(2, 3), torch.tensor([3, 0]))  # two paths of two nodes: 4 log 2
        tensor(2.7726, grad_fn=...)
    """

    leaves: Tensor

    def __init__(
        self,
        in_size: int,
        tree: Tree,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        paths, leaves = _read_tree(tree)
        super().__init__(in_size, paths, "sum", sparse=False, ignore_index=_IGNORE, device=device, dtype=dtype)
        self.register_buffer("leaves", torch.tensor(leaves, device=device))

    create_huffman_tree = staticmethod(create_huffman_tree)

    # One parameter under two names; modules look up parameters here, without regard to properties.
    def __getattr__(self, name: str) -> Any:
        return super().__getattr__("W" if name == "weight" else name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__("W" if name == "weight" else name, value)

    def reset_parameters(self) -> None:
        """Draw `W` uniformly from [-1, 1)."""
        nn.init.uniform_(self.W, -1.0, 1.0)

    def forward(self, x: Tensor, t: ArrayLike | Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the sum of the losses of a batch.

        Args:
            x: (N, D).
            t: (N,) integers, leaves of the tree or -1.

        Raises:
            ArgumentTypeError, ArgumentError: a shape or dtype does not fit, or a target is not a leaf; the message
                names the first.
        """
        sizes = {"D": self.in_features}
        check_shape("x", x, "ND", sizes)
        targets = as_ids("t", t, x.device)
        check_shape("t", targets, "N", sizes)
        loss = super().forward(x, self._positions(targets))
        return loss.to(torch.promote_types(x.dtype, self.W.dtype))

    def _positions(self, targets: Tensor) -> Tensor:
        """Return the position of each target among the leaves, -1 for -1."""
        positions = torch.searchsorted(self.leaves, targets).clamp_(max=len(self.leaves) - 1)
        ignored = targets == _IGNORE
        wrong = (self.leaves[positions] != targets) & ~ignored
        if can_look_at(wrong) and bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            raise ArgumentError("t", "leaves of the tree or -1", Verbatim(f"{int(targets[row])} in row {row}"))
        # Elsewhere a position beyond the last fails in torch's index assertions.
        return positions.masked_fill(wrong, len(self.leaves)).masked_fill(ignored, _IGNORE)


def _read_tree(tree: Tree) -> tuple[HuffmanTree, NDArray[np.int64]]:
    """Return the paths to the leaves in increasing order, and the leaves; without recursion, as a tree may be deep."""
    path_of: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    waiting: list[tuple[Tree, tuple[int, ...], tuple[int, ...]]] = [(tree, (), ())]
    num_inner = 0
    while waiting:
        node, points, codes = waiting.pop()
        if isinstance(node, tuple):
            if len(node) != 2:
                raise ArgumentError("tree", "two children at each inner node", Verbatim(f"{len(node)}: {_shown(node)}"))
            below = (*points, num_inner)
            num_inner += 1
            waiting += [(node[1], below, (*codes, 1)), (node[0], below, (*codes, 0))]
            continue
        leaf = _leaf(node)
        if leaf in path_of:
            raise ArgumentError("tree", "each class once", Verbatim(f"{leaf} twice"))
        path_of[leaf] = points, codes
    leaves = sorted(path_of)
    lengths = [len(path_of[leaf][0]) for leaf in leaves]
    points, codes = ([turn for leaf in leaves for turn in path_of[leaf][which]] for which in (0, 1))
    return HuffmanTree.from_paths(np.cumsum([0, *lengths]), points, codes), np.array(leaves, dtype=np.int64)


def _leaf(node: Tree) -> int:
    try:
        leaf = operator.index(node)
    except TypeError:
        raise ArgumentTypeError("tree", "pairs (left, right) and integers", node) from None
    if not 0 <= leaf < 1 << 63:
        raise ArgumentError("tree", "integers >= 0 for leaves", leaf)
    return leaf


def _shown(node: tuple[Tree, ...]) -> str:
    """Return the repr of a node without what is below: that of a deep tree would exceed the recursion limit."""
    return "(" + ", ".join("(...)" if isinstance(child, tuple) else shown(child) for child in node) + ")"
