"""What each row learns when nothing hinders it is what the table's last column says."""

import functools
import importlib.util
from pathlib import Path

import pytest

from logq.objectives import OBJECTIVES, REFINED_SOFTMAX, SAMPLED_SOFTMAX

SCRIPT = Path(__file__).parents[1] / "scripts" / "consistency.py"
specification = importlib.util.spec_from_file_location("consistency", SCRIPT)
assert specification is not None
assert specification.loader is not None
consistency = importlib.util.module_from_spec(specification)
specification.loader.exec_module(consistency)

pytestmark = pytest.mark.slow

TOLERANCE = 0.05
"""Nats, root mean square over what is seen. The noise of 1500 steps of 1024 examples is 0.025 to 0.03."""


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "refined_softmax"])
def test_the_last_column_is_what_is_learned(name, seed):
    assert consistency.train(OBJECTIVES[name], seed).error < TOLERANCE


def test_softmax_over_several_draws_is_exact_with_hits_and_biased_without():
    distribution = consistency.frequency_sampler
    kept = consistency.train(SAMPLED_SOFTMAX, make_sampler=distribution, remove_hits=False)
    removed = consistency.train(SAMPLED_SOFTMAX, make_sampler=distribution)
    assert kept.error < TOLERANCE
    assert removed.error > 0.08


def test_refined_softmax_learns_it_from_large_samples_alone():
    """With 6 draws of 24 words it is off by ten times the noise."""
    errors = [
        consistency.train(
            REFINED_SOFTMAX, make_sampler=functools.partial(consistency.frequency_sampler, negatives=negatives)
        ).error
        for negatives in (6, 96)
    ]
    assert errors[0] > 0.2
    assert errors[1] < 0.2 * errors[0]
