"""Models go to the hub and come back: the client is the real one, the server is tests/hub_server.py."""

import io
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import logq
from hub_server import TOKEN, serving_hub
from logq import EASE, Interactions, KeyedVectors, NGram, SessionKNN, Word2Vec, YoutubeDNN
from logq.cli import main
from logq.hub import Card, HubError, fetch_folder
from logq.hub.hub_folders import push_folder
from recommender_cases import fitted

# huggingface_hub uploads in a way that its own HTTP client no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

SESSIONS = [["tea", "cup", "milk"], ["tea", "cup"], ["nail", "saw"], ["saw", "nail", "glue"]] * 5
TEXT = [["so", "far", "so", "good"], ["so", "good"]] * 9


def ease() -> EASE:
    users = [f"secret-{number}" for number, session in enumerate(SESSIONS) for _ in session]
    return EASE().fit(Interactions.from_arrays(users, [item for session in SESSIONS for item in session]))


def test_a_recommender_comes_back_without_users(hub):
    model = ease()
    address = model.push_to_hub("me/shop")
    assert address.startswith(f"{hub.endpoint}/me/shop/commit/")
    files = hub.files("me/shop")
    assert sorted(files) == [".gitattributes", "README.md", "model.json", "model.safetensors"]
    assert not [name for name, content in files.items() if b"secret-" in content]
    assert b"| users in these files | none |" in files["README.md"]
    assert b'model = logq.load("hf://me/shop")' in files["README.md"]
    again = EASE.from_pretrained("me/shop")
    assert again.known.num_users == 0
    assert again.origin == model.origin
    asked = {"histories": [["tea"], ["saw"]], "k": 2}
    assert again.recommend(**asked).items.tolist() == model.recommend(**asked).items.tolist()
    assert type(logq.load("hf://me/shop")) is EASE


def test_users_go_along_where_that_is_asked(hub):
    ease().push_to_hub("hf://me/shop", users=True, card=Card(about="Of our own shop."), private=True, message="First")
    assert hub.repositories["me/shop"]["private"]
    assert b"Of our own shop." in hub.files("me/shop")["README.md"]
    assert b"| users in these files | 20, with their ids and histories" in hub.files("me/shop")["README.md"]
    assert EASE.from_pretrained("hf://me/shop").recommend("secret-1", k=1).items.tolist() == ["milk"]


def test_a_card_is_valid_for_the_hub(hub):
    """The client asks the server, which looks at what the front matter says; and it would refuse a wrong one."""
    from huggingface_hub import ModelCard

    scores = {"the test": {"values": {"NDCG@10": 0.5}, "intervals": {"NDCG@10": [0.4, 0.6]}}, "a/b: c": {"x": 1}}
    ease().push_to_hub("me/shop", card=Card(scores, license="mit", languages=["en"], tags=["tea: green"]))
    NGram(2, "add_k").fit(TEXT, progress=False).push_to_hub("me/lm")
    assert sum("validate-yaml" in asked for asked in hub.asked) >= 2
    text = hub.files("me/shop")["README.md"].decode()
    ModelCard(text).validate()
    with pytest.raises(ValueError, match=r"wrong or unknown: \['tags"):
        ModelCard(text.replace('tags: ["', 'tags: [5, "')).validate()


def test_a_model_that_cannot_be_without_users_is_not_sent(hub):
    model = SessionKNN().fit(Interactions.from_sessions(SESSIONS))
    with pytest.raises(logq.ArgumentError, match="users: expected True, as SessionKNN answers from what users did"):
        model.push_to_hub("me/shop")
    assert hub.asked == []
    assert model.push_to_hub("me/shop", users=True)


@pytest.mark.parametrize("case", ["words", "whole word2vec", "language model", "neural recommender"])
def test_every_family_comes_back(hub, case):
    if case == "words":
        words = Word2Vec(8, min_count=1, sample=0, seed=1).fit(TEXT, progress=False)
        words.vectors.push_to_hub("me/words", dtype="float16")
        again = KeyedVectors.from_pretrained("me/words", mmap=True)
        assert np.asarray(again.vectors).dtype == np.float16
        assert again.most_similar("so", topn=1)[0][0] == words.vectors.most_similar("so", topn=1)[0][0]
        assert words.origin["data"].encode() in hub.files("me/words")["README.md"]
    elif case == "whole word2vec":
        words = Word2Vec(8, min_count=1, sample=0, seed=1).fit(TEXT, progress=False)
        words.push_to_hub("me/words")
        again = Word2Vec.from_pretrained("me/words")
        assert np.array_equal(again.vectors.vectors, words.vectors.vectors)
        assert again.fit(TEXT, progress=False).origin == words.origin
    elif case == "language model":
        NGram(2, "add_k").fit(TEXT, progress=False).push_to_hub("me/lm")
        assert NGram.from_pretrained("me/lm").next_words("so", 1).words == ["good"]
        assert b'pipeline_tag: "text-generation"' in hub.files("me/lm")["README.md"]
    else:
        model = fitted("YoutubeDNN")
        model.push_to_hub("me/tower")
        again = YoutubeDNN.from_pretrained("me/tower", device="cpu")
        asked = {"histories": [[100, 107]], "k": 3}
        assert again.recommend(**asked).items.tolist() == model.recommend(**asked).items.tolist()


