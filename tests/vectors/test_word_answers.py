"""Answers among some words and by an index, means, further words, and vectors without what all have in common."""

import numpy as np
import pytest

from logq import ArgumentError, KeyedVectors
from logq.retrieval import ExactIndex
from logq.vectors import SentenceVectors, UnknownWord

RNG = np.random.default_rng(5)
KV = KeyedVectors([f"w{i}" for i in range(50)], RNG.normal(size=(50, 6)), np.arange(50, 0, -1))
INDEX = ExactIndex(KV.vectors, metric="cosine")


def test_only_some_words_are_answers():
    some = [f"w{i}" for i in (3, 9, 1, 40, 7)]
    mask = np.isin(np.arange(50), [3, 9, 1, 40, 7])
    expected = [pair for pair in KV.most_similar("w1", topn=50) if pair[0] in some]
    for among in (some, mask, iter(some)):
        assert KV.most_similar("w1", among=among) == expected
    assert KV.similar_by_word("w1", among=some) == expected
    assert [word for word, _ in KV.similar_by_vector(KV["w1"], among=some)] == ["w1", *(word for word, _ in expected)]
    assert KV.most_similar("w1", among=some, restrict_vocab=10) == [pair for pair in expected if pair[0] != "w40"]
    scores = KV.most_similar_cosmul("w1", topn=50)
    assert KV.most_similar_cosmul("w1", among=some) == [pair for pair in scores if pair[0] in some]
    cosines = KV.most_similar("w1", topn=None, among=mask)
    np.testing.assert_array_equal(cosines, KV.most_similar("w1", topn=None)[mask])
    assert KV.most_similar("w1", among=[]) == KV.most_similar("w1", among=["w1"]) == []


