"""The checks: what passes, what does not, and what they say."""

import re

import numpy as np
import pytest
import torch

from logq.shapes import can_look_at, check_ids, check_shape


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
        (
            torch.zeros(2, 4, 3),
            "BD",
            "x: expected shape (B, D) with B = 2, got (2, 4, 3); each position is a row: x.flatten(0, 1), and so with "
            "the targets",
        ),
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


def test_padding_is_told_from_wrong_ids_by_the_smallest():
    assert not check_ids("codes", torch.tensor([[3, -1], [0, 4]]), 5, ignore_index=-1)
    for wrong, where in ((-2, 0), (5, 1)):
        codes = torch.tensor([-1, -1, 4])
        codes[where] = wrong
        with pytest.raises(ValueError, match=rf"codes: .* or ignore_index = -1, got {wrong} at position \({where},\)"):
            check_ids("codes", codes, 5, ignore_index=-1)
