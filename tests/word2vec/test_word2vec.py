"""The estimator: a step of the plain engine against word2vec's update written as a loop, and what fitting promises."""

import io
import itertools
from contextlib import redirect_stderr

import numpy as np
import pytest
import torch

from frequencies import SEED
from logq import ArgumentError, KeyedVectors, Word2Vec
from logq.objectives import OBJECTIVES
from logq.samplers import Uniform, Unigram
from logq.text import encode
from logq.word2vec import plain_engine
from logq.word2vec.plain_engine import WordBatch

ANIMALS, TOOLS = ["cat", "dog", "cow", "hen"], ["saw", "axe", "file", "drill"]


def two_topics(num_sentences=300, seed=0):
    """Sentences of animals and sentences of tools."""
    rng = np.random.default_rng(seed)
    return [list(rng.choice(topic, size=6)) for _ in range(num_sentences) for topic in (ANIMALS, TOOLS)]


def small(**options):
    """On the compiled engine where it has a kernel."""
    return Word2Vec(**{"dim": 12, "min_count": 1, "epochs": 3, "sample": 0, "seed": SEED + 1, **options})


def plainly(**options):
    return small(**{"engine": "plain", "batch_size": 32, **options})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def word2vec_loop(inputs, outputs, contexts, target, negatives, lr):
    """One window as word2vec.c trains it: mean of the context, each output in turn, the whole error to each input."""
    hidden = sum(inputs[word] for word in contexts) / len(contexts)
    error = np.zeros_like(hidden)
    steps = {}
    for word, label in [(target, 1.0), *((word, 0.0) for word in negatives if word != target)]:
        gradient = (label - sigmoid(hidden @ outputs[word])) * lr
        error += gradient * outputs[word]
        # A step of this window sees all rows as they were before it, also where a negative stands twice.
        steps[word] = steps.get(word, 0) + gradient * hidden
    for word, step in steps.items():
        outputs[word] += step
    for word in contexts:
        inputs[word] += error


@pytest.mark.parametrize("sg", [True, False])
def test_batches_of_one_are_the_updates_of_word2vec(sg, monkeypatch):
    """Draws with repeats and with hits of the target among them: only 4 words, 5 negatives."""
    rng = np.random.default_rng(3)
    text = [list("aabbccd")] * 3
    if sg:
        windows = [([int(rng.integers(4))], int(rng.integers(4))) for _ in range(40)]
    else:
        windows = [
            (rng.integers(0, 4, size=int(n)).tolist(), int(rng.integers(4))) for n in rng.integers(1, 5, size=40)
        ]

    def batches(*_, **__):
        for context, target in windows:
            inputs = torch.tensor(context) if sg else torch.tensor([context + [-1] * (4 - len(context))])
            yield WordBatch(inputs, torch.tensor([target]), 0)

    monkeypatch.setattr(plain_engine, "examples", batches)
    draws = []

    def sampler(counts):
        made = Unigram(counts, 5, power=0.75, per_row=True, seed=9)
        draw = made.draw
        made.draw = lambda *a, **k: draws.append(draw(*a, **k)) or draws[-1]
        return made

    # A rate at which rounding is not made larger from window to window.
    model = small(dim=6, epochs=1, sg=sg, sampler=sampler, lr=0.2)
    untrained = {}
    make = plain_engine.PlainEngine.__init__

    def remember(engine, *arguments):
        make(engine, *arguments)
        torch.nn.init.normal_(engine.loss.weight, generator=torch.Generator().manual_seed(5))
        untrained["inputs"] = engine.vectors.astype(np.float64)
        untrained["outputs"] = engine.state()["weight"].astype(np.float64)

    monkeypatch.setattr(plain_engine.PlainEngine, "__init__", remember)
    model.fit(text, progress=False)
    inputs, outputs = untrained["inputs"], untrained["outputs"]
    for (context, target), draw in zip(windows, draws, strict=True):
        word2vec_loop(inputs, outputs, context, target, draw.ids[0].tolist(), 0.2)
    assert any(target in draw.ids[0] for (_, target), draw in zip(windows, draws, strict=True))
    np.testing.assert_allclose(model.vectors.vectors, inputs, atol=1e-5)
    np.testing.assert_allclose(model._engine.state()["weight"], outputs, atol=1e-5)


