"""What a state consists of: tensors, of which a process may have some rows only, generators, and what JSON can hold."""

import json
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.tracing import is_sharded

__all__ = [
    "Leaf",
    "OwnRows",
    "Part",
    "Path",
    "ShardedState",
    "as_array",
    "as_tensor",
    "has_own_length",
    "leaves",
    "load_into",
    "name_of",
    "part_of",
]

Path: TypeAlias = tuple[str | int, ...]
"""Where a leaf is: the name of an object, and the keys that lead to the leaf in its state."""

_WRITTEN = {
    torch.float64: np.float64,
    torch.float32: np.float32,
    torch.float16: np.float16,
    torch.int64: np.int64,
    torch.int32: np.int32,
    torch.uint8: np.uint8,
    torch.bool: np.bool_,
}
"""What numpy and safetensors files both have; rows of others, such as bfloat16, are written as bytes."""


class OwnRows(NamedTuple):
    """A tensor of which this process has some rows.

    Args:
        tensor: (n, ...) the rows of this process; loading writes into it.
        first: the number of the first one.
        total: N, how many rows all processes have.

    Example:
        >>> OwnRows(torch.zeros(3, 2), first=5, total=8).tensor.shape
        torch.Size([3, 2])
    """

    tensor: Tensor
    first: int
    total: int


@runtime_checkable
class ShardedState(Protocol):
    """What has a state of its own for checkpoints, in which tensors may be `OwnRows`, beside that for one process.

    Example:
        >>> class Counts:
        ...     "How often each class was seen, by processes that have some of the classes each."
        ...
        ...     def __init__(self, counts, first, total):
        ...         self.counts, self.first, self.total = counts, first, total
        ...
        ...     def sharded_state(self):
        ...         return {"counts": OwnRows(self.counts, self.first, self.total)}
        ...
        ...     def load_sharded_state(self, state):
        ...         "Nothing to do: the counts were written into."
        >>> isinstance(Counts(torch.ones(2), 0, 2), ShardedState)
        True
    """

    def sharded_state(self) -> Mapping[str, Any]:
        """The state as nested mappings of tensors, `OwnRows` and what JSON can hold; tensors are written into."""
        ...

    def load_sharded_state(self, state: Mapping[str, Any]) -> None:
        """Take over a state; the tensors of `sharded_state` have the numbers already."""
        ...


Leaf: TypeAlias = "Tensor | OwnRows | torch.Generator | bool | int | float | str | list[Any] | dict[str, Any] | None"


class Part(NamedTuple):
    """The rows of a tensor that this process has, as files know them.

    Args:
        tensor: the rows; those of a tensor without dimensions are itself.
        first: the number of the first one.
        shape: of the whole tensor.
        is_split: whether other processes have the other rows.
    """

    tensor: Tensor
    first: int
    shape: tuple[int, ...]
    is_split: bool


def name_of(path: Sequence[str | int]) -> str:
    """A path as files and messages have it.

    Example:
        >>> name_of(("optimizer", "state", 0, "sum"))
        'optimizer.state.0.sum'
    """
    return ".".join(map(str, path))


def leaves(state: Mapping[str, Any]) -> Iterator[tuple[Path, Leaf]]:
    """The leaves of the states of objects.

    Args:
        state: by name: tensors, `OwnRows`, generators, mappings of them, objects with a `state_dict`, JSON values.

    Raises:
        ArgumentTypeError: something is of none of these kinds.

    Example:
        >>> dict(leaves({"layer": torch.nn.Linear(1, 1, bias=False), "epoch": 3})).keys()
        dict_keys([('layer', 'weight'), ('epoch',)])
    """
    for name, value in state.items():
        yield from _leaves((name,), value)


def _leaves(path: Path, value: Any) -> Generator[tuple[Path, Leaf], None, None]:
    if isinstance(value, Tensor | OwnRows | torch.Generator):
        yield path, value
    elif isinstance(value, ShardedState):
        yield from _leaves(path, value.sharded_state())
    elif hasattr(value, "state_dict"):
        yield from _leaves(path, value.state_dict())
    elif isinstance(value, Mapping) and (_has_leaves(value) or not _is_json(value)):
        for key, inner in cast(Mapping[Any, Any], value).items():
            if not isinstance(key, str | int):
                raise ArgumentTypeError(name_of(path), "keys that are strings or integers", key)
            yield from _leaves((*path, key), inner)
    elif _is_json(value):
        yield path, cast(Leaf, value)
    else:
        expected = "a tensor, OwnRows, a generator, something with a state_dict, or what JSON can hold"
        raise ArgumentTypeError(name_of(path), expected, Verbatim(type(value).__name__))


