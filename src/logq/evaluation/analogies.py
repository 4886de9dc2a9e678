"""Analogies, "man is to king as woman is to ...", such as Google's 19,544: answered and scored."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim
from logq._progress import Progress
from logq._text_encodings import text_lines
from logq.evaluation.word_questions import KnownWords
from logq.tables.notebook_html import result_html
from logq.tables.short_texts import result_text
from logq.vectors import KeyedVectors
from logq.vectors.nearest_words import EPSILON, norms

__all__ = [
    "METHODS",
    "AnalogyResult",
    "AnalogySection",
    "Method",
    "answer_analogies",
    "read_analogies",
    "word_analogies",
]

Method: TypeAlias = Literal["3cosadd", "3cosmul"]
METHODS: tuple[Method, ...] = ("3cosadd", "3cosmul")

Question: TypeAlias = tuple[str, str, str, str]
Ids: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float32]

_QUESTIONS = 20_000  # answered together, which bounds their distinct words
_CELLS = 1 << 22  # cosines in memory at a time: 16 MiB
_WIDTHS = (256, 4096)  # minimum and maximum number of words compared together: rows that fit into a cache
_TOGETHER = 64  # questions whose scores are in memory at a time
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
        same: (V,) a number for each row; rows with the number of a, b or c are excluded.
        method: the rule that picks the answer, the first row of equally good ones.
        advance: called with the number of questions answered, which may be a fraction.

    Returns:
        The answers; -1 where no row is left.

    Memory: about 60 MB in addition to the vectors for Google's 905 different words, whatever V and Q. In the worst case
    of 20,000 questions without a word in common, 60 MB and twice their vectors.

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
    order = np.lexsort(questions.T[::-1])  # by a, then b
    terms, indices = np.unique(questions[order], return_inverse=True)
    a, b, c = indices.reshape(-1, 3).T
    starts = _starts(a, b)
    excluded_questions, excluded_rows = _excluded(questions[order], same)
    steps = range(0, len(terms), _WIDTHS[1])  # to save memory
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
            out = slice(borders[group], borders[group + 1])
            block[whose[out] - low, which[out]] = -np.inf
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
    """Return where groups that are scored together begin, with equal a and b or with few each, and the end."""
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
    """Return all (question, row) in which the row is the same as a word of the question, sorted by row."""
    by_number = np.argsort(same, kind="stable")
    numbers = same[by_number]
    asked = same[questions].ravel()
    first, end = np.searchsorted(numbers, asked), np.searchsorted(numbers, asked, side="right")
    sizes = end - first
    # Counts up from `first` for each word: 0 1 2 .. over all, minus what was counted before, plus `first`.
    steps = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes - first, sizes)
    rows = by_number[steps]
    whose = np.repeat(np.repeat(np.arange(len(questions)), 3), sizes)
    order = np.argsort(rows, kind="stable")
    return whose[order], rows[order]


def _unit_rows(rows: Floats) -> Floats:
    lengths = norms(rows)[:, None]
    return np.divide(rows, lengths, out=np.zeros(rows.shape), where=lengths > 0).astype(np.float32)


@dataclass(frozen=True)
class AnalogySection:
    """The counts of the answers to one section of questions.

    Attributes:
        name: of the section, such as "capital-common-countries".
        correct: questions answered as expected.
        total: questions that count, whose four words are known.
        left_out: questions with a word that has no vector.

    Example:
        >>> section = AnalogySection("family", correct=3, total=4, left_out=4)
        >>> section.accuracy, section.unknown_share
        (0.75, 0.5)
    """

    name: str
    correct: int
    total: int
    left_out: int

    @property
    def accuracy(self) -> float:
        """Share of the questions that count that were answered as expected; NaN if none counts."""
        return self.correct / self.total if self.total else float("nan")

    @property
    def unknown_share(self) -> float:
        """Share of all questions that are left out; NaN if there are no questions."""
        asked = self.total + self.left_out
        return self.left_out / asked if asked else float("nan")


@dataclass(frozen=True)
class AnalogyResult:
    """The counts of the answers to a set of analogies, section by section.

    Attributes:
        method: the rule that picked the answers.
        sections: in the order of the file.

    Example:
        >>> sections = AnalogySection("family", 3, 4, 0), AnalogySection("gram3-comparative", 1, 4, 2)
        >>> result = AnalogyResult("3cosadd", sections)
        >>> result.accuracy, result.semantic.accuracy, result.syntactic.left_out
        (0.5, 0.75, 2)
    """

    method: Method
    sections: tuple[AnalogySection, ...]

    @property
    def total(self) -> AnalogySection:
        """All sections together."""
        return _together("total", self.sections)

    @property
    def semantic(self) -> AnalogySection:
        """The sections about what words mean: those whose names do not begin with "gram"."""
        return _together("semantic", [section for section in self.sections if not _is_syntactic(section)])

    @property
    def syntactic(self) -> AnalogySection:
        """The sections about forms of words: those whose names begin with "gram"."""
        return _together("syntactic", [section for section in self.sections if _is_syntactic(section)])

    @property
    def accuracy(self) -> float:
        """Share of all questions that count that were answered as expected; NaN if none counts."""
        return self.total.accuracy

    def to_columns(self) -> dict[str, list[Any]]:
        """Return the columns that `logq.to_frame` makes a table of, a row for each section."""
        names = ("name", "correct", "total", "accuracy", "left_out")
        columns = {name: [getattr(section, name) for section in self.sections] for name in names}
        return {"section": columns.pop("name"), **columns}

    def __repr__(self) -> str:
        total = self.total
        right = f"{total.correct:,} of {total.total:,} right"
        left = f"{total.left_out:,} left out" if total.left_out else ""
        return result_text(self, self.method, right, f"{len(self.sections)} sections", left)

    _repr_html_ = result_html


def word_analogies(
    vectors: KeyedVectors,
    questions: str | os.PathLike[str] | Mapping[str, Iterable[Question]],
    *,
    method: Method = "3cosadd",
    restrict_vocab: int | None = None,
    case_insensitive: bool = True,
    progress: bool | None = False,
) -> AnalogyResult:
    """Answer questions "a is to b as c is to d" by the vectors, and count how often the answer is d.

        3CosAdd:  argmax_x cos(x, b - a + c)                                       a, b, c of length 1
        3CosMul:  argmax_x s(x, b) s(x, c) / (s(x, a) + 0.001),   s = (1 + cos) / 2

    The words of a question are excluded from its answers. Questions with a word without a vector are left out and
    counted.

    Equivalent to: gensim's KeyedVectors.evaluate_word_analogies(restrict_vocab=None), which knows 3CosAdd only.

    Args:
        vectors: the word vectors.
        questions: a file that `read_analogies` reads, or for the name of each section its (a, b, c, d).
        method: "3cosadd" or "3cosmul".
        restrict_vocab: number of words, from the first, that are known and may be answers; None takes all. The default
            of gensim is 300,000.
        case_insensitive: compare upper case forms; of words that differ only in case, the first is used in questions,
            and any is right as an answer.
        progress: True draws a bar, False is silent, None draws one on a terminal.

    Returns:
        The counts of each section, with totals.

    Raises:
        OSError: the file cannot be read.
        ArgumentTypeError: a question does not have four words.
        ArgumentError: there are no questions, or `method` or `restrict_vocab` is out of range.
        ValueError: a line of the file is not a question; the message has its number.

    References:
        Mikolov et al., Efficient estimation of word representations in vector space, 2013, arXiv 1301.3781.
        Levy and Goldberg, Linguistic regularities in sparse and explicit word representations, CoNLL 2014, Eq. 3 and 4.

    Example:
        >>> kv = KeyedVectors(["man", "king", "woman", "queen"], [[0, 1], [1, 1], [0, -1], [1, -1]])
        >>> asked = {"family": [("Man", "King", "Woman", "Queen"), ("man", "king", "boy", "prince")]}
        >>> word_analogies(kv, asked).total
        AnalogySection(name='total', correct=1, total=1, left_out=1)
    """
    if method not in METHODS:
        raise ArgumentError("method", f"one of {', '.join(METHODS)}", method)
    known = KnownWords(vectors, restrict_vocab=restrict_vocab, case_insensitive=case_insensitive)
    asked = read_analogies(questions) if isinstance(questions, str | os.PathLike) else _checked(questions)
    sections = [(name, question) for name in asked for question in asked[name]]
    if not sections:
        raise ArgumentError("questions", "at least one", Verbatim("none"))
    rows = [[known.find(word) for word in question] for _, question in sections]
    complete = np.array([None not in row for row in rows])
    ids = np.array([row for row in rows if None not in row], dtype=np.int64).reshape(-1, 4)
    with Progress(len(ids), "questions", f"analogies, {method}", progress) as shown:
        table = vectors.vectors[: known.size].astype(np.float32, copy=False)
        found = answer_analogies(table, ids[:, :3], known.first, method, advance=shown.advance)
    right = np.zeros(len(rows), dtype=bool)
    right[complete] = (found >= 0) & (known.first[found] == ids[:, 3])
    result: list[AnalogySection] = []
    start = 0
    for name, listed in asked.items():
        part = slice(start, start + len(listed))
        start = part.stop
        total = int(complete[part].sum())
        result.append(AnalogySection(name, int(right[part].sum()), total, len(listed) - total))
    return AnalogyResult(method, tuple(result))


def read_analogies(path: str | os.PathLike[str], *, encoding: str | None = None) -> dict[str, list[Question]]:
    r"""Read analogies from a text file, compressed or not, in the form of Google's questions-words.txt.

    A line that begins with a colon names the section of the lines below it; each of these has four words separated by
    white space. Lines before the first section form one without a name. Lines that are empty or begin with # or // are
    skipped.

    Args:
        path: the file.
        encoding: of the file, such as "latin-1"; None recognizes it.

    Returns:
        The questions of each section, in the order of the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line does not have four words, or there is none; the message names the file and the line.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "questions.txt")
        ...     _ = path.write_text(": family\nboy girl king queen\n")
        ...     read_analogies(path)
        {'family': [('boy', 'girl', 'king', 'queen')]}
    """
    sections: dict[str, list[Question]] = {}
    name = ""
    for place, line in text_lines(path, encoding):
        if line.startswith(("#", "//")):
            continue
        if line.startswith(":"):
            name = line.lstrip(": ").strip()
            sections.setdefault(name, [])
            continue
        words = line.split()
        if len(words) != 4:
            raise ValueError(f"{place}: expected four words, or a colon and the name of a section, got {line[:80]!r}")
        sections.setdefault(name, []).append((words[0], words[1], words[2], words[3]))
    if not any(sections.values()):
        raise ValueError(f"{os.fspath(path)}: expected lines of four words, found none")
    return sections


def _checked(questions: Mapping[str, Iterable[Question]]) -> dict[str, list[Question]]:
    if not isinstance(questions, Mapping):
        raise ArgumentTypeError("questions", "a file or a dict of sections", Verbatim(type(questions).__name__))
    checked: dict[str, list[Question]] = {}
    for name, listed in questions.items():
        checked[name] = []
        for question in listed:
            if len(question) != 4 or not all(isinstance(word, str) for word in question):
                raise ArgumentTypeError("questions", "four words each", Verbatim(f"{question!r} in {name!r}"))
            a, b, c, d = question
            checked[name].append((a, b, c, d))
    return checked


def _is_syntactic(section: AnalogySection) -> bool:
    return section.name.startswith("gram")


def _together(name: str, sections: Sequence[AnalogySection]) -> AnalogySection:
    return AnalogySection(
        name,
        sum(section.correct for section in sections),
        sum(section.total for section in sections),
        sum(section.left_out for section in sections),
    )
