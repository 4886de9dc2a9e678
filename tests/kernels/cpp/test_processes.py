"""The compiled sampled loss with others beside it: threads that train, and processes that were forked after use."""

import os
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from logq import kernels
from logq.candidates import Candidates
from logq.functional import sampled_loss
from logq.nn import NCELoss, SampledSoftmaxLoss
from logq.samplers import Uniform

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
# Python 3.12 and later warn of what is tested here: that other threads are running.
pytestmark = [pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")]

ROWS, WIDTH, CLASSES = 300, 24, 500


def train(seed: int, steps: int = 4) -> list[Tensor]:
    """A few steps of two models, shared and per-row samples; large enough for several threads. Their tables."""
    tables = []
    for per_row in (False, True):
        g = torch.Generator().manual_seed(seed)
        module = (NCELoss if per_row else SampledSoftmaxLoss)(
            WIDTH, CLASSES, Uniform(CLASSES, 60, seed=seed, per_row=per_row), dtype=torch.float64, sparse=True
        )
        with torch.no_grad():
            module.weight.copy_(torch.randn(CLASSES, WIDTH, generator=g, dtype=torch.float64))
        optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
        for _ in range(steps):
            optimizer.zero_grad()
            input = torch.randn(ROWS, WIDTH, generator=g, dtype=torch.float64)
            module(input, torch.randint(CLASSES, (ROWS,), generator=g)).backward()
            optimizer.step()
        tables.append(module.weight.detach().clone())
    return tables


@pytest.fixture
def threads():
    """Two threads of torch, whatever the tests have."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def alike(actual: list[Tensor], expected: list[Tensor]) -> bool:
    return all(torch.allclose(a, e, rtol=1e-9, atol=1e-9) for a, e in zip(actual, expected, strict=True))


def test_two_models_train_in_two_threads(threads):
    assert kernels.active()["sampled_loss"] == "cpp"
    expected = [train(seed) for seed in (1, 2)]
    found: dict[int, list[Tensor]] = {}
    workers = [threading.Thread(target=lambda seed=seed: found.update({seed: train(seed)})) for seed in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert sorted(found) == [1, 2]
    assert alike(found[1], expected[0])
    assert alike(found[2], expected[1])
    assert not alike(found[1], expected[1])


def in_child(work: Callable[[], bool]) -> int:
    """The exit status of a forked process: 0 if `work` is true, 1 if it is false or raises, 9 if it hangs."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if work() else 1
        finally:
            os._exit(status)
    killer = threading.Timer(30, os.kill, (child, 9))
    killer.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        killer.cancel()


@forking
def test_a_process_that_was_forked_after_use_trains(threads):
    """The threads of the parent are not there in the child; a pool that still waits for them would hang."""
    expected = train(3)

    def work() -> bool:
        torch.set_num_threads(1)  # torch's own operations want this of a child
        return alike(train(3), expected)

    assert in_child(work) == 0
    assert in_child(lambda: False) == 1
    assert alike(train(3), expected)  # and the parent goes on


@forking
def test_compiled_code_asks_nothing_of_a_child(threads):
    """Without a word about threads in the child, as users say none: nothing of ours may hang.

    Samples of their own, whose losses need no product of torch: those would wait for the threads of the parent, as all
    large operations of torch do in a forked process that has not called torch.set_num_threads(1).
    """
    g = torch.Generator().manual_seed(1)
    input = torch.randn(ROWS, WIDTH, generator=g, requires_grad=True)
    weight = torch.randn(CLASSES, WIDTH, generator=g, requires_grad=True)
    candidates = Uniform(CLASSES, 60, seed=1, per_row=True).draw(torch.randint(CLASSES, (ROWS,), generator=g))

    def gradients() -> list[Tensor]:
        loss = sampled_loss("sampled_softmax", input, weight, candidates, sparse=True)
        return [loss.detach(), *(x.values() if x.is_sparse else x for x in torch.autograd.grad(loss, (input, weight)))]

    expected = gradients()
    # Too small for threads of torch's own operations; and backward runs in the thread that calls it.
    assert torch.get_num_threads() == 2
    assert in_child(lambda: alike(gradients(), expected)) == 0


class Losses(Dataset[Tensor]):
    """Item i is a loss that a worker computes, as one would to look for hard examples."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Tensor:
        g = torch.Generator().manual_seed(index)
        input, weight = torch.randn(64, 8, generator=g), torch.randn(50, 8, generator=g, requires_grad=True)
        # Made by hand: a sampler draws other classes in each worker.
        ids, targets = torch.randint(50, (20,), generator=g), torch.randint(50, (64,), generator=g)
        candidates = Candidates(ids, torch.zeros(20), targets, torch.zeros(64))
        loss = sampled_loss("nce", input, weight, candidates)
        loss.backward()
        return torch.stack([loss.detach(), weight.grad.sum()])


@forking
def test_workers_of_a_data_loader(threads):
    train(4, steps=1)
    expected = torch.stack([Losses()[i] for i in range(6)])
    loader = DataLoader(Losses(), batch_size=2, num_workers=2, multiprocessing_context="fork", timeout=60)
    torch.testing.assert_close(torch.cat(list(loader)), expected)
