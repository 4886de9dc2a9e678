"""Clipping: as torch's for dense gradients, and for sparse ones as torch's would be for their dense form."""

import pytest
import torch
from torch import Tensor, nn

from logq.optim import clip_grad_norm_, clip_grad_value_


def parameters(sparse: bool, dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    made = [nn.Parameter(torch.zeros(shape, dtype=dtype)) for shape in ((8, 3), (5,), (6, 2, 2))]
    for parameter in made:
        ids = torch.randint(0, len(parameter), (1, 7), generator=generator)
        rows = torch.randn(7, *parameter.shape[1:], generator=generator).to(dtype)
        gradient = torch.sparse_coo_tensor(ids, rows, parameter.shape, check_invariants=False)
        parameter.grad = gradient if sparse else gradient.to_dense()
    made[2].grad = made[2].grad if not sparse else made[2].grad.coalesce()
    return [*made, nn.Parameter(torch.zeros(2))]


def dense(gradient: Tensor | None) -> Tensor:
    return torch.zeros(0) if gradient is None else gradient.to_dense() if gradient.is_sparse else gradient


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, float("inf")])
@pytest.mark.parametrize("max_norm", [0.0, 0.5, 1e9, float("inf")])
def test_norm(max_norm: float, norm_type: float, sparse: bool) -> None:
    ours, theirs = parameters(sparse), parameters(False)
    norm = clip_grad_norm_(ours, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    torch.testing.assert_close(norm, expected, rtol=1e-12, atol=0)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(dense(a.grad), dense(b.grad), rtol=1e-12, atol=1e-15)
        assert a.grad is None or a.grad.is_sparse == sparse


@pytest.mark.parametrize("sparse", [False, True])
def test_value(sparse: bool) -> None:
    ours, theirs = parameters(sparse), parameters(False)
    clip_grad_value_(ours, 0.3)
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    for a, b in zip(ours, theirs, strict=True):
        assert (dense(a.grad) == dense(b.grad)).all()


@pytest.mark.parametrize("sparse", [False, True])
def test_norm_of_half_precision_is_taken_in_float32(sparse: bool) -> None:
    made = parameters(sparse, torch.bfloat16)
    exact = torch.cat([dense(one.grad).double().flatten() for one in made]).norm()
    norm = clip_grad_norm_(iter(made), 1.0)
    assert norm.dtype == torch.float32
    torch.testing.assert_close(norm.double(), exact, rtol=1e-2 if sparse else 1e-6, atol=0)


def test_one_parameter_and_none_with_a_gradient() -> None:
    table = nn.Parameter(torch.zeros(3))
    assert clip_grad_norm_(table, 1.0) == 0
    table.grad = torch.tensor([3.0, 0.0, 4.0])
    assert clip_grad_norm_(table, 1.0) == 5
    torch.testing.assert_close(table.grad, torch.tensor([0.6, 0.0, 0.8]), rtol=1e-5, atol=0)


def test_an_empty_sparse_gradient() -> None:
    table = nn.Parameter(torch.zeros(3, 2))
    table.grad = torch.sparse_coo_tensor(
        torch.zeros(1, 0, dtype=torch.int64), torch.zeros(0, 2), (3, 2), check_invariants=False
    )
    assert clip_grad_norm_(table, 1.0) == 0
    clip_grad_value_(table, 1.0)


def test_what_is_not_finite() -> None:
    table = nn.Parameter(torch.zeros(3))
    table.grad = torch.tensor([1.0, float("nan"), 2.0])
    with pytest.raises(RuntimeError, match="expected gradients with a finite norm, got nan"):
        clip_grad_norm_(table, 1.0, error_if_nonfinite=True)
    assert table.grad[2] == 2
    assert clip_grad_norm_(table, 1.0).isnan()


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="max_norm: expected a finite number >= 0, got -1"):
        clip_grad_norm_([], -1)
    with pytest.raises(ValueError, match="norm_type: expected a finite number > 0, got 0"):
        clip_grad_norm_([], 1.0, 0)
    with pytest.raises(ValueError, match="clip_value: expected a finite number >= 0, got -2"):
        clip_grad_value_([], -2)
    with pytest.raises(TypeError, match="parameters: expected tensors, got str"):
        clip_grad_value_(["table"], 1.0)  # pyright: ignore
