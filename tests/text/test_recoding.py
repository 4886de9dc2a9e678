"""A corpus with other numbers is what encoding its text with them makes."""

import numpy as np
import pytest

from logq.text import Vocabulary, encode
from logq.text.recoding import recode


@pytest.mark.parametrize("kept", [["a"], ["a", "e", "g"], ["h", "c", "a"], ["nowhere"], list("hgfedcba")])
@pytest.mark.parametrize("read", [3, 1 << 20])
def test_it_is_what_encoding_again_would_make(kept, read, monkeypatch):
    monkeypatch.setattr("logq.text.recoding._READ", read)
    rng = np.random.default_rng(3)
    sentences = [[str(word) for word in rng.choice(list("abcdefgh"), rng.integers(0, 5))] for _ in range(200)]
    vocabulary = Vocabulary(kept, [1] * len(kept))
    with encode(sentences, min_count=1) as corpus, recode(corpus, vocabulary) as made:
        with encode(sentences, vocabulary=vocabulary) as expected:
            assert made.read(0, made.num_ids).tolist() == expected.read(0, expected.num_ids).tolist()
            assert made.counts.tolist() == expected.counts.tolist()
            for name in ("num_words", "num_sentences", "raw_words", "invalid_lines", "long_words"):
                assert getattr(made, name) == getattr(expected, name)
        path = made.path
    assert not path.exists()
