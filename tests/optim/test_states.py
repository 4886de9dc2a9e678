"""States: saved, loaded, carried over from torch's optimizers and to them; options and what is said about bad ones."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from logq import optim

MAKE: dict[str, Callable[..., optim.RowOptimizer]] = {
    "sgd": optim.SGD,
    "adagrad": optim.Adagrad,
    "rowwise": optim.RowWiseAdagrad,
    "adam": optim.LazyAdam,
}
TORCHS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
}


def new_parameters(dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(*shape, generator=generator).to(dtype)) for shape in ((5, 3), (4,))]


def run(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
        optimizer.step()


def carried(first: Callable[..., Any], second: Callable[..., Any], dtype: torch.dtype) -> list[nn.Parameter]:
    """Five steps by one optimizer and five by another that takes over its state."""
    parameters = new_parameters(dtype)
    before = first(parameters, lr=0.1)
    run(before, parameters, range(5))
    after = second(parameters, lr=77.0)
    after.load_state_dict(before.state_dict())
    run(after, parameters, range(5, 10))
    return parameters


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", MAKE)
def test_a_loaded_state_goes_on_where_it_was(name: str, dtype: torch.dtype) -> None:
    parameters = new_parameters(dtype)
    run(MAKE[name](parameters, lr=0.1), parameters, range(10))
    for a, b in zip(carried(MAKE[name], MAKE[name], dtype), parameters, strict=True):
        assert (a == b).all()


@pytest.mark.parametrize("name", TORCHS)
def test_states_go_to_torch_and_come_from_there(name: str) -> None:
    parameters = new_parameters()
    run(TORCHS[name](parameters, lr=0.1), parameters, range(10))
    for pair in ((MAKE[name], TORCHS[name]), (TORCHS[name], MAKE[name])):
        for a, b in zip(carried(*pair, torch.float64), parameters, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_states_of_sparse_adam() -> None:
    table = nn.Parameter(torch.ones(4, 2, dtype=torch.float64))
    theirs = torch.optim.SparseAdam([table], lr=0.1, eps=1e-300)
    table.grad = torch.sparse_coo_tensor(
        torch.tensor([[1]]), torch.ones(1, 2, dtype=torch.float64), (4, 2), check_invariants=False
    )
    theirs.step()
    ours = optim.LazyAdam([table])
    ours.load_state_dict(theirs.state_dict())
    other = nn.Parameter(table.detach().clone())
    other.grad = table.grad
    back = torch.optim.SparseAdam([other])
    back.load_state_dict(copy.deepcopy(ours.state_dict()))  # torch would share the tensors
    ours.step()
    back.step()
    assert ours.param_groups[0]["weight_decay"] == 0
    torch.testing.assert_close(table, other, rtol=1e-13, atol=0)


def test_a_loaded_state_is_a_copy() -> None:
    parameters = new_parameters()
    first = optim.Adagrad(parameters)
    second = optim.Adagrad(parameters)
    second.load_state_dict(first.state_dict())
    run(second, parameters, range(1))
    assert (first.state[parameters[0]]["sum"] == 0).all()
    assert first.state[parameters[0]]["step"] == 0


@pytest.mark.parametrize("way", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_go_on_by_themselves(way: Callable[[Any], Any]) -> None:
    parameters = new_parameters()
    optimizer = optim.LazyAdam(parameters, lr=0.1)
    run(optimizer, parameters, range(3))
    twin, twins = way((optimizer, parameters))
    run(optimizer, parameters, range(3, 6))
    run(twin, twins, range(3, 6))
    for a, b in zip(parameters, twins, strict=True):
        assert a is not b
        assert (a == b).all()


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (torch.optim.SGD, {"momentum": 0.9}, "momentum: expected 0, as SGD has none, got 0.9"),
        (torch.optim.Adam, {"amsgrad": True}, "amsgrad: expected False, as LazyAdam has none, got True"),
        (torch.optim.AdamW, {}, "decoupled_weight_decay: expected False, as LazyAdam has none, got True"),
    ],
)
def test_options_that_ours_have_not(make: Callable[..., Any], options: dict[str, Any], message: str) -> None:
    parameters = new_parameters()
    theirs = make(parameters, lr=0.1, **options)
    ours = (optim.SGD if make is torch.optim.SGD else optim.LazyAdam)(parameters, lr=0.5)
    with pytest.raises(ValueError, match=message):
        ours.load_state_dict(theirs.state_dict())
    assert ours.param_groups[0]["lr"] == 0.5


def test_states_that_do_not_fit() -> None:
    parameters = new_parameters()
    adagrad, adam, rowwise = optim.Adagrad(parameters), optim.LazyAdam(parameters), optim.RowWiseAdagrad(parameters)
    with pytest.raises(ValueError, match="state: expected step, exp_avg, exp_avg_sq for LazyAdam, got sum, step"):
        adam.load_state_dict(adagrad.state_dict())
    with pytest.raises(ValueError, match=r"sum: expected shape \(5,\), got \(5, 3\)"):
        rowwise.load_state_dict(adagrad.state_dict())
    with pytest.raises(ValueError, match="different number of parameter groups"):
        adagrad.load_state_dict({"state": {}, "param_groups": []})


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("sgd", {"lr": -1}, ValueError, "lr: expected a finite number >= 0, got -1"),
        ("sgd", {"lr": torch.tensor([0.1, 0.2])}, TypeError, "lr: expected a finite number >= 0, got tensor"),
        ("sgd", {"lr": torch.tensor(0.1, requires_grad=True)}, TypeError, "lr: expected a finite number >= 0, got te"),
        ("adam", {"lr": torch.tensor(-0.1)}, ValueError, "lr: expected a finite number >= 0, got -0.1"),
        ("adam", {"betas": (torch.tensor(0.9), torch.tensor(1.0))}, ValueError, "betas: expected numbers >= 0 and < 1"),
        ("sgd", {"weight_decay": float("nan")}, ValueError, "weight_decay: expected a finite number >= 0, got nan"),
        ("sgd", {"maximize": 1}, TypeError, "maximize: expected True or False, got 1"),
        ("sgd", {"in_backward": "yes"}, TypeError, "in_backward: expected True or False, got 'yes'"),
        ("adagrad", {"lr_decay": -0.1}, ValueError, "lr_decay: expected a finite number >= 0, got -0.1"),
        ("adagrad", {"eps": None}, TypeError, "eps: expected a finite number >= 0, got None"),
        ("rowwise", {"initial_accumulator_value": -1}, ValueError, "initial_accumulator_value: expected"),
        ("adam", {"betas": 0.9}, TypeError, "betas: expected two numbers, got 0.9"),
        ("adam", {"betas": (0.9, 1.0)}, ValueError, "betas: expected numbers >= 0 and < 1, got 1"),
        ("adam", {"eps": -1e-8}, ValueError, "eps: expected a finite number >= 0, got -1e-08"),
    ],
)
def test_bad_options(name: str, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MAKE[name](new_parameters(), **options)
    optimizer = MAKE[name](new_parameters())
    with pytest.raises(error, match=message):
        optimizer.add_param_group({"params": new_parameters(), **options})
    assert len(optimizer.param_groups) == 1


def test_parameters_must_be_floating_point() -> None:
    with pytest.raises(
        TypeError, match=r"params: expected floating point parameters, got one of dtype torch.complex64"
    ):
        optim.SGD([torch.zeros(2, dtype=torch.complex64, requires_grad=True)])


def test_state_is_one_number_a_row() -> None:
    table = nn.Parameter(torch.zeros(1000, 64))
    state = optim.RowWiseAdagrad([table]).state[table]
    assert state["sum"].shape == (1000,)
