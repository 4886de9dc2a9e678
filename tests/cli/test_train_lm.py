"""`logq train lm`: options reach the estimators, wrong ones are told, and what is trained can be gone on with."""

import json
import re
import shlex
import subprocess
import sys

import pytest

from logq.cli.app import app
from logq.cli.commands.train_lm import NEURAL, ModelName, model_options
from logq.language_models import NNLM, NGram, RecurrentLM, load

CLASSES = {"ngram": NGram, "nnlm": NNLM, "gru": RecurrentLM, "lstm": RecurrentLM}
TINY = ("--dim", 6, "--hidden", 6, "--epochs", 1, "--num-sampled", 5, "--batch-size", 4, "--seed", 1)

FALLBACK = ("--discount-fallback", "0.5,1,1.5")


def parameters():
    return {one.name: one for one in app.members["train"].get_command(None, "lm").params}


def test_every_argument_has_an_option():
    known = {name for kind in CLASSES.values() for name in kind.options()} - {"cell"}
    assert set(model_options()) == known
    assert known <= set(parameters())
    assert set(CLASSES) == {name.value for name in ModelName}


@pytest.mark.parametrize("model", CLASSES)
def test_defaults_are_the_library_s(logq, lines, tmp_path, monkeypatch, model):
    seen = []

    def noted(self, *_, **__):
        seen.append(self.settings())
        raise KeyboardInterrupt

    monkeypatch.setattr(CLASSES[model], "fit", noted)
    assert logq("train", "lm", lines, "-o", tmp_path / "m", "--model", model)[0] == 130
    cell = {"cell": model} if model in ("gru", "lstm") else {}
    expected = CLASSES[model](**cell).settings()
    assert [{**found, "threads": None} for found in seen] == [{**expected, "threads": None}]


def test_the_help_has_the_defaults_of_each_model_and_whose_option_it_is():
    found = parameters()
    assert found["dim"].show_default == "200, nnlm 100"
    assert found["batch_size"].show_default == "64, nnlm 256"
    for name, owners in model_options().items():
        for model, option in owners.items():
            if name != "threads" and option.default_text:
                assert option.default_text in found[name].show_default, (name, model)
        begins = "" if set(owners) >= set(NEURAL) else f"{', '.join(owners)}: "
        assert found[name].hidden or found[name].help.startswith(begins)


@pytest.mark.parametrize("model", ["nnlm", "gru", "lstm"])
@pytest.mark.parametrize("objective", ["nce", "hierarchical_softmax", "adaptive_softmax"])
def test_a_neural_model_is_trained_saved_and_answers(logq, lines, tmp_path, model, objective):
    options = [word for word in TINY if objective == "nce" or word not in ("--num-sampled", 5)]
    words = ("--model", model, "--objective", objective, "--valid", lines)
    code, out, err = logq("train", "lm", lines, "-o", tmp_path / "my model", *words, *options)
    assert code == 0, err
    assert f"{model} of " in out
    assert "Perplexity of the validation text: " in out
    loaded = load(tmp_path / "my model")
    assert loaded.settings()["objective"] == objective
    assert loaded.settings().get("cell", "nnlm") == model
    assert 1 < loaded.perplexity(lines, progress=False) < 40
    snippet = next(line for line in out.splitlines() if line.startswith("  python -c "))
    assert repr(str(tmp_path / "my model"))[1:-1] in snippet


def test_an_ngram_model_is_what_the_library_makes(logq, lines, tmp_path):
    words = ("--order", 2, "--smoothing", "add_k", "--k", 0.5, "--min-count", 2, "--valid", lines)
    code, out, err = logq("train", "lm", lines, "-o", tmp_path / "m", *words)
    assert code == 0, err
    ours = NGram(2, "add_k", k=0.5, min_count=2).fit(str(lines), progress=False)
    perplexity = NGram.load(tmp_path / "m").perplexity(lines, progress=False)
    assert perplexity == ours.perplexity(lines, progress=False)
    assert f"Perplexity of the validation text: {perplexity:.2f}." in out
    for command in re.findall(r"^  (logq .*?)(?:  #|$)", out, re.MULTILINE):
        code, _, err = logq(*command.split()[1:])
        assert code == 0, err


