"""What was found, as a table: means over seeds and half their range, beside what others have published."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rows import Row

COLUMNS = (
    ("HR@10", "excluded", "HR@10"),
    ("NDCG@10", "excluded", "NDCG@10"),
    ("HR@10, seen kept", "kept", "HR@10"),
    ("NDCG@10, kept", "kept", "NDCG@10"),
    ("HR@50, kept", "kept", "HR@50"),
)

Cells = Mapping[int, dict[str, Any]]


def spread(values: Sequence[float]) -> str:
    """Mean and, of several seeds, half of their range."""
    mean = statistics.mean(values)
    return f"{mean:.4f}" + (f" +-{(max(values) - min(values)) / 2:.4f}" if len(values) > 1 else "")


def line(row: Row, cells: Cells) -> str:
    """The line of a model."""
    if not cells:
        return f"| {row.name} | failed |"
    scores = [spread([cell["scores"][kind][metric] for cell in cells.values()]) for _, kind, metric in COLUMNS]
    seconds = statistics.mean(cell["train_seconds"] for cell in cells.values())
    ranking = statistics.mean(cell["evaluate_seconds"] for cell in cells.values())
    memory = max(cell["peak_bytes"] for cell in cells.values()) / 1e6
    return (
        f"| {row.name} | " + " | ".join(scores) + f" | {seconds:.0f} | {ranking:.1f} | {memory:.0f} | {row.published} |"
    )


def table(found: Sequence[tuple[Row, Cells]]) -> str:
    """Markdown, a line a model, and how much the number of users leaves open."""
    names = [name for name, _, _ in COLUMNS]
    lines = [
        "| model | " + " | ".join(names) + " | train, s | evaluate, s | peak MB | published |",
        "|---" * (len(names) + 5) + "|",
        *(line(*pair) for pair in found),
    ]
    last = next((cells for _, cells in reversed(found) if cells), {})
    if last:
        low, high = next(iter(last.values()))["intervals"]["excluded"]["NDCG@10"]
        lines += ["", f"The users alone leave {high - low:.4f} of NDCG@10 open for the last model (95 %, bootstrap)."]
    return "\n".join(lines) + "\n"
