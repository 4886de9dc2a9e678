"""Do vectors find the words alike that people find alike? Word pairs with human judgments: WordSim-353, SimLex-999."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from logq.evaluation.correlation import Correlation, pearson, spearman
from logq.evaluation.known_words import KnownWords
from logq.evaluation.question_file import numbered_lines
from logq.vectors import KeyedVectors

__all__ = ["Pair", "SimilarityResult", "read_pairs", "word_similarity"]

Pair: TypeAlias = tuple[str, str, float]


@dataclass(frozen=True)
class SimilarityResult:
    """How the cosines of word pairs go together with what people said.

    Attributes:
        pearson: the linear correlation and its p value.
        spearman: the correlation of ranks and its p value, the number that papers report.
        pairs: how many pairs the correlations are of.
        left_out: how many pairs have a word without a vector.

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


def word_similarity(
    vectors: KeyedVectors,
    pairs: str | os.PathLike[str] | Iterable[Pair],
    *,
    restrict_vocab: int | None = None,
    case_insensitive: bool = True,
) -> SimilarityResult:
    """Compare the cosines of word pairs with human judgments.

    Pairs with a word that has no vector are left out and counted.

    Equivalent to: gensim's KeyedVectors.evaluate_word_pairs(restrict_vocab=None).

    Args:
        vectors: the words to judge.
        pairs: a file that `read_pairs` reads, or (word, word, score) triples.
        restrict_vocab: only the first so many words are known; None knows all. gensim's default is 300,000.
        case_insensitive: compare upper case forms; of words that differ in case only, the first is meant.

    Returns:
        Both correlations, with the number of pairs behind them. They are NaN for fewer than two pairs.

    Raises:
        OSError: the file cannot be read.
        TypeError: a pair is no triple of two words and a number.
        ValueError: there are no pairs, a line of the file is none (the message has its number), or an argument is out
            of range.

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
        raise ValueError("pairs: expected at least one")
    scores: list[float] = []
    cosines: list[float] = []
    for one, other, score in judged:
        first, second = known.find(one), known.find(other)
        if first is not None and second is not None:
            scores.append(score)
            cosines.append(vectors.similarity(vectors.index_to_key[first], vectors.index_to_key[second]))
    return SimilarityResult(
        pearson(scores, cosines), spearman(scores, cosines), pairs=len(scores), left_out=len(judged) - len(scores)
    )


def read_pairs(path: str | os.PathLike[str]) -> list[Pair]:
    r"""Read word pairs with their scores from a text file, plain or .gz.

    A line holds two words and a score, between tabs, commas or white space. The score is the first number behind the
    words, so that further columns may follow, and one with the part of speech may come before, as in SimLex-999. A
    first line without a number is a header. Lines that are empty or begin with # are skipped.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is no such pair, or there is none; the message names the file and the line.

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
    for place, line in numbered_lines(path):
        if line.startswith("#"):
            continue
        cells = _cells(line)
        if column is None:
            column = next((i for i in range(2, len(cells)) if _number(cells[i]) is not None), None)
            if column is None and len(cells) >= 3 and not header:
                header = True
                continue
        score = _number(cells[column]) if column is not None and column < len(cells) else None
        if score is None or not (cells[0] and cells[1]):
            where = "" if column in (None, 2) else f" in column {column + 1}"
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
    return number if math.isfinite(number) else None


def _checked(pair: Pair) -> Pair:
    try:
        one, other, score = pair
        if isinstance(one, str) and isinstance(other, str) and not isinstance(score, str) and math.isfinite(score):
            return one, other, float(score)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"pairs: expected triples of two words and a finite number, got {pair!r}")
