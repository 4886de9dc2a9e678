import io
import json
import re
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import recommender_cases
from logq.cli import main
from logq.cli.classifier_reading import read_classifier
from logq.cli.terminal.gradient_table import advice
from logq.diagnostics import gradient_error
from logq.diagnostics.gradient_errors import NeededSamples
from logq.language_models import NNLM, NGram, RecurrentLM
from logq.logs import Interactions
from logq.recommenders import Recommender
from logq.samplers import Uniform, Unigram

QUICK = ["--num-sampled", "5,20", "--repeats", "6", "-q"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    found = {
        "inputs": rng.normal(size=(12, 4)).astype(np.float32),
        "weight": rng.normal(size=(80, 4)).astype(np.float32),
        "bias": rng.normal(size=80).astype(np.float32),
        "counts": np.arange(80, 0, -1),
        "targets": np.arange(12),
    }
    return found


@pytest.fixture
def file(arrays, tmp_path):
    np.savez(tmp_path / "model.npz", **arrays)
    return tmp_path / "model.npz"


def read(out):
    """By (sampler, k): error, its standard error, bias, ..."""
    cells = [line.split("\t") for line in out.splitlines()]
    return {(name, int(k)): [float(value) for value in values] for name, k, *values in cells}


def test_arrays_in_a_pipe(logq, file, arrays):
    code, out, err = logq("diagnose", file, "--samplers", "uniform,unigram:0.5", "--seed", 3, *QUICK)
    assert (code, err) == (0, "")
    x, w, b = (torch.from_numpy(arrays[name]) for name in ("inputs", "weight", "bias"))
    samplers = {"uniform": Uniform(80, 1), "unigram:0.5": Unigram(arrays["counts"], 1, power=0.5)}
    targets = torch.arange(12)
    wanted = gradient_error(x, w, samplers, (5, 20), bias=b, targets=targets, repeats=6, seed=3)
    found = read(out)
    assert list(found) == [("uniform", 5), ("uniform", 20), ("unigram:0.5", 5), ("unigram:0.5", 20)]
    for name in samplers:
        for at in wanted[name]:
            numbers = [number for part in (at.relative_error, at.bias, at.std, at.ess) for number in part]
            assert found[name, at.num_sampled] == pytest.approx(numbers, rel=1e-4)


def test_a_safetensors_file_gives_the_same(logq, file, arrays, tmp_path):
    save_file(arrays, tmp_path / "model.safetensors")
    assert logq("diagnose", tmp_path / "model.safetensors", *QUICK) == logq("diagnose", file, *QUICK)


def test_json_and_figure(logq, file, tmp_path):
    pytest.importorskip("matplotlib")
    words = ["--json", tmp_path / "errors.json", "--figure", tmp_path / "errors.svg", "--error", 0.4]
    code, out, _ = logq("diagnose", file, *words, *QUICK)
    assert code == 0
    found = json.loads((tmp_path / "errors.json").read_text())
    assert found["wanted_error"] == 0.4
    assert set(found["needed"]) == {"uniform", "log_uniform", "unigram", "unigram:0.75"}
    first = found["samplers"]["uniform"][0]
    assert read(out)["uniform", 5][:2] == pytest.approx(first["relative_error"], rel=1e-4)
    assert "target: 0.4" in (tmp_path / "errors.svg").read_text()


def test_a_terminal_gets_a_table_and_advice(file, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["diagnose", str(file), "--num-sampled", "5,20,80", "--error", "0.05", "-q"]) == 0
    shown = sys.stdout.getvalue()
    assert "\t" not in shown
    assert "For an error of 0.05 take " in shown
    assert "80 classes: the full softmax costs no more" in shown
    assert "12 rows, 80 classes, 32 draws each" in shown


def test_without_counts_there_is_no_unigram(logq, arrays, tmp_path):
    np.savez(tmp_path / "few.npz", inputs=arrays["inputs"], weight=arrays["weight"])
    code, out, _ = logq("diagnose", tmp_path / "few.npz", *QUICK)
    assert code == 0
    assert {name for name, _ in read(out)} == {"uniform", "log_uniform"}
    code, _, err = logq("diagnose", tmp_path / "few.npz", "--samplers", "unigram", *QUICK)
    assert code == 2
    assert "--samplers: unigram needs an array `counts` (C,) in the file" in err


def test_options(logq, file):
    base = read(logq("diagnose", file, *QUICK)[1])
    distinct = read(logq("diagnose", file, "--distinct", *QUICK)[1])
    trained = read(logq("diagnose", file, "--estimator", "sampled_softmax", *QUICK)[1])
    refined = read(logq("diagnose", file, "--estimator", "refined_softmax", *QUICK)[1])
    fewer = read(logq("diagnose", file, "--rows", 3, *QUICK)[1])
    assert len({str(found) for found in (base, distinct, trained, refined, fewer)}) == 5
    whole = read(logq("diagnose", file, "--distinct", "--num-sampled", 80, "--repeats", 4, "-q")[1])
    assert all(values[0] < 1e-5 for values in whole.values())


def test_a_recommender(logq, model):
    """Users without their last item, who ask for it: what the model itself scores."""
    code, out, _ = logq("diagnose", model, *QUICK)
    assert code == 0
    assert ("unigram", 20) in read(out)
    known = Recommender.load(model)
    found = read_classifier(model, None, rows=10, device="cpu")
    assert found.inputs.shape[0] == 10
    seen = known.known
    histories = [
        known.item_ids[seen.items[begin : end - 1]].tolist()
        for begin, end in zip(seen.offsets[:-1], seen.offsets[1:], strict=True)
    ]
    users = np.linspace(0, 59, 10).round().astype(int)
    some = [histories[user] for user in users]
    scores = found.inputs @ found.weight.T + (0 if found.bias is None else found.bias)
    wanted = known.query_vectors(known.user_ids[users], histories=some) @ known.search_vectors.T
    np.testing.assert_allclose(scores, wanted, atol=1e-5)
    assert found.targets.tolist() == [seen.items[seen.offsets[user + 1] - 1] for user in users]
    assert found.counts.tolist() == seen.item_counts().tolist()


@pytest.mark.parametrize("kind", [NNLM, RecurrentLM])
@pytest.mark.parametrize("objective", ["sampled_softmax", "negative_sampling"])
def test_a_language_model(logq, tmp_path, kind, objective):
    """Log P of the words that stand there, from what was read, is that of the model's own evaluation."""
    lines = [["the", "cup", "of", "tea"], ["the", "train", "of", "the", "line"]] * 20
    lm = kind(dim=4, hidden=4, epochs=1, num_sampled=3, objective=objective, batch_size=4, seed=1)
    lm.fit(lines, progress=False).save(tmp_path / "lm")
    (tmp_path / "text").write_text("\n".join(" ".join(line) for line in lines[:4]) + "\n")
    found = read_classifier(tmp_path / "lm", str(tmp_path / "text"), rows=1000, device="cpu")
    logits = found.inputs @ found.weight.T + (0 if found.bias is None else found.bias)
    log_p = logits.log_softmax(dim=1).gather(1, found.targets[:, None])
    likelihood = lm.evaluate(str(tmp_path / "text"), progress=False)
    assert len(log_p) == likelihood.num_tokens == 22
    assert float(log_p.sum()) == pytest.approx(likelihood.log_prob, rel=1e-5)
    code, out, err = logq("diagnose", tmp_path / "lm", tmp_path / "text", "--num-sampled", "2,4", "--repeats", 4, "-q")
    assert (code, err) == (0, "")
    assert ("log_uniform", 4) in read(out)
    code, _, err = logq("diagnose", tmp_path / "lm")
    assert code == 2
    assert "this is a language model; give a TEXT after it" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: there is no such file or folder"),
        (
            ["{vectors}"],
            "expected a recommender or a language model in this folder, found word vectors; try",
        ),
        (["{file}", "text.txt"], "TEXT: only language models read one"),
        (["{file}", "--samplers", "in_batch"], "--samplers: expected uniform, log_uniform, unigram or unigram:POWER"),
        (["{file}", "--samplers", "uniform:2"], "got 'uniform:2'"),
        (["{file}", "--samplers", "unigram:x"], "got 'unigram:x'"),
        (["{file}", "--num-sampled", "5,x"], "--num-sampled: expected integers separated by commas, got 'x'"),
        (["{file}", "--num-sampled", "81", "--distinct"], "--num-sampled: expected at most"),
        (["{file}", "--error", "0"], "--error: expected a number above 0, got 0"),
        (["{file}", "--figure", "a.gif"], "--figure: expected a name that ends in .png, .svg or .pdf"),
        (["{file}", "--figure", "nowhere/a.png"], "there is no folder nowhere"),
        (["{file}", "--device", "abacus"], "--device: expected one that torch has here"),
        (["{broken}"], "broken.npz: the file is damaged"),
        (["{lacking}"], "expected arrays 'inputs' (B, D) and 'weight' (C, D), there is no 'weight'"),
        (["{flat}"], "flat.npz: expected 'counts' with 1 dimensions, got shape (80, 1)"),
        (["{unfit}"], "expected 'weight' of shape (80, 4) beside the others, got (80, 3)"),
        (["{text}"], "expected a folder of `logq train`, or a .npz or .safetensors file of arrays"),
    ],
)
def test_bad_input(logq, file, arrays, vectors, tmp_path, words, message):
    names = {"file": file, "vectors": vectors}
    for name in ("broken", "lacking", "unfit", "flat"):
        names[name] = tmp_path / f"{name}.npz"
    names["text"] = tmp_path / "text.txt"
    names["text"].write_text("tea\n")
    names["broken"].write_bytes(file.read_bytes()[:100])
    np.savez(names["lacking"], inputs=arrays["inputs"])
    np.savez(names["flat"], **{**arrays, "counts": arrays["counts"][:, None]})
    np.savez(names["unfit"], inputs=arrays["inputs"], weight=arrays["weight"][:, :3])
    code, out, err = logq("diagnose", *[word.format(**names) for word in words])
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_nothing_in_an_array_file_is_executed(logq, tmp_path, arrays):
    np.savez(tmp_path / "objects.npz", inputs=np.array([{}], dtype=object), weight=arrays["weight"])
    code, _, err = logq("diagnose", tmp_path / "objects.npz")
    assert code == 2
    assert "allow_pickle=False" in err


