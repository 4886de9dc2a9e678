"""Distinct draws and their number: by draws, by clocks and by some of both they are what a loop of draws gives."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from frequencies import FAILURE_RATE
from logq.compat.tensorflow.tf_draws import distinct_with_tries
from logq.samplers.alias_table import AliasTable

P = torch.tensor([0.05, 0.6, 0.15, 0.2], dtype=torch.float64)
DISTRIBUTION = AliasTable(P).distribution


def repeated(most: int | None, num_sampled: int, times: int, seed: int) -> tuple[list[tuple[int, ...]], np.ndarray]:
    drawn = [
        distinct_with_tries(DISTRIBUTION, lambda ids: P[ids], torch.tensor(seed + key), 4, num_sampled, most)
        for key in range(times)
    ]
    return [tuple(ids.tolist()) for ids, _ in drawn], np.array([tries for _, tries in drawn], dtype=float)


@pytest.mark.parametrize("most", [None, 1, 3, 4], ids=["draws", "1 draw, then clocks", "3", "4"])
def test_order_and_number_of_tries_have_the_distribution_of_a_loop(most, seed):
    times = 1500
    orders, tries = repeated(most, 3, times, seed)
    # Class after class in proportion to p; before each new one a geometric number of draws of what is there.
    chi_square, mean, square = 0.0, 0.0, 0.0
    for order in permutations(range(4), 3):
        p = P[list(order)].tolist()
        new = [1.0, 1 - p[0], 1 - p[0] - p[1]]
        probability = p[0] * p[1] / new[1] * p[2] / new[2]
        waiting = sum(1 / one for one in new)
        mean += probability * waiting
        square += probability * (sum((1 - one) / one**2 for one in new) + waiting**2)
        chi_square += (orders.count(order) - times * probability) ** 2 / (times * probability)
    assert chi_square < chi2.isf(FAILURE_RATE, 23)
    deviation = np.sqrt((square - mean**2) / times)
    assert abs(tries.mean() - mean) < 6 * deviation
    # Of 20,000 simulations one was 0.33 off; tails that fall like this reach 0.45 once in ten million.
    assert abs(tries.var() / (square - mean**2) - 1) < 0.45
    assert tries.min() == 3


def test_all_classes_are_found_however_rare():
    p = torch.tensor([1.0, 1e-9, 1e-12], dtype=torch.float64)
    p /= p.sum()
    ids, tries = distinct_with_tries(AliasTable(p).distribution, lambda ids: p[ids], torch.tensor(1), 3, 3)
    assert sorted(ids.tolist()) == [0, 1, 2]
    assert ids[0] == 0
    assert 1e9 < tries < 1e15
