"""Windows and subsampling against loops over words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from frequencies import FAILURE_RATE
from logq.text import cbow_windows, reduced_windows, skipgram_pairs, subsample_sentences


@st.composite
def texts(draw, widest=5):
    """Sentences, some of them empty, and a window for each word."""
    sentences = draw(st.lists(st.lists(st.integers(0, 9), max_size=9), max_size=6))
    windows = [draw(st.lists(st.integers(0, widest), min_size=len(s), max_size=len(s))) for s in sentences]
    return sentences, windows


def flat(lists):
    return np.array([value for inner in lists for value in inner], dtype=np.int64)


def lengths_of(sentences):
    return np.array([len(sentence) for sentence in sentences], dtype=np.int64)


def neighbors(sentence, i, window):
    return [sentence[j] for j in range(max(0, i - window), min(len(sentence), i + window + 1)) if j != i]


@given(texts())
def test_skipgram_pairs_are_those_of_two_loops(text):
    sentences, windows = text
    expected = [
        (context, sentence[i])
        for sentence, reach in zip(sentences, windows, strict=True)
        for i in range(len(sentence))
        for context in neighbors(sentence, i, reach[i])
    ]
    inputs, targets = skipgram_pairs(flat(sentences), lengths_of(sentences), flat(windows))
    assert inputs.dtype == targets.dtype == np.int64
    assert list(zip(inputs.tolist(), targets.tolist(), strict=True)) == expected


@given(texts(), st.none() | st.integers(5, 7))
def test_cbow_windows_are_those_of_two_loops(text, window):
    sentences, windows = text
    width = 2 * (max(flat(windows), default=0) if window is None else window)
    expected, words = [], []
    for sentence, reach in zip(sentences, windows, strict=True):
        for i in range(len(sentence)):
            if context := neighbors(sentence, i, reach[i]):
                expected.append(context + [-1] * (width - len(context)))
                words.append(sentence[i])
    contexts, targets = cbow_windows(flat(sentences), lengths_of(sentences), flat(windows), window=window)
    assert contexts.dtype == targets.dtype == np.int64
    assert contexts.shape == (len(expected), width)
    assert contexts.tolist() == expected
    assert targets.tolist() == words


def test_pairs_by_hand():
    inputs, targets = skipgram_pairs(np.array([10, 11, 12]), np.array([3]), np.array([1, 2, 2]))
    assert list(zip(inputs.tolist(), targets.tolist(), strict=True)) == [
        (11, 10),
        (10, 11),
        (12, 11),
        (10, 12),
        (11, 12),
    ]


@given(texts(), st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=10, max_size=10), st.integers(0, 2**32))
def test_subsampling_is_a_draw_for_each_word(text, keep, seed):
    sentences, _ = text
    ids, keep = flat(sentences), np.array(keep)
    draws = np.random.default_rng(seed).random(len(ids))
    kept = [draw < keep[word] for draw, word in zip(draws, ids, strict=True)]
    thinned, lengths = subsample_sentences(ids, lengths_of(sentences), keep, np.random.default_rng(seed))
    assert thinned.dtype == np.int64
    assert thinned.tolist() == [word for word, stays in zip(ids.tolist(), kept, strict=True) if stays]
    counted, stays = [], iter(kept)
    counted = [sum(next(stays) for _ in sentence) for sentence in sentences]
    assert lengths.tolist() == counted


def test_subsampling_keeps_the_share_it_says(seed):
    # Binomial of 100,000 trials: 5.5 standard deviations, failing with one seed in ten million.
    keep = np.array([0.1, 0.5, 1.0])
    ids, lengths = np.repeat([0, 1, 2], 100_000), np.array([300_000])
    counts = np.bincount(subsample_sentences(ids, lengths, keep, np.random.default_rng(seed))[0], minlength=3)
    assert (abs(counts / 100_000 - keep) <= 5.5 * np.sqrt(keep * (1 - keep) / 100_000)).all()


def test_reduced_windows_are_uniform(seed):
    windows = reduced_windows(100_000, 5, np.random.default_rng(seed))
    assert windows.dtype == np.int64
    counts = np.bincount(windows)
    assert len(counts) == 6
    assert counts[0] == 0
    assert ((counts[1:] - 20_000) ** 2 / 20_000).sum() < chi2.isf(FAILURE_RATE, 4)
    assert reduced_windows(0, 5, np.random.default_rng(0)).shape == (0,)
    assert set(reduced_windows(9, 1, np.random.default_rng(0))) == {1}


def test_the_same_seed_draws_the_same():
    first, second = (reduced_windows(50, 9, np.random.default_rng(7)) for _ in range(2))
    assert first.tolist() == second.tolist()


IDS, LENGTHS, WINDOWS, KEEP = np.array([0, 1, 2]), np.array([2, 1]), np.array([1, 1, 1]), np.ones(3)
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("function", [skipgram_pairs, cbow_windows])
@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (([[0, 1]], LENGTHS, WINDOWS), ValueError, "ids"),
        (([0.5, 1, 2], LENGTHS, WINDOWS), TypeError, "ids"),
        (([0, -3, 2], LENGTHS, WINDOWS), ValueError, "ids.*-3 at position 1"),
        ((IDS, [2, 2], WINDOWS), ValueError, "lengths.*3.*4"),
        ((IDS, [4, -1], WINDOWS), ValueError, "lengths.*-1"),
        ((IDS, [1.5, 1.5], WINDOWS), TypeError, "lengths"),
        ((IDS, LENGTHS, [1, 1]), ValueError, "windows"),
        ((IDS, LENGTHS, [1, 1, -1]), ValueError, "windows.*-1"),
    ],
)
def test_arrays_are_checked(function, arguments, error, match):
    with pytest.raises(error, match=match):
        function(*arguments)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: subsample_sentences(IDS, LENGTHS, KEEP[:2], RNG), ValueError, r"ids.*\[0, 2\), got 2"),
        (lambda: subsample_sentences(IDS, LENGTHS, KEEP[None], RNG), ValueError, "keep_probability"),
        (lambda: subsample_sentences(IDS, LENGTHS, KEEP, 0), TypeError, "rng"),
        (lambda: subsample_sentences(IDS - 1, LENGTHS, KEEP, RNG), ValueError, "ids"),
        (lambda: subsample_sentences(IDS, [9], KEEP, RNG), ValueError, "lengths"),
        (lambda: reduced_windows(3, 0, RNG), ValueError, "window"),
        (lambda: reduced_windows(-1, 1, RNG), ValueError, "num_positions"),
        (lambda: reduced_windows(3, 2, None), TypeError, "rng"),
        (lambda: cbow_windows(IDS, LENGTHS, [1, 3, 1], window=2), ValueError, "windows.*window = 2.*3"),
    ],
)
def test_arguments_are_checked(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_a_large_window_costs_what_its_pairs_cost():
    inputs, _ = skipgram_pairs(np.arange(1000), np.full(500, 2), np.full(1000, 10**9))
    assert len(inputs) == 1000
