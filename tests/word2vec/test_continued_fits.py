"""Fitting again: what was learned stays, and new words come in if they are wanted."""

import io
import os
import threading

import numpy as np
import pytest

from logq import ArgumentError, Word2Vec
from logq.text import Vocabulary, count_words
from logq.word2vec.training_text import grown_vocabulary

PETS = [["cat", "dog", "cat", "dog", "hen"]] * 60
TOOLS = [["saw", "axe", "saw", "axe", "cat"]] * 60


def model(**options):
    return Word2Vec(**{"dim": 8, "min_count": 1, "sample": 0, "epochs": 2, "seed": 2, **options})


@pytest.mark.parametrize("options", [{}, {"sg": False}, {"objective": "nce", "batch_size": 8}])
def test_new_words_come_in_and_counts_add_up(options):
    fitted = model(**options).fit(PETS, progress=False)
    before = fitted.vectors
    fitted.lr = 1e-9  # nothing moves: what is there now was carried over
    fitted.fit(TOOLS, progress=False)
    counts = dict(zip(fitted.vocabulary.index_to_key, fitted.vocabulary.counts.tolist(), strict=True))
    assert counts == {"cat": 180, "dog": 120, "saw": 120, "axe": 120, "hen": 60}
    assert fitted.vocabulary.index_to_key[:3] == before.index_to_key
    for word in ("cat", "dog", "hen"):
        np.testing.assert_allclose(fitted.vectors[word], before[word], atol=1e-6)
    assert np.abs(fitted.vectors["saw"]).max() <= 1 / 8


@pytest.mark.parametrize("options", [{}, {"hs": True}, {"objective": "nce", "batch_size": 8}])
def test_without_new_words_only_known_ones_are_trained(options):
    fitted = model(**options).fit(PETS, progress=False)
    before = fitted.vectors
    fitted.fit([["cat", "saw", "dog"]] * 30, new_words=False, progress=False)
    assert fitted.vectors.index_to_key == before.index_to_key
    assert np.abs(fitted.vectors["cat"] - before["cat"]).max() > 1e-3
    assert fitted.vocabulary.counts.tolist() == before.counts.tolist()


def test_a_tree_cannot_grow():
    fitted = model(hs=True).fit(PETS, progress=False)
    with pytest.raises(
        ArgumentError, match=r"^new_words: expected False, got True; the tree of hierarchical softmax cannot grow"
    ):
        fitted.fit(TOOLS, progress=False)


def test_rare_new_words_stay_out_and_rare_known_ones_stay_in():
    fitted = model(min_count=2).fit([["a", "a", "b", "b"]], progress=False)
    fitted.fit([["a", "c", "d", "d", "b"]], progress=False)
    assert fitted.vocabulary.index_to_key == ["a", "b", "d"]
    assert fitted.vocabulary.counts.tolist() == [3, 3, 2]


@pytest.mark.parametrize(("min_count", "max_vocab"), [(1, 60), (2, None), (3, 45), (99, None), (1, 2)])
def test_words_that_cannot_be_added_are_not_kept_while_they_are_counted(min_count, max_vocab, monkeypatch):
    rng = np.random.default_rng(5)
    old, new = ([[str(word) for word in rng.zipf(1.3, 30)] for _ in range(40)] for _ in range(2))
    fitted = model(min_count=3).fit(old, progress=False)
    fitted.min_count, fitted.max_vocab = min_count, max_vocab
    expected = grown_vocabulary(
        fitted.vocabulary, count_words(new, min_count=1).vocabulary, min_count=min_count, max_vocab=max_vocab
    )
    in_memory = []

    def counted(*args, **options):
        found = count_words(*args, **options)
        in_memory.append(found.vocabulary)
        return found

    monkeypatch.setattr("logq.word2vec.training_text.count_words", counted)
    fitted.fit(new, progress=False)
    assert fitted.vocabulary.index_to_key == expected.index_to_key
    assert fitted.vocabulary.counts.tolist() == expected.counts.tolist()
    assert fitted.vocabulary.raw_words == expected.raw_words
    for words in in_memory:
        assert max_vocab is None or len(words) <= max_vocab
        assert words.counts.min() >= min_count


def test_a_generator_can_be_learned_from_once():
    fitted = model().fit((sentence for sentence in PETS), progress=False)
    fitted.fit((sentence for sentence in TOOLS), progress=False)
    assert "saw" in fitted.vectors


@pytest.mark.filterwarnings("ignore:1 line of the text has bytes")
@pytest.mark.parametrize("how", ["standard input", "named pipe", "generator"])
@pytest.mark.parametrize("rule", ["going on", "keep"])
def test_a_text_that_is_read_once_teaches_what_its_file_does(how, rule, tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    lines = [["once"], *([str(word) for word in rng.zipf(1.5, 400)] for _ in range(40)), ["twice"], ["3", "nowhere"]]
    lines.append([str(word) for word in rng.integers(0, 9, 12_000)])  # a line of any length is one sentence
    text = "".join(" ".join(words) + "\n" for words in lines).encode() + b"3 4 \xff 5\n"
    (tmp_path / "file.txt").write_bytes(text)
    options = {"keep": None} if rule == "going on" else {"keep": lambda word, count: True if word == "once" else None}
    models = [model(min_count=3) for _ in range(2)]
    for one in models if rule == "going on" else ():
        one.fit([["3", "4", "once"]] * 9, progress=False)
    models[0].fit(tmp_path / "file.txt", progress=False, **options)
    source = tmp_path / "pipe"
    if how == "standard input":
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
        source = "-"
    elif how == "named pipe":
        os.mkfifo(source)
        threading.Thread(target=source.write_bytes, args=(text,)).start()
    else:
        source = (line.split() for line in text.decode("utf-8", "replace").splitlines())
    models[1].fit(source, progress=False, **options)
    assert len(models[1].vocabulary) > 9
    for name in ("index_to_key", "raw_words"):
        assert getattr(models[1].vocabulary, name) == getattr(models[0].vocabulary, name)
    assert models[1].vocabulary.counts.tolist() == models[0].vocabulary.counts.tolist()
    assert (models[1].vectors.vectors == models[0].vectors.vectors).all()
    assert models[1].invalid_lines == (models[0].invalid_lines if how != "generator" else 0)


def test_the_number_of_words_stays_bounded():
    new = Vocabulary(["x", "a", "y"], [2, 1, 1])
    grown = grown_vocabulary(Vocabulary(["a", "b"], [3, 2]), new, min_count=1, max_vocab=3)
    assert dict(zip(grown.index_to_key, grown.counts.tolist(), strict=True)) == {"a": 4, "b": 2, "x": 2}


def test_text_without_a_known_word_is_said():
    fitted = model().fit(PETS, progress=False)
    with pytest.raises(ValueError, match=r"^source: expected words that are known, got none in 2 words"):
        fitted.fit([["x", "y"]], new_words=False, progress=False)
    assert "cat" in fitted.vectors
