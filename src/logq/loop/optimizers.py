"""Optimizers of a model: torch's for what is dense, logq.optim's for tables whose rows are touched a few at a time."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from logq.arguments import shown
from logq.optim import SGD, Adagrad, LazyAdam, RowOptimizer

__all__ = ["OPTIMIZERS", "Optimizers", "check_optimizer"]

OPTIMIZERS = ("adam", "adagrad", "sgd")
"""The names of optimizers."""


def check_optimizer(value: object) -> str:
    """Return the name of an optimizer.

    Raises:
        ValueError: there is no such.

    Example:
        >>> check_optimizer("adagrad")
        'adagrad'
    """
    if not isinstance(value, str) or value not in OPTIMIZERS:
        raise ValueError(f"optimizer: expected one of {', '.join(OPTIMIZERS)}, got {shown(value)}")
    return value


class Optimizers:
    """An optimizer over the dense parameters and its lazy kin over those with sparse gradients, as one.

        name       dense                   sparse
        adam       torch.optim.Adam        logq.optim.LazyAdam
        adagrad    torch.optim.Adagrad     logq.optim.Adagrad
        sgd        torch.optim.SGD         logq.optim.SGD

    Args:
        module: whose parameters are trained.
        sparse: those among them that get sparse gradients.
        lr: the learning rate that `step` takes a part of.
        weight_decay: added to gradients as weight_decay w, of parameters of two dimensions and more: no biases and no
            norms. A row of a sparse table decays when it is touched.
        betas: of Adam.
        kind: one of OPTIMIZERS.

    Raises:
        ValueError: there is no such optimizer.

    Example:
        >>> layer = torch.nn.Linear(2, 1)
        >>> optimizers = Optimizers(layer, [], lr=0.1)
        >>> layer(torch.ones(1, 2)).sum().backward()
        >>> optimizers.step(0.5)
        >>> layer.weight.grad is None
        True
    """

    def __init__(
        self,
        module: nn.Module,
        sparse: Iterable[nn.Parameter],
        *,
        lr: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        kind: str = "adam",
    ) -> None:
        self.lr = lr
        self.kind = check_optimizer(kind)
        of_kind: dict[str, Any] = {"lr": lr, "betas": betas} if kind == "adam" else {"lr": lr}
        tables = {id(parameter) for parameter in sparse}
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        lazy = [parameter for parameter in self.parameters if id(parameter) in tables]
        dense = [parameter for parameter in self.parameters if id(parameter) not in tables]
        self.all: list[torch.optim.Optimizer] = []
        if dense:
            groups: list[dict[str, Any]] = [
                {"params": [p for p in dense if p.dim() > 1], "weight_decay": weight_decay},
                {"params": [p for p in dense if p.dim() <= 1], "weight_decay": 0.0},
            ]
            groups = [group for group in groups if group["params"]]
            fused = all(p.device.type in ("cpu", "cuda") for p in dense)
            if kind == "adagrad":  # whose fused form there is for the CPU alone
                fused = all(p.device.type == "cpu" for p in dense)
            makers = {"adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD}
            self.all.append(makers[kind](groups, fused=fused, **of_kind))
        if lazy:
            rows = {"adam": LazyAdam, "adagrad": Adagrad, "sgd": SGD}
            self.all.append(rows[kind](lazy, weight_decay=weight_decay, **of_kind))

    def step(self, factor: float) -> None:
        """Update all parameters with this part of the learning rate, and forget their gradients."""
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["lr"] = self.lr * factor
            optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """The states by name."""
        found: dict[str, Tensor] = {}
        for number, optimizer in enumerate(self.all):
            for key, states in optimizer.state_dict()["state"].items():
                for name, value in states.items():
                    found[f"{number}.{key}.{name}"] = value if isinstance(value, Tensor) else torch.tensor(value)
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave.

        Raises:
            KeyError, ValueError: it is of other parameters.
        """
        for number, optimizer in enumerate(self.all):
            states: dict[int, dict[str, Any]] = {}
            for name, value in tensors.items():
                which, key, state = name.split(".", 2)
                if int(which) == number:
                    plain = isinstance(optimizer, RowOptimizer) and state == "step"
                    states.setdefault(int(key), {})[state] = int(value) if plain else value
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": states, "param_groups": groups})