def test_revisions_are_branches_tags_and_commits(hub):
    words = KeyedVectors(["a", "b"], [[1.0], [2.0]])
    words.push_to_hub("me/words")
    address = KeyedVectors(["c"], [[3.0]]).push_to_hub("me/words", revision="next")
    assert list(KeyedVectors.from_pretrained("me/words")) == ["a", "b"]
    assert list(KeyedVectors.from_pretrained("me/words", revision="next")) == ["c"]
    assert list(logq.load("hf://me/words@next")) == ["c"]
    assert list(KeyedVectors.from_pretrained("me/words", revision=address.rpartition("/")[2])) == ["c"]
    with pytest.raises(HubError, match="hf://me/words@last: the repository has no such branch, tag or commit"):
        KeyedVectors.from_pretrained("me/words", revision="last")
    with pytest.raises(logq.ArgumentError, match="revision: expected 'next', as the place says, got 'last'"):
        KeyedVectors.from_pretrained("hf://me/words@next", revision="last")


def test_what_the_hub_refuses_is_a_line(hub, monkeypatch):
    words = KeyedVectors(["a"], [[1.0]])
    with pytest.raises(
        HubError, match=r"hf://me/none: there is no such repository, or none that you may see.*HF_TOKEN"
    ):
        KeyedVectors.from_pretrained("me/none")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(
        HubError, match=r"hf://me/words: the hub refused \(401: Invalid username.*give a token that may"
    ):
        words.push_to_hub("me/words")
    assert words.push_to_hub("me/words", token=TOKEN)
    for wrong in ("words", "a/b/c", "me/..", "me/wor ds", ""):
        with pytest.raises(logq.ArgumentError, match="repo_id: expected user/name"):
            words.push_to_hub(wrong)
    with pytest.raises(logq.ArgumentError, match="repo_id"):
        words.push_to_hub("me/" + "x" * 200)


def test_nothing_but_tensors_json_and_the_card_is_fetched(hub):
    KeyedVectors(["a"], [[1.0]]).push_to_hub("me/words")
    files = dict(hub.files("me/words"))
    hub.commit("me/words", "main", {**files, "evil.py": b"raise SystemExit", "model.pkl": b"pickle"})
    hub.asked.clear()
    assert list(KeyedVectors.from_pretrained("me/words")) == ["a"]
    assert not [asked for asked in hub.asked if "evil" in asked or "pkl" in asked]


def test_folders_of_a_repository_are_not_fetched(hub, tmp_path):
    """What lies below a model here may name any folder of this machine as its log."""
    ease().push_to_hub("me/shop")
    files = dict(hub.files("me/shop"))
    place = b'{"folder": "/home/ann/log", "fingerprint": "0"}'
    hub.commit("me/shop", "main", {**files, "log/prepared.json": place, "log/interactions.safetensors": b"x"})
    found = fetch_folder("hf://me/shop")
    assert sorted(file.name for file in found.iterdir()) == ["README.md", "model.json", "model.safetensors"]
    assert not [asked for asked in hub.asked if "/log/" in asked]


def test_a_log_beside_a_model_is_not_sent(hub, tmp_path):
    model = ease()
    model.save(tmp_path, users=False)
    (tmp_path / "log").mkdir()
    for name in ("interactions.safetensors", "interactions.json"):
        (tmp_path / "log" / name).write_bytes(b"secret-1")
    push_folder(tmp_path, "me/shop")
    assert sorted(hub.files("me/shop")) == [".gitattributes", "model.json", "model.safetensors"]


def test_a_model_is_replaced_as_a_whole(hub):
    """A folder with both is the model to `logq.load`, so that the old one would have been loaded."""
    words = Word2Vec(8, min_count=1, sample=0, seed=1).fit(TEXT, progress=False)
    words.push_to_hub("me/words", card=False)
    files = dict(hub.files("me/words"))
    hub.commit("me/words", "main", {**files, "titles.json": b"[]", "own.json": b"{}", "LICENSE": b"mine"})
    words.vectors.push_to_hub("me/words", card=False)
    kept = [".gitattributes", "LICENSE", "own.json", "vectors.json", "vectors.safetensors"]
    assert sorted(hub.files("me/words")) == kept
    assert type(logq.load("hf://me/words")) is KeyedVectors


def test_what_is_to_be_private_is_not_sent_where_everybody_reads(hub):
    """The hub leaves a repository that is there as it is, and says nothing."""
    model = ease()
    model.push_to_hub("me/open")
    before = hub.files("me/open")
    with pytest.raises(HubError, match="hf://me/open: the repository is there already, and everybody can read it"):
        model.push_to_hub("me/open", users=True, private=True)
    assert hub.files("me/open") == before
    for _ in range(2):
        model.push_to_hub("me/closed", users=True, private=True)