@pytest.mark.parametrize("sg", [True, False])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_tells_the_topics_apart(objective, sg):
    assert_topics_are_told_apart(plainly(objective=objective, sg=sg, epochs=6, lr=0.05))


@pytest.mark.parametrize("sg", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"shared_negatives": False}, {"hs": True}, {"cbow_mean": False}, {"threads": 3}]
)
@pytest.mark.parametrize("engine", ["fused", "plain"])
def test_every_kernel_tells_the_topics_apart(options, sg, engine):
    batch_size = 32 if engine == "plain" else None
    # Sums of contexts are several times as long as their means, and a batch adds up 32 steps with them.
    lr = 0.02 if engine == "plain" and "cbow_mean" in options else 0.05
    model = small(sg=sg, engine=engine, batch_size=batch_size, epochs=6, lr=lr, **options)
    assert model.engine_name == engine
    assert_topics_are_told_apart(model)


def assert_topics_are_told_apart(model):
    vectors = model.fit(two_topics(), progress=False).vectors
    within = [vectors.similarity(a, b) for topic in (ANIMALS, TOOLS) for a, b in itertools.combinations(topic, 2)]
    across = [vectors.similarity(a, b) for a in ANIMALS for b in TOOLS]
    assert min(within) > max(across)


@pytest.mark.parametrize("sampler", ["unigram", "uniform", "log_uniform", "learned_unigram", "in_batch", "every_class"])
def test_every_sampler_has_a_name_and_trains(sampler):
    model = plainly(objective="sampled_softmax", sampler=sampler, lr=0.02).fit(two_topics(100), progress=False)
    assert np.isfinite(model.vectors.vectors).all()
    # Eight words, four of which can follow: from log 8 towards log 4 for a sample of all of them.
    if sampler == "every_class":
        assert np.log(3.9) < model.mean_loss < np.log(6.5)


def test_a_function_of_the_counts_makes_the_sampler():
    seen = []
    model = small(sampler=lambda counts: seen.append(counts) or Uniform(len(counts), 3, seed=1))
    model.fit(two_topics(20), progress=False)
    assert seen[0].tolist() == model.vocabulary.counts.tolist()


@pytest.mark.parametrize("engine", ["fused", "plain"])
def test_the_seed_decides_everything(engine):
    def fit(seed):
        make = plainly if engine == "plain" else small
        return make(seed=seed).fit(two_topics(30), progress=False).vectors.vectors

    state = torch.get_rng_state()
    assert np.array_equal(fit(1), fit(1))
    assert not np.array_equal(fit(1), fit(2))
    assert not np.array_equal(fit(None), fit(None))
    assert torch.equal(state, torch.get_rng_state())


def test_the_rate_falls_linearly_to_its_floor(monkeypatch):
    rates = []
    step = plain_engine.PlainEngine._step

    def spy(self, batch):
        rates.append(self.optimizer.param_groups[0]["lr"])
        return step(self, batch)

    monkeypatch.setattr(plain_engine.PlainEngine, "_step", spy)
    monkeypatch.setattr(
        "logq.word2vec.corpus_run.CorpusRun._step", lambda self: 7
    )  # a sentence of six words and its end
    model = plainly(epochs=2, lr=0.1, batch_size=1000).fit(two_topics(50), progress=False)
    sentences = model.vocabulary.total / 6
    expected = [0.1 * max(1e-4, 1 - i / (2 * sentences)) for i in range(len(rates))]
    assert len(rates) == 2 * sentences
    np.testing.assert_allclose(rates, expected)


