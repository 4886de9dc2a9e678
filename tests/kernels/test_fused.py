"""A fused backend in plain torch: autograd, graphs and updates are shared, and a backend brings its passes alone."""

from typing import ClassVar

import pytest
import torch
from torch import Tensor

import pass_oracle
from logq import kernels
from logq.kernels import FallbackWarning, FusedBackend, fallback, reference
from logq.kernels.passes import LossesAndGradients
from logq.objectives import OBJECTIVES
from logq.optim import SGD
from problems import PROBLEMS, problem

SAMPLED = [name for name, row in OBJECTIVES.items() if row.negatives.sampled]
FULL = [name for name, row in OBJECTIVES.items() if not row.negatives.sampled]
OPTIONS = {"temperature": 0.5, "cosine": False, "remove_hits": None, "sparse": False, "reduction": "mean"}


class Plain(FusedBackend):
    """All passes in plain torch. It never reads a number, as one on another device would not."""

    device_types = ("cpu",)
    passes: ClassVar[list[str]] = []

    @staticmethod
    def shared_pass(*arguments, **options):
        Plain.passes.append("shared")
        return pass_oracle.losses_and_gradients(*arguments, **options)

    @staticmethod
    def per_row_pass(*arguments, **options):
        Plain.passes.append("per row")
        return pass_oracle.losses_and_gradients(*arguments, **options)

    @staticmethod
    def full_pass(input, weight, bias, targets, row_scale, *, softmax, temperature, needs):
        Plain.passes.append("full")
        objective = OBJECTIVES["full_softmax" if softmax else "full_logistic"]
        leaves = [None if x is None else x.detach().requires_grad_() for x in (input, weight, bias)]
        with torch.enable_grad():
            losses = reference.full_loss(objective, *leaves, targets, temperature=temperature, cosine=False)
            total = losses.sum() if row_scale is None else losses @ row_scale
        found = iter(torch.autograd.grad(total, [leaf for leaf in leaves if leaf is not None]))
        nothing = input.new_empty(0)
        gradients = [nothing if leaf is None else next(found) for leaf in leaves]
        return LossesAndGradients(losses.detach(), gradients[0], nothing, gradients[2], gradients[1])


class SharedOnly(FusedBackend):
    device_types = ("cpu",)
    shared_pass = staticmethod(Plain.shared_pass)


@pytest.fixture
def plain(request):
    kernels.register("plain", getattr(request, "param", Plain)())
    Plain.passes.clear()
    fallback.forget_reports()
    with kernels.use("plain"):
        yield kernels.backend("plain")
    kernels.unregister("plain")
    fallback.forget_reports()


def both(name: str, p, upstream: Tensor | None = None, **options) -> list[list[Tensor]]:
    results = []
    for run in (kernels.get("sampled_loss"), reference.sampled_loss):
        leaves = p.with_grad()
        loss = run(OBJECTIVES[name], *leaves, **OPTIONS | options)
        results.append([loss, *torch.autograd.grad(loss, leaves[:3], upstream)])
    return results


