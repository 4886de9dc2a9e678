"""Many analogies at once, against a loop over questions and words in float64."""

import numpy as np
import pytest

from logq.evaluation import analogies
from logq.evaluation.analogies import METHODS, answer_analogies

V, D = 150, 7


def by_loop(vectors, questions, same, method):
    table = vectors.astype(np.float64)
    lengths = np.sqrt((table**2).sum(axis=1, keepdims=True))
    table = np.divide(table, lengths, out=np.zeros_like(table), where=lengths > 0)
    answers = []
    for a, b, c in questions:
        best, answer = -np.inf, -1
        for x in range(len(table)):
            if same[x] in (same[a], same[b], same[c]):
                continue
            near = {word: table[x] @ table[word] for word in (a, b, c)}
            if method == "3cosadd":
                score = near[b] - near[a] + near[c]
            else:
                score = (1 + near[b]) / 2 * (1 + near[c]) / 2 / ((1 + near[a]) / 2 + 0.001)
            if score > best:
                best, answer = score, x
        answers.append(answer)
    return answers


def problem(seed, num_questions):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((V, D)).astype(np.float32)
    vectors[3] = 0
    vectors[4] *= np.float32(1e25)
    vectors[5] *= np.float32(1e-30)
    same = np.arange(V)
    same[20:30] = np.arange(10)  # second spellings
    same[30:33] = 0
    # Few words, so that questions share a and b, and repeat; some name a word twice.
    return vectors, rng.integers(0, 12, (num_questions, 3)), same


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_as_a_loop_has_it(method, seed):
    vectors, questions, same = problem(seed, 200)
    found = answer_analogies(vectors, questions, same, method)
    assert found.tolist() == by_loop(vectors, questions, same, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("questions", "cells", "widths", "together", "few"),
    [(7, 64, (1, 13), 2, 1), (50, 1, (5, 5), 1, 8), (120, 1000, (20, 20), 9, 3)],
)
def test_pieces_change_nothing(method, monkeypatch, questions, cells, widths, together, few):
    vectors, asked, same = problem(5, 120)
    whole = answer_analogies(vectors, asked, same, method)
    monkeypatch.setattr(analogies, "_QUESTIONS", questions)
    monkeypatch.setattr(analogies, "_CELLS", cells)
    monkeypatch.setattr(analogies, "_WIDTHS", widths)
    monkeypatch.setattr(analogies, "_TOGETHER", together)
    monkeypatch.setattr(analogies, "_FEW", few)
    done: list[float] = []
    np.testing.assert_array_equal(answer_analogies(vectors, asked, same, method, advance=done.append), whole)
    assert sum(done) == pytest.approx(120)
    assert len(done) >= 8


@pytest.mark.parametrize("method", METHODS)
def test_the_first_of_equal_answers_wins_in_any_piece(method, monkeypatch):
    monkeypatch.setattr(analogies, "_WIDTHS", (2, 2))
    vectors = np.array([[0, 1], [1, 1], [0, -1], [1, -1], [1, -1], [2, -2]], dtype=np.float32)
    assert answer_analogies(vectors, np.array([[0, 1, 2]]), np.arange(6), method).tolist() == [3]


def test_nothing_left_is_not_an_answer():
    vectors = np.eye(3, dtype=np.float32)
    assert answer_analogies(vectors, np.array([[0, 1, 2], [0, 0, 1]]), np.arange(3), "3cosadd").tolist() == [-1, 2]
    assert answer_analogies(vectors, np.zeros((0, 3), dtype=np.int64), np.arange(3), "3cosmul").tolist() == []
