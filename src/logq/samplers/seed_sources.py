"""SeededModule: a module with a source of randomness of its own, on the host or on its device."""

import secrets
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Self

from logq._arguments import ArgumentError, check_bool, check_int
from logq.samplers.kept_tensors import Kept, TensorKeeper
from logq.samplers.streams import (
    Place,
    SeedStream,
    Source,
    folded,
    key_of,
    place_of,
    rank_of_process,
    restore,
    take_seed,
)

__all__ = ["SeededModule"]


class SeededModule(TensorKeeper):
    """A module that draws from a generator of the CPU, or from a stream of seeds that lies where the module is.

    Either is made when it is first needed, and goes on from a state that was saved. Of several processes that have the
    same state, each draws differently: rank and worker are folded into each draw (logq.samplers.streams).

    Args:
        seed: of the generator; None takes one from the operating system.
        device: where the module is.
        dtype: as TensorKeeper.

    Raises:
        ArgumentError: the seed is negative, or 2^64 and more.

    Example:
        >>> SeededModule(seed=1).generator.initial_seed()
        1
    """

    _seed_state = Kept()  # () int64, while seeds come from the device: see `seeds_on_device`

    def __init__(
        self,
        *,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(device, dtype)
        self.seed = None if seed is None else check_int("seed", seed, 0)
        if self.seed is not None and self.seed >= 1 << 64:
            raise ArgumentError("seed", "an integer below 2**64", seed)
        self.rank = None
        self._pickled_at: int | None = None  # the rank of the process that pickled it, for workers that are spawned
        self._generator: torch.Generator | None = None
        self._states: dict[str, Tensor] = {}  # pickled or loaded, for the generator to begin with; see `restore`

    @property
    def rank(self) -> int | None:
        """What draws are folded with instead of the rank of the process; None for that."""
        return self._rank

    @rank.setter
    def rank(self, value: int | None) -> None:
        self._rank = None if value is None else check_int("rank", value, 0)

    @property
    def generator(self) -> torch.Generator:
        """The source of randomness; `get_state` and `set_state` of it make a run go on where it stopped."""
        found = self._generator
        if found is None:
            found = self._generator = torch.Generator("cpu")
            if self._states:
                restore(found, self._states)
            elif self.seed is None:
                found.manual_seed(secrets.randbits(63))
            else:
                found.manual_seed(self.seed)
        return found

    def _place(self) -> Place | None:
        """Which of several processes this one is."""
        return place_of(self._rank, self._pickled_at)

    def _source(self) -> Source:
        """What the next draw of this process is made from."""
        state = self._stream_state()
        if state is not None:
            return SeedStream(state, key_of(self._rank, self._pickled_at))
        place = self._place()
        return self.generator if place is None else folded(self.generator, place)

    @property
    def has_seeds_on_device(self) -> bool:
        """Whether seeds come from the device; see `seeds_on_device`."""
        return self._stream_state() is not None

    def _stream_state(self) -> Tensor | None:
        return self._seed_state if "_kept__seed_state" in vars(self) else None

    def seeds_on_device(self, enabled: bool = True) -> Self:
        """Take the seeds of draws from a state that lies where the sampler is, and moves on there by a kernel.

            seed_t = splitmix64(state + t * step)        t = 0, 1, 2, ... draws from now on

        A draw then needs nothing of the host: a CUDA graph that is replayed draws anew each time, and torch.compile
        makes it part of its graph. The stream begins with the next 64 bits of `generator`, and its state is part of
        `state_dict`; rank and worker are folded into each seed. A seed gives the same classes on all devices, but
        others than it gives without. Custom samplers take their randomness by logq.samplers.streams.take_seed then.

        Args:
            enabled: False goes back to the generator.

        Returns:
            The sampler.

        Example:
            >>> from logq.samplers import Uniform
            >>> one, other = (Uniform(1000, 3, seed=1).seeds_on_device() for _ in range(2))
            >>> other.load_state_dict(one.state_dict())
            <All keys matched successfully>
            >>> targets = torch.tensor([3])
            >>> [torch.equal(one.draw(targets).ids, other.draw(targets).ids) for _ in range(2)]
            [True, True]
        """
        if check_bool("enabled", enabled):
            self._stream_from(take_seed(self.generator, self.home))
        else:
            vars(self).pop("_kept__seed_state", None)
        return self

    def _stream_from(self, state: Tensor) -> None:
        own = self._stream_state()
        if own is not None:
            own.copy_(state)  # in place, where a captured graph looks for it
        else:
            with torch.inference_mode(False):  # for each draw writes to it
                self._seed_state = state.clone()

    def _source_states(self) -> dict[str, Tensor]:
        """All that a source goes on from, by name."""
        state = self._stream_state()
        stream = {} if state is None else {"stream.state": state}
        return {**stream, "generator.cpu": self.generator.get_state()}

    def _load_source_states(self, generators: Mapping[str, Tensor], streams: Mapping[str, Tensor]) -> None:
        """Go on from states, by the names that `_source_states` gave them behind the point."""
        self._states = dict(generators)
        if self._states and self._generator is not None:
            restore(self._generator, self._states)
        if streams:
            self._stream_from(streams["state"])
        elif self.has_seeds_on_device:
            self.seeds_on_device()

    def _written_to(self) -> list[Tensor]:
        """The tensors that change as the module is used."""
        state = self._stream_state()
        return [] if state is None else [state]

    def __getstate__(self) -> dict[str, Any]:
        rank = rank_of_process()
        states = self._states if self._generator is None else {"cpu": self._generator.get_state()}
        # Not as tensors: processes that are spawned get those by memory that they share, into which all of them would
        # write, or which is gone when the tensor is.
        changing = {id(tensor) for tensor in self._written_to()}
        arrays = {name: value.cpu().numpy() for name, value in vars(self).items() if id(value) in changing}
        return {
            **{name: value for name, value in vars(self).items() if name not in arrays},
            "_arrays": arrays,
            "_generator": None,
            "_states": {name: state.numpy() for name, state in states.items()},
            "_pickled_at": self._pickled_at if rank is None else rank,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays = state.pop("_arrays")
        super().__setstate__(state)
        vars(self).update({name: torch.from_numpy(array) for name, array in arrays.items()})
        self._states = {name: torch.from_numpy(one) for name, one in state["_states"].items()}
