"""A model of steps in up to a thousand processes over a billion rows: bytes, messages and milliseconds of the network.

    python benchmarks/distributed/simulate.py --check 2 4

Nothing here was run on a cluster. What a process sends follows from the formulas of formulas.py, and from how many
distinct classes it asks others for, which are drawn: B targets with their histories by a log-uniform law of C classes,
placed as logq.distributed.placing places them. A step then takes

    t = bytes of the busiest process / bandwidth + messages one after the other * latency

Computing is left out, and so is all overlap with it; links are full in both directions, and no switch is a bottleneck.
"by machines" is what all_to_all would take if it went by machines of 8 processes, which logq does not do: one large
message a machine. --check compares bytes, distinct classes and exchanges with what processes count on this machine.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from bytes_and_times import measured
from formulas import EXCHANGES, NUMBER, Step
from machine import description

from logq.distributed.placing import Placing

MACHINE = 8
"""Processes of a machine."""


class Cluster(NamedTuple):
    """What is simulated: W processes, B and S of a step, the length of histories, and links."""

    size: int
    batch: int
    num_sampled: int
    history: int
    gigabits: float
    latency: float


CLUSTERS = [
    Cluster(8, 1024, 4096, 50, 100, 5e-6),
    Cluster(64, 1024, 8192, 50, 100, 10e-6),
    Cluster(256, 512, 8192, 50, 100, 10e-6),
    Cluster(1000, 512, 8192, 50, 100, 10e-6),
    Cluster(1000, 512, 8192, 50, 25, 15e-6),
    Cluster(1000, 128, 8192, 50, 25, 15e-6),
]


def log_uniform(rng: np.random.Generator, num_classes: int, count: int) -> NDArray[np.int64]:
    """Classes by P(y) = log((y + 2) / (y + 1)) / log(C + 1)."""
    drawn = np.exp(rng.random(count) * math.log(num_classes + 1)).astype(np.int64) - 1
    return np.minimum(drawn, num_classes - 1)


def asked(rng: np.random.Generator, placing: Placing, count: int) -> tuple[float, float]:
    """Distinct classes of others that a process asks for, and what the busiest owner is asked for against the mean."""
    size, processes = placing.size, min(placing.size, 400)
    of_owner, foreign = np.zeros(size), 0.0
    for rank in range(processes):
        ids = np.unique(log_uniform(rng, placing.num_classes, count))
        owners = placing.owners(placing.places(torch.from_numpy(ids))).numpy()
        foreign += float(np.count_nonzero(owners != rank)) / processes
        of_owner += np.bincount(owners, minlength=size)
    return foreign, float(of_owner.max() / of_owner.mean())


def milliseconds(sent: float, messages: float, cluster: Cluster) -> float:
    """What the network takes."""
    return 1e3 * (sent * 8 / (cluster.gigabits * 1e9) + messages * cluster.latency)


def row(rng: np.random.Generator, cluster: Cluster, num_classes: int, dim: int) -> str:
    """A line of the table."""
    size = cluster.size
    foreign, busiest = asked(rng, Placing(num_classes, size), cluster.batch * (1 + cluster.history))
    step = Step(size, foreign, cluster.num_sampled, dim, cluster.batch)
    sample = Step(size, 0, cluster.num_sampled, dim, cluster.batch).rows
    fetched = step.rows - sample
    sent = fetched * busiest + sample
    by_machines = EXCHANGES * (math.ceil(size / MACHINE) - 1 + min(size, MACHINE) - 1)
    times = [milliseconds(sent, messages, cluster) for messages in (step.messages, by_machines)]
    ring = 2 * math.ceil(math.log2(size))
    cells = [
        f"{size:,}, {cluster.batch}, {cluster.num_sampled:,}, {cluster.gigabits:g} Gbit/s",
        f"{foreign / 1e3:.1f} k",
        f"{busiest:.2f}",
        f"{fetched / 1e6:.1f} + {sample / 1e6:.1f}",
        f"{step.queries / 1e6:.1f}",
        f"{step.in_batch / 1e6:.1f}",
        f"{step.replicated(num_classes) / 1e9:.0f}",
        f"{times[0]:.1f}",
        f"{times[1]:.1f}",
        f"{milliseconds(step.in_batch, ring, cluster):.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def checked(sizes: list[int]) -> list[str]:
    """What is counted here beside what the model says of the same task, whose targets follow Zipf's law."""
    task: dict[str, Any] = {"classes": 200_000, "dim": 64, "batch": 512, "num_sampled": 1024, "steps": 4, "repeat": 2}
    lines = [
        "| processes | distinct classes of others: counted | expected | bytes: counted | by the formula "
        "| exchanges of a step: counted | assumed |",
        "|---|---|---|---|---|---|---|",
    ]
    law = 1 / np.arange(1, task["classes"] + 1)
    expected = float((1 - (1 - law / law.sum()) ** task["batch"]).sum())
    for size in sizes:
        found = measured(size, sys.executable, {**task, "ways": ["sharded"]})
        foreign = expected * (size - 1) / size
        told = Step(size, foreign, task["num_sampled"], task["dim"], task["batch"]).rows
        lines.append(
            f"| {size} | {found['foreign']:.1f} | {foreign:.1f} | {found['sent']:,.0f} | {told:,.0f} "
            f"({found['sent'] / told - 1:+.1%}) | {found['exchanges']} | {EXCHANGES} |"
        )
    return [*lines, ""]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=10**9, metavar="C")
    parser.add_argument("--dim", type=int, default=64, metavar="D")
    parser.add_argument("--check", type=int, nargs="*", default=[], metavar="W", help="processes to run here")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    own = options.classes / CLUSTERS[-1].size
    lines = [
        description("benchmarks/distributed/simulate.py", {"torch": torch.__version__}, "a model, not a measurement"),
        f"C = {options.classes:,}, D = {options.dim}, float32, histories of {CLUSTERS[0].history}; sent by a process.",
        "",
        "| W, B, S, link | classes asked for | busiest owner / mean | MB, rows + sample | MB, queries | MB, in-batch "
        "| GB, dense gradients | ms | ms, by machines | ms, in-batch |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(row(rng, cluster, options.classes, options.dim) for cluster in CLUSTERS),
        "",
        f"Each of {CLUSTERS[-1].size:,} processes has {own * (options.dim + 1) * NUMBER / 1e6:,.0f} MB of rows and "
        f"biases, {own * 2 * NUMBER / 1e6:,.0f} MB of row-wise Adagrad, {own * 12 / 1e6:,.0f} MB of alias tables.",
        "",
        *(checked(options.check) if options.check else []),
    ]
    text = "\n".join(lines)
    print(text)
    if options.output is not None:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
