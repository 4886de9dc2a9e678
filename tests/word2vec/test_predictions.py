"""What a model predicts is what gensim predicts from the same tables, and what a loop over the tree gives."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from logq import ArgumentError, Word2Vec
from logq.huffman import HuffmanTree
from logq.text import Vocabulary

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gensim_predictions.json").read_text(encoding="utf-8"))


def as_ours(made):
    settings = made["settings"]
    model = Word2Vec(
        dim=5, window=2, min_count=1, sample=1e-3, num_sampled=5, sg=bool(settings["sg"]), hs=bool(settings["hs"]),
        cbow_mean=bool(settings.get("cbow_mean", 1)),
    )  # fmt: skip
    model.vocabulary = Vocabulary(made["words"], made["counts"])
    tables = {"vectors": made["vectors"], "engine/outputs": made["outputs"]}
    model.restore({name: np.array(table, dtype=np.float32) for name, table in tables.items()})
    return model


def score_by_loop(made, sentence, log_sigmoid):
    """The score of a sentence, step by step: each word from those around it, or from their mean or sum."""
    tree, settings = HuffmanTree.from_counts(made["counts"]), made["settings"]
    ids = [made["words"].index(word) for word in sentence if word in made["words"]]
    total = 0.0
    for at, word in enumerate(ids):
        around = [np.array(made["vectors"][ids[j]]) for j in range(max(0, at - 2), min(len(ids), at + 3)) if j != at]
        if not settings["sg"]:
            hidden = sum(around, np.zeros(5))
            around = [hidden / len(around) if around and settings.get("cbow_mean", 1) else hidden]
        for query in around:
            for node, code in zip(*tree.path(word), strict=True):
                total += log_sigmoid((1 - 2 * int(code)) * float(query @ made["outputs"][node]))
    return total


def as_gensim_rounds(logit):
    """It looks logarithms up in a table of 1,000 cells from -6 to 6, by (logit + 6) * 83."""
    return exactly(math.floor((logit + 6) * 83) / 1000 * 12 - 6)


def exactly(logit):
    return -math.log1p(math.exp(-logit))


@pytest.mark.parametrize("made", [one for one in GOLDEN["models"] if one["settings"]["hs"]])
def test_sentences_score_as_in_gensim_but_for_its_rounding(made):
    scores = as_ours(made).score(GOLDEN["sentences"])
    for sentence, score, expected in zip(GOLDEN["sentences"], scores, made["scores"], strict=True):
        assert math.isclose(score_by_loop(made, sentence, as_gensim_rounds), expected, rel_tol=1e-4)
        if len(sentence) == 1:  # which has nothing to be predicted from; CBOW of gensim predicts it from zeros
            assert score == 0
        else:
            assert math.isclose(score, score_by_loop(made, sentence, exactly), rel_tol=1e-5)


@pytest.mark.parametrize("made", [one for one in GOLDEN["models"] if not one["settings"]["hs"]])
def test_words_are_predicted_as_in_gensim(made):
    model = as_ours(made)
    for context, expected in zip(GOLDEN["contexts"], made["predicted"], strict=True):
        answer = model.predict_output_word(context, topn=4)
        assert [word for word, _ in answer] == [word for word, _ in expected]
        np.testing.assert_allclose([p for _, p in answer], [p for _, p in expected], rtol=1e-5)
    everything = model.predict_output_word(["w0"], topn=100)
    assert math.isclose(sum(p for _, p in everything), 1, rel_tol=1e-6)


def test_the_probabilities_of_a_tree_are_products_along_its_paths():
    made = GOLDEN["models"][0]
    model, tree = as_ours(made), HuffmanTree.from_counts(made["counts"])
    query = np.mean([made["vectors"][1], made["vectors"][3]], axis=0)
    answer = dict(model.predict_output_word([made["words"][1], made["words"][3], "unknown"], topn=8))
    for number, word in enumerate(made["words"]):
        p = 1.0
        for node, code in zip(*tree.path(number), strict=True):
            right = 1 / (1 + math.exp(-float(np.dot(query, made["outputs"][node]))))
            p *= 1 - right if code else right
        assert math.isclose(answer[word], p, rel_tol=1e-5)
    assert math.isclose(sum(answer.values()), 1, rel_tol=1e-6)


def test_what_cannot_be_predicted_is_said():
    model = as_ours(GOLDEN["models"][3])
    with pytest.raises(ArgumentError, match=r"^hs: expected True for a model that scores sentences, got False"):
        model.score(GOLDEN["sentences"])
    with pytest.raises(ArgumentError, match=r"^context_words_list: expected at least one word with a vector, got none"):
        model.predict_output_word(["unknown"])
    with pytest.raises(AttributeError, match="it has learned nothing yet"):
        Word2Vec().predict_output_word(["w1"])
    with pytest.raises(ValueError, match="hierarchical softmax has vectors of inner nodes"):
        _ = as_ours(GOLDEN["models"][0]).summed_vectors


def test_both_tables_are_added_up():
    model = as_ours(GOLDEN["models"][3])
    np.testing.assert_array_equal(model.summed_vectors.vectors, model.vectors.vectors + model.output_vectors)
