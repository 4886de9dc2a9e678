"""A folder that is replaced takes over without a lost request; a broken one leaves the old model at work."""

import os
import shutil
import threading
import time

import httpx
import numpy as np
import pytest

from logq.logs import Interactions
from logq.recommenders import Popularity
from logq.serving.live_model import LiveModel, identity_of
from logq.vectors import KeyedVectors

WORDS = [f"w{number}" for number in range(40)]


def write_vectors(folder, seed, words=WORDS):
    vectors = np.random.default_rng(seed).normal(size=(len(words), 8))
    KeyedVectors(words, vectors).save(folder)
    return KeyedVectors(words, vectors)


def test_a_new_model_takes_over_under_load_without_a_lost_request(start, tmp_path):
    """Sixteen clients ask without a pause while the folder is replaced three times, and broken once.

    Every answer is that of one of the models that were there, wholly, and never of an older one than before.
    """
    folder = tmp_path / "vectors"
    versions = [write_vectors(folder, 0)]
    service = start(folder, "--reload", "0.1")
    ends, failures, told = threading.Event(), [], [[] for _ in range(16)]

    def ask(place):
        with httpx.Client(base_url=service.url, timeout=60) as client:
            while not ends.is_set():
                try:
                    response = client.post("/neighbors", json={"word": "w1", "k": 1})
                    told[place].append(response.json()["neighbors"][0]["cosine"])
                    if response.status_code != 200:
                        failures.append(response.text)
                except Exception as error:
                    failures.append(repr(error))

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(16)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: any(told))  # the first model has answered, however busy the machine
        for seed in (1, 2, 3):
            versions.append(write_vectors(folder, seed))
            newest = pytest.approx(versions[-1].most_similar("w1", topn=1)[0][1], abs=1e-6)
            until(lambda newest=newest: service.ask("/neighbors", word="w1", k=1)["neighbors"][0]["cosine"] == newest)
            if seed == 1:  # cut short, as by a full disk
                path = folder / "vectors.safetensors"
                path.write_bytes(path.read_bytes()[:100])
                assert "vectors.safetensors" in service.until(lambda health: health["status"] == "stale")["failure"]
        time.sleep(0.3)
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    assert not failures
    best = [round(version.most_similar("w1", topn=1)[0][1], 5) for version in versions]
    for answers in told:
        order = [best.index(round(answer, 5)) for answer in answers]
        assert order == sorted(order)
    assert {best.index(round(answer, 5)) for answers in told for answer in answers} == {0, 1, 2, 3}
    code, errors = service.end()
    assert code == 0
    assert "the new model cannot be loaded, the old one stays" in errors
    assert errors.count("the model was replaced by what its folder holds now") >= 3


def test_a_folder_that_is_renamed_or_is_gone_for_a_while(tmp_path):
    folder, reports = tmp_path / "vectors", []
    write_vectors(folder, 0)
    live = LiveModel(places=[folder], seconds=0.05, report=reports.append)
    write_vectors(tmp_path / "new", 1)
    folder.rename(tmp_path / "old")
    (tmp_path / "new").rename(folder)
    until(lambda: reports == ["ok"])
    shutil.rmtree(folder)
    until(lambda: live.about()["status"] == "stale")
    # It may be looked at when it is empty already, and not yet gone.
    said = live.about()["failure"]
    assert said == "FileNotFoundError: vectors: there is no such file or folder" or "found none" in said
    # Another kind of model is no replacement: the routes are those of the first one.
    Popularity().fit(Interactions.from_sessions([["a", "b"]])).save(folder)
    until(lambda: "expected word vectors, as before, found recommender" in live.about().get("failure", ""))
    shutil.rmtree(folder)
    write_vectors(folder, 2)
    until(lambda: live.about()["status"] == "ok")
    assert live.about()["reloads"] >= 2
    assert reports[-1] == "ok"
    live.close()


def test_a_link_that_points_elsewhere_is_a_new_model(tmp_path):
    for seed in (0, 1):
        write_vectors(tmp_path / str(seed), seed, WORDS[: 30 + seed])
    link = tmp_path / "live"
    link.symlink_to("0")
    live = LiveModel(places=[link], seconds=0.05)
    (tmp_path / "next").symlink_to("1")
    os.replace(tmp_path / "next", link)
    until(lambda: live.about()["words"] == 31)
    live.close()


def test_what_a_training_writes_on_its_way_is_no_new_model(tmp_path):
    write_vectors(tmp_path, 0)
    before = identity_of([tmp_path])
    (tmp_path / "checkpoint.safetensors").touch()
    (tmp_path / ".vectors.tmp").touch()
    assert identity_of([tmp_path]) == before
    (tmp_path / "titles.json").touch()
    assert identity_of([tmp_path]) != before


def test_a_model_that_cannot_answer_is_not_served(tmp_path, monkeypatch):
    write_vectors(tmp_path, 0)
    monkeypatch.setattr(KeyedVectors, "most_similar", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        LiveModel(places=[tmp_path])


def until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
