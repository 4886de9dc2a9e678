"""Recommenders on real logs: leave-one-out, ranking of all items, beside published figures for the same files.

    python benchmarks/retrieval ml-1m --data ../data/logs                  every model, three seeds
    python benchmarks/retrieval beauty-s3rec --data ../data/logs --only SASRec --seeds 1
    python benchmarks/retrieval goals --data ../data/logs --keep cells     what is to be reached, on every log
    python benchmarks/retrieval ablation --data ../data/logs --keep cells  what each part of SASRec's recipe is worth
    python benchmarks/retrieval incremental --data ../data/logs            models that go on, beside ones trained anew
    python benchmarks/retrieval cold-items --data ../data/logs             items that nobody has met, by their features
    python benchmarks/retrieval objectives --data ../data/logs             one YoutubeDNN, every loss and sampler
    python benchmarks/retrieval hotels --data ../data/logs                 Airbnb's embeddings beside Item2Vec
    python benchmarks/retrieval speed --data ../data/logs --rechub ../rechub/bin/python

Each model and seed is a process of its own. With --keep DIR what is measured is kept there, a file each, so that a run
that was stopped goes on where it was. `--set NAME=VALUE` tries another value of a setting. benchmarks/README.md says
what the figures mean.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import objectives
from ablation import ABLATIONS
from cells import run_cell
from goals import TABLES
from machine import description
from rows import ROWS, Row

KINDS = (*ROWS, "goals", "ablation", "incremental", "cold-items", "objectives", "hotels", "speed")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/retrieval", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=KINDS, help="a log, or one of the comparisons")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the logs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="N")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="models that begin like one of these")
    parser.add_argument(
        "--on",
        nargs="+",
        default=[],
        metavar="LOG",
        choices=sorted({*TABLES, *ABLATIONS, *objectives.BUDGETS}),
        help=f"tables of goals, ablation, cold-items and objectives: {', '.join(TABLES)}; all of them without it",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        type=setting,
        metavar="NAME=VALUE",
        help="settings instead of those of the models, such as lr=0.002 or sampler=null",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="no more than that, to try it out")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what each process found, and go on from it")
    parser.add_argument("--rechub", metavar="PYTHON", help="a Python that has torch-rechub, for speed")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the table there, as Markdown")
    return parser.parse_args()


def setting(text: str) -> tuple[str, Any]:
    """A setting of the command line; what is not JSON is a string."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def measured(arguments: argparse.Namespace, log: str, row: Row, seed: int) -> dict[str, Any] | None:
    """What one process found, or None where it failed."""
    request = {
        "log": log,
        "data": str(arguments.data),
        "estimator": row.estimator,
        "options": {**row.options, **dict(arguments.set), **({"seed": seed} if row.seeded else {})},
        "epochs": arguments.epochs,
        "threads": arguments.threads,
    }
    title = f"{log}: {row.name}, seed {seed}"
    return run_cell(HERE / "cell.py", request, title, threads=arguments.threads, keep=arguments.keep)


def seeds_of(arguments: argparse.Namespace, log: str, row: Row) -> dict[int, dict[str, Any]]:
    """What was found with each seed that did not fail; a model without seeds has one."""
    cells = {seed: measured(arguments, log, row, seed) for seed in arguments.seeds[: None if row.seeded else 1]}
    return {seed: cell for seed, cell in cells.items() if cell is not None}


def chosen(arguments: argparse.Namespace, rows: Sequence[Any]) -> list[Any]:
    """The rows, or goals, that --only asks for."""
    begin = tuple(name.lower() for name in arguments.only)
    return [row for row in rows if not begin or getattr(row, "row", row).name.lower().startswith(begin)]


def models(arguments: argparse.Namespace) -> list[str]:
    """The table of all models on a log."""
    import report

    import logs

    found = []
    for row in chosen(arguments, ROWS[arguments.table]):
        found.append((row, seeds_of(arguments, arguments.table, row)))
        print(report.line(*found[-1]), flush=True)
    return [logs.LOGS[arguments.table].about, "", report.table(found)]


def goals(arguments: argparse.Namespace) -> list[str]:
    """The tables of what is to be reached."""
    import report

    import logs

    parts = []
    for name in arguments.on or TABLES:
        table, log = TABLES[name], logs.LOGS[TABLES[name].log]
        found = [(goal, seeds_of(arguments, table.log, goal.row)) for goal in chosen(arguments, table.goals)]
        metrics, seen = table.metrics or log.metrics, table.seen or log.seen
        parts += [f"## {log.title}", "", log.about, "", report.goals_table(table, metrics, seen, log.seen, found)]
        print("\n".join(parts[-5:]), file=sys.stderr, flush=True)
    return parts


def ablation(arguments: argparse.Namespace) -> list[str]:
    """The tables of what each part of the recipe is worth."""
    import report

    import logs

    parts = []
    for name in arguments.on or ABLATIONS:
        log, (base, *changes) = logs.LOGS[name], ABLATIONS[name].rows()
        found = [(row, seeds_of(arguments, name, row)) for row in (base, *chosen(arguments, changes))]
        parts += [f"## {log.title}", "", log.about, "", report.ablation_table(log.metrics, log.seen, found)]
        print("\n".join(parts[-5:]), file=sys.stderr, flush=True)
    return parts


def of_objectives(arguments: argparse.Namespace) -> list[str]:
    """The tables of losses and samplers."""
    import logs

    begin, parts = tuple(name.lower() for name in arguments.only), []
    for name in arguments.on or ("ml-1m", "beauty-s3rec"):
        found = objectives.table(name, partial(measured, arguments, name), arguments.seeds, begin)
        parts += [f"## {logs.LOGS[name].title}", "", logs.LOGS[name].about, "", found]
    return parts


def main() -> None:
    arguments = parse()
    import torch

    import logq

    versions = {"logq": logq.__version__, "torch": torch.__version__}
    parts = [description("benchmarks/retrieval", versions, threads(arguments))]
    if arguments.table in ROWS:
        parts += models(arguments)
    elif arguments.table == "goals":
        parts += goals(arguments)
    elif arguments.table == "ablation":
        parts += ablation(arguments)
    elif arguments.table == "incremental":
        import incremental

        found = []
        for request in incremental.requests(arguments):
            title = f"{request['log']}: {request['estimator']} goes on, seed {request['options']['seed']}"
            cell = run_cell(HERE / "incremental.py", request, title, threads=arguments.threads, keep=arguments.keep)
            found += [] if cell is None else [(request, cell)]
        parts.append(incremental.table(found))
    elif arguments.table == "cold-items":
        import cold_items

        torch.set_num_threads(arguments.threads)
        logs = arguments.on or cold_items.LOGS
        parts.append(cold_items.table(arguments.data, logs, arguments.only, arguments.epochs))
    elif arguments.table == "objectives":
        parts += of_objectives(arguments)
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
