"""The memory that a step takes beside table and state: that of what it touches, whatever the number of classes."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux, which tells peaks")

STEP = """
import sys
from pathlib import Path

import torch
from logq.hierarchical import HierarchicalSoftmax
from logq.nn import SampledSoftmaxLoss
from logq.optim import Adagrad
from logq.samplers import LogUniform

rows, sampled, classes, width, in_backward, own = map(int, sys.argv[1:])
torch.set_num_threads(1)
torch.manual_seed(1)


def made(classes):
    if sampled:
        sampler = LogUniform(classes, sampled, seed=1, per_row=bool(own))
        loss = SampledSoftmaxLoss(width, classes, sampler, sparse=True)
    else:
        loss = HierarchicalSoftmax(width, torch.ones(classes), sparse=True)
    optimizer = Adagrad(loss.parameters(), lr=0.1, in_backward=bool(in_backward))
    for one in loss.parameters():
        optimizer.state[one]["sum"].fill_(0.1)  # pages that are there
    return loss, optimizer


def step(loss, optimizer, input, targets):
    optimizer.zero_grad()
    loss(input, targets).backward()
    optimizer.step()


def resident(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) * 1024


input = torch.randn(rows, width, requires_grad=True)
targets = torch.randint(0, classes, (rows,))
# Libraries load what they load at the first step.
step(*made(2 * sampled or 9), torch.randn(2, width, requires_grad=True), torch.tensor([0, 1]))
training = made(classes)
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
for _ in range(3):
    step(*training, input, targets)
print(resident("VmHWM") - before)
"""

TILE = 4 << 21  # logits in float32, as logq.kernels.cpp.tiles holds them
SLACK = 8 << 20  # what allocators keep


def peak(rows: int, sampled: int, classes: int, width: int, *, in_backward: bool, own: bool = False) -> int:
    """Bytes above inputs, table and state, in a process of its own."""
    arguments = map(str, (rows, sampled, classes, width, int(in_backward), int(own)))
    done = subprocess.run([sys.executable, "-c", STEP, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("in_backward", [False, True])
@pytest.mark.parametrize(
    ("rows", "sampled", "classes"),
    [(4096, 4096, 200_000), pytest.param(8192, 8192, 10_000_000, marks=pytest.mark.slow)],
)
def test_of_a_shared_sample(rows: int, sampled: int, classes: int, in_backward: bool) -> None:
    bound = 6 * (rows + sampled) * 64 * 4 + TILE + SLACK  # measured: 4.8 with stored gradients, 2.6 and 3.1 without
    assert bound < min(4 * rows * sampled, 4 * classes * 64)
    assert peak(rows, sampled, classes, 64, in_backward=in_backward) < bound


def test_of_samples_of_their_own() -> None:
    """Updated inside of backward: nothing with a row for each of the (B, S) sampled classes is made."""
    bound = 6 * 4096 * 64 * 4 + 64 * 4096 * 101 + SLACK
    assert bound < min(4 * 4096 * 100 * 64, 4 * 200_000 * 64)
    assert peak(4096, 100, 200_000, 64, in_backward=True, own=True) < bound


def test_of_paths_through_a_tree() -> None:
    """Hierarchical softmax, marked by no sample: nothing with a row for each node of each path is made."""
    rows, classes, depth = 1 << 14, 200_000, 18
    bound = 4 * rows * 64 * 4 + 64 * rows * depth + SLACK  # measured: 30 of 44 MB
    assert bound < min(4 * rows * depth * 64, 4 * classes * 64)
    assert peak(rows, 0, classes, 64, in_backward=True) < bound
