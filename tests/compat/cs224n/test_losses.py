# ruff: noqa: N802 - the names are the course's
"""The losses of the assignment: golden numbers, loops, autograd of our own losses, and differences."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logq.candidates import Candidates
from logq.compat.cs224n import (
    getNegativeSamples,
    gradcheck_naive,
    naiveSoftmaxLossAndGradient,
    negSamplingLossAndGradient,
    skipgram,
)
from logq.functional import full_softmax_loss, negative_sampling_loss

GOLDEN = Path(__file__).parents[2] / "golden"


class Words:
    """Gives the words of a list, one after the other."""

    def __init__(self, ids):
        self.ids = [int(word) for word in np.ravel(ids)]
        self.asked = 0

    def sampleTokenIdx(self):
        self.asked += 1
        return self.ids[self.asked - 1]


class RandomWords:
    """Draws from numpy's global generator, as the course's data set does from Python's."""

    def sampleTokenIdx(self):
        return int(np.random.randint(5))


@pytest.mark.parametrize("name", ["softmax0", "softmax1", "softmax2", "negsamp0", "negsamp1", "negsamp2"])
def test_golden(name):
    with np.load(GOLDEN / "cs224n_losses.npz") as file:
        golden = dict(file)
    words = {f"word {i}": i for i in range(5)}
    loss = naiveSoftmaxLossAndGradient if name.startswith("softmax") else negSamplingLossAndGradient
    dataset = Words(golden.get(f"{name}_negatives", []))
    outside = [f"word {i}" for i in golden[f"{name}_outside"]]
    found = skipgram(
        f"word {int(golden[f'{name}_center'])}",
        len(outside),
        outside,
        words,
        golden["center_vectors"],
        golden["outside_vectors"],
        dataset,
        loss,
    )
    for value, key in zip(found, ("loss", "gV", "gU"), strict=True):
        np.testing.assert_allclose(value, golden[f"{name}_{key}"], rtol=1e-12, atol=1e-12)
    assert dataset.asked == len(dataset.ids)


vectors = {"seed": st.integers(0, 10**6), "size": st.integers(2, 8), "width": st.integers(1, 5)}


