"""`logq train lm`: options reach the estimators, wrong ones are told, and what is trained can be gone on with."""

import json
import re
import subprocess
import sys
from dataclasses import fields
from typing import get_args, get_type_hints

import pytest

from logq.cli import lm_options
from logq.cli.errors import BadInputError
from logq.cli.lm_options import (
    MODELS,
    NEURAL,
    LMLoss,
    LMModel,
    LMTraining,
    LMVocabulary,
    ModelName,
    OptimizerName,
    OutputName,
    typed_arguments,
)
from logq.cli.lm_training import _snippet
from logq.language_models import NNLM, LanguageModel, NeuralLMConfig, NGram, RecurrentLM, load
from logq.training.options import OPTIMIZERS

GROUPS = (LMVocabulary, LMModel, LMLoss, LMTraining)
DEFAULTS = {
    "ngram": NGram().settings(),
    "nnlm": NNLM().settings() | {"device": "cpu"},
    "gru": RecurrentLM().settings() | {"device": "cpu"},
    "lstm": RecurrentLM("lstm").settings() | {"device": "cpu"},
}
TINY = ("--dim", 6, "--hidden", 6, "--epochs", 1, "--num-sampled", 5, "--batch-size", 4, "--seed", 1, "--quiet")

FALLBACK = ("--discount-fallback", "0.5,1,1.5")


def helps():
    """(option, its help) for all options of models."""
    for group in GROUPS:
        hints = get_type_hints(group, include_extras=True)
        for field in fields(group):
            yield field.name, get_args(hints[field.name])[1].help


@pytest.mark.parametrize(("option", "text"), list(helps()))
def test_the_help_has_the_defaults_of_the_library(option, text):
    models = MODELS.get(option, NEURAL)
    defaults = {model: DEFAULTS[model][option] for model in models}
    own = text.lower().split("default", 1)[-1]
    for model, default in defaults.items():
        if default is None or option == "threads":
            assert option in ("seed", "threads") or "all" in own or "where" in own or "fifth" in own, option
            continue
        own_name = re.search(rf"{model}[^;]*?(\d[\d.]*)", own)
        said = own_name[1].rstrip(".") if own_name else re.search(r":? ([\w.-]+?)(?:[,;]|\.?$|\. )", own)[1].rstrip(".")
        if isinstance(default, bool):
            assert said.startswith("no-" if not default else "") or said == "untied"
            assert (said in ("untied",) or said.startswith("no-")) == (not default)
        elif isinstance(default, str):
            assert said == default
        else:
            assert float(said) == default


def test_every_argument_has_an_option():
    options = {name for name, _ in helps()}
    known = {name for estimator in (NGram, NNLM, RecurrentLM) for name in estimator.options()}
    assert options == known - {"cell", "sparse", "ema", "validate_every"}


def test_names_are_the_library_s():
    assert [name.value for name in OutputName] == list(NeuralLMConfig.options()["objective"].choices)
    assert {name.value for name in OptimizerName} == set(OPTIMIZERS)


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
    code, out, err = logq("train", "lm", lines, "-o", tmp_path / "m", *words, "--quiet")
    assert code == 0, err
    ours = NGram(2, "add_k", k=0.5, min_count=2).fit(str(lines), progress=False)
    perplexity = NGram.load(tmp_path / "m").perplexity(lines, progress=False)
    assert perplexity == ours.perplexity(lines, progress=False)
    assert f"Perplexity of the validation text: {perplexity:.2f}." in out
    for command in re.findall(r"^  (logq .*?)(?:  #|$)", out, re.MULTILINE):
        code, _, err = logq(*command.split()[1:])
        assert code == 0, err


def test_the_best_k_for_another_text(logq, lines, tmp_path):
    words = ("--order", 2, "--smoothing", "add_k", "--k", 0, "--quiet")
    code, out, err = logq("train", "lm", lines, "-o", tmp_path / "m", *words, "--valid", lines)
    assert code == 0, err
    assert f"k = {NGram.load(tmp_path / 'm').metadata['k']:.3g}." in out
    code, _, err = logq("train", "lm", lines, "-o", tmp_path / "m", *words)
    assert (code, err) == (2, "Error: --valid: expected a text to find the best k for, as --k is 0, got none\n")


