"""Each op that a backend of the library has, losses apart, is the reference's on the devices of the backend."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from backend_cases import HERE
from logq import kernels
from logq.kernels import reference_draws
from logq.kernels.distributions import AliasDistribution, Distribution, LogUniformDistribution, UniformDistribution
from logq.kernels.reference_backend import Backend
from logq.kernels.updates import STATES, Kind, RowRule


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cells() -> Tensor:
    accept, alias = reference_draws.alias_table(1 / torch.arange(1, 51).double())
    return torch.stack([(accept * 2.0**31).round().clamp(max=2**31 - 1).int(), alias], dim=1)


def distributions(device: str) -> list[Distribution]:
    return [UniformDistribution(50), LogUniformDistribution(50), AliasDistribution(cells().to(device))]


def draws(run: Callable[..., Any], device: str) -> list[Tensor]:
    seed = torch.tensor(3, device=device)
    return [run(one, seed, (40, 3)) for one in distributions(device)]


def distinct_draws(run: Callable[..., Any], device: str) -> list[Tensor]:
    seed = torch.tensor(3, device=device)
    return [made for one in distributions(device) for made in run(one, seed, 4, 7)]


def places_of(run: Callable[..., Any], device: str) -> list[Tensor]:
    ids = torch.tensor([[5, 9, 2], [0, 7, 5]], device=device)
    return [run(ids, torch.tensor([[9, 4], [5, 0]], device=device))]


def log_inclusion(run: Callable[..., Any], device: str) -> list[Tensor]:
    tries = torch.arange(1, 21, device=device)
    return [run(-numbers(20).abs().to(device), tries)]


def alias_table(run: Callable[..., Any], device: str) -> list[Tensor]:
    """The probabilities of all classes that a table stands for; two tables may hold the same ones."""
    weights = numbers(500).to(device) ** 8
    accept, alias = run(weights)
    return [(accept + torch.zeros_like(accept).index_add_(0, alias.long(), 1 - accept)) / len(accept)]


def sum_rows(run: Callable[..., Any], device: str) -> list[Tensor]:
    ids = torch.tensor([4, 2, 4, -100, 0], device=device)
    return [*run(ids, numbers(5, 3).to(device))]


def update_rows(run: Callable[..., Any], device: str) -> list[Tensor]:
    found: list[Tensor] = []
    kinds: list[Kind] = ["sgd", "adagrad", "rowwise_adagrad", "adam"]
    for kind in kinds:
        shapes = [(6,) if kind == "rowwise_adagrad" else (6, 3)] * STATES[kind]
        rule = RowRule(kind, lr=0.1, weight_decay=0.01, states=tuple(numbers(*s).abs().to(device) for s in shapes))
        for ids in (torch.tensor([4, 1], device=device), None):
            table = numbers(6, 3, seed=2).to(device)
            rule = replace(rule, states=tuple(state.clone() for state in rule.states))
            run(rule, table, ids, numbers(6 if ids is None else 2, 3, seed=3).to(device))
            found += [table, *rule.states]
    return found


def log_normalizer(run: Callable[..., Any], device: str) -> list[Tensor]:
    input, weight, bias = (numbers(*shape).to(device) for shape in ((4, 3), (9, 3), (9,)))
    return [run(input, weight, bias, temperature=0.5, cosine=cosine) for cosine in (False, True)]


def next_seed(run: Callable[..., Any], device: str) -> list[Tensor]:
    state = torch.tensor((1 << 62) + 5, device=device)
    return [*(run(state, key) for key in (0, 0, 7, (1 << 62) + 1)), state]


OPS = {
    "alias_table": alias_table,
    "distinct_draws": distinct_draws,
    "draws": draws,
    "log_inclusion": log_inclusion,
    "log_normalizer": log_normalizer,
    "next_seed": next_seed,
    "places_of": places_of,
    "sum_rows": sum_rows,
    "update_rows": update_rows,
}


def test_every_op_has_a_case() -> None:
    assert {*OPS, "sampled_loss", "full_loss"} == set(kernels.OPS)  # the losses: test_fused.py


@pytest.mark.parametrize(
    ("name", "device", "op"),
    [
        (name, device, op)
        for name, device in HERE
        for op in OPS
        if name != "reference" and kernels.backend(name).has(op)
    ],
)
def test_an_op_is_the_reference_s(name: str, device: str, op: str) -> None:
    actual = OPS[op](getattr(kernels.backend(name), op), device)
    expected = OPS[op](getattr(Backend, op), device)
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)
