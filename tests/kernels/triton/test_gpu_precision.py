"""Losses and gradients of the kernels for GPUs, beside float64, for each storage and setting of float32 products.

Triton's interpreter multiplies float32 as it is, so TF32 shows in no error here. And which way explain says they go.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="Triton is there for Linux alone")

from logq import kernels
from logq.functional import full_loss, sampled_loss
from logq.kernels.triton import TritonBackend, shared_pass
from logq.samplers import LogUniform

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled for the GPU that is here")

B, C, D = 5, 24, 16
TARGETS = torch.tensor([3, 0, 23, -100, 3])
ROUNDED = {torch.float32: 0.0, torch.bfloat16: 2.0**-7, torch.float16: 2.0**-11}
"""Relative to a number, half the distance to the next one; all of it for bfloat16, which the interpreter cuts off."""


@pytest.fixture(params=["highest", "high", "medium"])
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(request.param)
    yield request.param
    torch.set_float32_matmul_precision(before)


def run(which: str, given: list[Tensor]) -> list[Tensor]:
    input, weight, bias = leaves = [tensor.detach().clone().requires_grad_() for tensor in given]
    with torch.autocast("cpu", torch.bfloat16):
        if which == "all classes":
            loss = full_loss("full_softmax", input, weight, TARGETS, bias=bias)
        else:
            sampler = LogUniform(C, 7, per_row=which == "per row", seed=1, dtype=torch.float64)
            loss = sampled_loss("sampled_softmax", input, weight, sampler.draw(TARGETS), bias=bias)
    return [loss.detach(), *torch.autograd.grad(loss, leaves)]


@pytest.mark.parametrize("storage", ROUNDED, ids=str)
@pytest.mark.parametrize("which", ["shared", "per row", "all classes"])
def test_losses_and_gradients(which: str, storage: torch.dtype, precision: str, interpreted: None) -> None:
    torch.manual_seed(1)
    given = [(torch.randn(shape) / 2).to(storage) for shape in ((B, D), (C, D), (C,))]
    value, *gradients = run(which, given)
    with kernels.use("reference"):
        exact, *expected = run(which, [tensor.double() for tensor in given])
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), exact, rtol=3e-6, atol=0.0)
    # Two halves of a factor leave 2^-17 of it, in bfloat16; one, which "medium" allows for, 2^-9.
    factors = 0.0 if storage == torch.float32 else 2.0**-9 if precision == "medium" else 2.0**-16
    for gradient, right, leaf in zip(gradients, expected, given, strict=True):
        assert gradient.dtype == leaf.dtype
        error = (gradient.double() - right).abs()
        bound = ROUNDED[storage] * right.abs() + (3e-6 + 2 * factors) * right.abs().max()
        assert bool((error <= bound).all()), f"{float((error / bound).max())} times the bound"


HALF, SINGLE, DOUBLE = torch.bfloat16, torch.float32, torch.float64
TOLD = [
    # op, storage of input and table, precision, more -> what is told
    ("sampled_softmax", HALF, HALF, "highest", {}, "on tensor cores, products of bfloat16 with factors in two parts"),
    ("sampled_softmax", HALF, HALF, "medium", {}, "factors rounded once"),
    ("nce", SINGLE, SINGLE, "highest", {}, "by products of torch in float32, a tile of logits at a time"),
    ("nce", SINGLE, SINGLE, "high", {}, 'on tensor cores, products in TF32, as precision is "high"'),
    ("nce", SINGLE, HALF, "highest", {}, "by products of torch in float32"),
    ("nce", HALF, HALF, "highest", {"cosine": True}, "by products of torch in float32"),
    ("nce", SINGLE, SINGLE, "high", {"dim": 2048}, "by products of torch in TF32"),
    ("nce", DOUBLE, DOUBLE, "high", {}, "by products of torch in float64"),
    ("nce", HALF, HALF, "highest", {"shared": False}, "in float32, and each row of the table is read once"),
    ("full_softmax", HALF, HALF, "highest", {"compiled": True}, "on tensor cores, products of bfloat16"),
    ("full_logistic", SINGLE, SINGLE, "highest", {}, "by products of torch in float32"),
    ("full_softmax", SINGLE, HALF, "high", {}, "input and class weights are not both in float32, or float64, or half"),
    ("full_softmax", HALF, HALF, "high", {"reduction": "none"}, "losses of rows are wanted"),
    ("full_softmax", HALF, HALF, "high", {"gradients": False}, "no gradients are wanted"),
]


@pytest.mark.parametrize(("objective", "input", "table", "setting", "options", "text"), TOLD, ids=str)
def test_what_explain_says_is_what_runs(
    objective: str,
    input: torch.dtype,
    table: torch.dtype,
    setting: str,
    options: dict[str, Any],
    text: str,
    interpreted: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The way that a pass takes is seen from outside, and so is what is left to the reference."""
    ways: list[str] = []
    for module, name in ((shared_pass, "flash_pass"), (shared_pass, "by_tiles"), (TritonBackend, "per_row_pass")):
        monkeypatch.setattr(module, name, traced(getattr(module, name), name, ways), raising=True)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: setting)
    options = {"dim": 8, **options}
    choice = kernels.explain(objective, dtype=input, table_dtype=table, **options)
    told = next(iter(choice.values()))
    assert text in told.reason
    compiled, gradients = options.pop("compiled", False), options.pop("gradients", True)
    shared, dim = options.pop("shared", True), options.pop("dim")
    x, w = torch.randn(B, dim).to(input), torch.randn(C, dim).to(table).requires_grad_(gradients)
    if objective.startswith("full"):
        full_loss(objective, x, w, TARGETS, **options)
    else:
        sampler = LogUniform(C, 7, per_row=not shared, seed=1, dtype=torch.float64)
        sampled_loss(objective, x, w, sampler.draw(TARGETS), **options)
    way = "flash_pass" if "tensor cores" in text or "factors" in text else "by_tiles" if "torch" in text else ""
    assert ways == ([] if told.instead_of else [way or "per_row_pass"])
    assert not compiled or not told.instead_of


def traced(function: Any, name: str, ways: list[str]) -> Any:
    def call(*arguments: Any, **options: Any) -> Any:
        ways.append(name)
        return function(*arguments, **options)

    return staticmethod(call) if name == "per_row_pass" else call


def test_explain_says_which_draws_leave_a_graph() -> None:
    sampler = LogUniform(C, 7, seed=1)
    outside = kernels.explain("nce", "cuda", sampler=sampler, compiled=True)["draws"]
    assert "outside of the graph" in outside.reason
    assert "outside" not in kernels.explain("nce", "cuda", sampler=sampler)["draws"].reason
    sampler.seeds_on_device()
    assert "outside" not in kernels.explain("nce", "cuda", sampler=sampler, compiled=True)["draws"].reason