def test_users_with_several_interests_ask_with_the_nearest(tmp_path):
    known = recommender_cases.fitted("MIND")
    known.save(tmp_path)
    found = read_classifier(tmp_path, None, rows=9, device="cpu")
    seen = known.known
    users = np.linspace(0, len(known.user_ids) - 1, 9).round().astype(int)
    for row, user in enumerate(users.tolist()):
        past = seen.items[seen.offsets[user] : seen.offsets[user + 1]]
        queries = known.query_vectors(known.user_ids[user], histories=known.item_ids[past[:-1]].tolist())[0]
        target = known.search_vectors[past[-1]]
        np.testing.assert_allclose(found.inputs[row], max(queries, key=lambda query: query @ target), atol=1e-5)


def test_biases_of_items_are_told_from_their_vectors(tmp_path):
    split = recommender_cases.planted_split()
    known = recommender_cases.make("YoutubeDNN", epochs=2, item_bias=True).fit(split, progress=False)
    known.save(tmp_path)
    found = read_classifier(tmp_path, None, rows=5, device="cpu")
    assert found.weight.shape == known.item_vectors.shape
    np.testing.assert_allclose(found.bias, known.search_vectors[:, -1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: recommender_cases.fitted("ItemKNN"),
            "a ItemKNN has no vectors of items, so there is nothing",
        ),
        (
            lambda: recommender_cases.make("YoutubeDNN", epochs=1).fit(
                Interactions.from_arrays([1, 1, 2], [5, 6, 7]), progress=False
            ),
            None,
        ),
        (lambda: NGram(2, "add_k").fit([["tea", "cup"]], progress=False), "NGram has no vectors of words"),
        (
            lambda: NNLM(dim=4, hidden=4, epochs=1, objective="hierarchical_softmax").fit(
                [["the", "cup"], ["the", "tea"]] * 20, progress=False
            ),
            "was trained with hierarchical_softmax, which is not a softmax over a table of all words",
        ),
    ],
    ids=["ItemKNN", "without histories", "NGram", "hierarchical"],
)
def test_models_without_a_softmax_over_vectors_are_refused(logq, tmp_path, make, message):
    model = make()
    if message is None:
        model.save(tmp_path / "m", users=False)
        message = "expected a user with two events or more, to make a query from the first ones"
    else:
        model.save(tmp_path / "m")
    (tmp_path / "text").write_text("the cup\n")
    text = [] if isinstance(model, Recommender) else [tmp_path / "text"]
    code, out, err = logq("diagnose", tmp_path / "m", *text)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_advice_where_no_sampler_is_seen_to_reach_the_error():
    errors: Any = SimpleNamespace(
        samplers={"uniform": [SimpleNamespace(num_sampled=20)]},
        num_sampled_for=lambda error, name: NeededSamples(None, "unknown", 20),
    )
    assert advice(errors, 0.05, "words").startswith("No sampler reaches an error of 0.05 with 20 samples, or is seen")


