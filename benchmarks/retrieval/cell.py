"""One model on one log with one seed, in a process of its own: what it scores, how long it takes, how much memory.

    python benchmarks/retrieval/cell.py '{"log": "ml-1m", "row": "SASRec, sampled softmax", "seed": 1, ...}'

Prints one line of JSON. The time is that of `fit`, the memory the most that the process had, imports included.
"""

import json
import os
import resource
import sys
import time
from typing import Any

PROTOCOLS = {"seen excluded": True, "seen kept": False}
KS = (10, 50)


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Train, evaluate by full ranking in both protocols, and say what it took."""
    import logs
    import rows
    import torch

    import logq

    torch.set_num_threads(request["threads"])
    split = logs.LOGS[request["log"]].read(request["data"])
    row = next(row for row in rows.rows_of(request["log"]) if row.name == request["row"])
    options = {**row.options, **({"seed": request["seed"]} if row.seeded else {})}
    if request["epochs"] and "epochs" in options:
        options["epochs"] = min(options["epochs"], request["epochs"])
    model = getattr(logq, row.estimator)(**options)
    began = time.perf_counter()
    model.fit(split, progress=request["progress"], **row.fit)
    trained = time.perf_counter()
    scores = {name: model.evaluate(split, ks=KS, exclude_seen=choice) for name, choice in PROTOCOLS.items()}
    evaluated = time.perf_counter()
    return {
        "scores": {name: found.values for name, found in scores.items()},
        "half_widths": {name: half_widths(found) for name, found in scores.items()},
        "users": len(next(iter(scores.values()))),
        "train_seconds": trained - began,
        "evaluate_seconds": (evaluated - trained) / len(PROTOCOLS),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "examples_per_second": getattr(model, "examples_per_second", None),
    }


def half_widths(scores: Any) -> dict[str, float]:
    """Half of each interval of the bootstrap over users: what the users at hand leave open."""
    return {name: (high - low) / 2 for name, (low, high) in scores.intervals.items()}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    print(json.dumps(measure(json.loads(sys.argv[1]))), file=answers, flush=True)


if __name__ == "__main__":
    main()
