"""What the optimizers have in common: groups, states that are loaded and saved, and an update of the touched rows."""

import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from typing import Any, ClassVar, TypeAlias, overload

import torch
from torch import Tensor

from logq import kernels
from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_bool, check_float
from logq.kernels import updates
from logq.kernels.tensor_memory import prefer_huge_pages
from logq.kernels.updates import RowRule, real_dtype
from logq.optim.gradients import as_rows, touched_rows

__all__ = ["Parameters", "RowOptimizer"]

Parameters: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
"""Parameters, with their names if one likes, or groups of them with options of their own."""


class RowOptimizer(torch.optim.Optimizer):
    """Applies a rule to the rows that have a gradient, and leaves the others and their states as they are.

    A subclass names its options, its states and its rule. Options are read at each step, so schedulers work. Where
    every row has a gradient a step does the same as that of torch's optimizer.

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
            group[name] = check_float(name, group[name], at_least=0)
        for name in ("maximize", "in_backward"):
            check_bool(name, group[name])

    def initial_value(self, group: dict[str, Any]) -> float:
        """What states are before the first update."""
        return group.get("initial_accumulator_value", 0.0)

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
                self.state[parameter] = {name: self._own(saved[name], parameter) for name in self.STATES}
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

    def _own(self, state: Tensor, parameter: Tensor) -> Tensor:
        return self._new_state(state.shape, parameter).copy_(state)

    def _new_state(self, shape: torch.Size, parameter: Tensor) -> Tensor:
        state = torch.empty(shape, dtype=real_dtype(parameter.dtype), device=parameter.device)
        prefer_huge_pages(state)
        return state

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
            shape = parameter.shape if kept_for == "parameter" else parameter.shape[:1]
            self.state[parameter][name] = self._new_state(shape, parameter).fill_(self.initial_value(group))
        self.state[parameter]["step"] = 0

    def _next_rule(self, parameter: Tensor, group: dict[str, Any]) -> RowRule:
        """Count an update of a parameter and give its rule."""
        if not self.STATES:
            return self.rule(group, 1, ())
        if not self.state[parameter]:
            self._start(parameter, group)
        state = self.state[parameter]
        state["step"] += 1
        return self.rule(group, state["step"], tuple(state[name] for name in self.STATES))

    def _update(self, parameter: Tensor, group: dict[str, Any], gradient: Tensor) -> None:
        ids, rows = touched_rows(gradient)
        rule = self._next_rule(parameter, group)
        table = as_rows(parameter.detach())
        states = [
            as_rows(state) if kept_for == "parameter" else state.reshape(-1)
            for state, kept_for in zip(rule.states, self.STATES.values(), strict=True)
        ]
        kernels.get("update_rows", table.device.type)(replace(rule, states=tuple(states)), table, ids, rows)
        if table.data_ptr() != parameter.data_ptr():  # what cannot be viewed as rows was copied
            parameter.copy_(table.view(parameter.shape))

    def _attach(self) -> None:
        """Have the parameters of groups that ask for it updated inside of backward."""
        owner = weakref.ref(self)

        def next_rule(parameter: Tensor) -> RowRule | None:
            optimizer = owner()
            for group in optimizer.param_groups if optimizer is not None else ():
                if group["in_backward"] and any(one is parameter for one in group["params"]):
                    return optimizer._next_rule(parameter, group)  # pyright: ignore[reportOptionalMemberAccess]
            return None

        for group in self.param_groups:
            for parameter in group["params"] if group["in_backward"] else ():
                updates.attach(parameter, next_rule)
