"""Gradients of class tables against a loop over entries; updates without a gradient against those with one."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from class_entries import DTYPES, KINDS, C, entries_of, loop, rule_for
from logq.kernels import _native, reference_rows
from logq.kernels.cpp import arrays
from logq.kernels.cpp import row_sums as compiled
from logq.kernels.cpp.row_sums import class_gradients, update_classes
from logq.kernels.passes import Passes, of_length
from logq.kernels.updates import Kind, RowRule, real_dtype


@pytest.mark.parametrize(("sparse", "in_cache"), [(False, 1 << 22), (False, 0), (True, 1 << 22)])
@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 3, 100, 128, 300])
def test_gradients(
    d: int,
    dtype: torch.dtype,
    per_row: bool,
    cosine: bool,
    sparse: bool,
    in_cache: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "IN_CACHE", in_cache)
    entries = entries_of(6, 2, 7, d, per_row=per_row, dtype=real_dtype(dtype))
    weight = (torch.rand(C, d, generator=torch.Generator().manual_seed(1)) + 0.5).to(dtype)
    got = class_gradients(entries, weight, bias=True, scale=torch.tensor(0.5), cosine=cosine, sparse=sparse)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5}.get(dtype, 2 * torch.finfo(dtype).eps)
    assert got[1] is not None
    for gradient, expected in zip(got, loop(entries, weight, 0.5, cosine), strict=True):
        assert gradient.is_sparse == sparse
        if sparse:
            touched = torch.cat([entries.targets[entries.targets >= 0], entries.ids.reshape(-1)]).unique()
            assert gradient.is_coalesced()
            assert gradient.indices()[0].tolist() == touched.tolist()
            torch.sparse_coo_tensor(gradient.indices(), gradient.values(), gradient.shape, check_invariants=True)
        full = gradient.to_dense()
        torch.testing.assert_close(full.double(), expected, rtol=tolerance, atol=4 * tolerance)
    assert got[0].dtype == dtype
    assert got[1].dtype == real_dtype(dtype)


@given(st.integers(0, 5), st.integers(0, 3), st.integers(0, 9), st.integers(1, 20), st.booleans(), st.integers(0, 99))
def test_any_sizes(b: int, t: int, s: int, d: int, per_row: bool, seed: int) -> None:
    entries = entries_of(b, t, s, d, per_row=per_row, seed=seed)
    weight = torch.zeros(C, d, dtype=torch.float64)
    for sparse in (False, True):
        got = class_gradients(entries, weight, bias=True, scale=-1.5, cosine=False, sparse=sparse)
        for gradient, expected in zip(got, loop(entries, weight, -1.5, False), strict=True):
            assert gradient is not None
            torch.testing.assert_close(gradient.to_dense(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_updates_without_a_gradient_are_those_with_one(dtype: torch.dtype, kind: Kind, cosine: bool) -> None:
    entries = entries_of(9, 2, 5, 37, per_row=True, dtype=real_dtype(dtype))
    weights = [torch.randn(C, 37, generator=torch.Generator().manual_seed(1)).to(dtype) for _ in range(2)]
    biases = [torch.zeros(C, dtype=dtype) for _ in range(2)]
    rules = [[rule_for(kind, weight), rule_for(kind, bias)] for weight, bias in zip(weights, biases, strict=True)]
    version = weights[0]._version
    update_classes(
        entries, weights[0], biases[0], scale=2.0, cosine=cosine, weight_rule=rules[0][0], bias_rule=rules[0][1]
    )
    assert weights[0]._version > version
    # In half precision a stored gradient is rounded once more, so the other way takes float32.
    wide = weights[1].to(real_dtype(dtype))
    gradients = class_gradients(entries, wide, bias=True, scale=2.0, cosine=cosine, sparse=True)
    for table, gradient, rule in zip((wide, biases[1].to(wide.dtype)), gradients, rules[1], strict=True):
        assert gradient is not None
        rows, columns = gradient.values(), table
        if table.dim() == 1:
            rows, columns = rows[:, None], table[:, None]
        reference_rows.update_rows(rule, columns, gradient.indices()[0], rows)
        mine = weights[0] if table.dim() == 2 else biases[0]
        tolerance = {torch.float64: 1e-12, torch.float32: 1e-4}.get(dtype, 2 * torch.finfo(dtype).eps)
        torch.testing.assert_close(mine, table.to(dtype), rtol=tolerance, atol=tolerance)
    for mine, other in zip(rules[0], rules[1], strict=True):
        for a, b in zip(mine.states, other.states, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_a_table_without_a_rule_stays() -> None:
    entries = entries_of(4, 1, 5, 8, per_row=False)
    weight, bias = torch.zeros(C, 8, dtype=torch.float64), torch.zeros(C, dtype=torch.float64)
    common: dict[str, Any] = {"scale": 1.0, "cosine": False}
    update_classes(entries, weight, bias, weight_rule=None, bias_rule=rule_for("sgd", bias), **common)
    assert (weight == 0).all()
    assert (bias != 0).any()
    update_classes(entries, weight, None, weight_rule=rule_for("sgd", weight), bias_rule=None, **common)
    assert (weight != 0).any()


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
def test_a_table_that_lies_otherwise_in_memory() -> None:
    entries = entries_of(4, 1, 5, 8, per_row=False)
    plain = torch.randn(C, 8, dtype=torch.float64)
    turned = plain.t().contiguous().t()
    assert compiled.refuses_update(RowRule("sgd", 0.1), turned)
    for table in (plain, turned):
        rule = RowRule("sgd", 0.1)
        update_classes(entries, table, None, scale=1.0, cosine=True, weight_rule=rule, bias_rule=None)
    torch.testing.assert_close(plain, turned, rtol=1e-12, atol=1e-12)


def test_inputs_in_float64_of_a_table_in_float32() -> None:
    entries = entries_of(4, 1, 5, 8, per_row=True)
    weight = torch.zeros(C, 8)
    gradient, _ = class_gradients(entries, weight, bias=False, scale=1.0, cosine=False, sparse=True)
    assert gradient.dtype == torch.float32
    expected, _ = loop(entries, weight, 1.0, False)
    torch.testing.assert_close(gradient.to_dense().double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sparse", [False, True])
def test_an_id_out_of_range_is_named(sparse: bool) -> None:
    entries = entries_of(4, 1, 5, 8, per_row=True)
    entries.ids[2, 3] = C
    with pytest.raises(ValueError, match=f"ids: expected class ids below {C}, got {C} at entry 13"):
        class_gradients(entries, torch.zeros(C, 8), bias=False, scale=1.0, cosine=False, sparse=sparse)


@pytest.mark.parametrize("level", _native.simd_levels())
def test_sums_without_an_order(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every set of instructions, to the same bits on any number of threads; classes that nobody named stay 0."""
    monkeypatch.setattr(arrays, "SIMD", level)
    entries = entries_of(300, 1, 40, 70, per_row=True, dtype=torch.float32)
    entries = entries._replace(ids=entries.ids.where(entries.ids > 3, -1), targets=entries.targets.clamp(min=4))
    weight = torch.rand(2 * C, 70, generator=torch.Generator().manual_seed(1)) + 0.5
    weight[:4] = weight[C:] = torch.nan
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)  # noqa: B023
        found.append(class_gradients(entries, weight, bias=False, scale=0.5, cosine=True, sparse=False)[0])
    assert compiled._Added.suits(entries, weight)
    assert torch.equal(*found)
    of_named, _ = loop(
        entries._replace(ids=entries.ids.where(entries.ids >= 0, 2 * C)), torch.ones(2 * C + 1, 70), 0.5, False
    )
    of_named = of_length(of_named[4:C], weight[4:C].double())
    torch.testing.assert_close(found[0][4:C].double(), of_named, rtol=1e-4, atol=1e-4)
    assert (found[0][:4] == 0).all()
    assert (found[0][C:] == 0).all()


