"""Sparse gradients: repeated rows, rows that nobody touched, half precision."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import embedding

from logq import kernels, optim

MAKE: dict[str, Callable[..., optim.RowOptimizer]] = {
    "sgd": optim.SGD,
    "adagrad": optim.Adagrad,
    "rowwise": optim.RowWiseAdagrad,
    "adam": optim.LazyAdam,
}


def train(optimizer: torch.optim.Optimizer, table: nn.Parameter, *, steps: int = 20, width: int = 40) -> None:
    """Steps on rows that repeat within a step, and of which many never come."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        ids = torch.randint(0, len(table) // 2, (width,), generator=generator)
        weights = torch.randn(width, *table.shape[1:], generator=generator).to(table.dtype)
        optimizer.zero_grad()
        (embedding(ids, table, sparse=True) * weights).sum().backward()
        optimizer.step()


def new_table(dtype: torch.dtype = torch.float64, dim: int = 5) -> nn.Parameter:
    return nn.Parameter(torch.randn(60, dim, dtype=dtype, generator=torch.Generator().manual_seed(0)))


@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")  # torch makes such tensors itself
@pytest.mark.parametrize("dim", [1, 3, 100, 127, 128, 300])
@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_as_the_sparse_ones_of_torch(name: str, dim: int) -> None:
    ours, theirs = new_table(dim=dim), new_table(dim=dim)
    train(MAKE[name]([ours], lr=0.1), ours)
    train({"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad}[name]([theirs], lr=0.1), theirs)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert (ours[30:] == new_table(dim=dim)[30:]).all()


@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
@pytest.mark.parametrize("maximize", [False, True])
def test_as_sparse_adam_whose_eps_is_added_before_the_correction(maximize: bool) -> None:
    ours, theirs = new_table(), new_table()
    optimizer = optim.LazyAdam([ours], lr=0.1, maximize=maximize)
    step = 0

    def with_its_eps(*_: object) -> None:
        nonlocal step
        step += 1
        optimizer.param_groups[0]["eps"] = 1e-3 / (1 - 0.999**step) ** 0.5

    optimizer.register_step_pre_hook(with_its_eps)
    train(optimizer, ours)
    train(torch.optim.SparseAdam([theirs], lr=0.1, eps=1e-3, maximize=maximize), theirs)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", MAKE)
def test_the_reference_does_the_same(name: str, dtype: torch.dtype) -> None:
    ours, theirs = new_table(dtype, 37), new_table(dtype, 37)
    train(MAKE[name]([ours], lr=0.1, weight_decay=0.1), ours)
    with kernels.use("reference"):
        train(MAKE[name]([theirs], lr=0.1, weight_decay=0.1), theirs)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-4}.get(dtype, 4 * torch.finfo(dtype).eps)
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", MAKE)
def test_half_precision_is_computed_in_float32_and_rounded_once(name: str, dtype: torch.dtype) -> None:
    table = new_table(dtype)
    wide = nn.Parameter(table.detach().float())
    half, full = MAKE[name]([table], lr=0.1), MAKE[name]([wide], lr=0.1)
    ids, rows = torch.tensor([[3, 7, 3]]), torch.randn(3, 5).to(dtype)
    table.grad = torch.sparse_coo_tensor(ids[:, :2], rows[:2], table.shape, check_invariants=False)
    wide.grad = torch.sparse_coo_tensor(ids[:, :2], rows[:2].float(), table.shape, check_invariants=False)
    half.step()
    full.step()
    assert (table == wide.to(dtype)).all()
    for key, value in half.state[table].items():
        if isinstance(value, Tensor):
            assert value.dtype == torch.float32
            assert (value == full.state[wide][key]).all()


@given(
    st.lists(st.integers(0, 8), max_size=30),
    st.integers(1, 20),
    st.sampled_from(sorted(MAKE)),
    st.booleans(),
    st.booleans(),
)
def test_any_gradient_is_what_its_dense_form_is(
    ids: list[int], dim: int, name: str, coalesce: bool, strided: bool
) -> None:
    generator = torch.Generator().manual_seed(len(ids))
    values = torch.randn(len(ids), 2 * dim if strided else dim, dtype=torch.float64, generator=generator)
    values = values[:, ::2] if strided else values
    gradient = torch.sparse_coo_tensor(torch.tensor([ids], dtype=torch.int64), values, (9, dim), check_invariants=False)
    gradient = gradient.coalesce() if coalesce else gradient
    tables = [nn.Parameter(torch.ones(9, dim, dtype=torch.float64)) for _ in range(2)]
    tables[0].grad, tables[1].grad = gradient, gradient.to_dense()
    for table in tables:
        MAKE[name]([table], lr=0.1).step()
    # Rows without a gradient have one of zeros there, by which none of these rules moves a row in its first step.
    torch.testing.assert_close(tables[0], tables[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MAKE)
def test_rows_without_a_gradient_and_their_states_stay(name: str) -> None:
    table = new_table()
    optimizer = MAKE[name]([table], lr=0.1, weight_decay=0.5)
    train(optimizer, table)
    before = table.detach().clone(), [s.clone() for s in optimizer.state[table].values() if isinstance(s, Tensor)]
    table.grad = torch.sparse_coo_tensor(
        torch.tensor([[4]]), torch.ones(1, 5, dtype=torch.float64), table.shape, check_invariants=False
    )
    optimizer.step()
    after = table.detach(), [s for s in optimizer.state[table].values() if isinstance(s, Tensor)]
    others = torch.arange(60) != 4
    assert not (after[0][4] == before[0][4]).any()
    for a, b in zip((after[0], *after[1]), (before[0], *before[1]), strict=True):
        assert (a[others] == b[others]).all()


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("shape", [(8,), (8, 3, 2)])
def test_sparse_gradients_of_tables_that_have_no_two_dimensions(name: str, shape: tuple[int, ...]) -> None:
    tables = [nn.Parameter(torch.ones(shape)), nn.Parameter(torch.ones(8, 6 if len(shape) == 3 else 1))]
    ids, rows = torch.tensor([[1, 5, 1]]), torch.randn(3, *shape[1:])
    tables[0].grad = torch.sparse_coo_tensor(ids, rows, shape, check_invariants=False)
    tables[1].grad = torch.sparse_coo_tensor(ids, rows.view(3, -1), tables[1].shape, check_invariants=False)
    for table in tables:
        MAKE[name]([table], lr=0.1).step()
    assert (tables[0].view(8, -1) == tables[1]).all()


def test_biases_whose_sparse_gradients_come_from_gather() -> None:
    bias = nn.Parameter(torch.zeros(10))
    torch.gather(bias, 0, torch.tensor([2, 2, 9]), sparse_grad=True).sum().backward()
    optim.SGD([bias], lr=1.0).step()
    assert bias.tolist() == [0, 0, -2, 0, 0, 0, 0, 0, 0, -1]


@pytest.mark.parametrize("name", MAKE)
def test_an_empty_gradient_changes_nothing(name: str) -> None:
    table = new_table()
    for coalesced in (False, True):
        table.grad = torch.sparse_coo_tensor(
            torch.zeros(1, 0, dtype=torch.int64),
            torch.zeros(0, 5, dtype=torch.float64),
            table.shape,
            check_invariants=False,
        )
        table.grad = table.grad.coalesce() if coalesced else table.grad
        MAKE[name]([table], lr=0.1, weight_decay=0.1).step()
    assert (table == new_table()).all()


def test_a_backward_that_needs_the_old_table_is_refused() -> None:
    table = nn.Parameter(torch.ones(3, 2))
    loss = (table * table).sum()
    table.grad = torch.ones(3, 2)
    optim.SGD([table], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_what_is_not_a_gradient_of_rows() -> None:
    table = nn.Parameter(torch.ones(3, 2))
    optimizer: Any = optim.SGD([table], lr=0.1)
    table.grad = torch.ones(3, 2).to_sparse()
    with pytest.raises(ValueError, match="expected one sparse dimension and whole rows, got 2"):
        optimizer.step()
