# ruff: noqa: N803, N806 - W is the name that Chainer has for it
"""Chainer's negative sampling: its own numbers, a loop over rows and samples, and what samplers may return."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logq.compat.chainer import NegativeSampling, WalkerAlias, negative_sampling

GOLDEN = Path(__file__).parents[2] / "golden"


def load(name):
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}


def close(found, expected, tolerance):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("reduce", ["no", "sum"])
def test_golden(reduce):
    golden = load("chainer_negative_sampling")
    x, W = golden["x"].requires_grad_(), golden["W"].requires_grad_()
    sampler = lambda shape: golden["samples_in"].numpy()  # noqa: E731
    loss, samples = negative_sampling(x, golden["t"], W, sampler, 4, reduce, return_samples=True)
    close(loss, golden[f"{reduce}_loss"], 1e-6)
    assert samples.tolist() == golden["samples_out"].tolist()
    gradients = torch.autograd.grad(loss, [x, W], golden[f"gy_{reduce}"])
    for name, gradient in zip(("dx", "dW"), gradients, strict=True):
        close(gradient, golden[f"{reduce}_{name}"], 1e-6)


@pytest.mark.parametrize("reduce", ["no", "sum"])
def test_golden_of_second_derivatives(reduce):
    golden = load("chainer_negative_sampling_twice")
    x, W, gy = (golden[name].requires_grad_() for name in ("x", "W", f"gy_{reduce}"))
    loss = negative_sampling(x, golden["t"], W, lambda shape: golden["samples_in"], 3, reduce)
    close(loss, golden[f"{reduce}_loss"], 1e-12)
    dx, dW = torch.autograd.grad(loss, [x, W], gy, create_graph=True)
    close(dx, golden[f"{reduce}_dx"], 1e-12)
    close(dW, golden[f"{reduce}_dW"], 1e-12)
    second = torch.autograd.grad((dx * golden["ggx"]).sum() + (dW * golden["ggW"]).sum(), [x, W, gy])
    for name, gradient in zip(("ddx", "ddW", "ddgy"), second, strict=True):
        close(gradient, golden[f"{reduce}_{name}"], 1e-12)


@pytest.mark.parametrize("reduce", ["no", "sum"])
def test_half_precision_is_computed_in_single_and_returned_as_it_came(reduce):
    golden = load("chainer_negative_sampling_twice")
    x, W = (golden[name].half().requires_grad_() for name in ("x", "W"))
    sampler = lambda shape: golden["samples_in"]  # noqa: E731
    loss = negative_sampling(x, golden["t"], W, sampler, 3, reduce)
    assert loss.dtype == torch.float16
    assert torch.equal(loss, golden[f"{reduce}_f16_loss"])
    gradients = torch.autograd.grad(loss.sum(), [x, W])
    wide = [x.detach().float().requires_grad_(), W.detach().float().requires_grad_()]
    exact = torch.autograd.grad(negative_sampling(wide[0], golden["t"], wide[1], sampler, 3, reduce).sum(), wide)
    for gradient, other in zip(gradients, exact, strict=True):
        assert gradient.dtype == torch.float16
        close(gradient.float(), other, 1e-3)


def by_loop(x, t, W, samples):
    """Losses, and the gradients of their sum, one sample after the other."""
    losses, gx, gW = np.zeros(len(x)), np.zeros_like(x), np.zeros_like(W)
    for i in range(len(x)):
        if t[i] == -1:
            continue
        for k in range(samples.shape[1]):
            c, sign = (t[i], -1.0) if k == 0 else (samples[i, k], 1.0)
            score = sign * np.dot(x[i], W[c])
            losses[i] += np.logaddexp(0.0, score)
            slope = sign / (1 + np.exp(-score))
            gx[i] += slope * W[c]
            gW[c] += slope * x[i]
    return losses, gx, gW


@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(1, 4), st.integers(1, 9), st.integers(0, 6))
def test_loop(seed, rows, width, classes, size):
    rng = np.random.default_rng(seed)
    x, W = rng.normal(size=(rows, width)), rng.normal(size=(classes, width))
    t, samples = rng.integers(-1, classes, rows), rng.integers(0, classes, (rows, size + 1))
    losses, gx, gW = by_loop(x, t, W, samples)
    inputs = [torch.from_numpy(x).requires_grad_(), torch.from_numpy(W).requires_grad_()]
    by_row = negative_sampling(inputs[0], t, inputs[1], lambda shape: samples, size, "no")
    close(by_row, torch.from_numpy(losses), 1e-12)
    total = negative_sampling(inputs[0], t, inputs[1], lambda shape: samples, size)
    close(total, torch.tensor(losses.sum()), 1e-12)
    for gradient, expected in zip(torch.autograd.grad(total, inputs), (gx, gW), strict=True):
        close(gradient, torch.from_numpy(expected), 1e-12)


@pytest.mark.parametrize("reduce", ["no", "sum"])
def test_gradients_of_gradients(reduce):
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    W = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    samples = [[0, 1, 1], [0, 3, 3], [0, 2, 0]]
    loss = lambda x, W: negative_sampling(x, [1, -1, 2], W, lambda shape: samples, 2, reduce)  # noqa: E731
    assert torch.autograd.gradcheck(loss, (x, W))
    assert torch.autograd.gradgradcheck(loss, (x, W))


@pytest.mark.parametrize(
    "kind",
    [np.array, lambda ids: np.array(ids, "i"), lambda ids: ids, torch.tensor, lambda ids: torch.tensor(ids).int()],
)
def test_what_a_sampler_may_return(kind):
    asked = []
    drawn = kind([[5, 1, 1], [5, 3, 4]])

    def sampler(shape):
        asked.append(shape)
        return drawn

    t = torch.tensor([2, -1], dtype=torch.int32)
    loss, samples = negative_sampling(torch.ones(2, 3), t, torch.ones(6, 3), sampler, 2, return_samples=True)
    assert asked == [(2, 3)]
    assert all(type(size) is int for size in asked[0])
    assert samples.dtype == torch.int64
    assert samples.tolist() == [[2, 1, 1], [-1, 3, 4]]
    assert np.asarray(drawn).tolist() == [[5, 1, 1], [5, 3, 4]]  # left as it was
    close(loss, torch.tensor(np.log1p(np.exp(-3.0)) + 2 * np.log1p(np.exp(3.0)), dtype=torch.float32), 1e-6)


def test_rows_without_a_target_leave_all_classes_alone():
    x, W = torch.ones(2, 3, requires_grad=True), torch.ones(4, 3, requires_grad=True)
    loss = negative_sampling(x, [-1, -1], W, lambda shape: [[0, 1], [2, 3]], 1)
    loss.backward()
    assert loss == 0
    assert not x.grad.any()
    assert not W.grad.any()


def fails(error, message, **changes):
    arguments = {"x": torch.ones(2, 3), "t": [1, 2], "W": torch.ones(4, 3), "sampler": lambda shape: [[0, 1]] * 2}
    arguments |= {"sample_size": 1, "reduce": "sum"} | changes
    with pytest.raises(error, match=message):
        negative_sampling(**arguments)


def test_bad_arguments():
    fails(ValueError, "reduce: expected 'no' or 'sum', got 'mean'", reduce="mean")
    fails(ValueError, r"x: expected shape \(N, D\)", x=torch.ones(3))
    fails(ValueError, "W: expected shape", W=torch.ones(4, 2, 2))
    fails(ValueError, r"W: expected shape \(V, D\) with D = 3", W=torch.ones(4, 2))
    fails(ValueError, r"t: expected shape \(N,\) with N = 2", t=[1])
    fails(ValueError, "t: expected class ids .* got 4", t=[1, 4])
    fails(ValueError, "t: expected class ids .* got -100", t=[1, -100])
    fails(TypeError, "t: expected integers", t=[1.0, 2.0])
    fails(TypeError, "t: expected integers", t=torch.tensor([True, False]))
    fails(ValueError, r"sampler: expected ids of shape \(2, 2\) .* got \(2, 1\)", sampler=lambda shape: [[0]] * 2)
    fails(ValueError, "sampler: expected class ids .* got 9", sampler=lambda shape: [[0, 9]] * 2)
    fails(TypeError, "sampler: expected integers", sampler=lambda shape: np.zeros(shape))
    fails(TypeError, "sampler: expected a function", sampler=[1, 2])
    fails(ValueError, "sample_size", sample_size=-1)
    fails(TypeError, "return_samples", return_samples="yes")


def test_link():
    link = NegativeSampling(3, [4, 0, 1], 5, seed=1)
    assert isinstance(link.sampler, WalkerAlias)
    assert not link.W.any()
    assert list(link.state_dict()) == ["W", "sampler.unigram._extra_state"]
    assert [name for name, _ in link.named_parameters()] == ["W"]
    x, t = torch.randn(4, 3), torch.tensor([0, 2, -1, 1])
    losses, samples = link(x, t, reduce="no", return_samples=True)
    close(losses, 6 * np.log(2) * torch.tensor([1.0, 1.0, 0.0, 1.0]), 1e-6)
    assert samples.shape == (4, 6)
    assert samples[:, 0].tolist() == t.tolist()
    assert not (samples[:, 1:] == 1).any()  # a count of 0
    link = link.double()
    link.W.data.normal_()
    loss, samples = link(x.double(), t, return_samples=True)
    close(loss, negative_sampling(x.double(), t, link.W, lambda shape: samples, 5), 1e-12)
    loss.backward()
    assert link.W.grad.any()


@pytest.mark.parametrize(
    ("counts", "power"), [([16, 1, 0, 81], 0.75), ({1: 1, 0: 16, 3: 81, 2: 0}, 0.75), ([5, 0, 9], 0)]
)
def test_link_draws_by_a_power_of_the_counts(counts, power):
    link = NegativeSampling(2, counts, 4, power, seed=3)
    drawn = Counter(link.sampler.sample(200_000).tolist())
    distribution = np.array([counts[i] for i in range(len(counts))], dtype=float) ** power  # 0^0 is 1, as in Chainer
    for i, expected in enumerate(distribution / distribution.sum()):
        assert abs(drawn[i] / 200_000 - expected) < 5 * np.sqrt(expected * (1 - expected) / 200_000) + 1e-12


def test_link_with_bad_counts():
    with pytest.raises(ValueError, match=r"counts: expected the ids 0..1 for keys, got \[0, 2\]: 1 is missing"):
        NegativeSampling(2, {0: 1, 2: 1}, 1)
    with pytest.raises(ValueError, match="counts: expected positive numbers for power -1, got 0 for class 1"):
        NegativeSampling(2, [1, 0], 1, power=-1)
    with pytest.raises(ValueError, match="all are 0"):
        NegativeSampling(2, [0, 0], 1)
    with pytest.raises(TypeError, match="power"):
        NegativeSampling(2, [1], 1, power="3/4")


def test_it_shows_its_sizes():
    assert "in_size=4, sample_size=2" in repr(NegativeSampling(4, [5, 3, 2], 2))
