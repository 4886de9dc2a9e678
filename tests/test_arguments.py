"""Checks of plain values: what passes, what does not, and what they say."""

import math

import numpy as np
import pytest
import torch

from logq._arguments import check_bool, check_float, check_int, is_tensor, shown


@pytest.mark.parametrize("value", [1, np.int64(1), torch.tensor(1)])
def test_int(value):
    result = check_int("x", value)
    assert result == 1
    assert type(result) is int


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1], math.nan, torch.ones(2), torch.tensor(1.0)], ids=str)
def test_no_int(value):
    with pytest.raises(TypeError, match=r"^x: expected an integer >= 1, got"):
        check_int("x", value)


def test_int_below_the_minimum():
    assert check_int("x", 0, 0) == 0
    assert check_int("x", -5, -5) == -5
    with pytest.raises(ValueError, match=r"^x: expected an integer >= 0, got -1$"):
        check_int("x", -1, 0)


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), np.int64(1)])
def test_float(value):
    result = check_float("x", value, above=0, at_most=1)
    assert result == value
    assert type(result) is float


@pytest.mark.parametrize("value", [True, "1", b"1", None, [1.0], torch.ones(()), 1j], ids=str)
def test_no_float(value):
    with pytest.raises(TypeError, match=r"^x: expected a finite number, got"):
        check_float("x", value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0, 0.0, -1, 1.01], ids=str)
def test_float_out_of_range(value):
    with pytest.raises(ValueError, match=r"^x: expected a finite number > 0 and <= 1, got"):
        check_float("x", value, above=0, at_most=1)


def test_a_whole_number_that_no_float_can_be():
    with pytest.raises((TypeError, ValueError), match=r"^x: expected"):
        check_float("x", 10**400)


def test_float_at_its_limits():
    assert check_float("x", 0, at_least=0) == 0
    with pytest.raises(ValueError, match=r"^x: expected a finite number >= 0, got -1e-300$"):
        check_float("x", -1e-300, at_least=0)


def test_bool():
    assert check_bool("x", True) is True
    assert check_bool("x", False) is False
    for value in (None, 0, 1, "yes", torch.tensor(True), np.True_):
        with pytest.raises(TypeError, match=r"^x: expected True or False, got"):
            check_bool("x", value)


def test_tensors_are_told_from_arrays():
    for value in (torch.zeros(2), torch.ones((), requires_grad=True), torch.nn.Parameter(torch.zeros(1))):
        assert is_tensor(value)
    for value in (np.zeros(2), np.float32(1), [torch.zeros(1)], 1.0, "tensor", None):
        assert not is_tensor(value)


def test_what_is_long_is_cut():
    assert shown("a" * 78) == repr("a" * 78)
    assert shown("a" * 79) == "'" + "a" * 76 + "..."
