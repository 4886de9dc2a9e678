"""What a training step gains when its draws are made one step ahead, by `logq.samplers.Prefetch`.

Steps (forward, backward, update) of sampled softmax over a million classes, with the draws made in place and ahead. The
two take turns on the same table, ten steps each; the draw in place is also timed by itself.

    python benchmarks/prefetch.py                     # on all cores, as people train
    python benchmarks/prefetch.py --threads 1         # with a core that stands idle
    python benchmarks/prefetch.py --scale 0.01        # a hundred times smaller, to try it out
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch

from logq.nn import SampledSoftmaxLoss
from logq.optim import SGD
from logq.samplers import LogUniform, Prefetch, Sampler, Unigram

SAMPLES = {
    "1,024 shared": (1024, {}),
    "8,192 shared": (8192, {}),
    "8,192 different": (8192, {"replacement": False}),
    "20 per row": (20, {"per_row": True}),
    "100 per row": (100, {"per_row": True}),
}
DIM = 128


IN_A_ROW = 10
"""Steps of one kind in a turn, so that a draw made ahead falls into a step of its kind."""


def milliseconds(run: Callable[[], object]) -> float:
    """The time of one call, of those of a turn."""
    start = time.perf_counter()
    for _ in range(IN_A_ROW):
        run()
    return (time.perf_counter() - start) / IN_A_ROW * 1e3


def in_turn(step: Callable[[Sampler], None], sampler: Sampler, targets: torch.Tensor, turns: int) -> list[float]:
    """Milliseconds of a draw in place, of a step with it and of a step with draws made ahead: medians."""
    ahead = Prefetch(copy.deepcopy(sampler))
    times: list[tuple[float, float, float]] = []
    for _ in range(turns + 1):
        draw = milliseconds(lambda: sampler.draw(targets))
        in_place, made_ahead = milliseconds(lambda: step(sampler)), milliseconds(lambda: step(ahead))
        times.append((draw, in_place, made_ahead))
        time.sleep(0.05)  # for the thread to end its last draw, which is not to disturb the others
    return [statistics.median(of_one) for of_one in zip(*times[1:], strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch (default: all cores)")
    parser.add_argument("--samples", nargs="+", default=list(SAMPLES), choices=list(SAMPLES), help="only these")
    parser.add_argument("--turns", type=int, default=7, help="of ten steps each, the median counts (default 7)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies classes, batch and shared samples")
    options = parser.parse_args()
    if options.threads < 1 or options.turns < 1 or options.scale <= 0:
        parser.error("--threads, --turns and --scale must be positive")
    torch.set_num_threads(options.threads)
    num_classes, batch = (max(200, round(size * options.scale)) for size in (1_000_000, 4096))
    counts = 1e7 / torch.arange(1, num_classes + 1, dtype=torch.float64)
    inputs, targets = torch.randn(batch, DIM), torch.multinomial(counts, batch, replacement=True)
    print(f"torch {torch.__version__}, {options.threads} thread(s), C = {num_classes:,}, B = {batch:,}, D = {DIM}")
    print(f"{'':36}{'draw':>9}{'step':>10}{'ahead':>10}   medians of {options.turns} in ms, the last two in turn")
    loss = SampledSoftmaxLoss(DIM, num_classes, LogUniform(num_classes, 1), sparse=True)
    optimizer = SGD(loss.parameters(), lr=0.01)

    def step(sampler: Sampler) -> None:
        loss.sampler = sampler
        loss(inputs, targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    for name in options.samples:
        size, way = SAMPLES[name]
        num_sampled = size if "per_row" in way else max(1, round(size * options.scale))
        for distribution, sampler in (
            ("Unigram", Unigram(counts, num_sampled, seed=1, **way)),
            ("LogUniform", LogUniform(num_classes, num_sampled, seed=1, **way)),
        ):
            draw, in_place, made_ahead = in_turn(step, sampler, targets, options.turns)
            case = f"{distribution}, {name}"
            print(f"{case:36}{draw:9.2f}{in_place:10.2f}{made_ahead:10.2f}   {made_ahead / in_place:.3f} x")


if __name__ == "__main__":
    main()
