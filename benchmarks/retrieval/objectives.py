"""One YoutubeDNN under every loss and sampler at equal budget, with and without log Q: what to choose."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from report import spread
from rows import Row

LOG = "ml-1m"
SAMPLED = ("sampled_softmax", "nce", "sampled_logistic", "negative_sampling")
FULL = ("full_softmax", "full_logistic")
MEASURES = ("NDCG@10", "HR@10", "coverage@10", "popularity_bias@10")
SAMPLERS = ("uniform", "log_uniform", "unigram", "learned_unigram", "in_batch")
BUDGET = {
    "dim": 32,
    "max_length": 20,
    "max_per_user": 50,
    "item_bias": True,
    "epochs": 4,
    "lr": 3e-3,
    "decay": "cosine",
    "warmup": 300,
    "patience": None,
    "validate_every": 4,
    "num_sampled": 512,
}


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

        seconds = statistics.mean(cell["train_seconds"] for cell in cells)
        scores = [spread([cell["scores"]["excluded"][metric] for cell in cells]) for metric in MEASURES]
        lines.append((scores[0], f"| {row.name} | " + " | ".join(scores) + f" | {seconds:.0f} |"))
        print(lines[-1][1], flush=True)
    head = [
        "| objective | sampler | log Q | NDCG@10 | HR@10 | coverage@10 | popularity bias@10 | train, s |",
        "|---" * 8 + "|",
    ]
    return "\n".join([*head, *(line for _, line in sorted(lines, reverse=True))]) + "\n"
