"""Seeds that come from the device: a stream of their own, which states and processes share as they do a generator."""

import copy
import pickle
from collections import Counter
from itertools import pairwise
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from cases import SAMPLERS
from logq.candidates import Candidates
from logq.kernels.distributions import random_bits
from logq.samplers import LearnedUnigram, Mixture, Prefetch, Sampler, Uniform, Unigram
from logq.samplers.kept_tensors import WITNESS
from logq.samplers.streams import SeedStream, key_of, take_seed

C = 40
TARGETS = torch.tensor([3, 0, 7, 3, 39])
CPU = torch.device("cpu")


def make(name: str, seed: int = 1) -> Sampler:
    return SAMPLERS[name](C, torch.float64, seed).seeds_on_device()


def state_of(sampler: Sampler) -> Tensor:
    state = sampler._stream_state()
    assert state is not None
    return state


def alike(one: Candidates, other: Candidates) -> bool:
    return all((a is None and b is None) or torch.equal(a, b) for a, b in zip(one, other, strict=True))  # pyright: ignore[reportArgumentType]


def test_a_stream_is_splitmix64():
    """Its first numbers for the state 1234567, as the reference implementation of Vigna gives them."""
    stream = SeedStream(torch.tensor(1234567))
    found = [int(take_seed(stream, CPU)) % (1 << 64) for _ in range(5)]
    assert found == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_a_key_is_mixed_in():
    state, key = torch.tensor(5), key_of(1, None)
    first = torch.tensor(0)
    expected = random_bits(random_bits(state, first) ^ key, first)
    assert torch.equal(take_seed(SeedStream(state.clone(), key), CPU), expected)


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_seed_is_one_stream(name):
    one, other = make(name), make(name)
    draws = [one.draw(TARGETS) for _ in range(3)]
    assert all(alike(draw, other.draw(TARGETS)) for draw in draws)
    if one.is_random:
        assert len({tuple(draw.ids.flatten().tolist()) for draw in draws}) > 1
        assert any(not torch.equal(draw.ids, make(name, seed=2).draw(TARGETS).ids) for draw in draws)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_state_goes_on(name):
    one = make(name)
    one.draw(TARGETS)
    fresh = SAMPLERS[name](C, torch.float64, 9)  # the state says that seeds come from the device
    fresh.load_state_dict(one.state_dict())
    again = make(name, seed=5)
    again.load_state_dict(one.state_dict())
    others = [fresh, again, pickle.loads(pickle.dumps(one)), copy.deepcopy(one)]
    for _ in range(2):
        expected = one.draw(TARGETS)
        assert all(alike(expected, other.draw(TARGETS)) for other in others)


def test_a_state_is_written_where_a_captured_graph_looks_for_it():
    sampler, other = Uniform(C, 5, seed=1).seeds_on_device(), Uniform(C, 5, seed=2).seeds_on_device()
    place = state_of(sampler).data_ptr()
    sampler.load_state_dict(other.state_dict())
    sampler.seeds_on_device()
    sampler.draw(TARGETS)
    assert state_of(sampler).data_ptr() == place


def test_the_generator_is_not_drawn_from():
    sampler = Uniform(C, 5, seed=1).seeds_on_device()
    before = sampler.generator.get_state()
    sampler.draw(TARGETS)
    assert torch.equal(sampler.generator.get_state(), before)
    assert sampler.has_seeds_on_device
    assert not sampler.seeds_on_device(False).has_seeds_on_device
    sampler.draw(TARGETS)
    assert not torch.equal(sampler.generator.get_state(), before)
    with pytest.raises(TypeError, match=r"^enabled: expected"):
        sampler.seeds_on_device("cuda")  # pyright: ignore[reportArgumentType]


def test_a_state_without_a_stream_begins_one():
    sampler, plain = Uniform(C, 5, seed=1).seeds_on_device(), Uniform(C, 5, seed=7)
    sampler.load_state_dict(plain.state_dict())
    assert torch.equal(sampler.draw(TARGETS).ids, Uniform(C, 5, seed=7).seeds_on_device().draw(TARGETS).ids)


