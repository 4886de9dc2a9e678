"""Words that start from given vectors, words that are held, and words that are chosen by a list or a function."""

import numpy as np
import pytest

from logq import ArgumentError, KeyedVectors, Word2Vec
from logq.text import Vocabulary, encode
from logq.word2vec.plain_engine import PlainEngine

PETS = [["cat", "dog", "cat", "dog", "hen"]] * 60
TOOLS = [["saw", "dog", "saw", "axe", "cat"]] * 60
KINDS = {
    "skip-gram": {},
    "CBOW": {"sg": False},
    "plain order": {"shared_negatives": False},
    "tree": {"hs": True},
    "plain": {"objective": "nce", "batch_size": 8},
    "plain CBOW": {"engine": "plain", "sg": False},
}
GIVEN = KeyedVectors(["dog", "hen", "emu"], np.arange(24).reshape(3, 8) / 100)


def model(**options):
    return Word2Vec(**{"dim": 8, "min_count": 1, "sample": 0, "epochs": 2, "seed": 2, **options})


@pytest.mark.parametrize("kind", KINDS)
def test_words_start_where_they_are_given(kind, capfd):
    still = model(lr=1e-12, **KINDS[kind]).fit(PETS, initial=GIVEN, progress=None)
    np.testing.assert_allclose(still.vectors[["dog", "hen"]], GIVEN[["dog", "hen"]], atol=1e-7)
    random = model(lr=1e-12, **KINDS[kind]).fit(PETS, progress=False)
    np.testing.assert_allclose(still.vectors["cat"], random.vectors["cat"], atol=1e-7)
    assert "word2vec: 2 of 3 words start from given vectors\n" in capfd.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_held_words_do_not_move_and_others_do(kind):
    fitted = model(**KINDS[kind]).fit(PETS, initial=GIVEN, frozen=["dog"], progress=False)
    np.testing.assert_array_equal(fitted.vectors["dog"], GIVEN["dog"])
    assert np.abs(fitted.vectors["hen"] - GIVEN["hen"]).max() > 1e-3
    if not KINDS[kind].get("hs"):
        assert np.abs(fitted.output_vectors[fitted.vocabulary.key_to_index["dog"]]).max() > 1e-3
    fitted.fit(PETS, new_words=False, progress=False)
    assert np.abs(fitted.vectors["dog"] - GIVEN["dog"]).max() > 1e-3  # only for the fit that asked for it


@pytest.mark.parametrize("options", [{}, {"sg": False}])
def test_plain_pytorch_learns_as_if_held_rows_had_no_gradient(options, monkeypatch):
    def without_gradient(self, rows):
        def mask(gradient):
            gradient = gradient.to_dense().clone()
            gradient[rows.tolist()] = 0
            return gradient.to_sparse(1)

        if len(rows):
            self.model.vectors.register_hook(mask)

    options = {"engine": "plain", "batch_size": 8, **options}
    held = model(**options).fit(PETS, initial=GIVEN, frozen=True, progress=False)
    monkeypatch.setattr(PlainEngine, "hold", without_gradient)
    masked = model(**options).fit(PETS, initial=GIVEN, frozen=True, progress=False)
    np.testing.assert_allclose(held.vectors.vectors, masked.vectors.vectors, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(held.output_vectors, masked.output_vectors, rtol=1e-4, atol=1e-6)


def test_all_given_words_are_held_also_when_going_on():
    fitted = model().fit(PETS, initial=GIVEN, frozen=True, progress=False)
    np.testing.assert_array_equal(fitted.vectors[["dog", "hen"]], GIVEN[["dog", "hen"]])
    before = fitted.vectors
    fitted.fit(TOOLS, frozen=["cat", "dog"], warm=True, progress=False)
    np.testing.assert_array_equal(fitted.vectors[["cat", "dog"]], before[["cat", "dog"]])
    assert np.abs(fitted.vectors["saw"]).max() > 1e-3


def test_held_rows_are_held_in_long_texts_on_several_threads():
    rng = np.random.default_rng(0)
    text = [[f"w{i}" for i in rng.integers(0, 50, 20)] for _ in range(3_000)]
    given = KeyedVectors([f"w{i}" for i in range(20)], rng.normal(size=(20, 8)) / 8)
    fitted = model(threads=2).fit(text, initial=given, frozen=True, progress=False)
    np.testing.assert_array_equal(fitted.vectors[given.index_to_key], given.vectors)
    one, other = (model().fit(text, initial=given, frozen=True, progress=False) for _ in range(2))
    np.testing.assert_array_equal(one.vectors.vectors, other.vectors.vectors)


SUBWORDS = {"subwords": True, "minn": 2, "maxn": 3, "buckets": 300}


@pytest.mark.parametrize("engine", ["fused", "plain"])
@pytest.mark.parametrize("sg", [True, False])
def test_words_with_subwords_start_from_and_stay_at_given_vectors(engine, sg):
    options = {**SUBWORDS, "engine": engine, "sg": sg, **({"batch_size": 32} if engine == "plain" else {})}
    still = model(lr=1e-12, **options).fit(PETS, initial=GIVEN, progress=False)
    np.testing.assert_allclose(still.vectors[["dog", "hen"]], GIVEN[["dog", "hen"]], atol=1e-6)
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(60)]
    sentences = 1_200 if engine == "fused" else 15  # so that the compiled engine puts words back within the text
    text = [list(rng.choice(words, 20)) for _ in range(sentences)]
    given = KeyedVectors([*words[:9], "wordless"], rng.normal(size=(10, 8)))
    held = model(lr=0.02, epochs=1, **options).fit(
        [*text, ["wordless", "word1"]], initial=given, frozen=True, progress=False
    )
    np.testing.assert_allclose(held.vectors[given.index_to_key], given.vectors, atol=1e-5)
    free = model(lr=0.02, epochs=1, **options).fit([*text, ["wordless", "word1"]], initial=given, progress=False)
    assert np.abs(free.vectors["wordless"] - given["wordless"]).max() > 1e-3  # by n-grams that others learn too


