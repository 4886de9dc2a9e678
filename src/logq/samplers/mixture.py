"""Mixture: several samplers drawn from at once."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.samplers.sampler import Draw, Sampler
from logq.samplers.streams import Source

__all__ = ["Mixture"]


class Mixture(Sampler):
    """Joins the samples of several samplers into one.

        Q(y) = sum_j Q_j(y)

    Every sampled and every true class gets the expected count of the whole mixture, whichever part drew it. If one part
    draws for each row, the shared samples of the others are repeated for each row. All parts draw from the generator of
    the mixture, one after the other.

    Cost: that of the parts, each asked for the counts of all.

    Args:
        samplers: one or more over the same classes.
        seed: of the generator; None takes the first seed that a part has.

    Raises:
        TypeError: `samplers` is not a list, or a part is not a sampler.
        ValueError: there are none, or their numbers of classes differ.

    References:
        Yang et al., Mixed Negative Sampling for Learning Two-tower Neural Networks in Recommendations, WWW 2020
        companion: in-batch negatives and uniform ones, `Mixture([InBatch(C), Uniform(C, 1000)])`.

    Example:
        >>> from logq.samplers import Uniform, Unigram
        >>> sampler = Mixture([Uniform(4, 2, seed=1), Unigram([1, 1, 1, 5], 8, seed=2)])
        >>> candidates = sampler.draw(torch.tensor([0, 3]))
        >>> candidates.ids.shape, candidates.true_log_expected_count.exp()
        (torch.Size([10]), tensor([1.5000, 5.5000]))
    """

    def __init__(self, samplers: list[Sampler] | tuple[Sampler, ...], *, seed: int | None = None) -> None:
        if not isinstance(samplers, list | tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentTypeError("samplers", "a list of samplers", Verbatim(type(samplers).__name__))
        parts = list(samplers)
        for part in parts:
            if not isinstance(part, Sampler):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ArgumentTypeError("samplers", "samplers", Verbatim(type(part).__name__))
        if not parts:
            raise ArgumentError("samplers", "at least one", Verbatim("none"))
        sizes = [part.num_classes for part in parts]
        if len(set(sizes)) > 1:
            raise ArgumentError("samplers", "samplers with the same num_classes", sizes)
        dtype = parts[0].dtype
        for part in parts:
            dtype = torch.promote_types(dtype, part.dtype)
        if seed is None:
            seed = next((part.seed for part in parts if part.seed is not None), None)
        super().__init__(sizes[0], seed=seed, device=parts[0].device, dtype=dtype)
        self.parts = nn.ModuleList(parts)
        self.reads_targets = any(part.reads_targets for part in parts)
        self.is_random = any(part.is_random for part in parts)
        self.reads_groups = any(part.reads_groups for part in parts)

    def _parts(self) -> list[Sampler]:
        return list(self.parts)  # pyright: ignore[reportReturnType]

    def _is_sequence_of_ops(self) -> bool:
        return all(part._is_sequence_of_ops() for part in self._parts())

    def log_expected_count(self, ids: Tensor) -> Tensor:
        """Natural log of the sum of the parts' expected counts."""
        return _log_sum([part.log_expected_count(ids).to(self.dtype) for part in self._parts()])

    def all_log_expected_counts(self) -> Tensor:
        """(C,) `log_expected_count` of all classes."""
        return _log_sum([part.all_log_expected_counts().to(self.dtype) for part in self._parts()])

    def sample_size(self) -> float:
        """The sum of the parts' sample sizes."""
        return sum(part.sample_size() for part in self._parts())

    def _draw(self, targets: Tensor, generator: Source) -> Draw:
        return self._draw_in_groups(targets, generator, None)

    def _draw_in_groups(self, targets: Tensor, generator: Source, groups: Tensor | None) -> Draw:
        draws = [part._draw_in_groups(targets, generator, groups) for part in self._parts()]
        num_rows = targets.shape[0]
        per_row = any(draw.ids.dim() == 2 for draw in draws)
        ids = [draw.ids.expand(num_rows, -1) if per_row else draw.ids for draw in draws]
        excluded = None
        if any(draw.excluded is not None for draw in draws):
            nowhere = targets.new_zeros(num_rows, 1, dtype=torch.bool)
            excluded = torch.cat(
                [nowhere.expand(-1, draw.ids.shape[-1]) if draw.excluded is None else draw.excluded for draw in draws],
                dim=1,
            )

        def log_expected_count(classes: Tensor) -> Tensor:
            return _log_sum([draw.log_expected_count(classes).to(self.dtype) for draw in draws])

        return Draw(torch.cat(ids, dim=-1), log_expected_count, excluded)

    def sharded_state(self) -> dict[str, Any]:
        """For logq.distributed.Checkpoint: the parts by their numbers, of which some have a state of this kind."""
        return {
            "_extra_state": self.get_extra_state(),
            "parts": {str(number): part for number, part in enumerate(self.parts)},
        }

    def load_sharded_state(self, state: Mapping[str, Any]) -> None:
        """Take over what beside the tensors of `sharded_state` was saved."""
        self.set_extra_state(state["_extra_state"])
        for number, part in enumerate(self.parts):
            of_part: Any = part
            load = getattr(of_part, "load_sharded_state", of_part.load_state_dict)
            load(state["parts"][str(number)])

    def learn(self, targets: Tensor) -> None:
        """Let every part take in the targets."""
        for part in self._parts():
            part.learn(targets)

    def _learn(self, targets: Tensor, *, before: bool) -> None:
        # Each part at its own time, and not if it is in evaluation mode.
        for part in self._parts():
            part._learn(targets, before=before)


def _log_sum(logs: list[Tensor]) -> Tensor:
    # A part may know the counts of each row apart: (B, S) beside (S,).
    return torch.stack(torch.broadcast_tensors(*logs)).logsumexp(dim=0)
