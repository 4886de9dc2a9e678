"""WalkerAlias draws what it was asked for, and says what it cannot draw."""

import copy

import numpy as np
import pytest
import torch

from logq.compat.chainer import WalkerAlias


@pytest.mark.parametrize("probs", [[1, 0, 3], np.array([0.2, 0.3, 0.5], "f"), torch.tensor([1e-3, 5.0]), [7]])
def test_frequencies(probs):
    drawn = WalkerAlias(probs, seed=2).sample(100_000).bincount(minlength=len(probs)).double() / 100_000
    distribution = torch.as_tensor(np.asarray(probs, dtype=float))
    distribution /= distribution.sum()
    assert bool(((drawn - distribution).abs() <= 5 * (distribution * (1 - distribution) / 100_000).sqrt()).all())


def test_shapes_and_seeds():
    alias = WalkerAlias([1, 2, 3], seed=4)
    for shape in ((2, 3), [2, 3], torch.Size([2, 3])):
        assert alias.sample(shape).shape == (2, 3)
    assert alias.sample(5).shape == (5,)
    assert alias.sample(()).shape == ()
    assert alias.sample((0, 2)).shape == (0, 2)
    assert alias.sample((2, 2)).dtype == torch.int64
    one, other = WalkerAlias([1, 2, 3], seed=4), WalkerAlias([1, 2, 3], seed=4)
    assert torch.equal(one.sample(50), other(50))
    assert not torch.equal(one.sample(50), WalkerAlias([1, 2, 3], seed=5).sample(50))
    assert "num_classes=3" in repr(one)
    assert copy.deepcopy(one).sample(3).shape == (3,)


@pytest.mark.parametrize(
    ("probs", "error", "message"),
    [
        ([0, 0], ValueError, "probs: expected at least one positive count, all are 0"),
        ([1, -1], ValueError, "probs: expected finite numbers >= 0, got -1 for class 1"),
        ([1, float("nan")], ValueError, "probs: expected finite numbers >= 0, got nan for class 1"),
        ([], ValueError, r"probs: expected shape \(C,\)"),
        (["a"], TypeError, "probs: expected numbers"),
    ],
)
def test_bad_probabilities(probs, error, message):
    with pytest.raises(error, match=message):
        WalkerAlias(probs)


@pytest.mark.parametrize(("shape", "error"), [((2, -1), ValueError), (1.5, TypeError), ("ab", TypeError)])
def test_bad_shapes(shape, error):
    with pytest.raises(error, match="shape"):
        WalkerAlias([1]).sample(shape)
