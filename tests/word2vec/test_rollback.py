"""After a fit that fails, however it does, the model is what it was before: nothing is lost, or counts twice."""

import copy
import pickle

import numpy as np
import pytest

from logq import Word2Vec
from logq.text import encode
from logq.word2vec import corpus_run

PETS = [["cat", "dog", "cat", "dog", "hen"]] * 60
TOOLS = [["saw", "dog", "saw", "axe", "cat"]] * 60


def model(**options):
    return Word2Vec(**{"dim": 8, "min_count": 1, "sample": 0, "epochs": 2, "seed": 2, **options})


def state_of(fitted):
    """Everything that can be seen of a model, copied."""
    attributes = {name: value for name, value in vars(fitted).items() if name not in ("_engine", "vocabulary")}
    if not fitted.is_fitted:
        return attributes
    learned = {name: np.array(array) for name, array in fitted._engine.state().items()}
    words = (fitted.vocabulary.index_to_key[:], fitted.vocabulary.counts.tolist())
    return {**attributes, "words": words, "vectors": fitted.vectors.vectors, **learned}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def diverge(fitted, source, **options):
    """A rate that is far too high, noticed after some steps."""
    lr, fitted.lr = fitted.lr, 1e30
    try:
        with pytest.raises(FloatingPointError, match=r"^lr: training diverged"):
            fitted.fit(source, progress=False, **options)
    finally:
        fitted.lr = lr


def raise_in_callback(fitted, source, error=RuntimeError, **options):
    def fail(seen, epoch):
        assert seen is fitted
        assert seen.is_fitted
        assert seen.epochs_done == epoch
        raise error

    with pytest.raises(error):
        fitted.fit(source, progress=False, on_epoch_end=fail, **options)


def interrupt_in_callback(fitted, source, **options):
    raise_in_callback(fitted, source, KeyboardInterrupt, **options)


def interrupt_in_training(fitted, source, **options):
    """Ctrl-C after a span that has been trained."""
    train = corpus_run.CorpusRun._train_span

    def stop(self, *arguments):
        train(self, *arguments)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_run.CorpusRun, "_train_span", stop)
        with pytest.raises(KeyboardInterrupt):
            fitted.fit(source, progress=False, **options)


FAILURES = [diverge, raise_in_callback, interrupt_in_callback, interrupt_in_training]
KINDS = {
    "fused": {},
    "tree": {"hs": True},
    "plain": {"objective": "nce", "batch_size": 8},
    "learned": {"objective": "sampled_softmax", "sampler": "learned_unigram", "batch_size": 8},
}


@pytest.mark.parametrize("fail", FAILURES)
@pytest.mark.parametrize("kind", ["fused", "plain"])
def test_a_first_fit_that_fails_leaves_the_model_unfitted(kind, fail):
    fresh = model(**KINDS[kind])
    before = state_of(fresh)
    fail(fresh, PETS)
    assert not fresh.is_fitted
    assert not hasattr(fresh, "vocabulary")
    assert_same(state_of(fresh), before)
    with pytest.raises(AttributeError, match="call fit first"):
        _ = fresh.vectors
    expected = model(**KINDS[kind]).fit(PETS, progress=False)
    np.testing.assert_array_equal(fresh.fit(PETS, progress=False).vectors.vectors, expected.vectors.vectors)


@pytest.mark.parametrize("fail", FAILURES)
@pytest.mark.parametrize(
    ("kind", "new_words"), [("fused", True), ("fused", False), ("tree", False), ("plain", True), ("learned", False)]
)
def test_a_later_fit_that_fails_leaves_what_was_learned(kind, new_words, fail):
    fitted, untouched = (model(**KINDS[kind]).fit(PETS, progress=False) for _ in range(2))
    before = state_of(fitted)
    for _ in range(2):
        fail(fitted, TOOLS, new_words=new_words)
        assert_same(state_of(fitted), before)
    for one in (fitted, untouched):
        one.fit(TOOLS, new_words=new_words, progress=False)
    np.testing.assert_array_equal(fitted.vectors.vectors, untouched.vectors.vectors)
    assert fitted.vocabulary.counts.tolist() == untouched.vocabulary.counts.tolist()


@pytest.mark.parametrize("fail", FAILURES)
def test_an_encoded_corpus_can_be_trained_on_after_a_failure(fail):
    with encode(PETS, min_count=1) as corpus:
        fitted = model()
        fail(fitted, corpus)
        assert not fitted.is_fitted
        fitted.fit(corpus, progress=False)
        before = state_of(fitted)
        fail(fitted, corpus)
        assert_same(state_of(fitted), before)
        assert corpus.num_words == len(corpus.read(0, corpus.num_ids)) - corpus.num_sentences
        expected = model().fit(PETS, progress=False).fit(PETS, new_words=False, progress=False)
        np.testing.assert_array_equal(fitted.fit(corpus, progress=False).vectors.vectors, expected.vectors.vectors)


def test_a_text_that_cannot_be_read_changes_nothing():
    fitted = model().fit(PETS, progress=False)
    before = state_of(fitted)
    for bad in ("no such file", [], [["unknown"]], 7):
        with pytest.raises((OSError, ValueError, TypeError)):
            fitted.fit(bad, new_words=False, progress=False)
        assert_same(state_of(fitted), before)


def test_other_vectors_are_trained_than_those_that_were_fitted():
    fitted = model().fit(PETS, progress=False)
    engine, before = fitted._engine, np.array(fitted._engine.vectors)
    fitted.fit(PETS, new_words=False, progress=False)
    assert fitted._engine is not engine
    np.testing.assert_array_equal(engine.vectors, before)
    assert (fitted._engine.vectors != before).any()


def pickled(fitted):
    return pickle.loads(pickle.dumps(fitted))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
def test_a_copy_goes_on_learning_as_the_original_does(kind, duplicate):
    fitted = model(**KINDS[kind]).fit(PETS, progress=False)
    other = duplicate(fitted)
    for one in (fitted, other):
        one.fit(PETS, new_words=False, progress=False)
    np.testing.assert_array_equal(other.vectors.vectors, fitted.vectors.vectors)


def test_a_tree_learns_from_an_encoded_corpus_with_other_counts():
    fitted = model(hs=True).fit([["a", "a", "a", "b", "b", "c"]] * 30, progress=False)
    with encode([["a", "b", "a", "b", "a", "c"] * 5] * 9, min_count=1) as corpus:
        assert corpus.counts.tolist() != fitted.vocabulary.counts.tolist()
        before = fitted.vectors.vectors
        fitted.fit(corpus, progress=False)
    assert fitted.vocabulary.counts.tolist() == [90, 60, 30]
    assert (fitted.vectors.vectors != before).any()
