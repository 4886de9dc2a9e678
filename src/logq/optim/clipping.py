"""Clipping of gradients, including sparse ones."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from logq._arguments import ArgumentTypeError, Verbatim, check_bool, check_float
from logq.optim.gradients import coalesced
from logq.optim.shards import is_sharded, local

__all__ = ["clip_grad_norm_", "clip_grad_value_"]


@torch.no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    *,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale the gradients of all parameters, in place, so that their norm as one vector is at most `max_norm`.

        g *= min(1, max_norm / (|g| + 1e-6))

    Equivalent to torch.nn.utils.clip_grad_norm_, which stops at sparse gradients. DTensors are clipped by the norm over
    all processes. A sparse gradient that is not
    coalesced is replaced by its sum, as the norm is one of the sum. Norms of half precision are taken in float32.

    Args:
        parameters: one or several; those without a gradient are passed over.
        max_norm: >= 0; infinity to measure the norm and change nothing.
        norm_type: p > 0 of the p-norm; infinity for the largest absolute value.
        error_if_nonfinite: raise if the norm is not finite.

    Returns:
        The norm before scaling, (), on the device of the first gradient; 0 without any.

    Raises:
        TypeError: an argument has a wrong type, or a gradient is neither dense nor a sparse COO tensor.
        ValueError: a number is out of range.
        RuntimeError: the norm is not finite, and `error_if_nonfinite`.

    References:
        Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural networks, ICML 2013, arXiv:1211.5063.

    Example:
        >>> table = torch.nn.Parameter(torch.zeros(4, 2))
        >>> torch.nn.functional.embedding(torch.tensor([3, 3]), table, sparse=True).sum().backward()
        >>> clip_grad_norm_(table, 1.0)
        tensor(2.8284)
        >>> table.grad.coalesce().values()
        tensor([[0.7071, 0.7071]])
    """
    if max_norm != float("inf"):
        max_norm = check_float("max_norm", max_norm, at_least=0)
    check_bool("error_if_nonfinite", error_if_nonfinite)
    if norm_type != float("inf"):
        norm_type = check_float("norm_type", norm_type, above=0)
    gradients = _gradients(parameters)
    if not gradients:
        return torch.zeros(())
    device = gradients[0].device
    numbers = [one for one in gradients if one.numel()]
    together = device.type != "cpu" and all(_is_alike(one, gradients[0]) for one in gradients)
    if together and numbers:
        single = torch.promote_types(numbers[0].dtype, torch.float32)
        norms = list(torch._foreach_norm(numbers, norm_type, dtype=single))  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    else:
        norms = [_norm(one, norm_type).to(device) for one in numbers]
    total = torch.linalg.vector_norm(torch.stack(norms), norm_type) if norms else torch.zeros((), device=device)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(f"parameters: expected gradients with a finite norm, got {total.item():g}")
    if max_norm == float("inf"):
        return total
    factor = (max_norm / (total + 1e-6)).clamp(max=1.0)
    if device.type == "cpu" and float(factor) == 1:  # to look costs nothing there, and all gradients stay unread
        return total
    if together:
        torch._foreach_mul_(gradients, factor)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        return total
    for one in gradients:
        local(one).mul_(factor.to(one.device))
    return total


@torch.no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clamp each number of the gradients of all parameters, in place, to [-clip_value, clip_value].

    Equivalent to torch.nn.utils.clip_grad_value_, which clips the parts of a sparse gradient before they are added up:
    a row that comes twice ends up with twice the limit. Here a sparse gradient that is not coalesced is replaced by its
    sum first.

    Args:
        parameters: one or several; those without a gradient are passed over.
        clip_value: >= 0.

    Raises:
        TypeError: an argument has a wrong type, or a gradient is neither dense nor a sparse COO tensor.
        ValueError: `clip_value` is negative or not finite.

    Example:
        >>> table = torch.nn.Parameter(torch.zeros(4, 2))
        >>> torch.nn.functional.embedding(torch.tensor([3, 3]), table, sparse=True).sum().backward()
        >>> clip_grad_value_(table, 1.5)
        >>> table.grad.coalesce().values()
        tensor([[1.5000, 1.5000]])
    """
    clip_value = check_float("clip_value", clip_value, at_least=0)
    for one in _gradients(parameters):
        local(one).clamp_(-clip_value, clip_value)


def _is_alike(one: Tensor, other: Tensor) -> bool:
    """Whether one kernel can go over both."""
    return one.device == other.device and one.dtype is other.dtype and not is_sharded(one)


def _norm(gradient: Any, norm_type: float) -> Tensor:
    norm: Any = torch.linalg.vector_norm(gradient, norm_type, dtype=torch.promote_types(gradient.dtype, torch.float32))
    return norm.full_tensor() if is_sharded(norm) else norm


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """The numbers of each gradient as a tensor to write to; sparse gradients are coalesced where they stand."""
    found: list[Tensor] = []
    tensors: Iterable[Any] = [parameters] if isinstance(parameters, Tensor) else parameters
    for parameter in tensors:
        if not isinstance(parameter, Tensor):
            raise ArgumentTypeError("parameters", "tensors", Verbatim(type(parameter).__name__))
        home: Any = parameter
        gradient: Any = parameter.grad
        if gradient is None:
            continue
        if is_sharded(gradient) and gradient.placements != home.placements:  # such as sums yet to be made
            parameter.grad = gradient = gradient.redistribute(home.device_mesh, home.placements)
        if gradient.layout == torch.strided:
            found.append(gradient)
            continue
        parameter.grad = gradient = coalesced(gradient)
        found.append(gradient._values())
    return found
