"""Rows as messages: what other processes sent, with gradients that go back; tensors of several dtypes as bytes."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

__all__ = ["arrived", "as_bytes", "from_bytes", "rows_and_biases"]


def arrived(
    weight: Tensor, bias: Tensor | None, send_back: Callable[[list[Tensor]], None]
) -> tuple[Tensor, Tensor | None]:
    """Rows (N, D) and biases (N,) whose gradients go to `send_back`: (N, D), and (N, 1) where there are biases.

    It is called once in each backward, also where no gradient came of the rows, for the others wait for this process.

    Example:
        >>> rows, _ = arrived(torch.ones(1, 2), None, print)
        >>> rows.sum().backward()
        [tensor([[1., 1.]])]
    """
    if not torch.is_grad_enabled():
        return weight, bias
    anchor = torch.zeros((), requires_grad=True)  # the rows are not of this process, yet have gradients
    if bias is None:
        return cast(Tensor, _ArrivedRows.apply(anchor, send_back, weight)), None
    return cast(tuple[Tensor, Tensor], _ArrivedRows.apply(anchor, send_back, weight, bias))


class _ArrivedRows(torch.autograd.Function):
    """The identity on rows and biases; one function for all rows of a step, so that all processes send in one order."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, send_back: Callable[[list[Tensor]], None], *tables: Tensor) -> Any:
        ctx.send_back = send_back
        return tables[0] if len(tables) == 1 else tables

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.send_back([gradients[0], *(one[:, None] for one in gradients[1:])])
        return (None,) * (2 + len(gradients))


def rows_and_biases(gradients: Tensor, dim: int) -> tuple[Tensor, Tensor | None]:
    """Gradients of rows, and of biases in a last column if there are any: (N, D) and (N,).

    Example:
        >>> rows_and_biases(torch.tensor([[1.0, 2.0, 3.0]]), 2)
        (tensor([[1., 2.]]), tensor([3.]))
    """
    return gradients[:, :dim].contiguous(), gradients[:, dim].contiguous() if gradients.shape[1] > dim else None


def as_bytes(*columns: Tensor) -> Tensor:
    """Tensors with N rows as one (N, bytes) tensor of uint8, so that they make one message whatever their dtypes.

    Example:
        >>> as_bytes(torch.ones(2, dtype=torch.int32), torch.ones(2, 3)).shape
        torch.Size([2, 16])
    """
    flat = [column.flatten(1) if column.dim() > 1 else column[:, None] for column in columns]
    return torch.cat([column.contiguous().view(torch.uint8) for column in flat], dim=1)


def from_bytes(rows: Tensor, kinds: Sequence[tuple[torch.dtype, int | None]]) -> list[Tensor]:
    """The tensors that `as_bytes` joined.

    Args:
        rows: (N, bytes) uint8.
        kinds: of each the dtype, and the number of columns or None for a tensor of one dimension.

    Example:
        >>> joined = as_bytes(torch.tensor([7], dtype=torch.int32), torch.ones(1, 2))
        >>> from_bytes(joined, [(torch.int32, None), (torch.float32, 2)])
        [tensor([7], dtype=torch.int32), tensor([[1., 1.]])]
    """
    found: list[Tensor] = []
    start = 0
    for dtype, columns in kinds:
        stop = start + dtype.itemsize * (1 if columns is None else columns)
        part = rows[:, start:stop].clone(memory_format=torch.contiguous_format).view(dtype)
        found.append(part[:, 0] if columns is None else part)
        start = stop
    return found
