import errno
import gzip
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from logq._progress import Progress
from logq.cli.app import app
from logq.vectors import KeyedVectors
from logq.word2vec import Word2Vec

QUICK = ["--dim", 4, "--epochs", 2, "--seed", 1, "--num-sampled", 5, "--sample", 1e-3]
SAVED = ["model.json", "model.safetensors", "vectors.json", "vectors.safetensors"]


def train(logq, corpus, folder, *options):
    return logq("train", "word2vec", corpus, "-o", folder, *QUICK, *options)


def test_vectors_are_trained_saved_and_shown_around(logq, corpus, tmp_path):
    code, out, err = train(logq, corpus, tmp_path / "new" / "vectors")
    assert (code, err) == (0, "")
    known = KeyedVectors.load(tmp_path / "new" / "vectors")
    assert set(known.index_to_key) >= {"tea", "train"}
    assert known.vector_size == 4
    assert known.counts is not None
    assert "12 words, 4 numbers each" in out
    word = next(word for word in known.index_to_key if len(word) > 3)
    assert f"logq neighbors {tmp_path / 'new' / 'vectors'} {word}" in out
    assert f"logq map {tmp_path / 'new' / 'vectors'} -o" in out


def test_what_is_said_to_type_next_works(logq, corpus, tmp_path):
    folder = tmp_path / "my vectors"
    _, out, _ = train(logq, corpus, folder)
    command = next(line.strip() for line in out.splitlines() if "python -c" in line)
    answer = subprocess.run(
        command.replace("python", sys.executable, 1), shell=True, capture_output=True, text=True, check=True
    )
    assert answer.stdout.startswith("[('")


def test_the_summary_tells_the_settings(logq, corpus, tmp_path):
    train(logq, corpus, tmp_path / "v", "--cbow", "--window", 3)
    summary = json.dumps(json.loads((tmp_path / "v" / "vectors.json").read_text()))
    assert '"sg": false' in summary
    assert '"window": 3' in summary
    assert '"epochs_done": 2' in summary


def test_several_files_plain_and_packed(logq, corpus, tmp_path):
    packed = tmp_path / "more.txt.gz"
    packed.write_bytes(gzip.compress(b"zebra zebra zebra\n" * 10))
    assert logq("train", "word2vec", corpus, packed, "-o", tmp_path / "v", *QUICK)[0] == 0
    assert "zebra" in KeyedVectors.load(tmp_path / "v")


def test_all_options_reach_the_estimator(logq, corpus, tmp_path, monkeypatch):
    seen = []

    def noted(self, *_, **__):
        seen.append(self.settings())
        raise KeyboardInterrupt

    monkeypatch.setattr(Word2Vec, "fit", noted)
    options = (
        "--dim 3 --window 2 --negatives 7 --sample 0.01 --min-count 2 --epochs 1 --lr 0.02 --cbow --cbow-sum "
        "--objective nce --sampler uniform --power 0.5 --shared-negatives --threads 1 --batch-size 9 --max-vocab 8 "
        "--seed 4 --device cpu --engine plain"
    )
    assert logq("train", "word2vec", corpus, "-o", tmp_path / "v", *options.split())[0] == 130
    expected = {
        "dim": 3,
        "window": 2,
        "num_sampled": 7,
        "sample": 0.01,
        "min_count": 2,
        "epochs": 1,
        "lr": 0.02,
        "sg": False,
        "cbow_mean": False,
        "objective": "nce",
        "sampler": "uniform",
        "unigram_power": 0.5,
        "hs": False,
        "shared_negatives": True,
        "threads": 1,
        "batch_size": 9,
        "max_vocab": 8,
        "seed": 4,
        "engine": "plain",
    }
    assert {name: seen[0][name] for name in expected} == expected


def test_options_and_defaults_are_the_estimator_s(logq, corpus, tmp_path, monkeypatch):
    seen = []

    def noted(self, *_, **__):
        seen.append(self.settings())
        raise KeyboardInterrupt

    monkeypatch.setattr(Word2Vec, "fit", noted)
    assert logq("train", "word2vec", corpus, "-o", tmp_path / "v")[0] == 130
    assert seen == [Word2Vec().settings()]
    parameters = {one.name for one in app.members["train"].get_command(None, "word2vec").params}
    assert set(Word2Vec.options()) <= parameters


