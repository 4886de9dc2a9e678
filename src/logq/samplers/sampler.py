"""Samplers: they draw candidates for a batch of targets and know their expected counts."""

import math
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import Self

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_int
from logq.candidates import IGNORED, Candidates
from logq.graph_breaks import outside_of_graphs
from logq.samplers.sampler_settings import SamplerSettings
from logq.shapes import can_look_at, check_device, check_dtype, check_ids, check_ignore_index

__all__ = ["Draw", "Sampler", "take_seed"]

FEW = 1 << 16
"""Ids that are copied to save a call: with more of them the copy costs more than the call."""


class Draw(NamedTuple):
    """One sample, and the expected count that every class had in it.

    Args:
        ids: (S,) or (B, S) int64.
        log_expected_count: class ids, (N,) for a shared sample or (B, N), -> natural log of their expected counts.
        excluded: as in Candidates.

    Example:
        >>> draw = Draw(torch.tensor([3, 1]), lambda ids: torch.zeros(ids.shape))
        >>> draw.log_expected_count(draw.ids)
        tensor([0., 0.])
    """

    ids: Tensor
    log_expected_count: Callable[[Tensor], Tensor]
    excluded: Tensor | None = None


def take_seed(generator: torch.Generator, device: torch.device) -> Tensor:
    """64 bits from a generator, () int64: all the randomness that a draw of the kernels takes, whatever its size.

    Example:
        >>> take_seed(torch.Generator().manual_seed(1), torch.device("cpu")).shape
        torch.Size([])
    """
    return torch.empty((), dtype=torch.int64, device=device).random_(-(1 << 63), None, generator=generator)


