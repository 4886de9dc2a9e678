"""No test is red by chance: everything random is seeded from the name of the test.

    LOGQ_TEST_SEED=3 pytest        other draws in every test: the suite must be green for any base seed
    LOGQ_TEST_THREADS=2 pytest     threads of torch, 1 by default: the tensors here are tiny, a second one only waits

torch seeds its global generator differently in each process: a test that draws without a seed is another one each time.
A program that a test starts is a process of its own: what it draws is seeded there.
"""

import os
import random
import secrets
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

BASE_SEED = os.environ.get("LOGQ_TEST_SEED", "0")

# What takes a seed from the operating system (numpy, and samplers of ours without a seed) gets it from here.
ENTROPY = random.Random(0)
secrets.randbits = np.random.bit_generator.randbits = ENTROPY.getrandbits

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # kernels run in Triton's interpreter, which has to be said before its import

torch.set_num_threads(int(os.environ.get("LOGQ_TEST_THREADS", "1")))


def seed_of(name: str) -> int:
    """A seed of 31 bits for a name, another one for each LOGQ_TEST_SEED."""
    return zlib.crc32(f"{BASE_SEED} {name}".encode()) >> 1


def seed_everything(name: str) -> None:
    """Seed the global generators of torch, numpy and Python, and what stands for the operating system's entropy."""
    seed = seed_of(name)
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    ENTROPY.seed(seed)


@contextmanager
def aside(name: str) -> Iterator[None]:
    """Seed them for what several tests share, then put them back: it must not matter which of those comes first."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate(), ENTROPY.getstate()
    seed_everything(name)
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
        ENTROPY.setstate(states[3])


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Seed what a module of tests draws while it is imported."""
    with aside(collector.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Seed a shared fixture by its own name."""
    if fixturedef.scope == "function":
        return (yield)
    with aside(f"{fixturedef.baseid}::{fixturedef.argname}[{request.param_index}]"):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed a test or an example before its first fixture."""
    seed_everything(item.nodeid)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of a statistical test, whose margins must hold for any."""
    return seed_of(request.node.nodeid)


@pytest.fixture(autouse=True)
def names_in_examples(doctest_namespace: dict[str, Any]) -> None:
    """Spare each example the line `import torch`."""
    doctest_namespace["torch"] = torch