def test_quiet_prints_nothing(logq, corpus, tmp_path):
    assert train(logq, corpus, tmp_path / "v", "--quiet") == (0, "", "")


def test_what_is_chosen_for_the_text_is_said(logq, corpus, tmp_path):
    code, _, err = logq("train", "word2vec", corpus, "-o", tmp_path, "--dim", 4, "--epochs", 1, "--seed", 1)
    assert (code, err) == (0, "Word2Vec: settings chosen for this text: num_sampled=5, sample=0.001\n")
    assert json.loads((tmp_path / "vectors.json").read_text())["info"]["sample"] == 1e-3


def test_what_trains_is_said_where_it_is_slow(logq, corpus, tmp_path, monkeypatch):
    now = itertools.count(step=5.0)  # a machine under load: each look at the clock is five seconds after the last
    monkeypatch.setitem(Progress.__init__.__kwdefaults__, "clock", lambda: next(now))
    code, _, err = train(logq, corpus, tmp_path / "v", "--objective", "nce")
    assert (code, err) == (
        0,
        "Note: nce with unigram has no compiled kernel: training in plain PyTorch, tens of times slower.\n",
    )
    assert train(logq, corpus, tmp_path / "v", "--engine", "plain")[::2] == (0, "")
    assert "--engine: " in failed(train(logq, corpus, tmp_path / "v", "--engine", "fused", "--objective", "nce"))


def test_a_gpu_that_is_not_there_is_said(logq, corpus, tmp_path, monkeypatch):
    assert "--device: " in failed(train(logq, corpus, tmp_path / "v", "--device", "cuda:77"))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    refused = failed(train(logq, corpus, tmp_path / "v", "--engine", "triton"))
    assert "--engine: expected 'auto' or 'plain', got 'triton'; it trains on a GPU such as --device cuda" in refused


def test_the_engine_for_gpus_trains_and_is_named(logq, tmp_path, monkeypatch):
    pytest.importorskip("triton", reason="Triton is there for Linux alone")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    text = tmp_path / "text.txt"
    text.write_text("a b c\n" * 8)
    options = ("--engine", "triton", "--min-count", 1, "--sample", 0, "--epochs", 1)
    code, out, err = train(logq, text, tmp_path / "v", *options)
    assert (code, err) == (0, "")
    assert " words/s, mean loss " in out
    assert json.loads((tmp_path / "v" / "vectors.json").read_text())["info"]["engine"] == "triton"


def test_training_fast_does_without_torch(corpus, tmp_path):
    words = ["train", "word2vec", str(corpus), "-o", str(tmp_path / "v"), "--quiet"]
    code = f"import sys; from logq.cli import main; main({words!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
    assert (tmp_path / "v" / "vectors.json").exists()


def test_the_summary_says_how_it_went(logq, corpus, tmp_path):
    _, out, _ = train(logq, corpus, tmp_path / "v")
    info = json.loads((tmp_path / "v" / "vectors.json").read_text())["info"]
    assert info["words_trained"] == 2 * 960
    assert info["training_seconds"] > 0
    assert info["engine"] == "fused"
    assert f" words/s, mean loss {info['mean_loss']:.3f}." in out


def test_patterns_and_pipes(logq, corpus, tmp_path, monkeypatch):
    (tmp_path / "part-1.txt").write_bytes(corpus.read_bytes())
    (tmp_path / "part-2.txt").write_text("zebra zebra\n" * 10)
    assert logq("train", "word2vec", tmp_path / "part-*.txt", "-o", tmp_path / "v", *QUICK)[0] == 0
    assert "zebra" in KeyedVectors.load(tmp_path / "v")
    with corpus.open("rb") as file:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
        code, out, _ = logq("train", "word2vec", "-", "-o", tmp_path / "piped", *QUICK)
    assert code == 0
    assert "stays for the next run" not in out
    assert sorted(path.name for path in (tmp_path / "piped").iterdir()) == SAVED


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_encoded_text_is_kept_and_used_again(logq, corpus, tmp_path, monkeypatch):
    _, out, _ = train(logq, corpus, tmp_path / "v")
    assert f"stays for the next run in {tmp_path / 'v' / 'cache'}" in out
    before = names(tmp_path / "v" / "cache")
    assert len(before) == 2
    monkeypatch.setattr("logq.text.encoding.read_text", lambda *_: pytest.fail("read again"))
    assert train(logq, corpus, tmp_path / "v", "--dim", 5)[0] == 0
    assert names(tmp_path / "v" / "cache") == before


