"""The checks: what passes, what does not, and what they say."""

import math
import re

import numpy as np
import pytest
import torch

from logq.shapes import can_look_at, check_bool, check_float, check_ids, check_int, check_shape


def test_a_shape_binds_its_letters_and_later_ones_must_agree():
    sizes = {}
    check_shape("input", torch.zeros(2, 3), "BD", sizes)
    assert sizes == {"B": 2, "D": 3}
    check_shape("targets", torch.zeros(2), "B", sizes)
    check_shape("pairs", torch.zeros(5, 2), ("N", 2), sizes)
    assert sizes == {"B": 2, "D": 3, "N": 5}
    check_shape("nothing", torch.zeros(()), "", sizes)


@pytest.mark.parametrize(
    ("value", "letters", "message"),
    [
        (torch.zeros(4, 3), "BD", "x: expected shape (B, D) with B = 2, got (4, 3)"),
        (torch.zeros(3), "BD", "x: expected shape (B, D) with B = 2, got (3,)"),
        (torch.zeros(3), "B", "x: expected shape (B,) with B = 2, got (3,)"),
        (torch.zeros(3, 3), ("N", 2), "x: expected shape (N, 2), got (3, 3)"),
        (torch.zeros(()), "N", "x: expected shape (N,), got ()"),
    ],
)
def test_a_wrong_shape(value, letters, message):
    sizes = {"B": 2}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_shape("x", value, letters, sizes)
    assert sizes == {"B": 2}


@pytest.mark.parametrize("value", [None, 3, [1, 2], np.zeros(2)], ids=str)
def test_no_tensor(value):
    with pytest.raises(TypeError, match=r"^x: expected a tensor"):
        check_shape("x", value, "B", {})
    with pytest.raises(TypeError, match=r"^x: expected a tensor of class ids"):
        check_ids("x", value, 3)


def test_ids():
    check_ids("x", torch.tensor([[0, 4]]), 5)
    check_ids("x", torch.tensor([], dtype=torch.int64), 5)
    check_ids("x", torch.tensor([0, -100]), 5, ignore_index=-100)
    for dtype in (torch.int32, torch.float32, torch.bool, torch.uint8):
        with pytest.raises(TypeError, match=r"^x: expected dtype torch\.int64, got"):
            check_ids("x", torch.zeros(2, dtype=dtype), 5)


@pytest.mark.parametrize(
    ("ids", "ignore_index", "got"),
    [
        ([[0, 1], [5, -1]], None, r"5 at position \(1, 0\)"),
        ([-1], -100, r"-1 at position \(0,\)"),
        ([-100], None, "-100"),
    ],
)
def test_ids_out_of_range(ids, ignore_index, got):
    with pytest.raises(ValueError, match=rf"^x: expected class ids in \[0, 5\).*got {got}"):
        check_ids("x", torch.tensor(ids), 5, ignore_index=ignore_index)


def test_values_are_looked_at_on_the_cpu_only():
    assert can_look_at(torch.zeros(1))
    assert not can_look_at(torch.zeros(1, device="meta"))
    check_ids("x", torch.zeros(2, dtype=torch.int64, device="meta"), 1)


@pytest.mark.parametrize("value", [1, np.int64(1), torch.tensor(1)])
def test_int(value):
    result = check_int("x", value)
    assert result == 1
    assert type(result) is int


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1], math.nan, torch.ones(2), torch.tensor(1.0)], ids=str)
def test_no_int(value):
    with pytest.raises(TypeError, match=r"^x: expected a whole number >= 1, got"):
        check_int("x", value)


def test_int_below_the_minimum():
    assert check_int("x", 0, 0) == 0
    assert check_int("x", -5, -5) == -5
    with pytest.raises(ValueError, match=r"^x: expected a whole number >= 0, got -1$"):
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
