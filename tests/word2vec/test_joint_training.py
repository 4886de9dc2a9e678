"""Several processes that train word2vec together: they learn what one learns, and all have the same afterwards."""

import gzip
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logq import Item2Vec, KeyedVectors, Word2Vec
from logq.logs import Interactions
from logq.process_start import all_values
from logq.processes import traffic, world
from logq.text import encode
from logq.training import StopTraining, TrainingReport
from logq.word2vec import joint_run, joint_text, joint_words, partitioned_engine
from logq.word2vec.joint_partitioned_run import JointPartitionedRun
from logq.word2vec.joint_text import encode_together, share_of
from logq.word2vec.kernel import table
from logq.word2vec.partitioned_engine import PartitionedEngine
from logq.word2vec.replicas import Replica
from processes import ends, programs, together

TOPICS, EACH = 4, 12
SPAN = 6000
SETTINGS: dict[str, Any] = {"dim": 12, "min_count": 2, "sample": 0, "epochs": 4, "seed": 3, "window": 3}


def planted(sentences: int = 3000) -> list[list[str]]:
    """Sentences, each with words of one topic: those of a topic belong together, and rare ones are in none."""
    rng = np.random.default_rng(1)
    share = 1 / np.arange(1, EACH + 1)
    found = []
    for number in range(sentences):
        topic = rng.integers(TOPICS)
        words = rng.choice(EACH, rng.integers(3, 9), p=share / share.sum())
        found.append([f"t{topic}w{word}" for word in words] + [f"once{number}"] * (number % 7 == 0))
    return found


def of_one_topic(model: Word2Vec) -> float:
    """How many of the nearest words of a word are of its topic."""
    words = [f"t{topic}w{word}" for topic in range(TOPICS) for word in range(EACH)]
    near = [model.vectors.most_similar(word, topn=EACH - 1) for word in words]
    return float(np.mean([other[:2] == word[:2] for word, some in zip(words, near, strict=True) for other, _ in some]))


def write_texts(folder: Path) -> dict[str, Any]:
    """Texts by what is special about them."""
    lines = [" ".join(words) for words in planted()]
    half = len(lines) // 3
    (folder / "lines.txt").write_text("\n".join(lines) + "\n")
    (folder / "line.txt").write_text(" ".join(lines))
    (folder / "long.txt").write_text("\n".join([*lines[:3], " ".join(lines[3:-3]), *lines[-3:]]))
    (folder / "latin.txt").write_bytes("\n".join([*lines, *["caf\xe9 \xe9t\xe9"] * 99]).encode("latin-1"))
    with gzip.open(folder / "a.txt.gz", "wt") as file:
        file.write("\n".join(lines[:half]))
    (folder / "b.txt").write_text("\n".join(lines[half:]))
    names = ("lines.txt", "line.txt", "long.txt", "latin.txt", "a.txt.gz")
    return {name: str(folder / name) for name in names} | {
        "several": [str(folder / "a.txt.gz"), str(folder / "b.txt")],
        "lists": planted(200),
    }


# ------------------------------------------------------------------------------------------ what each process looks at


def everything(folder: str) -> dict[str, Any]:
    """What a process finds, by name."""
    home = Path(folder)
    joint_text.CHUNK, joint_words.PIECE = 5000, 100
    joint_run.ALL_ROWS, joint_run.FIRST_ROWS = 2000, 500
    texts = write_texts(home / str(world().rank))
    found: dict[str, Any] = {"texts": {name: compared_with_one(source) for name, source in texts.items()}}
    found["rows"] = [exchanged_rows(share) for share in (0.05, 0.9)]
    shared = str(home / "0" / "lines.txt")
    for name, more in {"sg": {}, "cbow": {"sg": False}, "hs": {"hs": True}}.items():
        with traffic() as sent:
            model = Word2Vec(**SETTINGS, **more).fit(shared, progress=False)
        found[name] = (learned(model), of_one_topic(model), model.mean_loss, sent.bytes_sent)
    found["again"] = learned(Word2Vec(**SETTINGS).fit(shared, progress=False))
    found["interrupted"] = interrupted(shared, home / "checkpoint", joint_run.JointRun)
    PartitionedEngine.min_span = SPAN
    with traffic() as sent:
        found["parts"] = learned(Word2Vec(**SETTINGS, partitions=4).fit(shared, progress=False))
    found["bytes of parts"] = sent.bytes_sent
    found["parts interrupted"] = interrupted(shared, home / "of parts", JointPartitionedRun, partitions=4)
    log = Interactions.from_sessions([words for words in planted(400) if len(words) > 1])
    items = Item2Vec(dim=8, epochs=2, seed=1).fit(log, progress=False)
    found["items"] = {"inputs": items.inputs, "outputs": items.outputs}
    found["held"] = held_and_stopped(texts["lists"])
    found["refused"] = refused(texts, shared)
    return found


