"""Batches of training examples against the windows that a loop over every sentence finds."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from frequencies import FAILURE_RATE
from logq.text import Vocabulary
from logq.word2vec.plain_engine import examples

sentences_of_letters = st.lists(st.lists(st.sampled_from("abcdef"), max_size=9), min_size=1, max_size=12).filter(any)


def encoded(sentences, vocabulary):
    """Ids, with -1 behind each sentence."""
    return np.array([i for s in sentences for i in [*vocabulary.encode(s).tolist(), -1]], dtype=np.int32)


def collect(sentences, *, skip_gram=True, window=2, sample=0.0, batch_size=4, seed=0):
    vocabulary = Vocabulary.build(sentences, min_count=1)
    batches = list(
        examples(
            encoded(sentences, vocabulary),
            skip_gram=skip_gram,
            window=window,
            keep_probability=vocabulary.keep_probability(sample),
            batch_size=batch_size,
            rng=np.random.default_rng(seed),
        )
    )
    return vocabulary, batches


def count_pairs(batches):
    """How often each (input, target) stands in the batches."""
    return Counter(
        pair for batch in batches for pair in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True)
    )


def neighbors(sentences, vocabulary, window):
    """All (neighbor, word) pairs within `window`, by a loop."""
    for sentence in sentences:
        ids = [vocabulary.key_to_index[word] for word in sentence]
        for i, target in enumerate(ids):
            for j in range(max(0, i - window), min(len(ids), i + window + 1)):
                if j != i:
                    yield ids[j], target


@given(sentences_of_letters, st.integers(1, 5), st.integers(1, 7))
@settings(deadline=None, max_examples=60)
def test_window_of_one_gives_all_adjacent_pairs(sentences, seed, batch_size):
    vocabulary, batches = collect(sentences, window=1, batch_size=batch_size, seed=seed)
    pairs = count_pairs(batches)
    assert pairs == Counter(neighbors(sentences, vocabulary, 1))
    assert sum(batch.entries for batch in batches) == vocabulary.total + len(sentences)
    assert all(len(batch.targets) <= batch_size for batch in batches)


@given(sentences_of_letters, st.integers(1, 4), st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_wider_windows_hold_the_adjacent_pairs_and_none_beyond_their_reach(sentences, window, seed):
    vocabulary, batches = collect(sentences, window=window, seed=seed)
    pairs = count_pairs(batches)
    assert pairs <= Counter(neighbors(sentences, vocabulary, window))
    assert pairs >= Counter(neighbors(sentences, vocabulary, 1))


@given(sentences_of_letters, st.integers(1, 4), st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_cbow_sees_the_same_neighbors_as_skip_gram(sentences, window, seed):
    vocabulary, batches = collect(sentences, window=window, seed=seed)
    pairs = count_pairs(batches)
    _, contexts = collect(sentences, skip_gram=False, window=window, seed=seed)
    of_contexts = Counter(
        (word, target)
        for batch in contexts
        for row, target in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True)
        for word in row
        if word >= 0
    )
    assert of_contexts == pairs
    assert all(batch.inputs.shape[1] == 2 * window for batch in contexts)
    assert len(vocabulary) > 0


def test_frequent_words_are_thinned_out_before_windows_are_drawn(seed):
    """`the` goes almost always, and then `cat` and `dog`, two apart, are next to each other."""
    sentences = [["cat", "the", "dog"]] * 400 + [["the"] * 50] * 400
    vocabulary, batches = collect(sentences, window=1, sample=1e-3, seed=seed)
    pairs = count_pairs(batches)
    cat, dog = vocabulary.key_to_index["cat"], vocabulary.key_to_index["dog"]
    keep = vocabulary.keep_probability(1e-3)
    share = keep[cat] * keep[dog] * (1 - keep[vocabulary.key_to_index["the"]])
    low, high = binom.ppf([FAILURE_RATE / 2, 1 - FAILURE_RATE / 2], 400, share)
    assert 0 < low <= pairs[cat, dog] <= high < 400


def test_examples_are_shuffled_and_the_seed_decides_how():
    sentences = [list("abcdef" * 50)]
    _, one = collect(sentences, seed=1)
    _, same = collect(sentences, seed=1)
    _, other = collect(sentences, seed=2)
    order = [batch.targets.tolist() for batch in one]
    assert order == [batch.targets.tolist() for batch in same]
    assert order != [batch.targets.tolist() for batch in other]


def test_text_without_an_example_still_counts_its_entries():
    _, batches = collect([["a"], ["b"]])
    assert sum(batch.entries for batch in batches) == 4
    assert sum(len(batch.targets) for batch in batches) == 0