def test_held_words_with_subwords_are_those_of_the_start_where_a_run_is_resumed(tmp_path):
    def stop(_, epoch):
        raise KeyboardInterrupt

    whole = model(**SUBWORDS).fit(PETS, frozen=["dog"], progress=False)
    with pytest.raises(KeyboardInterrupt):
        model(**SUBWORDS).fit(PETS, frozen=["dog"], progress=False, checkpoint=tmp_path, on_epoch_end=stop)
    resumed = model(**SUBWORDS).fit(PETS, frozen=["dog"], progress=False, checkpoint=tmp_path, resume=True)
    np.testing.assert_array_equal(resumed.vectors.vectors, whole.vectors.vectors)


def test_ngrams_start_from_those_of_a_model_with_the_same_ones(capfd):
    subwords = {**SUBWORDS, "buckets": 100_000}  # in which no two n-grams meet
    given = model(**subwords).fit(PETS, progress=False).vectors
    same = model(lr=1e-12, **subwords).fit(TOOLS, initial=given, progress=None).vectors
    assert "2 of 4 words start from given vectors, and so do their n-grams" in capfd.readouterr().err
    np.testing.assert_allclose(same["dogs"], given["dogs"], atol=1e-5)  # which is in neither text
    np.testing.assert_allclose(same[["dog", "cat"]], given[["dog", "cat"]], atol=1e-5)
    other = model(lr=1e-12, **SUBWORDS | {"buckets": 200}).fit(TOOLS, initial=given, progress=None).vectors
    assert "their n-grams do not, as the given ones are others" in capfd.readouterr().err
    assert np.abs(other["dogs"] - given["dogs"]).max() > 1e-3
    np.testing.assert_allclose(other[["dog", "cat"]], given[["dog", "cat"]], atol=1e-5)


def test_nothing_given_changes_no_bit():
    with_none = model().fit(PETS, initial=None, frozen=(), progress=False)
    np.testing.assert_array_equal(with_none.vectors.vectors, model().fit(PETS, progress=False).vectors.vectors)
    # Cutting a text into pieces that are put back changes nothing else.
    rng = np.random.default_rng(0)
    text = [[f"w{i}" for i in rng.integers(0, 50, 20)] for _ in range(2_500)] + [["alone"]]
    held = model(lr=0.01).fit(text, frozen=["alone"], progress=False)  # which never is in a window
    np.testing.assert_array_equal(held.vectors.vectors, model(lr=0.01).fit(text, progress=False).vectors.vectors)


