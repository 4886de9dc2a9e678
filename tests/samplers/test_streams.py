"""Where states come from and who draws: states of 0.1, workers of a DataLoader, other devices, tables written to."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from logq.nn import FullSoftmaxLoss, SampledSoftmaxLoss
from logq.samplers import InBatch, LearnedUnigram, LogUniform, Partition, Prefetch, Sampler, Uniform, Unigram
from logq.samplers.streams import Place, folded, restore

TARGETS = torch.tensor([3, 0, 7, 3])

# What samplers of 0.1 had in their state_dict.
FORMER: dict[str, tuple[Callable[[], Sampler], dict[str, Tensor]]] = {
    "uniform": (lambda: Uniform(9, 3, seed=1), {}),
    "unigram": (lambda: Unigram(range(1, 10), 3, seed=1), {}),
    "learned": (lambda: LearnedUnigram(9, 3, seed=1), {"counts": torch.arange(1, 10)}),
    "in_batch-counts": (lambda: InBatch(9, counts=range(1, 10), seed=1), {"others": torch.tensor(5.0)}),
    "in_batch": (
        lambda: InBatch(9, seed=1),
        {
            "others": torch.tensor(5.0),
            "seen": torch.tensor(40),
            "last": torch.arange(9),
            "gap": torch.arange(1.0, 10.0),
            "copies": torch.ones(9),
        },
    ),
    "partition": (lambda: Partition(9, [[1, 2], [0, 3, 7]], seed=1), {"_part": torch.tensor(1)}),
}


@pytest.mark.parametrize("name", FORMER)
def test_states_of_0_1_are_loaded(name):
    make, state = FORMER[name]
    sampler, twin = make(), make()
    sampler.load_state_dict(state)
    for key, value in state.items():
        assert torch.equal(getattr(sampler, key), value)
    classes = torch.tensor([3, 7])
    assert bool(sampler.log_expected_count(classes).isfinite().all())
    if state:
        assert not torch.equal(sampler.log_expected_count(classes), twin.log_expected_count(classes))
    assert torch.equal(sampler.generator.get_state(), twin.generator.get_state())
    model = SampledSoftmaxLoss(4, 9, make())
    model.load_state_dict({**{f"sampler.{key}": value for key, value in state.items()}, **parameters_of(model)})


def parameters_of(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def test_what_was_learned_must_be_there():
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "_extra_state"'):
        LearnedUnigram(9, 3).load_state_dict({})
    with pytest.raises(ValueError, match=r"^seen: expected it in the state, got only others"):
        InBatch(9).load_state_dict({"others": torch.tensor(5.0)})


def test_class_weights_go_to_a_loss_without_a_sampler_and_back():
    sampled, full = SampledSoftmaxLoss(4, 9, LearnedUnigram(9, 3, seed=1)), FullSoftmaxLoss(4, 9)
    full.load_state_dict(sampled.state_dict())
    assert torch.equal(full.weight, sampled.weight)
    other = SampledSoftmaxLoss(4, 9, Uniform(9, 3, seed=1))
    other.load_state_dict(full.state_dict())
    assert torch.equal(other.weight, sampled.weight)


def test_a_table_that_was_written_to_ends_no_search():
    for value in (1000.0, float("nan")):
        sampler = Unigram(range(1, 10), 3, replacement=False, seed=1)
        sampler.log_q.fill_(value)
        with pytest.raises(ValueError, match=r"^p: expected probabilities"):
            sampler.log_expected_count(TARGETS)


def test_a_generator_on_another_device_is_told():
    generator = mock.Mock(torch.Generator, device=torch.device("cuda:1"))
    with pytest.raises(ValueError, match=r"^generator: expected one on the CPU, .* the sampler is, got one on cuda:1"):
        Uniform(9, 3).draw(TARGETS, generator=generator)


# -------------------------------------------------------------------------------------------------------- generators


def test_a_stream_of_another_kind_of_device_is_not_begun_anew():
    states = {"cuda:0": torch.arange(16, dtype=torch.uint8)}
    one, other, later = torch.Generator(), torch.Generator(), torch.Generator()
    restore(one, states)
    restore(other, states)
    restore(later, {"cuda:0": torch.arange(1, 17, dtype=torch.uint8)})
    assert one.initial_seed() == other.initial_seed() != later.initial_seed()


def test_a_sampler_takes_the_state_of_its_own_device_first():
    sampler = Uniform(1000, 3, seed=1)
    sampler._states = {
        "cuda:1": torch.zeros(16, dtype=torch.uint8),
        "cpu": torch.Generator().manual_seed(5).get_state(),
    }
    assert sampler.generator.initial_seed() == 5


def test_places_take_one_number_each():
    """Whatever is drawn from what they get, so that all of them stay together."""
    generators = [torch.Generator().manual_seed(3) for _ in range(3)]
    seeds = [folded(one, place).initial_seed() for one, place in zip(generators, PLACES, strict=True)]
    assert len(set(seeds)) == 3
    for one in generators[1:]:
        assert torch.equal(one.get_state(), generators[0].get_state())


PLACES = [Place(0), Place(1), Place(1, worker=12345)]


def test_a_rank_is_checked():
    for sampler in (Uniform(9, 3), Prefetch(Uniform(9, 3))):
        with pytest.raises(ValueError, match=r"^rank: "):
            sampler.rank = -1
        sampler.rank = 2
        assert sampler.rank == 2


def test_drawing_ahead_goes_on_for_a_rank():
    sampler, alone = Prefetch(Uniform(1000, 3, seed=1)), Uniform(1000, 3, seed=1)
    sampler.rank = alone.rank = 1
    for _ in range(4):
        assert torch.equal(sampler.draw(TARGETS).ids, alone.draw(TARGETS).ids)
        (thread,) = sampler._threads.values()
        assert thread.ahead is not None
        thread.ahead.result.result()
        assert thread.ahead.fits(sampler.sampler, sampler.generator)


# --------------------------------------------------------------------------------------------- workers of a DataLoader


class Drawn(Dataset[Tensor]):
    """Each item is a draw."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Tensor:
        return self.sampler.draw(TARGETS).ids


