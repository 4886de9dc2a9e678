"""The compiled functions as custom ops of torch: what torch.compile, and tensors without memory, see of them.

    torch.ops.logq.shared_parts, torch.ops.logq.per_row_parts, torch.ops.logq.class_gradient

Sizes of results follow from sizes of arguments, so that a graph needs to know no values. The ops have no derivatives of
their own: logq.kernels.cpp.autograd has. The call of an op takes tens of microseconds more than that of its function,
which is why `parts_of` and `gradient_of` choose.
"""

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from logq.kernels.cpp import class_sums, per_row, shared
from logq.kernels.cpp.class_sums import Entries
from logq.kernels.cpp.parts import Parts

__all__ = ["exact", "gradient_of", "is_plain", "parts_of"]

PARTS_SCHEMA: Final = (
    "(Tensor input, Tensor weight, Tensor targets, Tensor ids, Tensor? true_offsets, Tensor? offsets, "
    "Tensor? excluded, Tensor? row_scale, *, bool softmax, bool remove_hits, float temperature, bool cosine, "
    "bool gradients, bool biases=True, float true_weight=1.0) -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)
GRADIENT_SCHEMA: Final = (
    "(Tensor input, Tensor targets, Tensor true_factors, Tensor ids, Tensor factors, Tensor? rows, Tensor weight, "
    "Tensor scale, *, bool bias, bool cosine) -> (Tensor, Tensor)"
)


def is_plain(*tensors: Tensor) -> bool:
    """Whether there is memory to work on: no graph is being made, and no tensor stands for one that it is not."""
    if torch.compiler.is_compiling():
        return False
    return all(type(tensor) is Tensor or type(tensor) is nn.Parameter for tensor in tensors)


def exact(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a function with autocast off: the products in it must not be narrowed."""
    if not torch.is_autocast_enabled("cpu"):
        return function(*arguments, **options)
    with torch.autocast("cpu", enabled=False):
        return function(*arguments, **options)


def parts_of(
    input: Tensor, weight: Tensor, targets: Tensor, ids: Tensor, *rest: Tensor | None, **options: Any
) -> Parts:
    """The parts of either shape of ids, of plain tensors or in a graph; see logq.kernels.cpp.parts."""
    if is_plain(input, weight):
        function = shared.shared_parts if ids.dim() == 1 else per_row.per_row_parts
        return exact(function, input, weight, targets, ids, *rest, **options)
    op = torch.ops.logq.shared_parts if ids.dim() == 1 else torch.ops.logq.per_row_parts
    return Parts(*op(input, weight, targets, ids, *rest, **options))


def gradient_of(
    entries: Entries, weight: Tensor, *, bias: bool, scale: float | Tensor, cosine: bool, sparse: bool
) -> tuple[Tensor, Tensor | None]:
    """Gradients of a class table and its biases: for a float scale any, in a graph dense ones.

    See logq.kernels.cpp.class_sums.
    """
    if isinstance(scale, float):
        return exact(class_sums.class_gradient, entries, weight, bias=bias, scale=scale, cosine=cosine, sparse=sparse)
    of_weight, of_bias = torch.ops.logq.class_gradient(*entries, weight, scale, bias=bias, cosine=cosine)
    return of_weight, of_bias if bias else None


def _owned(parts: Parts) -> tuple[Tensor, ...]:
    # Results of an op must be different tensors, empty ones too.
    return tuple(part if part.numel() else part.new_empty(part.shape) for part in parts)


@torch.library.custom_op("logq::shared_parts", mutates_args=(), device_types="cpu", schema=PARTS_SCHEMA)
def shared_op(*tensors: Any, **options: Any) -> Any:
    """Parts of a sample that all rows share."""
    return _owned(exact(shared.shared_parts, *tensors, **options))


@torch.library.custom_op("logq::per_row_parts", mutates_args=(), device_types="cpu", schema=PARTS_SCHEMA)
def per_row_op(*tensors: Any, **options: Any) -> Any:
    """Parts where each row has a sample of its own."""
    return _owned(exact(per_row.per_row_parts, *tensors, **options))


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
    return tuple(input.new_empty(shape) for shape in shapes)


@torch.library.custom_op("logq::class_gradient", mutates_args=(), device_types="cpu", schema=GRADIENT_SCHEMA)
def class_gradient_op(*tensors: Any, bias: bool, cosine: bool) -> Any:
    """Dense gradients of a class table and of its biases; without `bias` the latter is empty."""
    *entries, weight, scale = tensors
    of_weight, of_bias = exact(
        class_sums.class_gradient,
        Entries(*entries),
        weight,
        bias=bias,
        scale=scale.item(),
        cosine=cosine,
        sparse=False,
    )
    return of_weight, weight.new_empty(0) if of_bias is None else of_bias


@class_gradient_op.register_fake
def _(*tensors: Any, bias: bool, cosine: bool) -> Any:
    input, weight = tensors[0], tensors[-2]
    of_bias = input.new_empty(weight.shape[0]) if bias else weight.new_empty(0)
    return torch.empty_like(weight, memory_format=torch.contiguous_format), of_bias
