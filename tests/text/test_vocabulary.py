"""The vocabulary counts as a student would, and keeps words as gensim and word2vec.c do."""

import bz2
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import logq
from logq.text import Corpus, Vocabulary

GOLDEN = Path(__file__).parents[1] / "golden" / "gensim_keep_probability.npz"

words = st.text(alphabet="abc", min_size=1, max_size=2)
sentences = st.lists(st.lists(words, max_size=8), max_size=12)


@given(sentences, st.integers(1, 4), st.none() | st.integers(1, 5))
def test_build_counts_sorts_and_cuts(corpus, min_count, max_vocab):
    tokens = [word for sentence in corpus for word in sentence]
    order = sorted(set(tokens), key=lambda word: (-tokens.count(word), tokens.index(word)))
    kept = [word for word in order if tokens.count(word) >= min_count][:max_vocab]
    if not kept:
        with pytest.raises(ValueError, match="min_count" if tokens else "at least one word"):
            Vocabulary.build(corpus, min_count, max_vocab)
        return
    vocabulary = Vocabulary.build(corpus, min_count, max_vocab)
    assert vocabulary.index_to_key == kept
    assert vocabulary.key_to_index == {word: index for index, word in enumerate(kept)}
    assert vocabulary.counts.dtype == np.int64
    assert vocabulary.counts.tolist() == [tokens.count(word) for word in kept]
    assert len(vocabulary) == len(kept)
    assert vocabulary.total == sum(tokens.count(word) for word in kept)
    assert vocabulary.raw_words == len(tokens)
    assert {word for word in {*tokens, "none"} if word in vocabulary} == set(kept)
    for sentence in corpus:
        ids = vocabulary.encode(sentence)
        assert ids.dtype == np.int64
        assert ids.tolist() == [kept.index(word) for word in sentence if word in kept]


def test_defaults_are_those_of_word2vec():
    assert Vocabulary.build([["five"] * 5 + ["four"] * 4]).index_to_key == ["five"]


def test_a_corpus_is_read_in_one_pass():
    assert Vocabulary.build(["a", "b"] for _ in range(5)).counts.tolist() == [5, 5]


def test_build_reads_a_corpus_of_files(tmp_path):
    (tmp_path / "a.txt").write_text("a b a\nb a\n")
    assert Vocabulary.build(Corpus(tmp_path / "a.txt"), min_count=2).counts.tolist() == [3, 2]


@pytest.mark.parametrize("corpus", [[], [[]], [[], []]])
def test_an_empty_corpus_is_an_error(corpus):
    with pytest.raises(ValueError, match=r"sentences: expected at least one word"):
        Vocabulary.build(corpus)


def test_nothing_above_min_count_names_the_most_frequent_word():
    with pytest.raises(ValueError, match=r"min_count: expected at most 3.*'rose', got 5"):
        Vocabulary.build([["rose", "a"], ["a", "rose", "rose"]], min_count=5)


@pytest.mark.parametrize(
    "corpus",
    ["text", Path("file.txt"), ["a b"], [["a"], [1]], [["a"], [["b"]]], [5], [b"a"]],
)
def test_what_is_not_a_list_of_words_is_refused(corpus):
    with pytest.raises(TypeError, match="sentences"):
        Vocabulary.build(corpus, min_count=1)


@pytest.mark.parametrize("name", ["min_count", "max_vocab"])
@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_bounds_are_checked(name, value, error):
    with pytest.raises(error, match=name):
        Vocabulary.build([["a"]], **{name: value})


@pytest.mark.parametrize(
    ("words", "counts", "error", "match"),
    [
        (["a", "b", "a"], [1, 1, 1], ValueError, "words.*'a'"),
        (["a", 3], [1, 1], TypeError, "words.*3"),
        ("ab", [1, 1], TypeError, "words"),
        (["a", "b"], [1], ValueError, r"counts.*\(2,\)"),
        (["a", "b"], [[1, 1]], ValueError, "counts"),
        (["a", "b"], [1, 0], ValueError, "counts.*'b'"),
        (["a", "b"], [-4, 1], ValueError, "counts.*-4.*'a'"),
        (["a", "b"], [1.5, 1], TypeError, "counts"),
        (["a", "b"], [True, True], TypeError, "counts"),
        (["a", "b"], ["1", "2"], TypeError, "counts"),
    ],
)
def test_words_and_counts_are_checked(words, counts, error, match):
    with pytest.raises(error, match=match):
        Vocabulary(words, counts)


def test_raw_words_are_at_least_those_kept():
    assert Vocabulary(["a"], [3]).raw_words == 3
    assert Vocabulary(["a"], [3], raw_words=5).raw_words == 5
    with pytest.raises(ValueError, match="raw_words"):
        Vocabulary(["a"], [3], raw_words=2)


