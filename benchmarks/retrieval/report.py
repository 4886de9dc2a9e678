"""Cells into a table: means over seeds with their spread, beside what others have published."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rows import Row

COLUMNS = (
    ("HR@10", "seen excluded", "hr@10"),
    ("NDCG@10", "seen excluded", "ndcg@10"),
    ("HR@10 kept", "seen kept", "hr@10"),
    ("NDCG@10 kept", "seen kept", "ndcg@10"),
    ("HR@50 kept", "seen kept", "hr@50"),
)


def spread(values: Sequence[float]) -> str:
    """Mean and, of several seeds, half of their range."""
    mean = statistics.mean(values)
    return f"{mean:.4f}" + (f" +-{(max(values) - min(values)) / 2:.4f}" if len(values) > 1 else "")


def table(found: Sequence[tuple[Row, Mapping[int, dict[str, Any]]]]) -> str:
    """Markdown, a line a model."""
    names = [name for name, _, _ in COLUMNS]
    lines = [
        "| model | " + " | ".join(names) + " | train, s | evaluate, s | peak MB | published |",
        "|---" * (len(names) + 5) + "|",
    ]
    for row, cells in found:
        if not cells:
            continue
        scores = [spread([cell["scores"][kind][key] for cell in cells.values()]) for _, kind, key in COLUMNS]
        seconds = statistics.mean(cell["train_seconds"] for cell in cells.values())
        ranking = statistics.mean(cell["evaluate_seconds"] for cell in cells.values())
        memory = max(cell["peak_bytes"] for cell in cells.values()) / 1e6
        lines.append(
            f"| {row.name} | " + " | ".join(scores) + f" | {seconds:.0f} | {ranking:.2f} | {memory:.0f} | {row.published} |"
        )
    first = next((cells for _, cells in found if cells), {})
    if first:
        cell = next(iter(first.values()))
        width = cell["half_widths"]["seen excluded"]
        lines += [
            "",
            f"{cell['users']:,} users; those alone leave +-{width['hr@10']:.4f} of HR@10 and +-{width['ndcg@10']:.4f} of NDCG@10 "
            "open for the first model (95 %, bootstrap over users).",
        ]
    return "\n".join(lines) + "\n"
