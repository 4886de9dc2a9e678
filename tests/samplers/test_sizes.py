"""How many classes there may be: what does not fit is told before memory is taken for it."""

import pytest
import torch

from logq.samplers import LearnedUnigram, LogUniform, Uniform
from logq.samplers.alias_table import AliasTable

MANY = 1 << 31


def test_a_table_of_too_many_classes():
    with pytest.raises(ValueError, match=r"^num_classes: expected fewer than 2\*\*31"):
        AliasTable(torch.ones(1, dtype=torch.float64).expand(MANY))
    with pytest.raises(ValueError, match=r"^num_classes: expected fewer than 2\*\*31"):
        LearnedUnigram(MANY, 5)


@pytest.mark.parametrize("distribution", [Uniform, LogUniform])
def test_distributions_without_a_table_take_more_classes(distribution):
    sampler = distribution((1 << 62) - 1, 1000, seed=1)
    candidates = sampler.draw(torch.tensor([0, (1 << 62) - 2]))
    assert int(candidates.ids.max()) > 1 << 50
    assert bool(candidates.log_expected_count.isfinite().all())
    assert bool(candidates.true_log_expected_count.isfinite().all())


@pytest.mark.parametrize("distribution", [Uniform, LogUniform])
def test_distributions_without_a_table_of_too_many_classes(distribution):
    with pytest.raises(ValueError, match=r"^num_classes: expected fewer than 2\*\*62"):
        distribution(1 << 62, 1000)


def test_one_number_of_the_generator_a_draw():
    """However many draws it makes, so that its state after a draw does not depend on their number."""
    one, other = Uniform(10, 1, seed=1), Uniform(10, 5000, seed=1)
    one.draw(torch.tensor([1]))
    other.draw(torch.tensor([1]))
    assert torch.equal(one.generator.get_state(), other.generator.get_state())
