"""Training samples per second of one YoutubeDNN on MovieLens-1M, by logq and by torch-rechub, turn by turn.

    python benchmarks/retrieval/speed.py logq EXAMPLES.npz '{...}'         one turn, as the benchmark calls it

Both see the same examples in batches of the same size, with one table for watched items and classes, cosines with a
temperature, one hidden layer, Adam: what torch-rechub's model is. An epoch is timed with its batching, without reading
the log. Ours adds log Q to the same work.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
USERS = 300
TURNS = 3
MODEL = {"dim": 64, "hidden": 128, "temperature": 0.05, "batch_size": 512}
CASES = (
    ("511 negatives of the batch", {"negatives": "in-batch", "sampled": 511}),
    ("20 negatives of each row", {"negatives": "own", "sampled": 20}),
    ("100 negatives of each row", {"negatives": "own", "sampled": 100}),
)


def one_epoch(examples: Path, request: dict[str, Any]) -> dict[str, Any]:
    """An epoch of ours, by `fit`."""
    import torch

    import logq
    from logq.logs import Interactions

    torch.set_num_threads(request["threads"])
    events = np.load(examples)
    log = Interactions.from_arrays(events["users"], events["items"])
    model = logq.YoutubeDNN(
        request["dim"],
        hidden=(request["hidden"],),
        tied=True,
        cosine=True,
        temperature=request["temperature"],
        max_length=50,
        batch_size=request["batch_size"],
        epochs=1,
        dropout=0.0,
        pretrain=0,
        ema=None,
        seed=request["seed"],
        **(
            {"sampler": "in_batch"}
            if request["negatives"] == "in-batch"
            else {"sampler": "uniform", "num_sampled": request["sampled"], "shared_negatives": False}
        ),
    ).fit(log, progress=False)
    rate = model.training_log[0]["samples_per_second"]
    return {"seconds": len(events["target"]) / rate, "examples": len(events["target"]), "version": logq.__version__}


def table(data: Path, rechub: str | None, threads: int) -> str:
    """Markdown: samples per second of each, and the ratio."""
    import logs
    from logq.logs import NextItems

    log = logs.ml_1m(str(data)).train
    log = log.select(np.asarray(log.users) < USERS)
    examples = NextItems(log, 50, age=None, pad=True)
    batch = examples.batch(np.arange(len(examples)))
    lines = [
        f"YoutubeDNN, D = {MODEL['dim']}, histories of 50, batches of {MODEL['batch_size']}, "
        f"{len(examples):,} examples; medians of {TURNS} turns (smallest .. largest).",
        "",
        "| negatives | logq, samples/s | torch-rechub, samples/s | ratio |",
        "|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "examples.npz")
        np.savez(file, users=log.users, items=log.items, history=batch["history"], target=batch["target"])
        contestants = {"logq": (sys.executable, "speed.py", ["logq"])}
        if rechub is not None:
            contestants["torch-rechub"] = (rechub, "rechub_training.py", [])
        for title, case in CASES:
            rates: dict[str, list[float]] = {name: [] for name in contestants}
            for turn in range(TURNS):
                request = {**MODEL, **case, "threads": threads, "seed": turn, "num_items": log.num_items}
                for name, (python, script, before) in contestants.items():
                    command = [python, str(HERE / script), *before, str(file), json.dumps(request)]
                    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
                    found = json.loads(
                        subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment).stdout
                    )
                    rates[name].append(found["examples"] / found["seconds"])
            told = {
                name: f"{statistics.median(r):,.0f} ({min(r):,.0f} .. {max(r):,.0f})" for name, r in rates.items() if r
            }
            ratio = "-"
            if "torch-rechub" in rates:
                ratio = f"{statistics.median(rates['logq']) / statistics.median(rates['torch-rechub']):.1f}x"
            lines.append(f"| {title} | {told['logq']} | {told.get('torch-rechub', '-')} | {ratio} |")
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps(one_epoch(Path(sys.argv[2]), json.loads(sys.argv[3]))), file=answers, flush=True)
