"""How fast samplers draw, beside what people draw with today, in one run.

Every line is measured several times, its competitors in turn, and the medians are compared. Of ten million draws the
competitors make a tenth, which is scaled up. Nothing here is a test; what other programs do on the machine shows in the
numbers.

    python benchmarks/samplers.py
    python benchmarks/samplers.py --threads 4 --repeat 7
    python benchmarks/samplers.py --scale 0.01        # all sizes a hundred times smaller, to try it out
    python benchmarks/samplers.py --tensorflow VENV/bin/python    # beside TensorFlow's samplers, where it is installed

TensorFlow runs in a process of its own and says how long its calls took; ours and its calls take turns.
"""

import argparse
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from logq import kernels
from logq.samplers import LearnedUnigram, LogUniform, Sampler, Uniform, Unigram
from logq.samplers.alias_table import AliasTable

TORCH_LIMIT = 1 << 24
"""torch.multinomial takes no more categories than this."""


BATCH = 1024
"""Targets of a draw, each of which gets its expected count."""

CALLS = 20
"""Calls in a measurement of what takes less than a millisecond."""


class Contestant(NamedTuple):
    """Something to time, and the part of the whole work that one call of it does."""

    name: str
    run: Callable[[], object]
    share: float = 1.0
    note: str = ""
    calls: int = 1
    """The number of calls that make one measurement."""


