"""The custom ops: what torch itself checks of them, and whole graphs of torch.compile through them."""

import shutil

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensorMode

from logq import kernels
from logq.functional import full_loss, sampled_loss
from logq.kernels import updates
from logq.kernels.cpp.loss_passes import per_row_pass, shared_pass
from logq.kernels.passes import PassInputs
from logq.nn import SampledSoftmaxLoss
from logq.objectives import OBJECTIVES
from logq.samplers import Uniform
from problems import Problem, problem


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def arguments(per_row: bool, dtype: torch.dtype, *, rows: int = 5, sampled: int = 7) -> tuple[Tensor | None, ...]:
    g = torch.Generator().manual_seed(1)
    real = torch.float64 if dtype == torch.float64 else torch.float32
    ids = torch.randint(11, (rows, sampled) if per_row else (sampled,), generator=g)
    return (
        torch.randn(rows, 3, generator=g).to(real),
        torch.randn(11, 3, generator=g).to(dtype),
        torch.randint(11, (rows, 2), generator=g),
        ids,
        torch.randn(rows, 2, generator=g).to(real),
        torch.randn(ids.shape, generator=g).to(real),
        torch.rand(rows, sampled, generator=g) < 0.3,
        torch.randn(rows, generator=g).to(real),
    )


ON = {"backend": "cpp"}
OPTIONS = {"softmax": False, "remove_hits": True, "temperature": 0.5, "cosine": True}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("sizes", [(5, 7), (0, 7), (5, 0)], ids=str)
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("per_row", [False, True])
def test_what_torch_checks_of_the_ops_of_parts(per_row, dtype, gradients, sizes):
    given = arguments(per_row, dtype, rows=sizes[0], sampled=sizes[1])
    op = torch.ops.logq.per_row_pass if per_row else torch.ops.logq.shared_pass
    torch.library.opcheck(op, given, {**ON, **OPTIONS, "gradients": gradients})
    torch.library.opcheck(op, (*given[:4], None, None, None, None), {**ON, **OPTIONS, "gradients": gradients})
    torch.library.opcheck(op, given, {**ON, **OPTIONS, "gradients": gradients, "biases": False})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("per_row", [False, True])
def test_what_torch_checks_of_the_op_of_gradients(per_row, dtype, bias):
    given = arguments(per_row, dtype)
    of_sample = torch.randn_like(given[0][:1].expand(7, 3))
    entries = (given[0], given[2], given[4], given[3], given[5], None if per_row else of_sample)
    scale = torch.tensor(0.5, dtype=given[0].dtype)
    torch.library.opcheck(
        torch.ops.logq.class_gradients, (*entries, given[1], scale), {**ON, "bias": bias, "cosine": True}
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("needs", [(True, True, True), (False, True, False), (True, False, False)], ids=str)
@pytest.mark.parametrize("softmax", [False, True])
def test_what_torch_checks_of_the_op_over_all_classes(softmax, needs):
    input, weight, targets, *_, row_scale = arguments(False, torch.float64)
    given = input, weight, weight[:, 0].contiguous(), targets[:, :1], row_scale
    how = {**ON, "softmax": softmax, "temperature": 0.5, "needs": needs}
    torch.library.opcheck(torch.ops.logq.full_pass, given, how)
    torch.library.opcheck(torch.ops.logq.full_pass, (*given[:2], None, targets[:, 1:], None), how)


@pytest.mark.parametrize("per_row", [False, True])
def test_an_op_is_its_function(per_row):
    given = arguments(per_row, torch.float64)
    op = torch.ops.logq.per_row_pass if per_row else torch.ops.logq.shared_pass
    function = per_row_pass if per_row else shared_pass
    inputs = PassInputs(*given, **OPTIONS, gradients=True)
    for actual, expected in zip(op(*inputs, **ON), function(inputs), strict=True):
        assert torch.equal(actual, expected)


# ----------------------------------------------------------------------------------------------------- torch.compile

LOSSES = {
    "shared": ("nce", {}, {"temperature": 0.5}),
    "shared, cosine": ("sampled_softmax", {"ignored": True, "excluded": True}, {"cosine": True}),
    "per row": ("negative_sampling", {"per_row": True, "num_true": 2, "ignored": True}, {}),
    "sum": ("sampled_logistic", {"ignored": True}, {"reduction": "sum"}),
    "all classes": ("full_softmax", {"ignored": True}, {"temperature": 0.5}),
    "all classes, sum": ("full_logistic", {"num_true": 2}, {"reduction": "sum"}),
    "each row": ("sampled_softmax", {"ignored": True}, {"reduction": "none", "cosine": True}),
}


def run(function, p: Problem, needed: int = 3) -> list[Tensor]:
    leaves = [x.detach().clone().requires_grad_(place < needed) for place, x in enumerate(p[:3])]
    value = function(*leaves, p.candidates)
    weights = torch.linspace(-1, 2, max(value.numel(), 1), dtype=value.dtype).view(value.shape)
    return [value, *(torch.autograd.grad(value, leaves[:needed], weights) if needed else [])]


def assert_compiled(name: str, kind: dict, options: dict, **how) -> None:
    p = problem(**kind)

    def loss(input, weight, bias, candidates):
        if name.startswith("full"):
            return full_loss(name, input, weight, candidates.targets, bias=bias, **options)
        return sampled_loss(name, input, weight, candidates, bias=bias, **options)

    compiled = torch.compile(loss, fullgraph=True, **how)
    for needed in (3, 1, 0):
        for actual, expected in zip(run(compiled, p, needed), run(loss, p, needed), strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("which", LOSSES)
def test_one_graph(which):
    assert_compiled(*LOSSES[which], backend="aot_eager")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit, when inductor is loaded
@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="inductor needs a compiler")
@pytest.mark.parametrize("which", LOSSES)
def test_inductor(which):
    assert_compiled(*LOSSES[which])


def test_the_graph_has_our_ops_in_it():
    """And not what the reference is made of: it is the compiled code that runs."""
    seen: list[str] = []

    def backend(graph, _):
        seen.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    p = problem()

    def loss(input, weight, candidates):
        return sampled_loss("nce", input, weight, candidates)

    torch.compile(loss, fullgraph=True, backend=backend)(p.input, p.weight, p.candidates)
    assert any("logq.shared_pass" in target for target in seen)
    assert not any("logsigmoid" in target for target in seen)


def test_autocast_in_a_graph():
    p = problem(dtype=torch.float32)

    def loss(input, weight, bias, candidates):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return sampled_loss("nce", input, weight, candidates, bias=bias, cosine=True)

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for actual, expected in zip(run(compiled, p), run(loss, p), strict=True):
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)


