"""Ids come as tensors, arrays and lists, and go on as int64 tensors of their own."""

import numpy as np
import pytest
import torch

from logq.compat.chainer.negatives import as_ids

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "given", [[[1, 2]], np.array([[1, 2]], "u1"), np.array([[1, 2]], "i"), torch.tensor([[1, 2]]).int()]
)
def test_kinds(given):
    ids = as_ids("t", given, CPU)
    assert ids.dtype == torch.int64
    assert ids.tolist() == [[1, 2]]


def test_it_is_a_copy():
    for given in (torch.tensor([1, 2]), np.array([1, 2])):
        as_ids("t", given, CPU)[0] = 9
        assert given.tolist() == [1, 2]


@pytest.mark.parametrize(
    "given", [[0.5], np.ones(2), torch.ones(2), torch.tensor([True]), [True], ["a"], [[1], [1, 2]], None]
)
def test_what_is_not_an_id(given):
    with pytest.raises(TypeError, match="samples: expected"):
        as_ids("samples", given, CPU)