def test_the_encoded_text_goes_elsewhere_or_away(logq, corpus, tmp_path):
    train(logq, corpus, tmp_path / "v", "--cache-dir", tmp_path / "elsewhere")
    assert len(names(tmp_path / "elsewhere")) == 2
    assert names(tmp_path / "v") == SAVED
    _, out, _ = train(logq, corpus, tmp_path / "w", "--no-cache")
    assert names(tmp_path / "w") == SAVED
    assert "stays for the next run" not in out
    error = failed(train(logq, corpus, tmp_path / "v", "--no-cache", "--cache-dir", tmp_path))
    assert error.startswith("--no-cache: ")


def test_no_cache_removes_nothing_else(logq, corpus, tmp_path):
    (tmp_path / "v" / "cache").mkdir(parents=True)
    (tmp_path / "v" / "cache" / "notes.json").write_text("mine")
    train(logq, corpus, tmp_path / "v", "--no-cache")
    assert names(tmp_path / "v" / "cache") == ["notes.json"]


def test_resume_without_a_checkpoint_starts(logq, corpus, tmp_path):
    code, _, err = train(logq, corpus, tmp_path / "v", "--resume")
    assert (code, err) == (0, f"Note: there is no checkpoint in {tmp_path / 'v'}: training starts from scratch.\n")
    assert names(tmp_path / "v") == ["cache", *SAVED]


def failed(answer):
    code, _, err = answer
    assert code == 2
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    return err.removeprefix("Error: ").rstrip()


def test_a_missing_file(logq, corpus, tmp_path):
    missing = tmp_path / "missing.txt"
    answer = logq("train", "word2vec", corpus, missing, "-o", tmp_path / "v")
    assert failed(answer) == f"{missing}: there is no such file"
    assert not (tmp_path / "v").exists()


def test_a_folder_for_a_file(logq, tmp_path):
    assert failed(train(logq, tmp_path, tmp_path / "v")) == f"{tmp_path}: expected a text file, found a folder"


def test_a_pattern_that_matches_nothing(logq, corpus, tmp_path):
    pattern = tmp_path / "part-*.txt"
    assert failed(train(logq, pattern, tmp_path / "v", corpus)) == f"no file matches '{pattern}'"
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize("text", ["", "\n \n\t\n"])
def test_an_empty_corpus(logq, tmp_path, text):
    empty = tmp_path / "empty.txt"
    empty.write_text(text)
    assert "CORPUS: expected at least one word, got none" in failed(train(logq, empty, tmp_path / "v"))
    assert not (tmp_path / "v").exists(), "no empty folder stays behind"


def test_nothing_above_min_count(logq, corpus, tmp_path):
    error = failed(train(logq, corpus, tmp_path / "v", "--min-count", 5000))
    assert error.startswith("--min-count: expected at most 93, the count of the most frequent word ")
    assert not (tmp_path / "v").exists()


def test_a_damaged_gz(logq, corpus, tmp_path):
    damaged = tmp_path / "damaged.txt.gz"
    damaged.write_bytes(gzip.compress(corpus.read_bytes())[:-20])
    assert str(damaged) in failed(train(logq, damaged, tmp_path / "v"))


