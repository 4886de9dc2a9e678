from pathlib import Path

import numpy as np
import pytest
import torch

from frequencies import assert_frequencies, assert_mean
from logq.samplers import Unigram
from logq.samplers.kept_tensors import unpacked

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "tf_samplers.npz")
UNIGRAMS = [2**i for i in range(9)]


@pytest.mark.parametrize(
    ("name", "counts", "options"),
    [
        ("fixed_plain", UNIGRAMS, {}),
        ("fixed_dist08", UNIGRAMS, {"power": 0.8}),
        ("fixed_dist0", UNIGRAMS, {"power": 0}),
        ("fixed_dist08_reserved2", [99, 0, *UNIGRAMS], {"power": 0.8, "num_reserved_ids": 2}),
        # TensorFlow's num_shards and shard are slices of the counts.
        ("fixed_shard0of2", UNIGRAMS[0::2], {}),
        ("fixed_shard1of2", UNIGRAMS[1::2], {}),
    ],
)
def test_expected_counts_of_tensorflow(name, counts, options):
    """tf.random.fixed_unigram_candidate_sampler(num_sampled=1), single precision, to 1e-6."""
    candidates = Unigram(counts, 1, **options).draw(torch.arange(len(counts)))
    np.testing.assert_allclose(candidates.true_log_expected_count.exp(), GOLDEN[name][0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("power", [0, 0.5, 0.75, 1, 2, 20])
@pytest.mark.parametrize("num_reserved_ids", [0, 2])
def test_the_distribution(power, num_reserved_ids, seed):
    """The formula, and a million draws (fails with one seed in ten million)."""
    counts = np.array([7, 0, 0, 3, 1, 0.5, 1e9, 1e10])
    weights = np.where(counts > 0, (counts / 1e10) ** power, 0)
    weights[:num_reserved_ids] = 0
    sampler = Unigram(counts, 1_000_000, power=power, num_reserved_ids=num_reserved_ids, seed=seed, dtype=torch.float64)
    q = sampler.log_prob(torch.arange(8)).exp()
    np.testing.assert_allclose(q, weights / weights.sum(), rtol=1e-12)
    assert_frequencies(sampler.draw(torch.tensor([0])).ids, q)


@pytest.mark.parametrize("replacement", [True, False])
def test_minus_infinity_for_what_is_never_drawn_and_nothing_else(replacement):
    counts = [5.0, 1.0, 0.0, 2.0, 0.0, 1e-60, 1e-280, *[1.0] * 50]  # a class that is rare beyond single precision
    sampler = Unigram(counts, 3, num_reserved_ids=1, replacement=replacement, seed=1)
    never = torch.tensor(counts) == 0
    never[0], never[5], never[6] = True, False, False
    for log_q in (
        sampler.log_expected_count(torch.arange(len(counts))),
        sampler.draw(torch.arange(len(counts))).true_log_expected_count,
    ):
        assert torch.equal(log_q == -torch.inf, never)
        assert not bool(log_q.isnan().any())


def test_one_class():
    candidates = Unigram([3], 4, seed=1).draw(torch.tensor([0]))
    assert candidates.ids.tolist() == [0, 0, 0, 0]
    assert candidates.log_expected_count.exp().tolist() == [4, 4, 4, 4]
    candidates = Unigram([3], 1, replacement=False, seed=1).draw(torch.tensor([0]))
    assert candidates.ids.tolist() == [0]
    assert candidates.log_expected_count.exp().tolist() == [1]


def test_counts_beyond_whole_numbers():
    """Relative weights matter, not how large they are."""
    one = Unigram([1e308, 1e308, 5e307], 1, power=3, dtype=torch.float64)
    other = Unigram([2, 2, 1], 1, power=3, dtype=torch.float64)
    torch.testing.assert_close(one.log_q, other.log_q)
    tiny = Unigram([2e-308, 2e-308, 1e-308], 1, power=3, dtype=torch.float64)
    torch.testing.assert_close(tiny.log_q, other.log_q)


@pytest.mark.parametrize("num_sampled", [1, 2, 3, 4])
@pytest.mark.parametrize("per_row", [False, True])
def test_skewed_distributions_finish(num_sampled, per_row):
    """By tries this would take 10^12 draws."""
    sampler = Unigram([1e12, 1, 1, 1], num_sampled, replacement=False, per_row=per_row, seed=1)
    assert sampler._by_race == (num_sampled > 1 or sampler._by_race)
    candidates = sampler.draw(torch.tensor([[0, 1, 2, 3]] * 5))
    ids = candidates.ids.view(-1, num_sampled)
    assert bool((ids == 0).any(dim=1).all())
    assert all(len(set(row)) == num_sampled for row in ids.tolist())
    q = candidates.true_log_expected_count.exp()
    assert bool((q > 0).all())
    torch.testing.assert_close(q[:, 0], torch.ones(5))
    if num_sampled == 4:
        torch.testing.assert_close(q, torch.ones(5, 4))


def test_skewed_distributions_have_exact_counts(seed):
    """Each of the rare classes is in two samples of three: mean of Q and of 1{in S}/Q within 6.5 standard errors."""
    sampler = Unigram([1e12, 1, 1, 1], 3, replacement=False, per_row=True, seed=seed, dtype=torch.float64)
    candidates = sampler.draw(torch.arange(4).expand(50_000, 4))
    q = candidates.true_log_expected_count.exp()
    counts = torch.zeros(50_000, 4, dtype=torch.float64).scatter_(1, candidates.ids, 1.0)
    assert_mean(counts, torch.tensor([1, 2 / 3, 2 / 3, 2 / 3]))
    assert_mean(q, torch.tensor([1, 2 / 3, 2 / 3, 2 / 3]))
    assert_mean(counts / q, 1.0)


def test_every_class_that_can_be_drawn():
    """S is the number of possible classes: Q is 1 for them and 0 for the others."""
    sampler = Unigram([3, 0, 1, 2, 0], 3, replacement=False, seed=1)
    candidates = sampler.draw(torch.arange(5))
    assert candidates.ids.sort().values.tolist() == [0, 2, 3]
    assert candidates.true_log_expected_count.exp().tolist() == [1, 0, 1, 1, 0]
    assert sampler.log_expected_count(torch.arange(5)).exp().tolist() == [1, 0, 1, 1, 0]
    with pytest.raises(ValueError, match="num_sampled: expected at most 3, the number of classes that can be drawn"):
        Unigram([3, 0, 1, 2, 0], 4, replacement=False)


@pytest.mark.parametrize("text", ["5\n3\n2\n", "the 5\nof 3\nand 2\n", "the,5\nof,3\nand,2\n"])
def test_from_file(tmp_path, text):
    path = tmp_path / "counts.txt"
    path.write_text(text)
    sampler = Unigram.from_file(path, 7, power=0.75, num_reserved_ids=1, seed=1)
    assert (sampler.num_classes, sampler.num_sampled, sampler.power, sampler.num_reserved_ids) == (3, 7, 0.75, 1)
    assert torch.equal(sampler.log_q, Unigram([5, 3, 2], 7, power=0.75, num_reserved_ids=1).log_q)


def test_from_file_errors(tmp_path):
    path = tmp_path / "counts.txt"
    with pytest.raises(FileNotFoundError, match=r"counts\.txt"):
        Unigram.from_file(path, 3)
    path.write_text("a 1\nb x\n")
    with pytest.raises(ValueError, match=r"counts\.txt, line 2"):
        Unigram.from_file(path, 3)
    path.write_text("a 1\nb -2\n")
    with pytest.raises(ValueError, match=r"counts: .* got -2 for class 1"):
        Unigram.from_file(path, 3)
    path.write_text("\n")
    with pytest.raises(ValueError, match="counts: expected shape"):
        Unigram.from_file(path, 3)


def test_all_classes_reserved():
    with pytest.raises(ValueError, match="counts: expected a positive count beyond the 2 reserved ids"):
        Unigram([1, 2, 0], 1, num_reserved_ids=2)
    with pytest.raises(ValueError, match="beyond the 9 reserved ids"):
        Unigram([1, 2, 0], 1, num_reserved_ids=9)


def test_table_is_not_saved():
    state = Unigram([1, 2], 1).state_dict()
    assert list(state) == ["_extra_state"]
    assert list(unpacked(state["_extra_state"])) == ["generator.cpu"]


def test_counts_too_far_apart_for_doubles_are_named():
    with pytest.raises(
        ValueError, match=r"^counts: expected .* 300 orders of magnitude, got 1 for class 1 beside 1e\+06"
    ):
        Unigram([1e6, 1.0], 3, power=60)


def test_below_zero_rare_classes_are_drawn_most():
    sampler = Unigram([8.0, 2.0, 0.0], 1, power=-0.5, seed=1, dtype=torch.float64)
    assert sampler.log_q.exp().tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert Unigram([1e300, 1.0], 1, power=-1, dtype=torch.float64).log_q.exp()[1].item() == 1


def test_many_ids_at_once_are_looked_up_as_few_are():
    sampler = Unigram([8.0, 2.0, 5.0], 1, dtype=torch.float64)
    ids = torch.arange(1 << 22).remainder_(3).view(2, -1)  # from 32 MiB on the memory is asked for in another way
    assert torch.equal(sampler.log_prob(ids), sampler.log_q[ids])
