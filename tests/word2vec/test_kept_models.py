"""A model that is saved as a whole goes on learning as one that never left memory, bit for bit on one thread."""

import json
import os
import signal
import time

import numpy as np
import pytest

import logq
from logq import KeyedVectors, Word2Vec
from logq.text import encode

PETS = [["cat", "dog", "cat", "dog", "hen"]] * 60
TOOLS = [["saw", "dog", "saw", "axe", "cat"]] * 60
KINDS = {
    "skip-gram": {},
    "CBOW": {"sg": False, "cbow_mean": False},
    "tree": {"hs": True},
    "plain": {"objective": "nce", "batch_size": 8},
    "learned": {"objective": "sampled_softmax", "sampler": "learned_unigram", "batch_size": 8},
    "plain tree": {"hs": True, "engine": "plain"},
}


def model(**options):
    return Word2Vec(**{"dim": 8, "min_count": 1, "sample": 0.1, "epochs": 2, "seed": 2, **options})


def tables(fitted):
    return {name: np.array(array) for name, array in fitted.state().items()}


def assert_same(one, other):
    assert one.vocabulary.index_to_key == other.vocabulary.index_to_key
    assert one.vocabulary.counts.tolist() == other.vocabulary.counts.tolist()
    assert one.vocabulary.raw_words == other.vocabulary.raw_words
    assert one.settings() == other.settings()
    assert one.mean_loss == other.mean_loss
    ours, theirs = tables(one), tables(other)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kept_model_is_the_same_and_goes_on_to_the_same_bits(kind, tmp_path):
    fitted = model(**KINDS[kind]).fit(PETS, progress=False)
    fitted.save(tmp_path)
    kept = logq.load(tmp_path)
    assert type(kept) is Word2Vec
    assert_same(kept, fitted)
    assert (kept.epochs_done, kept.words_trained, kept.training_seconds) == (2, 600, fitted.training_seconds)
    new_words = not KINDS[kind].get("hs", False)
    for one in (fitted, kept):
        one.fit(TOOLS, warm=True, new_words=new_words, progress=False)
    if kind != "learned":  # whose distribution goes on with other draws
        assert_same(kept, fitted)
    assert ("saw" in kept.vectors) is new_words


def test_the_vectors_of_a_kept_model_are_read_without_it(tmp_path):
    fitted = model().fit(PETS, progress=False)
    fitted.save(tmp_path)
    vectors = KeyedVectors.load(tmp_path)
    np.testing.assert_array_equal(vectors.vectors, fitted.vectors.vectors)
    assert vectors.index_to_key == fitted.vocabulary.index_to_key
    assert vectors.counts is not None
    assert vectors.counts.tolist() == [120, 120, 60]
    described = json.loads((tmp_path / "model.json").read_text())
    assert described["class"] == "Word2Vec"
    assert described["info"]["progress"]["epochs_done"] == 2
    raw = bytearray((tmp_path / "model.safetensors").read_bytes())
    raw[-40] ^= 1
    (tmp_path / "model.safetensors").write_bytes(raw)
    with pytest.raises(ValueError, match="the file was changed or is damaged"):
        Word2Vec.load(tmp_path)


def test_a_kept_model_can_change_its_engine(tmp_path):
    fitted = model(engine="plain").fit(PETS, progress=False)
    fitted.save(tmp_path)
    kept = Word2Vec.load(tmp_path, engine="auto")
    assert kept.engine_name == "fused"
    np.testing.assert_array_equal(kept.output_vectors, fitted.output_vectors)
    kept.fit(TOOLS, warm=True, progress=False).save(tmp_path)
    back = Word2Vec.load(tmp_path, engine="plain")
    np.testing.assert_array_equal(back.vectors.vectors, kept.vectors.vectors)
    np.testing.assert_array_equal(back.output_vectors, kept.output_vectors)


def test_what_a_gpu_has_trained_is_opened_on_a_cpu(tmp_path):
    fitted = model().fit(PETS, progress=False)
    fitted.device, fitted.engine = "cuda", "triton"  # the same tables
    fitted.save(tmp_path)
    kept = logq.load(tmp_path)
    assert (kept.engine_name, kept.device) == ("fused", "cpu")
    np.testing.assert_array_equal(kept.vectors.vectors, fitted.vectors.vectors)
    assert kept.fit(TOOLS, warm=True, progress=False).is_fitted


def test_known_rows_keep_their_places_and_counts_follow():
    fitted = model().fit(PETS, progress=False)
    fitted.lr = 1e-9  # nothing moves
    before = tables(fitted)
    fitted.fit([["saw", "hen"]] * 500, warm=True, progress=False)
    assert fitted.vocabulary.index_to_key == ["cat", "dog", "hen", "saw"]
    assert fitted.vocabulary.counts.tolist() == [120, 120, 560, 500]
    for name, array in tables(fitted).items():
        np.testing.assert_allclose(array[:3], before[name], atol=1e-6)


