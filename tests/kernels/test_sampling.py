"""Draws: compiled ones are the reference's, these follow their distributions, and tries are counted as by a loop."""

import math
import os
import signal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from backend_cases import ON_CPU
from frequencies import assert_frequencies
from logq import kernels
from logq.kernels import _native, reference_draws
from logq.kernels.distributions import (
    MOST_CLASSES,
    AliasDistribution,
    Distribution,
    LearnedDistribution,
    LogUniformDistribution,
    UniformDistribution,
    random_bits,
    scaled,
)

both_backends = pytest.mark.parametrize("backend", ON_CPU)
seeds = st.integers(-(1 << 63), (1 << 63) - 1)


def alias_of(weights: Tensor) -> AliasDistribution:
    accept, alias = kernels.get("alias_table")(weights.double())
    threshold = (accept * 2.0**31).round().clamp(max=2**31 - 1).int()
    return AliasDistribution(torch.stack([threshold, alias], dim=1))


def zipf(num_classes: int) -> Tensor:
    return 1 / torch.arange(1, num_classes + 1).double()


DISTRIBUTIONS: dict[str, tuple[Distribution, Tensor]] = {
    "uniform": (UniformDistribution(50), torch.ones(50)),
    "log_uniform": (LogUniformDistribution(50), torch.log1p(1 / torch.arange(1, 51).double())),
    "alias": (alias_of(zipf(50)), zipf(50)),
    "alias-holes": (alias_of(torch.arange(50) % 3), torch.arange(50) % 3),
    "learned": (
        LearnedDistribution(alias_of(torch.ones(50)), torch.arange(30).repeat(3), 50),
        torch.ones(50) + 3 * (torch.arange(50) < 30),
    ),
    "learned-new": (LearnedDistribution(alias_of(torch.ones(50)), torch.arange(0), 50), torch.ones(50)),
}
every_distribution = pytest.mark.parametrize("distribution", DISTRIBUTIONS)


# ------------------------------------------------------------------------------------------------------- random bits


@given(seeds, st.integers(0, 1 << 40), st.integers(1, MOST_CLASSES))
def test_random_bits_are_those_of_splitmix64(seed, place, size):
    """Against integers of Python, which do not overflow."""
    whole = (1 << 64) - 1
    state = (seed + (place + 1) * 0x9E3779B97F4A7C15) & whole
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & whole
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & whole
    state ^= state >> 31
    bits = random_bits(torch.tensor(seed), torch.tensor([place]))
    assert int(bits) & whole == state
    high, low = scaled(bits, size)
    assert (int(high), int(low) & whole) == divmod(state * size, 1 << 64)


# ------------------------------------------------------------------------------------------------- independent draws


@every_distribution
@given(seed=seeds, size=st.integers(0, 200))
def test_compiled_draws_are_those_of_the_reference(distribution, seed, size):
    shape, seed = (size,), torch.tensor(seed)
    assert kernels.active()["draws"] == "cpp"
    assert torch.equal(
        kernels.get("draws")(DISTRIBUTIONS[distribution][0], seed, shape),
        reference_draws.draws(DISTRIBUTIONS[distribution][0], seed, shape),
    )


@every_distribution
@both_backends
def test_draws_have_their_distribution(distribution, backend, seed):
    """Chi-square of half a million; fails with one seed in ten million. A class of weight 0 is never drawn."""
    drawn, weights = DISTRIBUTIONS[distribution]
    with kernels.use(backend):
        ids = kernels.get("draws")(drawn, torch.tensor(seed), (500, 1000))
    assert ids.dtype == torch.int64
    assert_frequencies(ids, weights.double() / weights.sum())


@every_distribution
def test_draws_do_not_depend_on_the_number_of_threads(distribution):
    size = 300_001  # more than the draws that are worth another thread
    expected = reference_draws.draws(DISTRIBUTIONS[distribution][0], torch.tensor(8), (size,))
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert torch.equal(kernels.get("draws")(DISTRIBUTIONS[distribution][0], torch.tensor(8), (size,)), expected)
    finally:
        torch.set_num_threads(before)


@both_backends
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3), (31,), (32,), (33,)])
def test_shapes(backend, shape):
    with kernels.use(backend):
        assert kernels.get("draws")(UniformDistribution(9), torch.tensor(1), shape).shape == shape


@both_backends
@pytest.mark.parametrize("num_classes", [1, (1 << 24) + 1, (1 << 31) + 1, (1 << 53) + 1, MOST_CLASSES])
def test_any_number_of_classes(backend, num_classes, seed):
    """Ids reach the upper half and no further; those of the log-uniform distribution, in logarithms.

    The means of 1000 draws are within 5.4 standard errors: fails with one seed in ten million.
    """
    with kernels.use(backend):
        uniform = kernels.get("draws")(UniformDistribution(num_classes), torch.tensor(seed), (1000,))
        log_uniform = kernels.get("draws")(LogUniformDistribution(num_classes), torch.tensor(seed), (1000,))
    for ids in (uniform, log_uniform):
        assert 0 <= int(ids.min()) <= int(ids.max()) < num_classes
    if num_classes > 1:
        assert uniform.double().mean().item() == pytest.approx(num_classes / 2, rel=0.1)
        assert ((log_uniform + 1).double().log() / math.log1p(num_classes)).mean().item() == pytest.approx(0.5, rel=0.1)


