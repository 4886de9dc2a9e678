"""Derivatives of both orders on every path, tables that change, and updates inside of backward."""

from typing import Any

import pytest
import torch
from torch import Tensor

from logq import kernels
from logq.kernels import reference, updates
from logq.kernels.cpp import CppBackend, row_sums
from logq.objectives import OBJECTIVES, softmax
from problems import Problem, problem

SAMPLED = [name for name, row in OBJECTIVES.items() if row.negatives.sampled]
PATHS = {
    "shared": ({}, {}, True),
    "shared, excluded, ignored": ({"excluded": True, "ignored": True}, {"temperature": 0.7}, True),
    "per row, excluded, ignored": ({"per_row": True, "excluded": True, "ignored": True}, {}, True),
    "shared, cosine": ({"ignored": True}, {"cosine": True, "temperature": 0.5}, True),
    "per row, cosine, no bias": ({"per_row": True}, {"cosine": True, "temperature": 0.5}, False),
    "several true": ({"num_true": 2, "ignored": True}, {"temperature": 2.0, "remove_hits": True}, True),
}


def op(name: str, input: Tensor, weight: Tensor, bias: Tensor | None, candidates: Any, **options: Any) -> Tensor:
    options = {
        "temperature": 1.0,
        "cosine": False,
        "remove_hits": None,
        "sparse": False,
        "reduction": "mean",
    } | options
    return kernels.get("sampled_loss")(OBJECTIVES[name], input, weight, bias, candidates, **options)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", SAMPLED)
