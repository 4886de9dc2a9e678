"""Likelihoods of parts of a text add up to that of the whole, and perplexity follows."""

import json
import math

import numpy as np
import pytest

from logq.evaluation import Likelihood, likelihood_of

END, UNKNOWN = 0, 1


def test_perplexity_is_what_the_formula_says():
    rng = np.random.default_rng(0)
    ids, p = rng.integers(0, 6, 400), rng.random(400)
    found = likelihood_of(np.log(p), ids, END, UNKNOWN)
    product = sum(math.log(value) for value in p)
    assert found.log_prob == pytest.approx(product)
    assert found.cross_entropy == pytest.approx(-product / 400)
    assert found.bits == pytest.approx(-sum(math.log2(value) for value in p) / 400)
    assert found.perplexity == pytest.approx(math.exp(-product / 400))
    known = [value for value, word in zip(p, ids.tolist(), strict=True) if word != UNKNOWN]
    assert found.perplexity_without_unknown == pytest.approx(math.exp(-sum(map(math.log, known)) / len(known)))
    assert (found.num_tokens, found.num_unknown) == (400, 400 - len(known))
    assert found.num_sentences == ids.tolist().count(END)
    parts = [likelihood_of(np.log(p[i : i + 7]), ids[i : i + 7], END, UNKNOWN) for i in range(0, 400, 7)]
    assert sum(parts, Likelihood()) == pytest.approx(found)
    assert isinstance(sum(parts, Likelihood()), Likelihood)


def test_float32_is_added_in_float64():
    one = likelihood_of(np.full(1 << 20, -0.1, np.float32), np.full(1 << 20, 2), END, UNKNOWN)
    assert one.log_prob == pytest.approx(float(np.float32(-0.1)) * (1 << 20), rel=1e-12)


def test_what_is_impossible_is_counted():
    found = likelihood_of([-math.inf, -1.0, -1.0, -math.inf], [2, 3, END, UNKNOWN], END, UNKNOWN)
    assert (found.perplexity, found.perplexity_without_unknown, found.num_impossible) == (math.inf, math.inf, 2)
    assert "2 of them impossible" in str(found)
    only_unknown = likelihood_of([-math.inf, -1.0], [UNKNOWN, END], END, UNKNOWN)
    assert only_unknown.perplexity == math.inf
    assert only_unknown.perplexity_without_unknown == pytest.approx(math.e)
    plain = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert plain["perplexity"] is None
    assert plain["num_impossible"] == 2


def test_nothing_has_no_perplexity():
    assert math.isnan(Likelihood().perplexity)
    assert math.isnan(likelihood_of([-1.0], [UNKNOWN], END, UNKNOWN).perplexity_without_unknown)
    assert Likelihood(-1e9, 1).perplexity == math.inf  # more than a float can hold


def test_shapes_must_be_alike():
    with pytest.raises(ValueError, match=r"log_probs: expected shape \(n,\)"):
        likelihood_of([0.0, 0.0], [1], END, UNKNOWN)