def test_advice_beyond_what_was_measured_says_what_would_tell(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    inputs, weight = (0.3 * rng.normal(size=(size, 4)).astype(np.float32) for size in (12, 3000))
    np.savez(tmp_path / "model.npz", inputs=inputs, weight=weight)
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "200")
    words = ["--samplers", "uniform", "--num-sampled", "20,80", "--error", "0.1", "--seed", "1", "-q"]
    assert main(["diagnose", str(tmp_path / "model.npz"), *words, "--figure", str(tmp_path / "a.svg")]) == 0
    shown = " ".join(sys.stdout.getvalue().split())
    needed = re.search(r"take uniform with about (\d+) \(extrapolated\) samples\. That is more than was", shown)
    assert needed is not None
    tell = re.search(r"measured: --num-sampled 80,(\d+) would tell", shown)
    assert tell is not None
    assert int(needed[1]) == pytest.approx(int(tell[1]), rel=0.05)
    assert 80 < int(tell[1]) < 160
    assert (tmp_path / "a.svg").exists()
    assert re.sub(r"\x1b\[[\d;]*m", "", shown).endswith(f"{tmp_path / 'a.svg'}: error and bias against k.")


def test_log_uniform_wants_frequent_classes_first(logq, arrays, tmp_path):
    np.savez(tmp_path / "turned.npz", **{**arrays, "counts": arrays["counts"][::-1]})
    code, _, err = logq("diagnose", tmp_path / "turned.npz", "--samplers", "log_uniform", "--num-sampled", 5)
    assert code == 0
    assert "Note: log_uniform expects frequent classes first; here they are not in that order." in err
