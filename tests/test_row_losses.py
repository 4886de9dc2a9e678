"""The two losses against loops, and at their edges."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import student
from logq.row_losses import logistic, softmax

LOGITS = st.floats(-50, 50)


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


@given(st.lists(LOGITS, min_size=1, max_size=3), st.lists(LOGITS, max_size=5), st.data())
def test_logistic_is_the_loop(true, negative, data):
    is_true = data.draw(st.lists(st.booleans(), min_size=len(true), max_size=len(true)))
    is_negative = data.draw(st.lists(st.booleans(), min_size=len(negative), max_size=len(negative)))
    actual = logistic(
        tensor([true]),
        tensor([negative]).view(1, -1),
        torch.tensor([is_true]),
        torch.tensor([is_negative]).view(1, -1).bool(),
    )
    expected = sum(student.log_one_plus_exp(-g) for g, counts in zip(true, is_true, strict=True) if counts)
    expected += sum(student.log_one_plus_exp(g) for g, counts in zip(negative, is_negative, strict=True) if counts)
    assert actual.tolist() == pytest.approx([expected], rel=1e-12, abs=1e-12)


@given(LOGITS, st.lists(LOGITS, max_size=5), st.data())
def test_softmax_is_the_loop(true, negative, data):
    is_negative = data.draw(st.lists(st.booleans(), min_size=len(negative), max_size=len(negative)))
    one = torch.ones(1, 1, dtype=torch.bool)
    mask = torch.tensor([is_negative]).view(1, -1).bool()
    actual = softmax(tensor([[true]]), tensor([negative]).view(1, -1), one, mask)
    left = [g for g, counts in zip(negative, is_negative, strict=True) if counts]
    assert actual.tolist() == pytest.approx([student.log_sum_exp([true, *left]) - true], rel=1e-12, abs=1e-12)
    assert softmax(tensor([[true]]), tensor([negative]).view(1, -1), ~one, mask).tolist() == [0]


def test_no_mask_is_a_mask_of_ones():
    true, negative, one = torch.randn(3, 1), torch.randn(3, 4), torch.ones(3, 1, dtype=torch.bool)
    for loss in (logistic, softmax):
        assert torch.equal(
            loss(true, negative, one, None), loss(true, negative, one, torch.ones(3, 4, dtype=torch.bool))
        )


def test_doubles_keep_their_digits_far_out():
    """softplus turns linear beyond 20 and would lose 2e-9 there."""
    one = torch.ones(1, 1, dtype=torch.bool)
    small = logistic(tensor([[25.0]]), tensor([[]]), one, None)
    assert float(small) == pytest.approx(math.log1p(math.exp(-25)), rel=1e-14)
    assert logistic(tensor([[-1e4]]), tensor([[1e4]]), one, None).tolist() == [2e4]
    assert softmax(tensor([[-1e4]]), tensor([[1e4]]), one, None).tolist() == [2e4]


def test_masked_logits_have_no_gradient():
    for loss in (logistic, softmax):
        true, negative = torch.zeros(2, 1, requires_grad=True), torch.zeros(2, 2, requires_grad=True)
        is_true, is_negative = torch.tensor([[True], [False]]), torch.tensor([[True, False], [False, False]])
        loss(true, negative, is_true, is_negative)[0].backward()
        assert (true.grad[0] < 0).all()
        assert negative.grad[0, 0] > 0
        assert negative.grad[0, 1] == negative.grad[1, 0] == negative.grad[1, 1] == true.grad[1] == 0
