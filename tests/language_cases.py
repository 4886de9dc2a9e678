"""A small language whose next word mostly follows from the last one, and language models that learn it quickly."""

from typing import Any

import numpy as np

from frequencies import SEED
from logq.language_models import NNLM, NeuralLanguageModel, RecurrentLM

WORDS = 24

OBJECTIVES = (
    "full_softmax",
    "sampled_softmax",
    "nce",
    "negative_sampling",
    "sampled_logistic",
    "gbce",
    "full_logistic",
    "hierarchical_softmax",
    "adaptive_softmax",
)


def language(lines: int, seed: int) -> list[list[str]]:
    """Lines of 4 to 9 words; w is followed by 5 w + 1 in four of five cases, else by a word with P ~ 1 / (1 + rank)."""
    rng = np.random.default_rng(seed)
    share = 1 / (1.0 + np.arange(WORDS))
    share /= share.sum()
    found: list[list[str]] = []
    for _ in range(lines):
        line = [int(rng.choice(WORDS, p=share))]
        for _ in range(int(rng.integers(3, 9))):
            follows = (5 * line[-1] + 1) % WORDS
            line.append(follows if rng.random() < 0.8 else int(rng.choice(WORDS, p=share)))
        found.append([f"w{word}" for word in line])
    return found


TEXT, OTHER_TEXT = language(200, 1), language(40, 2)


def unigram_perplexity() -> float:
    """Of OTHER_TEXT by the frequencies in it, which no unigram model can beat."""
    tokens = [word for line in OTHER_TEXT for word in [*line, "</s>"]]
    _, counts = np.unique(tokens, return_counts=True)
    share = counts / counts.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def make(kind: str, **options: Any) -> NeuralLanguageModel:
    """A small model: "gru", "lstm" or "nnlm"."""
    shared: dict[str, Any] = {"epochs": 4, "lr": 0.02, "num_sampled": 12, "dropout": 0.0, "seed": SEED + 3, **options}
    if kind == "nnlm":
        shared = {"dim": 12, "hidden": 16, "context": 2, "batch_size": 32, **shared}
        return NNLM(**shared)
    shared = {"cell": kind, "dim": 12, "hidden": 16, "batch_size": 8, "bptt": 5, **shared}
    return RecurrentLM(**shared)
