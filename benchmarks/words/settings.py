"""What every tool is told, in each tool's own words."""

from typing import NamedTuple

WINDOW = 5
MIN_COUNT = 5
LEARNING_RATE = {"sg": "0.025", "cbow": "0.05"}
"""The rates of word2vec.c. gensim's and fastText's own defaults differ, and so do their vectors if they are left."""


class Settings(NamedTuple):
    """One column of parameters: a table compares tools that were all given the same one."""

    model: str  # sg or cbow
    dim: int
    threads: int
    epochs: int
    sample: str = "1e-3"
    negatives: str = "5"

    @property
    def lr(self) -> str:
        return LEARNING_RATE[self.model]

    def __str__(self) -> str:
        model = {"sg": "skip-gram", "cbow": "CBOW"}[self.model]
        threads, epochs = "s" * (self.threads != 1), "s" * (self.epochs != 1)
        trained = f"{model}, dim {self.dim}, {self.threads} thread{threads}, {self.epochs} epoch{epochs}"
        return f"{trained}, sample {self.sample}, {self.negatives} negatives"
