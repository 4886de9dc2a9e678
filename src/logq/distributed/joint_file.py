"""A file that the first process writes, with rows that are brought to it from all others a part at a time."""

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from logq._model_file import ArrayInPieces, write_tensors
from logq.distributed.sharded_embedding import ShardedEmbedding
from logq.process_start import all_or_none
from logq.processes import take_from_first, world

__all__ = ["rows_in_pieces", "write_jointly"]

PIECE = 1 << 25
"""Bytes of rows that are brought at a time."""


class _WriterError(Exception):
    """The first process cannot write any more."""


class _Nowhere(io.BytesIO):
    """What the others write to."""

    def write(self, data: Any) -> int:
        return len(data)


def _goes_on(device: torch.device, well: bool = True) -> bool:
    """Whether the first process goes on, which tells it the others."""
    flag = torch.tensor([well], dtype=torch.uint8, device=device)
    take_from_first(flag, "write a file together")
    return bool(flag)


def rows_in_pieces(table: ShardedEmbedding) -> ArrayInPieces:
    """The rows (N, D) of all processes in the order of ids, for `write_jointly`.

    Example:
        >>> rows_in_pieces(ShardedEmbedding(10, 2)).shape
        (10, 2)
    """
    like = table.weight[:0].detach().cpu().numpy()

    def pieces() -> Iterator[NDArray[Any]]:
        for ids in torch.arange(table.num_rows).split(max(1, PIECE // (table.dim * like.itemsize))):
            if not _goes_on(table.weight.device):
                raise _WriterError
            yield table.for_first(ids).cpu().numpy()

    return ArrayInPieces(like.dtype, (table.num_rows, *table.row_shape), pieces)


def write_jointly(write: Callable[[], None], tensors: Mapping[str, Any], device: torch.device | str) -> None:
    """Let the first process write a file by `write_tensors`, while the others hand in their rows.

    All processes call it at once. None has more than its own rows and PIECE bytes of others; each row moves twice, for
    the digest and for the file.

    Args:
        write: what the first process does.
        tensors: what it writes, by name in the order of `write`; of the others only rows in pieces count.
        device: that exchanges use.

    Raises:
        Exception: what `write` raised, in all processes.

    Example:
        >>> write_jointly(lambda: print("written"), {}, "cpu")
        written
    """
    at = torch.device(device)

    def first() -> None:
        try:
            write()
        except BaseException:
            _goes_on(at, False)
            raise
        _goes_on(at)

    def other() -> None:
        parts = {name: one for name, one in tensors.items() if isinstance(one, ArrayInPieces)}
        try:
            write_tensors(_Nowhere(), parts, {})
        except _WriterError:
            return
        _goes_on(at)

    all_or_none(first if world().is_first else other, at)
