"""The arguments of Word2Vec: their other names, what gensim calls them, and settings that were saved."""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from logq import ArgumentError, ArgumentTypeError, Word2Vec
from logq.objectives import OBJECTIVES
from logq.samplers import Uniform
from logq.training.config import UnknownArgumentError
from logq.word2vec import word2vec_config
from logq.word2vec.word2vec_config import Word2VecConfig


def test_the_names_of_the_first_version_are_accepted():
    model: Any = Word2Vec(negatives=7, power=-0.5)  # pyright: ignore[reportCallIssue]
    assert (model.num_sampled, model.unigram_power) == (model.negatives, model.power) == (7, -0.5)
    assert model.settings().items() >= {"num_sampled": 7, "unigram_power": -0.5}.items()
    with pytest.raises(ArgumentTypeError, match=r"^power: expected unigram_power alone, got both"):
        Word2Vec(power=1.0, unigram_power=1.0)  # pyright: ignore[reportCallIssue]
    options = Word2Vec.options()
    assert options["num_sampled"].names == ("--num-sampled", "--negatives")
    assert options["unigram_power"].names == ("--unigram-power", "--power")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vector_size": 100}, "Word2Vec: unknown argument 'vector_size'; it is called dim here"),
        ({"alpha": 0.1}, "Word2Vec: unknown argument 'alpha'; it is called lr here"),
        ({"workers": 4}, "Word2Vec: unknown argument 'workers'; it is called threads here"),
        ({"ns_exponent": 0}, "Word2Vec: unknown argument 'ns_exponent'; it is called unigram_power here"),
        ({"max_final_vocab": 9}, "Word2Vec: unknown argument 'max_final_vocab'; it is called max_vocab here"),
        (
            {"hs": True, "negative": 0},
            "Word2Vec: unknown argument 'negative'; it is called num_sampled here; where hs=True, leave it out: the "
            "tree is trained alone",
        ),
        (
            {"sentences": []},
            "Word2Vec: unknown argument 'sentences'; give the text to fit: Word2Vec(...).fit(text)",
        ),
        ({"size": 100}, "Word2Vec: unknown argument 'size'; it is called dim here"),
        ({"iter": 5}, "Word2Vec: unknown argument 'iter'; it is called epochs here"),
        ({"min_alpha": 0}, "Word2Vec: unknown argument 'min_alpha'; the learning rate falls to 1e-4 of lr"),
        ({"sorted_vocab": 1}, "Word2Vec: unknown argument 'sorted_vocab'; words are always sorted by frequency"),
        (
            {"max_vocab_size": 9},
            "Word2Vec: unknown argument 'max_vocab_size'; it is called max_vocab here, and keeps the most frequent "
            "words",
        ),
        (
            {"trim_rule": None},
            "Word2Vec: unknown argument 'trim_rule'; give it to fit as keep=, a function that returns True, False or "
            "None",
        ),
        (
            {"dim": [["a", "b"]]},
            "dim: expected an integer >= 1, got [['a', 'b']]; give the text to fit: Word2Vec(...).fit(text)",
        ),
        ({"sg": 1}, "sg: expected True or False, got 1; write sg=True"),
        ({"sg": 0}, "sg: expected True or False, got 0; write sg=False"),
        ({"hs": 1}, "hs: expected True or False, got 1; write hs=True"),
        ({"cbow_mean": 0}, "cbow_mean: expected True or False, got 0; write cbow_mean=False"),
        ({"num_sampled": 0}, "num_sampled: expected an integer >= 1, got 0; hs trains without negatives"),
        ({"negatives": 0}, "num_sampled: expected an integer >= 1, got 0; hs trains without negatives"),
        (
            {"objective": "hierarchical_softmax"},
            f"objective: expected one of {', '.join(OBJECTIVES)}, got 'hierarchical_softmax'; choose hs instead",
        ),
    ],
)
def test_what_gensim_s_users_write_is_answered_with_what_to_write(given: dict[str, Any], message: str):
    with pytest.raises((ArgumentError, ArgumentTypeError)) as caught:
        Word2Vec(**given)
    assert str(caught.value) == message
    assert isinstance(caught.value, UnknownArgumentError) == ("unknown" in message)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sg": False, "cbow_mean": False, "lr": 0.1, "seed": 3},
        {"hs": True},
        {"objective": "full_softmax", "batch_size": 9},
        {"objective": "nce", "sampler": "uniform", "shared_negatives": True, "max_vocab": 100},
    ],
)
def test_settings_go_through_json_and_back(options: dict[str, Any]):
    model = Word2Vec(**options)
    again = Word2Vec.from_settings(json.loads(json.dumps(model.settings())))
    assert again.settings() == model.settings()
    assert (again.engine_name, again.used_threads) == (model.engine_name, model.used_threads)


def test_settings_that_the_first_version_saved_are_read():
    before = {
        **{"dim": 7, "window": 3, "negatives": 4, "sample": 0.01, "min_count": 2, "epochs": 1, "lr": 0.05, "sg": False},
        **{"hs": False, "cbow_mean": True, "objective": "negative_sampling", "power": 0.5, "shared_negatives": None},
        **{"threads": None, "batch_size": None, "max_vocab": None, "seed": 1, "device": "cpu", "sampler": "unigram"},
        "engine": "fused",
    }
    model = Word2Vec.from_settings(before)
    names = {"negatives": "num_sampled", "power": "unigram_power"}
    since = {"shrink_windows": True, "partitions": 1}
    assert model.settings() == {names.get(name, name): value for name, value in before.items()} | since


