"""What the optimizers have in common: groups, states that are loaded and saved, and an update of the touched rows."""

import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from typing import Any, ClassVar, TypeAlias, overload

import torch
from torch import Tensor

from logq import kernels
from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_float, check_int
from logq.graph_breaks import outside_of_graphs
from logq.kernels import updates
from logq.kernels.updates import RowRule
from logq.optim.gradients import as_rows, touched_rows
from logq.optim.shards import copy_state, local, new_state, world_size

__all__ = ["Parameters", "RowOptimizer", "check_number"]

Parameters: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
"""Parameters, with their names if one likes, or groups of them with options of their own."""


class RowOptimizer(torch.optim.Optimizer):
    """Applies a rule to the rows that have a gradient, and leaves the others and their states as they are.

    A subclass names its options, its states and its rule. Options are read at each step, so schedulers work; numbers
    may be tensors of one number, which are read then (and on a GPU waited for). Where every row has a gradient a step
    does the same as that of torch's optimizer. DTensors, as FSDP2 has them, are updated part by part, each process its
    own. torch.compile of `step` leaves the updates to eager mode.

    Args:
        params: as torch's optimizers take them.
        defaults: the options of a group that names none.

    Raises:
        TypeError: an option or a parameter has a wrong type.
        ValueError: an option is out of range.

    Example:
        >>> class PlainDescent(RowOptimizer):
        ...     def rule(self, group, step, states):
        ...         return RowRule("sgd", lr=group["lr"] / step)
        >>> table = torch.nn.Parameter(torch.ones(2, 2))
        >>> options = {"lr": 0.5, "weight_decay": 0.0, "maximize": False, "in_backward": False}
        >>> optimizer = PlainDescent([table], options)
        >>> table[1].sum().backward()
        >>> optimizer.step()
        >>> table.tolist()
        [[1.0, 1.0], [0.5, 0.5]]
    """

    STATES: ClassVar[dict[str, str]] = {}
    """Names of the states, each "parameter" for one of its shape, or "row" for one number per row."""

    MUST_BE: ClassVar[dict[str, object]] = {}
    """Options of torch's optimizer that this one has not, and what they must be in a state that is loaded."""

    STARTS_AT_ONCE: ClassVar[bool] = False
    """Whether states are made with the optimizer, as torch does for Adagrad, and not at the first update."""

    NUMBERS: ClassVar[tuple[str, ...]] = ("lr", "weight_decay")
    """Options that are numbers >= 0."""

    def __init__(self, params: Parameters, defaults: dict[str, Any]) -> None:
        super().__init__(params, defaults)  # pyright: ignore[reportArgumentType]

    def rule(self, group: dict[str, Any], step: int, states: tuple[Tensor, ...]) -> RowRule:
        """The rule of update number `step`, by the options of a group."""
        raise NotImplementedError

    def check_options(self, group: dict[str, Any]) -> None:
        """Check the options of a group; raise TypeError or ValueError."""
        for name in self.NUMBERS:
            number = check_number(name, group[name])
            if not isinstance(group[name], Tensor):  # a tensor stays what its owner writes to
                group[name] = number
        for name in ("maximize", "in_backward"):
            check_bool(name, group[name])
        check_bool("stochastic_rounding", group.get("stochastic_rounding", False))
        group["seed"] = check_int("seed", group.get("seed", 0), minimum=0)
        if group["in_backward"]:
            _check_alone()

    def initial_value(self, group: dict[str, Any]) -> float:
        """What states are before the first update."""
        return float(group.get("initial_accumulator_value", 0.0))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own; those left out are those of the optimizer.

        Raises:
            TypeError: an option or a parameter has a wrong type.
            ValueError: an option is out of range, or a parameter is in another group.
        """
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            for parameter in group["params"]:
                if not parameter.is_floating_point():
                    raise ArgumentTypeError(
                        "params", "floating point parameters", Verbatim(f"one of dtype {parameter.dtype}")
                    )
            self.check_options(group)
        except (TypeError, ValueError):
            self.param_groups.pop()
            raise
        for parameter in group["params"] if self.STARTS_AT_ONCE else ():
            self._start(parameter, group)
        self._attach()

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], Any]) -> Any: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: computes the loss again, with gradients, and returns it.

        Returns:
            What `closure` returned, else None.

        Raises:
            TypeError: a gradient is neither dense nor a sparse COO tensor.
            ValueError: a sparse gradient is not one of whole rows.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.numel():
                    self._update(parameter, group, parameter.grad)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Options and states as plain values; see torch.optim.Optimizer.state_dict."""
        state_dict = super().state_dict()
        for group in state_dict["param_groups"]:
            for name, value in self.MUST_BE.items():  # torch's optimizer asks for them
                group.setdefault(name, value)
        return state_dict

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over options and states, of this optimizer or of torch's where the class says that they mean the same.

        States are copied, and stay in float32 for parameters in half precision.

        Raises:
            ValueError: groups or states do not fit, or the state has an option that this optimizer has not; nothing has
                changed then.
        """
        loaded: dict[str, Any] = {}

        def look(optimizer: torch.optim.Optimizer, final: dict[str, Any]) -> None:
            self._check_state(final)
            loaded.update(final)

        handle = self.register_load_state_dict_pre_hook(look)
        try:
            super().load_state_dict(state_dict)
        finally:
            handle.remove()
        # torch has rounded them to the dtype of their parameter.
        for key, parameter in self._numbered(loaded):
            saved = loaded["state"].get(key)
            if saved:
                self.state[parameter] = {
                    name: copy_state(new_state(parameter, by_row=kept_for == "row"), saved[name])
                    for name, kept_for in self.STATES.items()
                }
                self.state[parameter]["step"] = int(saved["step"])

    def __setstate__(self, state: dict[str, Any]) -> None:
        options = set(state.get("defaults", self.__dict__.get("defaults", {})))
        super().__setstate__(state)
        # torch adds an option that its own optimizers have.
        self.defaults = {name: value for name, value in self.defaults.items() if name in options}
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)
        self._attach()

    def _numbered(self, state_dict: dict[str, Any]) -> Iterable[tuple[Any, Tensor]]:
        """The parameters, each with its key in a state."""
        keys = chain.from_iterable(group["params"] for group in state_dict["param_groups"])
        return zip(keys, chain.from_iterable(group["params"] for group in self.param_groups), strict=False)

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        kind = type(self).__name__
        for group in state_dict["param_groups"]:
            for name, value in self.MUST_BE.items():
                if group.get(name, value) != value:
                    raise ArgumentError(name, f"{value}, as {kind} has none", group[name])
        for key, parameter in self._numbered(state_dict):
            saved: dict[str, Any] = state_dict["state"].get(key) or {}
            for name, kept_for in self.STATES.items() if saved else ():
                if name not in saved or "step" not in saved:
                    found = Verbatim(", ".join(saved))
                    raise ArgumentError("state", f"step, {', '.join(self.STATES)} for {kind}", found)
                shape = parameter.shape if kept_for == "parameter" else parameter.shape[:1]
                if saved[name].shape != shape:
                    raise ArgumentError(name, f"shape {tuple(shape)}", tuple(saved[name].shape))

    def _start(self, parameter: Tensor, group: dict[str, Any]) -> None:
        """Make the states of a parameter."""
        for name, kept_for in self.STATES.items():
            state = new_state(parameter, by_row=kept_for == "row")
            local(state).fill_(self.initial_value(group))
            self.state[parameter][name] = state
        self.state[parameter]["step"] = 0

    def _next_rule(self, parameter: Tensor, group: dict[str, Any]) -> RowRule:
        """Count an update of a parameter and give its rule."""
        group = {**group, **{name: float(group[name]) for name in self.NUMBERS}}
        at_random = group.get("stochastic_rounding") and parameter.dtype in updates.HALF_PRECISION
        if not self.STATES and not at_random:
            return self.rule(group, 1, ())
        if not self.state[parameter]:
            self._start(parameter, group)
        state = self.state[parameter]
        state["step"] += 1
        rule = self.rule(group, state["step"], tuple(state[name] for name in self.STATES))
        if not at_random:
            return rule
        every = chain.from_iterable(one["params"] for one in self.param_groups)
        place = next(place for place, one in enumerate(every) if one is parameter)
        return replace(rule, seed=updates.seed_of_update(group.get("seed", 0), place, state["step"]))

    @outside_of_graphs  # a graph would be made anew for each number of a step
    def _update(self, parameter: Tensor, group: dict[str, Any], gradient: Tensor) -> None:
        ids, rows = touched_rows(local(gradient.detach(), parameter))
        rule = self._next_rule(parameter, group)
        part = local(parameter.detach())
        if not part.numel():  # others hold all of it
            return
        table = as_rows(part)
        states = [
            as_rows(local(state)) if kept_for == "parameter" else local(state).reshape(-1)
            for state, kept_for in zip(rule.states, self.STATES.values(), strict=True)
        ]
        kernels.get("update_rows", table.device.type)(replace(rule, states=tuple(states)), table, ids, rows)
        if table.data_ptr() != part.data_ptr():  # what cannot be viewed as rows was copied
            part.copy_(table.view(part.shape))

    def _attach(self) -> None:
        """Have the parameters of groups that ask for it updated inside of backward."""
        owner = weakref.ref(self)

        def next_rule(parameter: Tensor) -> RowRule | None:
            optimizer = owner()
            for group in optimizer.param_groups if optimizer is not None else ():
                if group["in_backward"] and any(one is parameter for one in group["params"]):
                    _check_alone()
                    return optimizer._next_rule(parameter, group)  # pyright: ignore[reportOptionalMemberAccess]
            return None

        for group in self.param_groups:
            for parameter in group["params"] if group["in_backward"] else ():
                updates.attach(parameter, next_rule)


def check_number(name: str, value: object) -> float:
    """The value of an option >= 0, which may be a tensor of one number without gradient, as torch's optimizers take it.

    Raises:
        TypeError: it is not a number.
        ValueError: it is negative or not finite.

    Example:
        >>> check_number("lr", torch.tensor(0.5))
        0.5
    """
    is_number = isinstance(value, Tensor) and value.numel() == 1 and not value.requires_grad
    number = value.item() if is_number and isinstance(value, Tensor) else value
    return check_float(name, number, at_least=0)


def _check_alone() -> None:
    """Raise where processes train together: each would update its table by its own gradients alone."""
    size = world_size()
    if size > 1:
        raise ArgumentError(
            "in_backward",
            "False where processes train together, for gradients to be averaged before they are applied",
            Verbatim(f"True in a world of {size} processes"),
            "take sparse=True in the loss, and leave the update to step()",
        )