def test_the_best_k_for_another_text(logq, lines, tmp_path):
    words = ("--order", 2, "--smoothing", "add_k", "--k", 0)
    code, out, err = logq("train", "lm", lines, "-o", tmp_path / "m", *words, "--valid", lines)
    assert code == 0, err
    assert f"k = {NGram.load(tmp_path / 'm').metadata['k']:.3g}." in out
    code, _, err = logq("train", "lm", lines, "-o", tmp_path / "m", *words)
    assert (code, err) == (2, "Error: --valid: expected a text to find the best k for, as --k is 0, got none\n")


@pytest.mark.parametrize("model", ["ngram", "gru"])
def test_the_python_that_is_shown_runs(logq, lines, tmp_path, model):
    words = TINY if model == "gru" else FALLBACK
    _, out, _ = logq("train", "lm", lines, "-o", tmp_path / "my model", "--model", model, *words)
    command = next(line.strip() for line in out.splitlines() if "python -c" in line)
    code = shlex.split(command)[-1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout.replace("'", '"'))) == 10


def test_a_run_goes_on_to_the_same_bits(logq, lines, tmp_path, monkeypatch):
    words = ("--model", "gru", *TINY, "--epochs", 3)
    assert logq("train", "lm", lines, "-o", tmp_path / "whole", *words)[0] == 0
    stop_after(monkeypatch, 7)
    code, _, err = logq("train", "lm", lines, "-o", tmp_path / "m", *words, "--checkpoint-minutes", 0)
    assert code == 130
    assert "--resume continues from the checkpoint" in err
    monkeypatch.undo()
    code, _, err = logq("generate", tmp_path / "m")
    assert "found a checkpoint; the same command with --resume continues from it" in err
    assert logq("train", "lm", lines, "-o", tmp_path / "m", *words, "--resume")[0] == 0
    whole, ours = load(tmp_path / "whole").state(), load(tmp_path / "m").state()
    assert all((whole[name] == ours[name]).all() for name in whole)
    assert not (tmp_path / "m" / "checkpoint.safetensors").exists()