def test_an_index_finds_the_same():
    for question in ({"positive": "w1"}, {"positive": ["w1", "w2"], "negative": ["w3"]}):
        for options in ({}, {"topn": 3}, {"topn": 0}, {"restrict_vocab": 8}, {"among": ["w1", "w5", "w6"]}):
            assert KV.most_similar(**question, **options, index=INDEX) == KV.most_similar(**question, **options)
    assert KV.similar_by_word("w4", index=INDEX) == KV.similar_by_word("w4")
    assert KV.similar_by_vector(KV["w4"], index=INDEX) == KV.similar_by_vector(KV["w4"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"index": ExactIndex(KV.vectors)}, r'^index: expected one of these 50 vectors with metric="cosine"'),
        ({"index": ExactIndex(KV.vectors[:9], metric="cosine")}, r"^index: expected one of these 50 vectors"),
        ({"index": INDEX, "topn": None}, r"^topn: expected a number with an index"),
        ({"among": np.ones(3, bool)}, r"^among: expected a mask of 50 words, got \(3,\)"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    with pytest.raises(ArgumentError, match=message):
        KV.most_similar("w1", **options)


def test_unknown_words_are_named():
    with pytest.raises(UnknownWord):
        KV.most_similar("w1", among=["w2", "unknown"])
    with pytest.raises(UnknownWord):
        KV.get_mean_vector(["w1", "unknown"], ignore_missing=False)
    with pytest.raises(ArgumentError, match=r"^keys: expected at least one word with a vector, got none of 1"):
        KV.get_mean_vector(["unknown"])
    with pytest.raises(ArgumentError, match=r"^weights: expected 2 numbers, one for each key, got 1"):
        KV.get_mean_vector(["w1", "w2"], [1.0])
    with pytest.raises(ArgumentError, match=r"^keys_list: expected at least one word"):
        KV.most_similar_to_given("w1", [])
    mean = KV.get_mean_vector(["w1", np.ones(6)], [1.0, -3.0], pre_normalize=False)
    np.testing.assert_allclose(mean, (KV["w1"] - 3) / 4, rtol=1e-6)


def test_words_are_added_to_new_vectors():
    more = KV.add_vectors(["new", "w1"], np.ones((2, 6)), [7, 8])
    assert (len(KV), len(more)) == (50, 51)
    assert more.counts.tolist() == [*KV.counts.tolist(), 7]
    np.testing.assert_array_equal(more["w1"], KV["w1"])
    np.testing.assert_array_equal(more["new"], np.ones(6))
    replaced = KV.add_vectors(["new", "w1"], np.ones((2, 6)), replace=True)
    np.testing.assert_array_equal(replaced[["new", "w1"]], np.ones((2, 6)))
    assert replaced.counts.tolist() == [*KV.counts.tolist(), 0]
    assert replaced.similarity("new", "w1") == pytest.approx(1)
    assert len(KV.add_vectors("one", np.ones(6))) == 51
    with pytest.raises(ArgumentError, match=r"^vectors: expected vectors of 6 numbers, got 5"):
        KV.add_vectors(["new"], np.ones((1, 5)))


def test_the_mean_and_the_first_components_are_removed():
    centered = KV.vectors.astype(np.float64) - KV.vectors.mean(axis=0)
    np.testing.assert_allclose(KV.all_but_the_top().vectors, centered, atol=1e-5)
    _, _, directions = np.linalg.svd(centered)
    top = directions[:2]
    np.testing.assert_allclose(KV.all_but_the_top(2).vectors, centered - centered @ top.T @ top, atol=1e-5)
    with pytest.raises(ArgumentError, match=r"^components: expected at most 6, got 7"):
        KV.all_but_the_top(7)


def test_sentences_are_weighted_means_without_their_first_direction():
    sentences = [[f"w{i}" for i in RNG.integers(0, 50, 5)] for _ in range(40)] + [["unknown", "w3"]]
    share = KV.counts / KV.counts.sum()
    weights = 1e-2 / (1e-2 + share)
    rows = [[KV.key_to_index[word] for word in sentence if word in KV] for sentence in sentences]
    means = np.stack([np.mean([weights[i] * KV.vectors[i].astype(np.float64) for i in ids], axis=0) for ids in rows])
    first = np.linalg.svd(means)[2][:1]
    made = SentenceVectors(KV, smoothing=1e-2).fit(iter(sentences))
    np.testing.assert_allclose(made.encode(sentences), means - means @ first.T @ first, atol=1e-6)
    assert made.encode([]).shape == (0, 6)
    assert made.encode([["unknown"]]).tolist() == [[0] * 6]
    assert made.similarity(sentences[0], reversed(sentences[0])) == pytest.approx(1)
    assert made.similarity(["unknown"], ["w1"]) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SentenceVectors(KeyedVectors(["a"], [[1.0]])), r"^vectors: expected counts of the words, got none"),
        (lambda: SentenceVectors([[1.0]]), r"^vectors: expected KeyedVectors"),
        (lambda: SentenceVectors(KV).fit([["unknown"]]), r"^sentences: expected sentences with a word that has"),
        (lambda: SentenceVectors(KV).encode("w1 w2"), r"^sentences: expected lists of words"),
        (lambda: SentenceVectors(KV).encode(["w1"]), r"^sentences: expected"),
        (lambda: SentenceVectors(KV, smoothing=0.0), r"^smoothing: expected"),
    ],
)
def test_wrong_sentences_are_named(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_files_of_smaller_numbers_are_read_back(dtype, tmp_path):
    KV.save(tmp_path, dtype=dtype)
    back = KeyedVectors.load(tmp_path)
    assert back.vectors.dtype == (np.float16 if dtype == "float16" else np.float32)
    largest = np.abs(KV.vectors).max(axis=1, keepdims=True)
    step = {"float32": 0, "float16": 2.0**-11, "int8": 0.5 / 127}[dtype]
    assert (np.abs(back.vectors - KV.vectors) <= step * largest * 1.001).all()
    assert back.index_to_key == KV.index_to_key
    assert back.counts.tolist() == KV.counts.tolist()
    size = (tmp_path / "vectors.safetensors").stat().st_size
    KV.save(tmp_path)
    assert (size < (tmp_path / "vectors.safetensors").stat().st_size) is (dtype != "float32")


def test_a_row_of_zeros_and_numbers_that_are_too_large_are_stored_or_refused(tmp_path):
    kv = KeyedVectors(["a", "b"], [[0.0, 0.0], [1e5, -1.0]])
    kv.save(tmp_path, dtype="int8")
    np.testing.assert_allclose(KeyedVectors.load(tmp_path).vectors, [[0, 0], [1e5, 0]])
    with pytest.raises(ArgumentError, match=r"^dtype: expected float32, as a number is too large for float16"):
        kv.save(tmp_path, dtype="float16")
    with pytest.raises(ArgumentError, match=r"^dtype: expected float32, float16, int8 or None, got 'int4'"):
        kv.save(tmp_path, dtype="int4")
    np.testing.assert_allclose(KeyedVectors.load(tmp_path).vectors, [[0, 0], [1e5, 0]])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_mapped_table_answers_as_one_in_memory(dtype, tmp_path):
    KV.save(tmp_path, dtype=dtype)
    mapped, read = KeyedVectors.load(tmp_path, mmap=True), KeyedVectors.load(tmp_path)
    assert isinstance(mapped.vectors, np.memmap)
    assert mapped._norms.tolist() == KV._norms.tolist() or dtype == "float16"
    assert mapped.most_similar("w1") == read.most_similar("w1")
    assert mapped.most_similar("w1", among=["w3", "w4"]) == read.most_similar("w1", among=["w3", "w4"])
    np.testing.assert_array_equal(mapped[["w1", "w2"]], read[["w1", "w2"]])
    few = KeyedVectors.load(tmp_path, mmap=True, limit=5)
    assert (len(few), few.most_similar("w1")) == (5, KeyedVectors.load(tmp_path, limit=5).most_similar("w1"))
    with pytest.raises(ValueError, match=r"read-only|not writeable"):
        mapped.vectors[0, 0] = 1
    KeyedVectors(["x"], [[1.0]]).save(tmp_path)  # which replaces the file
    assert mapped.most_similar("w1") == read.most_similar("w1")


def test_what_cannot_be_mapped_is_said(tmp_path):
    KV.save(tmp_path)
    with pytest.raises(ArgumentError, match=r"^dtype: expected float32 or None, as the mapped file has it"):
        KeyedVectors.load(tmp_path, mmap=True, dtype="float16")
    raw = bytearray((tmp_path / "vectors.safetensors").read_bytes())
    place = raw.find(KV.vectors.tobytes())
    raw[place : place + 4] = np.float32(np.nan).tobytes()
    (tmp_path / "vectors.safetensors").write_bytes(raw)
    with pytest.raises(ValueError, match=r"vectors.safetensors: expected finite numbers for 'w0'"):
        KeyedVectors.load(tmp_path, mmap=True).most_similar("w1")
    raw[-1] ^= 255  # of the words, whose digests are compared
    (tmp_path / "vectors.safetensors").write_bytes(raw)
    with pytest.raises(ValueError, match="the file was changed or is damaged"):
        KeyedVectors.load(tmp_path, mmap=True)
    KV.save_word2vec_format(tmp_path / "v.txt")
    with pytest.raises(ArgumentError, match=r"^mmap: expected False for a file that `save` did not write"):
        KeyedVectors.load(tmp_path / "v.txt", mmap=True)


def test_sentences_are_fitted_from_a_file_as_from_lists(tmp_path):
    words = KeyedVectors(["the", "tea", "cup", "saw"], [[1, 0], [0.5, 1], [0.5, 2], [1, -2]], [90, 5, 3, 2])
    (tmp_path / "text.txt").write_text("the tea\nthe cup\nthe saw\n")
    of_lists = SentenceVectors(words).fit([["the", "tea"], ["the", "cup"], ["the", "saw"]])
    for path in (tmp_path / "text.txt", str(tmp_path / "text.txt")):
        assert SentenceVectors(words).fit(path).directions.tolist() == of_lists.directions.tolist()
    with pytest.raises(TypeError, match=r"got 'the tea'; sentence.split\(\) makes one"):
        of_lists.encode(["the tea"])
    with pytest.raises(FileNotFoundError, match="no file 'the tea'"):
        SentenceVectors(words).fit("the tea")
