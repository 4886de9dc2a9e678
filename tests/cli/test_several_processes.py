"""The command line under torchrun."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

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


def torchrun(
    *words: object, before: Sequence[str] = ("-m", "logq"), **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    command = [*TORCHRUN, *before, *map(str, words)]
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
def test_tables_in_parts_take_all_items_and_go_on(events: Path, tmp_path: Path) -> None:
    """With what needs all items: a full objective, biases, a skip-gram, and a model that was saved."""
    folder = tmp_path / "model"
    words = ("train", "youtube-dnn", events, "-o", folder, "--epochs", "1", "--seed", "1", "--tables", "sharded")
    check_trained(torchrun(*words, "--objective", "full_softmax", "--item-bias", "--pretrain", "1"), folder)
    before = package.load(folder).model.state_dict()
    with events.open("a") as file:
        file.write("u1,777,100000\nnobody,777,100001\nnobody,105,100002\n")
    done = torchrun("train", "youtube-dnn", events, "-o", folder, "--continue", "--tables", "sharded")
    check_trained(done, folder)
    assert "Took in 3 new events of 2 users (1 new) and 2 items (1 new)" in done.stdout + done.stderr
    after = package.load(folder).model.state_dict()
    for name in ("bias", "items.weight"):
        assert len(after[name]) == len(before[name]) + 1
        assert float((after[name][:-1] - before[name]).abs().max()) < 0.1


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
    names = ["model.json", "model.safetensors", "vectors.json", "vectors.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert len(package.KeyedVectors.load(folder)) > 10


@pytest.mark.slow
def test_words_with_ngrams_go_on_and_are_exported(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    words = ("--epochs", "2", "--min-count", "1", "--seed", "1", "-o")
    check_trained(torchrun("train", "word2vec", corpus, *words, first, "--subwords"), first)
    check_trained(torchrun("train", "word2vec", corpus, *words, second, "--continue", first), second)
    known = package.load(second).vocabulary.index_to_key
    unknown = max(known, key=len) + "ly"
    assert main(["neighbors", str(second), unknown]) == 0
    assert capsys.readouterr().out.split("\t")[1] in known
    model, file = package.load(second), tmp_path / "exported"
    assert main(["export", str(second), "-o", str(file), "--format", "fasttext", "-q"]) == 0
    (path,) = file.glob("*.bin")
    there = package.KeyedVectors.load(path)
    np.testing.assert_allclose(there[unknown], model.vectors[unknown], atol=1e-6)


@pytest.mark.slow
def test_words_in_partitions_go_on(corpus: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    words = ("--epochs", "1", "--min-count", "1", "--seed", "1", "-o")
    check_trained(torchrun("train", "word2vec", corpus, *words, first, "--partitions", "4"), first)
    more = ("--continue", first, "--partitions", "2", "--initial", first, "--frozen")
    check_trained(torchrun("train", "word2vec", corpus, *words, second, *more), second)
    before, after = package.load(first), package.load(second)
    assert (after.partitions, after.vocabulary.total) == (2, 2 * before.vocabulary.total)
    np.testing.assert_array_equal(after.vectors.vectors, before.vectors.vectors)
    assert (after.output_vectors != before.output_vectors).any()


@pytest.mark.slow
def test_two_processes_train_vectors_of_items(events: Path, tmp_path: Path) -> None:
    check_trained(torchrun("train", "item2vec", events, "-o", tmp_path / "model", "--epochs", "2"), tmp_path / "model")


BROKEN = """
import os, signal, sys
from logq.cli import main
from logq.recommenders import YoutubeDNN

def on_batch(self, step, how=os.environ["HOW"]):
    if step == 3 and how == "Ctrl-C" and os.environ["RANK"] == "0":
        os.kill(os.getppid(), signal.SIGINT)  # torchrun tells all its processes
    if step == 3 and how == "kill" and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
YoutubeDNN._on_batch = on_batch
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_kill_and_ctrl_c_cost_nothing_that_was_saved(events: Path, tmp_path: Path) -> None:
    """Killed processes go on by themselves, and stopped ones when they are told to; to the same bits."""
    words = ("train", "youtube-dnn", events, "--epochs", "20", "--seed", "1", "--checkpoint-minutes", "0", "-o")
    code = ["--max-restarts", "2", "--no-python", sys.executable, "-c", BROKEN]
    whole = torchrun(*words, tmp_path / "whole")
    killed = torchrun(*words, tmp_path / "killed", before=code, HOW="kill")
    stopped = torchrun(*words, tmp_path / "stopped", before=code, HOW="Ctrl-C")
    for done in (whole, killed):
        assert done.returncode == 0, done.stderr
    assert "will be replaced" not in killed.stderr
    assert stopped.returncode != 0
    said = (
        f"Interrupted: no model was saved; the same command with --resume continues from the checkpoint in {tmp_path}"
    )
    assert stopped.stderr.count(said) == 1, stopped.stderr
    resumed = torchrun(*words, tmp_path / "stopped", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    saved = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed", "stopped")]
    for other in saved[1:]:
        for name, value in saved[0].items():
            np.testing.assert_array_equal(other[name], value, err_msg=name)


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
