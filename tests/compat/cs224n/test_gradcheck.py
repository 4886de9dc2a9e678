"""The course's gradient check finds what is wrong, says so, and leaves things as they were."""

import random

import numpy as np
import pytest

from logq.compat.cs224n import gradcheck_naive


def test_what_passes_and_what_does_not(capsys):
    x = np.random.default_rng(1).normal(size=(2, 3))
    before = x.copy()
    assert gradcheck_naive(lambda x: (np.sum(np.exp(x)), np.exp(x)), x, "exp")
    assert capsys.readouterr().out == "Gradient check passed for exp\n"

    def wrong_in_one_place(x):
        gradient = np.exp(x)
        gradient[1, 2] *= 1 + 1e-4
        return np.sum(np.exp(x)), gradient

    assert not gradcheck_naive(wrong_in_one_place, x)
    assert capsys.readouterr().out.startswith("Gradient check failed: at (1, 2) the gradient is ")
    assert not gradcheck_naive(lambda x: (np.sum(x), np.full_like(x, np.nan)), x)
    assert np.array_equal(x, before)


def test_f_may_draw():
    def f(x):
        a, b = random.random(), np.random.random()
        return np.sum(x * (a + b)), np.full_like(x, a + b)

    assert gradcheck_naive(f, np.ones(3))


def test_a_gradient_that_f_writes_into_again():
    gradient = np.zeros(2)

    def f(x):
        gradient[:] = 3 * x**2
        return np.sum(x**3), gradient

    assert gradcheck_naive(f, np.array([1.0, 2.0]))


def test_numbers_are_put_back_when_f_fails():
    x = np.ones(2)

    def f(x):
        if x[0] != 1:
            raise RuntimeError("no")
        return 0.0, np.zeros(2)

    with pytest.raises(RuntimeError):
        gradcheck_naive(f, x)
    assert x.tolist() == [1, 1]


def test_a_scalar():
    assert gradcheck_naive(lambda x: (np.sum(x**2), x * 2), np.array(123.456))


def test_bad_arguments():
    with pytest.raises(TypeError, match="x: expected an array of floats"):
        gradcheck_naive(lambda x: (0, 0), [1.0])
    with pytest.raises(TypeError, match="x: expected an array of floats"):
        gradcheck_naive(lambda x: (0, 0), np.array([1]))
    with pytest.raises(ValueError, match=r"f: expected a gradient of shape \(2,\) as x, got \(\)"):
        gradcheck_naive(lambda x: (0, 0), np.ones(2))
