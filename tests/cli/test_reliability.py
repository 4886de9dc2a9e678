"""What goes wrong on the way: programs are killed, disks are full, files are odd. Each gets a line, none a traceback.

Training runs in processes of its own here, as a user has it.
"""

import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from logq.training.checkpoint import FILE
from logq.vectors import KeyedVectors
from trainings import ENV, KEPT, QUICK, failed, names, train, words_of, write_corpus

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="kills and small disks as POSIX has them")

OFTEN = ("--seed", 3, "--checkpoint-minutes", 0, "--quiet")


def kill_after(seconds, corpus, folder, *options):
    """Kill a training some time after its first sign of life; return whether it was still alive."""
    with subprocess.Popen(
        words_of(corpus, folder, *options), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENV
    ) as process:
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        _, err = process.communicate()
    assert "Traceback" not in err
    assert process.returncode in (0, -signal.SIGKILL), err
    return process.returncode != 0


def same_after_kills(text, tmp_path, *, kills, options):
    assert train(text, tmp_path / "whole", *options, *OFTEN)[0] == 0
    folder = tmp_path / "killed"
    rng = random.Random(5)
    killed = resumed = 0
    for _ in range(10 * kills):
        if killed == kills:
            break
        resumed += (folder / FILE).exists()
        killed += kill_after(rng.uniform(0.3, 2.0), text, folder, *options, *OFTEN, "--resume", "--overwrite")
        if (folder / "vectors.safetensors").exists():
            assert len(KeyedVectors.load(folder)) > 1000
    assert killed == kills
    assert resumed >= kills // 3, "most kills should hit a training that has a checkpoint"
    assert train(text, folder, *options, *OFTEN, "--resume", "--overwrite")[0] == 0
    ours, theirs = (tmp_path / name / "vectors.safetensors" for name in ("killed", "whole"))
    assert ours.read_bytes() == theirs.read_bytes()
    # What was killed before its first byte cannot be told from what somebody begins to write, for some seconds.
    left = [path.name for path in sorted(folder.iterdir()) if path.stat().st_size]
    assert left == KEPT, "nothing half written stays behind"
    assert json.loads((folder / "vectors.json").read_text())["info"]["epochs_done"] == options[1]


@POSIX
def test_two_kills_and_a_resume_change_nothing(text, tmp_path):
    same_after_kills(text, tmp_path, kills=2, options=("--epochs", 6, "--dim", 20))


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("model", [(), ("--cbow", "--hs")], ids=["skip-gram", "cbow-hs"])
def test_twenty_kills_and_a_resume_change_nothing(text, tmp_path, model):
    same_after_kills(text, tmp_path, kills=20, options=("--epochs", 30, "--dim", 50, *model))


