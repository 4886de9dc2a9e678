"""fixed_unigram_candidate_sampler: files, reserved ids, shards and powers, against TensorFlow's numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from logq.compat.tensorflow import fixed_unigram_candidate_sampler, nce_loss

GOLDEN = Path(__file__).parents[2] / "golden"
OLD, MORE = (dict(np.load(GOLDEN / f"{name}.npz")) for name in ("tf_samplers", "tf_more_samplers"))
DOUBLING = [2.0**power for power in range(9)]


def expected_counts(size: int, num_sampled: int = 1, **options) -> np.ndarray:
    return fixed_unigram_candidate_sampler([list(range(size))], size, num_sampled, False, size, **options)[1].numpy()


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("plain", {}),
        ("dist08", {"distortion": 0.8}),
        ("dist0", {"distortion": 0.0}),
        ("dist08_reserved2", {"distortion": 0.8, "num_reserved_ids": 2}),
        ("shard0of2", {"num_shards": 2, "shard": 0}),
        ("shard1of2", {"num_shards": 2, "shard": 1}),
    ],
)
def test_expected_counts_are_tensorflows(key, options):
    golden = OLD[f"fixed_{key}"]
    for unigrams in (DOUBLING, np.array(DOUBLING), torch.tensor(DOUBLING)):
        ours = expected_counts(golden.shape[1], unigrams=unigrams, **options)
        np.testing.assert_allclose(ours, golden, rtol=1e-6, atol=0)


def test_three_shards_and_a_count_of_zero():
    counts = MORE["fixed_counts"]
    for shard in range(3):
        golden = MORE[f"fixed_shard{shard}of3"]
        ours = expected_counts(golden.shape[1], 2, num_shards=3, shard=shard, unigrams=counts)
        np.testing.assert_allclose(ours, golden, rtol=1e-6)
    golden = MORE["fixed_zero_count_dist0"]
    np.testing.assert_allclose(expected_counts(11, distortion=0.0, unigrams=counts), golden, rtol=1e-6)


def test_a_vocabulary_file(tmp_path):
    path = tmp_path / "vocabulary.csv"
    path.write_bytes(MORE["vocab_file"].tobytes())
    for name in (path, str(path)):
        ours = expected_counts(7, 3, vocab_file=name, distortion=0.5, num_reserved_ids=2)
        np.testing.assert_allclose(ours, MORE["vocab_file_true_expected"], rtol=1e-6)


@pytest.mark.parametrize("reserved", [0, 1, 2, 5])
@pytest.mark.parametrize("num_shards", [2, 3])
def test_shards_with_reserved_ids_share_the_classes(num_shards, reserved):
    """Unlike TensorFlow, whose numbering starts at the number of reserved ids of the shard."""
    counts = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0]
    whole = [0.0] * reserved + counts
    for shard in range(num_shards):
        weights = np.array(whole[shard::num_shards])
        options = {"num_reserved_ids": reserved, "num_shards": num_shards, "shard": shard, "unigrams": counts}
        ours = expected_counts(len(weights), **options)
        np.testing.assert_allclose(ours[0], weights / weights.sum(), rtol=1e-6)


def test_reserved_ids_are_never_drawn():
    options = {"num_reserved_ids": 2, "unigrams": [1.0, 2.0, 3.0]}
    many = fixed_unigram_candidate_sampler([[2]], 1, 1000, False, 5, seed=1, **options)[0]
    assert set(many.tolist()) == {2, 3, 4}
    assert set(fixed_unigram_candidate_sampler([[2]], 1, 3, True, 5, seed=1, **options)[0].tolist()) == {2, 3, 4}
    with pytest.raises(
        ValueError, match="num_sampled: expected at most 3, the number of classes with a positive count"
    ):
        fixed_unigram_candidate_sampler([[2]], 1, 4, True, 5, **options)


def test_a_reserved_id_as_a_true_class_has_no_log_q():
    values = fixed_unigram_candidate_sampler([[0], [2]], 1, 2, False, 3, num_reserved_ids=1, unigrams=[1, 2])
    assert values.true_expected_count[0].item() == 0
    arguments = (torch.zeros(3, 2), torch.zeros(3), [[0], [2]], torch.zeros(2, 2), 2, 3, 1, values)
    with pytest.raises(ValueError, match=r"sampled_values\[1\]: expected counts above 0, got 0 for class 0"):
        nce_loss(*arguments)
    assert nce_loss(*arguments, subtract_log_q=False).isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "unigrams: expected either these or vocab_file, got neither"),
        ({"unigrams": [1.0], "vocab_file": "file"}, "unigrams: expected either these or vocab_file, got both"),
        ({"unigrams": [1.0, 2.0]}, "range_max: expected 2, the number of classes .*got 3"),
        ({"unigrams": [1.0, -2.0, 1.0]}, "unigrams: expected finite counts >= 0, got -2 at 1"),
        ({"unigrams": [1.0, float("nan"), 1.0]}, "unigrams: expected finite counts >= 0, got nan at 1"),
        (
            {"unigrams": [0.0, 0.0, 0.0]},
            "distortion: expected a power that leaves finite weights, one of them positive",
        ),
        ({"unigrams": [0.0, 1.0, 2.0], "distortion": -1.0}, "distortion: .*got -1 for counts from 0 to 2"),
        ({"unigrams": [[1.0, 2.0, 3.0]]}, r"unigrams: expected one number per class, got shape \(1, 3\)"),
        ({"unigrams": [1.0, 2.0], "num_reserved_ids": -1}, "num_reserved_ids: expected an integer >= 0"),
        ({"unigrams": [1.0, 2.0], "num_shards": 2, "shard": 2}, "shard: expected an integer below num_shards = 2"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fixed_unigram_candidate_sampler([[1]], 1, 1, False, 3, **options)


@pytest.mark.parametrize(
    ("text", "line", "field"), [("a,1\nb,two\n", 2, "'two'"), ("a,1\n   \n", 2, "'   '"), ("a,\n", 1, "''")]
)
def test_a_bad_line_of_the_file_is_named(tmp_path, text, line, field):
    path = tmp_path / "vocabulary.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"line {line}: expected a count at the end, got {field}"):
        fixed_unigram_candidate_sampler([[0]], 1, 1, False, 2, vocab_file=path)


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        fixed_unigram_candidate_sampler([[0]], 1, 1, False, 2, vocab_file=tmp_path / "none.csv")


def test_counts_that_are_not_numbers_are_named():
    with pytest.raises(TypeError, match=r"unigrams: expected numbers, one per class, got list \("):
        fixed_unigram_candidate_sampler([[1]], 1, 2, True, 3, unigrams=["a", "b", "c"])
