"""Sums over classes on a GPU, in Triton's interpreter: classes that come often, wide rows, and what a step costs."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

pytest.importorskip("triton", reason="Triton is there for Linux alone")

from triton.runtime.errors import InterpreterError

from class_entries import KINDS, C, entries_of, loop, rule_for
from logq import kernels
from logq.kernels import reference_rows
from logq.kernels.passes import Entries
from logq.kernels.triton import class_sums
from logq.kernels.triton.class_sums import class_gradients, sum_rows, update_classes, update_rows
from logq.kernels.updates import Kind, RowRule

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled for the GPU that is here")


@pytest.fixture(params=[(4, 1024), (2, 4)], ids=str)
def sizes(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces and chunks so small that a few entries and numbers make several."""
    monkeypatch.setattr(class_sums, "PIECE", request.param[0])
    monkeypatch.setattr(class_sums, "WIDEST", request.param[1])


def of_few_classes(entries: Entries, number: int = 3) -> Entries:
    """The same, but that most entries name one of a few classes."""
    frequent = torch.where(entries.ids % 4 > 0, entries.ids % number, entries.ids)
    return entries._replace(ids=frequent, targets=torch.where(entries.targets > 5, 1, entries.targets))


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("per_row", [False, True])
def test_gradients_of_frequent_classes_and_wide_rows(per_row: bool, cosine: bool, sizes: None) -> None:
    entries = of_few_classes(entries_of(4, 2, 5 if per_row else 23, 9, per_row=per_row))
    weight = torch.rand(C, 9, dtype=torch.float64) + 0.5
    found = class_gradients(entries, weight, bias=True, scale=-1.5, cosine=cosine, sparse=per_row != cosine)
    for gradient, expected in zip(found, loop(entries, weight, -1.5, cosine), strict=True):
        assert gradient is not None
        torch.testing.assert_close(gradient.to_dense(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_updates_of_frequent_classes_and_wide_rows(kind: Kind, cosine: bool, sizes: None) -> None:
    entries = of_few_classes(entries_of(4, 2, 5, 9, per_row=True))
    start, biases = torch.randn(C, 9, dtype=torch.float64), torch.zeros(C, dtype=torch.float64)
    results: list[list[Tensor]] = []
    for update in (update_classes, kernels.backend("cpp").update_classes):  # pyright: ignore[reportAttributeAccessIssue]
        weight, bias = start.clone(), biases.clone()
        rules = rule_for(kind, weight), replace(rule_for("adam", bias), lr=0.3, maximize=False, step=2)
        version = weight._version
        update(entries, weight, bias, scale=0.5, cosine=cosine, weight_rule=rules[0], bias_rule=rules[1])
        assert weight._version > version, "a backward that needs the old values would go on"
        results.append([weight, bias, *rules[0].states, *rules[1].states])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-11)


def test_a_class_of_more_entries_than_a_piece() -> None:
    ids = torch.full((2 * class_sums.PIECE + 40,), 7).index_fill_(0, torch.arange(20), 3)
    rows = torch.randn(len(ids), 5, dtype=torch.float64)
    distinct, sums = sum_rows(ids, rows)
    assert distinct.tolist() == [3, 7]
    torch.testing.assert_close(sums, torch.stack([rows[:20].sum(0), rows[20:].sum(0)]))


@pytest.mark.parametrize("kind", KINDS)
def test_wide_rows_are_updated(kind: Kind, sizes: None) -> None:
    table, rows, ids = torch.randn(C, 9), torch.randn(3, 9), torch.tensor([7, 3, 29])
    rule = rule_for(kind, table)
    other, expected = replace(rule, states=tuple(state.clone() for state in rule.states)), table.clone()
    update_rows(rule, table, ids, rows)
    reference_rows.update_rows(other, expected, ids, rows)
    for a, b in zip((table, *rule.states), (expected, *other.states), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rows_are_rounded_by_the_random_bits_of_the_reference(dtype: torch.dtype) -> None:
    """Normal numbers, subnormal ones, and what is none."""
    table = torch.tensor([1.0, -3.0, 3e-5, -6e-8, 0.0, 2.0, torch.nan]).to(dtype).repeat(C, 2)
    rows, rule = 1e-3 * torch.randn(3, 14) * table[:3].float(), RowRule("sgd", 0.5, seed=-77)
    rows[:, 5] = torch.inf
    for ids in (torch.tensor([7, 3, 29]), None):
        found, expected = table.clone(), table.clone()
        given = rows if ids is not None else rows.repeat(C // 3, 1)
        update_rows(rule, found, ids, given)
        reference_rows.update_rows(rule, expected, ids, given)
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
        assert found[29, 5] == -torch.inf
        assert found[:, 4].eq(0).all()
        assert found[:, 6].isnan().all()
        other = table.clone()
        update_rows(replace(rule, seed=None), other, ids, given)
        assert not torch.equal(found.nan_to_num(7.0), other.nan_to_num(7.0))


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
def test_updates_of_classes_are_rounded_at_random() -> None:
    entries = entries_of(4, 2, 5, 3, per_row=True, dtype=torch.float32)
    tables: list[Tensor] = []
    for update in (update_classes, kernels.backend("cpp").update_classes, update_classes):  # pyright: ignore[reportAttributeAccessIssue]
        weight, bias = torch.ones(C, 3, dtype=torch.bfloat16), torch.ones(C, dtype=torch.bfloat16)
        rules = RowRule("sgd", 1e-3, seed=5), RowRule("sgd", 1e-3, seed=6)
        update(entries, weight, bias, scale=1.0, cosine=False, weight_rule=rules[0], bias_rule=rules[1])
        tables.append(torch.cat([weight, bias[:, None]], dim=1))
    assert torch.equal(tables[0], tables[2])
    assert (tables[0] != tables[1]).float().mean() < 0.05  # sums differ in their last bits


def test_a_bias_in_a_wider_dtype_is_updated_in_it() -> None:
    entries = entries_of(4, 2, 5, 3, per_row=True)
    weight, bias = torch.zeros(C, 3), torch.zeros(C, dtype=torch.float64)
    rules = rule_for("sgd", weight), rule_for("sgd", bias)
    update_classes(entries, weight, bias, scale=1.0, cosine=False, weight_rule=rules[0], bias_rule=rules[1])
    expected = 0.1 * loop(entries, weight, 1.0, False)[1]
    torch.testing.assert_close(bias, expected, rtol=1e-12, atol=1e-12)


def test_tables_and_states_that_lie_otherwise_in_memory() -> None:
    entries = entries_of(4, 1, 5, 8, per_row=False)
    results: list[list[Tensor]] = []
    for turned in (False, True):
        torch.manual_seed(0)
        weight, bias = torch.randn(C, 8, dtype=torch.float64), torch.randn(C, 2, dtype=torch.float64)[:, 0]
        rules = rule_for("adam", weight), rule_for("adam", bias)
        if turned:
            weight, states = weight.t().contiguous().t(), tuple(state.t().contiguous().t() for state in rules[0].states)
            rules = replace(rules[0], states=states), rules[1]
        update_classes(entries, weight, bias, scale=1.0, cosine=True, weight_rule=rules[0], bias_rule=rules[1])
        results.append([weight, bias, *rules[0].states, *rules[1].states])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("what", ["targets", "ids"])
def test_an_id_out_of_range_is_an_error(what: str) -> None:
    entries = entries_of(4, 1, 5, 8, per_row=True)
    getattr(entries, what)[2, 0] = C
    table = torch.zeros(C, 8)
    with pytest.raises(InterpreterError, match="a class id is out of range"):
        class_gradients(entries, table, bias=False, scale=1.0, cosine=False, sparse=False)
    with pytest.raises(InterpreterError, match="a class id is out of range"):
        update_classes(
            entries, table, None, scale=1.0, cosine=False, weight_rule=rule_for("sgd", table), bias_rule=None
        )
    for wrong in (C, -1):
        with pytest.raises(InterpreterError, match="a class id is out of range"):
            update_rows(rule_for("sgd", table), table, torch.tensor([1, wrong]), torch.ones(2, 8))


def test_the_same_bits_twice_and_nothing_from_memory_that_nobody_wrote_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deterministic algorithms of torch fill new memory with NaN."""
    monkeypatch.setattr(class_sums, "PIECE", 4)
    entries = of_few_classes(entries_of(4, 2, 5, 3, per_row=True, dtype=torch.float32))
    weight = torch.randn(C, 3)
    results: list[list[Tensor]] = []
    for deterministic in (False, True):
        torch.use_deterministic_algorithms(deterministic)
        try:
            found = class_gradients(entries, weight, bias=True, scale=0.5, cosine=True, sparse=True)
        finally:
            torch.use_deterministic_algorithms(False)
        results.append([part for one in found if one is not None for part in (one._indices(), one._values())])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


# ------------------------------------------------------------------------------------------------- what a step costs

FREE = set("promote_types empty detach view slice select reshape unsqueeze expand new_empty alias t".split())  # noqa: SIM905
"""Ops that launch nothing."""


class _Launches(TorchDispatchMode):
    """What is launched, of torch and of Triton, and what is allocated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, run: bool = False) -> None:
        super().__init__()
        self.launched: Counter[str] = Counter()
        self.floats = 0
        before = class_sums.launch

        def launch(kernel: Any, *arguments: Any, **options: Any) -> None:
            self.launched[kernel.__name__] += 1
            if run:
                with _disable_current_modes():
                    before(kernel, *arguments, **options)

        monkeypatch.setattr(class_sums, "launch", launch)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        name = func._schema.name.rpartition("::")[2]
        if name not in FREE:
            self.launched[name] += 1
        if name == "empty" and made.is_floating_point():
            self.floats += made.numel()
        return made


KERNELS = {"keys_kernel": 1, "sort": 1, "pieces_kernel": 1, "class_kernel": 1}


@pytest.mark.parametrize("per_row", [False, True])
def test_an_update_is_a_sort_and_three_launches_for_table_and_biases(
    per_row: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_sums, "PIECE", 8)
    entries = entries_of(6, 2, 7, 3, per_row=per_row)
    weight, bias = torch.nn.Parameter(torch.zeros(C, 3).double()), torch.nn.Parameter(torch.zeros(C).double())
    for cosine in (False, True):
        rules = rule_for("adam", weight), rule_for("rowwise_adagrad", bias)
        options: dict[str, Any] = {"scale": torch.ones(()), "cosine": cosine}
        with _Launches(monkeypatch) as seen:
            update_classes(entries, weight, bias, weight_rule=rules[0], bias_rule=rules[1], **options)
        assert seen.launched == KERNELS
        number = entries.ids.numel() + entries.targets.numel()
        assert seen.floats <= (number // 8 + 1) * (3 + 1), "scratch memory of more than a row for each piece"


@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_are_a_sort_and_few_launches(sparse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_sums, "PIECE", 8)
    entries, weight = entries_of(6, 2, 7, 3, per_row=True), torch.zeros(C, 3).double()
    scale = torch.ones(())
    with _Launches(monkeypatch, run=sparse) as seen:  # the number of classes is read
        class_gradients(entries, weight, bias=True, scale=scale, cosine=False, sparse=sparse)
    # The number of classes is what is waited for; zeros are those of two dense gradients.
    sizes = {"cumsum": 1, "_local_scalar_dense": 1, "_sparse_coo_tensor_with_dims_and_tensors": 2}
    assert seen.launched == KERNELS | (sizes if sparse else {"zeros": 2})


def test_rows_of_a_gradient_are_one_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    table, rows = torch.zeros(C, 3), torch.ones(C, 3)
    rule = rule_for("adam", table)
    for ids in (None, torch.arange(C)):
        with _Launches(monkeypatch) as seen:
            update_rows(rule, table, ids, rows)
        assert seen.launched == {"class_kernel": 1}
