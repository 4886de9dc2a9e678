"""Prefetch: the next draw of a sampler is made by a thread while the training step runs."""

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq.candidates import IGNORED, Candidates
from logq.samplers.sampler import Draw, Sampler
from logq.samplers.streams import Place, SeedStream, Source, folded

__all__ = ["Prefetch"]


class Prefetch(Sampler):
    """Makes the draws of another sampler one draw ahead, in its own thread.

        Q(y) = that of the sampler; the candidates are the same bit for bit

    After each draw a thread draws from a copy of the generator what the next one would give: the sample and the log of
    its expected counts. The generator moves on only when the sample is taken, and it is taken only if the generator and
    the sampler are as the thread found them, and the batch has as many rows if each has a sample. Else it is dropped
    and drawn again: after `generator.set_state` or `manual_seed`, `load_state_dict`, `learn`, a last batch that is
    smaller. So states saved between two draws are those of the sampler alone, and nothing drawn ahead can get lost. A
    run that draws from two generators in turn gains nothing.

    Cost: the memory of one more sample, some 0.1 ms per draw for handing it over, and a part of a core. What is left of
    a draw is the checks and the expected counts of the targets. Draws are fast as they are: where compiled losses keep
    all cores busy a step takes as long as without, or up to 6 per cent longer; beside an idle core it takes 4 to 6 per
    cent less with unigram draws for each row, and else the same (benchmarks/README.md). So it is for idle cores and for
    custom samplers that draw slowly. The thread runs torch on one core, ends with the sampler, and is there on the CPU
    only: other devices draw while Python goes on anyway. Processes forked from this one, and copies, start threads of
    their own. A change of the sampler shows in its attributes and buffers; a custom sampler that learns into a list or
    an array in place must not be drawn ahead.

    Args:
        sampler: any that needs no more of the targets than their number of rows. A `Mixture` of such goes in whole;
            beside in-batch negatives the other part goes in, `Mixture([InBatch(C), Prefetch(Uniform(C, 1000))])`.

    Raises:
        TypeError: `sampler` is not a sampler.
        ValueError: it draws for given targets, as in-batch negatives do. `draw` raises what the thread met with.

    Example:
        >>> from logq.samplers import Unigram
        >>> alone, ahead = Unigram([1, 2, 3], 5, seed=1), Prefetch(Unigram([1, 2, 3], 5, seed=1))
        >>> targets = torch.tensor([0, 2])
        >>> [torch.equal(alone.draw(targets).ids, ahead.draw(targets).ids) for _ in range(3)]
        [True, True, True]
    """

    reads_targets = False

    def __init__(self, sampler: Sampler) -> None:
        if not isinstance(sampler, Sampler):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentTypeError("sampler", "a sampler", Verbatim(type(sampler).__name__))
        if sampler.reads_targets:
            found = Verbatim(f"{type(sampler).__name__}, which cannot draw before it has them")
            raise ArgumentError("sampler", "one whose draws do not depend on the targets", found)
        super().__init__(sampler.num_classes, seed=sampler.seed, device=sampler.device, dtype=sampler.dtype)
        self.sampler = sampler
        self.is_random = sampler.is_random
        self._threads: dict[int, _Thread] = {}  # one at most for each process that this one was forked to

    @property
    def generator(self) -> torch.Generator:
        """That of the sampler."""
        return self.sampler.generator

    @property
    def rank(self) -> int | None:
        """That of the sampler."""
        return self.sampler.rank

    @rank.setter
    def rank(self, value: int | None) -> None:
        if value is not None or "sampler" in self._modules:  # which it is not yet while this one is made
            self.sampler.rank = value

    def _stream_state(self) -> Tensor | None:
        return self.sampler._stream_state()

    def _stream_from(self, state: Tensor) -> None:
        self.sampler._stream_from(state)

    def seeds_on_device(self, enabled: bool = True) -> Self:
        """Let the sampler do so. Nothing is drawn ahead then."""
        self.sampler.seeds_on_device(enabled)
        return self

    def _source(self) -> Source:
        if self.has_seeds_on_device:
            return self.sampler._source()
        return self.sampler.generator  # a draw takes what is for this process from it, ahead or not

    def _is_sequence_of_ops(self) -> bool:
        return self.sampler._is_sequence_of_ops()

    def log_expected_count(self, ids: Tensor) -> Tensor:
        """That of the sampler."""
        return self.sampler.log_expected_count(ids)

    def sample_size(self) -> float:
        """That of the sampler."""
        return self.sampler.sample_size()

    def learn(self, targets: Tensor) -> None:
        """Let the sampler take in the targets."""
        self.sampler.learn(targets)

    @property
    def _copies_targets(self) -> bool:
        return self.device.type != "cpu" and self.sampler._copies_targets

    def _counted(self, targets: Tensor, groups: Tensor | None, generator: Source, are_classes: bool) -> Candidates:
        if targets.device.type == "cpu":
            return super()._counted(targets, groups, generator, are_classes)
        self._threads.clear()
        return self.sampler._counted(targets, groups, self._source_from(generator), are_classes)

    def _place_for(self, generator: Source) -> Place | None:
        return self.sampler._place() if generator is self.sampler.generator else None

    def _source_from(self, generator: Source) -> Source:
        """What the sampler draws from, if a draw of it is not taken from the thread."""
        return generator if isinstance(generator, SeedStream) else _source_at(generator, self._place_for(generator))

    def _draw(self, targets: Tensor, generator: Source) -> Draw:
        if targets.device.type != "cpu" or isinstance(generator, SeedStream):
            self._threads.clear()
            return self.sampler._draw(targets, self._source_from(generator))
        place = self._place_for(generator)
        if targets.device.type != "cpu":
            self._threads.clear()
            return self.sampler._draw(targets, _source_at(generator, place))
        process = os.getpid()
        thread = self._threads.get(process) or self._threads.setdefault(process, _Thread())
        with thread.lock:  # so that two threads which draw do not take one sample
            thread.wanted = generator, targets.shape[0], place
            ahead, thread.ahead = thread.ahead, None
            if ahead is not None and ahead.place == place and ahead.fits(self.sampler, generator):
                draw, after = ahead.result.result()
                if draw.ids.dim() == 1 or draw.ids.shape[0] == targets.shape[0]:
                    generator.set_state(after)
                    return draw
            return self.sampler._draw(targets, _source_at(generator, place))

    def _learn(self, targets: Tensor, *, before: bool) -> None:
        self.sampler._learn(targets, before=before)
        if before or self.has_seeds_on_device:
            return
        thread = self._threads.get(os.getpid())
        if thread is not None:  # the end of a draw: from here on the next one is known
            thread.start(self.sampler, self._draw_from)

    @staticmethod
    @torch.no_grad()
    def _draw_from(sampler: Sampler, state: Tensor, num_rows: int, place: Place | None) -> tuple[Draw, Tensor]:
        """What a draw from a generator of that state gives, with the counts of its sample, and the state after it."""
        generator = torch.Generator()
        generator.set_state(state)
        draw = sampler._draw(torch.full((num_rows,), IGNORED, device="cpu"), _source_at(generator, place))
        of_ids = draw.log_expected_count(draw.ids)

        def log_expected_count(classes: Tensor) -> Tensor:
            return of_ids if classes is draw.ids else draw.log_expected_count(classes)

        return draw._replace(log_expected_count=log_expected_count), generator.get_state()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_threads": {}}


