"""Optimizers of a model: Adam for what is dense, LazyAdam for tables whose rows are touched a few at a time."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from logq.optim import LazyAdam

__all__ = ["Optimizers"]


class Optimizers:
    """Adam over the dense parameters and LazyAdam over those with sparse gradients, as one.

    Args:
        module: whose parameters are trained.
        sparse: those among them that get sparse gradients.
        lr: the learning rate that `step` takes a part of.
        weight_decay: added to gradients as weight_decay w, of parameters of two dimensions and more: no biases and no
            norms. A row of a sparse table decays when it is touched.
        betas: of Adam.

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
    ) -> None:
        self.lr = lr
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
            self.all.append(torch.optim.Adam(groups, lr=lr, betas=betas, fused=fused))
        if lazy:
            self.all.append(LazyAdam(lazy, lr=lr, betas=betas, weight_decay=weight_decay))

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
                    plain = isinstance(optimizer, LazyAdam) and state == "step"
                    states.setdefault(int(key), {})[state] = int(value) if plain else value
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": states, "param_groups": groups})
