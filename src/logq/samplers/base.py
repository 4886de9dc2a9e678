"""What a sampler is: something that draws candidates for a batch of targets and knows their expected counts."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from logq._arguments import check_int
from logq.candidates import IGNORED, Candidates, as_columns
from logq.shapes import can_look_at, check_device, check_dtype, check_ids, check_ignore_index

__all__ = ["Draw", "Sampler", "take_seed"]


class Draw(NamedTuple):
    """One sample, and the expected count that every class had in it.

    Args:
        ids: (S,) or (B, S) int64.
        log_expected_count: class ids, (N,) for a shared sample or (B, N), -> natural log of their expected counts.
        excluded: as in Candidates.
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
    """Draws sampled classes for a batch of targets. A law fills in two methods; everything else is here.

    A sampler is a torch module without parameters: it moves with `to(device)`, keeps what it has learned in
    `state_dict`, and stops learning under `eval()`. Its logarithms have the dtype of the module and float32 at least,
    so `half()` on a model around it does no harm. Draws come from its own generator, never from torch's global one:
    torch.utils.checkpoint cannot rewind it, so draw outside and hand the candidates in. What follows from the arguments
    is not in `state_dict`: build a sampler where it is to be, and not on the device "meta".

    Args:
        num_classes: C.
        seed: of the generator; None takes one from the operating system.
        device: of the draws and of what the sampler stores.
        dtype: of the logarithms, torch's default dtype if None.
    """

    learns_before_drawing = False
    """Whether a batch is learned from before it is drawn for, or after."""

    reads_targets: bool = True
    """Whether `_draw` needs more of the targets than their number of rows: if not, it can be made before them."""

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
            raise ValueError(f"seed: expected an integer below 2**64, got {seed}")
        # An empty buffer moves with the module, and so tells the device and dtype of samplers that store nothing.
        self.register_buffer("_witness", torch.empty(0, device=device, dtype=dtype), persistent=False)
        self._witness = self._witness.to(torch.promote_types(self._witness.dtype, torch.float32))
        self._generators: dict[torch.device, torch.Generator] = {}

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
        if self.device not in self._generators:
            generator = self._generators[self.device] = torch.Generator(self.device)
            if self.seed is None:
                generator.seed()
            else:
                generator.manual_seed(self.seed)
        return self._generators[self.device]

    def draw(
        self,
        targets: Tensor,  # (B,) or (B, T) int64
        *,
        ignore_index: int = IGNORED,
        generator: torch.Generator | None = None,
        need_log_q: bool = False,
    ) -> Candidates:
        """Draw the negatives of a batch.

        Args:
            targets: the true classes of each row.
            ignore_index: the value of entries that are no class.
            generator: draws from this one instead of the sampler's own.
            need_log_q: whether to raise for a true class that is never drawn, whose log Q is minus infinity. The losses
                that subtract log Q do so themselves, where they can look (logq.shapes).

        Returns:
            Candidates; its `targets` have IGNORED in the place of `ignore_index`.

        Raises:
            TypeError: targets are no int64 tensor.
            ValueError: a target leaves [0, C), targets have no one or two dimensions or are on another device.
        """
        return self._draw_eagerly(targets, ignore_index, generator, need_log_q)  # pyright: ignore[reportCallIssue]

    @torch.compiler.disable  # generators cannot be traced: this is where torch.compile breaks its graph
    @torch.no_grad()
    def _draw_eagerly(
        self, targets: Tensor, ignore_index: int, generator: torch.Generator | None, need_log_q: bool
    ) -> Candidates:
        ignore_index = check_ignore_index(ignore_index)
        if not isinstance(generator, torch.Generator | None):
            raise TypeError(f"generator: expected a torch.Generator, got {type(generator).__name__}")
        check_ids("targets", targets, self.num_classes, ignore_index=ignore_index)
        if targets.dim() not in (1, 2) or (targets.dim() == 2 and targets.shape[1] == 0):
            raise ValueError(f"targets: expected shape (B,) or (B, T) with T >= 1, got {tuple(targets.shape)}")
        if targets.device != self.device:
            raise ValueError(
                f"targets: expected them on {self.device} where the sampler is, got {targets.device}; "
                f"move it with sampler.to('{targets.device}')"
            )
        targets = targets.masked_fill(targets == ignore_index, IGNORED)
        is_true = targets != IGNORED
        self._learn(targets, before=True)
        draw = self._draw(targets, generator or self.generator)
        # Where every row has a sample of its own, the counts are asked for row by row.
        some = targets.where(is_true, 0)
        of_targets = draw.log_expected_count(some if draw.ids.dim() == 1 else as_columns(some))
        of_targets = of_targets.view(targets.shape).where(is_true, 0.0)
        of_ids = draw.log_expected_count(draw.ids)
        if need_log_q:
            _check_drawable(targets, of_targets)
        self._learn(targets, before=False)
        return Candidates(draw.ids, of_ids, targets, of_targets, draw.excluded)

    @abstractmethod
    def _draw(self, targets: Tensor, generator: torch.Generator) -> Draw:
        """The law. `targets` have IGNORED where there is no class, and may have no rows."""

    @abstractmethod
    def log_expected_count(self, ids: Tensor) -> Tensor:
        """Natural log of the expected count of classes in a sample to come; -inf where one is never drawn.

        It turns the logits of negative sampling, which approximate log( P / Q ), back into log P.

        Args:
            ids: int64 of any shape.

        Returns:
            The same shape, of the sampler's dtype.
        """

    def learn(self, targets: Tensor) -> None:
        """Take in the targets of a batch; `draw` does so in training mode. Most laws learn nothing.

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


def _check_drawable(targets: Tensor, log_expected_count: Tensor) -> None:
    never = log_expected_count == -torch.inf
    if not can_look_at(targets):
        # Without a wait: the device raises when it gets there.
        torch._assert_async(~never.any(), "targets: a true class is never drawn, its log Q is -inf")  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    elif bool(never.any()):
        raise ValueError(
            f"targets: expected classes that the sampler can draw, got {int(targets[never][0])}, whose expected count "
            "is 0: log Q says nothing about it"
        )
