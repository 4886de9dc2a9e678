"""Samplers: they draw candidates for a batch of targets and know their expected counts."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self

from logq._arguments import ArgumentError, Verbatim, check_int
from logq.candidates import IGNORED, Candidates
from logq.graph_breaks import outside_of_graphs
from logq.kernels.reference_draws import counted
from logq.processes import all_rows
from logq.samplers.draw_contexts import (
    INSTEAD,
    MadeOfNumbers,
    beneath_transform,
    check_can_draw,
    check_drawable,
    fake_mode,
    shapes_alone,
    with_numbers,
)
from logq.samplers.kept_tensors import packed, unpacked
from logq.samplers.sampler_settings import SamplerSettings
from logq.samplers.seed_sources import SeededModule
from logq.samplers.streams import SeedStream, Source, check_generator
from logq.shapes import check_device, check_dtype, check_ids, check_ignore_index
from logq.tracing import in_transform, is_exported, is_fake

__all__ = ["Draw", "Sampler"]


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


class Sampler(SeededModule, metaclass=MadeOfNumbers):
    """Draws sampled classes for a batch of targets. A subclass implements two methods; everything else is here.

    A sampler is a torch module without parameters: it moves with `to(device)` and stops learning under `eval()`. Its
    logarithms have the dtype of the module and float32 at least, so `half()` on a model around it does no harm. Draws
    come from its own generator, never from torch's global one. The generator lies on the CPU wherever the sampler is,
    and each draw takes 64 bits of it: a seed gives the same classes on all devices, but for rounding where the
    probabilities are no integers, and a state goes on on any of them. `seeds_on_device` makes a device draw without
    the host.

    `state_dict` has one entry, `_extra_state`, bytes that hold what was learned and the state of the generator: with it
    a run goes on exactly, as a pickled sampler does. Tables that follow from the arguments are not in it, and outlast
    the device "meta".

    Processes that train together (torch.distributed), and workers of a DataLoader, draw differently whatever the seed:
    rank and worker are folded into each draw, and the checkpoint of any rank lets all ranks go on, if they draw equally
    often. Each process learns from its own batches, or from those of all (`learn_from_all`). Set `rank` to the same
    number in processes that are to draw alike, as those that share a batch under tensor parallelism. Workers of a
    DataLoader draw anew in each epoch, by the seed that it gives them.

    torch.utils.checkpoint would draw, and learn, a second time in backward: that raises. Draw outside of what it is
    given, and hand the candidates in.

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

    is_random: bool = True
    """Whether a draw takes numbers from a generator."""

    reads_groups: bool = False
    """Whether draws depend on a group that each row belongs to."""

    LEARNED: ClassVar[tuple[str, ...]] = ()
    """Kept tensors that are learned, as far as the sampler has them."""

    learns_together: bool = False
    """Whether draws learn the targets of all processes; see `learn_from_all`."""

    def __init__(
        self,
        num_classes: int,
        *,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(seed=seed, device=check_device(device), dtype=check_dtype(dtype))
        self.num_classes = check_int("num_classes", num_classes)

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
    def _copies_targets(self) -> bool:
        """Whether `_counted` gives a copy of the targets."""
        return False

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
            generator: draws from this one instead of the sampler's own, the same in all processes.
            need_log_q: whether to raise for a true class that is never drawn, whose log Q is minus infinity. The losses
                that subtract log Q do so themselves, where they can look (logq.shapes).

        Returns:
            Candidates; its `targets` have IGNORED instead of `ignore_index`.

        Raises:
            TypeError: targets are not an int64 tensor.
            ValueError: a target leaves [0, C), targets do not have one or two dimensions, targets or the generator are
                on another device, or groups are given to a sampler that knows of none.
            RuntimeError: it is called inside of backward, by torch.utils.checkpoint, while a graph is made but by
                torch.compile, or by vmap that was not told its `randomness`.
        """
        ignore_index = check_ignore_index(ignore_index)
        if torch.compiler.is_compiling() and generator is None and self._fits_graphs() and not is_exported():
            are_classes = self._check(targets, groups, ignore_index)
            # Where nothing is random no seed is taken of the stream.
            source = self._source() if self.is_random else SeedStream(targets.new_zeros(()))
            return self._draw_checked(targets, groups, ignore_index, source, are_classes, need_log_q)
        return self._draw_eagerly(targets, groups, ignore_index, generator, need_log_q)

    def _fits_graphs(self) -> bool:
        """Whether a graph can hold a draw, seeds and all."""
        return self._is_sequence_of_ops() and (self.has_seeds_on_device or not self.is_random)

    def _is_sequence_of_ops(self) -> bool:
        """Whether draws make the same ops on the device each time; to be overridden where the host decides on them."""
        return True

    @outside_of_graphs  # where torch.compile breaks its graph
    def _draw_eagerly(
        self,
        targets: Tensor,
        groups: Tensor | None,
        ignore_index: int,
        generator: torch.Generator | None,
        need_log_q: bool,
    ) -> Candidates:
        check_generator(generator, self._witness.device)
        check_can_draw(moves_on=generator is None or self.training)
        if in_transform():
            same: dict[str, Any] = {"generator": generator, "ignore_index": ignore_index, "need_log_q": need_log_q}
            state = self._stream_state()
            stream = None if state is None else SeedStream(state)
            source = (lambda: generator or stream or self.generator) if self.is_random else None
            return beneath_transform(lambda one, its: self.draw(one, groups=its, **same), source, targets, groups)
        are_classes = self._check(targets, groups, ignore_index)
        is_captured = targets.device.type == "cuda" and torch.cuda.is_current_stream_capturing()
        if is_captured and not self._is_sequence_of_ops():
            raise RuntimeError(
                f"{type(self).__name__} draws while a CUDA graph is captured, but each draw or what it learns takes a"
                f" decision of the host; {INSTEAD} in there"
            )
        if (mode := fake_mode(targets, groups)) is not None:
            other = torch.Generator()
            counts = self.all_log_expected_counts
            return shapes_alone(lambda some, _: self._counted(some, None, other, True), self, counts, mode, targets)
        source = generator or self._source()
        return self._draw_checked(targets, groups, ignore_index, source, are_classes, need_log_q)

    def _check(self, targets: Tensor, groups: Tensor | None, ignore_index: int) -> bool:
        """Check what is drawn for; whether all targets are known to be classes."""
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
        if self._witness.device.type == "meta" and not is_fake(targets):
            hint = "move the model by to_empty(device=...)"
            raise ArgumentError("sampler", "a device that has memory", Verbatim("meta"), hint)
        return are_classes

    def _draw_checked(
        self,
        targets: Tensor,
        groups: Tensor | None,
        ignore_index: int,
        source: Source,
        are_classes: bool,
        need_log_q: bool,
    ) -> Candidates:
        # A copy in any case: the caller may write the next batch to the same memory.
        if not are_classes and ignore_index != IGNORED:
            targets = targets.masked_fill(targets == ignore_index, IGNORED).contiguous()
        elif not self._copies_targets:
            targets = targets.clone(memory_format=torch.contiguous_format)
        with torch.no_grad():
            return self._candidates(targets, groups, source, are_classes, need_log_q)

    def _candidates(
        self, targets: Tensor, groups: Tensor | None, generator: Source, are_classes: bool, need_log_q: bool
    ) -> Candidates:
        """Draw for targets that are checked, and learn them; `are_classes` tells that none of them is IGNORED."""
        self._learn(targets, before=True)
        candidates = self._counted(targets, groups, generator, are_classes)
        if need_log_q:
            check_drawable(targets, candidates.true_log_expected_count)
        self._learn(targets, before=False)
        return candidates

    def _counted(self, targets: Tensor, groups: Tensor | None, generator: Source, are_classes: bool) -> Candidates:
        """One sample, with the expected counts of what was drawn and of the targets."""
        draw = self._draw_in_groups(targets, generator, groups)
        alike = draw.log_expected_count == self.log_expected_count  # counts of classes alone, whatever the row
        of_ids, of_targets = counted(draw.ids, targets, draw.log_expected_count, are_classes, alike)
        return Candidates(draw.ids, of_ids, targets, of_targets, draw.excluded)

    @abstractmethod
    def _draw(self, targets: Tensor, generator: Source) -> Draw:
        """Draw. `targets` have IGNORED where there is no class, and may have no rows."""

    def _draw_in_groups(self, targets: Tensor, generator: Source, groups: Tensor | None) -> Draw:
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
        with with_numbers() as mode:
            found = self.log_expected_count(torch.arange(self.num_classes, device=self.home if mode else self.device))
        return found if mode is None else mode.from_tensor(found, static_shapes=True).to(self.device)

    def sample_size(self) -> float:
        """S, how many classes a sample to come has: the sum of their expected counts, if nothing shorter is known."""
        return float(self.all_log_expected_counts().double().exp().sum())

    def learn(self, targets: Tensor) -> None:
        """Take in the targets of a batch; `draw` does so in training mode. Most samplers learn nothing.

        Args:
            targets: (B,) or (B, T) int64, IGNORED where there is no class.
        """

    def learn_from_all(self, enabled: bool = True) -> Self:
        """Let draws learn the targets of all processes of torch.distributed, and not those of this one alone.

        All then know the same, which is what one process would that had their batches in one. Each draw of a sampler
        that learns is a collective: all processes draw equally often.

        Args:
            enabled: False goes back to what this process draws for.

        Example:
            >>> from logq.samplers import LearnedUnigram
            >>> LearnedUnigram(10, num_sampled=2).learn_from_all().learns_together
            True
        """
        for part in self.modules():
            if isinstance(part, Sampler):
                part.learns_together = enabled
        return self

    def _learns_targets(self) -> bool:
        return type(self).learn is not Sampler.learn

    def _learn(self, targets: Tensor, *, before: bool) -> None:
        """Learn in training mode, if now, before or after the draw, is the time for it."""
        if self.training and before == self.learns_before_drawing:
            if self.learns_together and self._learns_targets() and not is_fake(targets):
                targets = all_rows(targets.reshape(-1), doing="learn the targets of all")
            self.learn(targets)

    def _learned(self) -> dict[str, Tensor]:
        """What was learned, by name, in tensors whose shapes do not change."""
        return {name: getattr(self, name) for name in self.LEARNED if hasattr(self, name)}

    def _load_learned(self, learned: Mapping[str, Tensor]) -> None:
        """Take over what another sampler of this kind had learned."""
        for name, own in Sampler._learned(self).items():
            if name not in learned:
                raise ArgumentError(name, "it in the state", Verbatim(f"only {', '.join(learned) or 'nothing'}"))
            if learned[name].shape != own.shape:
                raise ArgumentError(name, f"shape {tuple(own.shape)}", tuple(learned[name].shape))
            own.copy_(learned[name])

    def get_extra_state(self) -> Tensor:
        """(n,) uint8: what was learned, and the state of the generator. `state_dict` calls it."""
        tensors = {f"learned.{name}": value for name, value in self._learned().items()}
        return packed(tensors | self._source_states())

    @torch.no_grad()
    def set_extra_state(self, state: Tensor) -> None:
        """Take over what `get_extra_state` gave, `seeds_on_device` too. `load_state_dict` calls it.

        Raises:
            ValueError: it is the state of something else.
        """
        tensors = unpacked(state)
        parts: dict[str, dict[str, Tensor]] = {"learned": {}, "generator": {}, "stream": {}}
        for name, value in tensors.items():
            part, _, key = name.partition(".")
            parts.setdefault(part, {})[key] = value
        self._load_learned(parts["learned"])
        self._load_source_states(parts["generator"], parts["stream"])

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """As nn.Module does; states of 0.1 have what was learned under names of its own, and no generator."""
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        extra = f"{prefix}_extra_state"
        if extra in state_dict:
            return
        former = {name: state_dict[prefix + name] for name in self.LEARNED if prefix + name in state_dict}
        if former:
            with torch.no_grad():
                self._load_learned(former)
            for name in former:
                if prefix + name in unexpected_keys:
                    unexpected_keys.remove(prefix + name)
        if extra in missing_keys and (former or not self._learned()):
            missing_keys.remove(extra)

    def _written_to(self) -> list[Tensor]:
        return [*super()._written_to(), *self._learned().values()]
