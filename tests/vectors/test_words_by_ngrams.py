"""A word that was not in the text has its vector by its n-grams, whatever is asked and was made of the vectors."""

import numpy as np
import pytest

from logq import KeyedVectors, Word2Vec
from logq.text import CharacterNgrams
from logq.vectors import SentenceVectors
from logq.vectors.subwords import Subwords

WORDS = ["כֶּלֶב", "กรุงเทพ", "кошка", "собака", "👩🏽‍🚀"]
UNKNOWN = "кошками"


@pytest.fixture
def vectors():
    rng = np.random.default_rng(2)
    kinds = CharacterNgrams(2, 3, buckets=40)
    subwords = Subwords(kinds, rng.normal(size=(40, 6)).astype(np.float32))
    return KeyedVectors(WORDS, rng.normal(size=(5, 6)), [9, 5, 4, 2, 1], subwords=subwords)


def test_further_words_leave_it_as_it_was(vectors):
    more = vectors.add_vectors(["neu", "кошка"], np.ones((2, 6)), replace=True)
    assert UNKNOWN in more
    np.testing.assert_array_equal(more[UNKNOWN], vectors[UNKNOWN])


@pytest.mark.parametrize("components", [0, 2])
def test_it_loses_what_all_words_lose(vectors, components):
    made = vectors.all_but_the_top(components)
    centered = vectors.vectors - vectors.vectors.mean(axis=0)
    kept = np.linalg.svd(centered)[2][components:]  # a basis of what is left
    for word in (*WORDS, UNKNOWN):
        expected = (vectors[word] - vectors.vectors.mean(axis=0)) @ kept.T @ kept
        np.testing.assert_allclose(made[word], expected, atol=1e-5)


def test_it_has_a_rank(vectors):
    for word in (*WORDS[1:], UNKNOWN):
        nearer = [
            other for other in WORDS[1:] if vectors.similarity(WORDS[0], other) > vectors.similarity(WORDS[0], word)
        ]
        assert vectors.closer_than(WORDS[0], word) == nearer
        assert vectors.rank(WORDS[0], word) == len(nearer) + 1


@pytest.mark.parametrize("smoothing", [None, 0.1])
def test_it_counts_in_sentences(vectors, smoothing):
    sentences = SentenceVectors(vectors, smoothing=smoothing)
    weight = 1 if smoothing is None else smoothing / (smoothing + 4 / 21)
    expected = (weight * vectors["кошка"] + 2 * vectors[UNKNOWN]) / 3
    np.testing.assert_allclose(sentences.encode([["кошка", UNKNOWN, UNKNOWN]])[0], expected, rtol=1e-5)
    np.testing.assert_allclose(sentences.encode([[UNKNOWN]])[0], vectors[UNKNOWN], rtol=1e-5)


@pytest.mark.parametrize("mean", [True, False])
def test_words_are_predicted_from_it(mean):
    text = [["кошка", "собака", "дом"], ["кошки", "собаки", "дома"]] * 30
    options = {"min_count": 1, "sample": 0, "seed": 1, "subwords": True, "buckets": 99, "cbow_mean": mean}
    model = Word2Vec(dim=6, **options).fit(text, progress=False)
    total = model.vectors["дом"] + model.vectors[UNKNOWN]
    for context, query in (([UNKNOWN], model.vectors[UNKNOWN]), (["дом", UNKNOWN], total / 2 if mean else total)):
        logits = np.exp(model.output_vectors @ query)
        expected = logits / logits.sum()
        for word, probability in model.predict_output_word(context, topn=6):
            assert probability == pytest.approx(expected[model.vocabulary.key_to_index[word]], rel=1e-5)
