"""How fast samplers draw, beside what people draw with today, in one run.

Every line is measured several times, its competitors in turn, and the medians are compared. Draws that would take a
competitor minutes are made fewer and scaled up: their column says how many there were. Nothing here is a test; what
other programs do on the machine shows in the numbers.

    python benchmarks/samplers.py
    python benchmarks/samplers.py --threads 4 --repeat 7
    python benchmarks/samplers.py --scale 0.01        # all sizes a hundred times smaller, to try it out
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from logq import kernels
from logq.samplers import LogUniform, Unigram
from logq.samplers.alias import AliasTable

TORCH_LIMIT = 1 << 24
"""torch.multinomial takes no more categories than this."""


class Contestant(NamedTuple):
    """Something to time, and the part of the whole work that one call of it does."""

    name: str
    run: Callable[[], object]
    share: float = 1.0
    note: str = ""


def seconds(contestants: list[Contestant], repeat: int) -> list[float]:
    """Median seconds for the whole work of each, called in turn so that a slow minute of the machine hits all."""
    times: list[list[float]] = [[] for _ in contestants]
    for _ in range(repeat):
        for contestant, of_contestant in zip(contestants, times, strict=True):
            gc.collect()
            start = time.perf_counter()
            contestant.run()
            of_contestant.append((time.perf_counter() - start) / contestant.share)
    return [statistics.median(of_contestant) for of_contestant in times]


def show(title: str, contestants: list[Contestant], repeat: int) -> None:
    """A table of medians, and how many times longer than the first, which is ours."""
    print(f"\n{title}")
    medians = seconds(contestants, repeat)
    for contestant, median in zip(contestants, medians, strict=True):
        ratio = "" if contestant is contestants[0] else f"{median / medians[0]:9.1f} x"
        print(f"  {contestant.name:<44}{median:10.4f} s {ratio:<12} {contestant.note}".rstrip())


def zipf(num_classes: int) -> np.ndarray:
    """Counts of a vocabulary in no order, as those of items are."""
    return np.random.default_rng(1).permutation(1e7 / np.arange(1, num_classes + 1))


def unigram_draws(num_draws: int, num_classes: int, repeat: int) -> None:
    counts = zipf(num_classes)
    p = counts / counts.sum()
    sampler = Unigram(counts, num_draws, seed=1)
    target = torch.zeros(1, dtype=torch.int64)
    numpy_random, torch_random = np.random.default_rng(1), torch.Generator().manual_seed(1)
    cumulative = np.cumsum(p)
    p_tensor, cumulative_tensor = torch.from_numpy(p), torch.from_numpy(cumulative)
    fewer = max(1, num_draws // 10)
    contestants = [
        Contestant("logq Unigram.draw, with its log Q", lambda: sampler.draw(target)),
        Contestant(
            "logq AliasTable.sample, ids only",
            lambda: sampler.table.sample((num_draws,), torch_random),
            note="prepared",
        ),
        Contestant(
            "numpy Generator.choice(p=)",
            lambda: numpy_random.choice(num_classes, fewer, p=p),
            fewer / num_draws,
            f"from {fewer:,} draws",
        ),
        Contestant(
            "numpy searchsorted on the cumulative sum",
            lambda: np.searchsorted(cumulative, numpy_random.random(fewer)),
            fewer / num_draws,
            f"prepared; from {fewer:,} draws",
        ),
        Contestant(
            "torch searchsorted on the cumulative sum",
            lambda: torch.searchsorted(
                cumulative_tensor, torch.rand(fewer, dtype=torch.float64, generator=torch_random)
            ),
            fewer / num_draws,
            f"prepared; from {fewer:,} draws",
        ),
    ]
    if num_classes <= TORCH_LIMIT:
        contestants.append(
            Contestant(
                "torch.multinomial",
                lambda: torch.multinomial(p_tensor, fewer, replacement=True, generator=torch_random),
                fewer / num_draws,
                f"from {fewer:,} draws",
            )
        )
    show(f"{num_draws:,} unigram draws over {num_classes:,} classes", contestants, repeat)


def alias_builds(num_classes: int, repeat: int) -> None:
    weights = torch.from_numpy(zipf(num_classes))

    def build(backend: str) -> AliasTable:
        with kernels.use(backend):
            return AliasTable(weights)

    show(
        f"alias table of {num_classes:,} classes",
        [Contestant(f"backend {backend}", lambda backend=backend: build(backend)) for backend in kernels.BACKENDS],
        repeat,
    )


def distinct_draws(num_sampled: int, num_classes: int, repeat: int) -> None:
    sampler = LogUniform(num_classes, num_sampled, replacement=False, seed=1)
    p = sampler.log_prob(torch.arange(num_classes)).double().exp()
    p /= p.sum()
    numpy_random, torch_random = np.random.default_rng(1), torch.Generator().manual_seed(1)
    target = torch.zeros(256, dtype=torch.int64)
    contestants = [
        Contestant("logq LogUniform.draw, with its log Q", lambda: sampler.draw(target)),
        Contestant(
            "numpy Generator.choice(p=, replace=False)",
            lambda: numpy_random.choice(num_classes, num_sampled, replace=False, p=p.numpy()),
        ),
    ]
    if num_classes <= TORCH_LIMIT:
        contestants.append(
            Contestant(
                "torch.multinomial(replacement=False)",
                lambda: torch.multinomial(p, num_sampled, replacement=False, generator=torch_random),
            )
        )
    show(f"{num_sampled:,} of {num_classes:,} log-uniform classes without replacement", contestants, repeat)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    parser.add_argument(
        "--repeat", type=int, default=5, help="measurements of each line, the median counts (default 5)"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all sizes (default 1)")
    options = parser.parse_args()
    if options.threads < 1 or options.repeat < 1 or options.scale <= 0:
        parser.error("--threads, --repeat and --scale must be positive")
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, numpy {np.__version__}, {options.threads} thread(s), median of {options.repeat}")

    def sized(number: int) -> int:
        return max(1, round(number * options.scale))

    unigram_draws(sized(10_000_000), sized(1_000_000), options.repeat)
    alias_builds(sized(1_000_000), options.repeat)
    alias_builds(sized(10_000_000), min(3, options.repeat))
    distinct_draws(sized(8_192), sized(1_000_000), options.repeat)


if __name__ == "__main__":
    main()
