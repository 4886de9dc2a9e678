"""Kernels for a GPU in Triton's interpreter, against what all kernels are held to.

The interpreter runs a program for each row in Python: sizes are tiny here, and odd.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="Triton is there for Linux alone")

from triton.runtime.errors import InterpreterError

from class_entries import DTYPES, KINDS, C, entries_of, loop, rule_for
from logq import kernels, optim
from logq.functional import full_softmax_loss, sampled_loss, sampled_softmax_loss
from logq.kernels import reference_rows
from logq.kernels.triton.class_sums import class_gradients, sum_rows, update_classes, update_rows
from logq.kernels.triton.per_row_pass import per_row_pass
from logq.kernels.triton.shared_pass import shared_pass
from logq.kernels.updates import Kind, real_dtype
from logq.nn import NCELoss
from logq.objectives import OBJECTIVES
from logq.samplers import LogUniform
from pass_oracle import arguments, assert_alike, both

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are compiled for the GPU that is here")

PASSES = {"shared": shared_pass, "per row": per_row_pass}

# -------------------------------------------------------------------------------------------------------------- passes


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("remove_hits", [False, True])
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("shape", PASSES)
def test_every_option(shape: str, softmax: bool, remove_hits: bool, cosine: bool) -> None:
    options = {"softmax": softmax, "remove_hits": remove_hits, "cosine": cosine, "temperature": 0.7}
    for offsets, excluded, row_scale in (("own", True, True), ("ids", False, True), ("none", True, False)):
        sizes = (6, 1 if softmax else 2, 9, 12, 5)
        given = arguments(shape, sizes=sizes, offsets=offsets, excluded=excluded, row_scale=row_scale)
        assert_alike(both(PASSES[shape], given, **options))
    assert_alike(both(PASSES[shape], given, gradients=False, **options))
    if not softmax:
        assert_alike(both(PASSES[shape], given, true_weight=0.3, **options))


@pytest.mark.parametrize("storage", DTYPES)
@pytest.mark.parametrize("shape", PASSES)
def test_every_storage(shape: str, storage: torch.dtype) -> None:
    real = real_dtype(storage)
    given = arguments(shape, real=real, storage=storage, sizes=(5, 1, 9, 12, 5))
    assert_alike(both(PASSES[shape], given, softmax=True), 1e-12 if real == torch.float64 else 3e-6)


SIZES = [(1, 1, 1, 2, 1), (3, 1, 0, 5, 4), (0, 1, 4, 5, 3), (5, 3, 17, 30, 15), (4, 1, 70, 90, 33), (3, 1, 40, 60, 300)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("shape", PASSES)
def test_every_size(shape: str, softmax: bool, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logq.kernels.triton.shared_pass.TILE", 2 * 17)  # several tiles
    given = arguments(shape, sizes=(sizes[0], 1 if softmax else sizes[1], *sizes[2:]), offsets="ids")  # pyright: ignore[reportArgumentType]
    assert_alike(both(PASSES[shape], given, softmax=softmax), 1e-11)


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("shape", PASSES)
def test_logits_far_from_zero(shape: str, softmax: bool) -> None:
    given = arguments(shape, sizes=(6, 1, 9, 12, 5), real=torch.float32, storage=torch.float32, offsets="none")
    given[0], given[1] = 100 * given[0].sign(), 100 * given[1].sign()  # pyright: ignore[reportOptionalMemberAccess]
    found = both(PASSES[shape], given, softmax=softmax)
    assert all(part.isfinite().all() for part in found[0])
    assert_alike(found, 1e-5)


@pytest.mark.parametrize("what", ["targets", "ids"])
def test_an_id_out_of_range_is_an_error(what: str) -> None:
    """Which on a GPU is one of the device, as test_ahead_of_time.py sees in the code."""
    given = arguments("per row", sizes=(3, 1, 5, 12, 4))
    ids = given[2 if what == "targets" else 3]
    assert ids is not None
    ids[2, 0] = 12
    with pytest.raises(InterpreterError, match="a class id is out of range"):
        both(per_row_pass, given)


# ---------------------------------------------------------------------------------------------------- sums and updates


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_of_classes(dtype: torch.dtype, per_row: bool, cosine: bool, sparse: bool) -> None:
    entries = entries_of(6, 2, 7, 3, per_row=per_row, dtype=real_dtype(dtype))
    weight = (torch.rand(C, 3) + 0.5).to(dtype)
    found = class_gradients(entries, weight, bias=True, scale=torch.tensor(0.5), cosine=cosine, sparse=sparse)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5}.get(dtype, 2 * torch.finfo(dtype).eps)
    for gradient, expected in zip(found, loop(entries, weight, 0.5, cosine), strict=True):
        assert gradient is not None
        assert gradient.is_sparse == sparse
        if sparse:
            torch.sparse_coo_tensor(gradient.indices(), gradient.values(), gradient.shape, check_invariants=True)
        torch.testing.assert_close(gradient.to_dense().double(), expected, rtol=tolerance, atol=4 * tolerance)


@pytest.mark.parametrize("sizes", [(0, 1, 0, 3), (3, 0, 4, 1), (2, 1, 1, 130), (40, 1, 5, 2)], ids=str)
def test_gradients_of_every_size(sizes: tuple[int, int, int, int]) -> None:
    for per_row in (False, True):
        entries, weight = entries_of(*sizes, per_row=per_row), torch.zeros(C, sizes[3], dtype=torch.float64)
        for sparse in (False, True):
            found = class_gradients(entries, weight, bias=True, scale=-1.5, cosine=False, sparse=sparse)
            for gradient, expected in zip(found, loop(entries, weight, -1.5, False), strict=True):
                assert gradient is not None
                torch.testing.assert_close(gradient.to_dense(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_updates_are_those_of_the_reference(dtype: torch.dtype, kind: Kind, cosine: bool) -> None:
    entries = entries_of(5, 2, 3, 5, per_row=True, dtype=real_dtype(dtype))
    start, biases = torch.randn(C, 5).to(dtype), torch.zeros(C, dtype=dtype)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-4}.get(dtype, 2 * torch.finfo(dtype).eps)
    results: list[list[Tensor]] = []
    for update in (update_classes, kernels.backend("cpp").update_classes):  # pyright: ignore[reportAttributeAccessIssue]
        weight, bias = start.clone(), biases.clone()
        rules = rule_for(kind, weight), rule_for(kind, bias)
        update(entries, weight, bias, scale=2.0, cosine=cosine, weight_rule=rules[0], bias_rule=rules[1])
        results.append([weight, bias, *rules[0].states, *rules[1].states])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)


def test_a_table_that_lies_otherwise_in_memory() -> None:
    entries = entries_of(4, 1, 5, 8, per_row=False)
    plain = torch.randn(C, 8, dtype=torch.float64)
    turned = plain.t().contiguous().t()
    for one in (plain, turned):
        update_classes(entries, one, None, scale=1.0, cosine=True, weight_rule=rule_for("sgd", one), bias_rule=None)
    torch.testing.assert_close(plain, turned, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_updated(kind: Kind, every: bool) -> None:
    weight, ids = torch.randn(C, 5), None if every else torch.tensor([7, 3, 29])
    rows = torch.randn(C if every else 3, 5)
    rule = rule_for(kind, weight)
    others = replace(rule, states=tuple(state.clone() for state in rule.states))
    expected = weight.clone()
    update_rows(rule, weight, ids, rows)
    reference_rows.update_rows(others, expected, ids, rows)
    torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-6)
    for mine, other in zip(rule.states, others.states, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ids", [[2, 0, 2, -100, 5, 2], [-100, -1], []], ids=str)
def test_rows_are_summed(ids: list[int]) -> None:
    named, rows = torch.tensor(ids, dtype=torch.int64), torch.randn(len(ids), 3)
    for mine, other in zip(sum_rows(named, rows), reference_rows.sum_rows(named, rows), strict=True):
        torch.testing.assert_close(mine, other)


# ----------------------------------------------------------------------------------------------- the backend as a whole


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("name", ["nce", "sampled_softmax", "refined_softmax", "negative_sampling", "gbce"])
def test_a_training_step(name: str, per_row: bool, interpreted: None) -> None:
    """Draws, loss, gradients and the update inside of backward, beside the reference."""
    start, inputs, targets = torch.randn(40, 6), torch.randn(5, 6), torch.tensor([3, 0, 39, -100, 3])
    results: list[list[Tensor]] = []
    for backend in ("interpreted", "reference"):
        with kernels.use(backend):
            assert kernels.active("cpu")["sampled_loss"] == backend
            weight, bias = torch.nn.Parameter(start.clone()), torch.nn.Parameter(torch.zeros(40))
            x = inputs.clone().requires_grad_()
            optimizer = optim.Adagrad([weight, bias], lr=0.1, in_backward=True)
            sampler = LogUniform(40, 7, per_row=per_row, seed=1)
            loss = sampled_loss(OBJECTIVES[name], x, weight, sampler.draw(targets), bias=bias)
            loss.backward()
            optimizer.step()
            assert weight.grad is None, "an update inside of backward stores none"
            assert x.grad is not None
            results.append([loss.detach(), x.grad, weight.detach(), bias.detach()])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", ["sum", "mean", "none"])
@pytest.mark.parametrize("name", ["shared", "per row", "full"])
def test_weights_of_rows_lie_in_any_way(name: str, reduction: str, interpreted: None) -> None:
    """Kernels read one number after the other, so one that stands for all rows is copied for them."""
    weight, inputs, targets = torch.randn(40, 6), torch.randn(5, 6), torch.tensor([3, 0, 39, -100, 3])
    candidates = LogUniform(40, 7, per_row=name == "per row", seed=1).draw(targets)
    for weights in (torch.tensor([2.0]).expand(5), torch.rand(10)[::2]):
        results: list[list[Tensor]] = []
        for given in (weights, weights.clone(memory_format=torch.contiguous_format)):
            x, table = inputs.clone().requires_grad_(), weight.clone().requires_grad_()
            with kernels.use("interpreted"):
                options: Any = {"reduction": reduction, "row_weight": given}
                if name == "full":
                    loss = full_softmax_loss(x, table, targets, **options)
                else:
                    loss = sampled_softmax_loss(x, table, candidates, **options)
                loss.sum().backward()
            assert x.grad is not None
            assert table.grad is not None
            results.append([loss.detach(), x.grad, table.grad])
        for one, other in zip(*results, strict=True):
            assert torch.equal(one, other)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("shape", PASSES)
def test_what_torch_checks_of_ops(shape: str, interpreted: None) -> None:
    """Schemas, fakes, and that what AOTAutograd makes of them gives the same."""
    given = arguments(shape, sizes=(3, 1, 4, 12, 5), offsets="own", excluded=True, row_scale=True)
    on: dict[str, Any] = {"backend": "interpreted"}
    op = torch.ops.logq.shared_pass if shape == "shared" else torch.ops.logq.per_row_pass
    options = {"softmax": True, "remove_hits": True, "temperature": 0.7, "cosine": True, **on}
    torch.library.opcheck(op, given, {**options, "gradients": True})
    made = op(*given, **options, gradients=True)
    input, weight, targets, ids, *_ = given
    entries = (input, targets, made[2], ids, made[3], made[4] if shape == "shared" else None)
    scale = torch.tensor(0.5, dtype=input.dtype)
    torch.library.opcheck(
        torch.ops.logq.class_gradients, (*entries, weight, scale), {**on, "bias": True, "cosine": True}
    )
    if shape == "shared":
        full = {**on, "softmax": True, "temperature": 0.7, "needs": (True, True, False)}
        torch.library.opcheck(torch.ops.logq.full_pass, (input, weight.nan_to_num(), None, targets, None), full)
    torch.library.opcheck(
        torch.ops.logq.draws, (torch.tensor(5), []), {**on, "kind": "uniform", "sizes": [9], "shape": [3, 4]}
    )


@pytest.mark.parametrize("per_row", [False, True])
def test_a_compiled_step_with_its_draw(per_row: bool, interpreted: None) -> None:
    def make() -> NCELoss:
        torch.manual_seed(0)
        return NCELoss(4, 40, LogUniform(40, 7, per_row=per_row, seed=1).seeds_on_device())

    torch._dynamo.reset()
    module, twin, inputs, targets = make(), make(), torch.randn(3, 4), torch.tensor([3, -100, 39])
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        for step in (module, compiled):
            step.zero_grad()
            step(inputs, targets).backward()
        for one, other in zip(module.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad)
    torch._dynamo.reset()


@pytest.mark.parametrize("shape", PASSES)
def test_a_second_derivative_is_that_of_the_reference(shape: str, interpreted: None) -> None:
    targets = torch.tensor([3, 0, 39])
    candidates = LogUniform(40, 7, per_row=shape == "per row", seed=1, dtype=torch.float64).draw(targets)
    weight, inputs = torch.randn(40, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    found: list[Tensor] = []
    for backend in ("interpreted", "reference"):
        with kernels.use(backend):
            w, x = weight.clone().requires_grad_(), inputs.clone().requires_grad_()
            loss = sampled_loss("sampled_softmax", x, w, candidates)
            (of_input,) = torch.autograd.grad(loss, x, create_graph=True)
            of_input.square().sum().backward()
            assert w.grad is not None
            found.append(w.grad)
    torch.testing.assert_close(*found)


def test_what_runs_on_a_gpu_is_told() -> None:
    assert kernels.active("cuda")["sampled_loss"] == "triton"
    assert kernels.active("cpu")["sampled_loss"] == "cpp"
    assert kernels.backend("triton").missing == ("log_normalizer", "alias_table")