def test_negatives_and_thinning_go_by_the_new_counts():
    fitted = model().fit(PETS, progress=False)
    fitted.fit([["saw", "hen"]] * 500, warm=True, progress=False)
    fresh = model()
    with encode([["saw", "hen"]] * 500, vocabulary=fitted.vocabulary) as corpus:
        fresh.fit(corpus, progress=False)
    ours, theirs = fitted._engine.setup, fresh._engine.setup
    np.testing.assert_array_equal(ours.cells, theirs.cells)
    np.testing.assert_array_equal(ours.keep, theirs.keep)


def test_a_model_is_kept_while_it_is_trained(tmp_path):
    fitted = model().fit(PETS, progress=False, callbacks=lambda report: report.model.save(tmp_path / str(report.epoch)))
    first, last = (logq.load(tmp_path / name) for name in "12")
    assert (first.epochs_done, last.epochs_done) == (1, 2)
    assert_same(last, fitted)
    assert not np.array_equal(first.vectors.vectors, last.vectors.vectors)


def test_warm_says_what_is_meant():
    with pytest.raises(AttributeError, match="it has learned nothing yet, call fit first"):
        model().fit(PETS, warm=True, progress=False)
    fresh = model().fit(TOOLS, progress=False)
    again = model().fit(PETS, progress=False).fit(TOOLS, warm=False, progress=False)
    assert_same(again, fresh)
    with pytest.raises(TypeError, match=r"^warm: expected True or False"):
        fresh.fit(PETS, warm="yes", progress=False)


def test_going_on_can_be_interrupted_too(tmp_path):
    def stop(_, epoch):
        if epoch == 2:
            raise KeyboardInterrupt

    model().fit(PETS, progress=False).save(tmp_path / "kept")
    whole = Word2Vec.load(tmp_path / "kept").fit(TOOLS, warm=True, progress=False)
    with pytest.raises(KeyboardInterrupt):
        Word2Vec.load(tmp_path / "kept").fit(TOOLS, warm=True, progress=False, checkpoint=tmp_path, on_epoch_end=stop)
    resumed = Word2Vec.load(tmp_path / "kept")
    resumed.fit(TOOLS, warm=True, progress=False, checkpoint=tmp_path, resume=True)
    assert_same(resumed, whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda info, _: info["settings"].update(dim=9), "expected 'vectors' float32"),
        (lambda info, _: info["progress"].update(mean_loss=-1), "expected a number >= 0 for 'mean_loss'"),
        (lambda info, _: info["progress"].pop("epochs_done"), "it lacks 'epochs_done'"),
        (lambda _, tensors: tensors.pop("learned/engine/outputs"), "outputs: expected float32"),
        (lambda _, tensors: tensors["learned/vectors"].fill(np.nan), "numbers that are not NaN"),
        (lambda info, _: info.update(raw_words=1), "raw_words"),
    ],
)
def test_what_was_changed_is_found(change, message, tmp_path):
    from logq._model_file import Stored, read_stored, write_stored

    model().fit(PETS, progress=False).save(tmp_path)
    path, format = tmp_path / "model.safetensors", "logq.word_vectors"
    stored = read_stored(path, format=format)
    tensors = {name: np.array(array) for name, array in stored.tensors.items()}
    change(stored.info, tensors)
    write_stored(path, Stored("Word2Vec", stored.info, tensors), format=format)
    with pytest.raises(ValueError, match=message):
        Word2Vec.load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
def test_a_kill_while_saving_leaves_one_of_both_models(tmp_path):
    """Twenty times, SIGKILL at some moment of a loop that saves a model and the one that it became in turn."""
    models = [model(dim=100).fit(PETS, progress=False), model(dim=100).fit(PETS, progress=False)]
    models[1].fit(TOOLS, warm=True, progress=False)
    for one in models:
        one.save(tmp_path)
    rng, seen = np.random.default_rng(0), []
    for _ in range(20):
        told, tells = os.pipe()
        child = os.fork()
        if child == 0:
            for number in range(10_000):
                models[number % 2].save(tmp_path)
                os.write(tells, b".")
            os._exit(0)
        for _ in range(rng.integers(1, 5)):  # saved so often, however busy the machine is
            os.read(told, 1)
        time.sleep(rng.uniform(0, 0.005))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(told)
        os.close(tells)
        kept = logq.load(tmp_path)
        seen.append("saw" in kept.vocabulary)
        assert_same(kept, models[seen[-1]])
    assert set(seen) == {False, True}


def test_vectors_of_a_kept_model_with_subwords_are_those_of_the_model(tmp_path):
    """They are means of rows, which the file of the model does not have."""
    whole = model(subwords=True, buckets=100, sample=0).fit([["sun", "moon", "sunny"]] * 20, progress=False)
    whole.save(tmp_path)
    np.testing.assert_array_equal(KeyedVectors.load(tmp_path)["moonlight"], whole.vectors["moonlight"])
    again = logq.load(tmp_path)
    assert isinstance(again, Word2Vec)
    np.testing.assert_array_equal(again.vectors["moonlight"], whole.vectors["moonlight"])
    np.testing.assert_array_equal(whole._of_words(np.array([2, 0])), whole.vectors.vectors[[2, 0]])
    best = whole.predict_output_word(["sun"], topn=1)
    assert again.predict_output_word(["sun"], topn=1) == best
    again.fit([["sun", "moon", "stars"]] * 20, progress=False)
    assert {"sunny", "stars"} <= again.vectors.key_to_index.keys()
