"""What is computed in which precision: storage, autocast, and what torch is set to make of products of float32.

    losses, log Q, softmax, sums, factors     float32 at least, always
    products of two numbers in half precision exact, summed in float32
    products of float32                       as torch.set_float32_matmul_precision has it
    gradients                                 in the dtype of what they are of, rounded once

All is compared with float64, on the numbers as they are stored. tests/kernels/triton has the same of GPU kernels.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from logq import diagnostics, kernels
from logq.candidates import Candidates
from logq.diagnostics.softmax_gradient import softmax_moments
from logq.functional import full_loss, sampled_loss
from logq.hierarchical import HierarchicalSoftmax
from logq.nn import NCELoss
from logq.retrieval import ExactIndex
from logq.samplers import LogUniform, Uniform

B, C, D, S = 8, 40, 64, 9
TARGETS = torch.tensor([3, 0, 39, 3, 7, -100, 12, 1])

# Of a product, relative to the largest result. A CPU has neither TF32 nor need of it, and some round to bfloat16.
PRODUCTS = {"highest": 3e-6, "high": 2.0**-9, "medium": 2.0**-6}
# Half the distance of neighbours, relative to a number.
ROUNDED = {torch.float32: 0.0, torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}


@pytest.fixture(params=PRODUCTS)
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(request.param)
    yield request.param
    torch.set_float32_matmul_precision(before)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "shared": lambda x, w, b, **how: sampled_loss("sampled_softmax", x, w, drawn(False), bias=b, **how),
    "per row": lambda x, w, b, **how: sampled_loss("nce", x, w, drawn(True), bias=b, **how),
    "all classes": lambda x, w, b, **how: full_loss("full_softmax", x, w, TARGETS, bias=b, **how),
}


def drawn(per_row: bool) -> Candidates:
    return LogUniform(C, S, per_row=per_row, seed=1, dtype=torch.float64).draw(TARGETS)


def numbers(storage: torch.dtype) -> list[Tensor]:
    torch.manual_seed(1)
    shapes = (B, D), (C, D), (C,)
    return [(torch.randn(shape) / shape[-1] ** 0.25).to(storage) for shape in shapes]


def loss_and_gradients(loss: Callable[..., Tensor], given: list[Tensor], **how: Any) -> list[Tensor]:
    leaves = [tensor.detach().clone().requires_grad_() for tensor in given]
    value = loss(*leaves, **how)
    gradients = torch.autograd.grad(value.sum(), leaves)
    return [value.detach(), *gradients]


def assert_within(found: Tensor, exact: Tensor, relative: float, of_largest: float) -> None:
    error = (found.double() - exact).abs()
    bound = relative * exact.abs() + of_largest * exact.abs().max()
    assert bool((error <= bound).all()), f"{float((error / bound).max())} times the bound"


@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("storage", ROUNDED, ids=str)
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("which", LOSSES)
@pytest.mark.parametrize("backend", ["cpp", "reference"])
def test_losses_and_gradients(backend, which, reduction, storage, autocast, precision):
    given, how = numbers(storage), {"reduction": reduction}

    def loss(*leaves: Tensor, **how: Any) -> Tensor:
        with torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None):
            return LOSSES[which](*leaves, **how)

    with kernels.use(backend):
        value, *gradients = loss_and_gradients(loss, given, **how)
    exact, *expected = loss_and_gradients(LOSSES[which], [tensor.double() for tensor in given], **how)
    assert value.dtype == torch.float32
    # What is narrow is exact in float32; only float32 itself has more bits than a product may take.
    bound = PRODUCTS[precision]
    assert_within(value, exact, bound, 0.0)
    for gradient, right, leaf in zip(gradients, expected, given, strict=True):
        assert gradient.dtype == leaf.dtype
        # Of all classes the reference rounds what true ones add, and the rest, before it rounds their sum.
        parts = ROUNDED[storage] if which == "all classes" and leaf is given[1] else 0.0
        assert_within(gradient, right, ROUNDED[storage], bound + parts)


def test_a_gradient_is_rounded_once():
    """Thousands of copies of one class, whose sum in bfloat16 would stop growing at 256."""
    weight, input = torch.zeros(C, D, dtype=torch.bfloat16), torch.ones(4096, D, dtype=torch.bfloat16)
    targets = torch.zeros(4096, dtype=torch.int64)
    for backend in ("cpp", "reference"):
        leaf = weight.clone().requires_grad_()
        with kernels.use(backend):
            sampled_loss("nce", input, leaf, Uniform(C, S, seed=1).draw(targets), reduction="sum").backward()
        assert leaf.grad is not None
        assert float(leaf.grad[0].abs().max()) > 256


def test_autocast_does_not_narrow_a_table():
    """Forward and, where passes have them, gradients too are the same bits."""
    given = numbers(torch.float32)
    for loss in LOSSES.values():
        plain = loss_and_gradients(loss, given)
        with torch.autocast("cpu", torch.bfloat16):
            inside = loss_and_gradients(loss, given)
        assert all(torch.equal(one, other) for one, other in zip(inside, plain, strict=True))


READ_OFF: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "log_prob": lambda x, w: module(w).log_prob(x),
    "log_prob of some": lambda x, w: module(w).log_prob(x, TARGETS),
    "topk": lambda x, w: module(w).topk(x, 5).log_prob,
    "hierarchical": lambda x, w: tree(w)(x, TARGETS),
    "hierarchical log_prob": lambda x, w: tree(w).log_prob(x),
    "index": lambda x, w: torch.as_tensor(ExactIndex(w).search(x, 5).scores),
    "exact_gradient": lambda x, w: diagnostics.exact_gradient(x, w, targets=TARGETS.clamp(min=0)),
    "softmax_moments": lambda x, w: softmax_moments(x, w).mean,
    "estimate": lambda x, w: diagnostics.sampled_softmax_gradient(x, w, of_classes(True)).gradient,
    "estimate, shared": lambda x, w: diagnostics.sampled_softmax_gradient(x, w, of_classes(False)).gradient,
}


def of_classes(per_row: bool) -> Candidates:
    return Uniform(C, S, per_row=per_row, seed=1).draw(TARGETS.clamp(min=0))


def module(weight: Tensor) -> NCELoss:
    return NCELoss(D, C, Uniform(C, S, seed=1), weight=torch.nn.Parameter(weight))


def tree(weight: Tensor) -> HierarchicalSoftmax:
    made = HierarchicalSoftmax(D, range(1, C + 1))
    with torch.no_grad():
        made.weight.copy_(weight[: len(made.weight)])
    return made


@pytest.mark.parametrize("name", READ_OFF)
def test_autocast_changes_nothing_that_is_read_off(name):
    input, weight, _ = numbers(torch.float32)
    expected = READ_OFF[name](input, weight).detach()
    with torch.autocast("cpu", torch.bfloat16):
        found = READ_OFF[name](input, weight).detach()
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
