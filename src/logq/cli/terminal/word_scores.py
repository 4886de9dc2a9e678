"""How the scores of an evaluation are printed: tables for people, lines for programs, numbers for JSON."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from logq.cli.terminal.console import Text
from logq.cli.terminal.result_tables import ResultTable

if TYPE_CHECKING:
    from logq.evaluation import AnalogyResult, AnalogySection, SimilarityResult

__all__ = [
    "analogy_lines",
    "analogy_table",
    "remarks_on_unknown",
    "scores_for_json",
    "similarity_lines",
    "similarity_table",
]

Similarities: TypeAlias = "Sequence[tuple[str, SimilarityResult]]"
Answers: TypeAlias = "Sequence[tuple[str, Sequence[AnalogyResult]]]"

_MANY_UNKNOWN = 0.5  # of the questions: the others are a chance selection of easy words
_TITLES = {"3cosadd": "3CosAdd", "3cosmul": "3CosMul"}


def similarity_table(scores: Similarities) -> ResultTable:
    """Return a table with one row per file of word pairs.

    Args:
        scores: (file, result).
    """
    table = ResultTable("word pairs", "pairs", "unknown", "Spearman", "p", "Pearson", "p")
    for path, result in scores:
        table.add(
            path,
            f"{result.pairs:,}",
            Text(_percent(result.unknown_share), style="dim"),
            Text(_coefficient(result.spearman.coefficient), style="bold"),
            Text(_p(result.spearman.p), style="dim"),
            _coefficient(result.pearson.coefficient),
            Text(_p(result.pearson.p), style="dim"),
        )
    return table


def analogy_table(path: str, results: "Sequence[AnalogyResult]") -> ResultTable:
    """Return a table with one row per section of analogies, and one column per method.

    Args:
        path: the file of questions.
        results: of each method, with the same sections.
    """
    table = ResultTable(path, "questions", "unknown", *(_TITLES[result.method] for result in results))
    columns = [list(result.sections) for result in results]
    totals = [_totals(result) for result in results]
    for rows, style in ((zip(*columns, strict=True), ""), (zip(*totals, strict=True), "bold")):
        for row in rows:
            table.add(
                Text(row[0].name or "(no section)", style=style),
                f"{row[0].total:,}",
                Text(_percent(row[0].unknown_share), style="dim"),
                *(Text(_percent(section.accuracy), style=style) for section in row),
            )
    return table


def similarity_lines(scores: Similarities) -> Iterator[list[str]]:
    """Go through the cells of lines: similarity, file, measure, coefficient, p, pairs, pairs left out.

    Args:
        scores: (file, result).
    """
    for path, result in scores:
        for measure, found in (("spearman", result.spearman), ("pearson", result.pearson)):
            counts = [str(result.pairs), str(result.left_out)]
            yield ["similarity", path, measure, f"{found.coefficient:.6f}", f"{found.p:.4g}", *counts]


def analogy_lines(answers: Answers) -> Iterator[list[str]]:
    """Go through the cells of lines: analogies, file, method, section, accuracy, correct, counted and left out.

    Args:
        answers: (file, results of each method).
    """
    for path, results in answers:
        for result in results:
            for part in (*result.sections, *_totals(result)):
                counts = [str(part.correct), str(part.total), str(part.left_out)]
                yield ["analogies", path, result.method, part.name, f"{part.accuracy:.6f}", *counts]


def remarks_on_unknown(similarities: Similarities, answers: Answers) -> Iterator[str]:
    """Go through sentences about files of which most was left out, so that their scores say little.

    Args:
        similarities: (file, result).
        answers: (file, results of each method).

    Example:
        >>> list(remarks_on_unknown([], []))
        []
    """
    shares = [(path, "word pairs", result.unknown_share) for path, result in similarities]
    shares += [(path, "questions", results[0].total.unknown_share) for path, results in answers if results]
    for path, what, share in shares:
        if share > _MANY_UNKNOWN:
            some, left = (
                ("all", ": nothing was measured")
                if share == 1
                else (
                    f"{min(99.9, 100 * share):.1f}%",
                    "; what is left says little about the vectors",
                )
            )
            yield (
                f"{path}: {some} of the {what} have a word without a vector and are left out{left}. Were the vectors "
                "trained on too little text, or on another language?"
            )


def scores_for_json(similarities: Similarities, answers: Answers) -> dict[str, Any]:
    """Return all numbers as JSON can hold them: what is not a number becomes null.

    Args:
        similarities: (file, result).
        answers: (file, results of each method).

    Example:
        >>> scores_for_json([], [])
        {'similarity': [], 'analogies': []}
    """
    return {
        "similarity": [
            {
                "file": path,
                "pairs": result.pairs,
                "left_out": result.left_out,
                "unknown_share": result.unknown_share,
                "spearman": {name: _or_null(value) for name, value in result.spearman._asdict().items()},
                "pearson": {name: _or_null(value) for name, value in result.pearson._asdict().items()},
            }
            for path, result in similarities
        ],
        "analogies": [
            {
                "file": path,
                "method": result.method,
                "sections": [_section(section) for section in result.sections],
                "semantic": _section(result.semantic),
                "syntactic": _section(result.syntactic),
                "total": _section(result.total),
            }
            for path, results in answers
            for result in results
        ],
    }


def _section(section: "AnalogySection") -> dict[str, Any]:
    return {
        "name": section.name,
        "correct": section.correct,
        "total": section.total,
        "left_out": section.left_out,
        "accuracy": _or_null(section.accuracy),
    }


def _totals(result: "AnalogyResult") -> "list[AnalogySection]":
    """The sums that say something: those of semantic and of syntactic sections only where the file has both."""
    halves = [result.semantic, result.syntactic]
    return [*(halves if all(half.total + half.left_out for half in halves) else []), result.total]


def _or_null(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _percent(share: float) -> str:
    return "nan" if math.isnan(share) else f"{100 * share:.1f}%"


def _coefficient(value: float) -> str:
    return f"{value:.3f}"


def _p(value: float) -> str:
    return f"{value:.3f}" if not value < 0.001 else f"{value:.0e}"
