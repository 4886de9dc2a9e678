"""The candidate samplers: TensorFlow's signatures, its expected counts, its errors; draws that a seed repeats."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from logq.compat.tensorflow import (
    all_candidate_sampler,
    fixed_unigram_candidate_sampler,
    learned_unigram_candidate_sampler,
    log_uniform_candidate_sampler,
    uniform_candidate_sampler,
)
from logq.compat.tensorflow.tf_draws import expected_count
from logq.samplers import LearnedUnigram

GOLDEN = Path(__file__).parents[2] / "golden"
OLD, MORE = (dict(np.load(GOLDEN / f"{name}.npz")) for name in ("tf_samplers", "tf_more_samplers"))
UNIGRAMS = [float(1 + i % 5) for i in range(10)]

# As inspect.signature shows them for TensorFlow 2.21.0.
FIRST = "true_classes, num_true, num_sampled, unique, range_max, "
SIGNATURES = {
    uniform_candidate_sampler: f"{FIRST}seed=None, name=None",
    log_uniform_candidate_sampler: f"{FIRST}seed=None, name=None",
    learned_unigram_candidate_sampler: f"{FIRST}seed=None, name=None",
    fixed_unigram_candidate_sampler: f"{FIRST}vocab_file='', distortion=1.0, num_reserved_ids=0, num_shards=1, "
    "shard=0, unigrams=(), seed=None, name=None",
    all_candidate_sampler: "true_classes, num_true, num_sampled, unique, seed=None, name=None",
}


def fixed(true_classes, num_true, num_sampled, unique, range_max, **options):
    return fixed_unigram_candidate_sampler(
        true_classes, num_true, num_sampled, unique, range_max, unigrams=UNIGRAMS[:range_max], **options
    )


def learned(*arguments, **options):
    return learned_unigram_candidate_sampler(*arguments, state=LearnedUnigram(arguments[4], 1), **options)


DISTRIBUTIONS = {
    "uniform": (uniform_candidate_sampler, np.full(10, 0.1)),
    "log_uniform": (log_uniform_candidate_sampler, np.log1p(1 / np.arange(1, 11)) / np.log(11)),
    "fixed_unigram": (fixed, np.array(UNIGRAMS) / sum(UNIGRAMS)),
    "learned_unigram": (learned, np.full(10, 0.1)),
    "learned_unigram, nothing kept": (learned_unigram_candidate_sampler, np.full(10, 0.1)),
}


def close(actual: Tensor, expected) -> None:
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("sampler", SIGNATURES)
def test_signatures_are_tensorflows(sampler):
    old = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(sampler).parameters.values()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    assert str(inspect.Signature(old)) == f"({SIGNATURES[sampler]})"


def test_expected_counts_with_replacement_are_tensorflows():
    every = [list(range(10))]
    close(uniform_candidate_sampler(every, 10, 4, False, 10)[1], OLD["uniform10_S4_nonunique"])
    close(log_uniform_candidate_sampler(every, 10, 4, False, 10)[1], OLD["loguniform10_S4_nonunique"])


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("num_sampled", [1, 3, 9, 10])
def test_expected_counts_of_distinct_draws_follow_from_the_tries(distribution, num_sampled):
    sampler, p = DISTRIBUTIONS[distribution]
    every = torch.arange(10).view(5, 2)
    for seed in range(10):
        sampled, of_true, of_sampled = sampler(every, 2, num_sampled, True, 10, seed=seed)
        assert sampled.dtype == torch.int64
        assert len(set(sampled.tolist())) == num_sampled
        assert of_true.shape == (5, 2)
        counts = of_true.flatten().double().numpy()
        tries = np.round(np.log1p(-counts[p.argmin()]) / np.log1p(-p.min()))
        expected = num_sampled * p if np.isclose(counts[0], num_sampled * p[0]) else 1 - (1 - p) ** tries
        assert tries >= num_sampled
        close(of_true.flatten(), expected)
        assert torch.equal(of_sampled, of_true.flatten()[sampled])


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_expected_counts_with_replacement_are_s_times_p(distribution):
    sampler, p = DISTRIBUTIONS[distribution]
    sampled, of_true, of_sampled = sampler([[7], [2]], 1, 30, False, 10, seed=2)
    close(of_true[:, 0], 30 * p[[7, 2]])
    close(of_sampled, 30 * p[sampled])


@pytest.mark.parametrize(
    ("file", "key", "sampler"),
    [
        (OLD, "loguniform10_S5_unique", "log_uniform"),
        (OLD, "loguniform10_S10_unique", "log_uniform"),
        (MORE, "uniform12_S6_unique", "uniform"),
        (MORE, "uniform12_S12_unique", "uniform"),
        (MORE, "fixed12_S5_unique", "fixed"),
    ],
)
def test_expected_counts_for_tensorflows_number_of_tries(file, key, sampler):
    sampled, tries = file[f"{key}_sampled"], int(file[f"{key}_num_tries"])
    size = file[f"{key}_true_expected"].shape[1]
    every, options = [list(range(size))], {}
    if sampler == "fixed":
        options = {"distortion": 0.75, "num_reserved_ids": 1, "unigrams": file["fixed_counts"]}
    functions = {
        "uniform": uniform_candidate_sampler,
        "log_uniform": log_uniform_candidate_sampler,
        "fixed": fixed_unigram_candidate_sampler,
    }
    p = functions[sampler](every, size, 1, False, size, **options)[1][0].double()  # the counts of one draw
    close(expected_count(p, len(sampled), tries), file[f"{key}_true_expected"][0])
    close(expected_count(p[sampled], len(sampled), tries), file[f"{key}_sampled_expected"])


def test_as_many_tries_as_samples_give_s_times_p():
    values = log_uniform_candidate_sampler([[0, 1, 9_999_999]], 3, 2, True, 10_000_000, seed=1)
    close(values[1], MORE["first_tries_true_expected"])


def test_learned_unigram_calls_are_tensorflows():
    state = LearnedUnigram(10, 4)
    calls = [learned_unigram_candidate_sampler([[3], [3]], 1, 4, False, 10, state=state)[1][:, 0] for _ in range(3)]
    close(torch.stack(calls), OLD["learned10_S4_true_expected_calls"])
    state = LearnedUnigram(11, 99, replacement=True)
    batches = MORE["learned_batches"]
    calls = [learned_unigram_candidate_sampler(batch, 2, 6, False, 11, state=state)[1] for batch in batches]
    close(torch.stack(calls), MORE["learned11_S6_true_expected_calls"])
    state.eval()
    for _ in range(2):
        expected = 6 * (1 + (batches == 3).sum()) / (11 + batches.size)
        close(learned_unigram_candidate_sampler([[3]], 1, 6, False, 11, state=state)[1], [[expected]])
    again = LearnedUnigram(11, 1)
    again.load_state_dict(state.state_dict())
    close(learned_unigram_candidate_sampler([[3]], 1, 6, False, 11, state=again)[1], [[expected]])


def test_learned_unigram_draws_what_it_learned():
    state = LearnedUnigram(50, 1)
    learned_unigram_candidate_sampler(torch.full((20_000, 1), 7), 1, 5, True, 50, state=state)
    sampled = learned_unigram_candidate_sampler([[7]], 1, 1000, False, 50, seed=1, state=state)[0]
    assert (sampled == 7).sum() > 980  # 997.5 expected, standard deviation 1.6


def test_learned_unigram_without_a_state_is_the_first_call():
    for _ in range(2):
        values = learned_unigram_candidate_sampler([[3], [3]], 1, 4, False, 10, seed=5)
        assert all(map(torch.equal, values, uniform_candidate_sampler([[3], [3]], 1, 4, False, 10, seed=5)))


def test_all_candidates():
    for unique in (False, True):
        sampled, of_true, of_sampled = all_candidate_sampler([[2, 0], [5, 5]], 2, 6, unique, seed=1)
        assert sampled.tolist() == list(range(6))
        assert torch.equal(of_true, torch.ones(2, 2))
        assert torch.equal(of_sampled, torch.ones(6))


@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_seed_repeats_a_draw_and_nothing_global_is_touched(distribution, unique):
    sampler, _ = DISTRIBUTIONS[distribution]
    before = torch.get_rng_state()

    def draw(seed, size=10):
        return sampler([[1]], 1, 5, unique, size, seed=seed)[0].tolist()

    assert draw(3) == draw(3)
    assert [draw(seed) for seed in range(4)] != [draw(seed) for seed in range(4, 8)]
    assert len({tuple(draw(None)) for _ in range(20)}) > 1
    generator = torch.Generator().manual_seed(3)
    assert draw(generator) == draw(3)
    assert any(draw(generator) != draw(3) for _ in range(5))
    assert draw(-1) == draw(-1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_draws_follow_the_distribution(distribution):
    sampler, p = DISTRIBUTIONS[distribution]
    counts = sampler([[1]], 1, 20_000, False, 10, seed=1)[0].bincount(minlength=10).numpy()
    chi_square = ((counts - 20_000 * p) ** 2 / (20_000 * p)).sum()
    assert chi_square < 33.7  # nine degrees of freedom: one in ten thousand is above


def test_classes_may_be_lists_arrays_and_other_integers():
    expected = uniform_candidate_sampler(torch.tensor([[1], [2]]), 1, 4, False, 10, seed=1)
    for classes in ([[1], [2]], np.array([[1], [2]]), torch.tensor([[1], [2]], dtype=torch.int32), [[1.0], [2.0]]):
        assert all(map(torch.equal, uniform_candidate_sampler(classes, 1, 4, False, 10, seed=1), expected))


def test_many_classes_cost_nothing():
    sampled, of_true, _ = log_uniform_candidate_sampler([[0], [1 << 50]], 1, 64, True, 1 << 60, seed=1)
    assert len(set(sampled.tolist())) == 64
    assert of_true.min() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1]], 1, 11, True, 10), "num_sampled: expected at most range_max = 10 with unique=True, got 11"),
        (([[10]], 1, 4, True, 10), r"true_classes: .*\[0, 10\), got 10 at position \(0, 0\)"),
        (([[-1]], 1, 4, True, 10), "true_classes: .*got -1"),
        (([[1]], 1, 0, True, 10), "num_sampled: expected an integer >= 1, got 0"),
        (([[1]], 0, 4, True, 10), "num_true: expected an integer >= 1, got 0"),
        (([[1]], 1, 4, True, 0), "range_max: expected an integer >= 1, got 0"),
        (([[1]], 2, 4, True, 10), r"true_classes: .*num_true = 2, got \(1, 1\)"),
        (([1], 1, 4, True, 10), r"true_classes: expected shape \(B, T\).*got \(1,\)"),
    ],
)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_bad_arguments_are_named(distribution, arguments, message):
    sampler = DISTRIBUTIONS[distribution][0] if arguments[4] else uniform_candidate_sampler
    with pytest.raises(ValueError, match=message):
        sampler(*arguments)


def test_bad_states_and_seeds_are_named():
    with pytest.raises(ValueError, match=r"state: expected a LearnedUnigram of range_max = 10 .*got one of 9 on cpu"):
        learned_unigram_candidate_sampler([[1]], 1, 4, True, 10, state=LearnedUnigram(9, 4))
    with pytest.raises(TypeError, match=r"state: expected a logq\.samplers\.LearnedUnigram, got int"):
        learned_unigram_candidate_sampler([[1]], 1, 4, True, 10, state=3)
    with pytest.raises(ValueError, match="range_max: expected an integer below"):
        learned_unigram_candidate_sampler([[1]], 1, 4, True, 1 << 31)
    with pytest.raises(TypeError, match="seed: expected an integer"):
        uniform_candidate_sampler([[1]], 1, 4, True, 10, seed="one")
    with pytest.raises(ValueError, match="seed: expected an integer below"):
        uniform_candidate_sampler([[1]], 1, 4, True, 10, seed=1 << 64)
    with pytest.raises(TypeError, match="unique: expected True or False"):
        uniform_candidate_sampler([[1]], 1, 4, "yes", 10)
    with pytest.raises(ValueError, match=r"true_classes: .*\[0, 6\), got 6"):
        all_candidate_sampler([[6]], 1, 6, True)
