"""The table of engines, and which of them a model gets."""

import importlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from logq import Word2Vec
from logq.samplers import Uniform
from logq.word2vec.corpus_run import check_finite
from logq.word2vec.engines import ENGINES, Engine, first_vectors, load_engine
from logq.word2vec.word2vec_config import FUSED, Word2VecConfig


def test_what_has_a_kernel_takes_it():
    for kind, objective, _ in FUSED:
        model = Word2Vec(sg=kind == "skip_gram", hs=objective == "hierarchical_softmax")
        assert (model.engine_name, model.why_not_fused) == ("fused", "")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"objective": "nce"}, "nce with unigram"),
        ({"sampler": "uniform"}, "negative_sampling with uniform"),
        ({"sampler": lambda counts: Uniform(len(counts), 5)}, "negative_sampling with a sampler of your own"),
        ({"objective": "full_softmax"}, "full_softmax"),
        ({"batch_size": 32}, "batches"),
        ({"device": "meta"}, "the device meta"),
    ],
)
def test_what_has_none_runs_on_plain_pytorch_and_says_so(options, reason):
    model = Word2Vec(**options)
    assert (model.engine_name, model.why_not_fused) == ("plain", reason)
    with pytest.raises(ValueError, match=f"^engine: .* there is no fused kernel for {reason}"):
        Word2Vec(engine="fused", **options)


def test_plain_can_be_asked_for():
    model = Word2Vec(engine="plain")
    assert (model.engine_name, model.why_not_fused) == ("plain", "")


def test_every_engine_can_be_loaded():
    for name, path in ENGINES.items():
        module, _, of_class = path.rpartition(".")
        assert issubclass(load_engine(name), Engine)
        assert load_engine(name).name == name
        assert load_engine(name) is getattr(importlib.import_module(module), of_class)
    assert Word2VecConfig.options()["engine"].choices == ("auto", *ENGINES)


def test_first_vectors_fill_their_range_evenly():
    made = first_vectors(2000, 10, seed=3) * 10
    assert made.dtype == np.float32
    assert np.abs(made).max() <= 1
    # Uniform on [-1, 1] has variance 1/3; 20,000 numbers, five standard deviations of the mean and the variance.
    assert abs(made.mean()) < 5 * (1 / 3 / 20_000) ** 0.5
    assert abs((made**2).mean() - 1 / 3) < 5 * (4 / 45 / 20_000) ** 0.5


def test_the_first_vector_that_is_not_finite_is_named():
    vectors = np.zeros((1 << 15, 2), np.float32)
    vectors[20_000, 1] = np.nan
    engine: Any = SimpleNamespace(vectors=vectors)
    with pytest.raises(FloatingPointError, match=r"lr: training diverged, vector 20000 is not finite; try less than 9"):
        check_finite(engine, 9.0)
