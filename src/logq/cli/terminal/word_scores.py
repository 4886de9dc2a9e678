"""How the scores of an evaluation are printed: tables for people, lines for programs, numbers for JSON."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.table import Table

from logq.cli.terminal.console import Text

if TYPE_CHECKING:
    from logq.evaluation import AnalogyResult, AnalogySection, SimilarityResult

__all__ = ["analogy_lines", "analogy_table", "scores_for_json", "similarity_lines", "similarity_table"]

Similarities: TypeAlias = "Sequence[tuple[str, SimilarityResult]]"
Answers: TypeAlias = "Sequence[tuple[str, Sequence[AnalogyResult]]]"

_TITLES = {"3cosadd": "3CosAdd", "3cosmul": "3CosMul"}


def similarity_table(scores: Similarities) -> Table:
    """Return a table with one row per file of word pairs.

    Args:
        scores: (file, result).
    """
    table = _table("word pairs", "pairs", "unknown", "Spearman", "p", "Pearson", "p")
    for path, result in scores:
        table.add_row(
            Text(path),
            f"{result.pairs:,}",
            Text(_percent(result.unknown_share), style="dim"),
            Text(_coefficient(result.spearman.coefficient), style="bold"),
            Text(_p(result.spearman.p), style="dim"),
            _coefficient(result.pearson.coefficient),
            Text(_p(result.pearson.p), style="dim"),
        )
    return table


def analogy_table(path: str, results: "Sequence[AnalogyResult]") -> Table:
    """Return a table with one row per section of analogies, and one column per method.

    Args:
        path: the file of questions.
        results: of each method, with the same sections.
    """
    table = _table(path, "questions", "unknown", *(_TITLES[result.method] for result in results))
    columns = [list(result.sections) for result in results]
    totals = [[result.total] for result in results]
    first = results[0]
    if first.semantic.total and first.syntactic.total:
        totals = [[result.semantic, result.syntactic, result.total] for result in results]
    for rows, style in ((zip(*columns, strict=True), ""), (zip(*totals, strict=True), "bold")):
        for row in rows:
            table.add_row(
                Text(row[0].name or "(no section)", style=style),
                f"{row[0].total:,}",
                Text(_percent(row[0].unknown_share), style="dim"),
                *(Text(_percent(section.accuracy), style=style) for section in row),
            )
        table.add_section()
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
            for part in (*result.sections, result.semantic, result.syntactic, result.total):
                counts = [str(part.correct), str(part.total), str(part.left_out)]
                yield ["analogies", path, result.method, part.name, f"{part.accuracy:.6f}", *counts]


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


def _table(name: str, *numbers: str) -> Table:
    table = Table(box=None, header_style="bold cyan", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(Text(name, overflow="fold"), overflow="fold")
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table


def _or_null(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f}%"


def _coefficient(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _p(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
