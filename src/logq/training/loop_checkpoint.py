"""A checkpoint of a loop: all that a run needs to go on, in one file that is replaced at once."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from logq._files import remove_leftovers
from logq._model_file import Stored, read_stored, write_stored
from logq.samplers import Sampler
from logq.training.loop import Loop

__all__ = ["Checkpoint"]

FILE = "checkpoint.safetensors"
FORMAT = "logq.training_run"


class Checkpoint:
    """The checkpoint of a run in a folder, which is made if it is missing.

    It holds weights, states of optimizers and samplers, random generators, the best weights so far and the place in the
    epoch. "learned_unigram" goes on by the same law, but with other draws; all else goes on to the same bits on a CPU.

    Args:
        folder: where the file goes.
        kind: the class of what is trained.
        settings: of the run; `epochs` may change where the learning rate is constant.
        data: what tells the log or text from another.
        minutes: how often `save_if_due` saves.
        data_name: the argument that the data came by, for errors.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Checkpoint(folder, "SASRec", {}, "", 10.0).exists()
        False
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        kind: str,
        settings: Mapping[str, Any],
        data: str,
        minutes: float,
        *,
        data_name: str = "log",
    ) -> None:
        self.path = Path(folder) / FILE
        self.kind = kind
        self.settings = dict(settings)
        self.data, self.data_name = data, data_name
        self.minutes = minutes
        self._saved = time.monotonic()

    def exists(self) -> bool:
        """Whether there is one."""
        return self.path.exists()

    def remove(self) -> None:
        """Remove it, and what a killed run left of another: the run is over."""
        self.path.unlink(missing_ok=True)
        remove_leftovers(self.path)

    def save_if_due(self, loop: Loop, *, force: bool = False) -> None:
        """Save a run if enough time has passed, or in any case."""
        if force or time.monotonic() - self._saved >= 60 * self.minutes:
            self.save(loop)
            self._saved = time.monotonic()

    def save(self, loop: Loop) -> None:
        """Save a run as it is.

        Raises:
            FloatingPointError: training has diverged; the file stays as it was.
            OSError: the file cannot be written, and stays as it was.
        """
        loop.check_finite()
        tensors: dict[str, Tensor] = {f"module.{k}": v for k, v in loop.task.module.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in loop.optimizers.tensors().items()}
        tensors |= {f"random.{name}": value for name, value in loop.computer.random_state().items()}
        tensors |= {f"sampler.{name}": one.generator.get_state() for name, one in _samplers(loop)}
        tensors |= {f"best.{name}": value for name, value in loop.best.items()}
        if loop.average is not None:
            pairs = zip(loop.average.names, loop.average.values, strict=True)
            tensors |= {f"average.{name}": value for name, value in pairs}
        place = {
            "epoch": loop.epoch,
            "batch": loop.batch,
            "step": loop.step,
            "loss_sum": loop.loss_sum,
            "loss_count": loop.loss_count,
            "best_value": loop.best_value if loop.best else None,
            "best_epoch": loop.best_epoch,
            "waited": loop.waited,
            "log": loop.log,
            "seed": loop.seed,
            "averaged": 0 if loop.average is None else loop.average.updates,
        }
        arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
        info = {"place": place, "settings": self.settings, "data": self.data}
        write_stored(self.path, Stored(self.kind, info, arrays), format=FORMAT)

    def load(self, loop: Loop) -> None:
        """Bring a run to where the checkpoint is.

        Raises:
            ValueError: the file is damaged, or of another log, class or other settings; the message names what differs.
        """
        stored = read_stored(self.path, format=FORMAT)
        self._check(stored)
        parts: dict[str, dict[str, Tensor]] = {}
        for name, array in stored.tensors.items():
            part, _, key = name.partition(".")
            parts.setdefault(part, {})[key] = torch.from_numpy(array.copy())
        try:
            loop.task.module.load_state_dict(parts["module"])
            loop.optimizers.load(parts.get("optimizer", {}))
            for name, sampler in _samplers(loop):
                sampler.generator.set_state(parts["sampler"][name])
            if loop.average is not None:
                for name, value in zip(loop.average.names, loop.average.values, strict=True):
                    value.copy_(parts["average"][name])
            place = stored.info["place"]
            device = loop.computer.device
            loop.best = {name: value.to(device) for name, value in parts.get("best", {}).items()}
            loop.random_state = parts["random"]
            for name in ("epoch", "batch", "step", "loss_sum", "loss_count", "best_epoch", "waited", "log"):
                setattr(loop, name, place[name])
            loop.best_value = -float("inf") if place["best_value"] is None else place["best_value"]
            if loop.average is not None:
                loop.average.updates = place["averaged"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(f"{self.path}: the checkpoint is damaged ({error}); remove it to start anew") from error

    def seed(self) -> int:
        """The seed of the run that was saved."""
        return int(read_stored(self.path, format=FORMAT).info["place"]["seed"])

    def _check(self, stored: Stored) -> None:
        before = {"class": stored.kind, **stored.info["settings"]}
        now = {"class": self.kind, **self.settings}
        # More epochs are no other run, where the learning rate does not depend on how many there are.
        free = {"epochs"} if now.get("decay") == "constant" else set[str]()
        for key in sorted((before.keys() | now.keys()) - free, key=lambda key: (key != "class", key)):
            if before.get(key) != now.get(key):
                raise ValueError(
                    f"{key}: the checkpoint {self.path} was made with {before.get(key)!r}, got {now.get(key)!r}; "
                    "resume with the same settings, or remove it to start anew"
                )
        if stored.info["data"] != self.data:
            raise ValueError(
                f"{self.data_name}: the checkpoint {self.path} belongs to another {self.data_name}; resume with the "
                "same one, or remove it to start anew"
            )


def _samplers(loop: Loop) -> list[tuple[str, Sampler]]:
    return [(name, one) for name, one in loop.task.module.named_modules() if isinstance(one, Sampler)]
