"""SavedLoop: the state of a training loop, as a checkpoint keeps it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from logq.training.checkpoint import TABLES, RunState, check_run_state
from logq.training.devices import Device
from logq.training.optimizers import Optimizers
from logq.training.options import TrainingConfig
from logq.training.phases import Phase, TimeBudget
from logq.training.running_mean import Problems
from logq.training.saved_rows import rows_in_parts, with_own_rows
from logq.training.schedule import Schedule, WeightAverage
from logq.training.seeds import Seeds
from logq.training.task import Task
from logq.training.together import EXTRA_STATE
from logq.training.validations import Validations

__all__ = ["SavedLoop"]

_POSITION = ("epoch", "batch", "step", "loss_sum", "loss_count", "log")
"""What a checkpoint keeps of a loop as it is."""


def _with_own_samplers(saved: Mapping[str, NDArray[Any]], own: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """A state that another number of processes saved, with states of samplers under the names that they have here.

    Of the best weights, those that others have no state of are as they are now.
    """
    found = {}
    for name, value in saved.items():
        part, _, key = name.partition(".")
        if not name.endswith(EXTRA_STATE) or (f"module.{key}" if part == "best" else name) in own:
            found[name] = value
    if any(name.startswith("best.") for name in found):
        for name, value in own.items():
            part, _, key = name.partition(".")
            if part == "module" and name.endswith(EXTRA_STATE):
                found.setdefault(f"best.{key}", value)
    return found


class SavedLoop:
    """What of a loop a checkpoint keeps; `Loop` says what its attributes are.

    Example:
        >>> SavedLoop.state.__name__
        'state'
    """

    task: Task
    config: TrainingConfig
    device: Device
    seeds: Seeds
    validations: Validations
    phase: Phase
    budget: TimeBudget
    optimizers: Optimizers
    schedule: Schedule
    average: WeightAverage | None
    num_steps: int
    epoch: int
    step: int
    random_state: dict[str, Tensor] | None
    _problems: Problems

    def state(self) -> RunState:
        """The state of the run: all that `restore` needs.

        Raises:
            FloatingPointError: training has diverged.
        """
        self._check_weights()
        parts: dict[str, Mapping[str, Tensor]] = {
            "module": self.task.module.state_dict(),
            "optimizer": self.optimizers.tensors(),
            "random": self.device.random_state(),
            "best": self.validations.best,
        }
        if self.average is not None:
            parts["average"] = dict(zip(self.average.names, self.average.values, strict=True))
        position: dict[str, Any] = {name: getattr(self, name) for name in _POSITION}
        position |= self.validations.position()
        position["seconds"] = self.budget.used
        position["chosen"] = [] if self.phase.chosen is None else [self.phase.chosen._asdict()]
        position["averaged"] = 0 if self.average is None else self.average.updates
        position["cooling_from"], position["cooling_steps"] = self.schedule.cooling
        tensors = {
            f"{part}.{name}": value.detach().cpu().numpy()
            for part, values in parts.items()
            for name, value in values.items()
        }
        own_rows = rows_in_parts(tensors, self.task.module, self.optimizers)
        return RunState(self.seeds.run, position, tensors, parts=own_rows)

    def with_own_rows(self, state: RunState) -> RunState:
        """A state that was loaded, with the rows of tables that this process has; all processes call it at once.

        Raises:
            OSError, ValueError: the folder that rows in parts lie in is missing or damaged.
        """
        names = [*state.tensors, *state.position.get(TABLES, {}).get("rows", {})]
        parts = rows_in_parts(names, self.task.module, self.optimizers)
        return with_own_rows(state, parts, self.device.torch_device)

    def restore(self, state: RunState) -> None:
        """Bring the run to `state`.

        Raises:
            KeyError, RuntimeError, ValueError: it is the state of another run.
        """
        epochs, steps = self.config.epochs, self.num_steps
        state = state.moved(self.device.world.size, self.task.num_batches, steps)
        limits = {
            "cooling_from": steps,
            "cooling_steps": steps,
            "epoch": epochs,
            "batch": self.task.num_batches,
            "step": steps,
            "best_epoch": epochs,
        }
        limits |= {"best_step": steps, "best_reached": 1}
        own = self.state()
        if state.processes != self.device.world.size:  # one process has another sampler than several with a part each
            state = replace(state, tensors=_with_own_samplers(state.tensors, own.tensors))
        check_run_state(state, own, limits)
        parts: dict[str, dict[str, Tensor]] = {}
        for name, array in state.tensors.items():
            part, _, key = name.partition(".")
            parts.setdefault(part, {})[key] = torch.from_numpy(array.copy())
        self.task.module.load_state_dict(parts["module"])
        self.optimizers.load(parts.get("optimizer", {}))
        if self.average is not None:
            for name, value in zip(self.average.names, self.average.values, strict=True):
                value.copy_(parts["average"][name])
            self.average.updates = state.position["averaged"]
        best = {name: value.to(self.device.torch_device) for name, value in parts.get("best", {}).items()}
        self.validations.restore(state.position, best)
        self.schedule.cooling = cooling = (state.position["cooling_from"], state.position["cooling_steps"])
        if self.phase.chosen is None and cooling[1]:
            self.num_steps = sum(cooling)
        self.budget.resume(state.position["seconds"])
        # What others have saved is not to give all processes the same numbers.
        self.random_state = parts["random"] if state.processes == self.device.world.size else None
        for name in _POSITION:
            setattr(self, name, state.position[name])

    def _check_weights(self) -> None:
        self._problems.check_weights(self.task.module, self.epoch + 1)
