"""What was found, as tables: means over seeds and half their range."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rows import Row

Cells = Mapping[int, dict[str, Any]]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean and, of several seeds, half of their range."""
    mean = f"{statistics.mean(values):,.{digits}f}"
    return mean + (f" +-{(max(values) - min(values)) / 2:.{digits}f}" if len(values) > 1 else "")


def ptb(found: Sequence[tuple[Row, Cells]], speeds: Mapping[str, Sequence[float]]) -> str:
    """Markdown: a line a way to the next word."""
    full = next((statistics.mean(one["perplexity"] for one in cells.values()) for row, cells in found if cells), None)
    base = statistics.median(speeds["full softmax"]) if speeds.get("full softmax") else None
    lines = [
        "| trained by | test perplexity | to full softmax | validation | tokens/s | to full softmax | peak MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row, cells in found:
        if not cells:
            lines.append(f"| {row.name} | failed | | | | | |")
            continue
        values = [one["perplexity"] for one in cells.values()]
        best = [
            min(epoch["perplexity"] for epoch in one["log"])
            for one in cells.values()
            if one["log"][0].get("perplexity")
        ]
        rates = speeds.get(row.name, ())
        rate = f"{statistics.median(rates):,.0f} ({min(rates):,.0f} .. {max(rates):,.0f})" if rates else ""
        ratio = f"{statistics.median(rates) / base:.1f} x" if rates and base else ""
        change = f"{100 * (statistics.mean(values) / full - 1):+.1f} %" if full else ""
        peak = max(one["peak_bytes"] for one in cells.values()) / 1e6
        valid = spread(best) if best else ""
        lines.append(f"| {row.name} | {spread(values)} | {change} | {valid} | {rate} | {ratio} | {peak:,.0f} |")
        without = [one["perplexity_without_log_q"] for one in cells.values() if "perplexity_without_log_q" in one]
        if without:
            change = f"{100 * (statistics.mean(without) / full - 1):+.0f} %" if full else ""
            lines.append(f"| the same, F read as log P, without + log Q | {spread(without)} | {change} | | | | |")
    return "\n".join(lines) + "\n"


def wiki(found: Sequence[tuple[str, Cells]]) -> str:
    """Markdown: a line a model and budget."""
    lines = [
        "| trained by | tokens | seconds | tokens/s | to full softmax | test perplexity | peak MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    base = None
    for name, cells in found:
        if not cells:
            lines.append(f"| {name} | failed |")
            continue
        rates = [statistics.median(e["tokens_per_second"] for e in one["log"]) for one in cells.values()]
        base = base or statistics.mean(rates)
        tokens = statistics.mean(one["trained_tokens"] for one in cells.values())
        seconds = statistics.mean(one["train_seconds"] for one in cells.values())
        lines.append(
            f"| {name} | {tokens:,.0f} | {seconds:,.0f} | {spread(rates, 0)} | {statistics.mean(rates) / base:.1f} x | "
            f"{spread([one['perplexity'] for one in cells.values()])} | "
            f"{max(one['peak_bytes'] for one in cells.values()) / 1e6:,.0f} |"
        )
    return "\n".join(lines) + "\n"