def test_derivatives(name, path, reduction):
    kind, options, bias = PATHS[path]
    if OBJECTIVES[name].loss is softmax:
        kind = {**kind, "num_true": None}
    p = problem(**kind).with_grad()

    def losses(input: Tensor, weight: Tensor, *rest: Tensor) -> Tensor:
        return op(name, input, weight, rest[0] if rest else None, p.candidates, reduction=reduction, **options)

    leaves = p[: 3 if bias else 2]
    assert torch.autograd.gradcheck(losses, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(losses, leaves, fast_mode=True)


@pytest.mark.parametrize("needed", [[0], [1], [2], [0, 1], [0, 2], [1, 2]], ids=str)
def test_second_derivatives_of_some(needed):
    p = problem(ignored=True).with_grad()

    def losses(*some: Tensor) -> Tensor:
        leaves = [leaf.detach() for leaf in p[:3]]
        for place, leaf in zip(needed, some, strict=True):
            leaves[place] = leaf
        return op("nce", *leaves, p.candidates)

    assert torch.autograd.gradgradcheck(losses, [p[place] for place in needed], fast_mode=True)


def test_a_penalty_on_the_gradient_trains():
    """A step of double backward by hand, as a gradient penalty takes it, against the reference."""
    found = []
    for backend in ("cpp", "reference"):
        p = problem().with_grad()
        with kernels.use(backend):
            loss = op("sampled_softmax", *p, cosine=True)
            (of_input,) = torch.autograd.grad(loss, p.input, create_graph=True)
            (loss + of_input.square().sum()).backward()
        found.append([loss, of_input, *(leaf.grad for leaf in p[:3])])
    for actual, expected in zip(*found, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_one_tensor_in_two_places():
    both = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    candidates = problem().candidates
    candidates = candidates._replace(ids=candidates.ids % 5, targets=candidates.targets % 5)
    assert torch.autograd.gradcheck(lambda x: op("nce", x, x, None, candidates), [both])
    assert torch.autograd.gradgradcheck(lambda x: op("nce", x, x, None, candidates), [both])
    (once,) = torch.autograd.grad(op("nce", both, both, None, candidates), both)
    (again,) = torch.autograd.grad(op("nce", both, both, None, candidates), both, create_graph=True)
    torch.testing.assert_close(again, once)


# ------------------------------------------------------------------------------------------------ tables that change


def test_a_table_that_changes_between_forward_and_backward():
    """Gradients of a mean are those at the time of the loss; what needs the table again says that it has changed."""
    p = problem().with_grad()
    expected = torch.autograd.grad(op("nce", *p), p[:3])
    for options, refused in (({}, False), ({"cosine": True}, True), ({"reduction": "none"}, True)):
        q = Problem(*(leaf.detach().clone().requires_grad_() for leaf in p[:3]), p.candidates)
        loss = op("nce", *q, **options).sum()
        with torch.no_grad():
            q.weight.add_(1.0)
        if refused:
            with pytest.raises(RuntimeError, match=r"changed since|modified by an inplace operation"):
                torch.autograd.grad(loss, q[:3])
        else:
            for actual, wanted in zip(torch.autograd.grad(loss, q[:3]), expected, strict=True):
                assert torch.equal(actual, wanted)


def test_a_second_derivative_needs_the_table_as_it_was():
    p = problem().with_grad()
    loss = op("nce", *p)
    with torch.no_grad():
        p.bias.add_(1.0)
    with pytest.raises(RuntimeError, match="weight: expected its values from forward"):
        torch.autograd.grad(loss, p[:3], create_graph=True)


# ------------------------------------------------------------------------------------- updates inside of backward


@pytest.fixture
def updated(monkeypatch) -> dict[int, Any]:
    """id of a parameter -> its rule. A rule here is a rate of plain gradient descent."""
    rules: dict[int, Any] = {}

    def update(entries, weight, bias, *, scale, cosine, weight_rule, bias_rule):
        of_weight, of_bias = row_sums.class_gradients(
            entries, weight, bias=bias_rule is not None, scale=scale, cosine=cosine, sparse=False
        )
        with torch.no_grad():
            if weight_rule is not None:
                weight -= weight_rule * of_weight
            if bias_rule is not None:
                bias -= bias_rule * of_bias

    monkeypatch.setattr(updates, "find", lambda parameter: rules.get(id(parameter)))
    monkeypatch.setattr(CppBackend, "update_classes", staticmethod(update))
    return rules


@pytest.mark.parametrize("options", [{}, {"cosine": True}, {"reduction": "none"}, {"sparse": True}], ids=str)
@pytest.mark.parametrize("which", [(True, True), (True, False), (False, True)], ids=str)
@pytest.mark.parametrize("per_row", [False, True])
def test_what_has_a_rule_is_updated_and_gets_no_gradient(updated, per_row, which, options):
    p = problem(per_row=per_row, ignored=True).with_grad()
    expected = torch.autograd.grad(op("nce", *p, **options).sum(), p[:3])
    before = [leaf.detach().clone() for leaf in p[:3]]
    for leaf, has_rule in zip(p[1:3], which, strict=True):
        if has_rule:
            updated[id(leaf)] = 0.5
    op("nce", *p, **options).sum().backward()
    torch.testing.assert_close(p.input.grad, expected[0])
    for leaf, was, gradient, has_rule in zip(p[1:3], before[1:], expected[1:], which, strict=True):
        gradient = gradient.to_dense()
        assert (leaf.grad is None) == has_rule
        if has_rule:
            torch.testing.assert_close(leaf.detach(), was - 0.5 * gradient)
        else:
            assert torch.equal(leaf.detach(), was)
            torch.testing.assert_close(leaf.grad.to_dense(), gradient)


def test_two_losses_update_one_table_in_turn(updated):
    """Both gradients are those at the time of the losses, as if they had been added."""
    p = problem().with_grad()
    total = [torch.autograd.grad(op(name, *p), p[:3])[1] for name in ("nce", "sampled_softmax")]
    before = p.weight.detach().clone()
    updated[id(p.weight)] = 0.5
    (op("nce", *p) + op("sampled_softmax", *p)).backward()
    torch.testing.assert_close(p.weight.detach(), before - 0.5 * sum(total))


def test_a_backward_that_is_differentiated_again_updates_nothing(updated):
    p = problem().with_grad()
    updated[id(p.weight)] = 0.5
    before = p.weight.detach().clone()
    gradients = torch.autograd.grad(op("nce", *p), p[:3], create_graph=True)
    assert torch.equal(p.weight.detach(), before)
    expected = torch.autograd.grad(
        reference.sampled_loss(
            OBJECTIVES["nce"],
            *p,
            temperature=1.0,
            cosine=False,
            remove_hits=None,
            sparse=False,
            reduction="mean",
        ),
        p[:3],
    )
    for actual, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(actual, wanted)


def test_a_frozen_table_is_not_updated(updated):
    p = problem().with_grad()
    updated[id(p.weight)] = 0.5
    p.weight.requires_grad_(False)
    before = p.weight.detach().clone()
    op("nce", *p).backward()
    assert torch.equal(p.weight, before)
