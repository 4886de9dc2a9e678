"""Words of scripts that run from right to left or combine characters are the same, counted, trained, kept and asked."""

import os
import subprocess
import sys
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logq
from logq import KeyedVectors, Word2Vec
from logq.cli import main
from logq.text import Corpus, Vocabulary, count_words, encode

VIETNAMESE = "nghiêng"
WORDS = [
    "سلام",
    "مَرْحَبًا",  # with vowel signs
    "\u200fمرحبا\u200f",  # between marks of direction, which belong to the word # noqa: RUF001
    "می\u200cخواهم",  # with a non-joiner, in Persian  # noqa: RUF001
    "שָׁלוֹם",
    "שלום",
    "\u2067עברית\u2069",  # isolated  # noqa: RUF001
    "नमस्ते",
    "क्\u200dष",  # with a joiner
    "สวัสดีครับ",
    unicodedata.normalize("NFC", VIETNAMESE),
    unicodedata.normalize("NFD", VIETNAMESE),
    "👩\u200d👩\u200d👧\u200d👦",
    "👍🏽",
    "🏳️\u200d🌈",
    "abc\u202edef",  # which a terminal would show backwards
]
LETTERS = st.sampled_from(
    [
        *"سلامرحبAb1",  # noqa: RUF001
        *"שלוםעברית",
        *"नमसतेक",
        *"สวัดี",
        *unicodedata.normalize("NFD", "ếộữ"),
        *unicodedata.normalize("NFC", "ếộữ"),
        *"👩👍🏽🌈",
        *"\u064b\u05b8\u094d\u0e49\u0301\ufe0f\u200c\u200d\u200e\u200f\u202b\u202e\u2066\u2069",
    ]
)
A_WORD = st.text(LETTERS, min_size=1, max_size=6)


def table_of(words):
    return KeyedVectors(words, np.random.default_rng(5).standard_normal((len(words), 4)), range(len(words), 0, -1))


def word2vec_files(folder, kv):
    """Files of other tools with their names."""
    for name, options in {"a.txt": {}, "a.txt.gz": {}, "a.bin": {"binary": True}}.items():
        kv.save_word2vec_format(folder / name, **options)
        yield folder / name
    kv.save_word2vec_format(folder / "gensim.bin", binary=True, newline=False)
    yield folder / "gensim.bin"
    _, *rows = (folder / "a.txt").read_bytes().splitlines(keepends=True)
    (folder / "glove.txt").write_bytes(b"".join(rows))
    yield folder / "glove.txt"
    kv.save_fasttext(folder / "fasttext.bin")
    yield folder / "fasttext.bin"


def check_kept(folder, words):
    kv = table_of(words)
    kv.save(folder)
    kv.save(folder / "small", dtype="int8")
    mapped = [KeyedVectors.load(each, mmap=True) for each in (folder, folder / "small")]
    read = [KeyedVectors.load(each) for each in (folder, folder / "small", *word2vec_files(folder, kv))]
    for found in (*mapped, *read):
        assert [found.get_index(word) for word in words] == list(range(len(words)))
        assert all(other not in found or other in words for other in forms_of(words))
        np.testing.assert_allclose(found[words], kv.vectors, atol=0.05)
        assert found.index_to_key == words
    vocabulary = Vocabulary(words, kv.counts)
    vocabulary.save(folder / "words.txt")
    assert Vocabulary.load(folder / "words.txt").index_to_key == words


def forms_of(words):
    """What the words are under other normal forms, which are other words."""
    return {unicodedata.normalize(form, word) for form in ("NFC", "NFD", "NFKC") for word in words}


def test_words_come_back_from_every_file(tmp_path):
    check_kept(tmp_path, WORDS)


@settings(max_examples=25, deadline=None)
@given(st.lists(A_WORD, min_size=1, max_size=6, unique=True))
def test_any_words_of_these_scripts_come_back_from_every_file(tmp_path_factory, words):
    check_kept(tmp_path_factory.mktemp("files"), words)


@settings(deadline=None)
@given(st.lists(st.lists(A_WORD | st.sampled_from(WORDS), min_size=1, max_size=5), min_size=1, max_size=5))
def test_what_is_counted_is_what_stands_in_the_text(tmp_path_factory, sentences):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n".join(map(" ".join, sentences)), encoding="utf-8")
    expected = Counter(word for sentence in sentences for word in sentence)
    for source in (path, sentences):
        found = count_words(source, min_count=1).vocabulary
        assert dict(zip(found.index_to_key, found.counts.tolist(), strict=True)) == dict(expected)
        with encode(source, min_count=1) as corpus:
            read = [[corpus.vocabulary.index_to_key[i] for i in ids] for ids in corpus.sentences()]
        assert read == sentences == list(Corpus([path]))


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    rng = np.random.default_rng(1)
    lines = [" ".join(rng.choice(WORDS, 8)) for _ in range(150)]
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_what_is_trained_and_saved_answers_to_the_words(text, tmp_path):
    model = Word2Vec(dim=4, min_count=1, sample=0, epochs=1, seed=1).fit(text, progress=False)
    assert sorted(model.vocabulary.index_to_key) == sorted(WORDS)
    model.save(tmp_path)
    for again in (logq.load(tmp_path).vectors, KeyedVectors.load(tmp_path, mmap=True)):
        for word in WORDS:
            np.testing.assert_array_equal(again[word], model.vectors[word])
        assert {found for found, _ in again.most_similar(WORDS[0], topn=20)} == set(WORDS[1:])


def test_the_command_line_has_the_same_words(text, tmp_path, capsys, monkeypatch):
    folder, words = tmp_path / "model", tmp_path / "words.txt"
    assert main(["train", "word2vec", str(text), "-o", str(folder), "--min-count", "1", "--dim", "4", "--quiet"]) == 0
    assert main(["vocab", str(text), "-o", str(words), "--min-count", "1", "--quiet"]) == 0
    assert sorted(Vocabulary.load(words).index_to_key) == sorted(WORDS)
    capsys.readouterr()
    assert main(["neighbors", str(folder), *WORDS, "--topn", "20"]) == 0
    lines = [line.split("\t")[:2] for line in capsys.readouterr().out.split("\n")[:-1]]
    assert sorted(lines) == sorted([a, b] for a in WORDS for b in WORDS if a != b)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["neighbors", str(folder), WORDS[-1], WORDS[2], WORDS[6], "--topn", "20"]) == 0
    shown = capsys.readouterr().out
    assert "abc\\u202edef" in shown
    assert not set("\u202e\u200f\u2067\u2069") & set(shown)


def test_words_are_asked_of_a_process_whatever_its_locale(tmp_path):
    table_of(WORDS).save(tmp_path)
    command = [sys.executable, "-m", "logq", "neighbors", str(tmp_path), *WORDS, "--topn", "1"]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "utf-8"}
    found = subprocess.run(command, env=environment, capture_output=True, check=True).stdout.decode("utf-8")
    assert [line.split("\t")[0] for line in found.split("\n")[:-1]] == WORDS
