"""Tensors of a sampler that are neither parameters nor buffers of its module, and why that is so.

A buffer that follows from arguments gets lost where a host makes a module on the device "meta" and fills it later, as
transformers does, or by `to_empty`: what was to be a table then is whatever lay in memory. DistributedDataParallel
sends all buffers from the first process to the others at each step: megabytes for nothing where they are tables, and
what the others have learned is lost where they are not. So tables and what was learned are kept here.
"""

from collections.abc import Callable, Mapping
from typing import Any, overload

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from typing_extensions import Self

from logq.tracing import is_fake

__all__ = ["WITNESS", "Kept", "TensorKeeper", "packed", "unpacked"]

WITNESS = "_witness"
"""The name of the empty buffer that tells where a module is."""


class Kept:
    """An attribute of a TensorKeeper: a tensor that is moved, when it is next looked at, to where the module is.

    Example:
        >>> class Table(TensorKeeper):
        ...     numbers = Kept()
        >>> table = Table()
        >>> table.numbers = torch.ones(2)
        >>> table.to("meta").to_empty(device="cpu").numbers, list(table.buffers())
        (tensor([1., 1.]), [tensor([])])
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = f"_kept_{name}"

    @overload
    def __get__(self, module: None, owner: type) -> Self: ...
    @overload
    def __get__(self, module: "TensorKeeper", owner: type) -> Tensor: ...
    def __get__(self, module: "TensorKeeper | None", owner: type) -> "Tensor | Self":
        """The tensor."""
        if module is None:
            return self
        try:
            tensor: Tensor = vars(module)[self.key]
        except KeyError:
            raise AttributeError(f"{owner.__name__} has no {self.key[6:]}") from None
        home = module.home
        if tensor.device != home:
            with torch.inference_mode(False):  # for it may be written to in training
                tensor = vars(module)[self.key] = tensor.to(home)
        return tensor

    def __set__(self, module: "TensorKeeper", tensor: Tensor) -> None:
        """Keep another tensor."""
        vars(module)[self.key] = tensor


class TensorKeeper(nn.Module):
    """A module with Kept tensors, and one empty buffer: `to` moves that, and so it tells where the others belong.

    Floating point tensors take the dtype that the module is given, and float32 at least.

    Args:
        device: where the module is.
        dtype: of the empty buffer; torch's default dtype if None.

    Example:
        >>> TensorKeeper(device="meta").home
        device(type='cpu')
    """

    _witness: Tensor

    def __init__(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.register_buffer(WITNESS, torch.empty(0, device=device, dtype=dtype), persistent=False)
        self._witness = self._witness.to(torch.promote_types(self._witness.dtype, torch.float32))

    @property
    def home(self) -> torch.device:
        """Where the tensors are: with the module, and in the memory of the CPU while that has none."""
        device = self._witness.device
        return torch.device("cpu") if device.type == "meta" or is_fake(self._witness) else device

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """As nn.Module does, but floating point buffers stay float32 at least."""

        def keep(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            if moved.is_floating_point() and moved.dtype.itemsize < 4:
                return tensor.to(moved.device)
            return moved

        before = self._witness.dtype
        super()._apply(keep, recurse)
        if self._witness.dtype != before:
            for name, value in vars(self).items():
                if name.startswith("_kept_") and value.is_floating_point():
                    vars(self)[name] = value.to(self._witness.dtype)
        return self


def packed(tensors: Mapping[str, Tensor]) -> Tensor:
    """Tensors as one of bytes, (n,) uint8 on the CPU, which whatever saves a `state_dict` can save.

    Example:
        >>> unpacked(packed({"a": torch.tensor([1, 2])}))
        {'a': tensor([1, 2])}
    """
    return torch.frombuffer(
        bytearray(save({name: one.cpu().contiguous() for name, one in tensors.items()})), dtype=torch.uint8
    )


def unpacked(state: Any) -> dict[str, Tensor]:
    """What `packed` was given.

    Raises:
        ValueError: it is something else, or was changed.

    Example:
        >>> unpacked(torch.zeros(3, dtype=torch.uint8))
        Traceback (most recent call last):
        ...
        ValueError: the state of a sampler is damaged: it is not what state_dict() gave
    """
    damaged = "the state of a sampler is damaged: it is not what state_dict() gave"
    if not isinstance(state, Tensor) or state.dtype != torch.uint8 or state.device.type == "meta":
        raise ValueError(damaged)
    try:
        return load(state.cpu().numpy().tobytes())
    except SafetensorError:
        raise ValueError(damaged) from None