def test_epochs_are_reported_with_vectors_that_can_be_saved(tmp_path):
    seen = []

    def on_epoch_end(model, epoch):
        model.vectors.save(tmp_path)
        seen.append((epoch, model.mean_loss, KeyedVectors.load(tmp_path).vectors.copy()))

    model = small().fit(two_topics(60), progress=False, on_epoch_end=on_epoch_end)
    assert [epoch for epoch, _, _ in seen] == [1, 2, 3]
    assert seen[0][1] > seen[2][1] == model.mean_loss
    assert np.array_equal(seen[2][2], model.vectors.vectors)
    assert not np.array_equal(seen[0][2], seen[2][2])


def test_vocabulary_settings_reach_the_vocabulary():
    text = [["a"] * 9 + ["b"] * 5 + ["c"] * 3 + ["d"]]
    assert small(min_count=3).fit(text, progress=False).vocabulary.index_to_key == ["a", "b", "c"]
    assert small(max_vocab=2).fit(text, progress=False).vocabulary.index_to_key == ["a", "b"]


def test_files_train_like_lists(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(" ".join(sentence) for sentence in two_topics(30)))
    from_file = small().fit(path, progress=False).vectors.vectors
    assert np.array_equal(from_file, small().fit(two_topics(30), progress=False).vectors.vectors)


def test_a_rate_that_diverges_is_said_and_the_last_epoch_is_kept(tmp_path):
    model = plainly(lr=50.0, batch_size=512)
    with pytest.raises(FloatingPointError, match=r"^lr: training diverged in epoch \d+, .* try less than 50"):
        model.fit(two_topics(300), progress=False, on_epoch_end=lambda model, _: model.vectors.save(tmp_path))


def test_progress_is_shown_on_request_only():
    shown, silent = io.StringIO(), io.StringIO()
    with redirect_stderr(shown):
        small().fit(two_topics(30), progress=True)
    with redirect_stderr(silent):
        small().fit(two_topics(30), progress=False)
    assert "skip-gram" in shown.getvalue()
    assert "words/s" in shown.getvalue()
    assert "loss" in shown.getvalue()
    assert silent.getvalue() == ""


def test_settings_are_plain_numbers_and_words():
    settings = small(sampler=lambda counts: Uniform(len(counts), 2)).settings()
    assert settings["sampler"] == "custom"
    assert settings["objective"] == "negative_sampling"
    assert settings["lr"] == 0.025
    assert small(sg=False).settings()["lr"] == 0.065
    assert all(isinstance(value, int | float | str | None) for value in settings.values())


def test_there_are_no_vectors_before_fit():
    with pytest.raises(AttributeError, match=r"^Word2Vec: it has learned nothing yet, call fit first"):
        _ = small().vectors


