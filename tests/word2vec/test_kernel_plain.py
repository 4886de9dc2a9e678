"""One step of the engine is one step of the plain path in PyTorch, with the same pairs and the same negatives."""

import numpy as np
import pytest
import torch

from logq.candidates import Candidates
from logq.hierarchical import HierarchicalSoftmax
from logq.huffman import HuffmanTree
from logq.nn import CandidateLoss
from logq.samplers import Unigram
from logq.word2vec.kernel import Setup, alias_cells, keep_thresholds, simd_levels, table, train
from logq.word2vec.modules import CBOW, SkipGram
from word2vec_loop import plan

WORDS, DIM, RATE = 30, 21, 0.1
COUNTS = np.arange(WORDS, 0, -1.0)


def engine_step(setup, ids, tables, place):
    inputs, outputs = (table(len(made), DIM) for made in tables)
    inputs[:, :DIM], outputs[:, :DIM] = tables
    train(inputs, outputs, ids, setup, **place)
    return inputs[:, :DIM], outputs[:, :DIM]


class Step:
    """Model, loss and gradient descent as logq.word2vec.plain_engine has them, with draws that are handed in."""

    def __init__(self, setup, tables, monkeypatch):
        self.model = SkipGram(WORDS, DIM) if setup.skip_gram else CBOW(WORDS, DIM, mean=setup.mean)
        self.model.vectors.data = torch.tensor(tables[0])
        if setup.tree is not None:
            self.loss = HierarchicalSoftmax(DIM, setup.tree, reduction="sum")
            self.loss.weight.data = torch.tensor(tables[1])
        else:
            sampler = Unigram(torch.tensor(COUNTS), setup.negatives, power=0.75)
            options = {"bias": False, "remove_hits": True, "reduction": "sum", "sparse": True}
            self.loss = CandidateLoss("negative_sampling", DIM, WORDS, sampler, **options)
            self.loss.weight.data = torch.tensor(tables[1])
            monkeypatch.setattr(sampler, "draw", self.draw)
        self.negatives = torch.zeros(0)
        self.optimizer = torch.optim.SGD([*self.model.parameters(), *self.loss.parameters()], lr=RATE)

    def draw(self, targets, **_):
        return Candidates(self.negatives, torch.zeros(len(self.negatives)), targets, torch.zeros(len(targets)))

    def __call__(self, pairs, negatives):
        inputs, targets = (torch.tensor(column) for column in zip(*pairs, strict=True))
        self.negatives = torch.tensor(negatives)
        self.optimizer.zero_grad()
        self.loss(self.model.query(inputs), targets).backward()
        self.optimizer.step()


SAMPLING = {"cells": alias_cells(COUNTS**0.75)}
KINDS = {
    "skip-gram": SAMPLING,
    "skip-gram, no pool": {**SAMPLING, "pool": 0},
    "skip-gram, blocks of 3": {**SAMPLING, "block": 3},
    "skip-gram, in order": {**SAMPLING, "shared": False},
    "skip-gram, a tree": {"tree": HuffmanTree.from_counts(COUNTS)},
    "skip-gram, a tree, in order": {"tree": HuffmanTree.from_counts(COUNTS), "shared": False},
    "CBOW": {**SAMPLING, "skip_gram": False},
    "CBOW, in order": {**SAMPLING, "skip_gram": False, "shared": False},
    "sum": {**SAMPLING, "skip_gram": False, "mean": False},
    "CBOW, a tree": {"tree": HuffmanTree.from_counts(COUNTS), "skip_gram": False},
}


def repeats(block):
    """How many negatives came before, those that are dropped left out."""
    kept = [[word for word in negatives if word != block.centers[0].word] for negatives in block.negatives]
    return sum(len(negatives) - len(set(negatives)) for negatives in kept)


def hits(block):
    return sum(negatives.count(block.centers[0].word) for negatives in block.negatives)


def suitable(setup, blocks):
    """Whether negatives hit, and repeat; not where one goes after the other: a batch adds up what they do at once."""
    if setup.tree is not None:
        return True
    found = sum(map(repeats, blocks))
    return sum(map(hits, blocks)) > 0 and (found > 0 if setup.shared and setup.skip_gram else found == 0)


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize("kind", KINDS)
def test_a_few_windows_are_the_steps_of_the_plain_path(kind, level, monkeypatch):
    rng = np.random.default_rng(5)
    setup = Setup(keep_thresholds(np.full(WORDS, 0.8)), window=3, negatives=4, simd=level, **KINDS[kind])
    ids = np.minimum(rng.geometric(0.15, size=40) - 1, WORDS - 1).astype(np.int32)
    rows = (WORDS, WORDS - (setup.tree is not None))
    tables = [(rng.normal(size=(size, DIM)) * 0.3).astype(np.float32) for size in rows]
    place = {"begin": 5, "end": 13, "position": 0, "rate": (RATE, 0, 0)}
    plans = ((seed, plan(ids, setup, seed=seed, **place)) for seed in range(10_000))
    seed, blocks = next(found for found in plans if suitable(setup, found[1]))
    step = Step(setup, tables, monkeypatch)
    for block in blocks:
        if not setup.skip_gram:
            step([(center.context, center.word) for center in block.centers], block.negatives[0])
        elif setup.shared:
            step([(word, center.word) for center in block.centers for word in center.context], block.negatives[0])
        else:
            for pair, word in enumerate(block.centers[0].context):
                step([(word, block.centers[0].word)], block.negatives[0 if setup.tree is not None else pair])
    inputs, outputs = engine_step(setup, ids, tables, {**place, "seed": seed})
    assert len(blocks) > 1
    assert np.abs(inputs - tables[0]).max() > 0.01
    np.testing.assert_allclose(inputs, step.model.vectors.detach().numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(outputs, step.loss.weight.detach().numpy(), rtol=0, atol=1e-5)
