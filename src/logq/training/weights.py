"""Weights of a module as arrays for a file, and back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import nn

__all__ = ["weights_of", "with_weights"]

PREFIX = "weights."

Module = TypeVar("Module", bound=nn.Module)


def weights_of(module: nn.Module) -> dict[str, NDArray[Any]]:
    """The weights and buffers of a module, with "weights." before their names.

    Example:
        >>> {name: array.shape for name, array in weights_of(nn.Linear(3, 2)).items()}
        {'weights.weight': (2, 3), 'weights.bias': (2,)}
    """
    return {f"{PREFIX}{name}": value.detach().cpu().numpy() for name, value in module.state_dict().items()}


def with_weights(make: Callable[[], Module], state: Mapping[str, NDArray[Any]]) -> Module:
    """Make a module that has these weights. Arrays under other names are left alone.

    Args:
        make: the module, with any weights.
        state: what `weights_of` gave.

    Raises:
        ValueError: names, dtypes or shapes are not those of the module, or integers lie beyond those that it has.

    Example:
        >>> layer = nn.Linear(3, 2)
        >>> again = with_weights(lambda: nn.Linear(3, 2), weights_of(layer))
        >>> torch.equal(again.weight, layer.weight)
        True
    """
    weights = {name.removeprefix(PREFIX): array for name, array in state.items() if name.startswith(PREFIX)}
    with torch.device("meta"):  # so that sizes in a changed file cost nothing before they are found wrong
        needed = make().state_dict()
    for name in sorted(needed.keys() | weights.keys()):
        expected = (tuple(needed[name].shape), str(needed[name].dtype)[6:]) if name in needed else None
        got = (weights[name].shape, weights[name].dtype.name) if name in weights else None
        if expected != got:
            raise ValueError(f"expected {_described(expected)} for {name!r}, got {_described(got)}")
    with torch.random.fork_rng(devices=[]):
        made = make()
    for name, value in made.state_dict().items():
        if not value.is_floating_point() and value.numel():
            low, high = int(value.min()), int(value.max())  # codes, which rows are looked up by
            if weights[name].min() < low or weights[name].max() > high:
                raise ValueError(f"{name!r}: expected integers in [{low}, {high}], got others")
    made.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    return made


def _described(what: tuple[Sequence[int], str] | None) -> str:
    return "none" if what is None else f"{what[1]} of shape {tuple(what[0])}"
