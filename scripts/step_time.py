"""Time a training step against the number of classes, and draw the figure of the README.

    python scripts/step_time.py --figure docs/step-time.svg --threads 1     # two minutes

256 rows of 128 numbers and SGD: PyTorch's Linear and cross_entropy over all classes, the same 1,024 sampled classes as
PyTorch code usually has them, whose gradient is as large as the table, and logq's. The contestants take turns; what is
drawn are medians. A contestant that needs more than half of the free memory, or --most seconds a step, stops there.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional

from logq.nn import SampledSoftmaxLoss
from logq.optim import SGD
from logq.samplers import Uniform

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from machine import available_bytes, description

ROWS, WIDTH, NUM_SAMPLED, RATE = 256, 128, 1024, 0.1
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
TURNS = 9

Step = Callable[[], object]


def full(size: int) -> Step:
    """PyTorch over all classes."""
    layer = torch.nn.Linear(WIDTH, size)
    optimizer = torch.optim.SGD(layer.parameters(), RATE)

    def step() -> None:
        inputs, targets = batch(size)
        optimizer.zero_grad()
        functional.cross_entropy(layer(inputs), targets).backward()
        optimizer.step()

    return step


def sampled(size: int) -> Step:
    """PyTorch over the targets and sampled classes, with log Q, and a gradient for every row of the table."""
    weight = torch.nn.Parameter(torch.empty(size, WIDTH).normal_(0, WIDTH**-0.5))
    optimizer = torch.optim.SGD([weight], RATE)
    log_q = torch.tensor(NUM_SAMPLED / size).log()

    def step() -> None:
        inputs, targets = batch(size)
        optimizer.zero_grad()
        drawn = torch.randint(size, (NUM_SAMPLED,))
        true = (inputs * functional.embedding(targets, weight)).sum(dim=1, keepdim=True)
        other = inputs @ functional.embedding(drawn, weight).T
        other = other.masked_fill(drawn == targets[:, None], -torch.inf)
        logits = torch.cat([true, other], dim=1) - log_q
        functional.cross_entropy(logits, torch.zeros_like(targets)).backward()
        optimizer.step()

    return step


def ours(size: int) -> Step:
    """The same loss of logq, with a gradient of the rows that were used."""
    loss = SampledSoftmaxLoss(WIDTH, size, Uniform(size, NUM_SAMPLED, seed=1), sparse=True)
    optimizer = SGD(loss.parameters(), RATE)

    def step() -> None:
        inputs, targets = batch(size)
        optimizer.zero_grad()
        loss(inputs.requires_grad_(), targets).backward()
        optimizer.step()

    return step


def batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and their classes."""
    return torch.randn(ROWS, WIDTH), torch.randint(size, (ROWS,))


CONTESTANTS: dict[str, tuple[Callable[[int], Step], Callable[[int], int]]] = {
    "PyTorch, all classes": (full, lambda size: 4 * size * (3 * WIDTH + 3 * ROWS)),
    "PyTorch, 1,024 sampled": (sampled, lambda size: 4 * size * 3 * WIDTH),
    "logq, 1,024 sampled": (ours, lambda size: 4 * size * WIDTH),
}
"""How a step is made, and about how many bytes it needs."""


def seconds(step: Step, memory: torch.Tensor) -> float:
    """How long a step takes that finds nothing in the cache, as in a loop with a model around it."""
    memory.add_(1)
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def measure(sizes: tuple[int, ...], most: float) -> dict[str, dict[int, float]]:
    """Median seconds of a step, by contestant and number of classes."""
    found: dict[str, dict[int, float]] = {name: {} for name in CONTESTANTS}
    memory = torch.zeros(1 << 25)  # 128 MB, more than a cache
    for size in sizes:
        steps = {
            name: make(size)
            for name, (make, needs) in CONTESTANTS.items()
            if needs(size) < available_bytes() / 2 and max(found[name].values(), default=0.0) < most
        }
        times: dict[str, list[float]] = {name: [] for name in steps}
        for turn in range(-2, TURNS):
            for name, step in steps.items():
                taken = seconds(step, memory)
                if turn >= 0:
                    times[name].append(taken)
        for name, each in times.items():
            found[name][size] = statistics.median(each)
            print(f"{size:>12,} classes: {name:24} {1e3 * found[name][size]:9.2f} ms a step", flush=True)
    return found


def draw(found: dict[str, dict[int, float]], path: Path) -> None:
    """The figure, in colors that can be told apart on light and dark pages."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "logq", "svg.fonttype": "none", "font.family": "sans-serif"})
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.6))
    for (name, times), color in zip(found.items(), ("#9a9a9a", "#6f7fa8", "#d1495b"), strict=True):
        sizes = list(times)
        axes.loglog(sizes, [1e3 * times[size] for size in sizes], "o-", color=color, linewidth=2.5, markersize=5)
        last, beside = sizes[-1], {"xytext": (9, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(name, (last, 1e3 * times[last]), color=color, weight="bold", **beside)
    axes.set_xlim(right=2e9)  # room for the names
    axes.set_xticks([10**power for power in range(3, 8)], ["1,000", "10,000", "100,000", "1 million", "10 million"])
    axes.set_yticks([1, 10, 100, 1000], ["1 ms", "10 ms", "100 ms", "1 s"])
    axes.minorticks_off()
    axes.set_xlabel("classes", loc="left")
    axes.set_title(f"A training step of {ROWS} rows of {WIDTH}, on a CPU", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, metavar="FILE", help="where the figure goes, .svg")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="N", help="numbers of classes")
    parser.add_argument("--most", type=float, default=2.0, metavar="SECONDS", help="of a step (default: 2)")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(arguments.threads)
    print(description("scripts/step_time.py", {"torch": torch.__version__}))
    found = measure(tuple(arguments.sizes), arguments.most)
    if arguments.figure:
        draw(found, arguments.figure)


if __name__ == "__main__":
    main()