def test_given_vectors_are_read_from_a_path_and_belong_to_the_checkpoint(tmp_path):
    GIVEN.save_word2vec_format(tmp_path / "given.txt")
    fitted = model().fit(PETS, initial=tmp_path / "given.txt", frozen=True, progress=False)
    np.testing.assert_array_equal(fitted.vectors["dog"], GIVEN["dog"])

    def stop(_, epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model().fit(PETS, initial=GIVEN, frozen=True, progress=False, checkpoint=tmp_path, on_epoch_end=stop)
    with pytest.raises(ArgumentError, match="initial: expected"):
        model().fit(PETS, initial=GIVEN, progress=False, checkpoint=tmp_path, resume=True)
    resumed = model().fit(PETS, initial=GIVEN, frozen=True, progress=False, checkpoint=tmp_path, resume=True)
    np.testing.assert_array_equal(resumed.vectors.vectors, fitted.vectors.vectors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initial": KeyedVectors(["dog"], [[1.0]])}, r"^initial: expected vectors of 8 numbers, got 1; dim=1 goes"),
        ({"initial": KeyedVectors(["emu"], np.ones((1, 8)))}, r"^initial: expected vectors of some of the words"),
        ({"initial": [[1.0]]}, r"^initial: expected KeyedVectors, or a path"),
        ({"frozen": ["emu"]}, r"^frozen: expected words that are learned, got 'emu'"),
        ({"frozen": True}, r"^frozen: expected the words to hold"),
        ({"frozen": "dog"}, r"^frozen: expected"),
        ({"vocabulary": ["dog"]}, r"^vocabulary: expected a Vocabulary"),
        ({"keep": "dog"}, r"^keep: expected a function"),
        ({"keep": lambda word, count: "yes"}, r"^keep: expected a function that returns True, False or None"),
        ({"keep": lambda word, count: False}, r"^keep: expected a function that keeps some words, got none of 3 kept"),
        ({"keep": lambda *_: True, "vocabulary": Vocabulary(["dog"], [1])}, r"^keep: expected None where a vocab"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    fresh = model()
    with pytest.raises((ValueError, TypeError), match=message):
        fresh.fit(PETS, progress=False, **options)
    assert not fresh.is_fitted


def test_a_vocabulary_is_learned_as_it_is(tmp_path):
    words = Vocabulary(["hen", "emu", "cat"], [9, 1, 3])
    words.save(tmp_path / "words.txt")
    for given in (words, tmp_path / "words.txt"):
        fitted = model(min_count=50).fit(PETS, vocabulary=given, progress=False)
        assert fitted.vocabulary.index_to_key == ["hen", "emu", "cat"]
        assert fitted.vocabulary.counts.tolist() == [9, 1, 3]
    with pytest.raises(ArgumentError, match=r"^vocabulary: expected None for a model that goes on"):
        fitted.fit(PETS, vocabulary=words, progress=False)
    with encode(PETS, min_count=1) as corpus, pytest.raises(ArgumentError, match="expected None for a corpus that is"):
        model().fit(corpus, vocabulary=words, progress=False)


def test_a_function_keeps_words():
    asked = {}

    def keep(word, count):
        asked[word] = count
        return {"hen": True, "cat": False}.get(word)

    fitted = model(min_count=100).fit(iter(PETS), keep=keep, progress=False)
    assert asked == {"cat": 120, "dog": 120, "hen": 60}
    assert fitted.vocabulary.index_to_key == ["dog", "hen"]
    assert fitted.vocabulary.counts.tolist() == [120, 60]
    fitted.fit(TOOLS, keep=lambda word, count: word == "axe", progress=False)
    assert fitted.vocabulary.index_to_key == ["dog", "hen", "axe"]


@pytest.mark.parametrize(
    ("most", "learned"), [(1, "cf"), (2, "cf"), (3, "acf"), (4, "abcf"), (9, "abcdf"), (None, "abcdf")]
)
def test_words_that_are_kept_find_room_however_little_there_is(most, learned):
    text = [["a"] * 9 + ["b"] * 8 + ["c"] * 7 + ["d"] * 6 + ["e"] * 5 + ["f"]]
    rule = {"c": True, "e": False, "f": True}
    fitted = model(min_count=6, max_vocab=most).fit(text, keep=lambda word, _: rule.get(word), progress=False)
    assert fitted.vocabulary.index_to_key == list(learned)
    fitted.fit([["g", "g", "h"] * 9], keep=lambda word, _: word == "h" or None, progress=False)  # is there room left?
    assert fitted.vocabulary.index_to_key == [*learned, *("gh" if most is None or most - len(learned) > 1 else "h")]
