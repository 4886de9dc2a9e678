"""The optimizers of a model: torch's for dense parameters, logq.optim's for tables of which a step touches few rows."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from logq._arguments import ArgumentError
from logq.optim import SGD, Adagrad, LazyAdam, RowOptimizer
from logq.optim.gradients import coalesced
from logq.training.options import OPTIMIZERS

__all__ = ["Fading", "Optimizers"]


class Fading:
    """Makes LazyAdam without momentum do what Adam without momentum does, at the cost of the touched rows.

        v *= beta2^(updates of the table since the row had one)      before the row's next update

    LazyAdam leaves the mean v of squared gradients of a row as it is until the row is touched again. So v of a rare row
    is that of its own gradients, and each update moves it by about the learning rate. In Adam v falls meanwhile, and a
    row that is touched at every k-th step moves by sqrt(k) times as much: the vectors of rare words keep up.

    Args:
        optimizer: whose parameters have sparse gradients; its first beta must be 0, as a mean of gradients would move
            rows between their updates.

    Raises:
        ValueError: its first beta is another one.

    Example:
        >>> table = torch.nn.Parameter(torch.zeros(4, 2))
        >>> fading = Fading(LazyAdam([table], betas=(0.0, 0.999)))
        >>> torch.nn.functional.embedding(torch.tensor([3, 3]), table, sparse=True).sum().backward()
        >>> fading.before_step()
        >>> fading.optimizer.step()
        >>> fading.last[0].tolist()
        [0, 0, 0, 1]
    """

    def __init__(self, optimizer: LazyAdam) -> None:
        self.optimizer = optimizer
        self._tables: list[tuple[Tensor, float]] = []
        for group in optimizer.param_groups:
            first, second = group["betas"]
            if first:
                raise ArgumentError("betas", "0 as the first", first)
            self._tables += [(parameter, second) for parameter in group["params"]]
        self.last = [
            torch.zeros(len(parameter), dtype=torch.int64, device=parameter.device) for parameter, _ in self._tables
        ]
        """For each table, the number of the update that each row had last; 0 for none."""

    @torch.no_grad()
    def before_step(self) -> None:
        """Fade the rows that have a gradient."""
        for (parameter, beta), last in zip(self._tables, self.last, strict=True):
            if parameter.grad is None:
                continue
            parameter.grad = coalesced(parameter.grad)
            rows, state = parameter.grad._indices()[0], self.optimizer.state[parameter]
            updates = state["step"] if state else 0
            if updates:
                squares = state["exp_avg_sq"]
                kept = torch.pow(beta, (updates - last[rows]).to(squares.dtype))
                squares[rows] = squares[rows] * kept.view(-1, *[1] * (squares.dim() - 1))
            last[rows] = updates + 1


LAST = "last."


class Optimizers:
    """An optimizer over the dense parameters and its row-wise version over those with sparse gradients, as one.

        name       dense                   sparse
        adam       torch.optim.Adam        logq.optim.LazyAdam
        adagrad    torch.optim.Adagrad     logq.optim.Adagrad
        sgd        torch.optim.SGD         logq.optim.SGD

    Args:
        module: whose parameters are trained.
        sparse: those among them that get sparse gradients.
        lr: the learning rate that `step` takes a part of.
        weight_decay: added to gradients as weight_decay w, of parameters of two dimensions and more: not of biases
            and norms. A row of a sparse table decays when it is touched.
        betas: of Adam.
        kind: one of OPTIMIZERS.
        fading: whether LazyAdam has no momentum, and rows fade between their updates; see Fading.
        capturable: whether `update` may be part of a CUDA graph: the rate then lies on the device.

    Attributes:
        parameters: all that are trained.
        dense, lazy: those of them with dense and with sparse gradients.

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
        fading: bool = False,
        capturable: bool = False,
    ) -> None:
        self.lr = lr
        if kind not in OPTIMIZERS:
            raise ArgumentError("optimizer", f"one of {', '.join(OPTIMIZERS)}", kind)
        self.kind = kind
        of_kind: dict[str, Any] = {"lr": lr, "betas": betas} if kind == "adam" else {"lr": lr}
        tables = {id(parameter) for parameter in sparse}
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.lazy = lazy = [parameter for parameter in self.parameters if id(parameter) in tables]
        self.dense = dense = [parameter for parameter in self.parameters if id(parameter) not in tables]
        self.all: list[torch.optim.Optimizer] = []
        if dense:
            groups: list[dict[str, Any]] = [
                {"params": [p for p in dense if p.dim() > 1], "weight_decay": weight_decay},
                {"params": [p for p in dense if p.dim() <= 1], "weight_decay": 0.0},
            ]
            groups = [group for group in groups if group["params"]]
            makers = {"adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD}
            if capturable:
                of_kind["lr"] = torch.full((), lr, device=dense[0].device)
                of_kind |= {"capturable": True} if kind == "adam" else {}
            self.all.append(makers[kind](groups, **_launches(kind, dense), **of_kind))
        if lazy:
            rows = {"adam": LazyAdam, "adagrad": Adagrad, "sgd": SGD}
            if fading and kind == "adam":
                of_kind["betas"] = (0.0, betas[1])
            # A group each, so that states are in the order of the parameters.
            groups = [{"params": [p], "weight_decay": weight_decay if p.dim() > 1 else 0.0} for p in lazy]
            self.all.append(rows[kind](groups, **of_kind))
        self.fading = [Fading(one) for one in self.all if isinstance(one, LazyAdam) and fading]

    def step(self, factor: float) -> None:
        """Update all parameters with this part of the learning rate, and forget their gradients."""
        self.set_rate(factor)
        self.update()

    def set_rate(self, factor: float) -> None:
        """Take this part of the learning rate from now on."""
        for group in (group for optimizer in self.all for group in optimizer.param_groups):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(self.lr * factor)  # where a captured graph reads it
            else:
                group["lr"] = self.lr * factor

    def update(self) -> None:
        """Update all parameters, and forget their gradients."""
        for one in self.fading:
            one.before_step()
        for optimizer in self.all:
            optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """The states by name."""
        found = {f"{LAST}{i}": last for one in self.fading for i, last in enumerate(one.last)}
        for number, optimizer in enumerate(self.all):
            for key, states in optimizer.state_dict()["state"].items():
                for name, value in states.items():
                    found[f"{number}.{key}.{name}"] = (
                        value if isinstance(value, Tensor) else torch.tensor(value, device="cpu")
                    )
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave.

        Raises:
            KeyError, ValueError: it is of other parameters.
        """
        for one in self.fading:
            for i, last in enumerate(one.last):
                last.copy_(tensors[f"{LAST}{i}"])
        tensors = {name: value for name, value in tensors.items() if not name.startswith(LAST)}
        for number, optimizer in enumerate(self.all):
            states: dict[int, dict[str, Any]] = {}
            for name, value in tensors.items():
                which, key, state = name.split(".", 2)
                if int(which) == number:
                    plain = isinstance(optimizer, RowOptimizer) and state == "step"
                    states.setdefault(int(key), {})[state] = int(value) if plain else value
            groups = optimizer.state_dict()["param_groups"]
            if not isinstance(optimizer, RowOptimizer):  # which checks them itself; torch takes any
                _check_states(optimizer, states)
            optimizer.load_state_dict({"state": states, "param_groups": groups})


def _launches(kind: str, parameters: Iterable[Tensor]) -> dict[str, bool]:
    """How torch's optimizer goes over many parameters: in one kernel, else in one for each operation."""
    fused = ("cpu",) if kind == "adagrad" else ("cpu", "cuda")  # what torch has fused kernels for
    return {"fused": True} if all(p.device.type in fused for p in parameters) else {"foreach": True}


_STATES = {"Adam": ("exp_avg", "exp_avg_sq", "step"), "Adagrad": ("step", "sum"), "SGD": ("momentum_buffer",)}


def _check_states(optimizer: torch.optim.Optimizer, states: Mapping[int, Mapping[str, Any]]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    known = _STATES[type(optimizer).__name__]
    for key, found in states.items():
        if not 0 <= key < len(parameters) or (found and tuple(sorted(found)) != known):
            raise ValueError(f"optimizer: expected {', '.join(known)} of a parameter, got {', '.join(sorted(found))}")
        for name, value in found.items():
            shape = torch.Size() if name == "step" else parameters[key].shape
            if value.shape != shape or not value.is_floating_point() or value.dtype == torch.float16:
                raise ValueError(f"optimizer: expected numbers of shape {tuple(shape)} as {name}, got {value.dtype}")
