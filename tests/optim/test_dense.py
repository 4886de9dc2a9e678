"""Where every row has a gradient our optimizers are torch's dense ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from logq import optim

STEPS = 50
SHAPES = [(), (7,), (6, 1), (6, 3), (5, 127), (4, 2, 5), (0, 3)]

Make = Callable[..., torch.optim.Optimizer]

# ours, torch's, and options of both
PAIRS: dict[str, tuple[Make, Make, dict[str, Any]]] = {
    "sgd": (optim.SGD, torch.optim.SGD, {}),
    "adagrad": (optim.Adagrad, torch.optim.Adagrad, {"lr_decay": 0.05, "initial_accumulator_value": 0.1}),
    "adam": (optim.LazyAdam, torch.optim.Adam, {"betas": (0.8, 0.97), "eps": 1e-4}),
}
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}


def parameters(dtype: torch.dtype) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, dtype=dtype, generator=generator)) for shape in SHAPES]


def gradients(step: int, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    return [torch.randn(shape, dtype=dtype, generator=generator) for shape in SHAPES]


def as_sparse(gradient: Tensor) -> Tensor:
    """The same gradient, its rows in two halves that come in any order."""
    if gradient.dim() == 0:
        return gradient
    order = torch.randperm(2 * len(gradient), generator=torch.Generator().manual_seed(0))
    rows = torch.cat([0.25 * gradient, 0.75 * gradient])[order]
    ids = (order % max(1, len(gradient)))[None]
    return torch.sparse_coo_tensor(ids, rows, gradient.shape, check_invariants=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", PAIRS)
def test_fifty_steps(name: str, weight_decay: float, maximize: bool, sparse: bool, dtype: torch.dtype) -> None:
    ours, torchs, options = PAIRS[name]
    mine, theirs = parameters(dtype), parameters(dtype)
    options = options | {"lr": 0.1, "weight_decay": weight_decay, "maximize": maximize}
    optimizers = [ours(mine, **options), torchs(theirs, **options)]
    for step in range(STEPS):
        for a, b, gradient in zip(mine, theirs, gradients(step, dtype), strict=True):
            a.grad, b.grad = as_sparse(gradient) if sparse else gradient.clone(), gradient
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("name", PAIRS)
def test_groups_and_schedulers(name: str) -> None:
    ours, torchs, options = PAIRS[name]
    both = parameters(torch.float64), parameters(torch.float64)
    optimizers: list[torch.optim.Optimizer] = []
    for make, mine in zip((ours, torchs), both, strict=True):
        optimizer = make([{"params": mine[:3]}, {"params": mine[3:5], "lr": 0.3}], lr=0.1, **options)
        optimizer.add_param_group({"params": mine[5:], "weight_decay": 0.2})
        optimizers.append(optimizer)
    rates = {"max_lr": [0.5, 0.2, 0.4], "total_steps": STEPS, "cycle_momentum": False}
    schedulers = [torch.optim.lr_scheduler.OneCycleLR(optimizer, **rates) for optimizer in optimizers]
    for step in range(STEPS):
        for mine in both:
            for parameter, gradient in zip(mine, gradients(step, torch.float64), strict=True):
                parameter.grad = gradient.clone()
        for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
            optimizer.step()
            scheduler.step()
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_row_wise_adagrad_is_adagrad_on_rows_of_one_number() -> None:
    a, b = nn.Parameter(torch.randn(9, 1)), nn.Parameter(torch.zeros(9))
    b.data.copy_(a.data[:, 0])
    ours = optim.RowWiseAdagrad([a], lr=0.3, weight_decay=0.1, initial_accumulator_value=0.2)
    torchs = torch.optim.Adagrad([b], lr=0.3, weight_decay=0.1, initial_accumulator_value=0.2)
    for _ in range(STEPS):
        b.grad = torch.randn(9)
        a.grad = b.grad[:, None].clone()
        ours.step()
        torchs.step()
    torch.testing.assert_close(a[:, 0], b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("shape", [(), (6,), (6, 5), (4, 3, 2)])
def test_row_wise_adagrad_against_a_loop(shape: tuple[int, ...]) -> None:
    table = nn.Parameter(torch.randn(shape, dtype=torch.float64))
    expected = table.detach().clone().reshape(shape[0] if shape else 1, -1)
    optimizer = optim.RowWiseAdagrad([table], lr=0.3, weight_decay=0.1, eps=1e-3)
    sums = [0.0] * len(expected)
    for _ in range(10):
        table.grad = torch.randn(shape, dtype=torch.float64)
        for row, gradient in enumerate(table.grad.reshape(expected.shape)):
            g = [float(number) + 0.1 * float(w) for number, w in zip(gradient, expected[row], strict=True)]
            sums[row] += sum(number * number for number in g) / len(g)
            for column, number in enumerate(g):
                expected[row, column] -= 0.3 * number / (sums[row] ** 0.5 + 1e-3)
        optimizer.step()
    torch.testing.assert_close(table.detach().reshape(expected.shape), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
@pytest.mark.parametrize("name", PAIRS)
def test_parameters_and_gradients_in_any_memory_order(name: str) -> None:
    ours, torchs, options = PAIRS[name]
    both: list[list[nn.Parameter]] = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(0)
        transposed = torch.randn(5, 8, generator=generator).t()
        convolution = torch.randn(4, 3, 2, 2, generator=generator).contiguous(memory_format=torch.channels_last)
        both.append([nn.Parameter(transposed), nn.Parameter(convolution), nn.Parameter(torch.ones(3, 9)[:, 2:6])])
    optimizers = [ours(both[0], lr=0.1, **options), torchs(both[1], lr=0.1, **options)]
    for _ in range(5):
        for a, b in zip(*both, strict=True):
            b.grad = torch.randn(b.shape[::-1]).permute(*range(b.dim() - 1, -1, -1))
            a.grad = b.grad.clone(memory_format=torch.preserve_format)
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_a_closure_is_called_with_gradients() -> None:
    table = nn.Parameter(torch.ones(2, 2))
    optimizer = optim.SGD([table], lr=0.5)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = table.sum()
        value.backward()
        return value

    assert optimizer.step(loss) == 4
    assert (table == 0.5).all()
