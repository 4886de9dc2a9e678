"""The passes of fused backends as custom ops of torch: what torch.compile, and tensors without memory, see of them.

    torch.ops.logq.shared_pass, torch.ops.logq.per_row_pass, torch.ops.logq.full_pass, torch.ops.logq.class_gradients

Each takes the name of the backend that it runs on, whatever the device. Sizes of results follow from sizes of
arguments, so that a graph needs to know no values. The ops have no derivatives of their own: logq.kernels.autograd has.
The call of an op takes tens of microseconds more than that of its function, so that plain tensors go without.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from logq.kernels.backends import backend as find_backend
from logq.kernels.logits import computed_dtype
from logq.kernels.passes import Entries, LossesAndGradients

__all__ = ["class_gradients", "full_pass", "run_pass"]

PASS_SCHEMA: Final = (
    "(Tensor input, Tensor weight, Tensor targets, Tensor ids, Tensor? true_offsets, Tensor? offsets, "
    "Tensor? excluded, Tensor? row_scale, *, str backend, bool softmax, bool remove_hits, float temperature, "
    "bool cosine, bool gradients, bool biases=True, float true_weight=1.0) -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)
FULL_SCHEMA: Final = (
    "(Tensor input, Tensor weight, Tensor? bias, Tensor targets, Tensor? row_scale, *, str backend, bool softmax, "
    "float temperature, bool[] needs) -> (Tensor, Tensor, Tensor, Tensor)"
)
GRADIENTS_SCHEMA: Final = (
    "(Tensor input, Tensor targets, Tensor true_factors, Tensor ids, Tensor factors, Tensor? rows, Tensor weight, "
    "Tensor scale, *, str backend, bool bias, bool cosine) -> (Tensor, Tensor)"
)


def run_pass(input: Tensor, weight: Tensor, targets: Tensor, ids: Tensor, *tensors: Any, **options: Any) -> Any:
    """The pass of either shape of ids: LossesAndGradients.

    Args, all as of logq.kernels.passes: and `backend`, the name of one.
    """
    op = torch.ops.logq.shared_pass if ids.dim() == 1 else torch.ops.logq.per_row_pass
    return LossesAndGradients(*op(input, weight, targets, ids, *tensors, **options))


def full_pass(*tensors: Any, **options: Any) -> LossesAndGradients:
    """The pass over all classes, without the factors of true classes, which nobody needs by themselves."""
    losses, of_input, of_classes, of_biases = torch.ops.logq.full_pass(*tensors, **options)
    return LossesAndGradients(losses, of_input, losses.new_empty(0), of_biases, of_classes)


def class_gradients(
    entries: Entries, weight: Tensor, *, backend: str, bias: bool, scale: Tensor, cosine: bool
) -> tuple[Tensor, Tensor | None]:
    """Dense gradients of class weights and biases."""
    of_weight, of_bias = torch.ops.logq.class_gradients(
        *entries, weight, scale, backend=backend, bias=bias, cosine=cosine
    )
    return of_weight, of_bias if bias else None


def _passes(name: str) -> Any:
    return find_backend(name)


def _owned(made: Sequence[Tensor]) -> tuple[Tensor, ...]:
    # Results of an op must be different tensors, empty ones too.
    return tuple(part if part.numel() else part.new_empty(part.shape) for part in made)


@torch.library.custom_op("logq::shared_pass", mutates_args=(), schema=PASS_SCHEMA)
def shared_op(input: Tensor, *tensors: Any, backend: str, **options: Any) -> Any:
    """The pass over a sample that all rows share."""
    with torch.autocast(input.device.type, enabled=False):
        return _owned(_passes(backend).shared_pass(input, *tensors, **options))


@torch.library.custom_op("logq::per_row_pass", mutates_args=(), schema=PASS_SCHEMA)
def per_row_op(input: Tensor, *tensors: Any, backend: str, **options: Any) -> Any:
    """The pass where each row has a sample of its own."""
    with torch.autocast(input.device.type, enabled=False):
        return _owned(_passes(backend).per_row_pass(input, *tensors, **options))


@shared_op.register_fake
@per_row_op.register_fake
def _(
    input: Tensor,
    weight: Tensor,
    targets: Tensor,
    ids: Tensor,
    *_: Any,
    gradients: bool,
    biases: bool = True,
    **__: Any,
) -> Any:
    rows, width = input.shape
    shapes = [(rows,), (0,), (0,), (0,), (0,)]
    if gradients:
        of_sample = (ids.shape[0], width) if ids.dim() == 1 else (0,)
        of_biases = tuple(ids.shape) if biases or ids.dim() == 2 else (0,)
        shapes = [(rows,), (rows, width), tuple(targets.shape), of_biases, of_sample]
    dtype = computed_dtype(input, weight)
    return tuple(input.new_empty(shape, dtype=dtype) for shape in shapes)


@torch.library.custom_op("logq::full_pass", mutates_args=(), schema=FULL_SCHEMA)
def full_op(input: Tensor, weight: Tensor, *tensors: Any, backend: str, needs: Sequence[bool], **options: Any) -> Any:
    """The pass over all classes; a gradient that is not needed is empty."""
    with torch.autocast(input.device.type, enabled=False):
        made = _passes(backend).full_pass(input, weight, *tensors, needs=tuple(needs), **options)
    gradients = made.input_gradient, made.row_gradient.to(weight.dtype), made.factors
    given = [part if needed else input.new_empty(0) for part, needed in zip(gradients, needs, strict=True)]
    return _owned((made.losses, *given))


@full_op.register_fake
def _(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    row_scale: Tensor | None,
    *,
    needs: Sequence[bool],
    **_: Any,
) -> Any:
    dtype = computed_dtype(input, weight)
    wanted = (input.shape, dtype), (weight.shape, weight.dtype), (weight.shape[:1], dtype)
    gradients = [
        input.new_empty(shape, dtype=of) if needed else input.new_empty((0,))
        for (shape, of), needed in zip(wanted, needs, strict=True)
    ]
    return input.new_empty((input.shape[0],), dtype=dtype), *gradients


@torch.library.custom_op("logq::class_gradients", mutates_args=(), schema=GRADIENTS_SCHEMA)
def class_gradients_op(*tensors: Any, backend: str, bias: bool, cosine: bool) -> Any:
    """Dense gradients of class weights and of biases; without `bias` the latter is empty."""
    *entries, weight, scale = tensors
    runs = _passes(backend)
    if runs.reads_values:
        scale = scale.item()
    with torch.autocast(weight.device.type, enabled=False):
        of_weight, of_bias = runs.class_gradients(
            Entries(*entries), weight, bias=bias, scale=scale, cosine=cosine, sparse=False
        )
    return of_weight, weight.new_empty(0) if of_bias is None else of_bias


@class_gradients_op.register_fake
def _(*tensors: Any, backend: str, bias: bool, cosine: bool) -> Any:
    input, weight = tensors[0], tensors[-2]
    of_bias = input.new_empty(weight.shape[0], dtype=computed_dtype(input, weight)) if bias else weight.new_empty(0)
    return torch.empty_like(weight, memory_format=torch.contiguous_format), of_bias
