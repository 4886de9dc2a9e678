"""One model on one log with one seed, in a process of its own: what it scores, how long it takes, how much memory.

    python benchmarks/retrieval/cell.py '{"log": "ml-1m", "estimator": "SASRec", "options": {"seed": 1}, ...}'

Prints one line of JSON. The time is that of `fit`, the memory the most that the process had, imports included.
"""

import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from cells import answer

PROTOCOLS = {"excluded": True, "kept": False}
KS = (10, 50)


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Train, rank all items with and without those that a user has seen, and say what it took."""
    import torch

    import logq
    import logs

    torch.set_num_threads(request["threads"])
    split = logs.LOGS[request["log"]].read(request["data"])
    options = dict(request["options"])
    if request["epochs"] and "epochs" in options:
        options["epochs"] = min(options["epochs"], request["epochs"])
    model = getattr(logq, request["estimator"])(**options)
    began = time.perf_counter()
    model.fit(split)
    trained = time.perf_counter()
    scores = {name: model.evaluate(split, ks=KS, exclude_seen=choice) for name, choice in PROTOCOLS.items()}
    evaluated = time.perf_counter()
    epochs = getattr(model, "training_log", [])
    return {
        "scores": {name: dict(found.values) for name, found in scores.items()},
        "intervals": {
            name: {metric: list(pair) for metric, pair in found.intervals.items()} for name, found in scores.items()
        },
        "train_seconds": trained - began,
        "evaluate_seconds": (evaluated - trained) / len(PROTOCOLS),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "epochs": len(epochs),
        "samples_per_second": [epoch["samples_per_second"] for epoch in epochs],
        "validation": [epoch for epoch in epochs if len(epoch) > 3],
    }


if __name__ == "__main__":
    answer(measure)
