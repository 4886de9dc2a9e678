"""Requests as they come: wrong ones are refused in one form, big and slow ones within limits, tokens are asked for."""

import json
import socket
import time

import numpy as np
import pytest

from logq.serving import ServingLimits, create_app
from logq.vectors import KeyedVectors


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    vectors = np.random.default_rng(0).normal(size=(50, 4))
    KeyedVectors([f"w{number}" for number in range(50)], vectors).save(folder)
    return folder


@pytest.fixture(scope="module")
def service(start, folder):
    return start(folder, "--timeout", 2, "--max-k", 20)


@pytest.mark.parametrize(
    ("body", "field", "expected", "got"),
    [
        ({"word": "w1", "k": 0}, "k", "a number >= 1", 0),
        ({"word": "w1", "k": 21}, "k", "a number <= 20", 21),
        ({"word": "w1", "k": "3"}, "k", "an integer", "3"),
        ({"word": "w1", "k": True}, "k", "an integer", True),
        ({"word": "w1", "k": None}, "k", "an integer", None),
        ({"word": "w1", "K": 3}, "K", "one of the fields word, positive, negative, k, restrict_vocab", "K"),
        ({"word": ["w1"]}, "word", "a string", "['w1']"),
        ({}, "word", "exactly one of word, positive", "none"),
        ({"word": "w1", "positive": ["w2"]}, "word", "exactly one of word, positive", "word, positive"),
        ({"positive": ["w1"] * 10_001}, "positive", "at most 10000 values", None),
        ({"positive": []}, "positive", "at least 1 values", "[]"),
        ({"word": "w1", "restrict_vocab": 0}, "restrict_vocab", "a number >= 1", 0),
    ],
)
def test_a_wrong_field_is_named(service, body, field, expected, got):
    told = service.refusal("/neighbors", 422, **body)
    assert (told["field"], told["expected"]) == (field, expected)
    if len(str(body)) < 1000:
        assert told["got"] == got
    else:
        assert len(told["got"]) <= 80
    assert told["message"].startswith(f"{field}: expected {expected}, got ")


@pytest.mark.parametrize(
    ("content", "kind", "status", "message"),
    [
        (b"{", "application/json", 400, "the body: expected JSON"),
        (b"\xff\xfe", "application/json", 400, ""),
        (b"", "application/json", 422, "expected a JSON object, got none"),
        (b"[]", "application/json", 422, "expected a JSON object, got another value"),
        (b'{"word": "w1"}', "text/plain", 415, "expected the header Content-Type: application/json"),
        (b'{"positive": [[NaN, 1, 1, 1]]}', "application/json", 422, ""),
        (b'{"word": "\\ud800"}', "application/json", 422, "word: expected a string of Unicode characters"),
        (b'{"k": ' + b"9" * 5000 + b"}", "application/json", 400, ""),
        (b'{"k": ' + b"[" * 50_000, "application/json", 400, ""),
    ],
)
def test_a_body_of_another_kind_is_refused(service, content, kind, status, message):
    response = service.client.post("/neighbors", content=content, headers={"Content-Type": kind})
    assert (response.status_code, response.json()["error"]["status"]) == (status, status), response.text
    assert message in response.json()["error"]["message"]


def test_paths_and_methods_that_are_not_there(service):
    told = service.client.get("/recommend").json()["error"]
    assert told["message"] == "there is no such path; word vectors here: /neighbors, /score, /health, /metrics, /docs"
    response = service.client.get("/neighbors")
    assert (response.status_code, response.json()["error"]["message"]) == (405, "expected POST, got GET")
    for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/health/../../etc/passwd"):
        assert service.client.get(path).status_code == 404


def test_bodies_have_a_size_and_a_time(service):
    much = b'{"word": "' + b"x" * (1 << 20) + b'"}'
    response = service.client.post("/neighbors", content=much, headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    pieces = (much[start : start + 50_000] for start in range(0, len(much), 50_000))  # of an untold length
    response = service.client.post("/neighbors", content=pieces, headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(b"POST /neighbors HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        began = time.monotonic()
        answer = b""
        while part := slow.recv(10_000):  # until the service closes
            answer += part
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert 1.5 < time.monotonic() - began < 60
        assert b'{"error":{"status":408,"message":"the body: expected it within 2 seconds"}}' in answer
    assert service.ask("/neighbors", word="w1", k=1)["neighbors"]  # and nobody else waited for it


def test_health_and_metrics(service):
    told = service.client.get("/health").json()
    assert (told["status"], told["family"], told["words"], told["dim"]) == ("ok", "word vectors", 50, 4)
    service.ask("/neighbors", word="w1")
    service.client.get("/a/path/of/somebody")
    text = service.client.get("/metrics").text
    assert 'logq_requests_total{path="/neighbors",status="200"}' in text
    assert 'logq_requests_total{path="other",status="404"}' in text
    assert "somebody" not in text
    assert "logq_batch_rows_bucket" in text
    assert "process_resident_memory_bytes" in text


def test_openapi_teaches_with_questions_that_this_model_answers(service):
    api = service.client.get("/openapi.json").json()
    assert sorted(api["paths"]) == ["/health", "/metrics", "/neighbors", "/score"]
    for path in ("/neighbors", "/score"):
        route = api["paths"][path]["post"]
        (example,) = route["requestBody"]["content"]["application/json"]["examples"].values()
        answer = route["responses"]["200"]["content"]["application/json"]["example"]
        assert service.ask(path, **example["value"]) == answer
        assert all(route[name] for name in ("summary", "description"))
    fields = api["components"]["schemas"]["NeighborsRequest"]["properties"]
    assert all(field["description"] for field in fields.values())
    assert fields["k"]["maximum"] == 20
    assert "text/html" in service.client.get("/docs").headers["content-type"]


def test_a_token_is_asked_for_wherever_something_is_told(start, folder):
    service = start(folder, LOGQ_TOKEN="a-secret")
    assert "a-secret" not in service.said
    assert '"Authorization: Bearer $LOGQ_TOKEN"' in service.said
    assert service.client.get("/health").status_code == 200
    for header in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Basic a-secret"}, {"Authorization": ""}):
        response = service.client.post("/neighbors", json={"word": "w1"}, headers=header)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        for path in ("/metrics", "/docs", "/openapi.json", "/nothing"):
            assert service.client.get(path, headers=header).status_code == 401
    good = {"Authorization": "Bearer a-secret"}
    assert service.client.post("/neighbors", json={"word": "w1"}, headers=good).status_code == 200
    api = service.client.get("/openapi.json", headers=good).json()
    assert api["paths"]["/neighbors"]["post"]["security"] == [{"HTTPBearer": []}]
    code, errors = service.end()
    assert code == 0
    assert "a-secret" not in service.said + errors


def test_arguments_are_checked():
    vectors = KeyedVectors(["a", "b"], [[1.0], [2.0]])
    for token in ("", "a b", "\u00e4"):
        with pytest.raises(ValueError, match="token: expected printable ASCII without blanks"):
            create_app(vectors, token=token)
    with pytest.raises(ValueError, match="reload_seconds: expected a finite number >= 0"):
        create_app(vectors, reload_seconds=-1)
    with pytest.raises(ValueError, match="rows: expected an integer >= 1, got 0"):
        ServingLimits(rows=0)
    assert json.dumps(create_app(vectors).openapi())
