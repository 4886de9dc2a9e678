"""What the contract in test_contract.py does not ask of a sampler that draws one step ahead."""

import gc
import multiprocessing
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from logq.samplers import (
    Draw,
    EveryClass,
    InBatch,
    LearnedUnigram,
    LogUniform,
    Mixture,
    Partition,
    Prefetch,
    Sampler,
    Uniform,
    Unigram,
)

C = 50
TARGETS = torch.tensor([3, 0, 49, 3])


class Told(Sampler):
    """Draws random classes, counts its draws, knows which thread made them, and fails when it is told to."""

    reads_targets = False

    def __init__(self) -> None:
        super().__init__(C, seed=1)
        self.made = Made()

    def _draw(self, targets: Tensor, generator: torch.Generator) -> Draw:
        if self.made.fails:
            raise ArithmeticError("told to fail")
        ids = torch.randint(C, (4,), generator=generator)
        self.made.by.append(threading.current_thread().name)
        return Draw(ids, self.log_expected_count)

    def log_expected_count(self, ids: Tensor) -> Tensor:
        self.made.torch_threads.append(torch.get_num_threads())
        return torch.zeros(ids.shape)


class Made:
    def __init__(self) -> None:
        self.by: list[str] = []
        self.torch_threads: list[int] = []
        self.fails = False


def wait(sampler: Prefetch) -> None:
    """Until the draw that is on its way has been made."""
    ahead = sampler._threads[os.getpid()].ahead
    assert ahead is not None
    ahead.result.exception()


def distributions() -> dict[str, Callable[[], Sampler]]:
    counts = torch.arange(1, C + 1)
    return {
        "uniform-randperm": lambda: Uniform(C, 40, replacement=False, seed=1),
        "race": lambda: Unigram(counts, 40, replacement=False, per_row=True, seed=1),
        "learned": lambda: LearnedUnigram(C, 5, per_row=True, seed=1),
        "mixture": lambda: Mixture([LogUniform(C, 4, seed=1), LearnedUnigram(C, 4, replacement=False)]),
    }


@pytest.mark.parametrize("distribution", distributions())
def test_the_same_candidates_bit_for_bit_whatever_comes_between(distribution):
    """Batches of all shapes, learning between draws, evaluation mode, other generators and states set back."""
    alone, ahead = distributions()[distribution](), Prefetch(distributions()[distribution]())
    own = torch.Generator(), torch.Generator()
    states: list[tuple[Tensor, Tensor]] = []
    choose = torch.Generator().manual_seed(2)
    for _ in range(300):
        event, size = torch.randint(12, (2,), generator=choose).tolist()
        for number, sampler in enumerate((alone, ahead)):
            if event == 0:
                sampler.learn(TARGETS)
            elif event == 1:
                sampler.train(not sampler.training)
            elif event == 2:
                sampler.generator.manual_seed(size)
            elif event == 3 and states:
                sampler.generator.set_state(states[size % len(states)][number])
            elif event == 4 and number == 1:
                sampler.sampler.learn(TARGETS[:0])  # behind its back
        assert torch.equal(alone.generator.get_state(), ahead.generator.get_state())
        states.append((alone.generator.get_state(), ahead.generator.get_state()))
        targets = torch.arange(size + 1) if event > 8 else TARGETS
        generators = own if event in (5, 6) else (None, None)
        one, other = alone.draw(targets, generator=generators[0]), ahead.draw(targets, generator=generators[1])
        for a, b in zip(one[:4], other[:4], strict=True):
            assert torch.equal(a, b)


def test_draws_are_made_ahead_by_one_thread_of_one_core():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        told = Told()
        ahead = Prefetch(told)
        for _ in range(5):
            ahead.draw(TARGETS)
            wait(ahead)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert told.made.by[0] == threading.current_thread().name
    assert len(told.made.by) == 6
    assert set(told.made.by[1:]) == {"logq-prefetch_0"}
    assert 1 in told.made.torch_threads


def test_threads_that_come_later_have_as_many_cores_as_before():
    code = (
        "import threading, torch; from logq.samplers import Prefetch, Uniform; torch.set_num_threads(2)\n"
        "Prefetch(Uniform(9, 3)).draw(torch.tensor([1])); seen = []\n"
        "one = threading.Thread(target=lambda: seen.append(torch.get_num_threads())); one.start(); one.join()\n"
        "print(seen)"
    )
    assert run(code) == "[2]"


def test_a_smaller_batch_takes_a_shared_sample():
    told = Told()
    ahead = Prefetch(told)
    ahead.draw(TARGETS)
    ahead.draw(TARGETS[:2])
    wait(ahead)
    assert len(told.made.by) == 3  # two that were taken, and the next


def test_what_changes_after_the_draw_began_makes_it_anew():
    told = Told()
    ahead = Prefetch(told)
    for change in (ahead.generator.seed, lambda: setattr(told, "something", 1), ahead.eval):
        ahead.draw(TARGETS)
        wait(ahead)
        before = len(told.made.by)
        change()
        ahead.draw(TARGETS)
        assert told.made.by[before] == threading.current_thread().name


