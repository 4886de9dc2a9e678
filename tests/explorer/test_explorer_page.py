"""What a page in a file knows: it is held to the models, by a decoder of its own."""

import base64
import json
import re

import numpy as np
import pytest

from logq import EASE, Interactions, ItemKNN, KeyedVectors, NGram, Popularity
from logq.evaluation.map_layout import unit
from logq.explorer import write_explorer
from logq.explorer.explorer_page import names_of, source_of
from logq.folders.recommender_folders import RecommenderFolder
from recommender_cases import BASELINES, NEURAL, SKIP_GRAM, make, planted_split

WORDS = ["king", "queen", "man", "woman", "[tea]", "</script>"]
ROWS = np.array([[1, 0, 1, 1], [0, 1, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1], [-1, -1, 0, 0.5], [-1, -1, 0.2, 0.4]])
SESSIONS = [["a", "b", "c"], ["a", "b"], ["c", "d", "e"], ["d", "e"], ["a", "c"], ["b"]]


@pytest.fixture
def page(tmp_path):
    """Write a page: the arguments of write_explorer -> (its data, its text)."""

    def write(model, beside=None, **chosen):
        write_explorer(model, tmp_path / "page.html", beside, layout="pca", **chosen)
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)[1]), text

    return write


def words():
    return KeyedVectors(WORDS, ROWS, counts=[60, 50, 40, 30, 20, 10])


def unpacked(model, count):
    table = np.frombuffer(base64.b64decode(model["vectors"]), dtype=np.int8).reshape(count, model["dim"]).astype(float)
    return table / np.maximum(1, np.linalg.norm(table, axis=1, keepdims=True))


def test_words_have_their_vectors_and_a_sum_finds_what_most_similar_finds(page):
    data, _ = page(words())
    (model,) = data["explore"]["models"]
    vectors = unpacked(model, len(WORDS))
    assert not data["explore"]["live"]
    exact = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    assert np.abs(vectors @ vectors.T - exact @ exact.T).max() < 0.01
    at = data["words"].index
    total = vectors[at("king")] - vectors[at("man")] + vectors[at("woman")]
    best = max(
        (word for word in WORDS if word not in ("king", "man", "woman")), key=lambda word: total @ vectors[at(word)]
    )
    assert best == words().most_similar(["king", "woman"], ["man"], topn=1)[0][0] == "queen"
    assert data["explore"]["example"] == ["king", "man", "woman"]


def test_cosines_of_rounded_vectors_are_off_by_less_than_a_hundredth(page):
    rows = np.random.default_rng(0).normal(size=(150, 20)) * np.linspace(0.1, 3, 20)
    data, _ = page(KeyedVectors([f"w{one}" for one in range(150)], rows))
    vectors = unpacked(data["explore"]["models"][0], 150)
    exact = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.abs(vectors @ vectors.T - exact @ exact.T).max() < 0.01


def test_words_that_the_second_model_lacks_are_told(page):
    other = KeyedVectors(["woman", "queen", "king"], ROWS[[3, 1, 0]])
    data, _ = page(words(), other)
    first, second = data["explore"]["models"]
    assert first["known"] is None
    assert second["known"] == [1, 1, 0, 1, 0, 0]
    assert [data["words"][near] for near in second["near"][0]] == [word for word, _ in other.most_similar("king")]
    assert second["near"][2] == []
    assert not unpacked(second, len(WORDS))[2].any()


def test_items_have_titles_counts_and_the_answers_of_the_model(page):
    log = Interactions.from_sessions(SESSIONS)
    model = ItemKNN().fit(log)
    titles = [f"Title of {one}" for one in model.item_ids]
    data, _ = page(RecommenderFolder(model, None, None, titles, {}))
    counts = {item: sum(session.count(item) for session in SESSIONS) for item in "abcde"}
    assert data["words"] == [f"Title of {one}" for one in data["ids"]]
    assert [counts[one] for one in data["ids"]] == data["count"] == sorted(counts.values(), reverse=True)
    (told,) = data["explore"]["models"]
    for place, item in enumerate(data["ids"]):
        near = model.similar_items(item, k=4)
        known = [(one, score) for one, score in zip(near.items, near.scores, strict=True) if one is not None]
        assert [data["ids"][one] for one in told["near"][place]] == [one for one, _ in known]
        assert told["similarity"][place] == pytest.approx([1000 * score for _, score in known], abs=0.51)
        best = model.recommend(histories=[item], k=10)
        known = [(one, score) for one, score in zip(best.items, best.scores, strict=True) if one is not None]
        places, scores = told["after"][place]
        assert [data["ids"][one] for one in places] == [one for one, _ in known]
        assert scores == pytest.approx([score for _, score in known], rel=1e-4)


