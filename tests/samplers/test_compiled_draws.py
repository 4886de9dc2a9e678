"""Draws inside of the graph of torch.compile, with seeds that come from the device: those of eager mode."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from cases import SAMPLERS
from logq.kernels.distributions import (
    AliasDistribution,
    Distribution,
    LearnedDistribution,
    LogUniformDistribution,
    UniformDistribution,
    from_parts,
    parts_of,
)
from logq.nn import NCELoss, SampledSoftmaxLoss
from logq.samplers import InBatch, LearnedUnigram, LogUniform, Partition, Sampler, Uniform, Unigram

C = 40
TARGETS = torch.tensor([3, 0, 7, -100, 39])

# One of each way to draw: the others differ in their tables alone.
IN_GRAPHS: dict[str, Callable[[], Sampler]] = {
    name: lambda name=name: SAMPLERS[name](C, torch.float64, 1)
    for name in (
        "uniform",
        "log_uniform-per_row",
        "unigram-distinct-per_row",
        "mixture",
        "in_batch-streaming",
        "in_batch-group",
        "cross_batch-streaming",
        "every_class",
        "within_group-per_row",
        "prefetch",
    )
} | {
    "permuted": lambda: Uniform(C, 30, replacement=False, seed=1),
    "race": lambda: Unigram(range(1, C + 1), 35, replacement=False, seed=1),
}


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("name", IN_GRAPHS)
def test_a_graph_draws_what_eager_mode_draws(name):
    eager, compiled = (IN_GRAPHS[name]().seeds_on_device() for _ in range(2))
    counter = CompileCounterWithBackend("aot_eager" if name == "uniform" else "eager")  # which takes less time
    draw = torch.compile(lambda targets: compiled.draw(targets, need_log_q=True), fullgraph=True, backend=counter)
    for _ in range(3):
        found, expected = draw(TARGETS), eager.draw(TARGETS)
        if "_batch" in name:  # which leaves out what is no class where it can look at it
            assert found.ids[~found.excluded.all(dim=0)].tolist() == expected.ids.tolist()
            continue
        for one, other in zip(found, expected, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    assert counter.frame_count == 1
    assert torch.equal(compiled.draw(TARGETS).ids, eager.draw(TARGETS).ids)  # and eager mode goes on from there


@pytest.mark.parametrize(
    ("kind", "per_row"), [(SampledSoftmaxLoss, False), (NCELoss, True)], ids=["softmax, shared", "nce, per row"]
)
def test_a_training_step_is_one_graph(kind, per_row):
    def make() -> Any:
        torch.manual_seed(0)
        return kind(4, C, LogUniform(C, 7, per_row=per_row, seed=1).seeds_on_device())

    module, twin, input = make(), make(), torch.randn(5, 4)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(twin, fullgraph=True, backend=counter)
    losses = []
    for _ in range(3):
        for step in (module, compiled):
            step.zero_grad()
            loss = step(input, TARGETS)
            loss.backward()
            losses.append(loss.detach())
        torch.testing.assert_close(losses[-2], losses[-1])
        for one, other in zip(module.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad)
    assert len({float(loss) for loss in losses[::2]}) == 3, "each step draws anew"
    assert counter.frame_count == 1


@pytest.mark.parametrize("make", [lambda: LearnedUnigram(C, 5, seed=1), lambda: Partition(C, [range(C)], seed=1)])
def test_what_the_host_decides_on_leaves_the_graph(make):
    sampler = make().seeds_on_device()
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"seeds_on_device\(\)"):
        torch.compile(sampler.draw, fullgraph=True, backend="eager")(TARGETS)
    torch._dynamo.reset()
    drawn = torch.compile(sampler.draw, backend="eager")(TARGETS)
    assert torch.equal(drawn.ids, make().seeds_on_device().draw(TARGETS).ids)


def test_a_model_that_learns_no_more_is_one_graph():
    def make() -> Sampler:
        sampler = LearnedUnigram(C, 9, seed=1)
        sampler.learn(torch.tensor([5, 5, 7]))
        return sampler.eval().seeds_on_device()

    compiled = torch.compile(make().draw, fullgraph=True, backend="aot_eager")
    for one, other in zip(compiled(TARGETS)[:4], make().draw(TARGETS)[:4], strict=True):
        torch.testing.assert_close(one, other)


def test_what_is_not_random_needs_no_seeds():
    counts = torch.compile(InBatch(C, counts=range(1, C + 1)).draw, fullgraph=True, backend="aot_eager")(TARGETS)
    assert counts.ids.shape == TARGETS.shape


def table() -> AliasDistribution:
    distribution = Unigram(range(1, 6), 3)._distribution()
    assert isinstance(distribution, AliasDistribution)
    return distribution


@pytest.mark.parametrize(
    "distribution",
    [
        UniformDistribution(9),
        LogUniformDistribution(9),
        table(),
        LearnedDistribution(table(), torch.tensor([3, 1]), 4),
        LearnedDistribution(table(), torch.tensor([3, 1]), 4, torch.tensor(1)),
    ],
    ids=lambda distribution: type(distribution).__name__,
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_ops_of_draws(distribution: Distribution):
    """What torch checks of custom ops, and that they draw what the backend draws."""
    kind, tables, sizes = parts_of(distribution)
    how: dict[str, Any] = {"kind": kind, "sizes": sizes}
    for backend in ("cpp", "reference"):
        seed = torch.tensor(5)
        torch.library.opcheck(torch.ops.logq.draws, (seed, tables), {**how, "backend": backend, "shape": [3, 4]})
        found = torch.ops.logq.draws(seed, tables, backend=backend, shape=[3, 4], **how)
        assert torch.equal(found.view(-1), distribution.at(seed, torch.arange(12)))
        sizes_of_rows = {"num_rows": 3, "num_sampled": 4}
        torch.library.opcheck(
            torch.ops.logq.distinct_draws, (seed, tables), {**how, "backend": backend, **sizes_of_rows}
        )
    assert type(from_parts(*parts_of(distribution))) is type(distribution)


def test_a_kind_of_ones_own_has_no_parts():
    class Zero(Distribution):
        def at(self, seed: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(seed + positions)

    with pytest.raises(ValueError, match=r"^distribution: expected one of logq.kernels.distributions"):
        parts_of(Zero())
