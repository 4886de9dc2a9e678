import io
import re
import sys

import pytest

from logq.cli import main
from logq.vectors import KeyedVectors


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines(out):
    return [line.split("\t") for line in out.splitlines()]


def test_a_pipe_gets_tabs(logq, vectors):
    code, out, err = logq("neighbors", vectors, "king", "--topn", "2")
    assert (code, err) == (0, "")
    known = KeyedVectors.load(vectors)
    assert lines(out) == [["king", word, f"{cosine:.6f}"] for word, cosine in known.most_similar("king", topn=2)]


def test_several_words_are_several_questions(logq, vectors):
    _, out, _ = logq("neighbors", vectors, "king", "queen", "-n", "1")
    assert [line[:2] for line in lines(out)] == [["king", "man"], ["queen", "woman"]]


@pytest.mark.parametrize("option", ["--minus", "--negative"])
def test_minus_makes_one_question(logq, vectors, option):
    _, out, _ = logq("neighbors", vectors, "king", "woman", option, "man", "--topn", "1")
    assert [line[:2] for line in lines(out)] == [["king + woman - man", "queen"]]


def test_together_makes_one_question(logq, vectors):
    _, out, _ = logq("neighbors", vectors, "man", "queen", "--together", "--topn", "2")
    assert {line[0] for line in lines(out)} == {"man + queen"}
    assert {line[1] for line in lines(out)} == {"king", "woman"}


@pytest.mark.parametrize("binary", [False, True])
def test_word2vec_files_are_read(logq, vectors, tmp_path, binary):
    KeyedVectors.load(vectors).save_word2vec_format(tmp_path / "w2v", binary=binary)
    assert logq("neighbors", tmp_path / "w2v", "king") == logq("neighbors", vectors, "king")


@pytest.mark.parametrize("width", [22, 100])
def test_a_terminal_gets_a_table(vectors, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert main(["neighbors", str(vectors), "king", "apple", "-n", "3"]) == 0
    shown = re.sub(r"\x1b\[[\d;]*m", "", sys.stdout.getvalue())
    assert "\t" not in shown
    assert "[tea]" in shown, "words are not markup"
    assert max(map(len, shown.splitlines())) <= width
    king, apple = (
        next(i for i, line in enumerate(shown.splitlines()) if f"{word} " in line) for word in ("king", "apple")
    )
    assert (king == apple) == (width == 100), "side by side where there is room"


def test_one_question_shows_counts(vectors, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert main(["neighbors", str(vectors), "king"]) == 0
    assert "count" in sys.stdout.getvalue()


@pytest.mark.parametrize("words", [["kng"], ["king", "--minus", "kng"], ["king", "kng", "--together"]])
def test_an_unknown_word_is_met_with_the_closest(logq, vectors, words):
    code, out, err = logq("neighbors", vectors, *words)
    assert (code, out) == (2, ""), "a question is not answered by halves"
    assert err == "Error: 'kng' is not among the 6 known words; the closest are king\n"


def test_an_unknown_word_does_not_hide_the_answers_for_others(logq, vectors):
    code, out, err = logq("neighbors", vectors, "kng", "king", "xyzzy", "man", "-n", "3")
    assert code == 2
    assert out == logq("neighbors", vectors, "king", "man", "-n", "3")[1]
    assert err.splitlines() == [
        "Error: 'kng' is not among the 6 known words; the closest are king",
        "Error: 'xyzzy' is not among the 6 known words",
    ]


@pytest.mark.parametrize("words", [["kng"], ["kng", "king"]])
def test_a_terminal_gets_answers_beside_unknown_words(vectors, monkeypatch, capsys, words):
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert main(["neighbors", str(vectors), *words]) == 2
    assert ("cosine" in sys.stdout.getvalue()) == ("king" in words)
    assert "'kng' is not among" in capsys.readouterr().err


def test_a_missing_folder(logq, tmp_path):
    code, out, err = logq("neighbors", tmp_path / "nowhere", "king")
    assert (code, out) == (2, "")
    assert err == f"Error: {tmp_path / 'nowhere'}: No such file or directory\n"


def test_a_folder_without_vectors(logq, tmp_path):
    code, _, err = logq("neighbors", tmp_path, "king")
    assert code == 2
    assert "there are no vectors in this folder" in err


@pytest.mark.parametrize("size", [0, 10, 200])
def test_damaged_vectors(logq, vectors, size):
    file = vectors / "vectors.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    code, out, err = logq("neighbors", vectors, "king")
    assert (code, out) == (2, "")
    assert str(file) in err
    assert err.count("\n") == 1
