"""The table of engines, and which of them a model gets."""

import importlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from logq import Word2Vec
from logq.samplers import Uniform
from logq.word2vec import engine_choice
from logq.word2vec.corpus_run import check_finite
from logq.word2vec.engine_choice import FUSED
from logq.word2vec.engines import ENGINES, Engine, first_vectors, load_engine
from logq.word2vec.word2vec_config import Word2VecConfig


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


ON_GPU = pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"objective": "nce"}, "there is no GPU kernel for nce with unigram"),
        ({"hs": True}, "there is no GPU kernel for hierarchical_softmax"),
        ({"shared_negatives": False}, "there is no GPU kernel for separate negatives for each pair"),
        ({"batch_size": 32}, "there is no GPU kernel for batches"),
        ({"window": 64}, "there is no GPU kernel for windows above 63"),
        ({"num_sampled": 128}, "there is no GPU kernel for more than 127 negatives"),
    ],
    ids=str,
)


@pytest.mark.parametrize("sg", [True, False])
@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")], ids=repr)
def test_a_gpu_takes_its_own_engine(monkeypatch, sg, device):
    monkeypatch.setattr(engine_choice, "find_spec", lambda _: True)
    chosen = Word2VecConfig(sg=sg, device=device, window=63, num_sampled=127)
    assert (chosen.engine_name, chosen.why_not_triton, chosen.why_plain) == ("triton", "", "")
    assert chosen.settings()["engine"] == "triton"
    assert Word2VecConfig(engine="triton", device=device).engine_name == "triton"


@ON_GPU
def test_what_has_no_kernel_for_gpus_runs_there_in_plain_pytorch(monkeypatch, options, reason):
    monkeypatch.setattr(engine_choice, "find_spec", lambda _: True)
    chosen = Word2VecConfig(device="cuda", **options)
    assert (chosen.engine_name, chosen.why_plain) == ("plain", reason)
    with pytest.raises(ValueError, match=f"^engine: expected 'auto' or 'plain', got 'triton'; {reason}$"):
        Word2VecConfig(device="cuda", engine="triton", **options)


def test_where_triton_is_missing_plain_pytorch_trains_or_it_is_said(monkeypatch):
    monkeypatch.setattr(engine_choice, "find_spec", lambda name: None if name == "triton" else True)
    chosen = Word2VecConfig(device="cuda")
    assert (chosen.engine_name, chosen.why_plain) == ("plain", "the package triton is not installed")
    with pytest.raises(ValueError, match=r"^engine: .*, got 'triton'; the package triton is not installed$"):
        Word2VecConfig(device="cuda", engine="triton")


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_engine_for_gpus_asks_for_one(monkeypatch, device):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(
        ValueError, match=rf"^engine: .*; it trains on a GPU such as device='cuda', and device is '{device}'$"
    ):
        Word2VecConfig(engine="triton", device=device)
    chosen = Word2VecConfig(device=device, objective="nce")
    assert (chosen.engine_name, chosen.why_plain) == ("plain", "nce with unigram has no compiled kernel")
    assert Word2VecConfig(device=device, engine="plain").why_plain == ""


def test_an_engine_stays_what_it_was_chosen_to_be():
    """Whatever becomes of torch's switch: a second fit continues with what the first one has learned."""
    chosen = Word2VecConfig(device="cuda")
    before = chosen.engine_name
    torch.use_deterministic_algorithms(True)
    try:
        assert chosen.engine_name == before
    finally:
        torch.use_deterministic_algorithms(False)


def test_an_engine_follows_arguments_that_are_changed():
    model = Word2Vec()
    assert model.engine_name == "fused"
    model.objective = "nce"
    assert (model.engine_name, model.why_plain) == ("plain", "nce with unigram has no compiled kernel")


def test_plain_can_be_asked_for():
    model = Word2Vec(engine="plain")
    assert (model.engine_name, model.why_not_fused) == ("plain", "")


def test_every_engine_can_be_loaded():
    for name, path in ENGINES.items():
        if name == "triton":
            pytest.importorskip("triton", reason="Triton is there for Linux alone")
        module, _, of_class = path.partition(":")
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
