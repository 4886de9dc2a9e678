"""The memory that training a large class table takes: table + state of the optimizer + O(B D + S D + tile).

    python benchmarks/losses/claim.py                     B = S = 8,192, C = 10 million, D = 64, float32
    python benchmarks/losses/claim.py --optimizer adagrad --classes 1_000_000 --plain

Prints what the tables take, what a step takes above them, and what that is beside 4 (B D + S D) bytes and beside the
(B, S) logits and the (C, D) gradient that are not made. `--plain` measures plain PyTorch's sparse gradients instead.
"""

import argparse
import resource

import torch
from contestants import ours, plain
from numbers_in_torch import problem
from resident import Peak, resident
from workloads import OPTIMIZERS, Case


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=10_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--sampled", type=int, default=8192)
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="sgd")
    parser.add_argument("--objective", default="sampled_softmax")
    parser.add_argument("--in-backward", action="store_true", help="update inside of backward")
    parser.add_argument("--plain", action="store_true", help="plain PyTorch with sparse gradients instead")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = (options.classes, options.dim, options.batch, options.sampled)
    case = Case(options.objective, True, *sizes, options.optimizer)

    def build(case: Case):
        made = problem(case)
        if options.plain:
            return plain(made, sparse=True, compiled=False, tuned=True)
        return ours(made, in_backward=options.in_backward)

    build(case.scaled(0.01)).step(0)  # what libraries load at their first use is not a step's
    contestant = build(case)
    table = contestant.weight.nbytes
    state = contestant.state_bytes()
    peak = Peak()
    for index in range(options.steps):
        contestant.step(index)
    later = contestant.state_bytes() - state
    step = peak.bytes() - later
    lines = {
        "class table": table,
        "state of the optimizer": state + later,
        "a step above them, at its peak": step,
        "4 (B D + S D)": 4 * (case.batch + case.sampled) * case.dim,
        "(B, S) logits, not made": 4 * case.batch * case.sampled,
        "(C, D) gradient, not made": table,
        "resident now, with Python and torch": resident(),
        "most that was resident ever": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(
        f"{case}, {options.threads} threads, {'plain PyTorch' if options.plain else 'logq'}\n\n| | MB |\n| --- | ---: |"
    )
    for name, size in lines.items():
        print(f"| {name} | {size / 1e6:,.1f} |")


if __name__ == "__main__":
    main()