def assert_alike(results: list[list[Tensor]]) -> None:
    for actual, expected in zip(*results, strict=True):
        assert actual.is_sparse == expected.is_sparse
        assert actual.dtype == expected.dtype
        torch.testing.assert_close(actual.to_dense(), expected.to_dense(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("name", SAMPLED)
def test_sampled_losses_and_gradients(name, kind, cosine, plain):
    p = problem(**PROBLEMS[kind])
    for sparse in (False, True):
        assert_alike(both(name, p, cosine=cosine, sparse=sparse))
        assert_alike(both(name, p, cosine=cosine, sparse=sparse, reduction="sum"))
        upstream = torch.linspace(-1, 2, len(p.input), dtype=torch.float64)
        assert_alike(both(name, p, upstream, cosine=cosine, sparse=sparse, reduction="none"))
    assert set(plain.passes) == {"per row" if PROBLEMS[kind].get("per_row") else "shared"}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", FULL)
def test_full_losses_and_gradients(name, reduction, plain):
    p = problem()
    results = []
    for run in (kernels.get("full_loss"), reference.full_loss):
        leaves = p.with_grad()
        loss = run(
            OBJECTIVES[name], *leaves[:3], p.candidates.targets, temperature=0.5, cosine=False, reduction=reduction
        )
        results.append([loss, *torch.autograd.grad(3 * loss, leaves[:3])])
    assert_alike(results)
    assert plain.passes == ["full"]


@pytest.mark.parametrize("per_row", [False, True])
def test_no_number_is_read_from_a_device(per_row, plain, monkeypatch):
    """A GPU would have to be waited for."""
    p = problem(per_row=per_row, ignored=True).with_grad()
    run = kernels.get("sampled_loss")

    def refuse(_):
        raise AssertionError("a number was read")

    with monkeypatch.context() as patch:
        for name in ("item", "__int__", "__float__", "tolist"):
            patch.setattr(Tensor, name, refuse)
        patch.setattr(plain, "class_gradients", lambda entries, table, **options: (torch.zeros_like(table), None))
        loss = run(OBJECTIVES["nce"], *p, **OPTIONS)
        loss.backward()
    assert p.input.grad is not None


@pytest.mark.parametrize("per_row", [False, True])
def test_updates_inside_of_backward(per_row, plain):
    p = problem(per_row=per_row, ignored=True)
    tables = []
    for in_backward in (False, True):
        weight, bias = (torch.nn.Parameter(x.clone()) for x in p[1:3])
        optimizer = SGD([weight, bias], lr=0.5, in_backward=in_backward)
        kernels.get("sampled_loss")(OBJECTIVES["nce"], p.input, weight, bias, p.candidates, **OPTIONS).backward()
        assert (weight.grad is None) == in_backward
        optimizer.step()
        tables.append([weight.detach(), bias.detach()])
    for direct, stored in zip(*tables, strict=True):
        torch.testing.assert_close(direct, stored, rtol=1e-12, atol=1e-12)


def test_second_derivatives(plain):
    p = problem().with_grad()

    def loss(*leaves: Tensor) -> Tensor:
        return kernels.get("sampled_loss")(OBJECTIVES["nce"], *leaves, p.candidates, **OPTIONS)

    assert torch.autograd.gradcheck(loss, p[:3], fast_mode=True)
    assert torch.autograd.gradgradcheck(loss, p[:3], fast_mode=True)


@pytest.mark.parametrize("per_row", [False, True])
def test_a_graph_runs_on_the_backend_that_it_was_made_for(per_row, plain):
    torch._dynamo.reset()
    p = problem(per_row=per_row)

    def loss(*leaves: Tensor) -> Tensor:
        return kernels.get("sampled_loss")(OBJECTIVES["nce"], *leaves, p.candidates, **OPTIONS)

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    found = []
    for run in (compiled, loss):
        leaves = p.with_grad()
        value = run(*leaves[:3])
        found.append([value, *torch.autograd.grad(value, leaves[:3])])
    for actual, expected in zip(*found, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    assert len(plain.passes) == 2
    torch._dynamo.reset()


def test_what_it_lacks_is_seen(plain):
    assert plain.missing == tuple(op for op in kernels.OPS if op not in ("sampled_loss", "full_loss"))


@pytest.mark.parametrize("plain", [SharedOnly], indirect=True)
def test_a_backend_with_one_pass(plain):
    assert "sampled_loss" not in plain.missing
    assert "full_loss" in plain.missing
    assert_alike(both("nce", problem()))
    assert not kernels.explain("nce").falls_back
    told = kernels.explain("nce", shared=False)
    assert str(told["sampled_loss"]) == "sampled_loss: reference instead of plain, it has no pass over samples of rows"
    with pytest.warns(FallbackWarning, match="not on plain: it has no pass over samples of rows"):
        assert_alike(both("nce", problem(per_row=True)))
