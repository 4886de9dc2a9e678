"""The reference: alias tables give back their distribution, and passes over all classes never hold all logits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import student
from backend_cases import ON_CPU
from logq import kernels
from logq.kernels import logits as kernel_logits
from logq.kernels import reference, reference_draws
from logq.objectives import OBJECTIVES
from problems import C, problem

FULL = ["full_softmax", "full_logistic"]

# ----------------------------------------------------------------------------------------------------- alias table


def implied(accept: Tensor, alias: Tensor) -> Tensor:
    """The probability of each class when a cell is drawn uniformly, then its own class or its alias."""
    return accept.index_add(0, alias.long(), 1 - accept) / len(accept)


def assert_table_of(weights: Tensor) -> None:
    accept, alias = reference_draws.alias_table(weights)
    assert (accept.dtype, alias.dtype) == (torch.float64, torch.int32)
    assert accept.shape == alias.shape == weights.shape
    assert ((accept >= 0) & (accept <= 1)).all()
    assert ((alias >= 0) & (alias < len(weights))).all()
    distribution = weights / weights.sum()
    torch.testing.assert_close(implied(accept, alias), distribution, rtol=1e-12, atol=1e-15 * len(weights))
    never = weights == 0
    assert (accept[never] == 0).all()
    assert not never[alias[accept < 1].long()].any()


@given(
    arrays(
        np.float64,
        st.integers(1, 60),
        elements=st.one_of(st.just(0.0), st.floats(1e-6, 1e6), st.sampled_from([1.0, 2.0, 3.0])),
    ).filter(lambda weights: weights.sum() > 0)
)
def test_any_weights(weights):
    assert_table_of(torch.from_numpy(weights))


@pytest.mark.parametrize(
    "weights",
    {
        "one class": torch.ones(1),
        "all alike": torch.ones(1000),
        "one of many": torch.eye(100)[37],
        "Zipf": 1 / torch.arange(1, 100_001),
        "first heavy": torch.cat([torch.tensor([1e9]), torch.ones(999)]),
        "last heavy": torch.cat([torch.ones(999), torch.tensor([1e9])]),
        "heavy in a row": torch.cat([torch.full((500,), 3.0), torch.ones(500)]),
        "every other is zero": torch.tensor([0.0, 1.0]).repeat(500),
        "tiny": 1e-300 * torch.arange(1, 101, dtype=torch.float64),
        "alike, but rounded to more than 1": torch.full((7,), 419430.96840182, dtype=torch.float64),
    }.items(),
    ids=lambda item: item[0],
)
def test_weights_that_are_extreme(weights):
    assert_table_of(weights[1].double())


def test_backends_agree_on_the_table():
    weights = torch.rand(5000, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) ** 8
    tables = []
    for backend in ON_CPU:
        if not kernels.backend(backend).has("alias_table"):
            continue
        with kernels.use(backend):
            assert kernels.active()["alias_table"] == backend
            tables.append(implied(*kernels.get("alias_table")(weights)))
    for table in tables[1:]:
        torch.testing.assert_close(table, tables[0], rtol=1e-12, atol=1e-15)


def test_the_reference_lacks_nothing():
    assert kernels.backend("reference").missing == ()
    with kernels.use("reference"):
        assert set(kernels.active().values()) == {"reference"}


# ------------------------------------------------------------------------------------------- passes over all classes


@pytest.fixture(params=[1, 7, 20, 5 * C, 10_000], ids="{} logits a chunk".format)
def chunk_logits(request, monkeypatch):
    monkeypatch.setattr(kernel_logits, "CHUNK_LOGITS", request.param)
    return request.param


def full(name, p, *, cosine=False, temperature=1.0, bias=True):
    return reference.full_loss(
        OBJECTIVES[name],
        p.input,
        p.weight,
        p.bias if bias else None,
        p.candidates.targets,
        temperature=temperature,
        cosine=cosine,
    )


@pytest.mark.parametrize("options", [{}, {"cosine": True, "temperature": 0.3, "bias": False}], ids=str)
@pytest.mark.parametrize("name", FULL)
def test_chunks_add_up(name, options, chunk_logits):
    p = problem(num_true=2 if name == "full_logistic" else None, ignored=True).with_grad()
    expected = student.losses(
        name, *p[:2], p.candidates, **{**options, "bias": p.bias if options.get("bias", True) else None}
    )
    losses = full(name, p, **options)
    torch.testing.assert_close(losses.tolist(), expected, rtol=1e-12, atol=1e-12)
    gradients = torch.autograd.grad(losses.square().sum(), p[:3], allow_unused=True)
    kernel_logits.CHUNK_LOGITS = 1 << 22  # the fixture puts back what was there
    whole = torch.autograd.grad(full(name, p, **options).square().sum(), p[:3], allow_unused=True)
    for gradient, of_whole in zip(gradients, whole, strict=True):
        torch.testing.assert_close(gradient, of_whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FULL)
def test_chunks_have_derivatives_of_both_orders(name, monkeypatch):
    monkeypatch.setattr(kernel_logits, "CHUNK_LOGITS", 20)
    p = problem(ignored=True).with_grad()

    def losses(*leaves: Tensor) -> Tensor:
        return full(name, type(p)(*leaves, p.candidates))

    assert torch.autograd.gradcheck(losses, p[:3], fast_mode=True)
    assert torch.autograd.gradgradcheck(losses, p[:3], fast_mode=True)


@pytest.mark.parametrize("shifted", [False, True])
def test_log_normalizer(shifted, chunk_logits):
    p = problem().with_grad()
    shift = torch.linspace(-2, 1, C, dtype=torch.float64) if shifted else None
    actual = reference.log_normalizer(*p[:3], temperature=0.5, cosine=False, shift=shift)
    scores = (p.input @ p.weight.T + p.bias) / 0.5 + (0 if shift is None else shift)
    torch.testing.assert_close(actual, scores.logsumexp(dim=1), rtol=1e-12, atol=1e-12)
    for of_actual, of_expected in zip(
        torch.autograd.grad(actual.sum(), p[:3]), torch.autograd.grad(scores.logsumexp(dim=1).sum(), p[:3]), strict=True
    ):
        torch.testing.assert_close(of_actual, of_expected, rtol=1e-12, atol=1e-12)


def test_a_shift_of_minus_infinity_leaves_a_class_out(chunk_logits):
    p = problem()
    shift = torch.zeros(C, dtype=torch.float64)
    shift[4] = -torch.inf
    actual = reference.log_normalizer(*p[:3], temperature=1.0, cosine=False, shift=shift)
    scores = (p.input @ p.weight.T + p.bias)[:, [c for c in range(C) if c != 4]]
    torch.testing.assert_close(actual, scores.logsumexp(dim=1), rtol=1e-12, atol=1e-12)


class Largest(TorchDispatchMode):
    """Remembers the sizes of all tensors that any op makes, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.sizes |= {leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)}
        return result