def epochs(sampler: Sampler, seed: int, **options: Any) -> list[Tensor]:
    """(4, S) draws of each of two epochs."""
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(Drawn(sampler), batch_size=None, generator=generator, **options)
    return [torch.stack(list(loader)) for _ in range(2)]


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_and_epochs_draw_differently(used):
    def run(seed: int) -> list[Tensor]:
        sampler = LogUniform(1 << 40, 5, seed=1)
        if used:
            sampler.draw(TARGETS)
        return epochs(sampler, seed, num_workers=2)

    drawn = run(1)
    assert torch.cat(drawn).unique(dim=0).shape == (8, 5)
    assert all(torch.equal(one, other) for one, other in zip(drawn, run(1), strict=True))
    assert not torch.equal(run(2)[0], drawn[0])


def test_the_process_itself_draws_as_without_a_loader():
    sampler, twin = LogUniform(1 << 40, 5, seed=1), LogUniform(1 << 40, 5, seed=1)
    for epoch in epochs(sampler, 1):
        for ids in epoch:
            assert torch.equal(ids, twin.draw(TARGETS).ids)


def test_a_process_that_unpickles_a_sampler_has_the_rank_of_the_one_that_pickled_it(monkeypatch):
    """As workers that are spawned do, which know of no process group."""
    sampler, twin = Uniform(1000, 3, seed=1), Uniform(1000, 3, seed=1)
    twin.rank = 1
    for module in ("streams", "seed_sources"):
        monkeypatch.setattr(f"logq.samplers.{module}.rank_of_process", lambda: 1)
    state = sampler.__getstate__()
    assert torch.equal(sampler.draw(TARGETS).ids, twin.draw(TARGETS).ids)
    monkeypatch.undo()
    copied = Uniform(1000, 3, seed=1)
    copied.__setstate__(state)
    again = Uniform(1000, 3, seed=1)
    again.rank = 1
    assert torch.equal(copied.draw(TARGETS).ids, again.draw(TARGETS).ids)