def stop_after(monkeypatch, steps):
    """Ctrl-C after that many batches."""

    def on_batch(self, step):
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen == steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(RecurrentLM, "_on_batch", on_batch)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "gru", "--order", 3], "--order: expected --model ngram with it, got gru"),
        (["--dim", 8], "--dim: expected --model nnlm, gru or lstm with it, got ngram"),
        (["--resume"], "--resume: expected --model nnlm, gru or lstm with it, got ngram"),
        (["--model", "nnlm", "--bptt", 8], "--bptt: expected --model gru or lstm with it, got nnlm"),
        (["--model", "lstm", "--context", 8], "--context: expected --model nnlm with it, got lstm"),
        (["--model", "gru", "--arpa", "x.arpa"], "--arpa: expected --model ngram with it, got gru"),
        (["--model", "gru", "--tied", "--dim", 8], "--tied: expected dim = hidden"),
        (
            ["--model", "gru", "--objective", "full_softmax", "--num-sampled", 9],
            "--num-sampled: full_softmax samples no words; expected another --objective with it",
        ),
        (
            ["--model", "gru", "--objective", "hierarchical_softmax", "--sampler", "uniform"],
            "--sampler: expected None, as hierarchical_softmax ",
        ),
        (["--model", "gru", "--cutoffs", "10"], "--cutoffs: expected None, as sampled_softmax has no clusters"),
        (["--model", "gru", "--cutoffs", "10,x"], "--cutoffs: expected an integer >= 1, got 'x'"),
        (["--discount-fallback", "a"], "--discount-fallback: expected three numbers, such as 0.5,1.0,1.5"),
        (["--k", "-1", "--smoothing", "add_k"], "--k: expected a finite number > 0, got -1"),
        (["--k", "2"], "--k: expected --smoothing add_k with it, got kneser_ney"),
        (["--smoothing", "add_k", *FALLBACK], "--discount-fallback: expected --smoothing kneser_ney with it"),
        (["--model", "gru", "--device", "abacus"], "--device: expected"),
        (["--model", "gru", "--lr", "-1"], "--lr: expected"),
        (["--model", "rnn"], "'rnn' is not one of"),
        (["--valid", "missing.txt"], "missing.txt: there is no such file"),
    ],
)
def test_bad_options(logq, lines, tmp_path, words, message):
    code, out, err = logq("train", "lm", lines, "-o", tmp_path / "m", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("model", ["ngram", "nnlm", "gru"])
def test_texts_without_words(logq, tmp_path, model):
    (tmp_path / "empty.txt").write_text("\n\n")
    for corpus in (tmp_path / "empty.txt", tmp_path, tmp_path / "none.txt"):
        code, out, err = logq("train", "lm", corpus, "-o", tmp_path / "m", "--model", model, "-q")
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1, err
        assert err.startswith(("Error: CORPUS: expected at least one word", f"Error: {corpus}: "))
        assert not (tmp_path / "m").exists()


def test_a_text_without_words_to_measure_by(logq, lines, tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    code, _, err = logq("train", "lm", lines, "-o", tmp_path / "m", "--valid", tmp_path / "empty.txt", "-q", *FALLBACK)
    assert (code, err) == (2, "Error: CORPUS or --valid: expected at least one word, got none\n")


def test_memory_gives_the_same_model(logq, tmp_path, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text("".join(f"a{i % 7} b{i % 11} c{i % 13} d{i % 17}\n" for i in range(900)))
    for name in ("_RESIDENT", "_WORD", "_LEAST"):
        monkeypatch.setattr(f"logq.language_models.ngram.ngram.{name}", 0)
    logq("train", "lm", text, "-o", tmp_path / "whole", *FALLBACK)
    logq("train", "lm", text, "-o", tmp_path / "little", "--memory", "50kB", *FALLBACK)
    whole, little = load(tmp_path / "whole"), load(tmp_path / "little")
    assert little.settings()["memory"] == "50kB"
    assert all((little.state()[name] == array).all() for name, array in whole.state().items())
    code, _, err = logq("train", "lm", text, "-o", tmp_path / "other", "--memory", "much")
    assert code == 2
    assert err.startswith("Error: --memory: expected a size such as 1GB, got 'much'")

    def full(*_):
        raise OSError(28, "no space left for the files of n-grams", "/tmp (TMPDIR)")

    monkeypatch.setattr("logq.text.disk_columns.DiskColumn.append", full)
    code, _, err = logq("train", "lm", text, "-o", tmp_path / "little", "--memory", "50kB", "--overwrite", *FALLBACK)
    assert code != 0
    assert "/tmp (TMPDIR): no space left for the files of n-grams" in err
    assert load(tmp_path / "little").metadata == whole.metadata


def test_a_text_that_is_too_small_for_kneser_ney(logq, tmp_path):
    (tmp_path / "small.txt").write_text("so far so good\n")
    code, _, err = logq("train", "lm", tmp_path / "small.txt", "-o", tmp_path / "m", "-q")
    assert code == 2
    assert err.startswith("Error: --discount-fallback: expected three discounts, such as 0.5,1.0,1.5")
    assert logq("train", "lm", tmp_path / "small.txt", "-o", tmp_path / "m", "-q", *FALLBACK)[0] == 0


@pytest.mark.parametrize(("option", "name"), [("--clip", "clip"), ("--patience", "patience")])
def test_0_stands_for_none(logq, lines, tmp_path, option, name):
    folder = tmp_path / "m"
    assert logq("train", "lm", lines, "-o", folder, "--model", "gru", *TINY, option, 0)[0] == 0
    assert load(folder).settings()[name] is None


def test_quiet_prints_nothing(logq, lines, tmp_path):
    assert logq("train", "lm", lines, "-o", tmp_path / "m", *FALLBACK, "-q") == (0, "", "")


def test_one_epoch_is_one(logq, lines, tmp_path):
    _, out, _ = logq("train", "lm", lines, "-o", tmp_path / "m", "--model", "gru", *TINY)
    assert "\n1 epoch, " in out
