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
from logq.kernels.passes import Entries, FullPassInputs, LossesAndGradients, PassInputs

__all__ = ["class_gradients", "run_pass"]

IN_SCHEMAS: Final[dict[Any, str]] = {
    Tensor: "Tensor",
    Tensor | None: "Tensor?",
    bool: "bool",
    float: "float",
    tuple[bool, bool, bool]: "bool[]",
}


def schema_of(inputs: Any, num_results: int, **more: Any) -> str:
    """What torch has to be told of an op: the fields of a named tuple, with their types, and the name of a backend.

    Example:
        >>> schema_of(Entries, 2, bias=bool)
        '(Tensor input, ..., Tensor? rows, bool bias, *, str backend) -> (Tensor, Tensor)'
    """
    defaults = {name: f"={value}" for name, value in inputs._field_defaults.items()}
    kinds = (inputs.__annotations__ | more).items()
    fields = ", ".join(f"{IN_SCHEMAS[kind]} {name}{defaults.get(name, '')}" for name, kind in kinds)
    return f"({fields}, *, str backend) -> ({', '.join(['Tensor'] * num_results)})"


def run_pass(name: str, given: PassInputs | FullPassInputs, backend: str) -> LossesAndGradients:
    """A pass of a backend by their names; over all classes without the factors of true ones, which nobody needs."""
    made = getattr(torch.ops.logq, name)(*given, backend=backend)
    if isinstance(given, PassInputs):
        return LossesAndGradients(*made)
    losses, of_input, of_classes, of_biases = made
    return LossesAndGradients(losses, of_input, losses.new_empty(0), of_biases, of_classes)


def class_gradients(
    entries: Entries, weight: Tensor, *, backend: str, bias: bool, scale: Tensor, cosine: bool
) -> tuple[Tensor, Tensor | None]:
    """Dense gradients of class weights and of biases."""
    of_weight, of_bias = torch.ops.logq.class_gradients(*entries, weight, scale, bias, cosine, backend=backend)
    return of_weight, of_bias if bias else None


def _passes(name: str) -> Any:
    return find_backend(name)


def _owned(made: Sequence[Tensor]) -> tuple[Tensor, ...]:
    # Results of an op must be different tensors, empty ones too.
    return tuple(part if part.numel() else part.new_empty(part.shape) for part in made)


@torch.library.custom_op("logq::shared_pass", mutates_args=(), schema=schema_of(PassInputs, 5))
def shared_op(*given: Any, backend: str) -> Any:
    """The pass over a sample that all rows share."""
    with torch.autocast(given[0].device.type, enabled=False):
        return _owned(_passes(backend).shared_pass(PassInputs(*given)))


@torch.library.custom_op("logq::per_row_pass", mutates_args=(), schema=schema_of(PassInputs, 5))
def per_row_op(*given: Any, backend: str) -> Any:
    """The pass where each row has a sample of its own."""
    with torch.autocast(given[0].device.type, enabled=False):
        return _owned(_passes(backend).per_row_pass(PassInputs(*given)))


@shared_op.register_fake
@per_row_op.register_fake
def _(*inputs: Any, backend: str) -> Any:
    given = PassInputs(*inputs)
    (rows, width), ids = given.input.shape, given.ids
    shapes = [(rows,), (0,), (0,), (0,), (0,)]
    if given.gradients:
        of_sample = (ids.shape[0], width) if ids.dim() == 1 else (0,)
        of_biases = tuple(ids.shape) if given.biases or ids.dim() == 2 else (0,)
        shapes = [(rows,), (rows, width), tuple(given.targets.shape), of_biases, of_sample]
    dtype = computed_dtype(given.input, given.weight)
    return tuple(given.input.new_empty(shape, dtype=dtype) for shape in shapes)


@torch.library.custom_op("logq::full_pass", mutates_args=(), schema=schema_of(FullPassInputs, 4))
def full_op(*inputs: Any, backend: str) -> Any:
    """The pass over all classes; a gradient that is not needed is empty."""
    given = FullPassInputs(*inputs)
    with torch.autocast(given.input.device.type, enabled=False):
        made = _passes(backend).full_pass(given)
    gradients = made.input_gradient, made.row_gradient.to(given.weight.dtype), made.factors
    nothing = given.input.new_empty(0)
    found = [part if needed else nothing for part, needed in zip(gradients, given.needs, strict=True)]
    return _owned((made.losses, *found))


@full_op.register_fake
def _(*inputs: Any, backend: str) -> Any:
    given = FullPassInputs(*inputs)
    input, weight = given.input, given.weight
    dtype = computed_dtype(input, weight)
    wanted = (input.shape, dtype), (weight.shape, weight.dtype), (weight.shape[:1], dtype)
    gradients = [
        input.new_empty(shape, dtype=of) if needed else input.new_empty((0,))
        for (shape, of), needed in zip(wanted, given.needs, strict=True)
    ]
    return input.new_empty((input.shape[0],), dtype=dtype), *gradients


@torch.library.custom_op(
    "logq::class_gradients",
    mutates_args=(),
    schema=schema_of(Entries, 2, weight=Tensor, scale=Tensor, bias=bool, cosine=bool),
)
def class_gradients_op(*inputs: Any, backend: str) -> Any:
    """Dense gradients of class weights and of biases; without `bias` the latter is empty."""
    *entries, weight, scale, bias, cosine = inputs
    runs = _passes(backend)
    if runs.reads_values:
        scale = scale.item()
    with torch.autocast(weight.device.type, enabled=False):
        of_weight, of_bias = runs.class_gradients(
            Entries(*entries), weight, bias=bias, scale=scale, cosine=cosine, sparse=False
        )
    return of_weight, weight.new_empty(0) if of_bias is None else of_bias


@class_gradients_op.register_fake
def _(*inputs: Any, backend: str) -> Any:
    input, (weight, _, bias, _) = inputs[0], inputs[-4:]
    of_bias = input.new_empty(weight.shape[0], dtype=computed_dtype(input, weight)) if bias else weight.new_empty(0)
    return torch.empty_like(weight, memory_format=torch.contiguous_format), of_bias
