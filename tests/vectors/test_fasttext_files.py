"""Models of fastText: read with its vectors, written so that it reads them, and refused where they are damaged."""

import gzip
import json
import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import logq
from logq.text import CharacterNgrams
from logq.vectors import KeyedVectors, UnknownWord
from logq.vectors.fasttext_files import is_fasttext, read_fasttext
from logq.vectors.subwords import Subwords

GOLDEN = Path(__file__).parents[1] / "golden"
MODEL = GOLDEN / "fasttext_model.bin"
STORED = json.loads((GOLDEN / "fasttext.json").read_text(encoding="utf-8"))


@pytest.fixture
def model():
    return MODEL.read_bytes()


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "model.bin"
        path.write_bytes(content)
        return path

    return write


def small(count=5, dim=3, buckets=None, seed=0):
    rng = np.random.default_rng(seed)
    kinds = CharacterNgrams(2, 3, 11)
    rows = rng.normal(size=(kinds.buckets if buckets is None else len(buckets), dim)).astype(np.float32)
    words = ["tea", "teapot", "日本", "cup", "x"][:count]
    return KeyedVectors(
        words, rng.normal(size=(count, dim)), np.arange(count, 0, -1), subwords=Subwords(kinds, rows, buckets)
    )


def test_vectors_of_known_and_unknown_words_are_those_of_fasttext():
    vectors = KeyedVectors.load(MODEL)
    assert vectors.index_to_key == STORED["words"]
    assert vectors.counts[vectors.key_to_index["tea"]] == 60
    asked = STORED["vectors"]
    assert set(asked) - set(vectors.index_to_key) > {"kettle", "teapots"}
    for word, expected in asked.items():
        np.testing.assert_allclose(vectors[word], expected, rtol=0, atol=1e-6, err_msg=word)


def test_what_was_written_gives_the_same_vectors_again(tmp_path):
    for number, vectors in enumerate(
        (KeyedVectors.load(MODEL), small(), small(buckets=np.array([0, 3, 7, 10], np.int32)))
    ):
        path = tmp_path / f"{number}.bin"
        vectors.save_fasttext(path)
        again = KeyedVectors.load(path)
        assert again.index_to_key == vectors.index_to_key
        assert again.counts.tolist() == vectors.counts.tolist()
        np.testing.assert_allclose(again.vectors, vectors.vectors, rtol=0, atol=1e-6)
        for word in ("teapots", "日本人", "unknown", "cup"):
            np.testing.assert_allclose(again[word], vectors[word], rtol=0, atol=1e-6)


def test_a_model_without_n_grams_is_read_and_written(tmp_path):
    vectors = KeyedVectors(["tea", "cup"], [[1.0, 2.0], [3.0, 4.0]])
    vectors.save_fasttext(tmp_path / "model.bin")
    again = KeyedVectors.load(tmp_path / "model.bin")
    assert again.subwords is None
    assert again.vectors.tolist() == [[1, 2], [3, 4]]
    assert again.counts.tolist() == [1, 1]


def test_compressed_models_options_and_types(file, model):
    assert KeyedVectors.load(file(gzip.compress(model))).index_to_key == STORED["words"]
    vectors = KeyedVectors.load(file(model), limit=2, dtype="float16")
    assert len(vectors) == 2
    assert vectors.vectors.dtype == vectors.subwords.vectors.dtype == np.float16
    # A word beyond the limit is one by its n-grams.
    assert STORED["words"][2] in vectors
    latin = model.replace("café".encode(), b"caf\xe9")
    assert len(latin) != len(model)
    with pytest.raises(ValueError, match="expected utf-8, got b'caf"):
        KeyedVectors.load(file(latin))
    assert "café" in KeyedVectors.load(file(latin), encoding="latin-1").key_to_index
    twice = model.replace(b"teacup", b"teapot")
    with pytest.raises(ValueError, match="'teapot' is there twice"):
        KeyedVectors.load(file(twice))
    kept = KeyedVectors.load(file(twice), duplicates="first")
    assert len(kept) == len(STORED["words"]) - 1