def compared_with_one(source: Any) -> dict[str, bool]:
    """What is the same as where one process encodes the text."""
    with encode(source, min_count=2) as one, encode_together(source, min_count=2, around=40) as own:
        share = share_of(one.num_ids, world().rank, world().size)
        numbers = ["num_ids", "num_words", "num_sentences", "raw_words", "num_types", "invalid_lines", "long_words"]
        first, last = own.held.start, own.held.stop
        return {
            "words": one.vocabulary.index_to_key == own.vocabulary.index_to_key,
            "counts": bool((one.counts == own.counts).all() and (one.counts == own.vocabulary.counts).all()),
            "numbers": all(getattr(one, name) == getattr(own, name) for name in numbers),
            "ids": bool((one.read(first, last) == own.read(first, last)).all()),
            "share": first <= max(0, share.start - 40) and last >= min(one.num_ids, share.stop + 40),
        }


def exchanged_rows(share: float) -> dict[str, Any]:
    """Two exchanges of a table, of some and of all rows, and what a loop over ranks and rows finds."""
    rows, dim, size, rate = 50, 5, world().size, 0.01
    updates = np.linspace(40, 0, rows)
    start = np.random.default_rng(0).random((rows, dim), dtype=np.float32)
    own = table(rows, dim)[:, :dim]
    own[:] = start + world().rank  # all begin with what the first one has
    replica = Replica(own, updates)
    expected = [start.astype(np.float64) for _ in range(size)]
    common, since = start.astype(np.float64), np.zeros(rows)
    sent = []
    for turn, some in ((1, range(0, rows, 3)), (2, range(rows))):
        moves = [moved(turn, rank, rows, dim, share) for rank in range(size)]
        own += moves[world().rank].astype(np.float32)
        with traffic() as counted:
            touched = replica.exchange(some, words=10 * turn, rate=rate)
        sent.append((counted.bytes_sent, touched))
        for rank in range(size):
            expected[rank] += moves[rank]
        for row in some:
            steps = rate * updates[row] * (10 * turn - since[row])
            part = 1 if steps == 0 else (1 - np.exp(-size * steps)) / (size * (1 - np.exp(-steps)))
            common[row] += part * sum(expected[rank][row] - common[row] for rank in range(size))
            since[row] = 10 * turn
            for rank in range(size):
                expected[rank][row] = common[row]
    return {"got": np.array(own), "expected": common, "sent": sent}


def moved(turn: int, rank: int, rows: int, dim: int, share: float) -> np.ndarray:
    rng = np.random.default_rng([turn, rank])
    return rng.normal(size=(rows, dim)) * (rng.random(rows) < share)[:, None]


def learned(model: Word2Vec) -> dict[str, np.ndarray]:
    return {"vectors": model.vectors.vectors, **{name: np.array(one) for name, one in model._engine.state().items()}}


def interrupted(source: str, folder: Path, kind: Any, **more: Any) -> tuple[str, bool, dict[str, np.ndarray]]:
    """Ctrl-C in one of the processes: how the fit ended, whether it was saved, and what it learns when it goes on."""
    train = kind._train_to

    def train_and_ask(run: Any, end: int) -> Any:
        if run.epoch == 1 and run.entry > run.part.start + 2000 and world().rank == world().size - 1:
            signal.raise_signal(signal.SIGINT)
        return train(run, end)

    kind._train_to = train_and_ask
    try:
        Word2Vec(**SETTINGS, **more).fit(source, progress=False, checkpoint=folder)
        how = "not at all"
    except KeyboardInterrupt:
        how = "interrupted"
    finally:
        kind._train_to = train
    saved = (folder / "checkpoint.safetensors").exists()
    if saved and world().is_first:
        shutil.copytree(folder, folder.with_name(f"{folder.name} kept"))
    all_values(None, "wait")
    model = Word2Vec(**SETTINGS, **more).fit(source, progress=False, checkpoint=folder, resume=True)
    return how, saved, learned(model)


def held_and_stopped(sentences: list[list[str]]) -> dict[str, Any]:
    """A fit that holds some words, and that ends where the first process says so, and not where another one does."""
    given = KeyedVectors(["t0w0", "t1w1", "elsewhere"], np.arange(36).reshape(3, 12) / 99)
    rank = world().rank

    def ends_after(report: TrainingReport) -> None:
        if report.epoch == (2, 1)[rank]:
            raise StopTraining

    model = Word2Vec(**SETTINGS).fit(sentences, initial=given, frozen=True, callbacks=ends_after, progress=False)
    words = ["t0w0", "t1w1"]
    is_held = (model.vectors[words] == given[words]).all()
    return {"epochs": model.epochs_done, "is_held": bool(is_held), "learned": learned(model)}