def test_in_batch_negatives_have_the_frequency_of_the_thinned_out_targets():
    """Frequent words are seldom targets: log Q must say so, or NCE learns the wrong log P."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(30)])
    text = [
        list(rng.choice(words, size=20, p=1 / np.arange(1, 31) / (1 / np.arange(1, 31)).sum())) for _ in range(2000)
    ]
    model = small(sampler="in_batch", objective="nce", sample=1e-2, epochs=1, lr=1e-3, batch_size=256)
    seen = []
    step = plain_engine.PlainEngine._step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            plain_engine.PlainEngine, "_step", lambda self, batch: seen.append(batch.targets) or step(self, batch)
        )
        model.fit(text, progress=False)
    real = torch.bincount(torch.cat(seen), minlength=len(model.vocabulary)).double()
    q = model._engine.loss.sampler.log_prob(torch.arange(len(real))).exp().double()
    # Words at the ends of sentences and short windows leave some percent.
    torch.testing.assert_close(q, real / real.sum(), rtol=0.15, atol=0)
    raw = torch.from_numpy(model.vocabulary.counts).double()
    assert float(raw[0] / raw.sum()) > 1.5 * float(q[0])


BAD = {
    "sg": ["no", 1, None],
    "cbow_mean": ["no"],
    "shared_negatives": ["yes", 1],
    "hs": ["yes", 1],
    "threads": [0, 1.5],
    "engine": ["gpu", None],
    "sampler": ["zipf", 3, ["unigram"]],
    "device": ["bogus", 1.5],
    "dim": [0, -1, 2.5, "3", True, None],
    "window": [0, 1.5],
    "num_sampled": [0, 1.5],
    "sample": [-1, float("nan"), "x"],
    "min_count": [0, 0.5],
    "epochs": [0],
    "lr": [0, -1, float("inf"), "fast"],
    "objective": ["softmax", None, 3],
    "unigram_power": [float("nan"), "x"],
    "batch_size": [0],
    "max_vocab": [0, 1.5],
    "seed": [-1, 1.5],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_bad_arguments_are_named(name, value):
    with pytest.raises((ValueError, TypeError), match=f"^{name}: "):
        Word2Vec(**{name: value})


@pytest.mark.parametrize("sampler", [lambda counts: "none", lambda counts: Uniform(len(counts) + 1, 2)])
def test_bad_samplers_are_named(sampler):
    with pytest.raises((ValueError, TypeError), match=r"^sampler: "):
        small(sampler=sampler).fit(two_topics(3), progress=False)


def test_full_objectives_take_no_sampler():
    with pytest.raises(ValueError, match=r"^sampler: expected None, as full_softmax draws no negatives, got 'uniform'"):
        Word2Vec(objective="full_softmax", sampler="uniform")


def test_few_words_get_small_batches(monkeypatch):
    """A corpus of eight words at the default settings: one example a step, and it does not diverge."""
    sizes = []
    step = plain_engine.PlainEngine._step
    monkeypatch.setattr(
        plain_engine.PlainEngine, "_step", lambda self, batch: sizes.append(len(batch.targets)) or step(self, batch)
    )
    plainly(batch_size=None, epochs=1).fit(two_topics(10), progress=False)
    assert set(sizes) == {1}
    sizes.clear()
    words = [[f"w{i}" for i in range(80)]] * 4
    plainly(batch_size=None, epochs=1).fit(words, progress=False)
    assert max(sizes) == 10


def test_a_corpus_that_thinning_out_takes_apart_is_said():
    """Three sentences: every word is frequent. Without a word this once trained on nothing."""
    toy = [["the", "cat", "sat"], ["the", "dog", "sat"], ["a", "dog", "ran"]]
    with (
        pytest.warns(UserWarning, match=r"^sample: .* leaves .*% of this corpus.* take 0"),
        pytest.raises(
            ValueError,
            match=r"^sample: expected neighboring words to be left .*, got none of 9 words; for a small corpus take 0",
        ),
    ):
        small(sample=1e-6).fit(toy, progress=False)
    for options in ({"sample": 0}, {"sample": 0, "hs": True}, {"sample": 1e-3}, {"engine": "plain"}):
        with pytest.raises(
            ValueError, match=r"^source: expected sentences of several words, got 2 sentences of one word"
        ):
            small(**options).fit([["a"], ["b"]], progress=False)
    with pytest.raises(ValueError, match=r"^source: .*got 3 sentences of one word each, 2 words that are too rare"):
        small(min_count=3).fit([["a", "b"], ["a"], ["a", "c"]], progress=False)
    with pytest.raises(ValueError, match=r"^source: .*got a sentence of one word; each line, or each list, is"):
        small().fit([["a"]], progress=False)
    with pytest.raises(ValueError, match=r"^source: expected at least two different words with hs, got only 'a'"):
        small(hs=True).fit([["a", "a", "a"]], progress=False)
    small().fit([["a", "a", "a"]], progress=False)
    one, three = (small(sample=0, epochs=epochs).fit(toy, progress=False).vectors.vectors for epochs in (1, 3))
    assert (one != three).any()


def test_vectors_know_how_they_were_made():
    model = small(seed=1).fit(two_topics(5), progress=False)
    assert model.vectors.info == {**model.settings(), "origin": dict(model.origin)}
    given = "dim=12, min_count=1, sample=0.0, epochs=3, seed=1, num_sampled=5"
    assert repr(model) == f"Word2Vec({given}, fitted on 8 words)"


def test_a_sampler_instead_of_a_function_is_explained():
    with pytest.raises(TypeError, match=r"^sampler: expected a name or a function that makes one.*lambda counts"):
        Word2Vec(sampler=Uniform(7, 3))


def test_a_corpus_instead_of_a_number_is_not_repeated_whole():
    with pytest.raises(TypeError, match=r"^dim: expected an integer >= 1, got .{70,80}\.\.\.; give the text to fit"):
        Word2Vec([["the", "cat", "sat"]] * 1000)


def test_hierarchical_softmax_takes_nothing_beside_it():
    with pytest.raises(ArgumentError, match=r"^objective: expected the default, as hs is a loss of its own, got 'nce'"):
        Word2Vec(hs=True, objective="nce")
    with pytest.raises(ValueError, match=r"^sampler: expected None, as hs does not sample, got 'uniform'"):
        Word2Vec(hs=True, sampler="uniform")


def test_several_threads_train_every_word():
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(200)]
    text = [list(rng.choice(words, size=50)) for _ in range(400)]
    start = small(epochs=1, threads=4, lr=1e-12).fit(text, progress=False).vectors.vectors
    trained = small(epochs=1, threads=4).fit(text, progress=False)
    assert np.isfinite(trained.vectors.vectors).all()
    assert (np.abs(trained.vectors.vectors - start).max(axis=1) > 1e-3).all()


def test_threads_are_one_where_a_seed_asks_for_the_same_again():
    assert Word2Vec(seed=1).used_threads == 1
    assert Word2Vec(seed=1, threads=3).used_threads == 3
    assert Word2Vec(objective="nce").used_threads == 1
    assert Word2Vec().used_threads >= 1


def test_divergence_of_the_compiled_engine_is_said():
    model = small(lr=1e4, sg=False, cbow_mean=False, epochs=20)
    with pytest.raises(FloatingPointError, match=r"^lr: training diverged"):
        model.fit(two_topics(300), progress=False)


def test_the_engines_learn_the_same_loss():
    """An honest mean loss of a pair: both see the same pairs, on their own draws."""
    rng = np.random.default_rng(1)
    words = np.array([f"w{i}" for i in range(50)])
    p = 1 / np.arange(1, 51)
    text = [list(rng.choice(words, size=20, p=p / p.sum())) for _ in range(3000)]
    options = {"epochs": 1, "lr": 1e-9, "num_sampled": 4}
    losses = {
        "fused": small(**options).fit(text, progress=False).mean_loss,
        "plain": plainly(**options, batch_size=512).fit(text, progress=False).mean_loss,
    }
    # Vectors are still tiny: each of the true word and the negatives that are not the true word costs log 2.
    # The compiled engine measures one block in 64, so ratios scatter by 0.6 %; a negative more or less is 20 %.
    assert losses["fused"] == pytest.approx(losses["plain"], rel=0.04)
    assert 4 * np.log(2) < losses["plain"] < 5 * np.log(2)


def test_an_encoded_corpus_is_trained_on_as_it_is():
    text = two_topics(20)
    expected = small(seed=1).fit(text, progress=False).vectors.vectors
    with encode(text, min_count=small().min_count) as corpus:
        model = small(seed=1).fit(corpus, progress=False)
        np.testing.assert_array_equal(model.vectors.vectors, expected)
        assert corpus.path.exists()
        model.fit(corpus, progress=False)
        assert (model.vectors.vectors != expected).any()
    with (
        encode([["other", "words"]] * 9, min_count=1) as other,
        pytest.raises(ValueError, match=r"^source: .*other words"),
    ):
        model.fit(other, progress=False)


@pytest.mark.parametrize("engine", ["fused", "plain"])
def test_output_vectors_are_what_words_are_found_by(engine):
    model = small(engine=engine)
    with pytest.raises(AttributeError, match=r"^Word2Vec: it has learned nothing yet"):
        _ = model.output_vectors
    made = model.fit(two_topics(5), progress=False).output_vectors
    assert made.shape == (len(model.vocabulary), model.dim)
    state = model._engine.state()
    np.testing.assert_array_equal(made, state["outputs" if engine == "fused" else "weight"])
    with pytest.raises(ValueError, match=r"^output_vectors: hierarchical"):
        _ = small(hs=True).fit(two_topics(5), progress=False).output_vectors
