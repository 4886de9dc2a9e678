"""Where sizes must not follow from values, padding is computed and masked; it changes nothing of what is learned."""

from typing import Any

import numpy as np
import pytest
import torch

import recommender_cases
from language_cases import TEXT
from logq.functional import sampled_logistic_loss
from logq.samplers import InBatch, LearnedUnigram
from logq.word2vec import Word2Vec

LOOKS_AT_SIZES = (
    "eges",
    "encoding.encoders",
    "neural.item_loss",
    "encoding.item_tables",
    "mind",
    "sasrec",
    "sdm",
)
NEURAL = [*recommender_cases.NEURAL, "EGES", "AirbnbEmbeddings"]


@pytest.mark.parametrize("name", NEURAL)
def test_a_recommender_learns_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"epochs": 1, "batch_size": 32, "sampler": "unigram", "shared_negatives": True}
    if name == "TwoTower":
        options["id_dropout"] = 0.0  # which draws for each row, too
    if name == "AirbnbEmbeddings":
        del options["shared_negatives"], options["sampler"]
    log, answers = recommender_cases.planted_log(users=12), []
    for padded in (False, True):
        if name in ("EGES", "AirbnbEmbeddings"):  # rows of padding would get draws of their own
            monkeypatch.setattr("logq.recommenders.encoding.encoders.keeps_sizes", lambda _: True)
        if padded:
            for module in LOOKS_AT_SIZES:
                monkeypatch.setattr(f"logq.recommenders.{module}.keeps_sizes", lambda _: True)
        model = recommender_cases.make(name, **options).fit(log, progress=False)
        answers.append(model.recommend(histories=[[100, 103], [105]], k=5).scores)
    np.testing.assert_allclose(*answers, atol=1e-3)


def test_word2vec_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = []
    for padded in (False, True):
        monkeypatch.setattr("logq.word2vec.modules.keeps_sizes", lambda _, padded=padded: padded)
        model = Word2Vec(dim=8, epochs=1, min_count=1, seed=1, sg=False, engine="plain")
        vectors.append(model.fit(TEXT[:60], progress=False).vectors.vectors)
    np.testing.assert_allclose(*vectors, atol=1e-5)


@pytest.mark.parametrize("shape", [(12,), (12, 2)])
def test_in_batch_negatives_are_the_same(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    known, unseen = InBatch(40), InBatch(40)
    weight, inputs = torch.randn(40, 8), torch.randn(12, 8)
    for _ in range(3):
        targets = torch.randint(40, shape).masked_fill(torch.rand(shape) < 0.3, -100)
        expected = sampled_logistic_loss(inputs, weight, known.draw(targets))
        with monkeypatch.context() as patch:
            patch.setattr("logq.samplers.in_batch.can_look_at", lambda _: False)
            found = sampled_logistic_loss(inputs, weight, unseen.draw(targets))
        torch.testing.assert_close(found, expected)
    assert known.sample_size() == unseen.sample_size()


def test_learned_unigrams_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    known, unseen = LearnedUnigram(40, 30, seed=1), LearnedUnigram(40, 30, seed=1)
    for _ in range(4):
        targets = torch.randint(40, (12,)).masked_fill(torch.rand(12) < 0.3, -100)
        expected = known.draw(targets)
        with monkeypatch.context() as patch:
            patch.setattr("logq.samplers.learned_unigram.can_look_at", lambda _: False)
            patch.setattr("logq.samplers.learned_unigram.LearnedUnigram._sample", by_reference)
            found = unseen.draw(targets)
        assert torch.equal(found.ids, expected.ids)
        torch.testing.assert_close(found.log_expected_count, expected.log_expected_count)


def by_reference(self: LearnedUnigram, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    from logq.kernels.reference_draws import draws
    from logq.samplers.streams import take_seed

    return draws(self._distribution(), take_seed(generator, self.device), shape)
