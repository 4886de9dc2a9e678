"""One YoutubeDNN under every loss and sampler at equal budget, with and without log Q: what to choose."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from rows import Row

LOG = "ml-1m"
SAMPLED = ("sampled_softmax", "nce", "sampled_logistic", "negative_sampling")
FULL = ("full_softmax", "full_logistic")
SAMPLERS = ("uniform", "log_uniform", "unigram", "learned_unigram", "in_batch")
BUDGET = {"dim": 32, "epochs": 6, "lr": 3e-3, "decay": "cosine", "warmup": 300, "patience": None, "num_sampled": 512}


def rows() -> list[Row]:
    """A row for each loss and sampler, and for what happens without log Q."""
    found = [
        Row(
            f"{loss} | {sampler} | {'yes' if log_q else 'no'}",
            "YoutubeDNN",
            {**BUDGET, "objective": loss, "sampler": sampler, "log_q": log_q},
        )
        for loss in SAMPLED
        for sampler in SAMPLERS
        for log_q in (True, False)
        if log_q or (loss in ("sampled_softmax", "negative_sampling") and sampler not in ("uniform",))
    ]
    options = {name: value for name, value in BUDGET.items() if name != "num_sampled"}
    return found + [Row(f"{loss} | every item | -", "YoutubeDNN", {**options, "objective": loss}) for loss in FULL]


def table(measure: Callable[[Row, int], dict[str, Any] | None], seeds: Sequence[int], begin: tuple[str, ...]) -> str:
    """Markdown, the best first."""
    lines = []
    for row in rows():
        if begin and not row.name.startswith(begin):
            continue
        cells = [cell for seed in seeds if (cell := measure(row, seed)) is not None]
        if not cells:
            continue

        def mean(kind: str, metric: str, cells: list[dict[str, Any]] = cells) -> str:
            values = [cell["scores"][kind][metric] for cell in cells]
            return f"{statistics.mean(values):.4f}" + (
                f" +-{(max(values) - min(values)) / 2:.4f}" if len(values) > 1 else ""
            )

        seconds = statistics.mean(cell["train_seconds"] for cell in cells)
        scores = [
            mean("excluded", "NDCG@10"),
            mean("excluded", "HR@10"),
            mean("excluded", "coverage@10"),
            mean("excluded", "popularity_bias@10"),
        ]
        lines.append((scores[0], f"| {row.name} | " + " | ".join(scores) + f" | {seconds:.0f} |"))
        print(lines[-1][1], flush=True)
    head = [
        "| objective | sampler | log Q | NDCG@10 | HR@10 | coverage@10 | popularity bias@10 | train, s |",
        "|---" * 8 + "|",
    ]
    return "\n".join([*head, *(line for _, line in sorted(lines, reverse=True))]) + "\n"