def _has_leaves(value: Any) -> bool:
    """Whether there is something in it that JSON does not give back: a tensor, or a key that is a number."""
    if isinstance(value, Tensor | OwnRows | torch.Generator) or hasattr(value, "state_dict"):
        return True
    if isinstance(value, Mapping):
        inner = cast(Mapping[Any, Any], value)
        return any(isinstance(key, int) or _has_leaves(one) for key, one in inner.items())
    return isinstance(value, list | tuple) and any(_has_leaves(one) for one in cast(Sequence[Any], value))


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def has_own_length(path: Sequence[str | int], shape: Sequence[int]) -> bool:
    """Whether a tensor is what a module made of its state, as samplers do: bytes, as many as that takes at a time.

    Example:
        >>> has_own_length(("loss", "sampler._extra_state"), (5012,))
        True
    """
    return len(shape) == 1 and str(path[-1]).endswith("_extra_state")


def load_into(name: str, value: Any, found: Mapping[Path, Any]) -> None:
    """Bring an object to the state that its leaves say.

    Args:
        name: of the object.
        value: the object; a tensor, `OwnRows` or a generator has its numbers already.
        found: all leaves by path.
    """
    nested: dict[Any, Any] = dict(found.get((name,)) or {}) if hasattr(value, "state_dict") else {}
    for path, leaf in found.items():
        if path[0] == name and len(path) > 1:
            place = nested
            for key in path[1:-1]:
                place = place.setdefault(key, {})
            place[path[-1]] = leaf
    if isinstance(value, ShardedState):
        value.load_sharded_state(nested)
    elif hasattr(value, "load_state_dict"):
        whole: Any = OrderedDict(nested)
        versions = getattr(value.state_dict(), "_metadata", None)
        if versions is not None:
            whole._metadata = versions  # by which modules know the version of what they load
        value.load_state_dict(whole)
    elif isinstance(value, Mapping):
        for key, inner in cast(Mapping[str, Any], value).items():
            load_into(key, inner, {(key, *path[2:]): leaf for path, leaf in found.items() if path[:2] == (name, key)})


def part_of(name: str, leaf: "Tensor | OwnRows | torch.Generator") -> Part:
    """The part of a leaf that this process has.

    Raises:
        ArgumentError: it is cut in another way than into ranges of rows.

    Example:
        >>> part_of("table", OwnRows(torch.zeros(3, 2), first=5, total=8)).shape
        (8, 2)
    """
    if isinstance(leaf, OwnRows):
        count = len(leaf.tensor)
        if not 0 <= leaf.first <= leaf.first + count <= leaf.total:
            got = f"rows {leaf.first} to {leaf.first + count} of {leaf.total}"
            raise ArgumentError(name, "rows that are among those of the whole", Verbatim(got))
        return Part(leaf.tensor.detach(), leaf.first, (leaf.total, *leaf.tensor.shape[1:]), True)
    if isinstance(leaf, torch.Generator):
        state = leaf.get_state()
        return Part(state, 0, tuple(state.shape), False)
    if not is_sharded(leaf):
        return Part(leaf.detach(), 0, tuple(leaf.shape), False)
    sharded = cast(Any, leaf)
    (chunk,) = sharded.__create_chunk_list__()
    if tuple(chunk.sizes[1:]) != tuple(leaf.shape[1:]):
        raise ArgumentError(name, "whole or cut by rows, Shard(0)", Verbatim(str(sharded.placements)))
    first = chunk.offsets[0] if leaf.dim() else 0
    return Part(sharded.to_local().detach(), first, tuple(leaf.shape), True)


def as_array(tensor: Tensor) -> NDArray[Any]:
    """A tensor as files hold it.

    Example:
        >>> as_array(torch.ones(2, 3, dtype=torch.bfloat16)).shape
        (2, 6)
    """
    tensor = tensor.detach().cpu()
    if tensor.dtype not in _WRITTEN:
        tensor = (tensor if tensor.dim() else tensor[None]).contiguous()
        if tensor.dim() == 1:
            tensor = tensor[:, None]
        tensor = tensor.view(torch.uint8)
    return tensor.numpy()


def as_tensor(array: NDArray[Any], dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
    """The inverse of `as_array`.

    Example:
        >>> as_tensor(as_array(torch.ones(2, dtype=torch.bfloat16)), torch.bfloat16, (2,))
        tensor([1., 1.], dtype=torch.bfloat16)
    """
    tensor = torch.from_numpy(array)
    return (tensor if tensor.dtype == dtype else tensor.view(dtype)).reshape(tuple(shape))
