"""Two processes that train together: what tests/ranks.py has them do is started once and looked at here."""

from typing import Any

import pytest
import torch
import torch.multiprocessing

import ranks
from frequencies import assert_frequencies


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(ranks.run, (str(folder),), nprocs=ranks.WORLD)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(ranks.WORLD)]


def assert_same(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor], atol: float = 0.0) -> None:
    assert some.keys() == others.keys()
    for name, one in some.items():
        torch.testing.assert_close(one, others[name], rtol=0, atol=atol, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("name", [*ranks.SAMPLED_MODULES, "HierarchicalSoftmax", "without biases"])
def test_replicas_learn_the_same_by_sparse_gradients_as_by_dense_ones(name, found):
    zero, one = (each["replicas"] for each in found)
    assert all(zero[name, True, "sparse"].values())
    assert not any(zero[name, False, "sparse"].values())
    for sparse in (False, True):
        assert_same(zero[name, sparse], one[name, sparse])
    assert_same(zero[name, False], zero[name, True], atol=1e-12)


def test_replicas_of_a_shared_table(found):
    zero, one = (each["shared_tables"] for each in found)
    assert_same(zero[True], one[True])
    assert_same(zero[False], zero[True], atol=1e-12)


def test_updates_in_backward_are_refused_at_once_and_at_the_update(found):
    for each in found:
        messages = each["updates_in_backward"]
        assert set(messages) == {"constructor", "update"}
        for message in messages.values():
            assert message.startswith("in_backward: expected False where processes train together")
            assert "a world of 2 processes" in message


@pytest.mark.parametrize("name", ranks.OPTIMIZERS)
def test_what_is_trained_in_parts_is_what_replicas_learn(name, found):
    """By FSDP2, over a checkpoint of model and optimizer; C is odd, so that parts have other sizes."""
    zero, one = (each["parts_of_parameters"] for each in found)
    assert_same(zero[name, "parts"], one[name, "parts"])
    assert_same(zero[name, "replicas"], zero[name, "parts"], atol=1e-12)


NAMES = ["unigram", "unigram-distinct", "uniform-distinct", "learned_unigram", "prefetch", "mixture"]


@pytest.mark.parametrize("name", NAMES)
def test_ranks_draw_differently_and_all_go_on_from_the_state_of_one(name, found):
    zero, one = (each["draws"] for each in found)
    for part in ("first", "on"):
        for ours, others in zip(zero[name, part], one[name, part], strict=True):
            assert not torch.equal(ours, others)
    for each in (zero, one):
        for ours, others in zip(each[name, "on"], each[name, "later"], strict=True):
            assert torch.equal(ours, others)
    for ours, others, first in zip(zero[name, "alike"], one[name, "alike"], zero[name, "first"], strict=True):
        assert torch.equal(ours, others)
        assert torch.equal(ours, first)


def test_what_is_learned_of_ragged_batches_is_a_distribution_on_each_rank(found, seed):
    """Chi-square of 100,000 draws; fails with one seed in ten million."""
    for rank, each in enumerate(found):
        learned = each["ragged_batches"]["LearnedUnigram"]
        assert learned["total"] == pytest.approx(1, abs=1e-12)
        assert learned["seen"] == 4 * (1500 if rank else 3)
        assert_frequencies(learned["drawn"], learned["q"])
        assert bool(each["ragged_batches"]["InBatch"]["q"][: 4 + 4 * rank].isfinite().all())
    of_zero, of_one = (each["ragged_batches"]["InBatch"]["q"] for each in found)
    assert not torch.equal(of_zero, of_one)
