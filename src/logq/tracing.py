"""Tensors whose numbers cannot be read: while a graph is made, under a transform, and in a class of their own.

    torch.compile, torch.export, torch.onnx, torch.jit.trace, make_fx    make graphs, which hold for other numbers too
    FakeTensorMode                                                       plans shapes and memory, without numbers
    torch.func.vmap                                                      runs one example for many of them
    torch.func.jvp, torch.autograd.forward_ad                            numbers come with their derivatives

Nothing may depend on a number then: it would fail, or be frozen into the graph, or lose its derivative, in silence.
"""

import sys
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

__all__ = [
    "DTENSORS",
    "beneath",
    "goes_forward",
    "has_numbers",
    "in_transform",
    "is_exported",
    "is_fake",
    "is_sharded",
    "is_traced",
    "keeps_sizes",
    "makes_graph",
    "maps_gradients",
]

DTENSORS = "torch.distributed.tensor"
"""What whoever makes a DTensor has imported."""

_KEYS = tuple(torch._C._TorchDispatchModeKey.__members__.values())  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
PLAIN_DISPATCH: set[Any] = {Tensor.__torch_dispatch__}  # pyright: ignore[reportAttributeAccessIssue]
"""`__torch_dispatch__` of the classes of tensors that hold their numbers themselves."""


def is_traced() -> bool:
    """Whether what runs is being made into a graph, or done without numbers.

    Example:
        >>> from torch._subclasses.fake_tensor import FakeTensorMode
        >>> with FakeTensorMode():
        ...     inside = is_traced()
        >>> inside, is_traced()
        (True, False)
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # pyright: ignore[reportPrivateImportUsage]
        return True
    if torch._C._len_torch_dispatch_stack() == 0:  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        return False
    return any(torch._C._get_dispatch_mode(key) is not None for key in _KEYS)  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]


def makes_graph() -> bool:
    """Whether what runs is being made into a graph: not under FakeTensorMode alone.

    Example:
        >>> from torch._subclasses.fake_tensor import FakeTensorMode
        >>> with FakeTensorMode():
        ...     inside = makes_graph()
        >>> inside
        False
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # pyright: ignore[reportPrivateImportUsage]
        return True
    if torch._C._len_torch_dispatch_stack() == 0:  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        return False
    keys = torch._C._TorchDispatchModeKey  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    return any(torch._C._get_dispatch_mode(key) is not None for key in (keys.PROXY, keys.FUNCTIONAL))  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]


def is_exported() -> bool:
    """Whether the graph has to hold for batches of any size: that of torch.export, torch.onnx and torch.jit.trace.

    The graphs of torch.compile need not, as others are made for other sizes.

    Example:
        >>> is_exported()
        False
    """
    if torch.compiler.is_compiling():
        exporting = getattr(torch.compiler, "is_exporting", None)  # since torch 2.7
        return exporting is None or exporting()
    return torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]


def is_fake(tensor: object) -> bool:
    """Whether a tensor has a shape and a dtype but no numbers, as under FakeTensorMode.

    Example:
        >>> is_fake(torch.ones(2))
        False
    """
    return isinstance(tensor, FakeTensor)


def is_sharded(tensor: object) -> bool:
    """Whether a tensor is a DTensor, of which each of several processes holds a part.

    Example:
        >>> is_sharded(torch.zeros(2))
        False
    """
    return DTENSORS in sys.modules and isinstance(tensor, sys.modules[DTENSORS].DTensor)


def in_transform() -> bool:
    """Whether a transform of torch.func is active: tensors have no memory of their own then.

    Example:
        >>> in_transform(), float(torch.func.vmap(lambda x: x + in_transform())(torch.zeros(1)))
        (False, 1.0)
    """
    return torch._C._are_functorch_transforms_active()  # pyright: ignore[reportPrivateUsage]


def maps_gradients() -> bool:
    """Whether gradients are taken for many examples at once, by vmap of grad or grad of vmap.

    Example:
        >>> maps_gradients()
        False
    """
    if not in_transform():
        return False
    functorch = torch._C._functorch  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    keys = {transform.key() for transform in functorch.get_interpreter_stack() or ()}
    return {functorch.TransformType.Vmap, functorch.TransformType.Grad} <= keys


def goes_forward() -> bool:
    """Whether tensors may come with a tangent, as under torch.func.jvp and torch.autograd.forward_ad.dual_level.

    Example:
        >>> with torch.autograd.forward_ad.dual_level():
        ...     inside = goes_forward()
        >>> inside, goes_forward()
        (True, False)
    """
    return torch.autograd.forward_ad._current_level >= 0  # pyright: ignore[reportPrivateUsage]


def beneath(tensor: Tensor) -> Tensor:
    """What a transform of torch.func computes with: all examples of vmap at once, the same tensor outside of any.

    Example:
        >>> float(torch.func.vmap(lambda x: x + beneath(x).sum())(torch.tensor([1.0, 2.0])).sum())
        9.0
    """
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        tensor = torch._C._functorch.get_unwrapped(tensor)  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    return tensor


def has_numbers(tensor: Tensor) -> bool:
    """Whether a tensor has numbers of its own that Python can read.

    Not while a graph is made, not where it stands for the many examples of vmap, and not if it is of a class that
    computes in its own way, as FakeTensor and DTensor do.

    Example:
        >>> has_numbers(torch.ones(2)), bool(torch.func.vmap(lambda x: x > has_numbers(x))(torch.ones(1)))
        (True, True)
    """
    kind: Any = type(tensor)
    if is_traced() or kind.__torch_dispatch__ not in PLAIN_DISPATCH:
        return False
    functorch = torch._C._functorch  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    while functorch.is_functorch_wrapped_tensor(tensor):
        if functorch.is_batchedtensor(tensor):
            return False
        tensor = functorch.get_unwrapped(tensor)
    return True


def keeps_sizes(tensor: Tensor) -> bool:
    """Whether sizes of results must not depend on the numbers of a tensor, as that of `ids[ids >= 0]` does.

    So it is on other devices than the CPU, which would have to be waited for, and where there are no numbers
    (`has_numbers`), but for torch.compile, which leaves its graph for a size.

    Example:
        >>> keeps_sizes(torch.ones(2)), bool(torch.func.vmap(lambda x: x > 1 - keeps_sizes(x))(torch.ones(1)))
        (False, True)
    """
    if tensor.device.type != "cpu":
        return True
    return not has_numbers(tensor) and (is_exported() or not torch.compiler.is_compiling())
