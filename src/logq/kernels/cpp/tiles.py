"""Tiles of the logits that all rows have with a shared sample: how large they are, and what is done to each."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from logq.kernels import _native
from logq.kernels.cpp.arrays import array, maybe_array, running

__all__ = ["Hits", "Law", "Tiles", "find_hits"]

TILE = 1 << 21
"""How many logits are held at a time: 8 MiB in float32, so that a tile stays in the cache between its products."""

FEWEST_ROWS = 64
"""Products of fewer rows are slow, so a tile has as many, up to WIDEST classes."""

WIDEST = 1 << 17
"""A sample of more classes is taken in parts. Its softmax then makes its logits twice, which costs more than a tile
that is too large for the cache."""


class Hits(NamedTuple):
    """Where true classes stand in the sample: those of (row, t) at places[begin[row, t] : end[row, t]]."""

    places: Tensor  # (S,)
    begin: Tensor  # (B, T)
    end: Tensor  # (B, T)


def find_hits(targets: Tensor, ids: Tensor) -> Hits:
    """All copies of every true class, without a (B, S) comparison.

    Example:
        >>> hits = find_hits(torch.tensor([[7], [3]]), torch.tensor([7, 5, 7]))
        >>> [hits.places[begin:end].tolist() for begin, end in zip(hits.begin[:, 0], hits.end[:, 0])]
        [[0, 2], []]
    """
    hits = Hits(torch.empty_like(ids), torch.empty_like(targets), torch.empty_like(targets))
    _native.find_hits(array(targets), array(ids), *map(array, hits))
    return hits


class Law(NamedTuple):
    """What makes losses of logits, besides the logits."""

    targets: Tensor  # (B, T)
    true_logits: Tensor  # (B, T)
    offsets: Tensor | None  # (S,) or (B, S)
    excluded: Tensor | None  # (B, S)
    row_scale: Tensor | None  # (B,)
    hits: Hits | None
    temperature: float
    softmax: bool


class Tiles:
    """The (B, S) logits of all rows with a shared sample, a tile at a time, each in the same memory.

    Args:
        input: (B, D).
        sampled: (S, D), rows of the class table.
        law: of the losses.
        gradients: whether tiles are turned into factors.
    """

    def __init__(self, input: Tensor, sampled: Tensor, law: Law, *, gradients: bool) -> None:
        self.input, self.sampled, self.law, self.gradients = input, sampled, law, gradients
        num_rows, num_sampled = input.shape[0], sampled.shape[0]
        width = max(1, min(num_sampled, WIDEST))
        height = max(1, min(num_rows, max(FEWEST_ROWS, TILE // width // FEWEST_ROWS * FEWEST_ROWS)))
        self.buffer = input.new_empty(width * height)
        self.rows = [slice(at, min(at + height, num_rows)) for at in range(0, num_rows, height)]
        self.columns = [slice(at, min(at + width, num_sampled)) for at in range(0, max(1, num_sampled), width)]
        self.losses = input.new_empty(num_rows)
        self.true_factors = input.new_empty(law.targets.shape if gradients else (0,))

    def of_rows(self, rows: slice) -> Iterator[tuple[slice, Tensor]]:
        """Compute the losses of some rows; gives (columns, factors) of each tile, where gradients are wanted.

        The softmax of a row needs the sum over all columns before any factor: where they are more than a tile has, the
        products are made twice.
        """
        maxima = sums = None
        if self.law.softmax and len(self.columns) > 1:
            maxima, sums = self.law.true_logits[rows, 0].clone(), self.input.new_ones(rows.stop - rows.start)
            for columns in self.columns:
                self._tile("reduce", rows, columns, maxima, sums)
        for columns in self.columns:
            tile = self._tile("whole" if maxima is None else "factors", rows, columns, maxima, sums)
            if self.gradients:
                yield columns, tile

    def _tile(self, kind: str, rows: slice, columns: slice, maxima: Tensor | None, sums: Tensor | None) -> Tensor:
        law, shape = self.law, (rows.stop - rows.start, columns.stop - columns.start)
        tile = self.buffer[: shape[0] * shape[1]].view(shape)
        torch.mm(self.input[rows], self.sampled[columns].T, out=tile)
        offsets = law.offsets
        if offsets is not None:
            offsets = offsets[columns] if offsets.dim() == 1 else offsets[rows, columns].contiguous()
        _native.tile_losses(
            kind,
            array(tile),
            offsets=maybe_array(offsets),
            excluded=maybe_array(None if law.excluded is None else law.excluded[rows]),
            excluded_width=self.sampled.shape[0],
            places=None if law.hits is None else array(law.hits.places),
            hits_begin=None if law.hits is None else array(law.hits.begin[rows]),
            hits_end=None if law.hits is None else array(law.hits.end[rows]),
            first_column=columns.start,
            targets=array(law.targets[rows]),
            true_logits=array(law.true_logits[rows]),
            row_scale=maybe_array(None if law.row_scale is None else law.row_scale[rows]),
            inverse_temperature=1 / law.temperature,
            softmax=law.softmax,
            gradients=self.gradients,
            first=columns.start == 0,
            losses=array(self.losses[rows]),
            true_factors=array(self.true_factors[rows]) if self.gradients else None,
            maxima=maybe_array(maxima),
            sums=maybe_array(sums),
            **running(),
        )
        return tile
