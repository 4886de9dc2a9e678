"""compute_accidental_hits against TensorFlow's numbers and a loop."""

from pathlib import Path

import numpy as np
import pytest
import torch

from logq.candidates import Candidates
from logq.compat.tensorflow import compute_accidental_hits
from logq.compat.tensorflow.tf_draws import last_positions, masked

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.mark.parametrize("name", ["tf_three_true_classes", "tf_two_true_classes", "tf_counts_of_rows"])
def test_hits_are_tensorflows(name):
    with np.load(GOLDEN / f"{name}.npz") as file:
        hits = compute_accidental_hits(file["labels"], file["sampled"], file["labels"].shape[1], seed=1, name="hits")
        assert hits.indices.dtype == torch.int32
        assert hits.ids.dtype == torch.int64
        assert hits.indices.tolist() == file["hits_indices"].tolist()
        assert hits.ids.tolist() == file["hits_ids"].tolist()
    assert hits.weights.dtype == torch.float32
    assert hits.weights.tolist() == [float(np.finfo(np.float32).min)] * len(hits.ids)


@pytest.mark.parametrize("num_true", [1, 3])
def test_hits_are_those_of_a_loop(num_true):
    generator = torch.Generator().manual_seed(1)
    classes = torch.randint(9, (20, num_true), generator=generator)
    sampled = torch.randint(9, (12,), generator=generator)
    expected = []
    mask = torch.zeros(20, 12, dtype=torch.bool)
    for row, labels in enumerate(classes.tolist()):
        for label in labels:
            copies = [place for place, drawn in enumerate(sampled.tolist()) if drawn == label]
            if copies:
                expected.append((row, copies[-1]))
                mask[row, copies[-1]] = True
    indices, ids, _ = compute_accidental_hits(classes, sampled, num_true)
    assert list(zip(indices.tolist(), ids.tolist(), strict=True)) == expected
    assert torch.equal(masked(sampled, classes), mask)


def test_without_duplicates_the_mask_is_that_of_candidates():
    sampled, classes = torch.tensor([4, 1, 7]), torch.tensor([[1, 7], [0, 4], [5, 6]])
    nothing = torch.zeros(1)
    assert torch.equal(masked(sampled, classes), Candidates(sampled, nothing, classes, nothing).hits())


def test_no_hits_and_no_rows():
    hits = compute_accidental_hits([[1], [2]], [3, 4], 1)
    assert [value.shape for value in hits] == [(0,)] * 3
    assert compute_accidental_hits(torch.zeros(0, 2), [3], 2).ids.shape == (0,)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"true_classes: .*num_true = 2, got \(1, 1\)"):
        compute_accidental_hits([[1]], [3], 2)
    with pytest.raises(ValueError, match=r"sampled_candidates: expected shape \(S,\), got \(1, 1\)"):
        compute_accidental_hits([[1]], [[3]], 1)


def test_an_empty_sample_holds_no_class():
    classes = torch.tensor([[3, 8], [1, 1]])
    assert last_positions(torch.zeros(0, dtype=torch.int64), classes).tolist() == [[-1, -1], [-1, -1]]