def test_the_two_kinds_of_bin_are_told_apart(tmp_path):
    vectors = small()
    vectors.save_word2vec_format(tmp_path / "word2vec.bin", binary=True)
    vectors.save_fasttext(tmp_path / "fasttext.bin")
    assert not is_fasttext(tmp_path / "word2vec.bin")
    assert KeyedVectors.load(tmp_path / "word2vec.bin").subwords is None
    assert KeyedVectors.load(tmp_path / "fasttext.bin").subwords is not None
    with pytest.raises(ValueError, match=r"a model of fastText \(\.bin\), which KeyedVectors\.load reads"):
        KeyedVectors.load_word2vec_format(tmp_path / "fasttext.bin")


def test_every_cut_is_a_clear_error(file, model):
    for size in range(1, len(model)):
        path = file(model[:size])
        if size < 4:
            assert not is_fasttext(path)
        with pytest.raises(ValueError, match=r"model\.bin: "):
            read_fasttext(path)
    with pytest.raises(ValueError, match="the file is empty"):
        read_fasttext(file(b""))
    with pytest.raises(ValueError, match="bytes follow its last table"):
        read_fasttext(file(model + b"\0"))


def at(model, place, layout, value):
    changed = bytearray(model)
    struct.pack_into(layout, changed, place, value)
    return bytes(changed)


DAMAGES = {
    "another magic": (0, "<i", 1, "does not begin as one"),
    "a later version": (4, "<i", 13, "expected version 11 or 12 .*, got 13"),
    "no dimension": (8, "<i", 0, "have 0 dimensions"),
    "other dimensions": (8, "<i", 5, "are a table of"),
    "no buckets": (40, "<i", 0, "in 0 buckets"),
    "other buckets": (40, "<i", 41, "rows for .* words and 41 buckets"),
    "n-grams of less than nothing": (44, "<i", -1, "n-grams of -1 to 4"),
    "more words": (68, "<i", 99, "99 are words"),
    "a huge dictionary": (64, "<i", 2**30, "the file is damaged"),
    "a negative count": (64, "<i", -1, "the file is damaged"),
}


def test_n_grams_shorter_than_the_shortest_are_none(file, model):
    """fastText writes such files, of words alone, where minn > maxn."""
    made = read_fasttext(file(at(model, 44, "<i", 9)))
    whole = read_fasttext(file(model))
    assert made.subwords is None
    offsets, buckets = whole.subwords.ngrams.of(whole.words)
    for word, (begin, end) in enumerate(pairwise(offsets)):
        of_ngrams = whole.subwords.vectors[buckets[begin:end]].sum(axis=0)
        np.testing.assert_allclose(made.vectors[word] + of_ngrams, whole.vectors[word] * (end - begin + 1), atol=1e-5)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damages_are_said(file, model, damage):
    place, layout, value, message = DAMAGES[damage]
    with pytest.raises(ValueError, match=f"model.bin: .*{message}"):
        read_fasttext(file(at(model, place, layout, value)))


def test_no_changed_byte_leads_to_another_error(file, model):
    rng = np.random.default_rng(3)
    header = len(model) - 4 * 4 * (40 + 2 * len(STORED["words"]))
    for place in rng.permutation(header)[:200].tolist():
        path = file(model[:place] + bytes([model[place] ^ int(rng.integers(1, 256))]) + model[place + 1 :])
        try:
            read_fasttext(path)
        except ValueError as error:
            assert "model.bin" in str(error)  # noqa: PT017


def test_quantized_models_are_refused(file, model):
    place = len(model) - 4 * 4 * (40 + 2 * len(STORED["words"])) - 2 * 17
    assert model[place] == 0
    with pytest.raises(ValueError, match=r"quantized \(\.ftz\)"):
        KeyedVectors.load(file(at(model, place, "<b", 1)))


def test_tables_are_mapped(tmp_path):
    vectors = small()
    vectors.save_fasttext(tmp_path / "model.bin")
    found = KeyedVectors.load(tmp_path / "model.bin").subwords.vectors
    assert not found.flags.owndata
    assert not found.flags.writeable


@pytest.mark.parametrize("word", ["", "a\0b", "\ud800"])
def test_words_that_the_format_cannot_hold_are_refused(tmp_path, word):
    path = tmp_path / "model.bin"
    with pytest.raises(logq.ArgumentError, match=r"^words: "):
        KeyedVectors([word], [[1.0]]).save_fasttext(path)
    assert not path.exists()


# ------------------------------------------------------------------------------------------------ what subwords answer