def test_an_output_that_cannot_be_written_is_said_before_training(logq, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(Word2Vec, "fit", lambda *_, **__: pytest.fail("trained for nothing"))
    (tmp_path / "file").write_text("precious")
    assert "found a file" in failed(train(logq, corpus, tmp_path / "file"))
    assert "can't be written to" in failed(train(logq, corpus, tmp_path / "file" / "v"))


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that nobody can write to")
def test_a_read_only_place(logq, corpus):
    assert "can't be written to" in failed(train(logq, corpus, "/proc/logq-vectors"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lr", "-1"], "--lr: "),
        (["--power", "nan"], "--unigram-power: "),
        (["--objective", "full_softmax", "--sampler", "uniform"], "--sampler: "),
        (["--device", "toaster"], "--device: expected one that torch has here"),
        (["--lr", "1e30"], "--lr: "),
    ],
)
def test_values_the_library_refuses_are_named_as_options(logq, corpus, tmp_path, options, message):
    assert failed(train(logq, corpus, tmp_path / "v", *options)).startswith(message)


@pytest.mark.filterwarnings("always")
def test_bytes_that_are_not_text_are_counted(logq, corpus, tmp_path):
    with corpus.open("ab") as file:
        file.write(b"caf\xe9 tea\n" * 3)
    code, _, err = train(logq, corpus, tmp_path / "v")
    assert code == 0
    assert "3 lines of the text have bytes that are not UTF-8" in err


def test_ctrl_c_before_the_first_epoch_ends(logq, corpus, tmp_path, monkeypatch):
    train(logq, corpus, tmp_path / "old")
    before = (tmp_path / "old" / "vectors.safetensors").read_bytes()

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Word2Vec, "fit", interrupted)
    assert train(logq, corpus, tmp_path / "new")[::2] == (
        130,
        "Interrupted: no vectors were saved.\n",
    )
    assert not (tmp_path / "new").exists()
    code, _, err = train(logq, corpus, tmp_path / "old")
    assert code == 130
    assert "still holds the vectors of an earlier run" in err
    assert (tmp_path / "old" / "vectors.safetensors").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent differently")
