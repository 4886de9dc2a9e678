"""Vectors come back from their file as they were; damaged files are told by name."""

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from logq.vectors import KeyedVectors
from logq.vectors.vector_files import FILE, SUMMARY, read_safetensors

FORMAT = {"format": "logq.keyed_vectors 1"}


def example(counts=True):
    table = np.array([[1.5, -2], [0, 1e-40], [3e38, 0.1]], dtype=np.float32)
    return KeyedVectors(["cat", "日本", "New York"], table, [5, 3, 0] if counts else None)


def same(a, b):
    assert a.index_to_key == b.index_to_key
    np.testing.assert_array_equal(a.vectors, b.vectors)
    assert (a.counts is None) == (b.counts is None)
    assert a.counts is None or a.counts.tolist() == b.counts.tolist()


@pytest.mark.parametrize("counts", [True, False])
def test_what_is_saved_is_loaded_from_the_folder_or_the_file(tmp_path, counts):
    folder = tmp_path / "new" / "folder"
    example(counts).save(folder, info={"model": "word2vec", "window": 5})
    for path in (folder, str(folder), folder / FILE):
        same(KeyedVectors.load(path), example(counts))
    (folder / FILE).rename(tmp_path / "any name")
    same(KeyedVectors.load(tmp_path / "any name"), example(counts))


@given(st.lists(st.text(max_size=4), unique=True, max_size=6), st.integers(1, 3), st.integers(0, 2**32))
def test_any_words_come_back(tmp_path_factory, words, dim, seed):
    folder = tmp_path_factory.mktemp("vectors")
    kv = KeyedVectors(words, np.random.default_rng(seed).standard_normal((len(words), dim)))
    kv.save(folder)
    same(KeyedVectors.load(folder), kv)


def test_the_file_holds_what_the_format_says(tmp_path):
    example().save(tmp_path)
    tensors = load_file(tmp_path / FILE)
    assert {key: (str(t.dtype), t.shape) for key, t in tensors.items()} == {
        "vectors": ("float32", (3, 2)),
        "lengths": ("float64", (3,)),
        "counts": ("int64", (3,)),
        "words": ("uint8", (17,)),
        "word_offsets": ("int64", (4,)),
    }
    assert tensors["words"].tobytes().decode() == "cat日本New York"
    assert tensors["word_offsets"].tolist() == [0, 3, 9, 17]


def test_the_summary_is_for_people(tmp_path):
    example().save(tmp_path, info={"window": 5, "corpus": "日本"})
    text = (tmp_path / SUMMARY).read_text(encoding="utf-8")
    assert "日本" in text
    assert json.loads(text) == {
        "format": "logq.keyed_vectors",
        "version": "1",
        "words": 3,
        "dimensions": 2,
        "info": {"window": 5, "corpus": "日本"},
    }
    (tmp_path / SUMMARY).unlink()
    same(KeyedVectors.load(tmp_path), example())


def test_saving_again_replaces_both_files_and_leaves_nothing_else(tmp_path):
    KeyedVectors(["old"], [[1.0]]).save(tmp_path)
    example().save(tmp_path)
    same(KeyedVectors.load(tmp_path), example())
    assert sorted(os.listdir(tmp_path)) == [SUMMARY, FILE]


def test_what_is_loaded_no_longer_needs_the_file(tmp_path):
    example().save(tmp_path)
    kv = KeyedVectors.load(tmp_path)
    (tmp_path / FILE).write_bytes(b"")
    same(kv, example())


def test_what_json_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match="info"):
        example().save(tmp_path / "folder", info={"function": print})
    assert not (tmp_path / "folder").exists()


def test_words_without_utf8_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"words.*\\ud800"):
        KeyedVectors(["a\ud800"], [[1.0]]).save(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_a_path_that_cannot_be_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        example().save(tmp_path / "file")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        KeyedVectors.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        KeyedVectors.load(tmp_path / "nowhere.safetensors")
    with pytest.raises(FileNotFoundError, match=tmp_path.name):
        KeyedVectors.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_safetensors(tmp_path / "nowhere")


def test_every_truncation_is_an_error_that_names_the_file(tmp_path):
    example().save(tmp_path)
    path = tmp_path / FILE
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"vectors\.safetensors"):
            KeyedVectors.load(tmp_path)


GOOD = {
    "vectors": np.ones((2, 3), np.float32),
    "words": np.frombuffer(b"abc", np.uint8),
    "word_offsets": np.array([0, 1, 3]),
    "counts": np.array([2, 1]),
}


def test_the_good_file_is_good(tmp_path):
    save_file(GOOD, tmp_path / FILE, metadata=FORMAT)
    assert KeyedVectors.load(tmp_path).index_to_key == ["a", "bc"]


@pytest.mark.parametrize(
    ("change", "metadata"),
    [
        ({"vectors": np.ones((2, 3))}, FORMAT),
        ({"vectors": np.ones(2, np.float32)}, FORMAT),
        ({"vectors": np.ones((3, 3), np.float32)}, FORMAT),
        ({"vectors": np.ones((2, 0), np.float32)}, FORMAT),
        ({"vectors": np.full((2, 3), np.nan, np.float32)}, FORMAT),
        ({"vectors": None}, FORMAT),
        ({"words": None}, FORMAT),
        ({"words": np.frombuffer(b"\xff\xff\xff", np.uint8)}, FORMAT),
        ({"words": np.frombuffer(b"abcd", np.uint8)}, FORMAT),
        ({"word_offsets": np.array([0, 1, 4])}, FORMAT),
        ({"word_offsets": np.array([1, 1, 3])}, FORMAT),
        ({"word_offsets": np.array([0, 5, 3])}, FORMAT),
        ({"word_offsets": np.array([0, 3])}, FORMAT),
        ({"word_offsets": np.array([], np.int64)}, FORMAT),
        ({"word_offsets": np.array([0, 1, 3], np.int32)}, FORMAT),
        ({"words": np.frombuffer(b"aa", np.uint8), "word_offsets": np.array([0, 1, 2])}, FORMAT),
        ({"counts": np.array([1])}, FORMAT),
        ({"counts": np.array([1, -1])}, FORMAT),
        ({"counts": np.array([1.0, 2.0])}, FORMAT),
        ({}, {}),
        ({}, None),
        ({}, {"format": "other 1"}),
        ({}, {"format": "logq.keyed_vectors 2"}),
    ],
)
def test_damaged_files_are_named(tmp_path, change, metadata):
    tensors = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    save_file(tensors, tmp_path / FILE, metadata=metadata)
    with pytest.raises(ValueError, match=r"vectors\.safetensors"):
        KeyedVectors.load(tmp_path)


def test_equal_vectors_make_equal_files(tmp_path):
    contents = set()
    for attempt in range(8):  # an entry more in the header, and its order would be any
        KeyedVectors(["a", "b"], np.eye(2), counts=[2, 1]).save(tmp_path / str(attempt))
        contents.add((tmp_path / str(attempt) / FILE).read_bytes())
    assert len(contents) == 1


def test_the_summary_says_how_the_vectors_were_made(tmp_path):
    vectors = KeyedVectors(["a"], [[1.0]])
    vectors.info = {"dim": 1, "seed": 3}
    vectors.save(tmp_path, {"seed": 4, "more": "x"})
    assert json.loads((tmp_path / "vectors.json").read_text())["info"] == {"dim": 1, "seed": 4, "more": "x"}