@pytest.mark.parametrize("name", [*NEURAL, *SKIP_GRAM, *BASELINES])
def test_every_recommender_that_compares_items_has_a_page(page, name):
    model = make(name, **{} if name in BASELINES else {"epochs": 1}).fit(planted_split().train, progress=False)
    if name == "Popularity":
        with pytest.raises(ValueError, match="compares items"):
            page(model)
        return
    data, _ = page(model, top=12)
    assert len(data["words"]) == 12
    assert data["vocabulary"] == model.known.num_items
    assert np.isfinite([data["x"], data["y"]]).all()
    assert {place for row in data["near"] for place in row} <= set(range(12))
    after = data["explore"]["models"][0]["after"]
    assert len(after) == 12
    allowed = [model.item_ids.dtype.type(one) for one in data["words"]]
    best = model.recommend(histories=[allowed[3]], k=3, allow=allowed)
    assert [data["words"][one] for one in after[3][0][:3]] == [str(one) for one in best.items if one is not None]


def test_ids_that_are_large_numbers_stay_what_they_are(page):
    base = 9_007_199_254_740_993
    log = Interactions.from_sessions([[base, base + 2], [base, base + 2, base + 4]])
    data, _ = page(ItemKNN().fit(log), EASE().fit(log))
    assert set(data["words"]) == {str(base), str(base + 2), str(base + 4)}
    assert data["ids"] is None
    assert data["explore"]["models"][1]["known"] is None


def test_names_are_only_names_and_nothing_is_loaded(page):
    data, text = page(words(), title="<b>&")
    assert data["words"] == WORDS
    assert text.count("<script") == 2
    assert "<title>&lt;b&gt;&amp;</title>" in text
    assert "default-src 'none'" in text
    assert "connect-src" not in text
    assert not re.search(r"https?://|@import|url\(", text)


@pytest.mark.parametrize("make_model", [ItemKNN, EASE])
def test_items_that_are_alike_have_vectors_that_are_alike(make_model):
    """Each item has one partner; the matrix of such similarities has as many negative eigenvalues as positive ones."""
    pairs = [("tea", "cup"), ("saw", "nail"), ("ink", "pen"), ("bow", "tie")]
    source = source_of(make_model().fit(Interactions.from_sessions([pair for pair in pairs for _ in range(3)])))
    ids = source.ids(8)
    rows = unit(source.vectors(ids, False))
    partners = [[one == other or (one, other) in pairs or (other, one) in pairs for other in ids] for one in ids]
    assert rows @ rows.T == pytest.approx(np.array(partners, dtype=float), abs=1e-6)


def test_a_page_has_the_name_of_its_folder(tmp_path, monkeypatch):
    (tmp_path / "films").mkdir()
    monkeypatch.chdir(tmp_path / "films")
    assert names_of(".", "..") == ["films", tmp_path.name]


def test_a_title_that_is_no_text_is_shown_as_far_as_it_is(page):
    assert "<title>film?s</title>" in page(words(), title="film\udcffs")[1]


def test_the_same_seed_gives_the_same_page(page):
    model = ItemKNN().fit(planted_split().train)
    assert page(model, seed=3)[1] == page(model, seed=3)[1]


def test_what_has_no_page_is_told(tmp_path):
    log = Interactions.from_sessions(SESSIONS)

    def told(*models):
        with pytest.raises((ValueError, TypeError)) as error:
            write_explorer(models[0], tmp_path / "page.html", *models[1:], layout="pca")
        assert not (tmp_path / "page.html").exists()
        return str(error.value)

    assert "model: expected one that compares items" in told(Popularity().fit(log))
    assert "beside: expected a model of words" in told(words(), ItemKNN().fit(log))
    assert "a language model has no map" in told(NGram(2, "add_k").fit([["a", "b"]], progress=False))
    assert "word vectors or a recommender" in told(3)
