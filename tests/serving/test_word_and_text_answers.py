"""Word vectors and language models answer over HTTP what they answer in Python, from every kind of file."""

import math

import numpy as np
import pytest

from language_cases import TEXT
from logq import NGram, Word2Vec
from logq.language_models import NNLM, RecurrentLM
from logq.retrieval import make_index
from logq.serving.batching import Question
from logq.serving.open_models import answers_of, open_answers
from logq.vectors import KeyedVectors

NEURAL = {"dim": 8, "epochs": 1, "num_sampled": 10, "batch_size": 16, "seed": 1}
MODELS = ("NGram", "NNLM", "RecurrentLM")


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    return KeyedVectors([f"w{number}" for number in range(300)], rng.normal(size=(300, 16)))


@pytest.fixture(scope="module")
def models():
    return {
        "NGram": NGram(3, discount_fallback=(0.5, 1.0, 1.5)).fit(TEXT, progress=False),
        "NNLM": NNLM(**NEURAL, hidden=8, context=2).fit(TEXT, progress=False),
        "RecurrentLM": RecurrentLM(**NEURAL, hidden=8).fit(TEXT, progress=False),
    }


@pytest.fixture(scope="module")
def word2vec():
    return Word2Vec(dim=8, min_count=1, epochs=1, seed=1, threads=1).fit(TEXT, progress=False)


@pytest.fixture(scope="module")
def service(models, vectors, word2vec, mount, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, model in models.items():
        model.save(folder / name)
    models["NGram"].to_arpa(folder / "model.arpa")
    vectors.save(folder / "vectors")
    vectors.save_word2vec_format(folder / "vectors.bin", binary=True)
    make_index("exact", vectors.vectors, metric="cosine").save(folder / "index")
    word2vec.save(folder / "word2vec")
    places = {name: folder / name for name in (*MODELS, "vectors", "word2vec")}
    places |= {"binary": folder / "vectors.bin", "arpa": folder / "model.arpa"}
    return mount(places | {"indexed": f"{folder / 'vectors'}|{folder / 'index'}"})


def same_words(answer, expected):
    assert [one["word"] for one in answer["neighbors"]] == [word for word, _ in expected]
    np.testing.assert_allclose([one["cosine"] for one in answer["neighbors"]], [by for _, by in expected], atol=1e-6)


@pytest.mark.parametrize("name", ["vectors", "binary", "indexed"])
def test_neighbors_are_those_of_python(service, vectors, name):
    same_words(service.ask(f"/{name}/neighbors", word="w3"), vectors.most_similar("w3"))
    same_words(
        service.ask(f"/{name}/neighbors", word="w3", k=3, restrict_vocab=50),
        vectors.most_similar("w3", topn=3, restrict_vocab=50),
    )
    row = vectors["w9"].tolist()
    found = service.ask(f"/{name}/neighbors", positive=["w1", row], negative=["w2"], k=7)
    same_words(found, vectors.most_similar(["w1", np.array(row)], ["w2"], topn=7))
    (score,) = service.ask(f"/{name}/score", pairs=[["w1", "w2"]])["scores"]
    assert score == {"words": ["w1", "w2"], "cosine": pytest.approx(vectors.similarity("w1", "w2"))}


def test_vectors_of_a_word2vec(service, word2vec):
    asked = [Question("/neighbors", {"word": "w3"})]
    same_words(answers_of(word2vec).answer(asked)[0], word2vec.vectors.most_similar("w3"))
    same_words(service.ask("/word2vec/neighbors", word="w3"), word2vec.vectors.most_similar("w3"))


@pytest.mark.parametrize("largest", [1.0, 3e38])
def test_questions_of_one_batch_share_a_pass_and_answer_as_alone(monkeypatch, largest):
    """With rows that are equal, zero and huge, over several pieces of the table; ties in the order of the words."""
    monkeypatch.setattr("logq.serving.word_search._NUMBERS", 200)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(90, 4)).astype(np.float32)
    rows[10:20], rows[30], rows[40:43] = rows[9], 0, largest
    vectors = KeyedVectors([f"w{number}" for number in range(90)], rows)
    asked = [{"word": f"w{number}", "k": 1 + number % 9} for number in range(40)]
    asked += [
        {"positive": ["w1", [1.0, 0.0, 0.0, 0.0]], "negative": ["w9"]},
        {"word": "nothing"},
        {"word": "w1", "k": 90},
    ]
    asked += [{"word": "w9", "restrict_vocab": 25}, {"word": "w80", "restrict_vocab": 25}]
    questions = [Question("/neighbors", one) for one in asked]
    answers = answers_of(vectors)
    for question, together in zip(questions, answers.answer(questions), strict=True):
        (alone,) = answers.answer([question])
        if isinstance(alone, Exception):
            assert str(together) == str(alone)
        else:
            same_words(together, [(one["word"], one["cosine"]) for one in alone["neighbors"]])


