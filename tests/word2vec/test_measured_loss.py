"""The loss that is told: of every pair of a small text, of a part of a large one, and of nothing it is not a number."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest

from logq import Word2Vec
from logq.text import encode
from logq.word2vec import corpus_run
from logq.word2vec.corpus_run import CorpusRun
from logq.word2vec.engines import first_vectors, load_engine

SMALL = [list("abcdef")] * 20


def losses(**options):
    seen = []
    Word2Vec(**{"dim": 8, "min_count": 1, "sample": 0, "epochs": 6, "seed": 1, **options}).fit(
        SMALL, progress=False, on_epoch_end=lambda model, _: seen.append(model.mean_loss)
    )
    return seen


@pytest.mark.parametrize("sg", [True, False])
def test_the_loss_of_a_small_text_is_that_of_every_pair(sg):
    # All output vectors are 0: log 2 for the word and for each of five negatives that is not the word, one of six.
    untrained = math.log(2) * (1 + 5 * 5 / 6)
    for options in ({}, {"shared_negatives": False}):
        np.testing.assert_allclose(losses(lr=1e-9, sg=sg, **options), untrained, rtol=0.05)
    np.testing.assert_allclose(losses(lr=1e-9, sg=sg, hs=True), math.log(2) * (2 * 2 + 4 * 3) / 6, rtol=0.05)
    falling = losses(lr=0.1, sg=sg)
    assert all(1 < later < earlier for earlier, later in pairwise(falling)), falling


def run_over(sentences, limit, monkeypatch):
    monkeypatch.setattr(corpus_run, "MEASURED_WHOLE", limit)
    settings = Word2Vec(dim=4, min_count=1, sample=0, num_sampled=5, seed=1)
    with encode(sentences, min_count=1) as corpus:
        engine = load_engine("fused")(settings, corpus.vocabulary, first_vectors(len(corpus.vocabulary), 4, 1), 1)
        run = CorpusRun(corpus, engine, epochs=1, lr=1e-9, seed=1)
        run._train_span(corpus.num_ids)
        return run


def test_of_a_large_text_one_pair_in_64_is_measured(monkeypatch):
    sentences = [[f"w{i % 50}" for i in range(j, j + 20)] for j in range(5000)]
    all_of_them, some = (run_over(sentences, limit, monkeypatch) for limit in (100_000, 99_999))
    assert all_of_them.loss_pairs == all_of_them.pairs
    assert 1 / 80 < some.loss_pairs / some.pairs < 1 / 50
    assert some.mean_loss == pytest.approx(all_of_them.mean_loss, rel=0.01)


def test_a_loss_of_nothing_is_not_a_number(monkeypatch, tmp_path):
    seen = set()
    monkeypatch.setattr(corpus_run, "MEASURED_WHOLE", 0)
    for seed in range(10):
        model = Word2Vec(dim=4, min_count=1, sample=0, epochs=1, seed=seed).fit([["a", "b"]], progress=False)
        assert math.isnan(model.mean_loss) or model.mean_loss > 1
        seen.add(math.isnan(model.mean_loss))
        model.save_vectors(tmp_path)
        told = json.loads((tmp_path / "vectors.json").read_text(), parse_constant=pytest.fail)["info"]["mean_loss"]
        assert (told is None) == math.isnan(model.mean_loss)
    assert True in seen
