"""The command line under torchrun."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import logq as package
from logq.cli import main
from logq.retrieval import item_keys, load_index
from recommender_cases import planted_log

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture
def events(tmp_path: Path) -> Path:
    log = planted_log()
    path = tmp_path / "log.csv"
    users, items = log.user_ids.keys[log.users], log.item_ids.keys[log.items]
    rows = zip(users, items, log.timestamps, strict=True)
    path.write_text("user,item,time\n" + "".join(f"{user},{item},{time}\n" for user, item, time in rows))
    return path


def torchrun(*words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*TORCHRUN, "-m", "logq", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)


def check_trained(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("saved to") == 1
    assert "Traceback" not in done.stderr
    assert package.load(folder).is_fitted


def test_two_processes_train_one_model_and_write_once(events: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    done = torchrun("train", "youtube-dnn", events, "-o", folder, "--epochs", "2", "--seed", "1")
    check_trained(done, folder)
    assert done.stderr.count("took the column") <= 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sasrec", "two-tower", "mind", "sdm", "eges"])
def test_every_neural_recommender_trains(name: str, events: Path, tmp_path: Path) -> None:
    check_trained(torchrun("train", name, events, "-o", tmp_path / "model", "--epochs", "2"), tmp_path / "model")


@pytest.mark.slow
def test_tables_in_parts_become_one_model_and_an_index(events: Path, tmp_path: Path) -> None:
    folder, shards, index = (tmp_path / name for name in ("model", "shards", "index"))
    words = ("train", "sasrec", events, "-o", folder, "--epochs", "2", "--seed", "1", "--tables", "sharded")
    check_trained(torchrun(*words, "--shards", shards), folder)
    assert len(list(shards.rglob("*.safetensors"))) == 2
    assert main(["index", str(shards), "-o", str(index), "-q"]) == 0
    model = package.load(folder)
    found = load_index(index).search(model.query_vectors("u1"), 3).ids
    expected = model.recommend("u1", k=3, exclude_seen=False).items.tolist()
    assert item_keys(index, found)[0].tolist() == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru", "lstm", "nnlm"])
def test_every_neural_language_model_trains(name: str, corpus: Path, tmp_path: Path) -> None:
    words = ("train", "lm", corpus, "-o", tmp_path / "model", "--model", name, "--epochs", "2", "--valid", corpus)
    check_trained(torchrun(*words, "--batch-size", "4"), tmp_path / "model")


def test_two_processes_train_vectors_of_words_and_write_once(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    done = torchrun("train", "word2vec", corpus, "-o", folder, "--epochs", "2", "--min-count", "1", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("saved to") == 1
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["vectors.json", "vectors.safetensors"]
    assert len(package.KeyedVectors.load(folder)) > 10


@pytest.mark.slow
def test_two_processes_train_vectors_of_items(events: Path, tmp_path: Path) -> None:
    check_trained(torchrun("train", "item2vec", events, "-o", tmp_path / "model", "--epochs", "2"), tmp_path / "model")


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("second")
@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("train", "ease", "nowhere.csv", "-o", "model"), "EASE"),
        (("train", "lm", "nowhere.txt", "-o", "model"), "NGram"),
        (("evaluate", "ranking", "nowhere"), "`logq evaluate`"),
        (("recommend", "nowhere", "--user", "1"), "`logq recommend`"),
        (("demo",), "`logq demo`"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_is_read(words, what, logq, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = logq(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: rank 1: WORLD_SIZE: expected 1 for {what}, got 2; start it without torchrun")
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("second")
def test_an_interruption_is_told_by_the_first_process_alone(logq, monkeypatch) -> None:
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(package.cli.app.app, "main", interrupted)
    assert logq("train", "sasrec", "log.csv", "-o", "model") == (130, "", "")