def test_sizes_may_change():
    counter = CompileCounterWithBackend("aot_eager")

    def loss(input, weight, bias, candidates):
        return sampled_loss("nce", input, weight, candidates, bias=bias)

    compiled = torch.compile(loss, fullgraph=True, backend=counter)
    for rows in (5, 4, 3, 2):
        p = problem()
        c = p.candidates
        c = c._replace(targets=c.targets[:rows], true_log_expected_count=c.true_log_expected_count[:rows])
        p = Problem(p.input[:rows], p.weight, p.bias, c)
        for actual, expected in zip(run(compiled, p), run(loss, p), strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    assert counter.frame_count <= 2


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch.compile looks at it where a graph ends
def test_sparse_gradients_leave_the_graph():
    """A compiled model has them, and the rest of it is compiled; one graph of everything cannot be had."""
    p = problem()
    counter = CompileCounterWithBackend("aot_eager")

    def loss(input, weight, bias, candidates):
        return sampled_loss("nce", input * 2, weight, candidates, bias=bias, sparse=True) * 3

    for actual, expected in zip(run(torch.compile(loss, backend=counter), p), run(loss, p), strict=True):
        assert actual.is_sparse == expected.is_sparse
        torch.testing.assert_close(actual.to_dense(), expected.to_dense(), rtol=1e-12, atol=1e-12)
    assert counter.frame_count >= 2  # before and behind
    with pytest.raises(torch._dynamo.exc.Unsupported):
        run(torch.compile(loss, backend="eager", fullgraph=True), p)


def test_updates_inside_of_backward_leave_the_graph(monkeypatch):
    p = problem()
    found = []
    monkeypatch.setattr(updates, "exist", lambda: True)
    monkeypatch.setattr(updates, "find", lambda parameter: found.append(parameter))

    def loss(input, weight, bias, candidates):
        return sampled_loss("nce", input, weight, candidates, bias=bias)

    gradients = []
    for function in (torch.compile(loss, backend="aot_eager"), loss):
        leaves = p.with_grad()
        function(*leaves).backward()  # torch.autograd.grad asks for gradients and gets them
        gradients.append([leaf.grad for leaf in leaves[:3]])
    for actual, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    assert len(found) == 4  # weight and bias, compiled and not


def test_a_compiled_module_trains():
    module = SampledSoftmaxLoss(3, 20, Uniform(20, 5, seed=1))
    compiled, optimizer = torch.compile(module, backend="aot_eager"), torch.optim.SGD(module.parameters(), lr=0.5)
    input, targets = torch.randn(8, 3), torch.arange(8)
    history = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = compiled(input, targets)
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert sum(history[-5:]) < 0.7 * sum(history[:5])


def test_tensors_without_memory():
    """Memory can be planned without any: a loss and its gradients have shapes and dtypes under FakeTensorMode."""
    p = problem(dtype=torch.bfloat16)
    with FakeTensorMode() as mode:
        input, weight = (mode.from_tensor(x).requires_grad_() for x in p[:2])
        candidates = type(p.candidates)(*(None if x is None else mode.from_tensor(x) for x in p.candidates))
        loss = kernels.get("sampled_loss")(
            OBJECTIVES["nce"],
            input,
            weight,
            None,
            candidates,
            temperature=1.0,
            cosine=False,
            remove_hits=None,
            sparse=False,
            reduction="mean",
        )
        gradients = torch.autograd.grad(loss, (input, weight))
    assert (loss.shape, loss.dtype) == ((), torch.float32)
    assert [x.shape for x in gradients] == [p.input.shape, p.weight.shape]
    assert {x.dtype for x in gradients} == {torch.bfloat16}
