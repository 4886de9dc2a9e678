"""Windows that all reach as far: every pair within the window is an example, on every engine that has them."""

import numpy as np
import pytest
import torch

from logq import KeyedVectors, Word2Vec
from logq.text import Vocabulary
from logq.word2vec.kernel import Setup, alias_cells, keep_thresholds, table, train
from logq.word2vec.plain_engine import examples
from logq.word2vec.triton_engine import most_programs, thinned
from logq.word2vec.word2vec_config import Word2VecConfig

IDS = np.array([0, 1, 2, 3, -1, 4, 5], dtype=np.int32)


def pairs_within(reach):
    sentences, found = [[0, 1, 2, 3], [4, 5]], []
    for words in sentences:
        for at, center in enumerate(words):
            found += [(words[j], center) for j in range(len(words)) if j != at and abs(j - at) <= reach]
    return sorted(found)


@pytest.mark.parametrize("reach", [1, 2, 9])
def test_every_pair_within_the_window_is_an_example(reach):
    options = {"keep_probability": np.ones(6), "batch_size": 99, "rng": np.random.default_rng(0)}
    (batch,) = examples(IDS, skip_gram=True, window=reach, shrink_windows=False, **options)
    assert sorted(zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True)) == pairs_within(reach)


def test_on_a_gpu_all_reach_as_far():
    keep = torch.full((6,), 2**32 - 1)
    place = {"begin": 0, "end": 7, "position": 0, "seed": 1, "window": 5}
    fixed = thinned(torch.from_numpy(IDS), keep, **place, shrinks=False)
    drawn = thinned(torch.from_numpy(IDS), keep, **place)
    assert fixed.words.tolist() == drawn.words.tolist()
    assert fixed.reaches[:6].tolist() == [5] * 6
    assert drawn.reaches[:6].tolist() != [5] * 6
    words = Vocabulary([str(word) for word in range(100)], [1] * 100)
    settings = (Word2VecConfig(shrink_windows=shrinks, sample=1e-3, num_sampled=5) for shrinks in (True, False))
    many, few = (most_programs(each, words, centers=5) for each in settings)
    assert few == pytest.approx(many * 6 / 10, rel=0.01)  # as 10 words are in each, and not 6


@pytest.mark.parametrize("reach", [1, 2, 9])
@pytest.mark.parametrize("pool", [0, 256])
def test_the_compiled_engine_trains_every_pair(reach, pool):
    cells, keep = alias_cells(np.ones(6)), keep_thresholds(np.ones(6))
    setup = Setup(keep, window=reach, shrink=False, cells=cells, negatives=2, pool=pool)
    place = {"begin": 0, "end": len(IDS), "position": 0, "seed": 1, "rate": (0.1, 0.0, 0.0)}
    losses = train(table(6, 4), table(6, 4), IDS, setup, **place)
    assert losses.pairs == len(pairs_within(reach))


@pytest.mark.parametrize("options", [{}, {"sg": False}, {"hs": True}, {"subwords": True, "buckets": 50}])
def test_models_have_windows_that_all_reach_as_far(options):
    model = Word2Vec(dim=4, min_count=1, sample=0, epochs=1, seed=1, window=9, shrink_windows=False, **options)
    assert model.engine_name == "fused"
    assert isinstance(model.fit([["a", "b", "c"]] * 20, progress=False).vectors, KeyedVectors)
    assert model.settings()["shrink_windows"] is False
