"""The most probable words, and words drawn at random."""

import math

import numpy as np
import pytest

from logq.language_models.language_model import best_words, choose_word

P = np.array([0.1, 0.4, 0.0, 0.2, 0.3])


def log(p):
    with np.errstate(divide="ignore"):
        return np.log(p)


def shares(**options):
    rng = np.random.default_rng(0)
    drawn = [choose_word(log(P) + 5, rng, **options) for _ in range(8000)]  # the 5: it need not be normalized
    return np.bincount(drawn, minlength=5) / 8000


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, P),
        ({"temperature": 0.5}, P**2),
        ({"temperature": 3.0}, np.where(P > 0, P ** (1 / 3), 0)),
        ({"top_k": 2}, [0, 0.4, 0, 0, 0.3]),
        ({"top_k": 99}, P),
        ({"temperature": 1e-300}, [0, 1, 0, 0, 0]),
        ({"temperature": 0}, [0, 1, 0, 0, 0]),
    ],
)
def test_words_are_drawn_by_their_probability(options, expected):
    p = np.asarray(expected) / np.sum(expected)
    found = shares(**options)
    assert not found[p == 0].any()
    # Five standard deviations: one run in a million fails, and the seed is fixed.
    assert (np.abs(found - p) <= 5 * np.sqrt(p * (1 - p) / 8000)).all()


def test_the_best_words_stand_in_order_and_equals_as_they_come():
    words = ["a", "b", "c", "d", "e"]
    found = best_words(log(P), words, 3)
    assert found.words == ["b", "e", "d"]
    assert found.log_prob.tolist() == np.log([0.4, 0.3, 0.2]).tolist()
    assert best_words(log(P), words, 99).words == ["b", "e", "d", "a", "c"]
    assert best_words(np.zeros(5), words, 3).words == ["a", "b", "c"]


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_something_must_be_possible(value):
    with pytest.raises(ValueError, match="log_prob: expected numbers, one of them finite"):
        choose_word(np.full(3, value), np.random.default_rng(0))


@pytest.mark.parametrize("options", [{"temperature": -1.0}, {"temperature": math.nan}, {"top_k": 0}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        choose_word(log(P), np.random.default_rng(0), **options)
