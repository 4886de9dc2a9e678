"""Parameters that are DTensors, in a world of this one process; tests/test_ranks.py has a world of two."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Placement, Replicate, Shard, distribute_tensor

from logq import optim

MAKE: dict[str, Callable[..., optim.RowOptimizer]] = {
    "sgd": optim.SGD,
    "adagrad": optim.Adagrad,
    "rowwise": optim.RowWiseAdagrad,
    "adam": optim.LazyAdam,
}
SHAPES = [(6, 3), (5,), (4, 2, 3), (1, 3)]


@pytest.fixture(scope="module")
def mesh() -> Iterator[DeviceMesh]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def plain_parameters(dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(*shape, generator=generator).to(dtype)) for shape in SHAPES]


def sharded(parameters: list[nn.Parameter], mesh: DeviceMesh, how: Placement) -> list[nn.Parameter]:
    return [nn.Parameter(distribute_tensor(one.detach().clone(), mesh, [how])) for one in parameters]


def run(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for parameter in parameters:
            gradient = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
            if isinstance(parameter, DTensor):
                gradient = distribute_tensor(gradient, parameter.device_mesh, parameter.placements)
            parameter.grad = gradient
        optimizer.step()


def whole(tensor: Any) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def assert_same(some: list[nn.Parameter], others: list[nn.Parameter]) -> None:
    for one, other in zip(some, others, strict=True):
        assert torch.equal(whole(one), whole(other))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("how", [Shard(0), Replicate()], ids=str)
@pytest.mark.parametrize("name", MAKE)
def test_parts_are_updated_as_the_whole_is(name: str, how: Placement, dtype: torch.dtype, mesh: DeviceMesh) -> None:
    plain = plain_parameters(dtype)
    parts = sharded(plain, mesh, how)
    for parameters in (plain, parts):
        run(MAKE[name](parameters, lr=0.1, weight_decay=0.1), parameters, range(4))
    assert_same(plain, parts)


@pytest.mark.parametrize("name", ["sgd", "adagrad", "adam"])
def test_rules_of_numbers_take_cut_rows(name: str, mesh: DeviceMesh) -> None:
    plain = plain_parameters()[:1]
    parts = sharded(plain, mesh, Shard(1))
    for parameters in (plain, parts):
        run(MAKE[name](parameters, lr=0.1), parameters, range(3))
    assert_same(plain, parts)


def test_a_rule_of_rows_refuses_cut_rows(mesh: DeviceMesh) -> None:
    with pytest.raises(ValueError, match=r"^params: expected whole rows in each process.*S\(1\).*Adagrad needs no"):
        optim.RowWiseAdagrad(sharded(plain_parameters()[:1], mesh, Shard(1)))


@pytest.mark.parametrize("to_parts", [True, False])
@pytest.mark.parametrize("from_parts", [True, False])
@pytest.mark.parametrize("name", MAKE)
def test_states_go_between_parts_and_wholes(name: str, from_parts: bool, to_parts: bool, mesh: DeviceMesh) -> None:
    expected = plain_parameters()
    run(MAKE[name](expected, lr=0.1), expected, range(6))
    before = sharded(plain_parameters(), mesh, Shard(0)) if from_parts else plain_parameters()
    first = MAKE[name](before, lr=0.1)
    run(first, before, range(3))
    after = [nn.Parameter(whole(one.detach()).clone()) for one in before]
    if to_parts:
        after = sharded(after, mesh, Shard(0))
    second = MAKE[name](after, lr=77.0)
    second.load_state_dict(first.state_dict())
    run(second, after, range(3, 6))
    assert_same(expected, after)
    run(first, before, range(3, 6))  # which shares nothing with the other
    assert_same(expected, before)


# torch's set_optimizer_state_dict stops at an optimizer without states, its own SGD among them, if these are full.
@pytest.mark.parametrize(("name", "full"), [(name, full) for name in MAKE for full in (True, False) if name != "sgd"])
def test_states_of_torch_s_distributed_checkpoints(name: str, full: bool, mesh: DeviceMesh) -> None:
    def model() -> nn.Module:
        made = nn.Module()
        for index, one in enumerate(sharded(plain_parameters(), mesh, Shard(0))):
            made.register_parameter(f"p{index}", one)
        return made

    expected = plain_parameters()
    run(MAKE[name](expected, lr=0.1), expected, range(4))
    one, other = model(), model()
    first = MAKE[name](one.parameters(), lr=0.1)
    run(first, list(one.parameters()), range(2))
    options = StateDictOptions(full_state_dict=full)
    saved = get_optimizer_state_dict(one, first, options=options)
    other.load_state_dict(one.state_dict())
    second = MAKE[name](other.parameters(), lr=0.1)
    set_optimizer_state_dict(other, second, saved, options=options)
    run(second, list(other.parameters()), range(2, 4))
    assert_same(expected, list(other.parameters()))


@pytest.mark.parametrize("norm_type", [2.0, 1.0, float("inf")])
def test_gradients_in_parts_are_clipped_as_whole_ones(norm_type: float, mesh: DeviceMesh) -> None:
    plain = plain_parameters()
    some = [*sharded(plain[:2], mesh, Shard(0)), *(nn.Parameter(one.detach().clone()) for one in plain[2:])]
    for parameters in (plain, some):
        run(optim.SGD(parameters, lr=0.0), parameters, range(1))
    norms = [optim.clip_grad_norm_(parameters, 0.5, norm_type) for parameters in (plain, some)]
    torch.testing.assert_close(*norms, rtol=1e-13, atol=0)
    for one, other in zip(plain, some, strict=True):
        torch.testing.assert_close(one.grad, whole(other.grad), rtol=1e-13, atol=0)
    for parameters in (plain, some):
        optim.clip_grad_value_(parameters, 0.01)
    assert all(torch.equal(one.grad, whole(other.grad)) for one, other in zip(plain, some, strict=True))


def test_whole_gradients_of_cut_parameters_are_cut(mesh: DeviceMesh) -> None:
    plain = plain_parameters()
    parts = sharded(plain, mesh, Shard(0))
    for parameters, optimizer in ((plain, optim.SGD(plain, lr=0.1)), (parts, optim.SGD(parts, lr=0.1))):
        for parameter in parameters:
            gradient = torch.ones(parameter.shape, dtype=torch.float64)
            cut = isinstance(parameter, DTensor)
            parameter.grad = distribute_tensor(gradient, mesh, [Replicate()]) if cut else gradient
        optimizer.step()
    assert_same(plain, parts)
    norms = [optim.clip_grad_norm_(parameters, 1.0) for parameters in (plain, parts)]
    torch.testing.assert_close(norms[0], norms[1])
    for one, other in zip(plain, parts, strict=True):
        gradient: Any = other.grad
        assert gradient.placements == (Shard(0),)
        torch.testing.assert_close(one.grad, gradient.full_tensor())