def test_options_are_spelled_as_ever():
    names = {name: option.names for name, option in Word2VecConfig.options().items()}
    assert names["sg"] == ("--skip-gram/--cbow",)
    assert names["cbow_mean"] == ("--cbow-mean/--cbow-sum",)
    assert names["shared_negatives"] == ("--shared-negatives/--own-negatives",)
    assert names["hs"] == ("--hs",)
    groups = {name: option.help.group for name, option in Word2VecConfig.options().items()}
    assert {name for name, group in groups.items() if group == "Corpus"} == {"min_count", "max_vocab", "sample"}
    training = {"epochs", "lr", "threads", "seed", "engine", "batch_size", "device", "simd", "partitions"}
    assert {name for name, group in groups.items() if group == "Training"} == training
    assert set(groups.values()) == {"Model", "Corpus", "Training"}


def test_a_function_is_a_custom_sampler():
    model = Word2Vec(sampler=lambda counts: Uniform(len(counts), 5))
    assert model.settings()["sampler"] == "custom"
    assert model.why_not_fused == "negative_sampling with a sampler of your own"


def test_negatives_beside_a_tree_are_said_not_to_be_trained():
    with pytest.warns(
        UserWarning, match="num_sampled: 7 negatives are not used: hs trains the tree alone, where gensim"
    ):
        Word2Vec(hs=True, num_sampled=7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Word2Vec(hs=True)
        Word2Vec(num_sampled=7)


def test_what_gensim_calls_otherwise_is_answered_after_training():
    text = [["tea", "cup", "pot"], ["tea", "pot"]] * 9
    model = Word2Vec(dim=2, min_count=1, sample=0, epochs=1).fit(text, progress=False)
    for name, hint in Word2Vec.gensim_hints.items():
        with pytest.raises(AttributeError, match=re.escape(f"Word2Vec: there is no {name} here; {hint}")):
            getattr(model, name)
    with pytest.raises(AttributeError, match="Word2Vec: it has learned nothing yet, call fit first"):
        _ = Word2Vec().vectors
    for name, hint in (
        ("sentences", "source"),
        ("corpus_file", "source"),
        ("epochs", r"Word2Vec\(\.\.\.\)"),
        ("total_examples", "leave it out"),
        ("update", "new_words"),
    ):
        with pytest.raises(ArgumentTypeError, match=rf"^{name}: expected an argument of fit; .*{hint}"):
            model.fit(text, **{name: text})


def test_vectors_of_a_model_cannot_be_unlocked():
    model = Word2Vec(dim=2, min_count=1, sample=0, epochs=1).fit([["tea", "cup"]] * 9, progress=False)
    with pytest.raises(ValueError, match="WRITEABLE"):
        model.vectors.vectors.setflags(write=True)


def test_of_many_words_frequent_ones_are_thinned_out_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = [["a", "rose", "is", "a", "rose"]] * 10  # 50 words
    few, many = {"num_sampled": 5, "sample": 1.0}, {"num_sampled": 10, "sample": 0.3}
    monkeypatch.setattr(word2vec_config, "SAMPLE", (1.0, 0.3))
    for epochs, least, expected in ((2, 101, few), (2, 100, many), (1, 100, few)):
        monkeypatch.setattr(word2vec_config, "MANY_WORDS", least)
        model = Word2Vec(dim=4, min_count=1, epochs=epochs, seed=1).fit(text, progress=None)
        assert {name: choice.value for name, choice in model.chosen.items()} == expected
        assert model.settings().items() >= expected.items()
        assert {choice.reason for choice in model.chosen.values()} == {f"{50 * epochs} words in all epochs"}
        said = "Word2Vec: settings chosen for this text: num_sampled={num_sampled}, sample={sample}\n"
        assert said.format(**expected) in capsys.readouterr().err
    model.save(tmp_path)
    monkeypatch.setattr(word2vec_config, "MANY_WORDS", 1)
    again = Word2Vec.load(tmp_path).fit(text, progress=False)
    assert again.settings().items() >= few.items()  # what is kept goes on as it was
    assert again.fit(text, warm=False, progress=False).settings().items() >= many.items()


def test_a_text_of_few_different_words_is_not_thinned_out_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word2vec_config, "MANY_WORDS", 1)
    letters = [list("abcdefgh")] * 50
    with pytest.warns(UserWarning, match=r"^sample: subsampling frequent words at 0.001 leaves 9.7% of this corpus"):
        model = Word2Vec(dim=4, min_count=1, epochs=1, seed=1).fit(letters, progress=False)
    assert (model.sample, model.num_sampled) == (1e-3, 10)
    thousands = [[f"w{word}" for word in range(start, start + 50)] for start in range(0, 2000, 50)]
    model = Word2Vec(dim=4, min_count=1, epochs=1, seed=1).fit(thousands, progress=False)
    assert (model.sample, model.num_sampled) == (1e-4, 10)


def test_what_is_given_is_not_chosen() -> None:
    text = [["a", "rose", "is", "a", "rose"]] * 10
    model = Word2Vec(dim=4, min_count=1, sample=0, num_sampled=3, seed=1).fit(text, progress=False)
    assert (model.sample, model.num_sampled, dict(model.chosen)) == (0, 3, {})
    tree = Word2Vec(dim=4, min_count=1, sample=0, hs=True, seed=1)
    assert (tree.auto, tree.num_sampled) == (frozenset(), 5)
    with pytest.raises(ArgumentError, match=r"^num_sampled: expected 1 to 10,000, got 10001"):
        Word2Vec(num_sampled=10_001)
