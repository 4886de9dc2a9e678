"""Recommenders on real logs: leave-one-out, ranking of all items, beside published figures for the same files.

    python benchmarks/retrieval ml-1m --data ../data/logs                  every model, two seeds
    python benchmarks/retrieval beauty --data ../data/logs --only SASRec --seeds 1
    python benchmarks/retrieval objectives --data ../data/logs             one YoutubeDNN, every loss and sampler
    python benchmarks/retrieval hotels --data ../data/logs                 Airbnb's embeddings beside Item2Vec
    python benchmarks/retrieval speed --data ../data/logs --rechub ../rechub/bin/python

Each model and seed is a process of its own. With --keep DIR what is measured is kept there, a file each, so that a run
that was stopped goes on where it was. benchmarks/README.md says what the figures mean.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import objectives
import report
from cells import run_cell
from machine import description
from rows import ROWS, Row

KINDS = (*ROWS, "objectives", "hotels", "speed")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/retrieval", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=KINDS, help="a log, or one of the comparisons")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the logs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="models that begin like one of these")
    parser.add_argument("--epochs", type=int, metavar="N", help="no more than that, to try it out")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what each process found, and go on from it")
    parser.add_argument("--rechub", metavar="PYTHON", help="a Python that has torch-rechub, for speed")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the table there, as Markdown")
    return parser.parse_args()


def measured(arguments: argparse.Namespace, log: str, row: Row, seed: int) -> dict[str, Any] | None:
    """What one process found, or None where it failed."""
    request = {
        "log": log,
        "data": str(arguments.data),
        "estimator": row.estimator,
        "options": dict(row.options) | ({"seed": seed} if row.seeded else {}),
        "epochs": arguments.epochs,
        "threads": arguments.threads,
    }
    title = f"{log}: {row.name}, seed {seed}"
    return run_cell(HERE / "cell.py", request, title, threads=arguments.threads, keep=arguments.keep)


def main() -> None:
    arguments = parse()
    import torch

    import logq

    begin = tuple(name.lower() for name in arguments.only)
    parts = [
        description("benchmarks/retrieval", {"logq": logq.__version__, "torch": torch.__version__}, threads(arguments))
    ]
    if arguments.table in ROWS:
        import logs

        rows = [row for row in ROWS[arguments.table] if not begin or row.name.lower().startswith(begin)]
        found = []
        for row in rows:
            cells = {
                seed: measured(arguments, arguments.table, row, seed)
                for seed in arguments.seeds[: None if row.seeded else 1]
            }
            found.append((row, {seed: cell for seed, cell in cells.items() if cell is not None}))
            print(report.line(*found[-1]), flush=True)
        parts += [logs.LOGS[arguments.table].about, "", report.table(found)]
    elif arguments.table == "objectives":
        parts.append(
            objectives.table(lambda row, seed: measured(arguments, objectives.LOG, row, seed), arguments.seeds, begin)
        )
    elif arguments.table == "hotels":
        import hotels

        parts.append(hotels.table(arguments.data, arguments.seeds, arguments.epochs))
    else:
        import speed

        parts.append(speed.table(arguments.data, arguments.rechub, arguments.threads))
    text = "\n".join(parts)
    print(text)
    if arguments.output:
        arguments.output.write_text(text)


def threads(arguments: argparse.Namespace) -> str:
    """How it was run."""
    seeds = ", ".join(map(str, arguments.seeds))
    return (
        f"{arguments.threads} thread{'s' * (arguments.threads != 1)}, seed{'s' * (len(arguments.seeds) != 1)} {seeds}"
    )


if __name__ == "__main__":
    main()
