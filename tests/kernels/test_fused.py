"""Fused backends: autograd, graphs and updates are shared, and a backend brings its passes alone.

Those of the library run here on each of their devices that there is, and one in plain torch that stands in this file.
"""

from typing import ClassVar

import pytest
import torch
from torch import Tensor

import pass_oracle
from backend_cases import FUSED
from logq import kernels
from logq.candidates import Candidates
from logq.kernels import FallbackWarning, FusedBackend, fallback, reference
from logq.kernels.passes import LossesAndGradients
from logq.objectives import OBJECTIVES, logistic
from logq.optim import SGD
from problems import PROBLEMS, SEVERAL_TRUE, Problem, problem

SAMPLED = [name for name, row in OBJECTIVES.items() if row.negatives.sampled]
FULL = [name for name, row in OBJECTIVES.items() if not row.negatives.sampled]
OPTIONS = {"temperature": 0.5, "cosine": False, "remove_hits": None, "sparse": False, "reduction": "mean"}


class Plain(FusedBackend):
    """All passes in plain torch. It never reads a number, as one on another device would not."""

    device_types = ("cpu",)
    passes: ClassVar[list[str]] = []

    @staticmethod
    def shared_pass(given):
        Plain.passes.append("shared")
        return pass_oracle.losses_and_gradients(given)

    @staticmethod
    def per_row_pass(given):
        Plain.passes.append("per row")
        return pass_oracle.losses_and_gradients(given)

    @staticmethod
    def full_pass(given):
        Plain.passes.append("full")
        objective = OBJECTIVES["full_softmax" if given.softmax else "full_logistic"]
        leaves = [None if x is None else x.detach().requires_grad_() for x in given[:3]]
        with torch.enable_grad():
            losses = reference.full_loss(objective, *leaves, given.targets, temperature=given.temperature, cosine=False)
            total = losses.sum() if given.row_scale is None else losses @ given.row_scale
        found = iter(torch.autograd.grad(total, [leaf for leaf in leaves if leaf is not None]))
        nothing = given.input.new_empty(0)
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


@pytest.fixture(params=[("plain", "cpu"), *FUSED], ids=" on ".join)
def fused(request):
    """A backend in use, and the device of it that tensors are to lie on."""
    name, device = request.param
    if name == "plain":
        request.getfixturevalue("plain")
    with kernels.use(name):
        yield kernels.backend(name), device


def needs(backend: FusedBackend, *passes: str) -> None:
    """Leave a test out of which a backend has said that it leaves the pass to the reference."""
    lacking = [name for name in passes if not backend.brings(name)]
    if lacking:
        pytest.skip(f"{backend.name} brings no {', '.join(lacking)}")


def pass_for(per_row: bool) -> str:
    return "per_row_pass" if per_row else "shared_pass"


def both(name: str, p, upstream: Tensor | None = None, **options) -> list[list[Tensor]]:
    results = []
    for run in (kernels.get("sampled_loss", p.input.device.type), reference.sampled_loss):
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
def test_sampled_losses_and_gradients(name, kind, cosine, fused):
    backend, device = fused
    per_row = PROBLEMS[kind].get("per_row", False)
    needs(backend, pass_for(per_row))
    p = problem(**PROBLEMS[kind]).to(device)
    for sparse in (False, True):
        assert_alike(both(name, p, cosine=cosine, sparse=sparse))
        assert_alike(both(name, p, cosine=cosine, sparse=sparse, reduction="sum"))
        upstream = torch.linspace(-1, 2, len(p.input), dtype=torch.float64, device=device)
        assert_alike(both(name, p, upstream, cosine=cosine, sparse=sparse, reduction="none"))
    if isinstance(backend, Plain):
        assert set(backend.passes) == {"per row" if per_row else "shared"}


@pytest.mark.parametrize("kind", SEVERAL_TRUE)
@pytest.mark.parametrize("name", [name for name in SAMPLED if OBJECTIVES[name].loss is logistic])
def test_several_true_classes_and_no_biases(name, kind, fused):
    backend, device = fused
    needs(backend, pass_for(SEVERAL_TRUE[kind].get("per_row", False)))
    p = problem(**SEVERAL_TRUE[kind]).to(device)
    assert_alike(both(name, p, remove_hits=True))
    found = []
    for run in (kernels.get("sampled_loss", device), reference.sampled_loss):
        input, weight, _, candidates = p.with_grad()
        loss = run(OBJECTIVES[name], input, weight, None, candidates, **OPTIONS)
        found.append([loss, *torch.autograd.grad(loss, (input, weight))])
    assert_alike(found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("name", SAMPLED)
def test_narrow_tables(name, per_row, dtype, fused):
    """Held to what the same numbers give in double: logits are to be made in float32 at least."""
    backend, device = fused
    needs(backend, pass_for(per_row))
    p = problem(per_row=per_row, dtype=dtype).to(device)
    wide = Problem(*(x.double() for x in p[:3]), p.candidates)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype is torch.float32 else {"rtol": 2e-2, "atol": 2e-2}
    (loss, *made), _ = both(name, p)
    _, (expected, *gradients) = both(name, wide)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-5)
    for one, other in zip(made, gradients, strict=True):
        assert one.dtype is dtype
        torch.testing.assert_close(one.double(), other, **close)