def test_unknown_words_are_named_with_the_closest(service):
    told = service.refusal("/vectors/neighbors", 404, word="w3x")
    assert (told["field"], told["got"]) == ("word", "w3x")
    assert "the closest are w3" in told["expected"]
    assert service.refusal("/vectors/neighbors", 422, positive=[[1.0, 2.0]])["expected"] == "16 finite numbers"
    told = service.refusal("/vectors/score", 404, pairs=[["w3", "?"]])
    assert (told["field"], told["got"]) == ("pairs[0][1]", "?")


@pytest.mark.parametrize("name", [*MODELS, "arpa"])
def test_texts_are_continued_and_scored_as_in_python(service, models, name):
    model = models["NGram" if name == "arpa" else name]
    digits = 1e-4 if name == "arpa" else 1e-5  # a file of text has seven of them
    found, expected = service.ask(f"/{name}/next", prompt="w3 w16", k=4), model.next_words("w3 w16", 4)
    assert [one["word"] for one in found["words"]] == expected.words
    np.testing.assert_allclose([one["log_prob"] for one in found["words"]], expected.log_prob, rtol=digits)
    assert found["words"][0]["probability"] == pytest.approx(math.exp(expected.log_prob[0]), rel=digits)
    assert found["unknown"] == []
    scored = service.ask(f"/{name}/score", text="w3 w16 moon")
    assert scored["log_prob"] == pytest.approx(model.score("w3 w16 moon"), rel=digits)
    assert scored["unknown"] == ["moon"]
    assert [one["word"] for one in scored["words"]] == ["w3", "w16", "<unk>", "</s>"]
    assert scored["perplexity"] == pytest.approx(math.exp(-scored["log_prob"] / 4), rel=digits)
    open_end = service.ask(f"/{name}/score", text="w3 w16", end=False)
    assert open_end["log_prob"] == pytest.approx(model.score("w3 w16", end=False), rel=digits)
    made = service.ask(f"/{name}/generate", prompt="w3", max_words=6, temperature=0.7, top_k=5, seed=4)
    assert made["text"] == model.generate("w3", max_words=6, temperature=0.7, top_k=5, seed=4)


def test_what_is_impossible_has_no_logarithm():
    model = NGram(2, "maximum_likelihood").fit([["a", "b"]], progress=False)
    asked = {"/next": {"prompt": "a", "k": 9}, "/score": {"text": "b a"}}
    next_words, scored = answers_of(model).answer([Question(path, one) for path, one in asked.items()])
    assert {one["word"]: one["log_prob"] for one in next_words["words"]}["a"] is None
    assert (scored["log_prob"], scored["perplexity"]) == (None, None)


def test_what_cannot_be_served_is_told(tmp_path, models, vectors):
    with pytest.raises(FileNotFoundError, match="there is no such file or folder"):
        open_answers(tmp_path / "nothing")
    with pytest.raises(ValueError, match="expected a recommender, word vectors or a language model, found none"):
        open_answers(tmp_path)
    with pytest.raises(TypeError, match="model: expected a recommender, word vectors or a language model, got 5"):
        answers_of(5)
    with pytest.raises(TypeError, match="none with a language model"):
        answers_of(models["NGram"], [make_index("exact", vectors.vectors)])
    other = make_index("exact", vectors.vectors[:9], metric="cosine")
    with pytest.raises(ValueError, match=r'index: expected one of these 300 vectors with metric="cosine"'):
        answers_of(vectors, [other]).rehearse()
