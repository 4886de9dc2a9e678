"""What is on the CPU goes on there while torch's default device is another one."""

import copy
from collections.abc import Generator

import numpy as np
import pytest
import torch

from cases import MODULES, SAMPLERS
from logq import nn as logq_nn
from logq import optim
from logq.hierarchical import HierarchicalSoftmax
from logq.recommenders import MINDEncoder
from logq.retrieval import ExactIndex
from logq.word2vec import SkipGram

C, D = 40, 4
INPUT, TARGETS = torch.randn(6, D, generator=torch.Generator().manual_seed(1)), torch.tensor([3, 1, 5, 9, 7, 3])


@pytest.fixture
def elsewhere() -> Generator[None]:
    """A default device on which nothing can be read."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_draw_as_ever(name: str) -> None:
    sampler, other = (SAMPLERS[name](C, torch.float64, 3) for _ in range(2))
    expected = [sampler.draw(TARGETS) for _ in range(2)], sampler.all_log_expected_counts(), sampler.sample_size()
    torch.set_default_device("meta")
    try:
        found = [other.draw(TARGETS) for _ in range(2)], other.all_log_expected_counts(), other.sample_size()
        copy.deepcopy(other).load_state_dict(other.state_dict())
    finally:
        torch.set_default_device(None)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.usefixtures("elsewhere")
def test_modules_train_and_are_read(name: str) -> None:
    with torch.device("cpu"):
        loss: logq_nn.CandidateLoss = MODULES[name](D, C)  # pyright: ignore[reportAssignmentType]
    optimizers = [getattr(optim, kind)(loss.parameters()) for kind in ("SGD", "Adagrad", "RowWiseAdagrad", "LazyAdam")]
    for optimizer in optimizers:
        loss(INPUT, TARGETS).backward()
        optim.clip_grad_norm_(loss.parameters(), 1.0)
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    assert loss.log_prob(INPUT, TARGETS).isfinite().all()
    assert loss.topk(INPUT, 3).ids.device.type == "cpu"


@pytest.mark.usefixtures("elsewhere")
def test_trees_are_read() -> None:
    loss = HierarchicalSoftmax(D, range(1, C + 1), device="cpu")
    loss(INPUT, TARGETS).backward()
    torch.testing.assert_close(loss.log_prob(INPUT).exp().sum(dim=1), torch.ones(6, device="cpu"))
    assert loss.predict(INPUT).device.type == "cpu"


@pytest.mark.usefixtures("elsewhere")
def test_an_index_is_searched_and_changed() -> None:
    vectors = np.random.default_rng(1).normal(size=(20, D)).astype(np.float32)
    index = ExactIndex(vectors, device="cpu")
    best = index.search(vectors[:2], 3, exclude=(np.array([0]), np.array([0, 1, 1])))
    index.remove([1])
    again = index.search(vectors[:2], 3, allow=[0, 2, 3, 4])
    assert 0 not in best.ids[0]
    assert 1 not in again.ids


@pytest.mark.usefixtures("elsewhere")
def test_a_generator_says_where_first_weights_are_drawn() -> None:
    generator = torch.Generator().manual_seed(1)
    assert SkipGram(5, 3, generator=generator).vectors.device.type == "cpu"
    assert MINDEncoder(10, 4, generator=generator).routing.device.type == "cpu"


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.usefixtures("elsewhere")
def test_losses_with_a_sample_for_each_row_train(sparse: bool) -> None:
    with torch.device("cpu"):
        loss = logq_nn.SampledSoftmaxLoss(D, C, SAMPLERS["unigram-per_row"](C, torch.float32, 3), sparse=sparse)
    loss(INPUT, TARGETS).backward()
    assert loss.weight.grad is not None
    assert loss.weight.grad.to_dense().isfinite().all()
