import torch

from logq.samplers import EveryClass
from logq.samplers.kept_tensors import unpacked


def test_all_classes_once():
    candidates = EveryClass(6).draw(torch.tensor([[1, 2], [-100, 5]]))
    assert candidates.ids.tolist() == list(range(6))
    assert not bool(candidates.log_expected_count.any())
    assert not bool(candidates.true_log_expected_count.any())
    assert candidates.excluded is None


def test_nothing_random_and_nothing_stored():
    sampler = EveryClass(3, seed=1)
    state = sampler.generator.get_state()
    sampler.draw(torch.tensor([0]))
    assert torch.equal(sampler.generator.get_state(), state)
    assert list(unpacked(sampler.state_dict()["_extra_state"])) == ["generator.cpu"]
