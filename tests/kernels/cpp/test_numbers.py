"""What the compiled sampled loss computes in: dtypes, strides, rounding, autocast."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from logq import kernels
from logq.candidates import IGNORED, Candidates
from logq.kernels import reference
from logq.objectives import OBJECTIVES, logistic, softmax
from logq.samplers import LogUniform
from problems import Problem, problem

SAMPLED = [name for name, row in OBJECTIVES.items() if row.negatives.sampled]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def run(op, name: str, p: Problem, upstream: Tensor | None = None, **options) -> list[Tensor]:
    """[loss, gradients of input, weight and bias]."""
    options = {
        "temperature": 1.0,
        "cosine": False,
        "remove_hits": None,
        "sparse": False,
        "reduction": "mean",
    } | options
    leaves = [leaf.detach().requires_grad_() for leaf in p[:3]]
    loss = op(OBJECTIVES[name], *leaves, p.candidates, **options)
    return [loss, *torch.autograd.grad(loss, leaves, upstream)]


# --------------------------------------------------------------------------------------- any sizes, dtypes, strides


@st.composite
def tensors(draw, *shape: int, dtypes=DTYPES) -> Tensor:
    """Any dtype, dense or with steps between rows or columns, columns first, or one row for all."""
    dtype = draw(st.sampled_from(dtypes))
    g = torch.Generator().manual_seed(draw(st.integers(0, 1 << 20)))
    values = torch.randn(shape, generator=g, dtype=torch.float64).to(dtype)
    way = draw(st.sampled_from(["dense", "wide", "apart", "columns first", "expanded"]))
    if way == "wide":
        room = torch.full((*shape[:-1], shape[-1] + 3), torch.nan, dtype=dtype)[..., 1 : shape[-1] + 1]
    elif way == "apart":
        room = torch.full((*shape[:-1], 2 * shape[-1]), torch.nan, dtype=dtype)[..., ::2]
    elif way == "columns first" and len(shape) == 2:
        room = torch.full(shape[::-1], torch.nan, dtype=dtype).T
    elif way == "expanded" and shape[0]:
        return values[:1].expand(shape)
    else:
        return values
    return room.copy_(values)


@given(st.data())
def test_any_sizes_dtypes_and_strides(data):
    rows, sampled = data.draw(st.integers(0, 6)), data.draw(st.integers(0, 9))
    classes, width = data.draw(st.integers(1, 8)), data.draw(st.sampled_from([1, 2, 3, 7, 8, 17]))
    name = data.draw(st.sampled_from(SAMPLED))
    true = 1 if OBJECTIVES[name].loss is softmax else data.draw(st.integers(1, 3))
    per_row = data.draw(st.booleans())
    g = torch.Generator().manual_seed(data.draw(st.integers(0, 1 << 20)))
    ids = torch.randint(classes, (rows, sampled) if per_row else (sampled,), generator=g)
    kind = data.draw(st.sampled_from(["any", "all hits", "expanded", "every second"]))
    targets = torch.randint(classes, (rows, true), generator=g)
    if kind == "all hits":
        targets, ids = targets * 0, ids * 0
    elif kind == "expanded" and ids.numel():
        ids = ids[..., :1].expand(ids.shape)
    elif kind == "every second":
        ids = ids.repeat_interleave(2, dim=-1)[..., ::2]
    targets = targets.masked_fill(
        torch.rand(rows, true, generator=g) < data.draw(st.sampled_from([0, 0.5, 1])), IGNORED
    )
    own_counts = per_row or data.draw(st.booleans())
    candidates = Candidates(
        ids,
        data.draw(tensors(rows, sampled) if own_counts else tensors(sampled)),
        targets,
        data.draw(tensors(rows, true)),
        torch.rand(sampled, rows, generator=g).T < 0.3 if data.draw(st.booleans()) else None,
    )
    p = Problem(
        data.draw(tensors(rows, width)), data.draw(tensors(classes, width)), data.draw(tensors(classes)), candidates
    )
    options = {
        "cosine": data.draw(st.booleans()),
        "sparse": data.draw(st.booleans()),
        "remove_hits": data.draw(st.sampled_from([None, True, False])),
        "reduction": data.draw(st.sampled_from(["mean", "sum"])),
    }
    actual, expected = (run(op, name, p, **options) for op in (kernels.get("sampled_loss"), reference.sampled_loss))
    for of_actual, of_expected in zip(actual, expected, strict=True):
        assert of_actual.dtype == of_expected.dtype
        assert of_actual.shape == of_expected.shape
        assert of_actual.is_sparse == of_expected.is_sparse
        # Biases may be wider than what is computed in; and the reference adds up sparse gradients in the table's dtype.
        eps = max(torch.finfo(of_actual.dtype).eps, torch.finfo(actual[0].dtype).eps)
        torch.testing.assert_close(
            of_actual.detach().to_dense().double(),
            of_expected.detach().to_dense().double(),
            rtol=16 * eps,
            atol=200 * eps,
        )


# ------------------------------------------------------------------------------------------------------- rounding


def naive(name: str, p: Problem) -> Tensor:
    """The loss of a batch as people write it, in whatever dtype its tensors have."""
    c, batch = p.candidates, torch.arange(len(p.input))
    rows, biases = p.weight[c.ids], p.bias[c.ids]
    sampled = (p.input @ rows.T if c.ids.dim() == 1 else torch.einsum("bd,bsd->bs", p.input, rows)) + biases
    true = (p.input * p.weight[c.targets]).sum(dim=1) + p.bias[c.targets]
    if OBJECTIVES[name].subtract_log_q:
        sampled, true = sampled - c.log_expected_count.to(sampled), true - c.true_log_expected_count.to(true)
    if OBJECTIVES[name].negatives.value != "S":
        sampled = sampled.masked_fill(c.ids == c.targets[:, None], -1e4)
    logits = torch.cat([true[:, None], sampled], dim=1)
    if OBJECTIVES[name].loss is softmax:
        return F.cross_entropy(logits, torch.zeros_like(batch))
    labels = torch.zeros_like(logits)
    labels[:, 0] = 1
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(dim=1).mean()


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("name", SAMPLED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_errors_are_not_larger_than_those_of_the_naive_formulation(dtype, name, per_row):
    """Against float64: the error of each gradient, in the norm; and of the loss, over 8 batches."""
    errors = torch.zeros(2, 4, dtype=torch.float64)
    for seed in range(8):
        g = torch.Generator().manual_seed(seed)
        input, weight = torch.randn(64, 48, generator=g) / 4, torch.randn(500, 48, generator=g)
        targets = torch.randint(500, (64,), generator=g)
        candidates = LogUniform(500, 70, seed=seed, per_row=per_row, dtype=torch.float64).draw(targets)
        narrow = Problem(input.to(dtype), weight.to(dtype), torch.randn(500, generator=g).to(dtype), candidates)
        wide = Problem(*(x.double() for x in narrow[:3]), candidates)
        truth = run(reference.sampled_loss, name, wide)
        leaves = [x.clone().requires_grad_() for x in narrow[:3]]
        loss = naive(name, Problem(*leaves, candidates))
        people = [loss, *torch.autograd.grad(loss, leaves)]
        for place, results in enumerate((run(kernels.get("sampled_loss"), name, narrow), people)):
            errors[place] += torch.stack(
                [(a.double() - t).norm() for a, t in zip(results, truth, strict=True)]
            ).detach()
    assert (errors > 0).all()
    # Chance, as sums are in another order: of numbers there are 8 losses, few in each gradient that matter.
    slack = torch.tensor([3.0, 1.1, 1.5, 1.5], dtype=torch.float64)
    assert (errors[0] <= slack * errors[1]).all(), errors


@pytest.mark.parametrize("name", SAMPLED)
def test_the_loss_of_a_class_that_is_certain(name):
    """Losses far below the spacing of floats around 1 keep their digits where the loss has any."""
    input, weight = torch.tensor([[1.0]]), torch.tensor([[40.0], [-40.0]])
    candidates = Candidates(torch.tensor([1]), torch.zeros(1), torch.tensor([0]), torch.zeros(1))
    p = Problem(input, weight, torch.zeros(2), candidates)
    value, of_input, of_weight, _ = (x.detach() for x in run(kernels.get("sampled_loss"), name, p))
    if OBJECTIVES[name].loss is logistic:
        assert math.isclose(float(value), 2 * math.exp(-40), rel_tol=1e-5)
        assert math.isclose(float(of_input), -80 * math.exp(-40), rel_tol=1e-5)
        torch.testing.assert_close(of_weight, torch.tensor([[-1.0], [1.0]]) * math.exp(-40), rtol=1e-5, atol=0)
    else:
        assert float(value) == 0.0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_of_narrow_tables_are_summed_wide_and_rounded_once(sparse, per_row, dtype):
    p = problem(per_row=per_row, dtype=dtype)
    c, times = p.candidates, (1, 2000) if per_row else (2000,)
    many = c._replace(ids=c.ids.repeat(times), log_expected_count=c.log_expected_count.repeat(times))
    p = Problem(*p[:3], many)
    wide = Problem(*(x.double() for x in p[:3]), many)
    _, _, of_weight, of_bias = run(kernels.get("sampled_loss"), "nce", p, sparse=sparse)
    _, _, wide_weight, wide_bias = run(reference.sampled_loss, "nce", wide)
    for actual, expected in ((of_weight, wide_weight), (of_bias, wide_bias)):
        assert actual.dtype == dtype
        torch.testing.assert_close(
            actual.to_dense().double(), expected, rtol=1.2 * torch.finfo(dtype).eps, atol=torch.finfo(dtype).tiny
        )


# ------------------------------------------------------------------------------------------------------- autocast


@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("options", [{}, {"cosine": True}, {"reduction": "none"}], ids=str)
@pytest.mark.parametrize("per_row", [False, True])
def test_autocast_changes_nothing(per_row, options, narrow):
    p = problem(per_row=per_row, dtype=torch.float32, ignored=True)
    upstream = torch.ones(5) if options.get("reduction") == "none" else None
    expected = run(kernels.get("sampled_loss"), "sampled_softmax", p, upstream, **options)
    with torch.autocast("cpu", dtype=narrow):
        actual = run(kernels.get("sampled_loss"), "sampled_softmax", p, upstream, **options)
    for of_actual, of_expected in zip(actual, expected, strict=True):
        assert of_actual.dtype == torch.float32
        assert torch.equal(of_actual, of_expected)


def test_queries_that_autocast_made_narrow():
    """As they come out of a linear layer: losses and gradients are float32."""
    p = problem(dtype=torch.float32).with_grad()
    layer = torch.nn.Linear(3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        queries = layer(p.input)
        assert queries.dtype == torch.bfloat16
        loss = kernels.get("sampled_loss")(
            OBJECTIVES["nce"],
            queries,
            p.weight,
            p.bias,
            p.candidates,
            temperature=1.0,
            cosine=False,
            remove_hits=None,
            sparse=False,
            reduction="mean",
        )
    loss.backward()
    assert loss.dtype == p.weight.grad.dtype == layer.weight.grad.dtype == torch.float32