@pytest.mark.parametrize("decay", [1.0, 0.6])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("level", _native.simd_levels())
def test_means_of_rows(level: str, dtype: torch.dtype, decay: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "SIMD", level)
    generator = torch.Generator().manual_seed(1)
    for count, width, dim in ((40, 6, 5), (3, 150, 64), (2, 1, 200), (4, 0, 3), (0, 7, 3)):
        table = torch.randn(C, dim, generator=generator).to(dtype)
        codes = torch.randint(-4, C, (count, width), generator=generator)
        codes[:1] = -1
        means, shares = compiled.row_means(table, codes, decay)
        assert (means.dtype, shares.dtype) == (dtype, real_dtype(dtype))
        expected, of_each = Passes.row_means(table.double(), codes, decay)
        torch.testing.assert_close(shares.double(), of_each, rtol=2e-5, atol=1e-12)
        tolerance = max(1e-6, 2 * torch.finfo(dtype).eps)
        torch.testing.assert_close(means.double(), expected, rtol=tolerance, atol=tolerance)


def test_a_code_out_of_range_has_no_mean() -> None:
    with pytest.raises(ValueError, match="ids: expected class ids below 3, got 3 at entry 2"):
        compiled.row_means(torch.zeros(3, 2), torch.tensor([[0, -1], [3, 1]]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_compiled_update_of_rows_is_the_one_of_the_reference(kind: Kind) -> None:
    table = torch.randn(C, 20)
    ids, rows = torch.tensor([7, 3, 29]), torch.randn(3, 20)
    rule = rule_for(kind, table)
    others = replace(rule, states=tuple(state.clone() for state in rule.states))
    expected = table.clone()
    compiled.update_rows(rule, table, ids, rows)
    reference_rows.update_rows(others, expected, ids, rows)
    torch.testing.assert_close(table, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
def test_ids_beyond_what_is_sorted_compiled() -> None:
    ids = torch.tensor([1 << 40, 3, 1 << 40])
    distinct, sums = compiled.sum_rows(ids, torch.ones(3, 2))
    assert distinct.tolist() == [3, 1 << 40]
    assert sums.tolist() == [[1, 1], [2, 2]]
