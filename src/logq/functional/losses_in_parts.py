"""Losses over samples of rows that are never stored: some rows are drawn, computed and forgotten at a time."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from logq._arguments import ArgumentError
from logq.candidates import Candidates
from logq.kernels.logits import computed_dtype

__all__ = ["check_parts", "loss_in_parts", "rows_of_a_part"]

ENTRIES: Final = {"cpu": 1 << 20}
"""Sampled classes of a part by the type of a device; a GPU takes more of them, as each part costs launches."""

MORE_ENTRIES: Final = 1 << 24


def rows_of_a_part(num_sampled: int, device: torch.device) -> int:
    """How many rows of a batch are drawn at a time, where each has that many sampled classes.

    Example:
        >>> rows_of_a_part(1000, torch.device("cpu"))
        1048
    """
    return max(1, ENTRIES.get(device.type, MORE_ENTRIES) // num_sampled)


def check_parts(has_parts: bool, reduction: str, sparse: bool, temperature: float | Tensor) -> None:
    """Raise ArgumentError for what a loss whose samples are not stored cannot do.

    Args:
        has_parts: whether the sampler has draws in parts.
        reduction: of the losses.
        sparse: whether gradients of classes are to be sparse.
        temperature: of the logits.

    Example:
        >>> check_parts(True, "none", False, 1.0)
        Traceback (most recent call last):
        ...
        logq.ArgumentError: reduction: expected 'mean' or 'sum' where samples are not stored, got 'none'
    """
    if not has_parts:
        hint = "give a sampler such as LogUniform(..., per_row=True)"
        raise ArgumentError("store_samples", "True with a sampler that cannot draw rows one by one", False, hint)
    without = "where samples are not stored"
    if reduction == "none":
        raise ArgumentError("reduction", f"'mean' or 'sum' {without}", reduction)
    if sparse:
        raise ArgumentError("sparse", f"False {without}", sparse)
    if isinstance(temperature, Tensor):
        raise ArgumentError("temperature", f"a float {without}", temperature)


def loss_in_parts(
    loss: Callable[..., Tensor],
    input: Tensor,  # (B, D)
    weight: Tensor,  # (C, D)
    bias: Tensor | None,  # (C,)
    row_weight: Tensor | None,  # (B,)
    parts: Iterator[Candidates],
) -> Tensor:
    """The sum of the losses of a batch, of which candidates come for some rows after the other.

    Gradients are made with the losses, dense ones for the classes: no samples are kept for backward.

    Args:
        loss: (input, weight, bias, candidates, sparse=, row_weight=) -> the sum of the losses of some rows.
        input: queries.
        weight: the class weights.
        bias: of the classes.
        row_weight: what each row counts.
        parts: the candidates.

    Returns:
        A scalar, which can be differentiated once.

    Example:
        >>> from logq.functional import sampled_loss
        >>> from logq.samplers import Uniform
        >>> parts = Uniform(9, 4, per_row=True, seed=1).draw_in_parts(torch.tensor([3, 0, 5]), 2)
        >>> def loss(input, weight, bias, candidates, **options):
        ...     return sampled_loss("nce", input, weight, candidates, bias=bias, reduction="sum", **options)
        >>> float(loss_in_parts(loss, torch.zeros(3, 2), torch.zeros(9, 2), None, None, parts)) > 0
        True
    """
    wanted = [torch.is_grad_enabled() and one is not None and one.requires_grad for one in (input, weight, bias)]
    return _LossInParts.apply(input, weight, bias, row_weight, parts, loss, wanted)  # pyright: ignore[reportReturnType]


class _LossInParts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        row_weight: Tensor | None,
        parts: Iterator[Candidates],
        loss: Callable[..., Tensor],
        wanted: list[bool],
    ) -> Tensor:
        """Losses, and gradients summed over parts, in float32 at least."""
        real = computed_dtype(input, weight)
        total = torch.zeros((), dtype=real, device=input.device)
        tensors = input, weight, bias
        made = [
            torch.zeros_like(one, dtype=real) if one is not None and is_wanted else None
            for one, is_wanted in zip(tensors, wanted, strict=True)
        ]
        end = 0
        for candidates in parts:
            rows = slice(end, end + len(candidates.targets))
            end = rows.stop
            leaves = [
                None if one is None else one.detach().requires_grad_(is_wanted)
                for one, is_wanted in zip((input[rows], weight, bias), wanted, strict=True)
            ]
            # A CPU adds the rows that are touched; other devices would be waited for, to know how many those are.
            sparse = weight.device.type == "cpu" and candidates.ids.numel() < len(weight)
            with torch.set_grad_enabled(any(wanted)):
                scales = None if row_weight is None else row_weight[rows]
                of_part = loss(*leaves, candidates, sparse=sparse, row_weight=scales)
            total += of_part.detach()
            asked = [leaf for leaf, is_wanted in zip(leaves, wanted, strict=True) if leaf is not None and is_wanted]
            found = torch.autograd.grad(of_part, asked) if asked else ()
            sums = [one for one in made if one is not None]
            for gradient, whole in zip(found, sums, strict=True):
                whole = whole[rows] if whole is made[0] else whole
                whole += gradient
        ctx.made = [None if one is None else one.to(of.dtype) for one, of in zip(made, tensors, strict=True)]  # pyright: ignore[reportOptionalMemberAccess]
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradient: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The gradients of the sum, times that of it."""
        return (*(None if one is None else one * gradient[0].to(one.dtype) for one in ctx.made), *[None] * 4)
