"""Tokens a second of every way to the next word, turn by turn in one process.

A turn trains on the same first lines of the text, with the vocabulary of all of it, and takes the speed that the model
tells: reading, dropout, GRU, loss and optimizer, without validation. The first turn of each does not count.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cell
import corpora
from machine import load
from rows import Row

LINES = 1500


def speeds(data: Path, rows: Sequence[Row], turns: int, threads: int) -> dict[str, list[float]]:
    """By the name of the row."""
    import torch

    from logq.text import read_tokens

    torch.set_num_threads(threads)
    found: dict[str, list[float]] = {row.name: [] for row in rows}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        texts = corpora.ptb(data, home)
        some = corpora.first_lines(texts["train"], LINES, home / "some.txt")
        with read_tokens(texts["train"], progress=False) as tokens:
            vocabulary = tokens.vocabulary
        for turn in range(turns + 1):
            print(f"  [load {load()}] turn {turn} of {turns}", file=sys.stderr, flush=True)
            for row in rows:
                request: dict[str, Any] = {
                    "estimator": row.estimator,
                    "options": row.arguments(),
                    "seed": turn,
                    "threads": threads,
                }
                model = cell.make(request, epochs=1)
                model.fit(some, vocabulary=vocabulary, progress=False)
                if turn:
                    found[row.name].append(model.training_log[0]["tokens_per_second"])
    return found
