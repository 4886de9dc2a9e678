"""What of a training is saved, timed and left as it was found."""

import json

import numpy as np
import pytest
import torch

from logq.vectors import KeyedVectors
from logq.word2vec import Word2Vec, word2vec

TEXT = [["the", "cat", "sat"], ["the", "dog", "sat"]] * 50


def model(**options):
    return Word2Vec(dim=5, min_count=1, sample=0, seed=1, **options)


def test_saving_is_what_the_vectors_save(tmp_path):
    trained = model(epochs=2).fit(TEXT, progress=False)
    trained.save_vectors(tmp_path / "a")
    trained.vectors.save(tmp_path / "b")
    one, other = ((tmp_path / name / "vectors.safetensors").read_bytes() for name in "ab")
    assert one == other
    info = json.loads((tmp_path / "a" / "vectors.json").read_text())["info"]
    assert info.items() >= trained.settings().items()
    assert (info["epochs_done"], info["words_trained"]) == (2, 600)
    assert info["training_seconds"] == trained.training_seconds > 0


def test_there_is_nothing_to_save_before(tmp_path):
    with pytest.raises(AttributeError, match=r"^Word2Vec: it has learned nothing yet, call fit first"):
        model().save_vectors(tmp_path)


def test_vectors_are_saved_while_they_are_trained(tmp_path):
    seen = []

    def save(trained, epoch):
        trained.save_vectors(tmp_path)
        seen.append((epoch, trained.epochs_done, trained.words_trained, KeyedVectors.load(tmp_path)["cat"]))

    model(epochs=3).fit(TEXT, progress=False, on_epoch_end=save)
    assert [row[:3] for row in seen] == [(1, 1, 300), (2, 2, 600), (3, 3, 900)]
    assert not np.array_equal(seen[0][3], seen[2][3])


def test_the_time_of_a_callback_is_not_training(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(word2vec.time, "perf_counter", lambda: clock[0])

    def slow(*_):
        clock[0] += 1000

    trained = model(epochs=3).fit(TEXT, progress=False, on_epoch_end=slow)
    assert trained.training_seconds == 0


def test_words_of_a_resumed_run_are_those_it_trained(tmp_path):
    def stop(_, epoch):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model(epochs=3).fit(TEXT, progress=False, checkpoint=tmp_path, on_epoch_end=stop)
    resumed = model(epochs=3).fit(TEXT, progress=False, checkpoint=tmp_path, resume=True)
    assert (resumed.epochs_done, resumed.words_trained) == (3, 300)
    whole = model(epochs=3).fit(TEXT, progress=False)
    assert resumed.mean_loss == whole.mean_loss
    np.testing.assert_array_equal(resumed.vectors.vectors, whole.vectors.vectors)


def test_plain_pytorch_leaves_the_threads_of_torch_alone():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        during = set()
        model(engine="plain").fit(TEXT, progress=False, on_epoch_end=lambda *_: during.add(torch.get_num_threads()))
        assert during == {torch.get_num_threads()} == {2}
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("engine", ["fused", "plain"])
def test_too_large_a_table_is_refused_before_it_is_made(engine, monkeypatch):
    monkeypatch.setattr(word2vec, "available_memory", lambda: 100.0)
    monkeypatch.setattr(word2vec, "first_vectors", lambda *_: pytest.fail("made"))
    with pytest.raises(
        ValueError,
        match=r"^dim: expected two tables that fit in memory, got 0.0 GiB for 4 words, where 0.0 GiB are free; take a ",
    ):
        model(engine=engine).fit(TEXT, progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 10_001}, "window: expected 1 to 10,000, got 10001"),
        ({"num_sampled": 2**70}, "num_sampled: expected 1 to 10,000, got "),
        ({"threads": 10_001}, "threads: expected an integer >= 1 and <= 10000, got 10001"),
        ({"simd": "mmx"}, "simd: expected auto or one of "),
    ],
)
def test_limits_are_said_before_the_text_is_read(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Word2Vec(**options)


def test_plain_pytorch_has_no_such_limit():
    assert Word2Vec(num_sampled=20_000, engine="plain").num_sampled == 20_000


@pytest.mark.parametrize("options", [{}, {"hs": True}, {"sg": False}, {"shared_negatives": False}])
def test_a_training_that_explodes_at_once_is_told_from_one_that_begins(options):
    """The very first span is already far above what a training begins with."""
    rng = np.random.default_rng(0)
    text = [[f"w{i}" for i in rng.integers(0, 50, 20)] for _ in range(200)]
    with pytest.raises(FloatingPointError, match="lr: training diverged in epoch 1, the mean loss "):
        Word2Vec(dim=20, min_count=1, sample=0, seed=1, lr=3.0, **options).fit(text, progress=False)
