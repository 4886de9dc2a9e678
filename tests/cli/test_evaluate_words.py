import importlib.util
import io
import json
import re
import sys

import pytest

from logq.cli import main
from logq.cli.commands.evaluate_words import MethodName
from logq.evaluation import similarity, word_analogies, word_similarity
from logq.evaluation.analogies import METHODS
from logq.vectors import KeyedVectors

PAIRS = "man king 6\nwoman queen 5\nMan woman 7\nking apple 1\nman unicorn 2\n"
QUESTIONS = ": family\nMan King Woman Queen\nman king boy prince\n: gram1\nman woman king queen\nman woman queen king\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "[pairs].txt"
    path.write_text(PAIRS)
    return path


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text(QUESTIONS)
    return path


def shown(monkeypatch, *words, width=100):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert main([str(word) for word in words]) == 0
    return re.sub(r"\x1b\[[\d;]*m", "", sys.stdout.getvalue())


def test_methods_are_the_library_s():
    assert tuple(name.value for name in MethodName) == (*METHODS, "both")


def test_a_pipe_gets_tabs(logq, vectors, pairs, questions):
    code, out, err = logq("evaluate", "words", vectors, "--similarity", pairs, "--analogies", questions)
    assert (code, err) == (0, "")
    known = KeyedVectors.load(vectors)
    similar = word_similarity(known, pairs)
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[:2] == [
        ["similarity", str(pairs), name, f"{found.coefficient:.6f}", f"{found.p:.4g}", "4", "1"]
        for name, found in (("spearman", similar.spearman), ("pearson", similar.pearson))
    ]
    assert [line[2:4] for line in lines[2:]] == [
        [method, name] for method in METHODS for name in ("family", "gram1", "semantic", "syntactic", "total")
    ]
    for line in lines[2:]:
        result = word_analogies(known, questions, method=line[2])
        parts = {part.name: part for part in (*result.sections, result.semantic, result.syntactic, result.total)}
        part = parts[line[3]]
        assert line[4:] == [f"{part.accuracy:.6f}", str(part.correct), str(part.total), str(part.left_out)]
    assert lines[-1][-3:] == ["3", "3", "1"]


@pytest.mark.parametrize("binary", [False, True])
def test_word2vec_files_are_read(logq, vectors, questions, tmp_path, binary):
    KeyedVectors.load(vectors).save_word2vec_format(tmp_path / "w2v", binary=binary)
    asked = ["-a", questions]
    assert logq("evaluate", "words", tmp_path / "w2v", *asked) == logq("evaluate", "words", vectors, *asked)


@pytest.mark.parametrize("method", METHODS)
def test_one_method_alone(logq, vectors, questions, method):
    _, out, _ = logq("evaluate", "words", vectors, "--analogies", questions, "--method", method)
    assert {line.split("\t")[2] for line in out.splitlines()} == {method}


def test_a_terminal_gets_tables(vectors, pairs, questions, monkeypatch):
    out = shown(monkeypatch, "evaluate", "words", vectors, "-s", pairs, "-s", pairs, "-a", questions)
    assert "\t" not in out
    assert "[pairs].txt" in out, "paths are not markup"
    for title in ("Spearman", "Pearson", "unknown", "3CosAdd", "3CosMul"):
        assert title in out
    assert "20.0%" in out, "one of five pairs is unknown"
    total = next(line for line in out.splitlines() if line.startswith("total"))
    assert total.split() == ["total", "3", "25.0%", "100.0%", "100.0%"]
    assert [line.split()[0] for line in out.splitlines()[-3:]] == ["semantic", "syntactic", "total"]


def test_tables_fit_narrow_terminals(vectors, pairs, questions, monkeypatch):
    out = shown(monkeypatch, "evaluate", "words", vectors, "-s", pairs, "-a", questions, width=72)
    assert max(map(len, out.splitlines())) <= 72


def test_all_that_is_unknown_is_said(logq, vectors, tmp_path, monkeypatch):
    (tmp_path / "q").write_text(": s\na b c d\n")
    (tmp_path / "p").write_text("a b 1\n")
    words = ["evaluate", "words", vectors, "-s", tmp_path / "p", "-a", tmp_path / "q"]
    _, out, _ = logq(*words)
    assert out.splitlines()[0].endswith("\tspearman\tnan\tnan\t0\t1")
    assert out.splitlines()[-1].endswith("\ttotal\tnan\t0\t0\t1")
    assert shown(monkeypatch, *words).count("100.0%") == 3


@pytest.mark.parametrize("sections", [": s\na b c d\n", ": s\na b c d\n: gram1\nman woman king queen\n", QUESTIONS])
def test_a_pipe_and_a_terminal_have_the_same_rows(logq, vectors, tmp_path, monkeypatch, sections):
    (tmp_path / "q").write_text(sections)
    words = ["evaluate", "words", vectors, "-a", tmp_path / "q", "--method", "3cosadd"]
    piped = [line.split("\t") for line in logq(*words)[1].splitlines()]
    seen = [line.split() for line in shown(monkeypatch, *words, width=300).splitlines()[1:]]
    assert [row[3] for row in piped] == [row[0] for row in seen]
    assert [row[4] == "nan" for row in piped] == [row[3] == "nan" for row in seen]