@pytest.mark.parametrize("per_row", [False, True])
def test_an_empty_batch(per_row, fused):
    backend, device = fused
    needs(backend, pass_for(per_row))
    ids, log_q, targets, true_log_q, _ = problem(per_row=per_row).candidates
    rows = (ids[:0], log_q[:0]) if per_row else (ids, log_q)
    p = problem()._replace(candidates=Candidates(*rows, targets[:0], true_log_q[:0], None))
    assert_alike(both("nce", p._replace(input=p.input[:0]).to(device), reduction="sum"))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", FULL)
def test_full_losses_and_gradients(name, reduction, fused):
    backend, device = fused
    needs(backend, "full_pass")
    p = problem(ignored=True).to(device)
    results = []
    for run in (kernels.get("full_loss", device), reference.full_loss):
        leaves = p.with_grad()
        loss = run(
            OBJECTIVES[name], *leaves[:3], p.candidates.targets, temperature=0.5, cosine=False, reduction=reduction
        )
        assert (type(loss.grad_fn).__name__ == "FullLossBackward") == (run is not reference.full_loss)
        results.append([loss, *torch.autograd.grad(3 * loss, leaves[:3])])
    assert_alike(results)
    if isinstance(backend, Plain):
        assert backend.passes == ["full"]


@pytest.mark.parametrize("per_row", [False, True])
def test_no_number_is_read_from_a_device(per_row, fused, monkeypatch):
    """A GPU would have to be waited for."""
    backend, device = fused
    needs(backend, pass_for(per_row))
    if backend.reads_values:
        pytest.skip("it says that nothing is to be waited for")
    p = problem(per_row=per_row, ignored=True).to(device).with_grad()
    run = kernels.get("sampled_loss", device)

    def refuse(_):
        raise AssertionError("a number was read")

    with monkeypatch.context() as patch:
        for name in ("item", "__int__", "__float__", "tolist"):
            patch.setattr(Tensor, name, refuse)
        patch.setattr(backend, "class_gradients", lambda entries, table, **options: (torch.zeros_like(table), None))
        loss = run(OBJECTIVES["nce"], *p, **OPTIONS)
        loss.backward()
    assert p.input.grad is not None


@pytest.mark.parametrize("per_row", [False, True])
def test_updates_inside_of_backward(per_row, fused):
    backend, device = fused
    needs(backend, pass_for(per_row))
    p = problem(per_row=per_row, ignored=True).to(device)
    tables = []
    for in_backward in (False, True):
        weight, bias = (torch.nn.Parameter(x.clone()) for x in p[1:3])
        optimizer = SGD([weight, bias], lr=0.5, in_backward=in_backward)
        run = kernels.get("sampled_loss", device)
        run(OBJECTIVES["nce"], p.input, weight, bias, p.candidates, **OPTIONS).backward()
        assert (weight.grad is None) == in_backward
        optimizer.step()
        tables.append([weight.detach(), bias.detach()])
    for direct, stored in zip(*tables, strict=True):
        torch.testing.assert_close(direct, stored, rtol=1e-12, atol=1e-12)


def test_second_derivatives(fused):
    backend, device = fused
    needs(backend, "shared_pass")
    p = problem().to(device).with_grad()

    def loss(*leaves: Tensor) -> Tensor:
        return kernels.get("sampled_loss", device)(OBJECTIVES["nce"], *leaves, p.candidates, **OPTIONS)

    assert torch.autograd.gradcheck(loss, p[:3], fast_mode=True)
    assert torch.autograd.gradgradcheck(loss, p[:3], fast_mode=True)


@pytest.mark.parametrize("per_row", [False, True])
def test_a_graph_runs_on_the_backend_that_it_was_made_for(per_row, fused):
    backend, device = fused
    needs(backend, pass_for(per_row))
    torch._dynamo.reset()
    p = problem(per_row=per_row).to(device)

    def loss(*leaves: Tensor) -> Tensor:
        return kernels.get("sampled_loss", device)(OBJECTIVES["nce"], *leaves, p.candidates, **OPTIONS)

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    found = []
    for run in (compiled, loss):
        leaves = p.with_grad()
        value = run(*leaves[:3])
        found.append([value, *torch.autograd.grad(value, leaves[:3])])
    for actual, expected in zip(*found, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    if isinstance(backend, Plain):
        assert len(backend.passes) == 2
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
