"""The page over HTTP: what it asks is answered as the model answers, to browsers of this machine alone."""

import json
import re

import pytest
from fastapi.testclient import TestClient

from logq import EASE, Interactions, ItemKNN, KeyedVectors
from logq.explorer import create_explorer

SESSIONS = [["a", "b", "c"], ["a", "b"], ["c", "d", "e"], ["d", "e"], ["a", "c"], ["b"]]


@pytest.fixture(scope="module")
def models():
    log = Interactions.from_sessions(SESSIONS)
    return ItemKNN().fit(log), EASE().fit(log)


@pytest.fixture(scope="module")
def client(models):
    app = create_explorer(*models, layout="pca", title="Two models")
    with TestClient(app, base_url="http://127.0.0.1:8001") as client:
        yield client


def data_of(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return json.loads(re.search(r'type="application/json">(.*?)</script>', answer.text, re.S)[1]), answer


def test_the_page_asks_both_models(client, models):
    data, answer = data_of(client)
    assert "connect-src 'self'" in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
    assert [one["name"] for one in data["explore"]["models"]] == ["ItemKNN", "EASE"]
    assert [one["explains"] for one in data["explore"]["models"]] == [True, True]
    for told, model in zip(data["explore"]["models"], models, strict=True):
        body = {"history": ["a", "c", "gold"], "k": 10, "explain": True, "unknown": "ignore"}
        answer = client.post(f"/{told['path']}recommend", json=body).json()
        best = model.recommend(histories=["a", "c"], k=10, explain=True)
        assert [one["item"] for one in answer["items"]] == [one for one in best.items if one is not None]
        assert answer["items"][0]["because"][0]["item"] == best.reasons.items[0][0]
        assert answer["status"] == "1 unknown item left out"


def test_the_routes_of_the_service_are_there_too(client):
    assert client.get("/health").json()["model"] == "ItemKNN"
    assert client.get("/beside/health").json()["model"] == "EASE"
    assert client.post("/similar", json={"item": "a", "k": 1}).status_code == 200
    assert client.post("/recommend", json={"history": ["gold"]}).json()["error"]["field"] == "history[0]"
    assert client.get("/nowhere").status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8001", "127.0.0.1.evil.example"])
def test_a_page_of_somebody_else_reads_nothing(client, host):
    """A name that somebody lets point to this machine is refused, for the page and for questions."""
    assert client.get("/", headers={"Host": host}).status_code == 400
    assert client.post("/similar", json={"item": "a"}, headers={"Host": host}).status_code == 400


def test_words_are_added_and_subtracted():
    rows = [[1, 0, 1, 1], [0, 1, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1]]
    vectors = KeyedVectors(["king", "queen", "man", "woman"], rows)
    client = TestClient(create_explorer(vectors, layout="pca"), base_url="http://localhost")
    data, _ = data_of(client)
    assert data["explore"]["models"][0]["path"] == ""
    assert "vectors" not in data["explore"]["models"][0]
    answer = client.post("/neighbors", json={"positive": ["king", "woman"], "negative": ["man"], "k": 1}).json()
    assert answer["neighbors"][0]["word"] == "queen"


def test_ids_are_asked_for_as_text_which_no_browser_rounds():
    base = 9_007_199_254_740_993
    model = ItemKNN().fit(Interactions.from_sessions([[base, base + 2], [base, base + 2, base + 4]]))
    client = TestClient(create_explorer(model, layout="pca"), base_url="http://localhost")
    data, _ = data_of(client)
    asked = data["words"][0]
    answer = client.post("/recommend", json={"history": [asked], "k": 2}).json()
    assert {asked, *(str(one["item"]) for one in answer["items"])} == set(data["words"])
