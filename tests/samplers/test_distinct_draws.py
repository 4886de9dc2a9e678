"""Successive sampling against its distribution written out, and Q against what it promises."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from frequencies import assert_frequencies, assert_mean
from logq.kernels.reference_draws import by_tries
from logq.samplers import LogUniform
from logq.samplers.alias_table import AliasTable
from logq.samplers.distinct_draws import by_race, expected_tries, log_inclusion, surely_enough

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "tf_samplers.npz")

P = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05], dtype=torch.float64)
ROWS = 30_000


def draw(way: str, p: torch.Tensor, num_rows: int, num_sampled: int, seed: int):
    """ids (R, S); Q of every class (R, C)."""
    if way == "race":
        ids, inside, outside = by_race(p, num_rows, num_sampled, torch.tensor(seed))
        log_q = lambda until: -torch.expm1(-p * until)  # noqa: E731
    else:
        table, generator = AliasTable(p), torch.Generator().manual_seed(seed)
        ids, inside, outside = by_tries(lambda shape: table.sample(shape, generator), num_rows, num_sampled)
        log_q = lambda until: -torch.expm1(until * torch.log1p(-p))  # noqa: E731
    until = outside.double().expand(num_rows, len(p)).scatter(1, ids, inside.double().expand(ids.shape))
    return ids, log_q(until)


def distribution_of_sequences(p: list[float], num_sampled: int) -> dict[tuple[int, ...], float]:
    """Class after class with probability proportional to p among what is left."""
    distribution = {}
    for sequence in itertools.permutations(range(len(p)), num_sampled):
        probability, left = 1.0, 1.0
        for class_ in sequence:
            probability *= p[class_] / left
            left -= p[class_]
        distribution[sequence] = probability
    return distribution


both_ways = pytest.mark.parametrize("way", ["tries", "race"])


@both_ways
@pytest.mark.parametrize("num_sampled", [1, 2, 3])
def test_sequences_have_the_distribution_of_successive_sampling(way, num_sampled, seed):
    """Chi-square over all ordered samples; fails with one seed in ten million."""
    ids, _ = draw(way, P, ROWS, num_sampled, seed)
    distribution = distribution_of_sequences(P.tolist(), num_sampled)
    number = {sequence: index for index, sequence in enumerate(distribution)}
    drawn = torch.tensor([number[tuple(row)] for row in ids.tolist()])
    assert_frequencies(drawn, torch.tensor(list(distribution.values())))


@both_ways
@pytest.mark.parametrize("num_sampled", [1, 2, 3])
def test_q_is_exact_on_average(way, num_sampled, seed):
    """Mean of Q_v = P(v in S), and mean of 1{v in S} / Q_v = 1, within 6.5 standard errors."""
    ids, q = draw(way, P, ROWS, num_sampled, seed)
    inclusion = torch.zeros(5, dtype=torch.float64)
    for sequence, probability in distribution_of_sequences(P.tolist(), num_sampled).items():
        inclusion[list(sequence)] += probability
    counts = torch.zeros(ROWS, 5, dtype=torch.float64).scatter_(1, ids, 1.0)
    assert_mean(q, inclusion)
    assert_mean(counts, inclusion)
    assert_mean(counts / q, 1.0)


def test_the_counts_of_tensorflow_are_not(seed):
    """1 - (1 - p)^tries, with the tries of the draw for every class, is off by many standard errors."""
    table = AliasTable(P)
    generator = torch.Generator().manual_seed(seed)
    ids, _, outside = by_tries(lambda shape: table.sample(shape, generator), ROWS, 2)
    tries = outside - 1
    q = log_inclusion(P.log(), tries).exp()
    counts = torch.zeros(ROWS, 5, dtype=torch.float64).scatter_(1, ids, 1.0)
    assert ((counts / q).mean(dim=0) > 1.02).all()


def test_by_tries_counts_what_a_loop_counts():
    """M_v: draws of other classes until S of them differ."""
    stream = torch.randint(6, (50, 400), generator=torch.Generator().manual_seed(4))
    place = 0

    def sample(shape):
        nonlocal place
        place += shape[1]
        return stream[:, place - shape[1] : place]

    ids, inside, outside = by_tries(sample, 50, 4)
    for row in range(50):
        seen = list(dict.fromkeys(stream[row].tolist()))
        assert ids[row].tolist() == seen[:4]
        for class_ in range(6):
            others: list[int] = []
            for drawn in stream[row].tolist():
                if len(set(others)) == 4:
                    break
                if drawn != class_:
                    others.append(drawn)
            assert len(others) == (inside[row][seen.index(class_)] if class_ in seen[:4] else outside[row])


@pytest.mark.parametrize("num_rows", [0, 1, 3])
def test_shapes(num_rows):
    generator = torch.Generator().manual_seed(1)
    ids, inside, outside = by_race(P, num_rows, 3, torch.tensor(1))
    assert (ids.shape, inside.shape, outside.shape) == ((num_rows, 3), (num_rows, 1), (num_rows, 1))
    table = AliasTable(P)
    ids, inside, outside = by_tries(lambda shape: table.sample(shape, generator), num_rows, 3)
    assert (ids.shape, inside.shape, outside.shape) == ((num_rows, 3), (num_rows, 3), (num_rows, 1))


def test_race_in_pieces(monkeypatch, seed):
    monkeypatch.setattr("logq.samplers.distinct_draws.RACE_TIMES", 12)  # two rows at a time
    ids, q = draw("race", P, 20_001, 2, seed)
    assert ids.shape == (20_001, 2)
    counts = torch.zeros(20_001, 5, dtype=torch.float64).scatter_(1, ids, 1.0)
    assert_mean(counts - q, 0.0)


def test_race_for_all_there_are():
    p = torch.tensor([0.5, 0.0, 0.5, 1e-300], dtype=torch.float64)
    ids, inside, _ = by_race(p, 100, 3, torch.tensor(1))
    assert bool((ids.sort(dim=1).values == torch.tensor([0, 2, 3])).all())
    assert bool(inside.isinf().all())


@pytest.mark.parametrize(("num_sampled", "name"), [(5, "S5"), (10, "S10")])
def test_log_inclusion_is_tensorflows_expected_count(num_sampled, name):
    """tf.random.log_uniform_candidate_sampler(unique=True), single precision, to 1e-6."""
    golden = {key: GOLDEN[f"loguniform10_{name}_unique_{key}"] for key in ("true_expected", "sampled", "num_tries")}
    log_p = LogUniform(10, num_sampled, replacement=False).log_prob(torch.arange(10))
    q = log_inclusion(log_p, torch.tensor(int(golden["num_tries"]))).exp()
    np.testing.assert_allclose(q, golden["true_expected"][0], rtol=0, atol=1e-6)
    sampled = GOLDEN[f"loguniform10_{name}_unique_sampled_expected"]
    np.testing.assert_allclose(q[golden["sampled"]], sampled, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("log_p", [-1.0, -20.0, -100.0, -600.0])
def test_log_inclusion_of_rare_classes(log_p, dtype):
    """For small p it is log(tries p), also where p has no place in single precision."""
    log_q = log_inclusion(torch.tensor(log_p, dtype=dtype), torch.tensor(1))
    assert log_q.item() == pytest.approx(log_p, rel=1e-6)


@pytest.mark.parametrize("num_sampled", [1, 3, 30, 99])
@pytest.mark.parametrize("span", [0.0, 3.0, 12.0, 40.0])
def test_expected_tries_solves_its_equation(num_sampled, span):
    weights = 10 ** (torch.rand(100, dtype=torch.float64, generator=torch.Generator().manual_seed(5)) * span)
    p = weights / weights.sum()
    tries = expected_tries(p, num_sampled)
    assert (-torch.expm1(-tries * p)).sum().item() == pytest.approx(num_sampled, rel=1e-9)


@pytest.mark.parametrize(
    ("num_classes", "num_sampled", "most"),
    [(1000, 1, 130), (1000, 100, 350), (1000, 500, 1800), (200, 190, 2000), (50, 49, 4000)],
)
def test_enough_draws_are_enough(num_classes, num_sampled, most):
    """Too few are different with a probability below 2^-80, by the distribution of their number for equal classes."""
    p, number = torch.tensor([[1 / num_classes], [num_classes]], dtype=torch.float64)
    draws = surely_enough(p, num_sampled, number)
    different = np.zeros(num_classes + 1)
    different[0] = 1.0
    again = np.arange(num_classes + 1) / num_classes
    for _ in range(draws):
        different = different * again + np.append(0.0, (different * (1 - again))[:-1])
    assert different[: num_sampled + 1].sum() < 2.0**-80
    assert draws < most


def test_expected_tries_of_too_many():
    assert expected_tries(torch.tensor([0.5, 0.5, 0.0]), 3) == float("inf")
    assert expected_tries(torch.tensor([0.5, 0.5, 0.0]), 2) == float("inf")
