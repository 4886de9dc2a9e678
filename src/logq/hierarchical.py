"""HierarchicalSoftmax: log P of a class from the few decisions on its path through a binary tree, without a sample."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from logq import kernels
from logq._arguments import ArgumentError, ArgumentTypeError, check_bool, check_int, is_tensor
from logq.candidates import IGNORED, Candidates
from logq.functional.loss_checks import check_sparse, check_weights
from logq.huffman import HuffmanTree
from logq.kernels import logits as kernel_logits
from logq.kernels.logits import REDUCTIONS, logits, reduce
from logq.kernels.tensor_memory import prefer_huge_pages
from logq.nn.sparse_rows import TellsOfSparseRows
from logq.objectives import NEGATIVE_SAMPLING
from logq.shapes import can_look_at, check_device, check_dtype, check_ids, check_ignore_index, check_shape, check_whole
from logq.tracing import has_numbers, keeps_sizes

__all__ = ["HierarchicalSoftmax", "HuffmanTree"]

TREE = ("offsets", "points", "codes")
"""What a tree is to a module: its buffers."""

kernels.active()  # loads the backends now: torch.compile cannot follow an import into its graph


class HierarchicalSoftmax(TellsOfSparseRows):
    """Owns the table `weight` (C - 1, D) of the inner nodes of a tree over C classes; it has no table of classes.

        log P(y|x) = sum over the nodes n on the path of y of log sigmoid(s <x, w_n>),    s = +1 for code 0, -1 for 1
        loss = -log P(y|x)

    P sums to 1 over all classes whatever the weights are, and a loss costs as many products as the path has nodes:
    with Huffman's tree on average at most one more than the entropy of the counts in bits. At the start all weights
    are 0, as in word2vec.c, so log P(y|x) is minus the length of the path times log 2.

    To the kernels a path is a row of the logistic loss with a sample of its own: nodes with code 0 are its true
    classes, those with code 1 its sampled ones. So optimizers of logq.optim can update `weight` inside of backward.

    Equivalent to: hs=1 of word2vec.c and gensim; chainer.links.BinaryHierarchicalSoftmax, whose left is our code 0.

    Args:
        in_features: D.
        tree: a HuffmanTree, or counts (C,) to make one of.
        reduction: "none", "mean" over the rows that are not ignored, or "sum".
        sparse: whether `weight` gets sparse gradients, with the touched rows only, for the optimizers and the clipping
            of logq.optim; torch's SGD, Adagrad and SparseAdam take them too, its Adam and clip_grad_norm_ do not.
            torch.compile leaves them to eager mode. With many classes a step is several times faster with them.
        ignore_index: the target of rows that do not count.
        device, dtype: of `weight`.

    Shape:
        input (B, D) float, targets (B,) int64 -> scalar, or (B,) for reduction="none". A loss holds a few
        numbers for each node of B paths; where it is not compiled, as on a GPU, D times as many; never (B, C).

    Attributes:
        offsets, points, codes: the tree, as in HuffmanTree. They are saved with the weights, which mean nothing
            without it, and loaded with them.

    Raises:
        TypeError, ValueError: an argument is something else.

    References:
        Morin and Bengio, Hierarchical Probabilistic Neural Network Language Model, AISTATS 2005.
        Mikolov et al., Distributed Representations of Words and Phrases, 2013, arXiv:1310.4546, section 2.1, Eq. 3.

    Example:
        >>> loss = HierarchicalSoftmax(16, [500, 90, 3, 3, 1], sparse=True)
        >>> loss(torch.randn(4, 16), torch.tensor([0, 1, 0, 4])).backward()
        >>> loss.weight.grad.is_sparse
        True
        >>> loss.log_prob(torch.randn(2, 16)).exp().sum(dim=1)
        tensor([1., 1.], grad_fn=<SumBackward1>)
    """

    offsets: Tensor
    points: Tensor
    codes: Tensor

    def __init__(
        self,
        in_features: int,
        tree: HuffmanTree | Sequence[float] | NDArray[Any] | Tensor,
        reduction: str = "mean",
        sparse: bool = False,
        ignore_index: int = IGNORED,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        device, dtype = check_device(device), check_dtype(dtype)
        self.in_features = check_int("in_features", in_features)
        if not isinstance(tree, HuffmanTree):
            tree = HuffmanTree.from_counts(tree.detach().cpu().numpy() if is_tensor(tree) else np.asarray(tree))
        if reduction not in REDUCTIONS:
            raise ArgumentError("reduction", f"one of {', '.join(REDUCTIONS)}", reduction)
        self.reduction = reduction
        self.sparse = check_bool("sparse", sparse)
        self.ignore_index = check_ignore_index(ignore_index)
        self.num_classes = tree.num_classes
        self.register_buffer("offsets", torch.tensor(tree.offsets, device=device))
        self.register_buffer("points", torch.tensor(tree.points, device=device))
        self.register_buffer("codes", torch.tensor(tree.codes, device=device))
        self._measure(tree.offsets, tree.points)
        self._tree = tree if self.offsets.is_meta else None
        table = torch.empty(self.num_classes - 1, self.in_features, device=device, dtype=dtype)
        prefer_huge_pages(table)
        self.weight = nn.Parameter(table)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set all weights to 0: at every node both turns are equally likely.

        Where the module was made on the device "meta", and has memory now, its tree is put there too.
        """
        nn.init.zeros_(self.weight)
        if self._tree is not None and not self.offsets.is_meta:
            for name in TREE:
                getattr(self, name).copy_(torch.from_numpy(getattr(self._tree, name)))
            self._tree = None

    def _measure(self, offsets: NDArray[Any], points: NDArray[Any]) -> None:
        """Find the sizes that results have, which graphs and fake tensors need as numbers."""
        lengths = np.diff(offsets)
        self.depth = int(lengths.max())
        level = np.zeros(self.num_classes - 1, dtype=np.int64)
        level[points] = np.arange(len(points)) - np.repeat(offsets[:-1], lengths)
        self._nodes_of_level: list[int] = np.bincount(level).tolist()

    def _load_from_state_dict(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        """As nn.Module does; the state may bring another tree of the same size, and raises ValueError if it is none."""
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        own = [getattr(self, name) for name in TREE]
        given = [state_dict.get(prefix + name) for name in TREE]
        fit = all(one is not None and one.shape == other.shape for one, other in zip(given, own, strict=True))
        if fit and has_numbers(self.offsets) and not self.offsets.is_meta:  # else torch says what does not fit
            tree = HuffmanTree.from_paths(*(one.cpu().numpy() for one in own))
            self._measure(tree.offsets, tree.points)

    def sparse_parameters(self) -> Mapping[str, nn.Parameter | None]:
        """The table, if it gets sparse gradients."""
        return {"weight": self.weight} if self.sparse else {}

    def forward(self, input: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            input: (B, D).
            targets: (B,) int64, classes or `ignore_index`.

        Returns:
            Minus log P(target|input), float32 at least, reduced; 0 where the target is `ignore_index`.

        Raises:
            TypeError, ValueError: a shape or dtype is another, or a target is not a class; the message names the first.
        """
        self._check_batch(input, targets)
        return self._loss(input, targets, self.reduction)

    def log_prob(self, input: Tensor, targets: Tensor | None = None) -> Tensor:
        """Log-probabilities of all classes, or of one class per row.

        Args:
            input: (B, D).
            targets: (B,) int64, classes to look at; None for all.

        Returns:
            (B, C), natural logarithms whose exponentials sum to 1; or (B,), with 0 where a target is `ignore_index`.
        """
        self._check_batch(input, targets)
        return torch.cat(list(self._parts(input))) if targets is None else -self._loss(input, targets, "none")

    @torch.no_grad()
    def predict(self, input: Tensor) -> Tensor:
        """The class with the largest P(y|x) for each row, a part of the batch at a time.

        Args:
            input: (B, D).

        Returns:
            (B,) int64.
        """
        self._check_batch(input, None)
        return torch.cat([log_p.argmax(dim=1) for log_p in self._parts(input)])

    def _check_batch(self, input: Tensor, targets: Tensor | None) -> None:
        sizes = {"D": self.in_features}
        check_whole("input", input)
        check_weights(self.weight)
        check_sparse(self.sparse)
        check_shape("input", input, "BD", sizes)
        if not input.is_floating_point():
            raise ArgumentTypeError("input", "a floating point dtype", input.dtype)
        if targets is not None:
            check_ids("targets", targets, self.num_classes, ignore_index=self.ignore_index)
            check_shape("targets", targets, "B", sizes)

    def _loss(self, input: Tensor, targets: Tensor, reduction: str) -> Tensor:
        """Minus log P of one class per row: a row of the logistic loss whose classes are the nodes of the path.

        Nodes with code 0 are true classes, those with code 1 are sampled ones; and as a row without a true class does
        not count, the input is turned round, and with it all codes, where the root has code 1.
        """
        if self.num_classes == 1:  # certain, and no node to look at
            nothing = logits(input, self.weight, None, temperature=1.0, cosine=False).sum(dim=1)
            return reduce(nothing, targets != self.ignore_index, reduction)
        is_class = targets != self.ignore_index
        classes = targets.where(is_class, 0)
        starts = self.offsets[classes]
        lengths = (self.offsets[classes + 1] - starts).where(is_class, 0)
        # The longest path of the batch, where asking for it costs nothing.
        longest = int(lengths.max()) if can_look_at(lengths) and lengths.numel() else self.depth
        step = torch.arange(longest, device=lengths.device)
        on_path = step < lengths[:, None]
        # Beyond the end of a path stands the root, which all paths touch: sparse gradients get no row more.
        place = (starts[:, None] + step).where(on_path, 0)
        nodes, codes, turned = self.points[place].long(), self.codes[place] != 0, self.codes[starts] != 0
        is_true = codes == turned[:, None]
        of_true, of_sampled = input.new_zeros(2, 1, 1).expand(2, *nodes.shape)  # log Q, which this row does not ask for
        true_nodes = nodes.where(on_path & is_true, IGNORED)
        candidates = Candidates(nodes, of_sampled, true_nodes, of_true, excluded=~on_path | is_true)
        return kernels.get("sampled_loss", input.device.type)(
            NEGATIVE_SAMPLING,
            input * (1 - 2 * turned.to(input.dtype))[:, None],
            self.weight,
            None,
            candidates,
            temperature=1.0,
            cosine=False,
            remove_hits=False,
            sparse=self.sparse,
            reduction=reduction,
        )

    def _parts(self, input: Tensor) -> Iterator[Tensor]:
        """Log P of all classes, (b, C) for consecutive rows of the batch, few enough for `chunk_logits`."""
        size = max(1, kernel_logits.chunk_logits(input.device) // self.num_classes)
        ways = self._ways() if self.num_classes > 1 else None
        for rows in (input,) if keeps_sizes(input) else input.split(size):
            dots = logits(rows, self.weight, None, temperature=1.0, cosine=False)
            yield dots.sum(dim=1, keepdim=True) if ways is None else _down_the_tree(dots, *ways)

    def _ways(self) -> tuple[list[Tensor], Tensor, Tensor]:
        """For the nodes of each level below the root, and then for all classes, the turn that leads there.

        A turn is 2 n + code, n an inner node. Last comes the column of each inner node when they stand by level.
        """
        taken = 2 * self.points.long() + self.codes
        step = torch.arange(len(taken), device=taken.device)
        step -= self.offsets[:-1].repeat_interleave(self.offsets.diff(), output_size=len(taken))
        level = torch.zeros(self.num_classes - 1, dtype=torch.int64, device=taken.device)
        above = level.clone()
        level[self.points.long()] = step
        above[self.points[1:].long()] = taken[:-1]  # nonsense for the root alone, where each path begins
        order = level.argsort(stable=True)
        column = torch.empty_like(order)
        column[order] = torch.arange(len(order), device=order.device)
        to_nodes = [above[nodes] for nodes in order.split(self._nodes_of_level)[1:]]
        return to_nodes, taken[self.offsets[1:] - 1], column

    def extra_repr(self) -> str:
        """What repr() shows."""
        sparse = ", sparse" if self.sparse else ""
        return f"in_features={self.in_features}, num_classes={self.num_classes}, depth={self.depth}{sparse}"


def _down_the_tree(dots: Tensor, to_nodes: list[Tensor], to_classes: Tensor, column: Tensor) -> Tensor:
    """Log P of all classes from the products with all nodes: P of a node is its parent's times that of the turn."""
    turns = logsigmoid(torch.stack([dots, -dots], dim=2)).flatten(1)  # (b, 2 (C - 1))
    levels, before = [dots.new_zeros(dots.shape[0], 1)], 0
    for turn in to_nodes:
        parents = column[turn // 2] - before
        before += levels[-1].shape[1]
        levels.append(levels[-1][:, parents] + turns[:, turn])
    return torch.cat(levels, dim=1)[:, column[to_classes // 2]] + turns[:, to_classes]