@both_backends
def test_tables_of_more_classes_than_single_precision_counts(backend):
    size = (1 << 24) + 7
    cells = torch.stack([torch.full((size,), 2**31 - 1, dtype=torch.int32), torch.arange(size).int()], dim=1)
    with kernels.use(backend):
        ids = kernels.get("draws")(AliasDistribution(cells), torch.tensor(1), (10_000,))
    assert torch.equal(ids, reference_draws.draws(UniformDistribution(size), torch.tensor(1), (10_000,)))


@pytest.mark.parametrize("distribution", [UniformDistribution, LogUniformDistribution])
@pytest.mark.parametrize("num_classes", [0, -1, 1 << 62, 1 << 70, 1.5])
def test_too_many_classes(distribution, num_classes):
    with pytest.raises((ValueError, TypeError), match=r"^num_classes: expected"):
        distribution(num_classes)


class Fair(Distribution):
    """A distribution of a user's own: 3 or 5."""

    def at(self, seed: Tensor, places: Tensor) -> Tensor:
        return 3 + 2 * (random_bits(seed, places) & 1)


@pytest.mark.filterwarnings("ignore::logq.kernels.FallbackWarning")
def test_a_distribution_of_ones_own(seed):
    ids = kernels.get("draws")(Fair(), torch.tensor(seed), (10_000,))
    assert_frequencies(ids, torch.tensor([0, 0, 0, 0.5, 0, 0.5]))
    ids, inside, outside = kernels.get("distinct_draws")(Fair(), torch.tensor(1), 100, 1)
    assert ids.shape == inside.shape == outside.shape == (100, 1)


def test_draws_after_a_fork():
    """A child draws what its parent draws, with a pool of threads that it has lost."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seed = torch.tensor(1)
        expected = kernels.get("draws")(UniformDistribution(9), seed, (200_000,)).numpy().tobytes()
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # torch's own operations may wait forever for the threads that are not there
            same = kernels.get("draws")(UniformDistribution(9), seed, (200_000,)).numpy().tobytes() == expected
            os._exit(0 if same else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        torch.set_num_threads(before)


# --------------------------------------------------------------------------------------------------- distinct classes


@every_distribution
@given(seed=seeds, num_rows=st.integers(0, 4), num_sampled=st.integers(1, 20))
def test_compiled_distinct_draws_are_those_of_the_reference(distribution, seed, num_rows, num_sampled):
    drawn, seed = DISTRIBUTIONS[distribution][0], torch.tensor(seed)
    assert kernels.active()["distinct_draws"] == "cpp"
    ours = kernels.get("distinct_draws")(drawn, seed, num_rows, num_sampled)
    for one, other in zip(ours, reference_draws.distinct_draws(drawn, seed, num_rows, num_sampled), strict=True):
        assert torch.equal(one, other)


@every_distribution
@both_backends
def test_tries_are_those_that_a_loop_counts(distribution, backend):
    """Row r has the stream of the r-th number of the seed's stream; M_v: draws of others until S of those differ."""
    drawn, num_sampled, seed = DISTRIBUTIONS[distribution][0], 7, torch.tensor(3)
    with kernels.use(backend):
        ids, inside, outside = kernels.get("distinct_draws")(drawn, seed, 20, num_sampled)
    for row, row_seed in enumerate(random_bits(seed, torch.arange(20))):
        stream = reference_draws.draws(drawn, row_seed, (400,)).tolist()
        seen = list(dict.fromkeys(stream))
        assert ids[row].tolist() == seen[:num_sampled]
        for class_ in range(50):
            others: list[int] = []
            for id in stream:
                if len(set(others)) == num_sampled:
                    break
                if id != class_:
                    others.append(id)
            among = class_ in seen[:num_sampled]
            assert len(others) == (inside[row][seen.index(class_)] if among else outside[row])


@pytest.mark.parametrize("num_sampled", [5000, 20_000])
def test_large_samples(num_sampled):
    distribution = LogUniformDistribution(100_000)
    ours = kernels.get("distinct_draws")(distribution, torch.tensor(4), 2, num_sampled)
    theirs = reference_draws.distinct_draws(distribution, torch.tensor(4), 2, num_sampled)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
    assert ours[0][0].unique().numel() == num_sampled


def test_distinct_draws_do_not_depend_on_the_number_of_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = kernels.get("distinct_draws")(UniformDistribution(1000), torch.tensor(2), 3001, 20)
        torch.set_num_threads(3)
        ours = kernels.get("distinct_draws")(UniformDistribution(1000), torch.tensor(2), 3001, 20)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(ours, expected, strict=True))


