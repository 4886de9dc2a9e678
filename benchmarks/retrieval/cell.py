"""One model on one log with one seed, in a process of its own: what it scores, how long it takes, how much memory.

    python benchmarks/retrieval/cell.py '{"log": "ml-1m", "estimator": "SASRec", "options": {"seed": 1}, ...}'

Prints one line of JSON. Times are those of `fit`, by the clock and of the processor (user and system, all threads); the
memory is the most that the process had, imports included. `ranks` has for each user who was asked about the rank of the
item to be found, by the log's own protocol: 0 where it is not among the first 50, -1 where it cannot be found.
"""

import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from cells import answer

PROTOCOLS = {"excluded": True, "kept": False}
KS = (10, 20, 50)


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Train, rank all items with and without those that a user has seen, and say what it took."""
    import torch

    import logs

    torch.set_num_threads(request["threads"])
    log = logs.LOGS[request["log"]]
    split = log.read(request["data"])
    model = made(request)
    began, used = time.perf_counter(), processor_seconds()
    model.fit(split)
    trained, used = time.perf_counter(), processor_seconds() - used
    scores = {name: model.evaluate(split, ks=KS, exclude_seen=choice) for name, choice in PROTOCOLS.items()}
    evaluated = time.perf_counter()
    epochs = getattr(model, "training_log", [])
    return {
        "scores": {name: dict(found.values) for name, found in scores.items()},
        "intervals": {
            name: {metric: list(pair) for metric, pair in found.intervals.items()} for name, found in scores.items()
        },
        "ranks": ranks(scores[log.seen]),
        "train_seconds": trained - began,
        "cpu_seconds": used,
        "evaluate_seconds": (evaluated - trained) / len(PROTOCOLS),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "epochs": len(epochs),
        "samples_per_second": [epoch["samples_per_second"] for epoch in epochs],
        "validation": [epoch for epoch in epochs if len(epoch) > 3],
    }


def made(request: dict[str, Any]) -> Any:
    """The model, of which at most so many epochs are trained as the request says, if it says how many."""
    import logq

    kind, options = getattr(logq, request["estimator"]), dict(request["options"])
    if request["epochs"] and "epochs" in kind.options():
        epochs = options.get("epochs", kind.options()["epochs"].default)
        # It may be "auto", which is for the fit to say.
        options["epochs"] = min(epochs, request["epochs"]) if isinstance(epochs, int) else request["epochs"]
    return kind(**options)


def processor_seconds() -> float:
    """What this process has taken of processors so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def ranks(scores: Any) -> list[int]:
    """The rank of the one item of each user, from the reciprocal of it."""
    import numpy as np

    reciprocal = scores.per_user[f"MRR@{KS[-1]}"]
    with np.errstate(divide="ignore"):
        found = np.where(reciprocal > 0, np.round(1 / reciprocal), 0)
    return np.where(np.isnan(reciprocal), -1, found).astype(int).tolist()


if __name__ == "__main__":
    answer(measure)