def test_unknown_words_take_part_in_every_question():
    vectors = KeyedVectors.load(MODEL)
    word = "teapots"
    assert word in vectors
    assert word not in vectors.key_to_index
    composed = vectors[word]
    others = {
        known: float(vectors[known] @ composed / np.linalg.norm(vectors[known])) for known in vectors.index_to_key
    }
    nearest = max(others, key=others.get)
    assert vectors.most_similar(word, topn=1)[0][0] == nearest
    assert vectors.similar_by_word(word, topn=1)[0][0] == nearest
    assert vectors.most_similar_cosmul(word, topn=1)[0][0] == nearest
    assert len(vectors.most_similar([word, "tea"], topn=100)) == len(vectors) - 1
    assert vectors.similarity(word, word) == pytest.approx(1)
    assert vectors.similarity("tea", word) == pytest.approx(others["tea"] / np.linalg.norm(composed), abs=1e-6)
    assert vectors.distances("tea", [word, "tea"])[1] == pytest.approx(0, abs=1e-6)
    assert vectors.distances("tea", [word])[0] == pytest.approx(1 - vectors.similarity("tea", word), abs=1e-6)
    assert vectors.rank(word, nearest) == 1
    assert vectors[[word, "tea"]].shape == (2, 4)
    assert vectors.n_similarity([word], [word]) == pytest.approx(1)
    assert vectors.doesnt_match([word, word, "and"]) == "and"
    assert np.linalg.norm(vectors.get_vector(word, norm=True)) == pytest.approx(1)


def test_words_without_n_grams_that_have_vectors_are_unknown():
    vectors = small(buckets=np.zeros(0, np.int32))
    assert "teapots" not in vectors
    with pytest.raises(UnknownWord):
        vectors["teapots"]
    with pytest.raises(UnknownWord):
        small()["</s>"]
    assert 5 not in vectors


def test_subwords_are_saved_and_loaded(tmp_path):
    for vectors in (small(), small(buckets=np.array([0, 3, 7, 10], np.int32))):
        vectors.save(tmp_path / "vectors")
        again = logq.load(tmp_path / "vectors")
        assert again["teapots"].tolist() == vectors["teapots"].tolist()
        half = KeyedVectors.load(tmp_path / "vectors", dtype="float16")
        np.testing.assert_allclose(half["teapots"], vectors["teapots"], rtol=2e-2, atol=2e-3)


def test_pruning_keeps_the_n_grams_of_the_words():
    vectors = small()
    pruned = vectors.prune_subwords()
    used = np.unique(vectors.subwords.ngrams.of(vectors.index_to_key)[1])
    assert pruned.subwords.buckets.tolist() == used.tolist()
    assert pruned["teapot"].tolist() == vectors["teapot"].tolist()
    most = vectors.prune_subwords(most=3).subwords
    counts = np.bincount(vectors.subwords.ngrams.of(vectors.index_to_key)[1], minlength=11)
    assert sorted(counts[most.buckets]) == sorted(counts)[-3:]
    np.testing.assert_array_equal(most.vectors, vectors.subwords.vectors[most.buckets])
    with pytest.raises(ValueError, match=r"^subwords: "):
        KeyedVectors(["a"], [[1.0]]).prune_subwords()


def test_pairs_with_unknown_words_count_in_an_evaluation():
    vectors = KeyedVectors.load(MODEL)
    pairs = [("tea", "Teapots", 3.0), ("cup", "teacups", 2.0), ("the", "and", 1.0)]
    result = logq.evaluation.word_similarity(vectors, pairs)
    assert (result.pairs, result.left_out) == (3, 0)
    assert logq.evaluation.word_similarity(vectors, pairs, restrict_vocab=100).left_out == 2
    whole = KeyedVectors(vectors.index_to_key, vectors.vectors)
    assert logq.evaluation.word_similarity(whole, pairs).left_out == 2


def test_subwords_of_other_sizes_are_refused():
    kinds = CharacterNgrams(2, 3, 11)
    with pytest.raises(logq.ArgumentError, match=r"^vectors: expected 11 rows"):
        Subwords(kinds, np.zeros((3, 2), np.float32))
    with pytest.raises(logq.ArgumentError, match=r"^buckets: expected ascending"):
        Subwords(kinds, np.zeros((2, 2), np.float32), np.array([3, 3], np.int32))
    with pytest.raises(logq.ArgumentError, match=r"^subwords: expected vectors of 1 dim"):
        KeyedVectors(["a"], [[1.0]], subwords=Subwords(kinds, np.zeros((11, 2), np.float32)))
