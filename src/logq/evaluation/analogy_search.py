"""The words that answer many analogies at once, found from the cosines of every word with the words of the questions.

Both rules need of a candidate x nothing but its cosines with a, b and c:

    3CosAdd:  cos(x, b) - cos(x, a) + cos(x, c)                 <- orders x as cos(x, b - a + c) does
    3CosMul:  s(x, b) s(x, c) / (s(x, a) + 0.001),   s = (1 + cos) / 2

So the products are those of the distinct words of the questions with the vocabulary, some hundred rows instead of as
many as there are questions; what is left is a sum or a product and a maximum a question and word. Questions that share
a and b share the first part of it.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq.vectors.exact import EPSILON, norms

__all__ = ["METHODS", "Method", "answer_analogies"]

Method: TypeAlias = Literal["3cosadd", "3cosmul"]
METHODS: tuple[Method, ...] = ("3cosadd", "3cosmul")

Ids: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float32]

_QUESTIONS = 20_000  # looked at together, so that their distinct words are bounded
_CELLS = 1 << 22  # cosines held at a time: 16 MiB
_WIDTHS = (256, 4096)  # words looked at together, at least and at most: rows that fit into a cache
_TOGETHER = 64  # questions whose scores are held at a time
_FEW = 8  # questions with the same a and b that are not worth a step of their own


def answer_analogies(
    vectors: Floats,  # (V, D)
    questions: Ids,  # (Q, 3) rows a, b, c
    same: Ids,  # (V,)
    method: Method,
    *,
    advance: Callable[[float], None] | None = None,
) -> Ids:
    """Return the row that answers each question "a is to b as c is to ...", (Q,) int64.

    Args:
        vectors: (V, D) the words that may be an answer.
        questions: (Q, 3) rows of the words a, b and c.
        same: (V,) a number for each row; rows with the number of a, b or c are no answers.
        method: which rule picks the answer; the first row of those that are equally good.
        advance: called with the number of questions answered, which may be a fraction.

    Returns:
        The answers; -1 where no row is left.

    Memory: some 60 MB beside the vectors for Google's 905 different words, whatever V and Q. In the worst case of
    20,000 questions without a word in common, 60 MB and twice their vectors.

    References:
        Mikolov, Yih and Zweig, Linguistic regularities in continuous space word representations, NAACL 2013.
        Levy and Goldberg, Linguistic regularities in sparse and explicit word representations, CoNLL 2014, Eq. 3 and 4.

    Example:
        >>> table = np.array([[0, 1], [1, 1], [0, -1], [1, -1]], dtype=np.float32)  # man, king, woman, queen
        >>> answer_analogies(table, np.array([[0, 1, 2]]), np.arange(4), "3cosmul").tolist()
        [3]
    """
    answers = np.full(len(questions), -1, dtype=np.int64)
    for start in range(0, len(questions), _QUESTIONS):
        part = slice(start, start + _QUESTIONS)
        answers[part] = _answer(vectors, questions[part], same, method, advance)
    return answers


def _answer(vectors: Floats, questions: Ids, same: Ids, method: Method, advance: Callable[[float], None] | None) -> Ids:
    order = np.lexsort(questions.T[::-1])  # by a, then b: equal ones become neighbours
    terms, places = np.unique(questions[order], return_inverse=True)
    a, b, c = places.reshape(-1, 3).T
    starts = _starts(a, b)
    excluded_questions, excluded_rows = _excluded(questions[order], same)
    steps = range(0, len(terms), _WIDTHS[1])  # for the memory's sake
    directions = np.concatenate([_unit_rows(vectors[terms[i : i + _WIDTHS[1]]]) for i in steps])

    best = np.full(len(questions), -np.inf, dtype=np.float32)
    answers = np.full(len(questions), -1, dtype=np.int64)
    width = int(np.clip(_CELLS // max(len(terms), 1), *_WIDTHS))
    scores = np.empty((_TOGETHER, width), dtype=np.float32)
    for left in range(0, len(vectors), width):
        rows = vectors[left : left + width]
        closeness = directions @ _unit_rows(rows).T  # (terms, rows) cosines
        np.clip(closeness, -1, 1, out=closeness)
        if method == "3cosmul":
            closeness += 1
            closeness /= 2
        inside = slice(*np.searchsorted(excluded_rows, [left, left + len(rows)]))
        by_question = np.argsort(excluded_questions[inside], kind="stable")
        whose = excluded_questions[inside][by_question]
        which = excluded_rows[inside][by_question] - left
        borders = np.searchsorted(whose, starts)
        for group in range(len(starts) - 1):
            low, high = starts[group], starts[group + 1]
            block = scores[: high - low, : len(rows)]
            np.take(closeness, c[low:high], axis=0, out=block, mode="clip")
            alike = a[low] == a[high - 1] and b[low] == b[high - 1]
            first, second = (each[low : low + 1] if alike else each[low:high] for each in (a, b))
            if method == "3cosadd":
                block += closeness[second] - closeness[first]
            else:
                block *= closeness[second] / (closeness[first] + np.float32(EPSILON))
            gone = slice(borders[group], borders[group + 1])
            block[whose[gone] - low, which[gone]] = -np.inf
            highest = block.argmax(axis=1)
            values = block[np.arange(high - low), highest]
            better = values > best[low:high]
            best[low:high][better] = values[better]
            answers[low:high][better] = left + highest[better]
        if advance is not None:
            advance(len(questions) * len(rows) / len(vectors))
    unsorted = np.empty_like(answers)
    unsorted[order] = answers
    return unsorted


def _starts(a: Ids, b: Ids) -> Ids:
    """Return where the questions begin that are scored together, and the end: those that share a and b, or few each."""
    changes = np.flatnonzero((np.diff(a, prepend=-1) != 0) | (np.diff(b, prepend=-1) != 0))
    starts: list[int] = []
    mixed = False
    for start, end in zip(changes.tolist(), [*changes[1:].tolist(), len(a)], strict=False):
        few = end - start < _FEW
        if not (few and mixed and end - starts[-1] <= _TOGETHER):
            starts.extend(range(start, end, _TOGETHER))
        mixed = few
    return np.array([*starts, len(a)], dtype=np.int64)


def _excluded(questions: Ids, same: Ids) -> tuple[Ids, Ids]:
    """Return all (question, row) where the row is the same as a word of the question, sorted by row."""
    by_number = np.argsort(same, kind="stable")
    numbers = same[by_number]
    asked = same[questions].ravel()
    first, end = np.searchsorted(numbers, asked), np.searchsorted(numbers, asked, side="right")
    sizes = end - first
    # Counts up from `first` for each word asked for: 0 1 2 .. over all, less what was counted before, plus `first`.
    steps = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes - first, sizes)
    rows = by_number[steps]
    whose = np.repeat(np.repeat(np.arange(len(questions)), 3), sizes)
    order = np.argsort(rows, kind="stable")
    return whose[order], rows[order]


def _unit_rows(rows: Floats) -> Floats:
    lengths = norms(rows)[:, None]
    return np.divide(rows, lengths, out=np.zeros(rows.shape), where=lengths > 0).astype(np.float32)