def test_errors_of_the_thread_come_with_the_draw_and_once():
    told = Told()
    ahead, alone = Prefetch(told), Told()
    ahead.draw(TARGETS)
    alone.draw(TARGETS)
    wait(ahead)
    told.made.fails = True
    ahead.draw(TARGETS)  # was made before
    alone.draw(TARGETS)
    wait(ahead)
    told.made.fails = False
    with pytest.raises(ArithmeticError, match="told to fail"):
        ahead.draw(TARGETS)
    assert torch.equal(ahead.draw(TARGETS).ids, alone.draw(TARGETS).ids)


def test_the_state_between_draws_goes_on_without_a_thread():
    ahead, alone = Prefetch(Uniform(C, 5, seed=1)), Uniform(C, 5, seed=9)
    for _ in range(3):
        ahead.draw(TARGETS)
    alone.generator.set_state(ahead.generator.get_state())
    for _ in range(3):
        assert torch.equal(ahead.draw(TARGETS).ids, alone.draw(TARGETS).ids)


def test_beside_in_batch_negatives():
    counts = torch.arange(1, C + 1)
    alone = Mixture([InBatch(C, counts=counts), Uniform(C, 5, seed=1)])
    ahead = Mixture([InBatch(C, counts=counts), Prefetch(Uniform(C, 5, seed=1))])
    for _ in range(4):
        assert torch.equal(alone.draw(TARGETS).ids, ahead.draw(TARGETS).ids)
    part = ahead.parts[1]
    assert isinstance(part, Prefetch)
    on_its_way = part._threads[os.getpid()].ahead
    assert on_its_way is not None
    assert on_its_way.fits(part.sampler, ahead.generator)


def test_two_threads_never_get_the_same_sample():
    ahead = Prefetch(Uniform(1 << 40, 1, seed=1))
    drawn: list[int] = []

    def work() -> None:
        drawn.extend(int(ahead.draw(TARGETS).ids) for _ in range(200))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    alone = Uniform(1 << 40, 1, seed=1)
    assert sorted(drawn) == sorted(int(alone.draw(TARGETS).ids) for _ in range(600))


def test_the_thread_ends_with_the_sampler():
    def running() -> int:
        return sum(one.name.startswith("logq-prefetch") for one in threading.enumerate())

    gc.collect()
    before = running()
    ahead = Prefetch(Uniform(C, 5, seed=1))
    assert running() == before, "a sampler that has not drawn needs no thread"
    ahead.draw(TARGETS)
    assert running() == before + 1
    del ahead
    gc.collect()
    end = time.monotonic() + 30
    while running() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert running() == before


def test_python_ends_with_a_draw_on_its_way():
    slow = "LogUniform(10**6, 200, per_row=True).draw(torch.zeros(8192, dtype=torch.int64))"
    code = f"import torch; from logq.samplers import LogUniform, Prefetch; Prefetch({slow[: slow.index('.draw')]})"
    assert run(code + slow[slow.index(".draw") :] + "; print('end')") == "end"


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes do not fork here")
def test_forked_processes_draw_on():
    code = (
        "import os, torch; from logq.samplers import Prefetch, Uniform\n"
        "ahead, alone, targets = Prefetch(Uniform(99, 3, seed=1)), Uniform(99, 3, seed=1), torch.tensor([1])\n"
        "ahead.draw(targets), alone.draw(targets)\n"
        # As if another thread were drawing when this one forks.
        "(thread,) = ahead._threads.values(); thread.lock.acquire()\n"
        "child = os.fork()\n"
        "if child: thread.lock.release()\n"
        "same = all(torch.equal(ahead.draw(targets).ids, alone.draw(targets).ids) for _ in range(3))\n"
        "if child == 0: os._exit(0 if same else 1)\n"
        "print(os.waitpid(child, 0)[1], same)"
    )
    assert run(code) == "0 True"


def run(code: str) -> str:
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return answer.stdout.strip()


@pytest.mark.parametrize(
    ("sampler", "error", "message"),
    [
        ("uniform", TypeError, "expected a sampler, got str"),
        (InBatch(C), ValueError, "expected one whose draws do not depend on the targets, got InBatch, which"),
        (Partition(C, [[1]]), ValueError, "expected one whose draws do not depend on the targets, got Partition"),
        (Mixture([Uniform(C, 1), InBatch(C)]), ValueError, "expected one whose draws do not depend on the targets"),
    ],
)
def test_what_cannot_be_drawn_ahead(sampler, error, message):
    with pytest.raises(error, match="^sampler: " + re.escape(message)):
        Prefetch(sampler)


def test_seed_device_and_dtype_are_those_of_the_sampler():
    inner = Uniform(C, 5, seed=3, dtype=torch.float64)
    ahead = Prefetch(inner)
    assert (ahead.seed, ahead.dtype, ahead.device) == (3, torch.float64, inner.device)
    assert ahead.generator is inner.generator
    assert not Prefetch(EveryClass(C)).reads_targets
