"""A sampler for each number of samples that a measurement asks for."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from logq.arguments import check_int, shown
from logq.samplers import InBatch, Proposal, Sampler

__all__ = ["Law", "sized_samplers"]

Law = Sampler | Callable[[int], Sampler]
"""A sampler, or a function that makes one for k samples."""


def sized_samplers(
    sampler: Law | Mapping[str, Law], num_sampled: int | Sequence[int], num_classes: int, device: torch.device
) -> dict[str, list[tuple[int | None, Sampler]]]:
    """By name, the samplers to measure and their k, smallest first; None where k is what one draws anyway.

    Args:
        sampler: one law, or several by name.
        num_sampled: one k or several.
        num_classes: C, that all must have.
        device: where they must be.

    Raises:
        TypeError, ValueError: as `gradient_error`.

    Example:
        >>> from logq.samplers import EveryClass, Uniform
        >>> found = sized_samplers({"u": Uniform(9, 1), "all": EveryClass(9)}, [4, 2], 9, torch.device("cpu"))
        >>> {name: [k for k, _ in sized] for name, sized in found.items()}
        {'u': [2, 4], 'all': [None]}
    """
    sizes = _checked_sizes(num_sampled)
    return {name: list(_sizes_of(name, law, sizes, num_classes, device)) for name, law in _by_name(sampler).items()}


def _checked_sizes(num_sampled: int | Sequence[int]) -> list[int]:
    values = [num_sampled] if not isinstance(num_sampled, Sequence) else list(num_sampled)
    sizes = sorted({check_int("num_sampled", value) for value in values})
    if not sizes:
        raise ValueError("num_sampled: expected one number of samples at least, got none")
    return sizes


def _by_name(sampler: Law | Mapping[str, Law]) -> dict[str, Law]:
    if isinstance(sampler, Mapping):
        if not sampler:
            raise ValueError("sampler: expected one at least, got none")
        return dict(sampler)
    return {type(sampler).__name__ if isinstance(sampler, Sampler) else "sampler": sampler}


def _sizes_of(
    name: str, law: Law, sizes: Sequence[int], num_classes: int, device: torch.device
) -> Iterator[tuple[int | None, Sampler]]:
    """A sampler for each k; k is None where it is what the sampler draws anyway."""
    if isinstance(law, Proposal):
        made = [(k, law.with_num_sampled(k)) for k in sizes]
    elif isinstance(law, Sampler):
        made = [(None, law)]
    elif callable(law):
        made = [(k, law(k)) for k in sizes]
    else:
        raise TypeError(f"sampler: expected one of logq.samplers or a function k -> sampler, got {shown(law)}")
    for k, one in made:
        if not isinstance(one, Sampler):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"sampler: expected {name} to return a sampler, got {type(one).__name__}")
        if isinstance(one, InBatch):
            raise ValueError(
                f"sampler: {name} takes the batch itself as its sample, of which a fixed batch has a single one; over "
                "shuffled rows it comes to Unigram(counts of the targets, k), which can be measured"
            )
        if one.num_classes != num_classes:
            raise ValueError(f"sampler: expected {name} over {num_classes} classes, got {one.num_classes}")
        if one.device != device:
            raise ValueError(f"sampler: expected {name} on {device} where inputs are, got {one.device}")
        yield k, one
