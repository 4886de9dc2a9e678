"""What was found, as a table: means over seeds and half their range, beside what others have published."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import goals
import numpy as np
from rows import Row

from logq.evaluation.ranking_scores import bootstrap_interval, mean_of

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
    seconds = statistics.mean(cell["cpu_seconds"] for cell in cells.values())
    ranking = statistics.mean(cell["evaluate_seconds"] for cell in cells.values())
    memory = max(cell["peak_bytes"] for cell in cells.values()) / 1e6
    return (
        f"| {row.name} | " + " | ".join(scores) + f" | {seconds:.0f} | {ranking:.1f} | {memory:.0f} | {row.published} |"
    )


def table(found: Sequence[tuple[Row, Cells]]) -> str:
    """Markdown, a line a model, and how much the number of users leaves open."""
    names = [name for name, _, _ in COLUMNS]
    lines = [
        "| model | " + " | ".join(names) + " | fit, CPU s | evaluate, s | peak MB | published |",
        "|---" * (len(names) + 5) + "|",
        *(line(*pair) for pair in found),
    ]
    last = next((cells for _, cells in reversed(found) if cells), {})
    if last:
        low, high = next(iter(last.values()))["intervals"]["excluded"]["NDCG@10"]
        lines += ["", f"The users alone leave {high - low:.4f} of NDCG@10 open for the last model (95 %, bootstrap)."]
    return "\n".join(lines) + "\n"


# ----------------------------------------------------------------------------------------------- intervals over users


def of_users(cells: Cells, metric: str) -> np.ndarray:
    """A metric of each user who was asked about, (U,), the mean over seeds; from the ranks of the items to be found."""
    name, _, k = metric.partition("@")
    ranks = np.array([cell["ranks"] for cell in cells.values()], dtype=float)
    found = (ranks > 0) & (ranks <= int(k))
    places = np.where(found, ranks, 1)
    values = {"HR": np.ones_like(ranks), "NDCG": 1 / np.log2(places + 1), "MRR": 1 / places}[name]
    return np.where(found, values, 0)[:, (ranks >= 0).all(axis=0)].mean(axis=0)


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % of the mean over users, by bootstrap."""
    return bootstrap_interval(np.stack([values, np.ones(len(values))], 1), mean_of)


# ------------------------------------------------------------------------------------------------------ goals, ablation


def goals_table(
    asked: goals.Table, metrics: Sequence[str], seen: str, main: str, found: Sequence[tuple[goals.Goal, Cells]]
) -> str:
    """Markdown: what is measured beside what is to be reached.

    Args:
        asked: the goals.
        metrics: of the columns.
        seen: whether seen items are "kept" in rankings or "excluded".
        main: which of the two the ranks of users are for; others have no intervals over users.
        found: what was measured of each.
    """
    best = {
        metric: max(
            (
                statistics.mean(cell["scores"][seen][metric] for cell in cells.values())
                for goal, cells in found
                if cells and goal.row.name in goals.BASELINE_NAMES
            ),
            default=None,
        )
        for metric in metrics
    }
    lines = [
        f"| model | {' | '.join(f'{metric} | goal' for metric in metrics)} | share of the goal | fit, CPU s | by the "
        "clock, s | epochs | seeds | settings chosen |",
        "|---" * (2 * len(metrics) + 7) + "|",
    ]
    for goal, cells in found:
        if not cells:
            lines.append(f"| {goal.row.name} | failed |")
            continue
        parts: list[str] = []
        shares: list[float] = []
        for metric in metrics:
            values = [cell["scores"][seen][metric] for cell in cells.values()]
            text = spread(values)
            if seen == main:
                low, high = interval(of_users(cells, metric))
                text = f"{text} [{low:.4f}, {high:.4f}]"
            least = goal.least.get(metric)
            if not goal.least and goal.row.name not in goals.BASELINE_NAMES:
                least = best[metric]
            if least:
                shares.append(statistics.mean(values) / least)
            parts += [text, f"{least:.4f}" if least else ""]
        share = f"{100 * min(shares):.1f} %" if shares else ""
        cpu, clock = (
            statistics.mean(cell[name] for cell in cells.values()) for name in ("cpu_seconds", "train_seconds")
        )
        epochs = sorted({cell["epochs"] for cell in cells.values()})
        lines.append(
            f"| {goal.row.name} | {' | '.join(parts)} | {share} | {cpu:.0f} | {clock:.0f} "
            f"| {', '.join(map(str, epochs)) if any(epochs) else ''} | {len(cells)} | {goal.row.chosen} |"
        )
    notes = [
        "",
        f"Seen items {seen}; means over seeds +- half their range"
        + (", and 95 % intervals over users (of the means over seeds)." if seen == main else "."),
    ]
    if any(best.values()):
        notes[-1] += " Goals are the best baseline's figures."
    return "\n".join([*lines, *notes, *([asked.published] if asked.published else [])]) + "\n"


def ablation_table(metrics: Sequence[str], seen: str, found: Sequence[tuple[Row, Cells]]) -> str:
    """Markdown: the base, and what each change of it does to the last metric, user by user.

    Args:
        metrics: of the columns; differences are of the last one.
        seen: "excluded" or "kept", as the log has it.
        found: what was measured of each; the base comes first.
    """
    lines = [
        f"| change | {' | '.join(metrics)} | {metrics[-1]}: difference, 95 % over users | in per cent | fit, CPU s "
        "| epochs | options |",
        "|---" * (len(metrics) + 6) + "|",
    ]
    base_row, base = found[0]
    for row, cells in found:
        if not cells:
            lines.append(f"| {row.name} | failed |")
            continue
        scores = [spread([cell["scores"][seen][metric] for cell in cells.values()]) for metric in metrics]
        told = ["", ""]
        if row is not base_row and base:
            seeds = cells.keys() & base.keys()
            ours, theirs = (of_users({seed: one[seed] for seed in sorted(seeds)}, metrics[-1]) for one in (cells, base))
            low, high = interval(ours - theirs)
            change = float((ours - theirs).mean())
            told = [f"{change:+.4f} [{low:+.4f}, {high:+.4f}]", f"{100 * change / theirs.mean():+.1f} %"]
        changed = {name: value for name, value in row.options.items() if base_row.options.get(name, ...) != value}
        said = ", ".join(f"`{name}={value!r}`" for name, value in changed.items()) if row is not base_row else ""
        cpu = statistics.mean(cell["cpu_seconds"] for cell in cells.values())
        epochs = ", ".join(map(str, sorted({cell["epochs"] for cell in cells.values()})))
        lines.append(f"| {row.name} | {' | '.join([*scores, *told])} | {cpu:.0f} | {epochs} | {said} |")
    return "\n".join(lines) + "\n"
