"""The optimizers by name against torch's own, dense and sparse, and their states."""

from typing import Any

import pytest
import torch
from torch import nn

from logq.optim import LazyAdam
from logq.training.optimizers import Fading, Optimizers, _check_states
from logq.training.options import OPTIMIZERS, TrainingConfig

TORCHS: dict[str, Any] = {"adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD}
ROWS = torch.tensor([0, 1, 2, 3, 1])


def table(sparse: bool) -> Any:
    torch.manual_seed(1)
    return nn.Embedding(4, 3, sparse=sparse)


def train(module: nn.Embedding, step: Any, steps: int) -> None:
    for number in range(steps):
        (module(ROWS) * (number + torch.arange(3.0))).sin().sum().backward()
        step()


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("sparse", [False, True])
def test_each_does_what_torch_does(kind: str, sparse: bool) -> None:
    ours, theirs = table(sparse), table(False)
    optimizers = Optimizers(ours, [ours.weight] if sparse else [], lr=0.1, weight_decay=0.01, kind=kind)
    optimizer = TORCHS[kind](theirs.parameters(), lr=0.05, weight_decay=0.01)

    def step() -> None:
        optimizer.step()
        optimizer.zero_grad()

    train(ours, lambda: optimizers.step(0.5), 5)
    train(theirs, step, 5)
    torch.testing.assert_close(ours.weight, theirs.weight)
    assert ours.weight.grad is None


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("sparse", [False, True])
def test_states_go_on_to_the_same_bits(kind: str, sparse: bool) -> None:
    def make(module: nn.Embedding) -> Optimizers:
        return Optimizers(module, [module.weight] if sparse else [], lr=0.1, kind=kind)

    whole, begun, resumed = table(sparse), table(sparse), table(sparse)
    other, first = make(whole), make(begun)
    train(whole, lambda: other.step(1.0), 3)
    train(begun, lambda: first.step(1.0), 3)
    second = make(resumed)
    resumed.load_state_dict(begun.state_dict())
    second.load({name: value.clone() for name, value in first.tensors().items()})
    train(begun, lambda: first.step(1.0), 3)
    train(resumed, lambda: second.step(1.0), 3)
    assert torch.equal(begun.weight, resumed.weight)
    assert not torch.equal(begun.weight, whole.weight)


def test_fading_rows_move_as_in_adam_without_momentum_though_they_are_touched_now_and_then() -> None:
    ours, theirs = table(True), table(False)
    optimizers = Optimizers(ours, [ours.weight], lr=0.1, betas=(0.9, 0.95), fading=True)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.1, betas=(0.0, 0.95))
    for number, rows in enumerate([[0, 1, 0], [2], [0], [1, 2], [2], [2], [0, 1]]):
        for module in (ours, theirs):
            (module(torch.tensor(rows)) * (number + torch.arange(3.0))).sin().sum().backward()
        if number == 4:  # from a checkpoint
            states = {name: value.clone() for name, value in optimizers.tensors().items()}
            optimizers = Optimizers(ours, [ours.weight], lr=0.1, betas=(0.9, 0.95), fading=True)
            optimizers.load(states)
        optimizers.step(1.0)
        optimizer.step()
        optimizer.zero_grad()
    torch.testing.assert_close(ours.weight, theirs.weight)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_biases_do_not_decay_where_their_gradients_are_sparse_either(kind: str) -> None:
    module = nn.Module()
    module.weight, module.bias = nn.Parameter(torch.ones(4, 3)), nn.Parameter(torch.ones(4))
    optimizers = Optimizers(module, [module.weight, module.bias], lr=0.1, weight_decay=0.5, kind=kind)
    for parameter in (module.weight, module.bias):
        parameter.grad = torch.sparse_coo_tensor(
            torch.tensor([[2]]), torch.zeros(1, *parameter.shape[1:]), parameter.shape, check_invariants=True
        )
    optimizers.step(1.0)
    assert torch.equal(module.bias, torch.ones(4))
    assert bool((module.weight[2] < 1).all())


def test_fading_needs_an_optimizer_without_momentum() -> None:
    with pytest.raises(ValueError, match=r"betas: expected 0 as the first, got 0\.9"):
        Fading(LazyAdam([nn.Parameter(torch.zeros(2, 2))]))


def test_an_unknown_optimizer() -> None:
    with pytest.raises(ValueError, match="optimizer: expected one of adam, adagrad, sgd, got 'adamw'"):
        TrainingConfig(optimizer="adamw")
    with pytest.raises(ValueError, match="optimizer: expected one of adam, adagrad, sgd, got 'adamw'"):
        Optimizers(table(False), [], lr=0.1, kind="adamw")


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({1: {}}, "optimizer: expected exp_avg, exp_avg_sq, step of a parameter, got "),
        ({0: {"sum": torch.zeros(2)}}, "optimizer: expected exp_avg, exp_avg_sq, step of a parameter, got sum"),
        (
            {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(2), "exp_avg_sq": torch.zeros(3)}},
            r"optimizer: expected numbers of shape \(2,\) as exp_avg_sq, got torch\.float32",
        ),
    ],
)
def test_states_of_other_parameters_are_refused(states: dict[int, dict[str, torch.Tensor]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _check_states(torch.optim.Adam([nn.Parameter(torch.zeros(2))]), states)