def test_ctrl_c_leaves_what_was_saved(corpus, tmp_path):
    folder = tmp_path / "vectors"
    words = ["train", "word2vec", corpus, "-o", folder, "--dim", "4", "--epochs", "100000"]
    with subprocess.Popen(
        [sys.executable, "-m", "logq.cli", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test runner in the background may ignore SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        deadline = time.monotonic() + 60
        while not (folder / "vectors.json").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("Interrupted: the vectors of ")
    assert f" of 100000 epochs are in {folder}; the same command with --resume continues" in err.splitlines()[-1]
    assert sorted(path.name for path in folder.iterdir()) == [
        "cache",
        "checkpoint.safetensors",
        "vectors.json",
        "vectors.safetensors",
    ]
    assert len(KeyedVectors.load(folder)) == 12


def test_a_disk_that_fills_up_says_what_is_saved(logq, corpus, tmp_path, monkeypatch):
    """The second epoch finds no room: the vectors of the first stay, and the line says so."""
    save, calls = Word2Vec.save_vectors, []

    def fills_up(self, folder):
        calls.append(folder)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        save(self, folder)

    monkeypatch.setattr(Word2Vec, "save_vectors", fills_up)
    folder = tmp_path / "v"
    code, _, err = logq("train", "word2vec", corpus, "-o", folder, "--min-count", 1, "--epochs", 3, "--sample", 0)
    assert code == 2
    assert "No space left on device; the vectors of 1 of 3 epochs are in" in err
    assert "tea" in KeyedVectors.load(folder)


def test_an_empty_name_is_not_a_place(logq, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = logq("train", "word2vec", corpus, "-o", "")
    assert code == 2
    assert "an argument is empty" in err
    assert not list(tmp_path.glob("vectors*"))


@pytest.mark.filterwarnings("always::UserWarning")
def test_a_warning_is_a_line_without_a_place_in_the_source(logq, corpus, tmp_path):
    code, _, err = logq("train", "word2vec", corpus, "-o", tmp_path / "v", "--sample", 1e-4, "--epochs", 1)
    assert code == 0
    assert "Note: sample: subsampling frequent words at 0.0001 leaves" in err
    assert ".py" not in err


def test_a_model_goes_on_with_more_text(logq, corpus, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    assert train(logq, corpus, old)[0] == 0
    more = tmp_path / "more.txt"
    more.write_text("tea with zebra\n" * 40)
    code, out, err = logq("train", "word2vec", more, "--continue", old, "-o", new, "--seed", 1, "--epochs", 1)
    assert (code, err) == (0, "")
    assert "Went on with 12 known words; 2 new words came in." in out
    expected = Word2Vec.load(old)
    before = expected.vocabulary
    expected.epochs = 1
    expected.fit(more, warm=True, progress=False)
    kept, vectors = Word2Vec.load(new), KeyedVectors.load(new)
    assert kept.vocabulary.index_to_key[:12] == before.index_to_key
    for made in (kept.vectors, vectors):
        assert (made.vectors == expected.vectors.vectors).all()
    assert logq("neighbors", new, "zebra")[0] == 0
    assert logq("train", "word2vec", more, "--continue", new, "-o", new, "--seed", 1, "--epochs", 1)[0] == 0
    assert Word2Vec.load(new).vocabulary.counts.sum() == kept.vocabulary.counts.sum() + 120


def test_a_model_goes_on_in_another_number_of_partitions(logq, corpus, tmp_path):
    a, b, c = (tmp_path / name for name in "abc")
    assert train(logq, corpus, a)[0] == 0
    quick = ("--seed", 1, "--epochs", 1, "--quiet")
    assert logq("train", "word2vec", corpus, "--continue", a, "-o", b, "--partitions", 3, *quick) == (0, "", "")
    assert logq("train", "word2vec", corpus, "--continue", b, "-o", c, *quick) == (0, "", "")
    expected = Word2Vec.load(a)
    expected.epochs, expected.partitions = 1, 3
    for _ in range(2):
        expected.fit(corpus, progress=False)
    made = Word2Vec.load(c)
    assert made.partitions == 3
    assert (made.vectors.vectors == expected.vectors.vectors).all()


def test_a_folder_without_a_model_cannot_go_on(logq, corpus, tmp_path):
    folder = tmp_path / "v"
    assert train(logq, corpus, folder)[0] == 0
    assert (folder / "model.safetensors").exists()
    assert train(logq, corpus, folder, "--vectors-only")[0] == 0
    assert not (folder / "model.safetensors").exists()  # that of the run before would not be of these vectors
    code, _, err = train(logq, corpus, tmp_path / "new", "--continue", folder)
    assert code == 2
    assert f"--continue: {folder} holds vectors alone" in err
    assert train(logq, corpus, folder)[0] == 0
    code, _, err = logq("train", "word2vec", corpus, "--continue", folder, "-o", tmp_path / "new", "--dim", 5)
    assert code == 2
    assert f"--dim: expected 4, as the model in {folder} has, got 5" in err
    for typed, said in (
        (["--cbow"], "--skip-gram: expected True, as the model in"),
        (["--hs"], "--hs: expected False, as the model in"),  # it goes with none of the sampler, which was not typed
        (["--objective", "nce"], "--objective: expected 'negative_sampling', as the model in"),
        (["--subwords"], "--subwords: expected False, as the model in"),
        (["--initial", folder, "--dim", 5], "--dim: expected 4, as the model in"),
    ):
        code, _, err = logq("train", "word2vec", corpus, "--continue", folder, "-o", tmp_path / "new", *typed)
        assert (code, said in err) == (2, True), err
    code, _, err = train(logq, corpus, tmp_path / "new", "--dim", 5, "--initial", folder)
    assert (code, "--initial: expected vectors of 5 numbers, got 4; --dim 4 goes with them" in err) == (2, True), err


def test_words_and_their_first_vectors_are_given(logq, corpus, tmp_path):
    words, given = tmp_path / "words.txt", tmp_path / "given.txt"
    words.write_text("tea 9\ntrain 3\ncup 1\n")
    given.write_text("1 4\ntea 1 2 3 4\n")
    options = ("--vocab", words, "--initial", given, "--frozen", "--sample", 0)
    code, _, err = train(logq, corpus, tmp_path / "v", *options)
    assert (code, err) == (0, "word2vec: 1 of 3 words start from given vectors, 1 are held\n")
    made = KeyedVectors.load(tmp_path / "v")
    assert made.index_to_key == ["tea", "train", "cup"]
    assert made["tea"].tolist() == [1, 2, 3, 4]
    code, _, err = train(logq, corpus, tmp_path / "w", "--frozen")
    assert (code, "--frozen: expected --initial VECTORS with it" in err) == (2, True)
