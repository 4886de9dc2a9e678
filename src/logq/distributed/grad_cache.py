"""GradCache: a batch that is encoded some rows at a time, with the gradient of the whole batch."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int

__all__ = ["GradCache"]


class GradCache:
    """Encodes a batch in chunks, so that memory is that of one chunk, whatever the size of the batch.

        v_i = f(x_i),    d loss / d w = sum_c sum_{i in c} (d loss / d v_i) (d v_i / d w)        c the chunks

    A loss over the batch, as with in-batch negatives, needs all vectors v at once, but not how they came about. So each
    chunk is encoded without a graph; the loss gives the gradients of all vectors, which are kept; and backward takes
    one chunk after the other, encodes it again and goes on from the gradients of its vectors. Gradients are those of
    the whole batch, and dropout drops the same: torch's random state is put back for each chunk. What it costs is a
    second pass through the encoder.

    What is held is B x D numbers of the vectors, as many of their gradients, and what one chunk needs. It is a call
    like any other for the rest of the program: `loss.backward()` does it all, gradients add up, sparse ones too, and
    the precision of autocast is that of the first pass. Vectors of other processes come behind it, by
    `logq.processes.all_rows`, and so do their gradients before any chunk is encoded again.

    The encoder must treat rows independently of each other, as batch normalization does not. Under
    DistributedDataParallel it stands inside of the module that is wrapped.

    Args:
        encoder: a module, or a function, from tensors with B rows, and mappings of such, to vectors of B rows.
        chunk: how many rows it gets at a time.

    Raises:
        ArgumentError, ArgumentTypeError: chunk is not an integer >= 1; in a call, there is no tensor, or the tensors
            differ in their numbers of rows, or the encoder gives other numbers of rows.

    References:
        Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, RepL4NLP 2021,
        arXiv:2101.06983.
        Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016, arXiv:1604.06174: what is done to each chunk.

    Example:
        >>> tower = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2))
        >>> vectors = GradCache(tower, chunk=4)(torch.ones(10, 3))
        >>> (vectors @ vectors.T).logsumexp(dim=1).sum().backward()
        >>> vectors.shape, tower[0].weight.grad.shape
        (torch.Size([10, 2]), torch.Size([8, 3]))
    """

    def __init__(self, encoder: Callable[..., Tensor], chunk: int) -> None:
        if not callable(encoder):
            raise ArgumentTypeError("encoder", "a module or a function", Verbatim(type(encoder).__name__))
        self.encoder = encoder
        self.chunk = check_int("chunk", chunk)

    def __call__(self, *inputs: Any) -> Tensor:
        """The vectors of all rows.

        Args:
            *inputs: tensors with B rows, and mappings of such, which are cut; anything else goes to each chunk.
        """
        rows = _number_of_rows(inputs)
        if rows <= self.chunk:
            return self.encoder(*inputs)
        parts: list[Tensor] = []
        for first in range(0, rows, self.chunk):
            part = [_cut(one, first, self.chunk) for one in inputs]
            if torch.is_grad_enabled():
                vectors = checkpoint(self.encoder, *part, use_reentrant=False)
            else:
                vectors = self.encoder(*part)
            assert isinstance(vectors, Tensor)
            expected = min(self.chunk, rows - first)
            if vectors.dim() == 0 or len(vectors) != expected:
                raise ArgumentError("encoder", f"vectors of {expected} rows", Verbatim(tuple(vectors.shape)))
            parts.append(vectors)
        return torch.cat(parts)


def _number_of_rows(inputs: tuple[Any, ...]) -> int:
    tensors = [one for each in inputs for one in (each.values() if isinstance(each, Mapping) else [each])]
    rows = [len(one) if one.dim() else 0 for one in tensors if isinstance(one, Tensor)]
    if not rows or len(set(rows)) > 1:
        raise ArgumentError("inputs", "tensors with the same number of rows", Verbatim(rows or "none"))
    return rows[0]


def _cut(value: Any, first: int, rows: int) -> Any:
    """Some rows of a tensor, or of the tensors of a mapping."""
    if isinstance(value, Mapping):
        return {name: _cut(one, first, rows) for name, one in value.items()}
    return value[first : first + rows] if isinstance(value, Tensor) else value
