"""Updates inside of backward: the same as with a gradient, by whoever asks logq.kernels.updates for the rule."""

import copy
import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from logq import optim
from logq.kernels import updates
from logq.kernels.cpp.row_sums import class_gradients, update_classes
from logq.kernels.passes import Entries

MAKE: dict[str, Callable[..., optim.RowOptimizer]] = {
    "sgd": optim.SGD,
    "adagrad": optim.Adagrad,
    "rowwise": optim.RowWiseAdagrad,
    "adam": optim.LazyAdam,
}


def entries(step: int) -> Entries:
    generator = torch.Generator().manual_seed(step)
    targets, ids = (torch.randint(0, 12, (4, n), generator=generator) for n in (1, 5))
    input, true_factors, factors = (torch.randn(4, n, generator=generator).double() for n in (6, 1, 5))
    return Entries(input, targets, true_factors, ids, factors, None)


def backward(step: int, weight: Tensor, bias: Tensor) -> None:
    """What backward of a sampled loss does with a table and its biases."""
    rules = updates.find(weight), updates.find(bias)
    given, common = entries(step), {"scale": 0.5, "cosine": False}
    update_classes(given, weight, bias, weight_rule=rules[0], bias_rule=rules[1], **common)
    gradients = class_gradients(given, weight, bias=True, sparse=True, **common)
    for parameter, rule, gradient in zip((weight, bias), rules, gradients, strict=True):
        if rule is None:
            parameter.grad = gradient


def tables() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(*shape, generator=generator).double()) for shape in ((12, 6), (12,), (3, 3))]


@pytest.mark.parametrize("name", MAKE)
def test_the_same_as_with_a_stored_gradient(name: str) -> None:
    with_gradient, without = tables(), tables()
    for mine, in_backward in ((with_gradient, False), (without, True)):
        optimizer = MAKE[name](mine, lr=0.1, weight_decay=0.1, in_backward=in_backward)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        for step in range(10):
            optimizer.zero_grad()
            backward(step, mine[0], mine[1])
            mine[2].grad = torch.ones(3, 3).double()  # a dense layer beside them
            optimizer.step()
            scheduler.step()
        assert (mine[0].grad is None) == in_backward
    for a, b in zip(with_gradient, without, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_states_of_an_optimizer_that_updates_in_backward_are_loaded() -> None:
    mine = tables()
    first = optim.LazyAdam(mine, lr=0.1, in_backward=True)
    backward(0, mine[0], mine[1])
    twins = [nn.Parameter(one.detach().clone()) for one in mine]
    second = optim.LazyAdam(twins, lr=77.0)
    assert updates.find(twins[0]) is None
    second.load_state_dict(first.state_dict())
    for one in (mine, twins):
        backward(1, one[0], one[1])
    assert all((a == b).all() for a, b in zip(mine, twins, strict=True))
    assert second.state[twins[0]]["step"] == 2


def test_a_copy_updates_the_copies() -> None:
    mine = tables()
    optimizer = optim.SGD(mine, lr=0.1, in_backward=True)
    twin, twins = copy.deepcopy((optimizer, mine))
    twin.param_groups[0]["lr"] = 0.2
    rules: list[Any] = [updates.find(mine[0]), updates.find(twins[0])]
    assert [rule.lr for rule in rules] == [0.1, 0.2]


def test_groups_of_their_own() -> None:
    mine = tables()
    optimizer = optim.SGD([{"params": mine[:1], "in_backward": True}, {"params": mine[1:]}], lr=0.1)
    assert updates.find(mine[0]) is not None
    assert updates.find(mine[1]) is None
    optimizer.param_groups[0]["in_backward"] = False
    assert updates.find(mine[0]) is None


def test_an_optimizer_that_is_gone_updates_nothing() -> None:
    mine = tables()
    optimizer = optim.SGD(mine, in_backward=True)
    assert updates.find(mine[0]) is not None
    del optimizer
    gc.collect()
    assert updates.find(mine[0]) is None


def test_parameters_and_optimizers_are_not_kept_alive() -> None:
    gc.collect()
    before = len(updates._attached)
    mine = tables()
    optimizer = optim.SGD(mine, in_backward=True)
    assert len(updates._attached) == before + 3
    del mine, optimizer
    gc.collect()
    assert len(updates._attached) == before


def test_the_last_optimizer_updates() -> None:
    mine = tables()
    first, second = optim.SGD(mine, lr=0.1, in_backward=True), optim.SGD(mine, lr=0.2, in_backward=True)
    rule = updates.find(mine[0])
    assert rule is not None
    assert rule.lr == second.param_groups[0]["lr"] != first.param_groups[0]["lr"]
    updates.detach(mine[0])
    updates.detach(mine[0])
    assert updates.find(mine[0]) is None
