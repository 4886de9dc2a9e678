"""Mapped vectors answer as those in memory do, without strings for all words; damages are found by questions."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from logq._model_file import pack_strings, read_tensors
from logq.cli import main
from logq.vectors import KeyedVectors, UnknownWord
from logq.vectors.stored_words import StoredWords
from logq.vectors.vector_files import FILE

WORDS = [f"w{i}" for i in range(300)] + ["日本", "New York", "a\0", ""]
KV = KeyedVectors(WORDS, np.random.default_rng(3).standard_normal((len(WORDS), 16)), np.arange(len(WORDS))[::-1])
LAZY = ("index_to_key", "key_to_index", "vectors")


def same(answers, others):
    """Whether the words are the same, and their cosines nearly: rows are multiplied in other blocks."""
    assert [word for word, _ in answers] == [word for word, _ in others]
    np.testing.assert_allclose([cosine for _, cosine in answers], [cosine for _, cosine in others], atol=1e-6)


def rewritten(folder, **changes):
    """The file of a folder with other tensors, None for none, as another program would write it, without digests."""
    tensors = {**load_file(folder / FILE), **changes}
    save_file({k: v for k, v in tensors.items() if v is not None}, folder / FILE, {"format": "logq.keyed_vectors 1"})


@given(
    st.lists(st.text(st.sampled_from("ab\0é字🙂"), max_size=4), unique=True), st.text("abé字", max_size=4), st.data()
)
def test_stored_words_are_those_of_a_list(words, other, data):
    joined, offsets = pack_strings(words)
    stored = StoredWords("file", joined, offsets)
    assert (list(stored), len(stored), [stored[i] for i in range(-len(words), len(words))]) == (
        words,
        len(words),
        [*words, *words],
    )
    for word in {*words, other, "\ud800"}:
        assert stored.find(word) == (words.index(word) if word in words else None)
    part = data.draw(st.slices(len(words)).filter(lambda part: part.step in (None, 1)))
    assert list(stored[part]) == words[part]
    assert all(stored[part].find(word) == words[part].index(word) for word in words[part])


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_answers_need_no_strings_of_all_words(dtype, tmp_path):
    KV.save(tmp_path, dtype=dtype)
    mapped, read = KeyedVectors.load(tmp_path, mmap=True), KeyedVectors.load(tmp_path)
    same(mapped.most_similar("w1"), read.most_similar("w1"))
    same(mapped.most_similar("日本"), read.most_similar("日本"))
    assert mapped.most_similar_cosmul(["w1"], ["w2"])[0][0] == read.most_similar_cosmul(["w1"], ["w2"])[0][0]
    same(mapped.most_similar("w1", among=["w3", "w4"]), read.most_similar("w1", among=["w3", "w4"]))
    assert mapped.closer_than("w1", "w2") == read.closer_than("w1", "w2")
    assert mapped.similarity("w1", "") == read.similarity("w1", "")
    np.testing.assert_allclose(mapped.distances("w1"), read.distances("w1"), atol=1e-6)
    np.testing.assert_array_equal(mapped[["w1", "New York"]], read[["w1", "New York"]])
    assert "w1" in mapped
    assert "nowhere" not in mapped
    assert (mapped.get_index("a\0"), mapped.get_index("?", -1), len(mapped)) == (302, -1, len(KV))
    with pytest.raises(UnknownWord, match=r"'w3o' is not among the 304 known words; the closest are w3"):
        mapped.most_similar("w3o")
    assert not set(LAZY) & set(vars(mapped)) - ({"vectors"} if dtype != "int8" else set())
    assert (mapped.index_to_key, mapped.key_to_index) == (read.index_to_key, read.key_to_index)
    np.testing.assert_array_equal(mapped.vectors, read.vectors)
    np.testing.assert_array_equal(mapped.all_but_the_top(1).vectors, read.all_but_the_top(1).vectors)
    assert not mapped.vectors.flags.writeable


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_what_is_mapped_can_be_pickled_and_saved_again(dtype, tmp_path):
    KV.save(tmp_path / "a", dtype=dtype)
    mapped = KeyedVectors.load(tmp_path / "a", mmap=True, limit=100)
    for again in (pickle.loads(pickle.dumps(mapped)), mapped):
        again.save(tmp_path / "b", dtype=dtype)
        few = KeyedVectors.load(tmp_path / "b")
        assert few.index_to_key == WORDS[:100]
        np.testing.assert_array_equal(few.vectors, KeyedVectors.load(tmp_path / "a").vectors[:100])


def test_many_words_that_are_looked_for_get_an_index(tmp_path):
    KV.save(tmp_path)
    mapped = KeyedVectors.load(tmp_path, mmap=True)
    np.testing.assert_array_equal(mapped[WORDS], KV.vectors)
    assert "key_to_index" in vars(mapped)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_lengths_in_the_file_are_those_that_a_file_without_them_gets(dtype, tmp_path):
    KV.save(tmp_path, dtype=dtype)
    known = [KeyedVectors.load(tmp_path, mmap=mmap) for mmap in (False, True)]
    assert ["_norms" in vars(kv) for kv in known] == [False, True]  # what is read whole is looked at when it is asked
    rewritten(tmp_path, lengths=None)
    older = [KeyedVectors.load(tmp_path, mmap=mmap) for mmap in (False, True)]
    assert not any("_norms" in vars(kv) for kv in older)
    for kv in (*known, *older):
        np.testing.assert_array_equal(kv._norms, known[0]._norms)
        same(kv.most_similar("w1"), known[0].most_similar("w1"))
    KV.save(tmp_path)
    half = KeyedVectors.load(tmp_path, dtype="float16")
    np.testing.assert_array_equal(half._norms, np.linalg.norm(half.vectors.astype(np.float64), axis=1))


def test_words_that_are_there_twice_are_found_by_the_question(tmp_path):
    KV.save(tmp_path)
    joined, offsets = pack_strings(["w1", *WORDS[1:]])
    rewritten(tmp_path, words=joined, word_offsets=offsets)
    mapped = KeyedVectors.load(tmp_path, mmap=True)
    assert mapped.most_similar("w2", topn=1) == KV.most_similar("w2", topn=1)
    with pytest.raises(ValueError, match=r"vectors.safetensors: expected different words, got 'w1' more than once"):
        mapped.most_similar("w1")
    with pytest.raises(ValueError, match=r"vectors.safetensors: keys: expected different words, got 'w1' more than on"):
        mapped.key_to_index  # noqa: B018


def test_damages_of_mapped_vectors_are_found_by_the_question(tmp_path):
    KV.save(tmp_path)
    table = np.array(KV.vectors)
    table[250, 3] = np.inf
    rewritten(tmp_path, vectors=table)
    for question in (
        lambda kv: kv.most_similar("w1"),
        lambda kv: kv.most_similar("w1", topn=None),
        lambda kv: kv.distances("w1"),
        lambda kv: kv.most_similar_cosmul("w1"),
    ):
        with pytest.raises(ValueError, match=r"vectors.safetensors: expected finite numbers for 'w250'"):
            question(KeyedVectors.load(tmp_path, mmap=True))
    best = WORDS.index(KV.most_similar("w1")[0][0])
    table = np.array(KV.vectors)
    table[best] *= 2
    rewritten(tmp_path, vectors=table)
    with pytest.raises(ValueError, match=r"vectors.safetensors: the file was changed or is damaged, vectors in it do"):
        KeyedVectors.load(tmp_path, mmap=True).most_similar("w1")
    rewritten(tmp_path, vectors=KV.vectors, words=np.full(len(pack_strings(WORDS)[0]), 0xFF, np.uint8))
    with pytest.raises(ValueError, match=r"vectors.safetensors: the file is damaged, a word in it is not UTF-8"):
        KeyedVectors.load(tmp_path, mmap=True).similar_by_vector(table[0])
    rewritten(tmp_path, lengths=np.full(len(KV), -1.0))
    with pytest.raises(ValueError, match=r"vectors.safetensors: the file is damaged, a vector in it has no length"):
        KeyedVectors.load(tmp_path, mmap=True)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_command_maps_and_makes_no_list_of_words(dtype, tmp_path, monkeypatch, capsys):
    KV.save(tmp_path, dtype=dtype)
    expected = [word for word, _ in KeyedVectors.load(tmp_path).most_similar("w1")]

    def all_of_them(self):
        raise AssertionError("all words were read")

    def without_vectors(path, *, check, only):
        assert check
        assert "vectors" not in only
        return read_tensors(path, check=check, only=only)

    monkeypatch.setattr(StoredWords, "__iter__", all_of_them)
    monkeypatch.setattr("logq.vectors.vector_files.read_tensors", without_vectors)
    assert main(["neighbors", str(tmp_path), "w1"]) == 0
    assert [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()] == expected