class Sampler(nn.Module, ABC):
    """Draws sampled classes for a batch of targets. A subclass implements two methods; everything else is here.

    A sampler is a torch module without parameters: it moves with `to(device)`, keeps what it has learned in
    `state_dict`, and stops learning under `eval()`. Its logarithms have the dtype of the module and float32 at least,
    so `half()` on a model around it does no harm. Draws come from its own generator, never from torch's global one:
    torch.utils.checkpoint cannot rewind it, so draw outside and hand the candidates in. What follows from the arguments
    is not in `state_dict`: build a sampler where it is to be, and not on the device "meta". A pickled sampler has the
    state of its generator, and draws what it would have drawn next.

    Args:
        num_classes: C.
        seed: of the generator; None takes one from the operating system.
        device: of the draws and of what the sampler stores.
        dtype: of the logarithms, torch's default dtype if None.

    Example:
        >>> class FirstHalf(Sampler):
        ...     def _draw(self, targets, generator):
        ...         return Draw(torch.arange(self.num_classes // 2), self.log_expected_count)
        ...
        ...     def log_expected_count(self, ids):
        ...         return (ids < self.num_classes // 2).to(self.dtype).log()
        >>> FirstHalf(6).draw(torch.tensor([1, 5])).true_log_expected_count
        tensor([0., -inf])
    """

    learns_before_drawing = False
    """Whether a batch is learned from before it is drawn for, or after."""

    reads_targets: bool = True
    """Whether `_draw` needs more of the targets than their number of rows: if not, it can be made before them."""

    reads_groups: bool = False
    """Whether draws depend on a group that each row belongs to."""

    _witness: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        device, dtype = check_device(device), check_dtype(dtype)
        self.num_classes = check_int("num_classes", num_classes)
        self.seed = None if seed is None else check_int("seed", seed, 0)
        if self.seed is not None and self.seed >= 1 << 64:
            raise ArgumentError("seed", "an integer below 2**64", seed)
        # An empty buffer moves with the module, and so tells the device and dtype of samplers that store nothing.
        self.register_buffer("_witness", torch.empty(0, device=device, dtype=dtype), persistent=False)
        self._witness = self._witness.to(torch.promote_types(self._witness.dtype, torch.float32))
        self._generators: dict[torch.device, torch.Generator] = {}
        self._unpickled: dict[str, Tensor] = {}  # states of generators by the names of their devices

    @classmethod
    def from_settings(cls, settings: SamplerSettings) -> Self:
        """Make the sampler from what an estimator knows; logq.samplers.registry calls it for samplers with a name.

        Args:
            settings: of which a sampler takes what it has a use for.
        """
        return cls(settings.num_classes, seed=settings.seed)

    @property
    def device(self) -> torch.device:
        """Where draws are made."""
        return self._witness.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the logarithms."""
        return self._witness.dtype

    @property
    def generator(self) -> torch.Generator:
        """The source of randomness; `get_state` and `set_state` of it make a run go on where it stopped."""
        # One for each device it has been on: coming back from another must not start the same draws again.
        device = self._witness.device
        found = self._generators.get(device)
        if found is None:
            found = self._generators[device] = torch.Generator(device)
            if str(device) in self._unpickled:
                found.set_state(self._unpickled.pop(str(device)))
            elif self.seed is None:
                found.manual_seed(secrets.randbits(63))
            else:
                found.manual_seed(self.seed)
        return found

    @outside_of_graphs  # generators cannot be traced: this is where torch.compile breaks its graph
    def draw(
        self,
        targets: Tensor,  # (B,) or (B, T) int64
        *,
        groups: Tensor | None = None,  # (B,) int64
        ignore_index: int = IGNORED,
        generator: torch.Generator | None = None,
        need_log_q: bool = False,
    ) -> Candidates:
        """Draw the negatives of a batch.

        Args:
            targets: the true classes of each row.
            groups: the group that each row belongs to, for samplers that draw from the classes of one (`WithinGroup`);
                None takes that of its first true class.
            ignore_index: the value of entries that are no class.
            generator: draws from this one instead of the sampler's own.
            need_log_q: whether to raise for a true class that is never drawn, whose log Q is minus infinity. The losses
                that subtract log Q do so themselves, where they can look (logq.shapes).

        Returns:
            Candidates; its `targets` have IGNORED instead of `ignore_index`.

        Raises:
            TypeError: targets are not an int64 tensor.
            ValueError: a target leaves [0, C), targets do not have one or two dimensions or are on another device, or
                groups are given to a sampler that knows of none.
        """
        ignore_index = check_ignore_index(ignore_index)
        if generator is not None and not isinstance(generator, torch.Generator):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentTypeError("generator", "a torch.Generator", Verbatim(type(generator).__name__))
        are_classes = check_ids("targets", targets, self.num_classes, ignore_index=ignore_index)
        if targets.dim() not in (1, 2) or (targets.dim() == 2 and targets.shape[1] == 0):
            raise ArgumentError("targets", "shape (B,) or (B, T) with T >= 1", tuple(targets.shape))
        if targets.device != self._witness.device:
            raise ArgumentError(
                "targets",
                f"a tensor on {self.device}, where the sampler is",
                Verbatim(targets.device),
                f"move it with sampler.to('{targets.device}')",
            )
        if groups is not None and not self.reads_groups:
            raise ArgumentError("groups", f"None, as {type(self).__name__} draws alike for all groups", groups)
        # A copy in any case: the caller may write the next batch to the same memory.
        if are_classes or ignore_index == IGNORED:
            targets = targets.clone(memory_format=torch.contiguous_format)
        else:
            targets = targets.masked_fill(targets == ignore_index, IGNORED).contiguous()
        with torch.no_grad():
            return self._candidates(targets, groups, generator or self.generator, are_classes, need_log_q)

    def _candidates(
        self, targets: Tensor, groups: Tensor | None, generator: torch.Generator, are_classes: bool, need_log_q: bool
    ) -> Candidates:
        """Draw for targets that are checked; `are_classes` tells that none of them is IGNORED."""
        self._learn(targets, before=True)
        draw = self._draw_in_groups(targets, generator, groups)
        is_true = None if are_classes else targets != IGNORED
        some = targets if is_true is None else targets.where(is_true, 0)
        if draw.log_expected_count == self.log_expected_count and draw.ids.numel() <= FEW:
            # Counts of classes alone, whatever the row: one look-up does for both.
            both = self.log_expected_count(torch.cat([draw.ids.view(-1), some.view(-1)]))
            of_ids, of_targets = both.split([draw.ids.numel(), some.numel()])
            of_ids, of_targets = of_ids.view(draw.ids.shape), of_targets.view(some.shape)
        else:
            # Where every row has a sample of its own, the counts are asked for row by row.
            per_row = draw.ids.dim() == 2 and some.dim() == 1
            of_targets = draw.log_expected_count(some[:, None])[:, 0] if per_row else draw.log_expected_count(some)
            of_ids = draw.log_expected_count(draw.ids)
        if is_true is not None:
            of_targets = of_targets.where(is_true, 0.0)
        if need_log_q:
            _check_drawable(targets, of_targets)
        self._learn(targets, before=False)
        return Candidates(draw.ids, of_ids, targets, of_targets, draw.excluded)

    @abstractmethod
    def _draw(self, targets: Tensor, generator: torch.Generator) -> Draw:
        """Draw. `targets` have IGNORED where there is no class, and may have no rows."""

    def _draw_in_groups(self, targets: Tensor, generator: torch.Generator, groups: Tensor | None) -> Draw:
        """The same for rows that belong to groups; to be overridden where `reads_groups`."""
        return self._draw(targets, generator)

    @abstractmethod
    def log_expected_count(self, ids: Tensor) -> Tensor:
        """Natural log of the expected count of classes in a sample to come; -inf where one is never drawn.

        It turns the logits of negative sampling, which approximate log( P / Q ), back into log P.

        Args:
            ids: int64 of any shape.

        Returns:
            The same shape, of the sampler's dtype.
        """

    def all_log_expected_counts(self) -> Tensor:
        """(C,) `log_expected_count` of all classes."""
        return self.log_expected_count(torch.arange(self.num_classes, device=self.device))

    def sample_size(self) -> float:
        """S, how many classes a sample to come has: the sum of their expected counts, if nothing shorter is known."""
        return float(self.all_log_expected_counts().double().exp().sum())

    def learn(self, targets: Tensor) -> None:
        """Take in the targets of a batch; `draw` does so in training mode. Most samplers learn nothing.

        Args:
            targets: (B,) or (B, T) int64, IGNORED where there is no class.
        """

    def _learn(self, targets: Tensor, *, before: bool) -> None:
        """Learn in training mode, if now, before or after the draw, is the time for it."""
        if self.training and before == self.learns_before_drawing:
            self.learn(targets)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Sampler":
        """As nn.Module does, but floating point buffers stay float32 at least."""

        def keep(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            if moved.is_floating_point() and moved.dtype.itemsize < 4:
                return tensor.to(moved.device)
            return moved

        return super()._apply(keep, recurse)

    def __getstate__(self) -> dict[str, Any]:
        states = {str(device): generator.get_state() for device, generator in self._generators.items()}
        return {**vars(self), "_generators": {}, "_unpickled": {**self._unpickled, **states}}


def _check_drawable(targets: Tensor, log_expected_count: Tensor) -> None:
    if not can_look_at(targets):
        # Without a wait: the device raises when it gets there.
        never = (log_expected_count == -torch.inf).any()
        torch._assert_async(~never, "targets: a true class is never drawn, its log Q is -inf")  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    elif float(log_expected_count.sum()) == -math.inf:  # so is the sum, and only then
        never = log_expected_count == -torch.inf
        raise ArgumentError(
            "targets",
            "classes that the sampler can draw",
            int(targets[never][0]),
            "its expected count is 0, so its log Q is not finite",
        )
