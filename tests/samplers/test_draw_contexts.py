"""Draws under the transforms of torch.func, with fake tensors, and while graphs are made."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.func import functional_call, grad, jvp, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from cases import SAMPLERS
from logq.candidates import IGNORED, Candidates
from logq.kernels.fallback import FallbackWarning
from logq.nn import NegativeSamplingLoss, SampledSoftmaxLoss
from logq.samplers import EveryClass, InBatch, LearnedUnigram, Mixture, Partition, Sampler, Uniform, Unigram

pytestmark = pytest.mark.filterwarnings(
    f"ignore::{FallbackWarning.__module__}.{FallbackWarning.__qualname__}", "ignore:.*torch.jit.*is deprecated"
)

C, D = 40, 4
SEVERAL = torch.tensor([[3, 1, 5, 9], [7, 3, 0, 0], [39, 2, 1, 8]])


def make(name: str) -> Sampler:
    return SAMPLERS[name](C, torch.float64, 3)


def assert_same(found: Candidates, expected: Candidates) -> None:
    for one, right in zip(found, expected, strict=True):
        assert (one is None) == (right is None)
        if one is not None and right is not None:
            torch.testing.assert_close(one, right, rtol=0, atol=0, equal_nan=True)


def each_of(fields: tuple[Tensor, ...]) -> list[Candidates]:
    """The candidates of the examples of vmap."""
    return [Candidates(*(one[i] for one in fields)) for i in range(len(SEVERAL))]


def drawn(sampler: Sampler, targets: Tensor) -> tuple[Tensor, ...]:
    """What vmap can return of candidates: no None."""
    return tuple(one for one in sampler.draw(targets) if one is not None)


@pytest.mark.parametrize("name", SAMPLERS)
def test_vmap_over_targets_draws_as_a_loop_does(name: str) -> None:
    sampler, alone = make(name), make(name)
    found = vmap(lambda one: drawn(sampler, one), randomness="different")(SEVERAL)
    for made, targets in zip(each_of(found), SEVERAL, strict=True):
        assert_same(made, alone.draw(targets))
    assert_same(sampler.draw(SEVERAL[0]), alone.draw(SEVERAL[0]))  # it went on, and learned, as the loop did


@pytest.mark.parametrize("name", SAMPLERS)
def test_vmap_with_the_same_randomness_starts_each_draw_from_one_state(name: str) -> None:
    sampler, alone = make(name), make(name)
    found = vmap(lambda one: drawn(sampler, one), randomness="same")(SEVERAL)
    state = alone.generator.get_state()
    for made, targets in zip(each_of(found), SEVERAL, strict=True):
        alone.generator.set_state(state)
        assert_same(made, alone.draw(targets))
    assert_same(sampler.draw(SEVERAL[0]), alone.draw(SEVERAL[0]))


@pytest.mark.parametrize("name", ["unigram-distinct", "learned_unigram", "in_batch-streaming", "mixture-in_batch"])
@pytest.mark.parametrize("groups", ["one", "two"])
def test_gradients_of_single_examples_of_a_module_are_those_of_a_loop(name: str, groups: str) -> None:
    """By vmap of grad, and by vmap of vmap of grad."""
    loss, alone = (SampledSoftmaxLoss(D, C, make(name), dtype=torch.float64) for _ in range(2))
    alone.load_state_dict(loss.state_dict())
    x = torch.randn(3, 4, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    parameters = {key: value.detach() for key, value in loss.named_parameters()}
    of_one = grad(lambda p, x, targets: functional_call(loss, p, (x, targets)))
    each = vmap(of_one, in_dims=(None, 0, 0), randomness="different")
    if groups == "two":
        twice = vmap(each, in_dims=(None, 0, 0), randomness="different")
        found = {key: value[0] for key, value in twice(parameters, x[None], SEVERAL[None]).items()}
    else:
        found = each(parameters, x, SEVERAL)
    for number in range(3):
        alone.zero_grad()
        alone(x[number], SEVERAL[number]).backward()
        for key, value in alone.named_parameters():
            assert value.grad is not None
            torch.testing.assert_close(found[key][number], value.grad, rtol=1e-9, atol=1e-12)


def test_a_batch_is_learned_once_under_derivatives() -> None:
    sampler = LearnedUnigram(C, 5, seed=1)
    loss = SampledSoftmaxLoss(D, C, sampler)
    x = torch.ones(4, D)
    jvp(lambda x: grad(lambda x: loss(x, SEVERAL[0]))(x).sum(), (x,), (x,))
    assert int(sampler.counts.sum()) == C + 4


@pytest.mark.parametrize("draws", ["different", "same"])
def test_examples_that_share_their_targets(draws: str) -> None:
    sampler = Uniform(1000, 50, seed=1)
    ids = vmap(lambda x: sampler.draw(torch.tensor([1, 2])).ids + 0 * x, randomness=draws)(torch.zeros(3).long())
    assert torch.equal(ids[0], ids[1]) == (draws == "same")


def test_vmap_asks_for_its_randomness_where_there_is_any() -> None:
    subsets = [list(range(C))]
    for certain in (EveryClass(C), InBatch(C), Partition(C, subsets), Mixture([EveryClass(C), InBatch(C)])):
        vmap(lambda one, sampler=certain: sampler.draw(one).ids)(SEVERAL)
    for random in (Uniform(C, 5), Partition(C, subsets, num_sampled=3), Mixture([InBatch(C), Uniform(C, 2)])):
        with pytest.raises(RuntimeError, match=r'a sampler draws under vmap, .*: randomness="different" gives'):
            vmap(lambda one, sampler=random: sampler.draw(one).ids)(SEVERAL)


def test_examples_with_different_numbers_of_candidates_cannot_be_mapped() -> None:
    with pytest.raises(ValueError, match="targets: expected at least one example under vmap, got none"):
        vmap(lambda one: InBatch(C).draw(one).ids)(SEVERAL[:0])
    some = SEVERAL.clone()
    some[1, 2] = IGNORED
    with pytest.raises(ValueError, match="targets: expected as many candidates in each example of vmap, got ids"):
        vmap(lambda one: InBatch(C).draw(one).ids)(some)


@pytest.mark.parametrize("name", SAMPLERS)
def test_fake_tensors_get_candidates_of_the_right_shapes_and_nothing_moves(name: str) -> None:
    sampler, alone = make(name), make(name)
    counts = sampler.all_log_expected_counts()
    for targets in (SEVERAL[0], SEVERAL):
        expected = copy.deepcopy(alone).draw(targets)
        with FakeTensorMode() as mode:
            found = sampler.draw(mode.from_tensor(targets))
        for one, right in zip(found, expected, strict=True):
            assert (one is None) == (right is None)
            if one is not None and right is not None:
                assert isinstance(one, FakeTensor)
                assert (one.shape, one.dtype) == (right.shape, right.dtype)
    torch.testing.assert_close(sampler.all_log_expected_counts(), counts, rtol=0, atol=0, equal_nan=True)
    assert_same(sampler.draw(SEVERAL[0]), alone.draw(SEVERAL[0]))


MADE: dict[str, Callable[[], Sampler]] = {
    "Unigram": lambda: Unigram([3.0] * C, 5, replacement=False),
    "LearnedUnigram": lambda: LearnedUnigram(C, 5, per_row=True),
    "InBatch": lambda: InBatch(C, counts=[2] * C),
    "streaming": lambda: InBatch(C),
    "Mixture": lambda: Mixture([InBatch(C), Uniform(C, 5)]),
    "Partition": lambda: Partition(C, [list(range(C))], num_sampled=5),
}


@pytest.mark.parametrize("name", MADE)
def test_a_step_is_planned_with_a_model_that_is_made_of_fake_tensors(name: str) -> None:
    with FakeTensorMode():
        loss = NegativeSamplingLoss(D, C, MADE[name]())
        x, targets = torch.empty(4, D), torch.zeros(4, dtype=torch.int64)
        value = loss(x, targets)
        value.backward()
        assert (value.shape, loss.weight.grad is not None) == ((), True)
        assert loss.topk(x, 3).ids.shape == (4, 3)
        assert loss.log_prob(x).shape == (4, C)
        assert loss.log_prob(x, targets).shape == (4,)


def test_counts_without_numbers_are_named() -> None:
    with FakeTensorMode(), pytest.raises(TypeError, match=r"counts: expected numbers.*make it outside of the mode"):
        Unigram(torch.ones(C), 5)


class Part(nn.Module):
    def __init__(self, sampler: Sampler) -> None:
        super().__init__()
        self.loss = SampledSoftmaxLoss(D, C, sampler)

    def forward(self, x: Tensor, targets: Tensor) -> Tensor:
        return self.loss(x, targets)


@pytest.mark.filterwarnings("ignore")  # of torch.jit.trace: deprecated, and sizes are constants to it
@pytest.mark.parametrize("name", ["uniform", "in_batch-counts", "partition", "learned_unigram", "within_group-per_row"])
def test_no_draw_is_frozen_into_a_graph(name: str) -> None:
    model, inputs = Part(make(name)), (torch.ones(4, D), SEVERAL[0])
    ways: list[Callable[[], object]] = [
        lambda: torch.jit.trace(model, inputs, check_trace=False),
        lambda: make_fx(model)(*inputs),
        lambda: make_fx(model, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs),
        lambda: torch.export.export(model, inputs, strict=False),
    ]
    for way in ways:
        with pytest.raises(RuntimeError, match=r"a sampler draws while a graph is made.*candidates = sampler.draw"):
            way()