@pytest.mark.parametrize("room", ["logq.language_models.ngram", "logq.language_models"])
def test_the_python_that_is_shown_runs(room, counted, recurrent):
    model = load(counted if room == "logq.language_models.ngram" else recurrent)
    code = _snippet(model, counted if room == "logq.language_models.ngram" else recurrent, "the")
    assert code.startswith(f"import {room}; ")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout.replace("'", '"'))) == 10


def test_a_run_goes_on_to_the_same_bits(logq, lines, tmp_path, monkeypatch):
    words = ("--model", "gru", *TINY, "--epochs", 3)
    assert logq("train", "lm", lines, "-o", tmp_path / "whole", *words)[0] == 0
    stop_after(monkeypatch, 7)
    code, _, err = logq("train", "lm", lines, "-o", tmp_path / "m", *words, "--checkpoint-minutes", 0)
    assert code == 130
    assert "--resume goes on from the checkpoint" in err
    monkeypatch.undo()
    code, _, err = logq("generate", tmp_path / "m")
    assert "a checkpoint is there" in err
    assert logq("train", "lm", lines, "-o", tmp_path / "m", *words, "--resume")[0] == 0
    whole, ours = load(tmp_path / "whole").state(), load(tmp_path / "m").state()
    assert all((whole[name] == ours[name]).all() for name in whole)
    assert not (tmp_path / "m" / "checkpoint.safetensors").exists()


def stop_after(monkeypatch, steps):
    """Ctrl-C after so many batches."""

    def on_batch(self, step):
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen == steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(RecurrentLM, "_on_batch", on_batch)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "gru", "--order", 3], "--order: expected --model ngram with it, got gru"),
        (["--dim", 8], "--dim: expected --model nnlm or gru or lstm with it, got ngram"),
        (["--resume"], "--resume: expected --model nnlm or gru or lstm with it, got ngram"),
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
            "--sampler: expected None, as hierarchical_softmax draws no",
        ),
        (["--model", "gru", "--cutoffs", "10"], "--cutoffs: expected None, as sampled_softmax has no clusters"),
        (["--model", "gru", "--cutoffs", "10,x"], "--cutoffs: expected numbers such as 2000,6000, got '10,x'"),
        (["--discount-fallback", "a"], "--discount-fallback: expected numbers such as 0.5,1,1.5, got 'a'"),
        (["--k", "-1", "--smoothing", "add_k"], "Invalid value for '--k'"),
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
        assert err.startswith(("Error: CORPUS: no words in it", f"Error: {corpus}: "))
        assert not (tmp_path / "m").exists()


def test_a_text_without_words_to_measure_by(logq, lines, tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    code, _, err = logq("train", "lm", lines, "-o", tmp_path / "m", "--valid", tmp_path / "empty.txt", "-q", *FALLBACK)
    assert (code, err) == (2, "Error: CORPUS or --valid: no words in it, expected at least one\n")


def test_a_text_that_is_too_small_for_kneser_ney(logq, tmp_path):
    (tmp_path / "small.txt").write_text("so far so good\n")
    code, _, err = logq("train", "lm", tmp_path / "small.txt", "-o", tmp_path / "m", "-q")
    assert code == 2
    assert err.startswith("Error: --discount-fallback: expected three discounts, such as 0.5, 1.0 and 1.5")
    assert logq("train", "lm", tmp_path / "small.txt", "-o", tmp_path / "m", "-q", *FALLBACK)[0] == 0


def test_arguments_are_those_that_were_typed():
    assert typed_arguments(ModelName.ngram, LMModel(k=0.0)) == {"k": None}
    assert typed_arguments(ModelName.nnlm, LMModel(), LMTraining(clip=0.0)) == {"clip": None}
    arguments = typed_arguments(ModelName.lstm, LMLoss(objective=OutputName["adaptive_softmax"], cutoffs="10,20"))
    assert arguments == {"cell": "lstm", "objective": "adaptive_softmax", "cutoffs": [10, 20]}
    with pytest.raises(BadInputError, match=r"^--layers: "):
        typed_arguments(ModelName.nnlm, LMModel(layers=2))
    assert set(lm_options.MODELS) <= {name for name, _ in helps()} | {"arpa"}
    assert issubclass(RecurrentLM, LanguageModel)
