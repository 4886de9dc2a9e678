"""What the word2vec kernel draws has the right distributions, seen from outside: changed rows and counted pairs.

Each of these tests fails with one seed in ten million.
"""

import numpy as np
import pytest
from scipy.stats import binom, chi2

from frequencies import FAILURE_RATE
from logq.word2vec.kernel import Setup, alias_cells, keep_thresholds, simd_levels, table, train


def assert_follows(counts, weights, inflation=1.0):
    """Pearson's chi-square; `inflation` is by how much draws that are not independent make it larger."""
    expected = weights / weights.sum() * counts.sum()
    assert not counts[weights == 0].any()
    assert expected[weights > 0].min() > 5
    statistic = ((counts - expected)[weights > 0] ** 2 / expected[weights > 0]).sum() / inflation
    p_value = chi2.sf(statistic, (weights > 0).sum() - 1) if len(weights) > 1 else 1.0
    assert p_value > FAILURE_RATE, f"chi-square {statistic:.1f}, p = {p_value:.2g}"


def drawn(setup, ids, words, seed):
    """How often each word was drawn. With a tiny rate each negative takes 2**-31 from its row: sigmoid(0) is 1/2."""
    inputs, outputs = table(words, 1), table(words, 1)
    inputs[:, 0] = 1
    train(inputs, outputs, ids, setup, begin=0, end=len(ids), position=0, seed=seed, rate=(2.0**-30, 0, 0))
    counts = -outputs[:, 0].astype(np.float64) * 2.0**31
    np.testing.assert_allclose(counts, np.rint(counts), atol=0.1)
    return np.rint(counts)


COUNTS = np.array([900, 0, 400, 100, 90, 50, 10, 3, 1, 30, 2000])
KINDS = {"for each block": {"pool": 0}, "for each pair": {"shared": False}, "for CBOW": {"skip_gram": False, "pool": 0}}


@pytest.mark.parametrize("power", [0.75, 0.0, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_negatives_follow_the_power_of_the_counts(kind, power, seed):
    """Sentences of two words 0: each center has one pair, whose negatives other than 0 push their rows down."""
    weights = np.where(COUNTS > 0, COUNTS.astype(np.float64), 0) ** power * (COUNTS > 0)
    setup = Setup(keep_thresholds(np.ones(len(COUNTS))), window=1, cells=alias_cells(weights), **KINDS[kind])
    ids = np.tile(np.array([0, 0, -1], np.int32), 10_000)
    assert_follows(drawn(setup, ids, len(COUNTS), seed)[1:], weights[1:])


@pytest.mark.parametrize("negatives", [1, 4, 5])
def test_negatives_from_a_pool_follow_the_same_distribution(negatives, seed):
    """Two centers in each unit of 1024 entries, so that few draws have a pool of 256 in common."""
    weights = COUNTS**0.75
    setup = Setup(keep_thresholds(np.ones(len(COUNTS))), window=1, cells=alias_cells(weights), negatives=negatives)
    unit = np.full(1024, -1, np.int32)
    unit[:2] = 0
    counts = drawn(setup, np.tile(unit, 4000), len(COUNTS), seed)
    # Two draws of a unit are the same of the pool once in 256 times.
    assert_follows(counts[1:], weights[1:], inflation=1 + (2 * negatives - 1) / 256)


def test_a_pool_has_fewer_different_negatives(seed):
    """One unit, many centers: all they draw are the 16 of the pool, but for those whose loss is reckoned."""
    words = 5000
    ids = np.tile(np.array([0, 0, -1], np.int32), 341)
    found = []
    for pool in (16, 0):
        setup = Setup(keep_thresholds(np.ones(words)), window=1, cells=alias_cells(np.ones(words)), pool=pool)
        found.append(np.count_nonzero(drawn(setup, ids, words, seed)))
    reckoned = binom.ppf(1 - FAILURE_RATE, 682, 1 / 64)
    assert 16 < found[0] <= 16 + 5 * reckoned
    assert found[1] > 2000


@pytest.mark.parametrize("probability", [0.0, 0.01, 0.3, 0.9, 1.0])
def test_words_stay_with_their_probability(probability, seed):
    """Sentences of a word that always stays and one that may: two pairs, or none."""
    times = 20_000
    setup = Setup(keep_thresholds(np.array([1.0, probability])), window=1, cells=alias_cells(np.ones(2)), negatives=1)
    inputs, outputs = table(2, 1), table(2, 1)
    ids = np.tile(np.array([0, 1, -1], np.int32), times)
    place = {"begin": 0, "end": len(ids), "position": 0, "seed": seed, "rate": (0.0, 0, 0)}
    stayed = train(inputs, outputs, ids, setup, **place).pairs / 2
    low, high = binom.ppf([FAILURE_RATE / 2, 1 - FAILURE_RATE / 2], times, probability)
    assert low <= stayed <= high


@pytest.mark.parametrize("window", [1, 2, 5, 12])
def test_the_reach_of_windows_is_uniform(window, seed):
    """One center a call, in the middle of a long sentence: its pairs are twice its reach."""
    setup = Setup(keep_thresholds(np.ones(1)), window=window, cells=alias_cells(np.ones(1)), negatives=1)
    inputs, outputs = table(1, 1), table(1, 1)
    ids = np.zeros(2 * window + 1, np.int32)
    pairs = [
        train(inputs, outputs, ids, setup, begin=window, end=window + 1, position=p, seed=seed, rate=(0.0, 0, 0)).pairs
        for p in range(3000)
    ]
    reaches = np.bincount(np.array(pairs) // 2, minlength=window + 1)
    assert reaches[0] == 0
    assert_follows(reaches[1:], np.ones(window))


def test_the_loss_of_one_block_in_64_is_reckoned(seed):
    setup = Setup(keep_thresholds(np.ones(3)), window=1, cells=alias_cells(np.ones(3)))
    ids = np.tile(np.array([0, 1, -1], np.int32), 50_000)
    losses = train(table(3, 1), table(3, 1), ids, setup, begin=0, end=len(ids), position=0, seed=seed, rate=(0.0, 0, 0))
    low, high = binom.ppf([FAILURE_RATE / 2, 1 - FAILURE_RATE / 2], losses.pairs, 1 / 64)
    assert low <= losses.loss_pairs <= high


@pytest.mark.parametrize("level", simd_levels())
def test_seeds_and_places_change_what_is_drawn(level):
    setup = Setup(keep_thresholds(np.full(50, 0.5)), window=4, cells=alias_cells(np.ones(50)), simd=level)
    ids = np.random.default_rng(1).integers(0, 50, size=2000).astype(np.int32)
    results = {}
    for seed, position in [(1, 0), (1, 0), (2, 0), (1, 1), (1, 2**40), (2**64 - 1, 0)]:
        inputs, outputs = table(50, 4), table(50, 4)
        inputs[:, :4] = 0.1
        pairs = train(
            inputs, outputs, ids, setup, begin=0, end=2000, position=position, seed=seed, rate=(0.1, 0, 0)
        ).pairs
        results.setdefault((pairs, inputs.tobytes(), outputs.tobytes()), []).append((seed, position))
    assert [len(places) for places in results.values()] == [2, 1, 1, 1, 1]
