"""Where a draw runs: beneath the transforms of torch.func, for tensors without numbers, not in graphs nor in backward.

A draw is a constant to whatever is differentiated, and nothing of it can be traced: it takes numbers from a generator,
and it may learn. So it is made beneath the transforms, with tensors of their own, and what it gave is wrapped again.
"""

import math
from abc import ABCMeta
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._functorch.pyfunctorch import retrieve_current_functorch_interpreter
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from logq._arguments import ArgumentError, Verbatim
from logq.candidates import Candidates
from logq.samplers.kept_tensors import WITNESS
from logq.samplers.streams import Source
from logq.shapes import can_look_at
from logq.tracing import is_fake, makes_graph

__all__ = [
    "INSTEAD",
    "MadeOfNumbers",
    "beneath_transform",
    "check_can_draw",
    "check_drawable",
    "fake_mode",
    "shapes_alone",
    "with_numbers",
]

INSTEAD = (
    "draw outside of it, with candidates = sampler.draw(targets), and hand the candidates to a loss of logq.functional"
)

Draws = Callable[[Tensor, Tensor | None], Candidates]
"""Candidates by targets and the groups of rows."""


def check_can_draw(*, moves_on: bool) -> None:
    """Raise RuntimeError inside of backward, where a draw that `moves_on` would be another one, and in a graph.

    Example:
        >>> check_can_draw(moves_on=True)
    """
    if moves_on and torch._C._current_graph_task_id() != -1:  # pyright: ignore[reportPrivateUsage]
        raise RuntimeError(
            "a sampler draws inside of backward, where torch.utils.checkpoint computes again what it did not keep:"
            f" it would draw other classes than in forward, and learn the batch twice; {INSTEAD} in there"
        )
    if makes_graph():
        raise RuntimeError(
            "a sampler draws while a graph is made, by torch.export, torch.onnx, torch.jit.trace or make_fx: no graph"
            f" can hold its generator, and one draw would be frozen into it; {INSTEAD} in there. log_prob and topk of a"
            " module can be exported"
        )


def check_drawable(targets: Tensor, log_expected_count: Tensor) -> None:
    """Raise ValueError for a target that is never drawn.

    Example:
        >>> check_drawable(torch.tensor([3]), torch.tensor([-1.0]))
    """
    if not can_look_at(log_expected_count):
        # Without a wait: the device raises when it gets there.
        never = (log_expected_count == -torch.inf).any()
        torch._assert_async(~never, "targets: a true class is never drawn, its log Q is -inf")  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    elif float(log_expected_count.sum()) == -math.inf:  # so is the sum, and only then
        never = log_expected_count == -torch.inf
        raise ArgumentError(
            "targets",
            "classes that the sampler can draw",
            int(targets.expand(never.shape)[never][0]),
            "its expected count is 0, so its log Q is not finite",
        )


def beneath_transform(draws: Draws, source: Callable[[], Source] | None, *tensors: Any) -> Candidates:
    """Draw with the innermost transform of torch.func laid aside.

    Under vmap each example gets what a loop over the examples would give it: a draw of its own with
    `randomness="different"`, and one from the same state of the generator with `randomness="same"`.

    Args:
        draws: the draw, which may meet the next transform.
        source: the generator that it is made from; None where nothing is random.
        *tensors: targets and groups.

    Raises:
        RuntimeError: randomness is not said.
        ValueError: there are no examples, or they have different numbers of candidates.
    """
    functorch: Any = torch._C._functorch  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    transform: Any = retrieve_current_functorch_interpreter()
    level = transform.level()

    def is_of_level(tensor: Any) -> bool:
        wrapped = isinstance(tensor, Tensor) and functorch.is_functorch_wrapped_tensor(tensor)
        return wrapped and functorch.maybe_get_level(tensor) == level

    plain = [functorch.get_unwrapped(one) if is_of_level(one) else one for one in tensors]
    if transform.key() != functorch.TransformType.Vmap:
        with transform.lower():
            return draws(*plain)
    randomness = transform.randomness()
    if source is not None and randomness == "error":
        raise RuntimeError(
            'a sampler draws under vmap, which was not told how: randomness="different" gives each example a draw of'
            f' its own, randomness="same" one draw to all; or {INSTEAD} in there'
        )
    if transform.batch_size() == 0:
        raise ArgumentError("targets", "at least one example under vmap", Verbatim("none"))
    dims = [functorch.maybe_get_bdim(one) if is_of_level(one) else None for one in tensors]
    with transform.lower():
        if all(dim is None for dim in dims) and (source is None or randomness == "same"):
            return draws(*plain)
        generator = None if source is None else source()
        state = None if generator is None else generator.get_state()
        examples: list[Candidates] = []
        for number in range(transform.batch_size()):
            if randomness == "same" and generator is not None and state is not None:
                generator.set_state(state)
            parts = [one if dim is None else one.select(dim, number) for one, dim in zip(plain, dims, strict=True)]
            examples.append(draws(*parts))
        fields: list[Tensor | None] = []
        for name, values in zip(Candidates._fields, zip(*examples, strict=True), strict=True):
            if values[0] is None:
                fields.append(None)
                continue
            shapes = sorted({tuple(one.shape) for one in values})
            if len(shapes) > 1:
                raise ArgumentError(
                    "targets",
                    "as many candidates in each example of vmap",
                    Verbatim(f"{name} of shapes {shapes[0]} and {shapes[1]}"),
                    "loop over the examples instead",
                )
            fields.append(torch.stack(values))
    return Candidates(*(None if one is None else functorch._add_batch_dim(one, 0, level) for one in fields))  # pyright: ignore[reportArgumentType]


