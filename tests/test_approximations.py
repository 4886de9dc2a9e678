"""The last column of the table, and the way back from it. That it is learned is shown in test_stationarity.py."""

import pytest
import torch

from logq import approximations
from logq.approximations import Approximation
from logq.objectives import OBJECTIVES

ALL = {name: getattr(approximations, name) for name in approximations.__all__ if name != "Approximation"}
LOG_P = torch.tensor([1e-9, 0.01, 0.4, 0.999], dtype=torch.float64).log()
LOG_Q = torch.tensor([2.0, 0.5, 1e-3, 1.0], dtype=torch.float64).log()


@pytest.mark.parametrize("approximation", ALL.values(), ids=ALL)
def test_the_way_back_undoes_it(approximation):
    there = approximation.of(LOG_P, LOG_Q)
    torch.testing.assert_close(approximation.log_p(there, LOG_Q), LOG_P, rtol=1e-12, atol=1e-12)
    moved = approximation.of(LOG_P, LOG_Q + 1)
    assert torch.equal(moved, there) != approximation.uses_q


def test_each_stands_in_the_table_and_has_its_formula():
    assert {objective.approximates for objective in OBJECTIVES.values()} == set(ALL.values())
    assert all(isinstance(one, Approximation) and one.formula for one in ALL.values())
