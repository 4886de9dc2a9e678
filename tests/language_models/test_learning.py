"""Models of every kind and objective learn a small language; losses that should agree do."""

from typing import Any

import numpy as np
import pytest
import torch

from language_cases import OBJECTIVES, OTHER_TEXT, TEXT, make, unigram_perplexity
from logq.language_models.output_layers import OutputLayer
from logq.samplers import Uniform


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", ["gru", "nnlm"])
def test_every_objective_beats_what_a_unigram_can(kind: str, objective: str) -> None:
    sampler = "unigram" if objective in ("negative_sampling", "gbce") else None
    model = make(kind, objective=objective, sampler=sampler).fit(TEXT, progress=False)
    assert model.perplexity(OTHER_TEXT, progress=False) < 0.65 * unigram_perplexity()
    log = model.training_log
    assert [entry["epoch"] for entry in log] == [1, 2, 3, 4]
    assert log[-1]["loss"] < log[0]["loss"]
    assert log[-1]["tokens_per_second"] > 0


@pytest.mark.parametrize(
    ("kind", "options"), [("lstm", {}), ("gru", {"layers": 2}), ("gru", {"tied": True, "dim": 16})]
)
def test_other_recurrent_models_learn(kind: str, options: dict[str, object]) -> None:
    model = make(kind, objective="full_softmax", epochs=6, **options).fit(TEXT, progress=False)
    assert model.perplexity(OTHER_TEXT, progress=False) < 0.65 * unigram_perplexity()


@pytest.mark.parametrize(
    ("sampled", "full"), [("sampled_softmax", "full_softmax"), ("sampled_logistic", "full_logistic")]
)
@pytest.mark.parametrize("kind", ["gru", "nnlm"])
def test_with_every_word_as_the_sample_it_is_the_full_loss(kind: str, sampled: str, full: str) -> None:
    one = make(kind, objective=sampled, sampler="every_class", epochs=1).fit(TEXT, progress=False)
    other = make(kind, objective=full, epochs=1).fit(TEXT, progress=False)
    assert one.training_log[0]["loss"] == pytest.approx(other.training_log[0]["loss"], rel=1e-5)
    assert one.score("w1 w6") == pytest.approx(other.score("w1 w6"), rel=1e-3)


def test_negative_sampling_needs_log_q_to_read_p() -> None:
    options: dict[str, Any] = {
        "objective": "negative_sampling",
        "sampler": "unigram",
        "unigram_power": 1.0,
        "replacement": True,  # without, frequent words stand in every sample, and Q says little
        "epochs": 4,
    }
    right, wrong = (make("nnlm", log_q=log_q, **options).fit(TEXT, progress=False) for log_q in (True, False))
    # What is trained is the same, log( P / Q ). Over 8 seeds the ratio is 0.84 with a standard deviation of 0.02.
    assert right.training_log[-1]["loss"] == wrong.training_log[-1]["loss"]
    assert right.perplexity(OTHER_TEXT, progress=False) < 0.97 * wrong.perplexity(OTHER_TEXT, progress=False)


def test_without_log_q_frequent_words_come_out_too_rare() -> None:
    options: dict[str, Any] = {
        "objective": "sampled_softmax",
        "sampler": "unigram",
        "unigram_power": 1.0,
        "num_sampled": 5,
        "epochs": 10,  # over 8 seeds the ratio is 0.90 with a standard deviation of 0.014
    }
    right, wrong = (make("nnlm", log_q=log_q, **options).fit(TEXT, progress=False) for log_q in (True, False))
    assert right.perplexity(OTHER_TEXT, progress=False) < wrong.perplexity(OTHER_TEXT, progress=False)


def test_a_function_of_the_counts_may_make_the_sampler() -> None:
    seen: list[np.ndarray] = []

    def sampler(counts: np.ndarray) -> Uniform:
        seen.append(counts)
        return Uniform(len(counts), 9, seed=1)

    model = make("gru", sampler=sampler, epochs=1).fit(TEXT, progress=False)
    assert seen[0].tolist() == model.vocabulary.counts.tolist()
    assert model.settings()["sampler"] == "custom"


