# ruff: noqa: N803, N806 - W is the name that Chainer has for it
"""Chainer's BlackOut: its own numbers, the formula term by term, and where 1 - p has no digits left."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logq.compat.chainer import BlackOut, WalkerAlias, black_out

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.mark.parametrize("reduce", ["no", "mean"])
@pytest.mark.parametrize(("name", "dtype", "tolerance"), [("f32", torch.float32, 1e-6), ("f64", torch.float64, 1e-12)])
def test_golden(name, dtype, tolerance, reduce):
    with np.load(GOLDEN / "chainer_black_out.npz") as file:
        golden = {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}
    x, W = (golden[key].to(dtype).requires_grad_() for key in ("x", "W"))
    loss = black_out(x, golden["t"], W, golden["samples"], reduce)
    gradients = torch.autograd.grad(loss, [x, W], golden[f"gy_{reduce}"].to(dtype))
    for key, found in zip(("loss", "dx", "dW"), (loss, *gradients), strict=True):
        torch.testing.assert_close(found, golden[f"{name}_{reduce}_{key}"], rtol=tolerance, atol=tolerance)


def by_loop(x, t, W, samples):
    losses = []
    for i in range(len(x)):
        powers = [np.exp(np.dot(x[i], W[c])) for c in (t[i], *samples[i])]
        losses.append(-np.log(powers[0] / sum(powers)))
        for power in powers[1:]:
            losses[-1] -= np.log(1 - power / sum(powers))
    return np.array(losses)


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 4), st.integers(1, 9), st.integers(0, 6))
def test_loop(seed, rows, width, classes, size):
    rng = np.random.default_rng(seed)
    x, W = rng.normal(size=(rows, width)) / 2, rng.normal(size=(classes, width))
    t, samples = rng.integers(0, classes, rows), rng.integers(0, classes, (rows, size))
    expected = torch.from_numpy(by_loop(x, t, W, samples))
    losses = black_out(torch.from_numpy(x), t, torch.from_numpy(W), samples, "no")
    torch.testing.assert_close(losses, expected, rtol=1e-10, atol=1e-10)
    mean = black_out(torch.from_numpy(x), t, torch.from_numpy(W), samples)
    torch.testing.assert_close(mean, expected.mean(), rtol=1e-10, atol=1e-10)


def test_gradients_of_gradients():
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    W = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    loss = lambda x, W: black_out(x, [1, 0, 2], W, [[1, 1], [2, 3], [0, 3]], "no")  # noqa: E731
    assert torch.autograd.gradcheck(loss, (x, W))
    assert torch.autograd.gradgradcheck(loss, (x, W))


@pytest.mark.parametrize("score", [20.0, 50.0, 500.0])
def test_a_sample_that_has_all_the_probability(score):
    x, W = torch.ones(1, 1, requires_grad=True), torch.tensor([[0.0], [score]], requires_grad=True)
    loss = black_out(x, [0], W, [[1]])
    torch.testing.assert_close(loss, torch.tensor(2 * score))  # -log p(t) - log(1 - p(s)), both log(1 + exp(score))
    loss.backward()
    torch.testing.assert_close(W.grad, torch.tensor([[-2.0], [2.0]]))


def test_half_precision_comes_back_as_it_was():
    x, W = torch.randn(3, 4), torch.randn(5, 4)
    loss = black_out(x.half(), [0, 1, 2], W.half(), [[3, 4]] * 3)
    assert loss.dtype == torch.float16
    wide = black_out(x.half().float(), [0, 1, 2], W.half().float(), [[3, 4]] * 3)
    assert torch.equal(loss, wide.half())


def test_no_rows():
    assert black_out(torch.ones(0, 2), torch.zeros(0).long(), torch.ones(3, 2), torch.zeros(0, 4).long()) == 0


def fails(error, message, **changes):
    arguments = {"x": torch.ones(2, 3), "t": [1, 2], "W": torch.ones(4, 3), "samples": [[0], [3]]} | changes
    with pytest.raises(error, match=message):
        black_out(**arguments)


def test_bad_arguments():
    fails(ValueError, "reduce: expected 'no' or 'mean', got 'sum'", reduce="sum")
    fails(ValueError, "t: expected class ids .* got -1", t=[1, -1])
    fails(ValueError, r"samples: expected shape \(N, K\) with N = 2, got \(1, 2\)", samples=[[0, 3]])
    fails(ValueError, "samples: expected class ids .* got 4", samples=[[0], [4]])
    fails(ValueError, "W: expected shape .* with D = 3", W=torch.ones(4, 2))
    fails(TypeError, "samples: expected integers", samples=[[0.5], [1.0]])
    fails(TypeError, "samples: expected an array", samples=[[0], [1, 2]])


def test_link():
    link = BlackOut(3, {1: 5, 0: 1, 2: 0}, 4, seed=1)
    assert isinstance(link.sampler, WalkerAlias)
    assert list(link.state_dict()) == ["W", "sampler.unigram._extra_state"]
    assert not link.W.any()
    x, t = torch.randn(2, 3), torch.tensor([0, 2])
    torch.testing.assert_close(link(x, t).item(), 5 * np.log(5) - 4 * np.log(4), rtol=1e-6, atol=0)
    torch.nn.init.normal_(link.W)
    link.sample_data = np.array([[0, 1, 1, 2], [2, 2, 0, 0]], "i")
    loss = link(x, t)
    torch.testing.assert_close(loss, black_out(x, t, link.W, link.sample_data))
    loss.backward()
    assert link.W.grad.any()


def test_it_shows_its_sizes():
    assert repr(BlackOut(4, [5, 3, 2], 2)).splitlines()[0].startswith("BlackOut(")
    assert "in_size=4, sample_size=2" in repr(BlackOut(4, [5, 3, 2], 2))
