"""The best of each row against sorting, ties included."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from logq.retrieval.exact_index import best, keys_of, scores_and_positions

numbers = st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, -1.0, float("-inf"), float("inf")])


def by_sorting(row, k, first=0):
    return [first + position for position in sorted(range(len(row)), key=lambda i: (-row[i], i))[:k]]


@given(st.lists(numbers, min_size=1, max_size=20))
def test_keys_are_ordered_as_scores_and_positions_are(values):
    scores = torch.tensor(values)
    keys = keys_of(scores, torch.arange(len(values)))
    assert keys.argsort(descending=True).tolist() == by_sorting(values, len(values))
    back, positions = scores_and_positions(keys)
    assert back.tolist() == values
    assert positions.tolist() == list(range(len(values)))


def test_the_largest_position_has_a_key():
    score, position = scores_and_positions(keys_of(torch.tensor([-2.5]), torch.tensor([2**32 - 1])))
    assert (score.item(), position.item()) == (-2.5, 2**32 - 1)


@pytest.mark.parametrize("columns", [1, 5, 1023, 1024, 1063, 4096, 5000])
@pytest.mark.parametrize("k", [1, 3, 10, 40, 200])
@pytest.mark.parametrize("values", [2, 30, 10**6])
def test_long_rows_are_as_sorting_has_them(columns, k, values):
    scores = torch.randint(values, (3, columns), generator=torch.Generator().manual_seed(columns + k)).float()
    found = scores_and_positions(best(scores, k, 100))
    for row in range(3):
        assert found[1][row].tolist() == by_sorting(scores[row].tolist(), k, 100)
        assert found[0][row].tolist() == sorted(scores[row].tolist(), reverse=True)[:k]
