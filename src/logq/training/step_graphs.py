"""Steps of training as CUDA graphs: hundreds of kernels that the host launches as one.

A step is captured once for each shape of a batch, after a few that were trained one kernel at a time, and then replayed
with other numbers: batches are copied to where the captured one lay, the learning rate lies on the device, and seeds of
draws advance there. Not yet run on a card: tests replay what a simulated device has recorded.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from logq._arguments import ArgumentError, Verbatim
from logq.samplers.sampler import Sampler

__all__ = ["GRAPHS", "StepGraphs", "check_capturable", "check_graphs"]

GRAPHS: dict[str, Any] = {"cuda": torch.cuda}
"""What captures graphs, by the type of a device; torch calls AMD's GPUs "cuda", too."""

WARM_UP = 3
"""Steps of a shape that are trained before one is captured: torch and cuBLAS allocate and choose kernels in them."""

MOST_SHAPES = 4
"""Shapes of which a graph is kept; batches of any other are trained one kernel at a time."""


class _Captured(NamedTuple):
    graph: Any
    batch: dict[str, Tensor]
    loss: Tensor


def check_graphs(device: torch.device, *, optimizer: str, processes: int = 1) -> None:
    """Check that steps can be captured with these settings, before anything is read or made.

    Args:
        device: where training happens.
        optimizer: its name.
        processes: how many train together.

    Raises:
        ArgumentError: they cannot.

    Example:
        >>> check_graphs(torch.device("cpu"), optimizer="adam")
        Traceback (most recent call last):
        ...
        logq.ArgumentError: cuda_graphs: expected False on a device without CUDA graphs, got True on cpu
    """
    if device.type not in GRAPHS:
        raise _refused("False on a device without CUDA graphs", f"True on {device.type}")
    if optimizer == "adagrad":
        raise _refused("False, or the optimizer adam or sgd", f"True with {optimizer}")
    if processes > 1:
        raise _refused("False, or one process", f"True in {processes} processes")


def check_capturable(module: nn.Module, *, sparse: bool) -> None:
    """Check that steps of a model can be captured, and let its samplers take their seeds from the device.

    Args:
        module: what is trained, samplers among it.
        sparse: whether some of its gradients are sparse.

    Raises:
        ArgumentError: they cannot.

    Example:
        >>> check_capturable(nn.Linear(1, 1), sparse=False)
    """
    if sparse:
        raise _refused("False, or sparse=False", "True with sparse gradients, whose sizes the host waits for")
    for sampler in (part for part in module.modules() if isinstance(part, Sampler)):
        sampler.seeds_on_device()


def _refused(expected: str, got: str) -> ArgumentError:
    return ArgumentError("cuda_graphs", expected, Verbatim(got))


class StepGraphs:
    """Runs steps: the first ones of a shape as they are, and the others by replaying one that was captured.

    Args:
        step: from a batch to its loss, with the update of the weights; it launches the same kernels each time, and
            waits for none.
        device: where it runs.

    Raises:
        ArgumentError: a step cannot be captured, as one that waits for the device.

    Example:
        See logq.training.Loop, which makes one for `cuda_graphs=True`.
    """

    def __init__(self, step: Callable[[Mapping[str, Tensor]], Tensor], device: torch.device) -> None:
        self._step, self._device, self._api = step, device, GRAPHS[device.type]
        self._stream = self._api.Stream(device)
        self._seen: dict[tuple[Any, ...], int] = {}
        self._captured: dict[tuple[Any, ...], _Captured] = {}

    def run(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Train on a batch, and return its loss."""
        shape = tuple((name, values.shape, values.dtype) for name, values in batch.items())
        captured = self._captured.get(shape)
        if captured is None:
            self._seen[shape] = self._seen.get(shape, 0) + 1
            if self._seen[shape] <= WARM_UP or len(self._captured) == MOST_SHAPES:
                return self._alone(batch)
            captured = self._captured[shape] = self._capture(batch)
        torch._foreach_copy_(list(captured.batch.values()), [batch[name] for name in captured.batch])  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        captured.graph.replay()
        return captured.loss.clone()

    def _alone(self, batch: Mapping[str, Tensor]) -> Tensor:
        # On another stream, as autograd remembers the one that gradients are first added up on.
        current = self._api.current_stream(self._device)
        self._stream.wait_stream(current)
        with self._api.stream(self._stream):
            loss = self._step(batch)
        current.wait_stream(self._stream)
        return loss

    def _capture(self, batch: Mapping[str, Tensor]) -> _Captured:
        kept = {name: values.clone() for name, values in batch.items()}
        graph = self._api.CUDAGraph()
        try:
            # Meanwhile a thread pins memory for batches, which does not belong to the graph. The stream is that of the
            # steps before: torch's own for graphs is on the device of the first graph of the process.
            with (
                self._api.device(self._device),
                self._api.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
            ):
                loss = self._step(kept)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            why = " ".join(str(error).partition("\n\n")[0].split())
            raise _refused("False, as a step cannot be captured", f"True ({why})") from error
        return _Captured(graph, kept, loss)