def interrupt_when(path, corpus, folder, *options):
    """Ctrl-C as soon as a file is there: (exit code, errors)."""
    with subprocess.Popen(
        words_of(corpus, folder, *options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=ENV,
        # A test runner in the background may ignore SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        deadline = time.monotonic() + 60
        while not path.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    return process.returncode, err


@POSIX
@pytest.mark.parametrize("engine", ["fused", pytest.param("plain", marks=pytest.mark.slow)])
def test_ctrl_c_and_a_resume_change_nothing(text, tmp_path, engine):
    """The stretch that is being trained when Ctrl-C comes is neither lost nor trained twice."""
    options = ("--epochs", 60, "--dim", 20, "--seed", 3, "--quiet", "--engine", engine)
    if engine == "plain":
        text, options = write_corpus(tmp_path / "few.txt", 10_000), ("--epochs", 3, *options[2:])
    folder = tmp_path / "stopped"
    code, err = interrupt_when(folder / "vectors.json", text, folder, *options)
    assert code == 130
    assert err.startswith("Interrupted: the vectors of ")
    assert err.endswith(f"; the same command with --resume continues from the checkpoint in {folder}.\n")
    assert names(folder) == ["cache", FILE, "vectors.json", "vectors.safetensors"]
    assert train(text, folder, *options, "--resume")[::2] == (0, "")
    assert names(folder) == KEPT
    assert train(text, tmp_path / "whole", *options)[0] == 0
    ours, theirs = (path / "vectors.safetensors" for path in (folder, tmp_path / "whole"))
    assert ours.read_bytes() == theirs.read_bytes()


# ------------------------------------------------------------------------------------------------- odd texts


def test_a_truncated_gz(text, tmp_path):
    damaged = tmp_path / "damaged.txt.gz"
    damaged.write_bytes(gzip.compress(text.read_bytes())[:100_000])
    assert failed(train(damaged, tmp_path / "v", *QUICK)) == f"{damaged}: the gzip file ends too early, it is truncated"
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize(
    ("add", "said"),
    [
        (b"caf\xe9 tea\n" * 3 + b"x", "3 lines of the text have bytes that are not UTF-8"),
        (b"x" * 1_000_000 + b" w1\n", "1 word of more than 65,536 bytes was left out of the text"),
    ],
)
def test_what_is_not_read_is_counted(text, tmp_path, add, said):
    odd = tmp_path / "odd.txt"
    odd.write_bytes(text.read_bytes() + add)
    code, _, err = train(odd, tmp_path / "v", *(option for option in QUICK if option != "--quiet"))
    assert code == 0
    assert said in err
    assert train(odd, tmp_path / "q", *QUICK)[::2] == (0, "")


def test_nul_bytes_and_crlf(text, tmp_path):
    odd = tmp_path / "odd.txt"
    odd.write_bytes(text.read_bytes().replace(b"\n", b"\r\n") + b"a\0b \0\r\n" * 10)
    assert train(odd, tmp_path / "v", *QUICK)[0] == 0
    known = KeyedVectors.load(tmp_path / "v")
    assert {"w0", "a\0b", "\0"} <= set(known.index_to_key)
    assert not any("\r" in word for word in known.index_to_key)


@pytest.mark.parametrize(
    "size", [pytest.param(1 << 24, id="16 MB"), pytest.param(1 << 30, id="1 GB", marks=pytest.mark.slow)]
)
def test_a_single_long_line(text, tmp_path, size):
    line = text.read_bytes().replace(b"\n", b" ")
    long = tmp_path / "long.txt"
    with long.open("wb") as file:
        for _ in range(-(-size // len(line))):
            file.write(line)
    assert train(long, tmp_path / "v", *QUICK)[0] == 0
    counts = KeyedVectors.load(tmp_path / "v").counts
    assert counts is not None
    assert counts.sum() > 0.99 * 200_000 * (-(-size // len(line))), "all of the line was read"


def test_a_text_that_changes_after_it_was_read_is_read_again(text, tmp_path):
    copy = tmp_path / "copy.txt"
    copy.write_bytes(text.read_bytes())
    assert train(copy, tmp_path / "v", *QUICK)[0] == 0
    (old,) = (tmp_path / "v" / "cache").glob("*.ids")
    os.utime(old, (0, 0))  # what is a few seconds old may be somebody's who is about to say so
    with copy.open("a") as file:
        file.write("fresh " * 10)
    assert train(copy, tmp_path / "v", *QUICK)[0] == 0
    assert "fresh" in KeyedVectors.load(tmp_path / "v")
    assert len(names(tmp_path / "v" / "cache")) == 2
    assert not old.exists()


# ------------------------------------------------------------------------------------------------- damaged files


@pytest.mark.parametrize("damage", ["cut", "overwritten", "no record", "a record of nonsense", "empty"])
def test_a_damaged_cache(text, tmp_path, damage):
    assert train(text, tmp_path / "v", *QUICK)[0] == 0
    before = (tmp_path / "v" / "vectors.safetensors").read_bytes()
    (ids,) = (tmp_path / "v" / "cache").glob("*.ids")
    (record,) = (tmp_path / "v" / "cache").glob("*.json")
    whole = ids.read_bytes()
    if damage == "cut":
        ids.write_bytes(whole[:1000])
    elif damage == "empty":
        ids.write_bytes(b"")
    elif damage == "overwritten":
        ids.write_bytes(b"\x7f" * len(whole))
    elif damage == "no record":
        record.unlink()
    else:
        record.write_text("[" * 100_000)
    answer = train(text, tmp_path / "v", *QUICK)  # ids that do not fit their counts are made again
    assert answer[::2] == (0, "")
    assert (tmp_path / "v" / "vectors.safetensors").read_bytes() == before


@pytest.fixture
def stopped(text, tmp_path):
    """A folder with a checkpoint."""
    folder = tmp_path / "stopped"
    options = ("--dim", 8, "--seed", 1, "--quiet", "--epochs", 100_000, "--checkpoint-minutes", 0)
    interrupt_when(folder / FILE, text, folder, *options)
    return folder, options


@POSIX
@pytest.mark.parametrize("damage", ["cut", "header", "empty", "nan"])
def test_a_damaged_checkpoint(stopped, text, damage):
    folder, options = stopped
    file = folder / FILE
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    damaged = {
        "cut": whole[: len(whole) // 2],
        "header": whole[:8] + b"\xff" * 50 + whole[58:],
        "empty": b"",
        "nan": whole[:header] + b"\xff" * (len(whole) - header),
    }[damage]
    file.write_bytes(damaged)
    error = failed(train(text, folder, *options, "--resume"))
    said = r"the (checkpoint is|file is|file was changed or is) damaged.*; remove it to start afresh"
    assert re.match(rf"{re.escape(str(file))}: {said}", error)
    assert file.read_bytes() == damaged


@POSIX
def test_a_checkpoint_of_something_else(stopped, text, tmp_path):
    folder, options = stopped
    before = (folder / FILE).read_bytes()
    error = failed(train(text, folder, *options, "--resume", "--window", 3))
    assert error.startswith("--window: expected 5, as in the checkpoint ")
    assert "got 3; resume with the same settings" in error
    other = write_corpus(tmp_path / "other.txt", 1000, vocabulary=50)
    error = failed(train(other, folder, *options, "--resume"))
    assert error.startswith("CORPUS: expected the data that the checkpoint ")
    assert (folder / FILE).read_bytes() == before


@POSIX
@pytest.mark.parametrize(
    "how", [("--lr", 100), ("--cbow", "--lr", 50), ("--hs", "--lr", 20), ("--own-negatives", "--lr", 5)]
)
def test_training_that_diverges_keeps_what_was_there(stopped, text, how):
    folder, _ = stopped
    assert train(text, folder, *QUICK)[0] == 0
    interrupt_when(folder / FILE, text, folder, "--dim", 8, "--quiet", "--epochs", 100_000, "--checkpoint-minutes", 0)
    before = {name: (folder / name).read_bytes() for name in (FILE, "vectors.safetensors")}
    code, _, err = train(text, folder, "--dim", 8, "--quiet", *how, "--checkpoint-minutes", 0)
    assert code == 2
    error = err.splitlines()[-1]
    assert error.startswith("Error: --lr: training diverged in epoch 1, the mean loss ")
    assert f"{folder} still holds the vectors of an earlier run" in error
    assert f"the checkpoint in {folder} is as it was before" in error
    assert {name: (folder / name).read_bytes() for name in before} == before


# ------------------------------------------------------------------------------------------------- too much


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--dim", 100_000_000),
            "--dim: expected two tables that fit in memory, got 1490.1 GiB for 2,000 words, where ",
        ),
        (("--dim", 10**20), "--dim: expected two tables that fit in memory, got "),
        (("--window", 10_001), "--window: expected 1 to 10,000, got 10001"),
        (("--negatives", 10_001), "--num-sampled: expected 1 to 10,000, got 10001"),
        (("--threads", 10_001), "--threads: expected an integer >= 1 and <= 10000, got 10001"),
        (("--seed", -1), "--seed: expected an integer >= 0, got -1"),
    ],
)
def test_too_much_is_said(text, tmp_path, options, said):
    assert failed(train(text, tmp_path / "v", "--quiet", *options)).startswith(said)


def test_many_threads(text, tmp_path):
    assert train(text, tmp_path / "v", "--quiet", "--epochs", 1, "--threads", 1000)[0] == 0


@POSIX
def test_little_memory_is_said(text, tmp_path):
    """A limit of the process on its memory: enough to start, not for two tables."""
    import resource

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    error = failed(train(text, tmp_path / "v", "--quiet", "--dim", 200_000, preexec_fn=limit))
    assert error.startswith("--dim: expected two tables that fit in memory, got 3.0 GiB for 2,000 words")
