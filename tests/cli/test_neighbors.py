import gzip
import io
import json
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
    assert err == f"Error: {tmp_path / 'nowhere'}: there is no such file or folder\n"


def test_a_folder_without_vectors(logq, tmp_path):
    code, _, err = logq("neighbors", tmp_path, "king")
    assert code == 2
    assert "expected word vectors in this folder, found none; `logq train word2vec` makes them" in err


@pytest.mark.parametrize("size", [0, 10, 200])
def test_damaged_vectors(logq, vectors, size):
    file = vectors / "vectors.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    code, out, err = logq("neighbors", vectors, "king")
    assert (code, out) == (2, "")
    assert str(file) in err
    assert err.count("\n") == 1


@pytest.mark.filterwarnings("always::UserWarning")
def test_vectors_of_other_tools_are_read_as_the_options_say(logq, tmp_path):
    glove = tmp_path / "glove.gz"
    glove.write_bytes(gzip.compress(b"the 0.1 0.2\n. . 1 2\ncat 3 4\ndog 4 3\n"))
    assert [line[:2] for line in lines(logq("neighbors", glove, "the")[1])] == [
        ["the", ". ."], ["the", "cat"], ["the", "dog"]
    ]  # fmt: skip
    assert len(lines(logq("neighbors", glove, "the", "--limit", 3)[1])) == 2
    again = tmp_path / "again.txt"
    again.write_text("3 1\na 1\nb 2\na 3\n")
    code, _, err = logq("neighbors", again, "a")
    assert code == 2
    assert "again.txt, line 4: the word 'a' is there twice" in err
    code, out, err = logq("neighbors", again, "a", "--duplicates", "last")
    assert (code, [line[:2] for line in lines(out)]) == (0, [["a", "b"]])
    assert "Note: " in err
    assert "1 word came again; the last vector of each was kept" in " ".join(err.split())
    cut = tmp_path / "cut.txt"
    cut.write_bytes(b"2 1\ngr\xc3 1\nb\xc3\xa9 2\n")
    assert logq("neighbors", cut, "bé")[0] == 2
    assert lines(logq("neighbors", cut, "bé", "--errors", "replace")[1])[0][1] == "gr\ufffd"
    latin = tmp_path / "latin.txt"
    latin.write_bytes("größer 1\nmüde 2\n".encode("latin-1"))
    assert lines(logq("neighbors", latin, "müde", "--encoding", "latin-1")[1])[0][1] == "größer"


def test_a_row_that_is_wrong_is_named_with_its_cause(logq, tmp_path):
    path = tmp_path / "bad.txt"
    path.write_text("2 2\na 0,5 1\nb 1 2\n")
    code, out, err = logq("neighbors", path, "a")
    assert (code, out) == (2, "")
    assert "bad.txt, line 2: expected a word and 2 numbers with a decimal point, got '0,5'" in " ".join(err.split())


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize(
    ("content", "hint", "options"),
    [
        (b"2 2\ncaf\xe9 1 2\ntea 2 1\n", "give --encoding, or --errors replace if", ("--errors", "replace")),
        (b"2 2\ncaf\xe9 1 2\ntea 2 1\n", "give --encoding, or", ("--encoding", "latin-1")),
        (b"3 2\ntea 1 2\na 2 1\ntea 2 1\n", "--duplicates first or last keeps one", ("--duplicates", "last")),
    ],
)
def test_what_is_said_of_a_file_can_be_typed(logq, tmp_path, content, hint, options):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    code, _, err = logq("neighbors", path, "tea")
    assert code == 2
    assert hint in err
    assert logq("neighbors", path, "tea", *options)[0] == 0


def test_answers_are_written_as_json(logq, vectors, tmp_path):
    code, out, _ = logq("neighbors", vectors, "king", "zebra", "--topn", 2, "--json", tmp_path / "near.json")
    assert code == 2
    (answer,) = (written := json.loads((tmp_path / "near.json").read_text()))["answers"]
    assert (written["vectors"], written["unknown"], answer["question"]) == (str(vectors), ["zebra"], "king")
    said = [["king", near["word"], f"{near['cosine']:.6f}"] for near in answer["neighbors"]]
    assert said == lines(out)
    assert len(said) == 2


def test_an_index_of_the_words_is_searched(logq, vectors, tmp_path):
    assert logq("index", vectors, "--kind", "exact", "-o", tmp_path / "index", "-q")[0] == 0
    asked = (["king", "queen", "-n", "2"], ["king", "woman", "--minus", "man", "-n", "2"])
    for words in asked:
        assert logq("neighbors", vectors, *words, "--index", tmp_path / "index") == logq("neighbors", vectors, *words)
    KeyedVectors(["king", "man"], [[1, 0], [0, 1]]).save(tmp_path / "others")
    code, _, err = logq("neighbors", tmp_path / "others", "king", "--index", tmp_path / "index")
    assert (code, "made from another model" in err) == (2, True), err
