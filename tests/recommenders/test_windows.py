"""Windows against a loop over places."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from frequencies import FAILURE_RATE
from logq.recommenders.events.session_windows import Windows


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=7), max_size=5), st.integers(1, 4), st.integers(0, 99), st.booleans()
)
def test_examples_are_those_of_a_loop(sentences, window, seed, has_more):
    items = np.array([item for sentence in sentences for item in sentence], dtype=np.int64)
    offsets = np.cumsum([0, *map(len, sentences)])
    also = np.where(np.arange(len(items)) % 3 == 0, 7, -1) if has_more else None
    windows = Windows(items, offsets, window=window, seed=seed, also=also)
    reach = np.random.default_rng(seed).integers(1, window, size=len(items), endpoint=True, dtype=np.int16)
    expected, place = [], 0
    for sentence in sentences:
        for i, item in enumerate(sentence):
            around = [sentence[j] for j in range(len(sentence)) if j != i and abs(i - j) <= reach[place]]
            around += [also[place]] if has_more and also[place] >= 0 else []
            if around:
                expected.append((item, around))
            place += 1
    assert len(windows) == len(windows.lengths()) == len(expected)
    batch = windows.batch(np.arange(len(windows)))
    made = [
        (h[0], [t for t in row if t >= 0])
        for h, row in zip(batch["history"].tolist(), batch["targets"].tolist(), strict=True)
    ]
    assert made == expected
    assert batch["targets"].shape == (len(expected), 2 * window + has_more)


def test_reaches_are_uniform_and_follow_the_seed(seed):
    items, offsets = np.arange(30_000), np.array([0, 30_000])
    windows = Windows(items, offsets, window=3, seed=seed)
    width = (windows.batch(np.arange(3, 29_997))["targets"] >= 0).sum(axis=1)
    counts = np.bincount(width, minlength=7)[[2, 4, 6]]
    assert ((counts - 9998) ** 2 / 9998).sum() < chi2.isf(FAILURE_RATE, 2)
    again = Windows(items, offsets, window=3, seed=seed).batch([5, 6, 7])["targets"]
    assert again.tolist() == windows.batch([5, 6, 7])["targets"].tolist()