def test_encode_refuses_a_text():
    with pytest.raises(TypeError, match="tokens"):
        Vocabulary(["a"], [1]).encode("a")


@pytest.mark.parametrize("sample", ["0", "1e-3", "1e-2"])
def test_keep_probability_is_that_of_gensim(sample):
    with np.load(GOLDEN) as golden:
        vocabulary = Vocabulary(golden["words"].tolist(), golden["counts"])
        keep = vocabulary.keep_probability(float(sample))
        assert keep.dtype == np.float64
        # gensim rounds its numbers down to a 2**32nd.
        np.testing.assert_array_equal((keep * (2**32 - 1)).astype(np.uint32), golden[f"sample_int_{sample}"])


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=20), st.floats(1e-6, 10))
def test_keep_probability_is_the_law_of_word2vec(counts, sample):
    vocabulary = Vocabulary([str(number) for number in range(len(counts))], counts)
    total = sum(counts)
    expected = [min(1.0, ((c / (sample * total)) ** 0.5 + 1) * (sample * total) / c) for c in counts]
    np.testing.assert_allclose(vocabulary.keep_probability(sample), expected, rtol=1e-12)


@pytest.mark.parametrize("sample", [-1e-3, float("nan"), float("inf")])
def test_sample_is_checked(sample):
    with pytest.raises(ValueError, match="sample"):
        Vocabulary(["a"], [1]).keep_probability(sample)


@given(st.dictionaries(st.text(min_size=1, max_size=5).filter(lambda w: w.split() == [w]), st.integers(1, 10**12)))
def test_what_is_saved_is_loaded(tmp_path_factory, counts):
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.txt"
    vocabulary = Vocabulary(list(counts), list(counts.values()))
    vocabulary.save(path)
    assert path.read_bytes() == "".join(f"{word} {count}\n" for word, count in counts.items()).encode()
    if counts:
        again = Vocabulary.load(path)
        assert again.index_to_key == vocabulary.index_to_key
        assert again.counts.tolist() == vocabulary.counts.tolist()


@pytest.mark.parametrize("word", ["New York", "", "tab\there", "line\n", "\u3000", "non\u00a0breaking", "\ud800"])
def test_words_that_the_format_cannot_hold_are_named(tmp_path, word):
    with pytest.raises(ValueError, match="words") as caught:
        Vocabulary(["fine", word], [2, 1]).save(tmp_path / "v.txt")
    assert repr(word) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_load_takes_windows_lines_and_blank_ones(tmp_path):
    (tmp_path / "v.txt").write_bytes(b"a 3\r\n\r\nb\t2")
    assert Counter(Vocabulary.load(tmp_path / "v.txt").key_to_index) == {"a": 0, "b": 1}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"a 1\nb\n", "line 2"),
        (b"a 1\nb x\n", "line 2"),
        (b"a 1.5\n", "line 1"),
        (b"a b 1\n", "line 1"),
        ("é 1\n".encode() + b"\xff 1\n", "line 2"),
        (b"a 1\n" + b"b" * 65_537 + b" 1\n", "line 2.*at most 65,536 bytes"),
        (b"a 1\na 2\n", "'a'"),
        (b"a 0\n", "counts"),
        (b"a 1" + b"0" * 30 + b"\n", "counts"),
        (b"", "no words"),
    ],
)
def test_damaged_files_are_named(tmp_path, content, match):
    (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(ValueError, match=match) as caught:
        Vocabulary.load(tmp_path / "v.txt")
    assert "v.txt" in str(caught.value)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_vocabulary_is_read_in_any_form(tmp_path, pack, encoding):
    (tmp_path / "v.txt").write_bytes(pack("größer 3\nrosé 2\n".encode(encoding)))
    assert Vocabulary.load(tmp_path / "v.txt").index_to_key == ["größer", "rosé"]
    (tmp_path / "v.txt").write_bytes(pack("größer 3\nrosé 2\n".encode("latin-1")))
    assert Vocabulary.load(tmp_path / "v.txt", encoding="latin-1").index_to_key == ["größer", "rosé"]
    with pytest.warns(logq.GuessedEncodingWarning):
        assert Vocabulary.load(tmp_path / "v.txt").index_to_key == ["größer", "rosé"]


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Vocabulary.load(tmp_path / "nowhere")


def test_words_too_long_to_be_read_are_not_written(tmp_path):
    Vocabulary(["a" * 65_536], [1]).save(tmp_path / "v.txt")
    assert Vocabulary.load(tmp_path / "v.txt").index_to_key == ["a" * 65_536]
    with pytest.raises(ValueError, match=r"words: expected words .* at most 65,536 bytes"):
        Vocabulary(["a" * 65_537], [1]).save(tmp_path / "v.txt")
