"""Analogies: files of questions, and counts of right answers as gensim has them."""

import math
from pathlib import Path

import numpy as np
import pytest

from logq.evaluation import AnalogySection, read_analogies, word_analogies
from logq.vectors import KeyedVectors

GOOGLE = Path(__file__).parents[3] / "shared" / "data" / "similarity" / "questions-words.txt"
KV = KeyedVectors(["man", "king", "woman", "queen", "Man"], [[0, 1], [1, 1], [0, -1], [1, -1], [0.1, 1]])
FAMILY = ("man", "king", "woman", "queen")


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parents[1] / "golden" / "gensim_evaluation.npz") as arrays:
        return dict(arrays)


def write(tmp_path, text):
    path = tmp_path / "questions.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("restrict", [None, 40])
@pytest.mark.parametrize("case_insensitive", [True, False])
def test_as_gensim_has_it(golden, tmp_path, restrict, case_insensitive):
    kv = KeyedVectors(golden["words"].tolist(), golden["vectors"])
    path = write(tmp_path, "\n".join(golden["questions"]))
    found = word_analogies(kv, path, restrict_vocab=restrict, case_insensitive=case_insensitive)
    counts = [(part.correct, part.total) for part in (*found.sections, found.total)]
    assert counts == [tuple(row) for row in golden[f"analogies_{restrict or 0}_{int(case_insensitive)}"]]
    assert [part.total + part.left_out for part in found.sections] == [60, 60]
    assert (found.semantic.correct, found.syntactic.correct) == (counts[0][0], counts[1][0])


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_each_section_has_its_counts(method):
    asked = {
        "family": [FAMILY, ("MAN", "KING", "WOMAN", "Queen"), ("man", "king", "woman", "boy")],
        "gram1": [("man", "king", "woman", "man"), FAMILY],
        "unknown": [("a", "b", "c", "d")],
        "empty": [],
    }
    found = word_analogies(KV, asked, method=method)
    assert found.method == method
    assert found.sections == (
        AnalogySection("family", 2, 2, 1),
        AnalogySection("gram1", 1, 2, 0),
        AnalogySection("unknown", 0, 0, 1),
        AnalogySection("empty", 0, 0, 0),
    )
    assert found.total == AnalogySection("total", 3, 4, 2)
    assert found.semantic == AnalogySection("semantic", 2, 2, 2)
    assert found.syntactic == AnalogySection("syntactic", 1, 2, 0)
    assert found.accuracy == 0.75
    assert found.total.unknown_share == pytest.approx(2 / 6)
    assert math.isnan(found.sections[2].accuracy)
    assert math.isnan(found.sections[3].unknown_share)


def test_other_spellings_of_a_question_s_words_are_not_answers():
    kv = KeyedVectors(
        ["a", "b", "c", "C", "d", "D"], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0.2, 1], [0, 1, 1]]
    )
    asked = {"": [("a", "b", "c", "d")]}
    assert word_analogies(kv, asked).total.correct == 1, "D is d, too, and nearer"
    assert word_analogies(kv, asked, case_insensitive=False).total.correct == 0, "D is another word, and C an answer"


def test_an_answer_beyond_the_restriction_is_unknown():
    assert word_analogies(KV, {"": [FAMILY]}, restrict_vocab=3).total == AnalogySection("total", 0, 0, 1)


def test_files_are_read_by_sections(tmp_path):
    text = "// by Google\n# more\nx y z w\n: capital-world \nAthens Greece  Oslo\tNorway\n\n:gram1\n"
    text += ": capital-world\na b c d\n"
    assert read_analogies(write(tmp_path, text)) == {
        "": [("x", "y", "z", "w")],
        "capital-world": [("Athens", "Greece", "Oslo", "Norway"), ("a", "b", "c", "d")],
        "gram1": [],
    }


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (": s\na b c d\na b c\n", r"questions.txt, line 3: expected four words.*'a b c'"),
        (": s\na b c d e\n", "line 2.*'a b c d e'"),
        ("", "questions.txt: expected lines of four words"),
        (": s\n: t\n", "questions.txt: expected lines of four words"),
    ],
)
def test_what_is_not_a_question_is_named_by_its_line(tmp_path, text, match):
    with pytest.raises(ValueError, match=match):
        read_analogies(write(tmp_path, text))


@pytest.mark.parametrize(
    ("questions", "arguments", "error", "match"),
    [
        (
            {"": [FAMILY]},
            {"method": "pairdirection"},
            ValueError,
            "method: expected one of 3cosadd, 3cosmul, got 'pair",
        ),
        ({}, {}, ValueError, "questions"),
        ({"": []}, {}, ValueError, "questions"),
        ({"s": [("a", "b", "c")]}, {}, TypeError, "questions: expected four words.*'s'"),
        ({"s": ["abcd", ("a", "b", "c", 1)]}, {}, TypeError, "questions"),
        ([FAMILY], {}, TypeError, "questions"),
    ],
)
def test_arguments_are_checked(questions, arguments, error, match):
    with pytest.raises(error, match=match):
        word_analogies(KV, questions, **arguments)


@pytest.mark.slow
@pytest.mark.skipif(not GOOGLE.exists(), reason="needs Google's questions")
def test_real_questions_are_read():
    sections = read_analogies(GOOGLE)
    assert len(sections) == 14
    assert sum(map(len, sections.values())) == 19544