class TensorFlow:
    """The process with TensorFlow's samplers."""

    def __init__(self, python: str, threads: int) -> None:
        script = Path(__file__).with_name("tensorflow_samplers.py")
        self.process = subprocess.Popen(
            [python, str(script), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.version = self.answer()

    def answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit("--tensorflow: that Python gives no answer; can it import tensorflow?")
        return line.strip()

    def contestant(self, name: str, num_classes: int, num_sampled: int, batch: int, calls: int) -> Contestant:
        def run() -> float:
            assert self.process.stdin is not None
            self.process.stdin.write(f"{name} {num_classes} {num_sampled} {batch} {calls}\n")
            self.process.stdin.flush()
            return float(self.answer())

        return Contestant(f"TensorFlow {self.version} {name}", run)


def seconds(contestants: list[Contestant], repeat: int) -> list[float]:
    """Median seconds for the whole work of each, called in turn so that a slow minute of the machine hits all."""
    times: list[list[float]] = [[] for _ in contestants]
    for _ in range(repeat):
        for contestant, of_contestant in zip(contestants, times, strict=True):
            gc.collect()
            start = time.perf_counter()
            for _ in range(contestant.calls):
                answer = contestant.run()
            took = (time.perf_counter() - start) / contestant.calls
            # A contestant in another process says itself how long it took.
            of_contestant.append((answer if isinstance(answer, float) else took) / contestant.share)
            del answer  # a draw of many megabytes, which is not to be freed while the next one is timed
    return [statistics.median(of_contestant) for of_contestant in times]


def show(title: str, contestants: list[Contestant], repeat: int, draws: int | None = None) -> None:
    """A table of medians, and how many times longer than the first, which is ours."""
    print(f"\n{title}")
    medians = seconds(contestants, repeat)
    for contestant, median in zip(contestants, medians, strict=True):
        ratio = "" if contestant is contestants[0] else f"{median / medians[0]:9.1f} x"
        each = "" if draws is None else f"{median / draws * 1e9:9.1f} ns a draw "
        print(f"  {contestant.name:<46}{median * 1e3:10.3f} ms {each}{ratio:<12} {contestant.note}".rstrip())


def zipf(num_classes: int) -> np.ndarray:
    """Counts of a vocabulary in no order, as those of items are."""
    return np.random.default_rng(1).permutation(1e7 / np.arange(1, num_classes + 1))


def unigram_draws(num_draws: int, num_classes: int, repeat: int) -> None:
    counts = zipf(num_classes)
    p = counts / counts.sum()
    fewer = max(1, num_draws // 10)
    sampler = Unigram(counts, fewer, seed=1)
    target = torch.zeros(1, dtype=torch.int64)
    numpy_random, torch_random = np.random.default_rng(1), torch.Generator().manual_seed(1)
    cumulative = np.cumsum(p)
    p_tensor, cumulative_tensor = torch.from_numpy(p), torch.from_numpy(cumulative)
    contestants = [
        Contestant("logq Unigram.draw, with its log Q", lambda: sampler.draw(target), fewer / num_draws, calls=10),
        Contestant(
            "logq AliasTable.sample, ids only",
            lambda: sampler.table.sample((fewer,), torch_random),
            fewer / num_draws,
            "prepared",
            calls=10,
        ),
        Contestant(
            "numpy Generator.choice(p=)",
            lambda: numpy_random.choice(num_classes, fewer, p=p),
            fewer / num_draws,
            "from one call",
        ),
        Contestant(
            "numpy searchsorted on the cumulative sum",
            lambda: np.searchsorted(cumulative, numpy_random.random(fewer)),
            fewer / num_draws,
            "prepared; from one call",
        ),
        Contestant(
            "torch searchsorted on the cumulative sum",
            lambda: torch.searchsorted(
                cumulative_tensor, torch.rand(fewer, dtype=torch.float64, generator=torch_random)
            ),
            fewer / num_draws,
            "prepared; from one call",
        ),
    ]
    if num_classes <= TORCH_LIMIT:
        contestants.append(
            Contestant(
                "torch.multinomial",
                lambda: torch.multinomial(p_tensor, fewer, replacement=True, generator=torch_random),
                fewer / num_draws,
                "from one call",
            )
        )
    show(f"{num_draws:,} unigram draws, {fewer:,} a call, over {num_classes:,} classes", contestants, repeat, num_draws)


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


def distinct_draws(num_sampled: int, num_classes: int, repeat: int, tensorflow: TensorFlow | None) -> None:
    sampler = LogUniform(num_classes, num_sampled, replacement=False, seed=1)
    p = sampler.log_prob(torch.arange(num_classes)).double().exp()
    p /= p.sum()
    numpy_random, torch_random = np.random.default_rng(1), torch.Generator().manual_seed(1)
    contestants = [
        ours("logq LogUniform.draw, with its log Q", sampler),
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
    contestants += theirs(tensorflow, "log_uniform-unique", sampler)
    show(f"{num_sampled:,} of {num_classes:,} log-uniform classes without replacement", contestants, repeat)

    uniform = Uniform(num_classes, num_sampled, replacement=False, seed=1)
    contestants = [
        ours("logq Uniform.draw, with its log Q", uniform),
        Contestant(
            "numpy Generator.choice(replace=False)",
            lambda: numpy_random.choice(num_classes, num_sampled, replace=False),
            calls=CALLS,
        ),
        Contestant("torch.randperm", lambda: torch.randperm(num_classes, generator=torch_random)[:num_sampled]),
        *theirs(tensorflow, "uniform-unique", uniform),
    ]
    show(f"{num_sampled:,} of {num_classes:,} classes alike without replacement", contestants, repeat)

    unigram = Unigram(zipf(num_classes), num_sampled, replacement=False, seed=1)
    p = torch.from_numpy(zipf(num_classes) / zipf(num_classes).sum())
    contestants = [
        ours("logq Unigram.draw, with its log Q", unigram),
        Contestant(
            "numpy Generator.choice(p=, replace=False)",
            lambda: numpy_random.choice(num_classes, num_sampled, replace=False, p=p.numpy()),
        ),
    ]
    show(f"{num_sampled:,} of {num_classes:,} unigram classes without replacement", contestants, repeat)


def learned_draws(num_sampled: int, num_classes: int, repeat: int, tensorflow: TensorFlow | None) -> None:
    """Steps of a training: a draw, and the targets taken in."""
    sampler = LearnedUnigram(num_classes, num_sampled, seed=1)
    contestants = [ours("logq LearnedUnigram.draw", sampler), *theirs(tensorflow, "learned_unigram", sampler)]
    what = f"{num_sampled:,} learned unigram draws and {BATCH:,} targets over {num_classes:,} classes"
    show(what, contestants, repeat)
    targets = random_targets(num_classes)
    show(
        f"{BATCH:,} targets learned, and the table of {num_classes:,} classes built again",
        [
            Contestant("logq LearnedUnigram.learn", lambda: sampler.learn(targets), calls=CALLS),
            Contestant("the table", sampler._build, note="once in as many targets as there are classes"),
        ],
        repeat,
    )


def random_targets(num_classes: int) -> torch.Tensor:
    return torch.randint(num_classes, (BATCH,), generator=torch.Generator().manual_seed(2))


def ours(name: str, sampler: Sampler) -> Contestant:
    targets = random_targets(sampler.num_classes)
    return Contestant(name, lambda: sampler.draw(targets), calls=CALLS)


def theirs(tensorflow: TensorFlow | None, name: str, sampler: Sampler) -> list[Contestant]:
    if tensorflow is None:
        return []
    num_sampled = sampler.num_sampled
    assert isinstance(num_sampled, int)
    return [tensorflow.contestant(name, sampler.num_classes, num_sampled, BATCH, CALLS)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    parser.add_argument(
        "--repeat", type=int, default=5, help="measurements of each line, the median counts (default 5)"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all sizes (default 1)")
    parser.add_argument("--tensorflow", metavar="PYTHON", help="the Python of an environment that has tensorflow")
    options = parser.parse_args()
    if options.threads < 1 or options.repeat < 1 or options.scale <= 0:
        parser.error("--threads, --repeat and --scale must be positive")
    torch.set_num_threads(options.threads)
    tensorflow = None if options.tensorflow is None else TensorFlow(options.tensorflow, options.threads)
    print(f"torch {torch.__version__}, numpy {np.__version__}, {options.threads} thread(s), median of {options.repeat}")
    if tensorflow is None:
        print("TensorFlow is not measured: --tensorflow PYTHON names an environment that has it")

    def sized(number: int) -> int:
        return max(1, round(number * options.scale))

    unigram_draws(sized(10_000_000), sized(1_000_000), options.repeat)
    alias_builds(sized(1_000_000), options.repeat)
    alias_builds(sized(10_000_000), min(3, options.repeat))
    distinct_draws(sized(8_192), sized(1_000_000), options.repeat, tensorflow)
    learned_draws(sized(8_192), sized(1_000_000), options.repeat, tensorflow)


if __name__ == "__main__":
    main()
