"""Sparse gradients where processes train together: how DistributedDataParallel is told of them."""

from collections.abc import Generator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from logq._arguments import ArgumentError, Verbatim
from logq.tracing import is_sharded

__all__ = ["SparseRows", "TellsOfSparseRows"]

SPARSE = ("weight", "bias")
"""Names of the parameters that can have sparse gradients."""


class SparseRows(nn.Embedding):
    """Parameters with sparse gradients, as the one kind of module of which DistributedDataParallel expects them.

    It expects dense gradients of all that is not in an nn.Embedding(sparse=True), and fails in its C++ core when it
    gets others. Nothing is looked up in this one: it holds parameters of another module, under the same names.

    Args:
        parameters: by their names; None is none.

    Example:
        >>> SparseRows({"weight": torch.nn.Parameter(torch.zeros(3, 2)), "bias": None})
        SparseRows(weight=(3, 2))
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter | None]) -> None:
        nn.Module.__init__(self)
        self.sparse = True
        for name, parameter in parameters.items():
            self.register_parameter(name, parameter)

    def extra_repr(self) -> str:
        """What repr() shows."""
        return ", ".join(f"{name}={tuple(parameter.shape)}" for name, parameter in self.named_parameters())


class TellsOfSparseRows(nn.Module):
    """A module that, where processes train together, shows its parameters with sparse gradients in a SparseRows.

    DistributedDataParallel takes the layout of a gradient from the first of `named_modules` that has its parameter.
    Names of parameters and what is in `state_dict` stay what they are.

    Example:
        >>> class Rows(TellsOfSparseRows):
        ...     def sparse_parameters(self):
        ...         return dict(self.named_parameters(recurse=False))
        >>> list(Rows().named_modules())
        [('', Rows())]
    """

    def sparse_parameters(self) -> Mapping[str, nn.Parameter | None]:
        """Those of its own parameters that get sparse gradients."""
        return {}

    def __setattr__(self, name: str, value: Any) -> None:
        """As nn.Module does. FSDP and tensor parallelism put parts and views of parameters in here.

        Raises:
            ArgumentError: the parameter is one with sparse gradients.
        """
        is_parameter = name in SPARSE and isinstance(value, Tensor) and getattr(self, "sparse", False)
        if is_parameter and (is_sharded(value) or not isinstance(value, nn.Parameter)):
            raise ArgumentError(
                "sparse",
                f"False where each process holds a part of {name}, as under FSDP and tensor parallelism",
                Verbatim("True"),
                "gradients are cut into parts there, which sparse ones cannot be; DistributedDataParallel takes them"
                " whole",
            )
        super().__setattr__(name, value)

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Generator[tuple[str, nn.Module], None, None]:
        """As nn.Module has it, with a SparseRows before the module itself, under the same name."""
        is_first = memo is None or self not in memo
        if is_first and torch.distributed.is_available() and torch.distributed.is_initialized():
            parameters = self.sparse_parameters()
            if any(parameter is not None for parameter in parameters.values()):
                yield prefix, SparseRows(parameters)
        yield from super().named_modules(memo, prefix, remove_duplicate)