@given(**vectors)
def test_softmax_is_our_full_softmax(seed, size, width):
    rng = np.random.default_rng(seed)
    v, u, o = rng.normal(size=width), rng.normal(size=(size, width)), int(rng.integers(size))
    loss, of_center, of_outside = naiveSoftmaxLossAndGradient(v, o, u, None)
    leaves = [torch.tensor(v[None], requires_grad=True), torch.tensor(u, requires_grad=True)]
    ours = full_softmax_loss(*leaves, torch.tensor([o]))
    gradients = torch.autograd.grad(ours, leaves)
    np.testing.assert_allclose(loss, ours.item(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(of_center, gradients[0][0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(of_outside, gradients[1], rtol=1e-12, atol=1e-12)


@given(**vectors, count=st.integers(0, 12))
def test_negative_sampling_is_ours(seed, size, width, count):
    rng = np.random.default_rng(seed)
    v, u, o = rng.normal(size=width), rng.normal(size=(size, width)), int(rng.integers(size))
    drawn = rng.integers(size, size=count)
    drawn[drawn == o] = (o + 1) % size
    loss, of_center, of_outside = negSamplingLossAndGradient(v, o, u, Words(drawn), K=count)
    leaves = [torch.tensor(v[None], requires_grad=True), torch.tensor(u, requires_grad=True)]
    candidates = Candidates(torch.from_numpy(drawn), torch.zeros(count), torch.tensor([o]), torch.zeros(1))
    ours = negative_sampling_loss(*leaves, candidates)
    gradients = torch.autograd.grad(ours, leaves)
    np.testing.assert_allclose(loss, ours.item(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(of_center, gradients[0][0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(of_outside, gradients[1], rtol=1e-12, atol=1e-12)


@given(**vectors, count=st.integers(0, 12))
def test_negative_sampling_by_a_loop(seed, size, width, count):
    rng = np.random.default_rng(seed)
    v, u, o = rng.normal(size=width), rng.normal(size=(size, width)), int(rng.integers(size))
    drawn = [(o + 1 + int(k)) % size for k in rng.integers(0, size - 1, count)]
    expected, of_center, of_outside = 0.0, np.zeros_like(v), np.zeros_like(u)
    for w, sign in [(o, 1.0), *((w, -1.0) for w in drawn)]:
        p = 1 / (1 + np.exp(-sign * np.dot(u[w], v)))
        expected -= np.log(p)
        of_center -= sign * (1 - p) * u[w]
        of_outside[w] -= sign * (1 - p) * v
    found = negSamplingLossAndGradient(v, o, u, Words(drawn), count)
    for value, other in zip(found, (expected, of_center, of_outside), strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", [naiveSoftmaxLossAndGradient, negSamplingLossAndGradient])
def test_gradients_pass_the_check_of_the_course(loss, capsys):
    vectors = np.random.default_rng(1).normal(size=(10, 3))
    words = dict(zip("abcde", range(5), strict=True))

    def f(x):
        loss_and_gradients = skipgram("c", 2, ["a", "b", "e", "a"], words, x[:5], x[5:], RandomWords(), loss)
        return loss_and_gradients[0], np.concatenate(loss_and_gradients[1:])

    assert gradcheck_naive(f, vectors, loss.__name__)
    assert capsys.readouterr().out == f"Gradient check passed for {loss.__name__}\n"


def test_large_scores_stay_finite():
    for sign in (1, -1):
        v, u = np.array([1e4 * sign]), np.array([[1.0], [-1.0]])
        for found in (naiveSoftmaxLossAndGradient(v, 0, u), negSamplingLossAndGradient(v, 0, u, Words([1, 1]), 2)):
            assert all(np.isfinite(part).all() for part in found)


def test_inputs_are_left_alone_and_single_precision_stays_single():
    v, u = np.ones(3, "f"), np.ones((4, 3), "f")
    before = v.copy(), u.copy()
    for found in (naiveSoftmaxLossAndGradient(v, 0, u), negSamplingLossAndGradient(v, 0, u, Words([1, 2]), 2)):
        assert isinstance(found[0], float)
        assert found[1].dtype == np.float32
        assert found[2].dtype == np.float32
    assert np.array_equal(v, before[0])
    assert np.array_equal(u, before[1])


def test_negatives_that_hit_are_drawn_again():
    words = Words([2, 2, 0, 1, 2, 0])
    assert getNegativeSamples(2, words, 3) == [0, 1, 0]
    assert words.asked == 6


def test_bad_arguments():
    v, u = np.ones(3), np.ones((4, 3))
    for wrong, error, message in (
        ((v, 4, u), ValueError, r"outsideWordIdx: expected an id in \[0, 4\), got 4"),
        ((v, -1, u), ValueError, "outsideWordIdx"),
        ((v, 1.0, u), TypeError, "outsideWordIdx"),
        ((v[:2], 1, u), ValueError, r"centerWordVec: expected shape \(D,\) with D = 3, got \(2,\)"),
        ((v, 1, v), ValueError, "outsideVectors: expected shape"),
        ((["a"], 1, u), TypeError, "centerWordVec: expected numbers"),
    ):
        with pytest.raises(error, match=message):
            naiveSoftmaxLossAndGradient(*wrong)
        with pytest.raises(error, match=message):
            negSamplingLossAndGradient(*wrong, Words([0] * 10))
    with pytest.raises(ValueError, match=r"dataset: expected an id in \[0, 4\), got 9"):
        negSamplingLossAndGradient(v, 0, u, Words([1, 9]), 2)
    with pytest.raises(ValueError, match="K"):
        negSamplingLossAndGradient(v, 0, u, Words([]), -1)
    with pytest.raises(KeyError, match="z"):
        skipgram("z", 1, ["a"], {"a": 0}, u, u, None)
    with pytest.raises(ValueError, match="currentCenterWord: expected an id"):
        skipgram("a", 1, ["a"], {"a": 7}, u, u, None)
    with pytest.raises(ValueError, match="centerWordVectors: expected shape"):
        skipgram("a", 1, ["a"], {"a": 0}, v, u, None)