@both_backends
@pytest.mark.parametrize("num_asked", [0, 1, 8, 9, 60])  # few are compared with all, many looked up
@pytest.mark.parametrize("num_rows", [0, 1, 5])
@pytest.mark.parametrize("num_sampled", [1, 7, 30])
def test_places(backend, num_asked, num_rows, num_sampled):
    random = np.random.default_rng(1)
    ids = torch.from_numpy(np.array([random.permutation(60)[:num_sampled] for _ in range(num_rows)]))
    ids = ids.view(num_rows, num_sampled).long() * (1 << 40)
    classes = torch.from_numpy(random.integers(60, size=(num_asked, num_rows))).t() * (1 << 40)  # not contiguous
    with kernels.use(backend):
        places = kernels.get("places_of")(ids, classes)
    assert places.shape == (num_rows, num_asked)
    for row in range(num_rows):
        there = ids[row].tolist()
        assert places[row].tolist() == [there.index(c) if c in there else -1 for c in classes[row].tolist()]


@pytest.mark.parametrize("simd", _native.simd_levels())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_inclusion_is_as_exact_as_the_reference(simd, dtype, monkeypatch):
    """For p from 1e-300 to 1 and up to 2^40 tries, against double, at every level alike and wherever a class stands."""
    monkeypatch.setattr("logq.kernels.cpp.arrays.SIMD", simd)
    random = torch.Generator().manual_seed(1)
    log_p = (-(10 ** (torch.rand(3001, generator=random, dtype=torch.float64) * 6 - 3.2)).clamp(max=690)).to(dtype)
    log_p[:4] = torch.tensor([0.0, -torch.inf, -1e-9, -690])
    tries = (2 ** (torch.rand(3001, generator=random) * 40)).long()
    log_q = kernels.get("log_inclusion")(log_p, tries)
    assert log_q.dtype == dtype
    expected = reference_draws.log_inclusion(log_p.double(), tries)
    torch.testing.assert_close(log_q.double(), expected, rtol=1e-13 if dtype == torch.float64 else 1e-7, atol=1e-15)
    assert log_q[:2].tolist() == [0, -torch.inf]
    assert torch.equal(kernels.get("log_inclusion")(log_p[1:], tries[1:]), log_q[1:])
    monkeypatch.setattr("logq.kernels.cpp.arrays.SIMD", "generic")
    assert torch.equal(kernels.get("log_inclusion")(log_p, tries), log_q)


# -------------------------------------------------------------------------------------------------- wrong arguments


def numbers(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _native.uniform_distribution(0), "num_classes: expected 1 ... 2\\*\\*62 - 1, got 0"),
        (lambda: _native.log_uniform_distribution(1 << 62), "num_classes"),
        (
            lambda: _native.alias_distribution(np.zeros((0, 2), np.int32)),
            "cells: expected 1 ... 2\\*\\*31 - 1 of them, got 0",
        ),
        (
            lambda: _native.learned_distribution(np.ones((1, 2), np.int32), numbers(0), 0),
            "in_table: expected 1 at least, got 0",
        ),
        (lambda: distinct(numbers(2, 3), numbers(2, 2), numbers(2, 1)), "inside: expected the shape of ids"),
        (lambda: distinct(numbers(2, 3), numbers(2, 3), numbers(1, 1)), "outside: expected one number for each row"),
        (lambda: distinct(numbers(2, 0), numbers(2, 0), numbers(2, 1)), "ids: expected 1"),
        (lambda: _native.places_of(numbers(2, 3), numbers(1, 3), numbers(1, 3)), "classes: expected as many rows"),
        (lambda: _native.places_of(numbers(2, 3), numbers(2, 3), numbers(2, 1)), "places: expected the shape"),
    ],
)
def test_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


def distinct(*arrays: np.ndarray) -> None:
    _native.draw_distinct(_native.uniform_distribution(9), 1, *arrays)


@pytest.mark.parametrize(
    "call",
    [
        lambda: _native.alias_distribution(np.zeros((3, 2), np.int64)),
        lambda: _native.alias_distribution(np.zeros((3, 3), np.int32)),
        lambda: _native.alias_distribution(np.zeros((3, 4), np.int32)[:, ::2]),
        lambda: _native.draw(_native.uniform_distribution(9), -1, numbers(3)),
        lambda: _native.draw(_native.uniform_distribution(9), 1, np.zeros(3, np.int32)),
        lambda: _native.draw(None, 1, numbers(3)),
    ],
)
def test_what_is_not_such_an_array(call):
    with pytest.raises(TypeError):
        call()


def test_a_distribution_keeps_its_arrays():
    distribution = _native.alias_distribution(np.array([[2**31 - 1, 0]] * 1000, np.int32))
    scraps = [np.full((1000, 2), -1, np.int32) for _ in range(50)]
    ids = numbers(1000)
    _native.draw(distribution, 1, ids)
    assert (ids < 1000).all()
    assert (ids >= 0).all()
    assert len(scraps) == 50
