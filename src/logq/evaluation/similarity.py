"""Word similarity against human judgments, such as WordSim-353 and SimLex-999, by Pearson's r and Spearman's rho."""

import importlib.util
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from logq._arguments import ArgumentError, ArgumentTypeError, Verbatim, check_float
from logq._text_encodings import text_lines
from logq.evaluation.word_questions import KnownWords
from logq.tables.notebook_html import result_html
from logq.vectors import KeyedVectors

__all__ = ["Correlation", "SimilarityResult", "can_tell_p", "pearson", "read_pairs", "spearman", "word_similarity"]


Pair: TypeAlias = tuple[str, str, float]


class Correlation(NamedTuple):
    """A correlation coefficient and its p value.

    Attributes:
        coefficient: from -1 to 1; NaN for fewer than two pairs, or where one list is constant.
        p: the probability that independent numbers give a coefficient at least as far from 0 (two-sided, Student's t
            with n - 2 degrees of freedom); NaN for fewer than three pairs, and without scipy (extra `evaluate`).

    Example:
        >>> coefficient, p = Correlation(0.65, 3e-30)
    """

    coefficient: float
    p: float


def can_tell_p() -> bool:
    """Return whether scipy is installed, which p values need.

    Example:
        >>> can_tell_p() in (True, False)
        True
    """
    return importlib.util.find_spec("scipy") is not None


