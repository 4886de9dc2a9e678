"""Two processes that train together: what tests/ranks.py has them do is started once and looked at here."""

from typing import Any

import pytest
import torch
import torch.multiprocessing

import ranks


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