@pytest.mark.parametrize("name", FULL)
def test_no_tensor_is_as_large_as_all_logits(name, monkeypatch):
    """64 rows and 1000 classes of width 8: the class table is 8,000 numbers, all logits would be 64,000."""
    monkeypatch.setattr(kernel_logits, "CHUNK_LOGITS", 6400)
    weight, input = torch.randn(1000, 8, requires_grad=True), torch.randn(64, 8, requires_grad=True)
    saved = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    with Largest() as largest, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        losses = reference.full_loss(
            OBJECTIVES[name], input, weight, None, torch.zeros(64, dtype=torch.int64), temperature=1.0, cosine=False
        )
        losses.sum().backward()
    assert max(largest.sizes) == 8000
    assert 6400 in largest.sizes  # a chunk: the watch does watch
    del saved[:]
    # And forward keeps no logits for backward: what is saved is the class table, the input and vectors.
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        reference.full_loss(
            OBJECTIVES[name], input, weight, None, torch.zeros(64, dtype=torch.int64), temperature=1.0, cosine=False
        )
    assert 6400 not in saved


def test_chunks_cover_the_class_table():
    weight, bias = torch.arange(22.0).view(11, 2), torch.arange(11.0)
    for logits in (1, 3, 12, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernel_logits, "CHUNK_LOGITS", logits)
            for with_bias in (bias, None):
                parts = list(reference.chunks(3, weight, with_bias))
                assert torch.equal(torch.cat([rows for _, rows, _ in parts]), weight)
                assert [first for first, _, _ in parts] == [int(rows[0, 0]) // 2 for _, rows, _ in parts]
                if with_bias is not None:
                    assert torch.equal(torch.cat([part for _, _, part in parts]), bias)
                assert all(len(rows) * 3 <= max(logits, 3) for _, rows, _ in parts)


def test_logits_by_hand():
    input, rows = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    bias = torch.tensor([0.5, -0.5])
    assert reference.logits(input, rows, bias, temperature=2.0, cosine=False).tolist() == [[1.75, 3.75]]
    cosine = reference.logits(input, rows, bias, temperature=2.0, cosine=True)
    torch.testing.assert_close(cosine, torch.tensor([[0.55, 0.15]]))
    own = reference.logits(input, rows[None], bias[None], temperature=2.0, cosine=False)
    assert own.tolist() == [[1.75, 3.75]]
    assert math.isclose(
        float(reference.logits(input.half(), rows.half(), None, temperature=3.0, cosine=False)[0, 0]), 1
    )