def pearson(
    x: ArrayLike,  # (n,)
    y: ArrayLike,  # (n,)
) -> Correlation:
    """Return the linear correlation of n pairs of numbers.

        r = <x - mean(x), y - mean(y)> / (|x - mean(x)| |y - mean(y)|)
        p = I(1 - r^2; (n - 2) / 2, 1/2)        <- the regularized incomplete beta function: both tails of Student's t

    Equivalent to: scipy.stats.pearsonr.

    Raises:
        ArgumentError: the lists have different lengths.

    Example:
        >>> round(pearson([1, 2, 3, 4], [1, 2, 3, 5]).coefficient, 3)
        0.983
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ArgumentError("y", f"the shape (n,) of x, which has shape {first.shape}", second.shape)
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Correlation(float("nan"), float("nan"))
    a, b = (_direction(values) for values in (first, second))
    r = float(np.clip(a @ b, -1, 1))
    return Correlation(r, _two_sided_p(r, len(first)))


def spearman(
    x: ArrayLike,  # (n,)
    y: ArrayLike,  # (n,)
) -> Correlation:
    """Return the correlation of the ranks of n pairs of numbers; equal numbers share the mean of their ranks.

    Equivalent to: scipy.stats.spearmanr.

    Raises:
        ArgumentError: the lists have different lengths.

    Example:
        >>> spearman([1, 2, 3, 4], [1, 10, 100, 1000]).coefficient
        1.0
    """
    return pearson(_ranks(np.asarray(x, dtype=np.float64)), _ranks(np.asarray(y, dtype=np.float64)))


def _direction(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centered = values - values.mean()
    centered /= np.abs(centered).max()  # so that squares neither overflow nor vanish
    return centered / np.linalg.norm(centered)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _two_sided_p(r: float, n: int) -> float:
    if n < 3 or not can_tell_p():
        return float("nan")
    from scipy.special import betainc  # optional extra `evaluate`

    p: Any = betainc((n - 2) / 2, 0.5, (1 - r) * (1 + r))
    return float(p)


@dataclass(frozen=True)
class SimilarityResult:
    """The correlation of the cosines of word pairs with human judgments.

    Attributes:
        pearson: the linear correlation and its p value.
        spearman: the correlation of ranks and its p value, the number that papers report.
        pairs: number of pairs that count.
        left_out: number of pairs with a word that has no vector.

    Example:
        >>> SimilarityResult(Correlation(0.5, 0.1), Correlation(0.6, 0.1), pairs=9, left_out=1).unknown_share
        0.1
    """

    pearson: Correlation
    spearman: Correlation
    pairs: int
    left_out: int

    @property
    def unknown_share(self) -> float:
        """Share of all pairs that are left out, from 0 to 1."""
        return self.left_out / (self.pairs + self.left_out)

    def to_columns(self) -> dict[str, list[Any]]:
        """Return the columns that `logq.to_frame` makes a table of, a row for each correlation."""
        both = (self.pearson, self.spearman)
        return {
            "correlation": ["pearson", "spearman"],
            "coefficient": [one.coefficient for one in both],
            "p": [one.p for one in both],
            "pairs": [self.pairs] * 2,
            "left_out": [self.left_out] * 2,
        }

    _repr_html_ = result_html


def word_similarity(
    vectors: KeyedVectors,
    pairs: str | os.PathLike[str] | Iterable[Pair],
    *,
    restrict_vocab: int | None = None,
    case_insensitive: bool = True,
    unknown_as: float | None = None,
) -> SimilarityResult:
    """Compare the cosines of word pairs with human judgments.

    Pairs with a word that has no vector are left out and counted; a word that has one by its n-grams takes part.

    Equivalent to: gensim's KeyedVectors.evaluate_word_pairs(restrict_vocab=None), with `dummy4unknown` where
    `unknown_as` is 0.

    Args:
        vectors: the word vectors.
        pairs: a file that `read_pairs` reads, or (word, word, score) triples.
        restrict_vocab: number of words, from the first, that are known; None takes all. The default of gensim is
            300,000.
        case_insensitive: compare upper case forms; of words that differ only in case, the first is used.
        unknown_as: the cosine of pairs with a word that has no vector, so that all pairs count; None leaves them out.

    Returns:
        Both correlations, with the number of pairs behind them. They are NaN for fewer than two pairs.

    Raises:
        OSError: the file cannot be read.
        ArgumentTypeError: a pair is not a triple of two words and a number.
        ArgumentError: there are no pairs, or an argument is out of range.
        ValueError: a line of the file is not a pair; the message has its number.

    References:
        Finkelstein et al., Placing search in context: the concept revisited, WWW 2001 (WordSim-353).
        Hill, Reichart and Korhonen, SimLex-999, Computational Linguistics 2015, arXiv 1408.3456.

    Example:
        >>> kv = KeyedVectors(["cat", "dog", "car"], [[1.0, 0.2], [0.9, 0.4], [-0.2, 1.0]])
        >>> judged = [("Cat", "dog", 8.0), ("cat", "car", 1.0), ("dog", "car", 2.0), ("ox", "car", 1.0)]
        >>> result = word_similarity(kv, judged)
        >>> round(result.pearson.coefficient, 3), round(result.spearman.coefficient, 3), result.pairs, result.left_out
        (0.997, 1.0, 3, 1)
    """
    known = KnownWords(vectors, restrict_vocab=restrict_vocab, case_insensitive=case_insensitive)
    judged = read_pairs(pairs) if isinstance(pairs, str | os.PathLike) else [_checked(pair) for pair in pairs]
    if not judged:
        raise ArgumentError("pairs", "at least one", Verbatim("none"))
    assumed = None if unknown_as is None else check_float("unknown_as", unknown_as)
    scores: list[float] = []
    cosines: list[float] = []
    left_out = 0
    for one, other, score in judged:
        first, second = known.word(one), known.word(other)
        if first is not None and second is not None:
            scores.append(score)
            cosines.append(vectors.similarity(first, second))
        elif assumed is not None:
            scores.append(score)
            cosines.append(assumed)
        else:
            left_out += 1
    return SimilarityResult(pearson(scores, cosines), spearman(scores, cosines), pairs=len(scores), left_out=left_out)


def read_pairs(path: str | os.PathLike[str], *, encoding: str | None = None) -> list[Pair]:
    r"""Read word pairs with their scores from a text file, compressed or not.

    A line has two words and a score, separated by tabs, commas or white space. The score is the first number after the
    words, so that further columns may follow, and one with the part of speech may come before, as in SimLex-999. A
    first line without a number is a header. Lines that are empty or begin with # are skipped.

    Args:
        path: the file.
        encoding: of the file, such as "latin-1"; None recognizes it.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is not such a pair, or there is none; the message names the file and the line.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "pairs.txt")
        ...     _ = path.write_text("word1 word2 POS score sd\nold new A 1.58 0.41\n")
        ...     read_pairs(path)
        [('old', 'new', 1.58)]
    """
    pairs: list[Pair] = []
    column: int | None = None  # of the score, as in the first line that has one
    header = False
    for place, line in text_lines(path, encoding):
        if line.startswith("#"):
            continue
        cells = _cells(line)
        if column is None:
            column = next((i for i in range(2, len(cells)) if _number(cells[i]) is not None), None)
            if column is None and len(cells) >= 3 and not header and not any(map(_is_like_a_number, cells[2:])):
                header = True
                continue
        score = _number(cells[column]) if column is not None and column < len(cells) else None
        if score is None or not (cells[0] and cells[1]):
            where = "" if column in (None, 2) else f" in column {column + 1}"
            if len(cells) == 1 and line.count(";") >= 2:
                where += ", separated by tabs, commas or white space"
            elif any(_is_like_a_number(cell) and "," in cell for cell in cells[2:]):
                where += " with a decimal point"
            raise ValueError(f"{place}: expected two words and a score{where}, got {line[:80]!r}")
        pairs.append((cells[0], cells[1], score))
    if not pairs:
        raise ValueError(f"{os.fspath(path)}: expected word pairs with scores, found none")
    return pairs


def _cells(line: str) -> list[str]:
    for separator in ("\t", ","):
        cells = [cell.strip() for cell in line.split(separator)]
        if len(cells) >= 3:
            return cells
    return line.split()


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in cell else None  # Python reads 1_000 as a number


def _is_like_a_number(cell: str) -> bool:
    """Whether a cell that is no score is meant as one: NaN, infinity, or a number with a decimal comma."""
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _checked(pair: Pair) -> Pair:
    try:
        one, other, score = pair
        if isinstance(one, str) and isinstance(other, str) and not isinstance(score, str) and math.isfinite(score):
            return one, other, float(score)
    except (TypeError, ValueError):
        pass
    raise ArgumentTypeError("pairs", "triples of two words and a finite number", pair)