def _source_at(generator: torch.Generator, place: Place | None) -> torch.Generator:
    return generator if place is None else folded(generator, place)


class _Ahead(NamedTuple):
    """A draw that is on its way, and from what it was made."""

    state: Tensor  # of the generator
    sampler: list[object]
    place: Place | None
    result: Future[tuple[Draw, Tensor]]  # with the state of the generator after it

    def fits(self, sampler: Sampler, generator: torch.Generator) -> bool:
        """Whether a draw by `sampler` from `generator` would be this one."""
        found = _all_of(sampler)
        same = len(found) == len(self.sampler) and all(
            one is other or (isinstance(one, int) and one == other)
            for one, other in zip(found, self.sampler, strict=True)
        )
        return same and torch.equal(generator.get_state(), self.state)


class _Thread:
    """One thread, and what it has drawn. Not in a copy of the sampler, nor in another process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted: tuple[torch.Generator, int, Place | None] | None = None  # of the last draw: from what, rows, where
        self.ahead: _Ahead | None = None
        self.pool: ThreadPoolExecutor | None = None

    def start(
        self, sampler: Sampler, draw_from: Callable[[Sampler, Tensor, int, Place | None], tuple[Draw, Tensor]]
    ) -> None:
        """Begin the draw that comes next, if the last one is repeated."""
        with self.lock:
            if self.wanted is None or self.ahead is not None:
                return
            generator, num_rows, place = self.wanted
            state = generator.get_state()
            found = _all_of(sampler)  # before the thread looks: what changes later shows
            with contextlib.suppress(RuntimeError):  # while Python ends no thread takes work any more
                if self.pool is None:
                    self.pool = _one_thread()
                self.ahead = _Ahead(state, found, place, self.pool.submit(draw_from, sampler, state, num_rows, place))


def _one_thread() -> ThreadPoolExecutor:
    """A thread for which torch runs on one core. It ends when the pool is collected, or Python ends."""
    pool = ThreadPoolExecutor(1, "logq-prefetch")
    # A thread begins with the number of torch's threads that was set last, and settles it when it is first asked for.
    # Setting it sets it for the thread itself and for those to come: for them it is put back.
    others = torch.get_num_threads()
    pool.submit(torch.get_num_threads).result()
    pool.submit(torch.set_num_threads, 1).result()
    torch.set_num_threads(others)
    return pool


def _all_of(sampler: Sampler) -> list[object]:
    """All that makes a sampler what it is, so that a change shows: attributes, tensors and how often those changed."""
    found: list[object] = []
    for part in sampler.modules():
        found += vars(part).values()
        for tensor in [*part.buffers(recurse=False), *vars(part).values()]:
            if isinstance(tensor, Tensor):
                found += (tensor, 0 if tensor.is_inference() else tensor._version)
    return found
