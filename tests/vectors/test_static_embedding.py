"""Folders for sentence-transformers: texts become the tokens, and the means, that our own sentence vectors have."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from logq import ArgumentError, KeyedVectors
from logq.vectors import SentenceVectors

WORDS = ["the", "tea", "cup", "a", "c", "it's", "naïve", "new_york", "\U0001f375", "▁tea", "[UNK]", "\ue000odd"]
COUNTS = [900, 50, 30, 400, 9, 8, 7, 6, 5, 4, 3, 2]
TEXTS = [
    "the tea  in\ta cup\n",
    "",
    "unknown words",
    "cc ac ca",
    "a a a c",
    "it's naïve",
    "Tea THE the",
    "\U0001f375 new_york new york",
    "▁tea tea ▁ [UNK] UNK",
    "\ue000odd odd \ue001tea \ue000",
    "tea cup",
]


def vectors() -> KeyedVectors:
    rows = np.random.default_rng(3).normal(size=(len(WORDS), 5)).astype(np.float32)
    return KeyedVectors(WORDS, rows, COUNTS)


def encoded(folder, texts):
    """What StaticEmbedding does with its two files: a mean of rows for each text."""
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    table = load_file(folder / "model.safetensors")["embedding.weight"]
    found = np.zeros((len(texts), table.shape[1]), np.float32)
    for row, text in enumerate(tokenizer.encode_batch(texts, add_special_tokens=False)):
        if text.ids:
            found[row] = table[text.ids].astype(np.float64).mean(axis=0)
    return found


def test_plain_means_are_those_of_sentence_vectors(tmp_path):
    vectors().to_static_embedding(tmp_path)
    expected = SentenceVectors(vectors(), smoothing=None).encode([text.split() for text in TEXTS])
    np.testing.assert_allclose(encoded(tmp_path, TEXTS), expected, rtol=1e-6, atol=1e-6)
    assert not expected[1:4].any()
    assert expected[4:].any(axis=1).all()


def test_weighted_means_without_common_directions_are_too(tmp_path):
    sentences = SentenceVectors(vectors(), smoothing=1e-2, components=2).fit(text.split() for text in TEXTS)
    sentences.to_static_embedding(tmp_path)
    expected = sentences.encode([text.split() for text in TEXTS])
    np.testing.assert_allclose(encoded(tmp_path, TEXTS), expected, rtol=1e-5, atol=1e-6)
    plain = SentenceVectors(vectors(), smoothing=None).encode([text.split() for text in TEXTS])
    assert np.abs(expected - plain).max() > 0.1


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Zs", "Zl", "Zp", "Cc"]), min_size=1), max_size=8)
)
def test_any_words_are_found_and_others_leave_nothing(tmp_path_factory, words):
    known = list(dict.fromkeys(word for word in words if not any(character.isspace() for character in word)))[::2]
    if not known:
        return
    kv = KeyedVectors(known, np.arange(1.0, 1 + 2 * len(known)).reshape(-1, 2))
    folder = tmp_path_factory.mktemp("any")
    kv.to_static_embedding(folder)
    texts = [" ".join(words), *words]
    expected = SentenceVectors(kv, smoothing=None).encode([text.split() for text in texts])
    np.testing.assert_allclose(encoded(folder, texts), expected, rtol=1e-6)


def test_texts_may_be_made_lowercase(tmp_path):
    vectors().to_static_embedding(tmp_path, lowercase=True)
    expected = SentenceVectors(vectors(), smoothing=None).encode([text.lower().split() for text in TEXTS])
    np.testing.assert_allclose(encoded(tmp_path, TEXTS), expected, rtol=1e-6, atol=1e-6)


def test_words_that_cannot_be_written_are_named(tmp_path):
    with pytest.raises(ArgumentError, match=r"words: expected words with a UTF-8 form, got '\\udc80'"):
        KeyedVectors(["a", "\udc80"], [[1.0], [2.0]]).to_static_embedding(tmp_path)
    every = "".join(map(chr, range(0xE000, 0xE020)))
    with pytest.raises(ArgumentError, match="words: expected words without one of the characters 0xe000 to 0xe01f"):
        KeyedVectors([every], [[1.0]]).to_static_embedding(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_names_its_module(tmp_path):
    KeyedVectors(["a"], np.ones((1, 3), np.float16), dtype=np.float16).to_static_embedding(tmp_path / "new" / "folder")
    (module,) = json.loads((tmp_path / "new" / "folder" / "modules.json").read_text())
    assert module == {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}
    assert load_file(tmp_path / "new" / "folder" / "model.safetensors")["embedding.weight"].dtype == np.float32


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of other libraries
def test_sentence_transformers_gives_the_same(tmp_path):
    """The library itself, where it is installed: pip install sentence-transformers."""
    library = pytest.importorskip("sentence_transformers")
    kv = vectors()
    kv.to_static_embedding(tmp_path)
    expected = SentenceVectors(kv, smoothing=None).encode([text.split() for text in TEXTS])
    model = library.SentenceTransformer(str(tmp_path), device="cpu")
    np.testing.assert_allclose(model.encode(TEXTS), expected, rtol=1e-5, atol=1e-6)
    alone = library.models.StaticEmbedding.load(str(tmp_path))
    assert alone.embedding.weight.shape == (len(WORDS), 5)
    first, second = model.encode(["the tea", "a cup"])
    ours = SentenceVectors(kv, smoothing=None).similarity(["the", "tea"], ["a", "cup"])
    assert float(model.similarity(first, second)) == pytest.approx(ours, abs=1e-5)
    model.save(str(tmp_path / "again"))
    again = library.SentenceTransformer(str(tmp_path / "again"), device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), expected, rtol=1e-5, atol=1e-6)
