"""The loss kernels on several threads. Imports no torch, so that the thread sanitizer can look at them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from logq.kernels import _native

ROWS, WIDTH, CLASSES, TRUE, SAMPLED = 700, 24, 300, 2, 40

Results = dict[str, np.ndarray]


def per_row(threads: int, seed: int = 0) -> Results:
    rng = np.random.default_rng(seed)
    results = {
        "losses": np.empty(ROWS, np.float32),
        "input_gradient": np.empty((ROWS, WIDTH), np.float32),
        "true_factors": np.empty((ROWS, TRUE), np.float32),
        "factors": np.empty((ROWS, SAMPLED), np.float32),
    }
    _native.row_losses(
        rng.standard_normal((ROWS, WIDTH), np.float32),
        rng.standard_normal((CLASSES, WIDTH), np.float32),
        "float32",
        rng.integers(0, CLASSES, (ROWS, TRUE)),
        rng.integers(0, CLASSES, (ROWS, SAMPLED)),
        true_offsets=None,
        offsets=rng.standard_normal((ROWS, SAMPLED), np.float32),
        excluded=rng.random((ROWS, SAMPLED)) < 0.1,
        row_scale=rng.random(ROWS, np.float32),
        inverse_temperature=1.5,
        cosine=True,
        softmax=False,
        remove_hits=True,
        threads=threads,
        simd="auto",
        **results,
    )
    return results


def shared(threads: int, seed: int = 0) -> Results:
    rng = np.random.default_rng(seed)
    input, weight = rng.standard_normal((ROWS, WIDTH), np.float32), rng.standard_normal((CLASSES, WIDTH), np.float32)
    targets, ids = rng.integers(0, CLASSES, (ROWS, TRUE)), rng.integers(0, CLASSES, SAMPLED)
    common: dict[str, Any] = {"threads": threads, "simd": "auto"}
    true_logits = np.empty((ROWS, TRUE), np.float32)
    _native.true_dots(input, weight, "float32", targets, cosine=False, dots=true_logits, **common)
    places = np.argsort(ids, kind="stable")
    results = {
        "tile": np.ascontiguousarray(input @ weight[ids].T),
        "losses": np.empty(ROWS, np.float32),
        "true_factors": np.empty((ROWS, TRUE), np.float32),
    }
    _native.tile_losses(
        "whole",
        results["tile"],
        offsets=None,
        excluded=None,
        excluded_width=SAMPLED,
        places=places,
        hits_begin=np.searchsorted(ids[places], targets),
        hits_end=np.searchsorted(ids[places], targets, side="right"),
        first_column=0,
        targets=targets,
        true_logits=true_logits,
        row_scale=None,
        inverse_temperature=1.0,
        softmax=False,
        gradients=True,
        first=True,
        losses=results["losses"],
        true_factors=results["true_factors"],
        maxima=None,
        sums=None,
        **common,
    )
    results["input_gradient"] = results["tile"] @ weight[ids]
    _native.add_true_rows(
        results["input_gradient"],
        weight,
        "float32",
        targets,
        factors=results["true_factors"],
        cosine=False,
        **common,
    )
    return results


def at_once(threads: int, seed: int = 0) -> Results:
    """The same with products that are compiled, of several tiles and columns that fill no panel."""
    rng = np.random.default_rng(seed)
    input, sampled = rng.standard_normal((ROWS, WIDTH), np.float32), rng.standard_normal((170, WIDTH), np.float32)
    results = {
        "losses": np.empty(ROWS, np.float32),
        "true_factors": np.empty((ROWS, TRUE), np.float32),
        "input_gradient": np.empty(input.shape, np.float32),
        "row_gradient": np.empty(sampled.shape, np.float32),
        "column_sums": np.empty(len(sampled), np.float32),
    }
    _native.shared_losses(
        input,
        sampled,
        offsets=None,
        excluded=rng.random((ROWS, len(sampled))) < 0.1,
        places=None,
        hits_begin=None,
        hits_end=None,
        targets=rng.integers(0, CLASSES, (ROWS, TRUE)),
        true_logits=rng.standard_normal((ROWS, TRUE), np.float32),
        row_scale=rng.random(ROWS, np.float32),
        inverse_temperature=0.5,
        softmax=False,
        gradients=True,
        threads=threads,
        simd="auto",
        **results,
    )
    return results


def assert_same(actual: Results, expected: Results) -> None:
    for name, values in expected.items():
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(actual[name], values, err_msg=name)


@pytest.mark.parametrize("run", [per_row, shared, at_once])
def test_any_number_of_threads_gives_the_same_bits(run):
    expected = run(1)
    for threads in (2, 3, 8):
        assert_same(run(threads), expected)


@pytest.mark.parametrize("run", [per_row, shared, at_once])
def test_calls_from_several_threads_do_not_meet(run):
    expected = [run(1, seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for actual, wanted in zip(pool.map(lambda seed: run(2, seed), range(4)), expected, strict=True):
            assert_same(actual, wanted)