def refused(texts: dict[str, Any], source: str) -> dict[str, str]:
    """The errors of fits that several processes cannot make, or not these."""
    rank = world().rank
    model = Word2Vec(**SETTINGS).fit(planted(50), progress=False)
    before = learned(model)

    def fails_here(seen: Word2Vec, epoch: int) -> None:
        if rank == 1:
            raise OSError(28, "No space left on device", "vectors")

    fits = {
        "plain": lambda: Word2Vec(objective="nce").fit(source, progress=False),
        "cache": lambda: Word2Vec().fit(source, cache="cache", progress=False),
        "pipe": lambda: Word2Vec().fit("-", progress=False),
        "missing": lambda: Word2Vec().fit(source if rank == 0 else f"{source}.gz", progress=False),
        "other file": lambda: Word2Vec().fit(texts["lines.txt" if rank == 0 else "latin.txt"], progress=False),
        "other lists": lambda: Word2Vec(min_count=1).fit(planted(20 + rank), progress=False),
        "other settings": lambda: Word2Vec(lr=0.01 * (1 + rank)).fit(source, progress=False),
        "rare": lambda: Word2Vec(min_count=10**6).fit(source, progress=False),
        "parts": lambda: Word2Vec(**SETTINGS, partitions=3).fit(source, progress=False),
        "few": lambda: Word2Vec(min_count=1, sample=0).fit([["a", "b"]], progress=False),
        "diverges": lambda: Word2Vec(**SETTINGS | {"lr": 1e30}).fit(source, progress=False),
        "callback": lambda: Word2Vec(**SETTINGS).fit(source, progress=False, on_epoch_end=fails_here),
    }
    found = {}
    for name, fit in fits.items():
        try:
            fit()
            found[name] = "nothing"
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
        all_values(None, "wait")
    after = learned(model)
    found["kept"] = str(all((before[name] == after[name]).all() for name in before))
    return found


# --------------------------------------------------------------------------------------------------- what is expected


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def two(home: Path) -> list[dict[str, Any]]:
    folder = home
    for rank in range(2):
        (folder / str(rank)).mkdir()
    return together(everything, str(folder), size=2, seconds=600)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_texts(tmp_path_factory.mktemp("one"))["lines.txt"]


def test_vocabulary_counts_and_ids_are_those_of_one_process(two) -> None:
    for one in two:
        assert len(one["texts"]) == 7
        assert {name: same for name, same in one["texts"].items() if not all(same.values())} == {}


def test_rows_are_those_of_a_plain_loop(two) -> None:
    for one, other in zip(two[0]["rows"], two[1]["rows"], strict=True):
        np.testing.assert_allclose(one["got"], one["expected"], atol=1e-5)
        np.testing.assert_array_equal(one["got"], other["got"])


def test_only_touched_rows_travel(two) -> None:
    few, many = two[0]["rows"]
    for (sent, touched), (most, _) in zip(few["sent"], many["sent"], strict=True):
        assert 0 < sent < most / 3
        assert touched < 10
    # Ids and rows of 5 numbers go to their owners and from there to all, and one number tells how many rows come.
    assert most <= 50 * (4 + 20) * 1.1 + 8


@pytest.mark.parametrize("name", ["sg", "cbow", "hs"])
def test_two_learn_what_one_learns(name: str, two, alone: str) -> None:
    more = {"sg": {}, "cbow": {"sg": False}, "hs": {"hs": True}}[name]
    model = Word2Vec(**SETTINGS, **more).fit(alone, progress=False)
    for tables, quality, loss, _ in (one[name] for one in two):
        assert quality > of_one_topic(model) - 0.03
        assert of_one_topic(model) > 0.9
        assert loss == pytest.approx(model.mean_loss, abs=0.1)
        for key, array in two[0][name][0].items():
            np.testing.assert_array_equal(array, tables[key])


def test_a_seed_gives_the_same_again_and_after_an_interruption(two) -> None:
    for one in two:
        how, saved, resumed = one["interrupted"]
        assert (how, saved) == ("interrupted", True)
        for name, array in one["sg"][0].items():
            np.testing.assert_array_equal(array, one["again"][name])
            np.testing.assert_array_equal(array, resumed[name])