@pytest.mark.parametrize("optimizer", ["adagrad", "sgd"])
@pytest.mark.parametrize("sparse", [False, True])
def test_other_optimizers_learn(optimizer: str, sparse: bool) -> None:
    lr = {"adagrad": 0.1, "sgd": 2.0}[optimizer]
    model = make("nnlm", optimizer=optimizer, lr=lr, sparse=sparse, clip=None).fit(TEXT, progress=False)
    assert model.perplexity(OTHER_TEXT, progress=False) < 0.9 * unigram_perplexity()


@pytest.mark.parametrize("objective", ["sampled_softmax", "negative_sampling", "hierarchical_softmax", "full_softmax"])
def test_sparse_gradients_touch_only_rows_of_the_batch_and_the_sample(objective: str) -> None:
    text = [[f"word{number}"] for number in range(300)]
    model: Any = make("gru", objective=objective, sparse=True, batch_size=2, bptt=3, num_sampled=4, epochs=1)
    outputs, make_modules = list[OutputLayer](), model._make_modules

    def noted(counts: np.ndarray, seed: int) -> OutputLayer:
        outputs.append(make_modules(counts, seed))
        return outputs[0]

    model._make_modules = noted
    before: dict[str, torch.Tensor] = {}
    changed: dict[str, int] = {}

    def look(step: int) -> None:
        parts = {"inputs": model.model.words.weight, "outputs": next(iter(outputs[0].parameters()))}
        for name, table in parts.items():
            if step == 2:
                changed[name] = int((table != before[name]).any(dim=1).sum())
            before[name] = table.detach().clone()

    model._on_batch = look
    model.fit(text, progress=False)
    assert 0 < changed["inputs"] <= 6
    assert 0 < changed["outputs"] <= (302 if objective == "full_softmax" else 6 * 10)
    if objective == "full_softmax":
        assert changed["outputs"] > 100


def test_the_best_weights_are_kept_and_patience_ends_the_training() -> None:
    model = make("nnlm", objective="full_softmax", lr=0.3, epochs=40, patience=2)
    model.fit(TEXT[:30], validation=OTHER_TEXT, progress=False)
    values = [entry["perplexity"] for entry in model.training_log]
    assert len(values) < 40
    assert int(np.argmin(values)) == len(values) - 3
    assert model.perplexity(OTHER_TEXT, progress=False) == pytest.approx(min(values), rel=1e-9)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    one, two, other = (make("gru", seed=seed, dropout=0.3, epochs=1).fit(TEXT, progress=False) for seed in (3, 3, 4))
    weights = [list(model.model.parameters()) for model in (one, two, other)]
    assert all(torch.equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not torch.equal(weights[0][0], weights[2][0])


@pytest.mark.parametrize(
    ("kind", "options"), [("gru", {"batch_size": 1, "layers": 2}), ("lstm", {"batch_size": 1}), ("nnlm", {})]
)
def test_training_reads_the_text_as_measuring_does(kind: str, options: dict[str, Any]) -> None:
    # With one column and no step to speak of, the mean loss of an epoch is the cross-entropy of the text: so the state
    # goes from batch to batch, and every token is predicted from what stands before it.
    model = make(kind, objective="full_softmax", lr=1e-12, epochs=2, **options).fit(TEXT[:20], progress=False)
    wanted = model.evaluate(TEXT[:20], progress=False).cross_entropy
    assert [entry["loss"] for entry in model.training_log] == pytest.approx([wanted, wanted], rel=1e-5)
    if kind != "nnlm":
        columns = make(kind, objective="full_softmax", lr=1e-12, epochs=1, **{**options, "batch_size": 5})
        loss = columns.fit(TEXT[:20], progress=False).training_log[0]["loss"]
        assert loss != pytest.approx(wanted, rel=1e-6)  # a column does not know what stands before it
