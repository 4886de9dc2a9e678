"""Ways to train word2vec, and texts: what the kernel is tried on, with words in one row each and with subwords."""

import numpy as np

from logq.huffman import HuffmanTree
from logq.word2vec.kernel import Setup, alias_cells, keep_thresholds

KINDS = {
    "skip-gram, a pool": {},
    "skip-gram, a pool of 3": {"pool": 3},
    "skip-gram, a pool of 2, blocks of 2": {"pool": 2, "block": 2},
    "skip-gram, no pool": {"pool": 0},
    "skip-gram, blocks of 2": {"pool": 0, "block": 2},
    "skip-gram, blocks of 3": {"pool": 0, "block": 3},
    "skip-gram, blocks of 4": {"pool": 0, "block": 4},
    "skip-gram, blocks of 9": {"pool": 0, "block": 9},
    "skip-gram, in order": {"shared": False},
    "skip-gram, a tree": {"tree": True},
    "skip-gram, a tree, in order": {"tree": True, "shared": False},
    "CBOW, a pool": {"skip_gram": False},
    "CBOW": {"skip_gram": False, "pool": 0},
    "CBOW, a pool, blocks of 4": {"skip_gram": False, "block": 4},
    "CBOW, blocks of 2": {"skip_gram": False, "pool": 0, "block": 2},
    "CBOW, blocks of 7": {"skip_gram": False, "pool": 0, "block": 7},
    "CBOW, in order": {"skip_gram": False, "shared": False},
    "CBOW, a tree": {"skip_gram": False, "tree": True},
    "CBOW, a tree, in order": {"skip_gram": False, "tree": True, "shared": False},
    "sum": {"skip_gram": False, "mean": False},
    "sum, a pool, blocks of 4": {"skip_gram": False, "mean": False, "block": 4},
    "sum, in order": {"skip_gram": False, "mean": False, "shared": False},
    "sum, a tree": {"skip_gram": False, "mean": False, "tree": True},
}


def make_setup(num_words, *, rng, tree=False, keep=0.6, **options):
    counts = rng.integers(1, 50, size=num_words).astype(np.float64)
    probability = np.where(rng.random(num_words) < 0.5, 1.0, rng.uniform(keep, 1, num_words))
    outputs = {"tree": HuffmanTree.from_counts(counts)} if tree else {"cells": alias_cells(counts**0.75)}
    return Setup(keep_thresholds(probability), **outputs, **options)


def make_text(num_words, size, rng, sentence=12):
    ids = np.minimum(rng.geometric(2 / (num_words + 2), size=size) - 1, num_words - 1).astype(np.int32)
    ids[rng.random(size) < 1 / sentence] = -1
    return ids


def with_options(setup, **options):
    return Setup(**{**setup.__dict__, **options})
