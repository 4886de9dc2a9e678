"""Tiles of the logits that all rows have with a shared sample: how large they are, and what is done to each.

Where the caches hold the sample, compiled code makes the products too, for the rows that the second cache has room for:
no logit leaves it. Larger products are torch's.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from logq.kernels import _native
from logq.kernels.cpp import arrays
from logq.kernels.cpp.arrays import array, maybe_array, running

__all__ = ["LossInputs", "TileHits", "Tiles", "find_hits", "part"]

TILE = 1 << 21
"""The number of logits held at a time: 8 MiB in float32, so that a tile stays in the cache between its products."""

FEWEST_ROWS = 64
"""Products of fewer rows are slow, so a tile has as many, up to WIDEST classes."""

IN_CACHE = 1 << 21
"""Bytes of the sampled rows up to which compiled products are the quicker ones."""

WIDEST = 1 << 17
"""A sample of more classes is taken in parts. Its softmax then makes its logits twice, which costs more than a tile
that is too large for the cache."""


class TileHits(NamedTuple):
    """The positions of true classes in the sample: those of (row, t) are positions[begin[row, t] : end[row, t]]."""

    positions: Tensor  # (S,)
    begin: Tensor  # (B, T)
    end: Tensor  # (B, T)


def find_hits(targets: Tensor, ids: Tensor) -> TileHits:
    """All copies of every true class, without a (B, S) comparison.

    Example:
        >>> hits = find_hits(torch.tensor([[7], [3]]), torch.tensor([7, 5, 7]))
        >>> [hits.positions[begin:end].tolist() for begin, end in zip(hits.begin[:, 0], hits.end[:, 0])]
        [[0, 2], []]
    """
    hits = TileHits(torch.empty_like(ids), torch.empty_like(targets), torch.empty_like(targets))
    _native.find_hits(array(targets), array(ids), *map(array, hits))
    return hits


class LossInputs(NamedTuple):
    """What makes losses of logits, besides the logits."""

    targets: Tensor  # (B, T)
    true_logits: Tensor  # (B, T)
    offsets: Tensor | None  # (S,) or (B, S)
    excluded: Tensor | None  # (B, S)
    row_scale: Tensor | None  # (B,)
    hits: TileHits | None
    temperature: float
    softmax: bool


class Tiles:
    """The (B, S) logits of all rows with a shared sample, a tile at a time, each in the same memory.

    Args:
        input: (B, D).
        sampled: (S, D), rows of the class weights.
        inputs: of the losses.
        gradients: whether tiles are turned into factors.
    """

    def __init__(self, input: Tensor, sampled: Tensor, inputs: LossInputs, *, gradients: bool) -> None:
        self.input, self.sampled, self.inputs, self.gradients = input, sampled, inputs, gradients
        num_rows, num_sampled = input.shape[0], sampled.shape[0]
        width = max(1, min(num_sampled, WIDEST))
        height = max(1, min(num_rows, max(FEWEST_ROWS, TILE // width // FEWEST_ROWS * FEWEST_ROWS)))
        self.buffer = input.new_empty(0 if self.is_compiled else width * height)
        self.rows = [slice(at, min(at + height, num_rows)) for at in range(0, num_rows, height)]
        self.columns = [slice(at, min(at + width, num_sampled)) for at in range(0, max(1, num_sampled), width)]
        self.losses = input.new_empty(num_rows)
        self.true_factors = input.new_empty(inputs.targets.shape if gradients else (0,))

    @property
    def is_compiled(self) -> bool:
        """Whether `at_once` makes all of them: compiled code has vectors for that, and the caches have room."""
        sampled = self.sampled
        fits = 0 < sampled.numel() * sampled.dtype.itemsize <= IN_CACHE and self.input.numel() > 0
        return fits and sampled.dtype is torch.float32 and _has_vectors(arrays.SIMD)

    def at_once(self, *, needs: tuple[bool, bool, bool]) -> tuple[Tensor, Tensor, Tensor]:
        """Compute all losses, and what is wanted of factors x sampled rows, factors' x input, and sums over rows."""
        given, shapes = self.inputs, (self.input.shape, self.sampled.shape, self.sampled.shape[:1])
        found = [self.input.new_empty(shape if wanted else (0,)) for shape, wanted in zip(shapes, needs, strict=True)]
        made = [array(one) if wanted else None for one, wanted in zip(found, needs, strict=True)]
        positions, begin, end = given.hits or (None, None, None)
        _native.shared_losses(
            array(self.input),
            array(self.sampled),
            offsets=maybe_array(given.offsets),
            excluded=maybe_array(given.excluded),
            places=maybe_array(positions),
            hits_begin=maybe_array(begin),
            hits_end=maybe_array(end),
            targets=array(given.targets),
            true_logits=array(given.true_logits),
            row_scale=maybe_array(given.row_scale),
            inverse_temperature=1 / given.temperature,
            softmax=given.softmax,
            gradients=self.gradients,
            losses=array(self.losses),
            true_factors=array(self.true_factors) if self.gradients else None,
            input_gradient=made[0],
            row_gradient=made[1],
            column_sums=made[2],
            **running(),
        )
        return found[0], found[1], found[2]

    @property
    def is_one(self) -> bool:
        """Whether one tile holds all logits."""
        return len(self.rows) == 1 == len(self.columns)

    def of_rows(self, rows: slice) -> Iterator[tuple[slice, Tensor]]:
        """Compute the losses of some rows; gives (columns, factors) of each tile, where gradients are wanted.

        The softmax of a row needs the sum over all columns before any factor: where they are more than a tile has, the
        products are made twice.
        """
        maxima = sums = None
        if self.inputs.softmax and len(self.columns) > 1:
            maxima, sums = self.inputs.true_logits[rows, 0].clone(), self.input.new_ones(rows.stop - rows.start)
            for columns in self.columns:
                self._tile("reduce", rows, columns, maxima, sums)
        for columns in self.columns:
            tile = self._tile("whole" if maxima is None else "factors", rows, columns, maxima, sums)
            if self.gradients:
                yield columns, tile

    def _tile(self, kind: str, rows: slice, columns: slice, maxima: Tensor | None, sums: Tensor | None) -> Tensor:
        given, shape = self.inputs, (rows.stop - rows.start, columns.stop - columns.start)
        tile = part(self.buffer, slice(0, shape[0] * shape[1])).view(shape)
        torch.mm(part(self.input, rows), part(self.sampled, columns).t(), out=tile)
        offsets = given.offsets
        if offsets is not None:
            offsets = part(offsets, columns) if offsets.dim() == 1 else offsets[rows, columns].contiguous()
        excluded, row_scale, hits = given.excluded, given.row_scale, given.hits
        _native.tile_losses(
            kind,
            array(tile),
            offsets=maybe_array(offsets),
            excluded=None if excluded is None else array(part(excluded, rows)),
            excluded_width=self.sampled.shape[0],
            places=None if hits is None else array(hits.positions),
            hits_begin=None if hits is None else array(part(hits.begin, rows)),
            hits_end=None if hits is None else array(part(hits.end, rows)),
            first_column=columns.start,
            targets=array(part(given.targets, rows)),
            true_logits=array(part(given.true_logits, rows)),
            row_scale=None if row_scale is None else array(part(row_scale, rows)),
            inverse_temperature=1 / given.temperature,
            softmax=given.softmax,
            gradients=self.gradients,
            first=columns.start == 0,
            losses=array(part(self.losses, rows)),
            true_factors=array(part(self.true_factors, rows)) if self.gradients else None,
            maxima=maybe_array(maxima),
            sums=maybe_array(sums),
            **running(),
        )
        return tile


def _has_vectors(simd: str) -> bool:
    """Whether a set of instructions has more than plain loops, which torch's products are quicker than."""
    return (_native.simd_levels()[0] if simd == "auto" else simd) != "generic"


def part(tensor: Tensor, rows: slice) -> Tensor:
    """Some rows of a tensor; itself where that is all of them, which is quicker than a view.

    Example:
        >>> part(torch.arange(3), slice(0, 2))
        tensor([0, 1])
    """
    return tensor if rows.start == 0 and rows.stop == tensor.shape[0] else tensor[rows]
