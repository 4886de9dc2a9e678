"""What arguments mean, and what is said about wrong ones."""

from typing import Any

import pytest
import torch

from language_cases import TEXT, make
from logq.language_models import NNLM, RecurrentLM


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "softmax"}, "objective: expected one of negative_sampling, .*adaptive_softmax, got 'softmax'"),
        ({"objective": "full_softmax", "sampler": "uniform"}, "sampler: expected None, as full_softmax draws no"),
        (
            {"objective": "hierarchical_softmax", "sampler": "uniform"},
            "sampler: expected None, as hierarchical_softmax draws no",
        ),
        ({"sampler": "zipf"}, "sampler: expected one of .* got 'zipf'"),
        ({"num_sampled": 0}, "num_sampled: expected an integer >= 1, got 0"),
        ({"cutoffs": [5, 3], "objective": "adaptive_softmax"}, r"cutoffs: expected increasing numbers of words"),
        ({"cutoffs": "12", "objective": "adaptive_softmax"}, "cutoffs: expected a sequence of integers, got '12'"),
        ({"cutoffs": [5]}, "cutoffs: expected None, as sampled_softmax has no clusters"),
        ({"optimizer": "lion"}, "optimizer: expected one of adam, adagrad, sgd, got 'lion'"),
        ({"decay": "steps"}, "decay: expected one of constant, linear, cosine, got 'steps'"),
        ({"dropout": 1.0}, "dropout: expected a finite number >= 0"),
        ({"clip": -1}, "clip: expected a finite number > 0, got -1"),
        ({"lr": 0.0}, "lr: expected a finite number > 0, got 0"),
        ({"max_vocab": 2}, "max_vocab: expected an integer >= 3, got 2"),
        ({"precision": "half"}, "precision: expected one of"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    for kind in (NNLM, RecurrentLM):
        with pytest.raises((TypeError, ValueError), match=message):
            kind(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "rnn"}, "cell: expected one of gru, lstm, got 'rnn'"),
        ({"tied": True, "dim": 10}, "tied: expected dim = hidden, as one table serves both, got 10 and 200"),
        ({"tied": True, "objective": "hierarchical_softmax"}, "tied: .*hierarchical_softmax has no table of words"),
        ({"bptt": 0}, "bptt: expected an integer >= 1, got 0"),
        ({"layer": 2}, "RecurrentLM: unknown argument 'layer'"),
    ],
)
def test_wrong_options_of_recurrent_models(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        RecurrentLM(**options)


def test_a_text_that_does_not_fit_the_options() -> None:
    with pytest.raises(ValueError, match="batch_size: expected at most the 6 tokens of the text, got 8"):
        make("gru").fit([["a", "b"], ["c", "d"]], progress=False)
    with pytest.raises(ValueError, match="cutoffs: expected numbers below the 4 words of the text, got"):
        make("nnlm", objective="adaptive_softmax", cutoffs=[2, 9]).fit([["a", "b"]], progress=False)


def test_a_text_that_does_not_fit_leaves_a_fitted_model_as_it_was() -> None:
    model = make("gru", epochs=1).fit(TEXT[:20], progress=False)
    before = model.score("w0 w1 w6")
    with pytest.raises(ValueError, match="batch_size: expected at most the 6 tokens"):
        model.fit([["a", "b"], ["c", "d"]], progress=False)
    assert model.score("w0 w1 w6") == before


def test_rare_words_become_unknown() -> None:
    model = make("nnlm", max_vocab=6, epochs=1).fit(TEXT, progress=False)
    assert len(model.vocabulary) == 6
    model = make("nnlm", min_count=30, epochs=1).fit(TEXT, progress=False)
    assert min(model.vocabulary.counts[2:]) >= 30 or "<unk>" in model.vocabulary.index_to_key


def test_threads_are_those_of_the_caller_again() -> None:
    before, during = torch.get_num_threads(), []
    model: Any = make("nnlm", epochs=1, threads=2)
    model._on_batch = lambda step: during.append(torch.get_num_threads())
    model.fit(TEXT[:4], progress=False)
    assert set(during) == {2}
    assert torch.get_num_threads() == before


def test_settings_make_the_same_model() -> None:
    for model in (NNLM(direct=False, objective="nce", seed=2), RecurrentLM("lstm", 8, 9, 2, bptt=3, clip=None)):
        again = type(model)(**model.settings())
        assert again.settings() == model.settings()
        assert repr(again) == repr(model)
    assert repr(RecurrentLM(dim=8)) == "RecurrentLM(dim=8)"
    assert NNLM().batch_size == 256


def test_many_words_make_tables_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, options, wanted in (
        (10, {}, True),
        (1000, {}, False),
        (1000, {"sparse": True}, True),
        (10, {"sparse": False}, False),
        (10, {"tied": True, "dim": 16, "objective": "full_softmax"}, False),
        (10, {"tied": True, "dim": 16}, True),
    ):
        monkeypatch.setattr("logq.language_models.neural_language_model.MANY_WORDS", limit)
        model = make("gru", epochs=1, **options).fit(TEXT[:20], progress=False)
        assert model.model.words.sparse is wanted