def fake_mode(*tensors: Tensor | None) -> FakeTensorMode | None:
    """The FakeTensorMode that is on, or which one of the tensors is from; None where there are numbers.

    Example:
        >>> fake_mode(torch.ones(2)) is None
        True
    """
    if any(is_fake(one) for one in tensors) or torch._C._len_torch_dispatch_stack():  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        return detect_fake_mode([one for one in tensors if one is not None])
    return None


@contextmanager
def with_numbers() -> Generator[FakeTensorMode | None]:
    """Run with FakeTensorMode off; gives the mode if it was on. Graphs in the making keep theirs.

    Example:
        >>> with FakeTensorMode(), with_numbers():
        ...     float(torch.ones(()))
        1.0
    """
    if torch._C._len_torch_dispatch_stack() == 0 or makes_graph():  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        yield None
        return
    with unset_fake_temporarily() as mode:
        yield mode  # pyright: ignore[reportReturnType]


def shapes_alone(
    draws: Draws, sampler: nn.Module, counts: Callable[[], Tensor], mode: FakeTensorMode, targets: Tensor
) -> Candidates:
    """Candidates without numbers, of the shapes that a draw for such targets has if all of them are classes.

    A class that can be drawn stands in for each target. Nothing is learned, and no generator moves on.

    Args:
        draws: the draw, by targets with numbers.
        sampler: that draws.
        counts: its log expected counts, of all classes.
        mode: that the candidates are to be of.
        targets: of which the shape and the device count.
    """
    with unset_fake_temporarily(), _on_the_cpu(sampler), torch.no_grad():
        some = int(counts().argmax())
        made = draws(torch.full([int(size) for size in targets.shape], some, device="cpu"), None)
    candidates = [None if one is None else mode.from_tensor(one, static_shapes=True).to(targets.device) for one in made]
    return Candidates(*candidates)._replace(targets=targets)  # pyright: ignore[reportArgumentType]


@contextmanager
def _on_the_cpu(sampler: nn.Module) -> Generator[None]:
    """Have a sampler and its parts learn nothing and be on the CPU, whatever device their fake tensors name."""
    modes, witnesses = [(part, part.training) for part in sampler.modules()], _witnesses(sampler)
    try:
        for part, _ in modes:
            part.training = False
        for part, witness in witnesses:
            part.register_buffer(WITNESS, torch.empty(0, dtype=witness.dtype, device="cpu"), persistent=False)
        yield
    finally:
        for part, training in modes:
            part.training = training
        for part, witness in witnesses:
            part.register_buffer(WITNESS, witness, persistent=False)


def _witnesses(module: nn.Module) -> list[tuple[nn.Module, Tensor]]:
    """The parts that keep tensors, each with the buffer that tells where."""
    parts = [(part, dict(part.named_buffers(recurse=False)).get(WITNESS)) for part in module.modules()]
    return [(part, witness) for part, witness in parts if witness is not None]


class MadeOfNumbers(ABCMeta):
    """A class of modules whose tables are made with numbers under FakeTensorMode too.

    Example:
        >>> class Table(metaclass=MadeOfNumbers):
        ...     def __init__(self):
        ...         self.total = float(torch.ones(3).sum())
        >>> with FakeTensorMode():
        ...     Table().total
        3.0
    """

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        """An instance; under FakeTensorMode only its place is one of that."""
        with with_numbers() as mode:
            made: Any = super().__call__(*arguments, **options)
        if mode is not None and isinstance(made, nn.Module):
            for part, witness in _witnesses(made):
                if not is_fake(witness):
                    part.register_buffer(WITNESS, mode.from_tensor(witness, static_shapes=True), persistent=False)
        return made