def test_parts_are_what_one_process_learns_in_this_order(two, alone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets of one turn have no row in common, so that it is the same bits whoever trains them, and when."""
    order = [(0, 0), (0, 2), (2, 2), (2, 0), (1, 1), (1, 3), (3, 3), (3, 1)]
    order += [(0, 1), (0, 3), (2, 3), (2, 1), (1, 0), (1, 2), (3, 2), (3, 0)]
    monkeypatch.setattr(partitioned_engine, "buckets", lambda _: order)
    monkeypatch.setattr(PartitionedEngine, "min_span", SPAN)
    expected = learned(Word2Vec(**SETTINGS, partitions=4).fit(alone, progress=False))
    for one in two:
        how, saved, resumed = one["parts interrupted"]
        assert (how, saved) == ("interrupted", True)
        for name, array in expected.items():
            np.testing.assert_array_equal(one["parts"][name], array)
            np.testing.assert_array_equal(resumed[name], array)


def test_each_part_of_the_outputs_is_handed_on_once_a_span(two, alone: str) -> None:
    with encode(alone, min_count=2) as corpus:
        words, spans = len(corpus.vocabulary), SETTINGS["epochs"] * -(-corpus.num_ids // SPAN)
        row = 4 * 16  # bytes, rounded up to 16 numbers
        ids = corpus.num_ids * 4 / 2  # those of its half, to the other process
    met = 1 + SETTINGS["epochs"]
    expected = spans * words * row + met * 2 * words * row / 2 + ids
    # Besides, some numbers of words, and their text.
    assert expected <= two[0]["bytes of parts"] <= expected + 40 * spans * words


def test_as_many_processes_go_on_as_have_saved(two, home: Path) -> None:
    source = str(home / "0" / "lines.txt")
    with pytest.raises(ValueError, match=r"^processes: expected 2, as in the checkpoint .*, got None"):
        Word2Vec(**SETTINGS).fit(source, progress=False, checkpoint=home / "checkpoint kept", resume=True)


def test_items_are_the_same_in_all_processes(two) -> None:
    for name, array in two[0]["items"].items():
        np.testing.assert_array_equal(array, two[1]["items"][name])
        assert array.any()


def test_words_are_held_and_the_first_process_ends_training(two) -> None:
    for one in two:
        assert (one["held"]["epochs"], one["held"]["is_held"]) == (2, True)
        for name, array in two[0]["held"]["learned"].items():
            np.testing.assert_array_equal(array, one["held"]["learned"][name])


REFUSED = {
    "plain": "engine: expected the compiled engine where several processes train, which has no kernel for nce",
    "cache": "cache: expected None where several processes train, got a folder",
    "pipe": "source: expected files, as several processes train, got '-'",
    "other file": "source: expected the same in all processes",
    "other lists": "source: expected the same in all processes",
    "other settings": "lr: expected the same in all processes: 0.01 as on rank 0, got 0.02 on rank 1",
    "rare": "min_count: expected at most ",
    "parts": "partitions: expected a multiple of 2, the number of processes, got 3",
    "diverges": "lr: training diverged",
    "callback": "No space left on device",
    "missing": "there is no file",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shared_is_refused_in_all_processes(name: str, two) -> None:
    for one in two:
        assert REFUSED[name] in one["refused"][name]
        assert one["refused"]["kept"] == "True"


def test_one_process_of_torchrun_trains_as_one_without(alone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = learned(Word2Vec(**SETTINGS).fit(alone, progress=False))
    for name, value in {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    after = learned(Word2Vec(**SETTINGS).fit(alone, progress=False))
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name])


PROGRAM = """
import os, signal, sys, time
from logq import Word2Vec
from logq.word2vec import joint_run

signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored where tests run in the background of a shell
joint_run.ALL_ROWS = 2000

def epoch_ended(model, epoch):
    if epoch == 1:
        print("begun", flush=True)
    if epoch == 2 and os.environ["RANK"] == os.environ.get("DIES"):
        os._exit(9)

Word2Vec(dim=8, min_count=2, sample=0, epochs=10**6, seed=1).fit(
    sys.argv[1], progress=False, checkpoint=sys.argv[2], on_epoch_end=epoch_ended
)
"""


@pytest.mark.slow
def test_where_one_process_ends_the_others_say_so(alone: str, tmp_path: Path) -> None:
    (code, _, err), (died, _, _) = ends(programs(PROGRAM, alone, tmp_path, DIES="1"))
    assert (code, died) == (1, 9)
    said = err.splitlines()[-1]
    assert "logq.processes.LostProcessError: after " in said
    assert "words rank 0 was to " in said
    assert "rank 1 has ended" in said


@pytest.mark.slow
def test_ctrl_c_in_one_process_stops_all_at_the_same_exchange(alone: str, tmp_path: Path) -> None:
    started = programs(PROGRAM, alone, tmp_path)
    for program in started:
        assert program.stdout is not None
        assert program.stdout.readline() == "begun\n"
    started[1].send_signal(signal.SIGINT)
    for code, _, err in ends(started):
        assert code != 0
        assert err.splitlines()[-1].endswith("KeyboardInterrupt")  # torch puts the rank before it
    assert (tmp_path / "checkpoint.safetensors").exists()