def test_one_of_several_processes_sends(hub, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert KeyedVectors(["a"], [[1.0]]).push_to_hub("me/words") == ""
    assert hub.asked == []
    monkeypatch.setenv("RANK", "0")
    assert KeyedVectors(["a"], [[1.0]]).push_to_hub("me/words").startswith(hub.endpoint)


def test_a_damaged_file_of_the_hub_is_found(hub):
    KeyedVectors(["a"], [[1.0]]).push_to_hub("me/words")
    files = dict(hub.files("me/words"))
    files["vectors.safetensors"] = files["vectors.safetensors"][:-9] + bytes(9)
    hub.commit("me/words", "main", files)
    with pytest.raises(ValueError, match="was changed or is damaged"):
        KeyedVectors.from_pretrained("me/words")


def test_a_folder_is_loaded_from_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    KeyedVectors(["a"], [[1.0]]).save("me/words")
    assert list(KeyedVectors.from_pretrained("me/words")) == ["a"]
    assert list(KeyedVectors.from_pretrained(tmp_path / "me" / "words")) == ["a"]
    with pytest.raises(logq.ArgumentError, match="revision: expected None, as me/words is a folder, got 'main'"):
        KeyedVectors.from_pretrained("me/words", revision="main")


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub.constants", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"the Hugging Face Hub needs huggingface-hub: pip install 'logq\[hub\]'"
    ):
        logq.load("hf://me/words")


def test_the_environment_says_where_the_hub_is(tmp_path):
    """As a user has it: HF_ENDPOINT and HF_HOME, on the command line; and what happens without a network."""
    pytest.importorskip("huggingface_hub")
    KeyedVectors(["tea", "cup"], [[1.0, 0.5], [0.9, 0.6]]).save(tmp_path / "words")

    def run(endpoint: str, *words: str) -> subprocess.CompletedProcess[str]:
        own = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
        code = [sys.executable, "-m", "logq", *words]
        return subprocess.run(code, capture_output=True, text=True, cwd=tmp_path, env=os.environ | own, check=False)

    with serving_hub() as hub:
        done = run(hub.endpoint, "push", "words", "me/words", "--license", "mit")
        assert (done.returncode, done.stderr) == (0, "")
        assert "hf://me/words" in done.stdout
        assert b'license: "mit"' in hub.files("me/words")["README.md"]
        asked = run(hub.endpoint, "neighbors", "hf://me/words", "tea")
        assert (asked.returncode, asked.stderr) == (0, "")
        assert "cup" in asked.stdout
    gone = run("http://127.0.0.1:9", "neighbors", "hf://me/words", "tea")
    assert (gone.returncode, "cup" in gone.stdout) == (0, True)  # of the cache
    lost = run("http://127.0.0.1:9", "neighbors", "hf://me/other", "tea")
    assert lost.returncode == 2
    assert lost.stderr.startswith("Error: hf://me/other: http://127.0.0.1:9 cannot be reached, and no copy is here (")
    assert lost.stderr.count("\n") == 1
    assert Path(tmp_path, "home", "hub", "models--me--words").is_dir()


def test_a_repository_of_another_library_is_refused_before_anything_is_fetched(hub):
    head = json.dumps({"__metadata__": {"format": "pt"}, "w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}})
    other = struct.pack("<Q", len(head)) + head.encode() + b"x"
    ease().push_to_hub("me/shop")
    ours = dict(hub.files("me/shop"))
    for files, said in (
        ({}, "found no files"),
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, "found config.json, pytorch_model.bin;"),
        (
            {"a.json": b"{}", "b.json": b"{}", "c.json": b"{}", "model.safetensors": other},
            "found a.json, b.json, c.json, ...;",
        ),
    ):
        hub.commit("me/shop", "main", files)
        hub.asked.clear()
        with pytest.raises(HubError, match=r"^hf://me/shop: expected a model of logq, ") as caught:
            logq.load("hf://me/shop")
        assert said in str(caught.value)
        assert not [asked for asked in hub.asked if "/resolve/" in asked and not asked.endswith("/model.safetensors")]
        assert not any(hub.asked.count(asked) > 1 for asked in hub.asked if "/resolve/" in asked)
    hub.commit("me/shop", "main", {name: content for name, content in ours.items() if name != "model.json"})
    assert isinstance(logq.load("hf://me/shop"), EASE), "the summary is for people"


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_bars_of_the_client_are_not_for_quiet_commands(hub, monkeypatch, tmp_path, quiet):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    KeyedVectors(["tea", "cup"], [[1.0, 0.0], [1.0, 0.1]]).push_to_hub("me/words", progress=False)
    monkeypatch.setattr(sys, "stderr", Terminal())
    words = ["export", "hf://me/words", "-o", str(tmp_path / "out"), "--format", "word2vec", *quiet]
    assert main(words) == 0
    assert ("%" in sys.stderr.getvalue()) == (not quiet)
    assert not quiet or sys.stderr.getvalue() == ""
