"""One YoutubeDNN under every loss and sampler at equal budget, with and without log Q: what to choose."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from report import spread
from rows import Row

SAMPLED = ("sampled_softmax", "refined_softmax", "nce", "sampled_logistic", "negative_sampling", "gbce")
FULL = ("full_softmax", "full_logistic")
MEASURES = ("NDCG@10", "HR@10", "coverage@10", "popularity_bias@10")
SAMPLERS = ("uniform", "log_uniform", "unigram", "learned_unigram", "in_batch")
WITHOUT_LOG_Q = ("sampled_softmax", "negative_sampling")
SOFTMAX = ("sampled_softmax", "refined_softmax")
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
    "tied": False,
    "dropout": 0.0,
    "pretrain": 0,
    "ema": None,
    "cooldown": 0.0,
    "validation_users": None,
}
BEAUTY = {**BUDGET, "dim": 64, "tied": True, "epochs": 10, "validate_every": 10}
BUDGETS = {"ml-1m": BUDGET, "beauty-s3rec": BEAUTY, "ml-100k": BUDGET}
"""The same for all rows of a log; ml-100k is to try things out."""


def rows(log: str = "ml-1m") -> list[Row]:
    """A row for each loss and sampler, for mixed negatives, what is left out, and what is lost without log Q."""
    budget = BUDGETS[log]

    def row(loss: str, negatives: str, corrected: str = "yes", **options: Any) -> Row:
        return Row(f"{loss} | {negatives} | {corrected}", "YoutubeDNN", {**budget, "objective": loss, **options})

    found = [row(loss, sampler, sampler=sampler) for loss in SAMPLED for sampler in SAMPLERS]
    found += [
        row(loss, sampler, "no", sampler=sampler, log_q=False)
        for loss in WITHOUT_LOG_Q
        for sampler in SAMPLERS
        if sampler != "uniform"
    ]
    for loss in SAMPLED:
        for share in (0.2, 0.5, 0.8) if loss in SOFTMAX else (0.5,):
            mixed = f"{1 - share:.0%} uniform, {share:.0%} in_batch"
            found.append(row(loss, mixed, sampler="uniform", in_batch_share=share))
            if loss == "sampled_softmax":
                found.append(row(loss, mixed, "no", sampler="uniform", in_batch_share=share, log_q=False))
    for loss in SOFTMAX:
        uniform = {"sampler": "uniform"}
        found += [
            row(loss, "uniform, each row its own", shared_negatives=False, num_sampled=64, **uniform),
            row(loss, "uniform, none seen before", unseen_negatives=True, **uniform),
            row(loss, "uniform, none like the target", false_negatives=0.9, **uniform),
            row(loss, "uniform, 3 next items", future=3, future_decay=0.5, **uniform),
        ]
    full = {name: value for name, value in budget.items() if name != "num_sampled"}
    return found + [Row(f"{loss} | every item | -", "YoutubeDNN", {**full, "objective": loss}) for loss in FULL]


def table(
    log: str, measure: Callable[[Row, int], dict[str, Any] | None], seeds: Sequence[int], begin: tuple[str, ...]
) -> str:
    """Markdown, the best first."""
    lines = []
    for row in rows(log):
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
        "| objective | negatives | log Q | NDCG@10 | HR@10 | coverage@10 | popularity bias@10 | train, s |",
        "|---" * 8 + "|",
    ]
    return "\n".join([*head, *(line for _, line in sorted(lines, reverse=True))]) + "\n"