def test_scores_of_few_known_words_are_said_to_mean_little(logq, vectors, pairs, questions, tmp_path):
    few = tmp_path / "few.txt"
    few.write_text(PAIRS + "unicorn dragon 3\n" * 200)
    none = tmp_path / "none.txt"
    none.write_text(": s\na b c d\n")
    _, _, err = logq("evaluate", "words", vectors, "-s", few, "-a", none, "-a", questions, "-s", pairs)
    first, second = err.splitlines()
    assert first.startswith(f"Note: {few}: 98.0% of the word pairs have a word without a vector and are left out; what")
    assert second.startswith(
        f"Note: {none}: all of the questions have a word without a vector and are left out: nothing"
    )


def test_json_has_every_number(logq, vectors, pairs, questions, tmp_path):
    path = tmp_path / "scores.json"
    code, out, _ = logq("evaluate", "words", vectors, "-s", pairs, "-a", questions, "--json", path)
    assert code == 0
    assert out
    scores = json.loads(path.read_text(encoding="utf-8"))
    known = KeyedVectors.load(vectors)
    similar, answers = word_similarity(known, pairs), word_analogies(known, questions, method="3cosmul")
    assert (scores["vectors"], scores["words"], scores["dimensions"]) == (str(vectors), 6, 4)
    assert scores["similarity"][0]["spearman"] == pytest.approx(similar.spearman._asdict())
    assert (scores["similarity"][0]["pairs"], scores["similarity"][0]["left_out"]) == (4, 1)
    assert [entry["method"] for entry in scores["analogies"]] == list(METHODS)
    assert scores["analogies"][1]["sections"] == [
        {"name": s.name, "correct": s.correct, "total": s.total, "left_out": s.left_out, "accuracy": s.accuracy}
        for s in answers.sections
    ]


def test_what_is_not_a_number_is_null_in_json(logq, vectors, tmp_path):
    (tmp_path / "p").write_text("a b 1\n")
    logq("evaluate", "words", vectors, "-s", tmp_path / "p", "--json", tmp_path / "s.json")
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["similarity"][0]["pearson"] == {"coefficient": None, "p": None}


def test_fewer_words_are_known_where_that_is_asked_for(logq, vectors, questions):
    _, out, _ = logq("evaluate", "words", vectors, "-a", questions, "--restrict-vocab", "3", "--method", "3cosadd")
    assert out.splitlines()[-1].split("\t")[-3:] == ["0", "0", "4"]


def test_without_scipy_it_says_what_is_missing(vectors, pairs, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        similarity.importlib.util, "find_spec", lambda name, *rest: None if name == "scipy" else find(name, *rest)
    )
    assert "pip install 'logq[evaluate]'" in shown(monkeypatch, "evaluate", "words", vectors, "-s", pairs)


def test_nothing_to_do_is_an_error(logq, vectors):
    code, out, err = logq("evaluate", "words", vectors)
    assert (code, out) == (2, "")
    assert "--similarity" in err
    assert "--analogies" in err


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--similarity", "man king 6\nman king\n", "questions.txt, line 2: expected two words and a score"),
        ("--analogies", ": s\nman king woman\n", "questions.txt, line 2: expected four words"),
        ("--analogies", None, "questions.txt: No such file or directory"),
    ],
)
def test_bad_files_are_named_before_vectors_are_read(logq, tmp_path, option, text, message):
    if text is not None:
        (tmp_path / "questions.txt").write_text(text)
    code, out, err = logq("evaluate", "words", tmp_path / "no-vectors", option, tmp_path / "questions.txt")
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert message in err


def test_missing_vectors(logq, tmp_path, questions):
    code, out, err = logq("evaluate", "words", tmp_path / "nowhere", "-a", questions)
    assert (code, out) == (2, "")
    assert "nowhere" in err


def test_a_file_that_cannot_be_written_is_said_first(logq, tmp_path):
    code, _, err = logq("evaluate", "words", "no-vectors", "-a", "no-file", "--json", tmp_path / "nowhere" / "s.json")
    assert code == 2
    assert "there is no folder" in err


@pytest.mark.filterwarnings("always")
def test_test_sets_in_another_encoding(logq, vectors, tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_bytes("man\twoman\t1\nking\tqueen\t2\nдюйм\tключ\t3\nman\tking\t3\n".encode("cp1251"))
    code, guessed, err = logq("evaluate", "words", vectors, "-s", path)
    assert code == 0
    assert "read as Latin-1, as it is not UTF-8; if that is wrong, convert it" in err
    assert "or give --test-encoding" in err
    code, out, err = logq("evaluate", "words", vectors, "-s", path, "--test-encoding", "cp1251", "-q")
    assert (code, out, err) == (0, guessed, "")
    code, _, err = logq("evaluate", "words", vectors, "-s", path, "--test-encoding", "utf-8")
    assert (code, err) == (2, f"Error: {path}, line 3: expected utf-8 text (invalid continuation byte)\n")
    code, _, err = logq("evaluate", "words", vectors, "-s", path, "--test-encoding", "cp")
    assert (code, err.partition(",")[0]) == (2, "Error: --test-encoding: expected an encoding that Python knows")
