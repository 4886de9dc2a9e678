"""Draw the figure of docs/diagnostics.md: errors of the softmax gradient for a made-up language.

    python scripts/gradient_errors.py --figure docs/diagnostics.svg

20,000 words whose frequencies follow Zipf's law, 256 queries and word vectors of 32 normal deviates: F(x, y) is an
inner product plus the log of the frequency of y. Words are probable mostly because they are frequent, and some because
they fit.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from logq.diagnostics import GradientErrors, gradient_error, plot
from logq.samplers import Sampler, Uniform, Unigram

WORDS, WIDTH, QUERIES = 20_000, 32, 256
SIZES = (16, 64, 256, 1024, 4096)
WANTED = 0.1


def measure(seed: int, repeats: int = 32, sizes: tuple[int, ...] = SIZES) -> GradientErrors:
    """The errors that the figure shows."""
    generator = torch.Generator().manual_seed(seed)
    counts = 1e6 / torch.arange(1, WORDS + 1)
    weight = 0.3 * torch.randn(WORDS, WIDTH, generator=generator)
    inputs = torch.randn(QUERIES, WIDTH, generator=generator)
    bias = (counts / counts.sum()).log()
    samplers: dict[str, Sampler | Callable[[int], Sampler]] = {
        "uniform": Uniform(WORDS, 1),
        "unigram^0.75": Unigram(counts, 1, power=0.75),
        "unigram": Unigram(counts, 1),
        "unigram, distinct": Unigram(counts, 1, replacement=False),
    }
    return gradient_error(inputs, weight, samplers, sizes, bias=bias, repeats=repeats, seed=seed, progress=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, help="where the figure goes: .svg, .png or .pdf")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    errors = measure(arguments.seed)
    print(errors.table())
    for name in errors.samplers:
        print(f"{name}: {errors.num_sampled_for(WANTED, name)} samples for an error of {WANTED}")
    if arguments.figure:
        plot(errors, arguments.figure, error=WANTED)


if __name__ == "__main__":
    main()