def test_ranks_draw_differently_and_go_on_from_the_state_of_any():
    samplers = [make("uniform") for _ in range(3)]
    for rank, sampler in enumerate(samplers):
        sampler.rank = rank
    assert len({tuple(sampler.draw(TARGETS).ids.tolist()) for sampler in samplers}) == 3
    expected = [sampler.draw(TARGETS).ids for sampler in samplers]
    for rank in range(3):
        resumed = [make("uniform") for _ in range(3)]
        for own, sampler in enumerate(resumed):
            sampler.rank = own
            sampler.draw(TARGETS)
        state = resumed[rank].state_dict()
        for sampler, draw in zip(resumed, expected, strict=True):
            sampler.load_state_dict(state)
            assert torch.equal(sampler.draw(TARGETS).ids, draw)


def test_a_prefetch_and_a_mixture_have_one_stream():
    ahead, alone = Prefetch(Uniform(C, 5, seed=1)).seeds_on_device(), Uniform(C, 5, seed=1).seeds_on_device()
    assert ahead.has_seeds_on_device
    assert all(alike(ahead.draw(TARGETS), alone.draw(TARGETS)) for _ in range(3))
    mixture = Mixture([Uniform(C, 4, seed=1), Prefetch(Unigram(range(C), 3))]).seeds_on_device()
    before = state_of(mixture).clone()
    drawn = mixture.draw(TARGETS).ids
    seeds = random_bits(before, torch.arange(2))
    expected = [Uniform(C, 4)._distribution().at(seeds[0], torch.arange(4))]
    expected += [Unigram(range(C), 3)._distribution().at(seeds[1], torch.arange(3))]
    assert torch.equal(drawn, torch.cat(expected))


def test_another_number_of_samples_has_a_stream_of_its_own():
    sampler = Uniform(C, 5, seed=1).seeds_on_device()
    sampler.draw(TARGETS)
    other = sampler.with_num_sampled(3)
    assert torch.equal(other.draw(TARGETS).ids, Uniform(C, 3, seed=1).seeds_on_device().draw(TARGETS).ids)
    assert state_of(other) is not state_of(sampler)


def test_the_examples_of_vmap():
    def ids(sampler: Sampler, randomness: str) -> Tensor:
        drawn = torch.func.vmap(lambda one: sampler.draw(one).ids, randomness=randomness)
        return drawn(TARGETS[:, None].expand(-1, 2))

    same = ids(make("uniform"), "same")
    assert bool((same == same[0]).all())
    different = ids(make("uniform"), "different")
    loop = make("uniform")
    assert torch.equal(different, torch.stack([loop.draw(one.expand(2)).ids for one in TARGETS]))


def test_draws_are_independent():
    """Of 2 classes, first draws of 4,000 samples: pairs of neighbours are as often each of the four."""
    sampler = Uniform(2, 1, seed=3).seeds_on_device()
    drawn = [int(sampler.draw(TARGETS[:0]).ids) for _ in range(4000)]
    pairs = Counter(pairwise(drawn))
    assert all(abs(count - 1000) < 5 * 27.4 for count in pairs.values())
    assert len(pairs) == 4


def test_a_seed_of_the_host_is_refused_where_a_graph_is_captured():
    with (
        mock.patch("torch.cuda.is_current_stream_capturing", return_value=True),
        pytest.raises(RuntimeError, match=r"captured.*seeds_on_device\(\)"),
    ):
        take_seed(torch.Generator(), torch.device("cuda"))


def test_a_capture_refuses_what_the_host_decides_on():
    sampler = LearnedUnigram(C, 3, seed=1).seeds_on_device()
    with FakeTensorMode(), mock.patch("torch.cuda.is_current_stream_capturing", return_value=True):
        sampler.register_buffer(WITNESS, torch.empty(0, device="cuda"), persistent=False)
        targets = torch.empty(3, dtype=torch.int64, device="cuda")
        with pytest.raises(RuntimeError, match=r"^LearnedUnigram draws while a CUDA graph is captured"):
            sampler.draw(targets)
        assert sampler.eval().draw(targets).ids.shape == (3,)  # which learns nothing
