"""The compiled loss over all classes: the reference's losses and gradients, whatever the tiles."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from logq import kernels
from logq.candidates import IGNORED
from logq.kernels import autograd, reference
from logq.kernels.cpp import tiles
from logq.objectives import OBJECTIVES

full_loss = kernels.backend("cpp").full_loss
NAMES = ("full_softmax", "full_logistic")


def problem(
    name: str, dtype: torch.dtype, *, rows: int = 9, classes: int = 23
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    input, weight, bias = (
        torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in ((rows, 4), (classes, 4), (classes,))
    )
    shape = (rows, 3) if name == "full_logistic" else (rows,)
    targets = torch.randint(classes, shape, generator=generator)
    targets[2] = IGNORED
    if targets.dim() == 2:
        targets[3, 1], targets[4, 2] = IGNORED, targets[4, 0]
    return input, weight, bias, targets


def both(name: str, arguments: tuple[Any, ...], **options: Any) -> list[tuple[Tensor, tuple[Tensor | None, ...]]]:
    leaves = [leaf for leaf in arguments[:3] if leaf is not None]
    found = []
    for run in (full_loss, reference.full_loss):
        loss = run(OBJECTIVES[name], *arguments, cosine=False, **options)
        assert (type(loss.grad_fn).__name__ == "FullLossBackward") == (run is not reference.full_loss)
        found.append((loss.detach(), torch.autograd.grad(loss * 3, leaves)))
    return found


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("tile", "widest"), [(1 << 21, 1 << 17), (64, 23), (1, 5)])
@pytest.mark.parametrize("name", NAMES)
def test_the_reference_in_float64(name, tile, widest, reduction, biased, monkeypatch) -> None:
    monkeypatch.setattr(tiles, "TILE", tile)
    monkeypatch.setattr(tiles, "WIDEST", widest)
    monkeypatch.setattr(tiles, "FEWEST_ROWS", 2)
    *leaves, bias, targets = problem(name, torch.float64)
    arguments = (*leaves, bias if biased else None, targets)
    (ours, of_ours), (theirs, of_theirs) = both(name, arguments, temperature=0.7, reduction=reduction)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for one, other in zip(of_ours, of_theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_as_near_to_float64_as_rounding_allows(name: str) -> None:
    exact = both(name, problem(name, torch.float64, rows=200, classes=999), temperature=1.0, reduction="mean")[1]
    ours = both(name, problem(name, torch.float32, rows=200, classes=999), temperature=1.0, reduction="mean")[0]
    torch.testing.assert_close(ours[0].double(), exact[0], rtol=1e-6, atol=0)
    for one, other in zip(ours[1], exact[1], strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_derivative_is_the_reference_s(name: str) -> None:
    *leaves, targets = problem(name, torch.float64)
    found = []
    for run in (full_loss, reference.full_loss):
        loss = run(OBJECTIVES[name], *leaves, targets, temperature=1.0, cosine=False, reduction="sum")
        first = torch.autograd.grad(loss, leaves, create_graph=True)
        found.append(torch.autograd.grad(sum(part.square().sum() for part in first), leaves))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_gradients_are_given_once_more_and_unchanged_by_others() -> None:
    *leaves, targets = problem("full_softmax", torch.float64)
    loss = full_loss(OBJECTIVES["full_softmax"], *leaves, targets, temperature=1.0, cosine=False, reduction="mean")
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    kept = [part.clone() for part in first]
    for part in first:
        part.zero_()
    for one, other in zip(torch.autograd.grad(loss, leaves), kept, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("needed", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1)])
@pytest.mark.parametrize("name", NAMES)
def test_only_what_is_asked_for(name: str, needed: tuple[int, ...]) -> None:
    *leaves, targets = problem(name, torch.float64)
    leaves = [leaf.detach().requires_grad_(bool(needs)) for leaf, needs in zip(leaves, needed, strict=True)]
    for leaf in leaves:
        leaf.grad = None
    found = []
    for run in (full_loss, reference.full_loss):
        run(OBJECTIVES[name], *leaves, targets, temperature=0.5, cosine=False, reduction="mean").backward()
        found.append([leaf.grad for leaf in leaves])
        for leaf in leaves:
            leaf.grad = None
    for one, other, needs in zip(*found, needed, strict=True):
        assert (one is not None) == bool(needs)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch itself, for forward mode
def test_a_forward_derivative_is_the_reference_s() -> None:
    input, weight, bias, targets = problem("full_softmax", torch.float64)
    with forward_ad.dual_level():
        moved = forward_ad.make_dual(input, torch.ones_like(input))
        found = [
            forward_ad.unpack_dual(
                run(
                    OBJECTIVES["full_softmax"],
                    moved,
                    weight,
                    bias,
                    targets,
                    temperature=1.0,
                    cosine=False,
                    reduction="sum",
                )
            ).tangent
            for run in (full_loss, reference.full_loss)
        ]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("what", ["none", "cosine", "half", "no_grad", "empty"])
def test_what_is_rarer_runs_on_the_reference(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    input, weight, bias, targets = problem("full_softmax", torch.float32)
    if what == "half":
        weight = weight.detach().bfloat16().requires_grad_()
    if what == "empty":
        input, targets = input.detach()[:0].requires_grad_(), targets[:0]

    def refuse(*_: object) -> None:
        raise AssertionError

    if what != "empty":
        monkeypatch.setattr(autograd.FullLoss, "apply", refuse)
    with torch.set_grad_enabled(what != "no_grad"):
        loss = full_loss(
            OBJECTIVES["full_softmax"],
            input,
            weight,
            bias,
            targets,
            temperature=1.0,
            cosine=what == "cosine",
            reduction="none" if what == "none" else "mean",
        )
    assert bool(loss.isfinite().all())
    if what == "empty":
        loss.backward()
        assert float(loss.detach()) == 0
