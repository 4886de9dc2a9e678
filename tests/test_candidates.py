"""Hits are every copy of every true class of the row, against a double loop."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from logq.candidates import IGNORED, Candidates, as_columns


@given(st.data())
def test_hits_are_a_double_loop(data):
    rows, true, sampled = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 3)), data.draw(st.integers(0, 5))
    per_row = data.draw(st.booleans())
    classes = st.integers(0, 4)

    def matrix(height, width, values):
        return torch.tensor(
            data.draw(st.lists(values, min_size=height * width, max_size=height * width)), dtype=torch.int64
        ).view(height, width)

    ids = matrix(rows if per_row else 1, sampled, classes)
    targets = matrix(rows, true, st.one_of(classes, st.just(IGNORED)))
    candidates = Candidates(ids if per_row else ids[0], ids.double(), targets, targets.double())
    hits = candidates.hits()
    assert hits.shape == (rows, sampled)
    assert hits.dtype == torch.bool
    for i in range(rows):
        for s in range(sampled):
            assert hits[i, s] == (int(ids[i if per_row else 0, s]) in targets[i].tolist())
    assert torch.equal(candidates.is_true(), targets != IGNORED)
    if true == 1:
        flat = candidates._replace(targets=targets[:, 0])
        assert torch.equal(flat.hits(), hits)
        assert flat.is_true().shape == (rows,)


def test_as_columns():
    assert as_columns(torch.zeros(3)).shape == (3, 1)
    assert as_columns(torch.zeros(3, 2)).shape == (3, 2)


def test_ignored_is_what_torch_ignores():
    assert torch.nn.CrossEntropyLoss().ignore_index == IGNORED
