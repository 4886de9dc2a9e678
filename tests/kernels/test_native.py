"""The compiled alias table gives back the distribution that it was made of, for whatever weights."""

import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from logq.kernels import _native

Weights = NDArray[np.float64]


def implied(accept: NDArray[np.float64], alias: NDArray[np.int32]) -> NDArray[np.float64]:
    """The probability of each class when a cell is drawn uniformly, then its own class or its alias."""
    mass = accept.copy()
    np.add.at(mass, alias, 1 - accept)
    return mass / len(accept)


def assert_table_of(weights: Weights) -> None:
    """Check every promise that the docstring of the op makes."""
    accept, alias = _native.alias_table(weights)
    size = len(weights)
    assert (accept.dtype, alias.dtype) == (np.float64, np.int32)
    assert accept.shape == alias.shape == (size,)
    assert accept.min() >= 0
    assert accept.max() <= 1
    assert alias.min() >= 0
    assert alias.max() < size

    distribution = weights / weights.max()
    distribution /= distribution.sum()
    # A cell is rounded to 1e-16 of itself, and what all of them lack or have too much falls to one class.
    np.testing.assert_allclose(implied(accept, alias), distribution, rtol=1e-12, atol=1e-15)

    never = distribution == 0
    assert (accept[never] == 0).all()
    assert not never[alias].any()
    filled = accept == 1
    assert (alias[filled] == np.flatnonzero(filled)).all()


any_weights = arrays(
    np.float64,
    st.integers(1, 60),
    elements=st.one_of(st.just(0.0), st.floats(0, 1), st.floats(0, 1e300), st.integers(1, 9).map(float)),
).filter(lambda weights: bool(weights.any()))


@given(any_weights)
def test_any_weights(weights: Weights) -> None:
    assert_table_of(weights)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1023, 20_011])
@pytest.mark.parametrize("power", [0, 0.75, 1, 3, 30])
def test_random_distributions_from_flat_to_steep(size: int, power: float) -> None:
    rng = np.random.default_rng(size)
    weights = rng.random(size) ** power
    assert_table_of(weights)
    weights[rng.random(size) < 0.5] = 0
    weights[rng.integers(size)] = 1
    assert_table_of(weights)


@pytest.mark.parametrize(
    "weights",
    [
        [5e-324, 0, 5e-324],
        [1.7e308] * 5,
        [5e-324, 1.7e308],
        [0.1] * 10,
        [1, 1e-17] * 50,
        [1e9] + [1e-9] * 1000,
        [1e-9] * 1000 + [1e9],
        [0] * 1000 + [1],
        [1 + 1e-16, 1, 1 - 1e-16, 0],
    ],
    ids=["smallest", "largest", "both", "equal", "dust", "giant-first", "giant-last", "one-only", "nearly-equal"],
)
def test_extreme_weights(weights: list[float]) -> None:
    assert_table_of(np.array(weights, dtype=np.float64))


@pytest.mark.parametrize("distribution", ["zipf", "flat", "holes"])
def test_a_million_classes(distribution: str) -> None:
    ranks = np.arange(1, 1_000_001, dtype=np.float64)
    weights = {"zipf": ranks**-0.75, "flat": np.full_like(ranks, 0.3), "holes": (ranks % 3 == 0) * ranks}[distribution]
    assert_table_of(weights)


def test_a_table_worked_by_hand() -> None:
    # Scaled to mean 1: 0.4, 2.2, 0.4, 1.0. Class 1 gives 0.6 to cells 0 and 2 each; the 1.0 left fills its own cell.
    accept, alias = _native.alias_table(np.array([1.0, 5.5, 1.0, 2.5]))
    np.testing.assert_allclose(accept, [0.4, 1, 0.4, 1], rtol=1e-15)
    assert alias.tolist() == [1, 1, 1, 3]


def test_the_cell_of_a_spent_class_is_filled_by_the_next() -> None:
    # Scaled: 0.2, 1.5, 1.3. Class 1 gives 0.8 to cell 0; of its own cell it fills 0.7, and class 2 the other 0.3.
    accept, alias = _native.alias_table(np.array([2.0, 15.0, 13.0]))
    np.testing.assert_allclose(accept, [0.2, 0.7, 1], rtol=1e-15)
    assert alias.tolist() == [1, 2, 2]


def test_same_weights_same_table_and_read_only_input() -> None:
    weights = np.random.default_rng(0).random(1000)
    weights.flags.writeable = False
    before = weights.copy()
    first, second = _native.alias_table(weights), _native.alias_table(weights)
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()
    assert (weights == before).all()


def test_takes_torch_tensors() -> None:
    weights = torch.arange(10, dtype=torch.float64)
    accept, alias = _native.alias_table(weights)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(implied(accept, alias), weights.numpy() / 45, rtol=1e-12)


def test_results_outlive_the_call() -> None:
    tables = [_native.alias_table(np.full(10_000, float(n + 1))) for n in range(50)]
    for accept, alias in tables:
        assert (accept == 1).all()
        assert (alias == np.arange(10_000)).all()


def test_other_threads_run_meanwhile() -> None:
    weights = np.random.default_rng(0).random(3_000_000)
    start, end = threading.Event(), threading.Event()

    def build() -> None:
        start.set()
        _native.alias_table(weights)
        end.set()

    thread = threading.Thread(target=build)
    thread.start()
    start.wait()
    turns = 0
    while not end.is_set():
        turns += 1
        time.sleep(0.0005)
    thread.join()
    assert turns > 2  # with the lock held there is one turn at most


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([], "at least one class, got none"),
        ([0.0, 0.0], "at least one number > 0, got only zeros"),
        ([1.0, -0.5], "finite numbers >= 0, got -0.5 at position 1"),
        ([1.0, 2.0, np.nan, -1.0], "finite numbers >= 0, got nan at position 2"),
        ([np.inf], "finite numbers >= 0, got inf at position 0"),
        ([1.0, -np.inf], "finite numbers >= 0, got -inf at position 1"),
    ],
)
def test_bad_weights(weights: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=f"weights: expected {message}"):
        _native.alias_table(np.array(weights, dtype=np.float64))


@pytest.mark.parametrize(
    "weights",
    [None, "word", 1.0, [1.0, 2.0], np.ones(3, np.float32), np.ones(3, np.int64), np.ones((2, 2)), np.ones(6)[::2]],
    ids=["none", "str", "number", "list", "float32", "int64", "two-dimensional", "strided"],
)
def test_what_is_not_an_array_of_weights(weights: object) -> None:
    with pytest.raises(TypeError, match="alias_table"):
        _native.alias_table(weights)  # pyright: ignore[reportArgumentType]
