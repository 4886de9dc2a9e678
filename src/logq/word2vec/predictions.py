"""What both tables of word2vec together say: which word is among others, and how probable sentences are."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq.huffman import HuffmanTree
from logq.text import Vocabulary

__all__ = ["class_log_prob", "log_sigmoid", "paths_log_prob", "sentence_score"]

Floats: TypeAlias = NDArray[np.float64]


def log_sigmoid(logits: Floats) -> Floats:
    """Return log 1 / (1 + exp(-F)), where nothing overflows.

    Example:
        >>> log_sigmoid(np.array([0.0, -1000.0])).round(3).tolist()
        [-0.693, -1000.0]
    """
    return -np.logaddexp(0.0, -logits)


def class_log_prob(
    query: Floats,  # (D,)
    outputs: NDArray[np.float32],  # (V, D)
) -> Floats:
    """Return the logarithm of the softmax over all words, (V,).

    Example:
        >>> np.exp(class_log_prob(np.zeros(2), np.ones((4, 2), np.float32))).tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    logits = (outputs @ query.astype(np.float32)).astype(np.float64)
    logits -= logits.max()
    return logits - np.log(np.exp(logits).sum())


def paths_log_prob(
    query: Floats,  # (D,)
    nodes: NDArray[np.float32],  # (V - 1, D)
    tree: HuffmanTree,
) -> Floats:
    """Return log P of all words under hierarchical softmax, (V,): the sum over the nodes on the way to each.

    Example:
        >>> tree = HuffmanTree.from_counts([5, 1, 2])
        >>> np.exp(paths_log_prob(np.zeros(2), np.ones((2, 2), np.float32), tree)).round(3).tolist()
        [0.5, 0.25, 0.25]
    """
    logits = (nodes @ query.astype(np.float32)).astype(np.float64)
    turns = np.where(tree.codes == 1, -1.0, 1.0)
    sums = np.concatenate([[0.0], np.cumsum(log_sigmoid(turns * logits[tree.points]))])
    return sums[tree.offsets[1:]] - sums[tree.offsets[:-1]]


def sentence_score(
    words: Sequence[str],
    vocabulary: Vocabulary,
    inputs: NDArray[np.float32],  # (V, D)
    nodes: NDArray[np.float32],  # (V - 1, D)
    tree: HuffmanTree,
    *,
    window: int,
    skip_gram: bool,
    mean: bool,
) -> float:
    """Return the log-probability of a sentence under hierarchical softmax, as gensim's `score` has it.

    For skip-gram it is the sum over all pairs of words at most `window` apart, for CBOW that over words, each from all
    around it. Words that are not in the vocabulary are left out first.

    Example:
        >>> tree, vocabulary = HuffmanTree.from_counts([2, 1]), Vocabulary(["so", "far"], [2, 1])
        >>> zeros = np.zeros((2, 3), np.float32)
        >>> options = {"window": 1, "skip_gram": True, "mean": True}
        >>> round(sentence_score(["so", "far"], vocabulary, zeros, zeros[:1], tree, **options), 3)  # 2 log 1/2
        -1.386
    """
    ids = vocabulary.encode(words)
    total = 0.0
    for place, word in enumerate(ids.tolist()):
        around = np.concatenate([ids[max(0, place - window) : place], ids[place + 1 : place + 1 + window]])
        if not len(around):
            continue
        steps = slice(int(tree.offsets[word]), int(tree.offsets[word + 1]))
        rows = nodes[tree.points[steps]].astype(np.float64)
        turns = np.where(tree.codes[steps] == 1, -1.0, 1.0)
        queries = inputs[around].astype(np.float64)
        if not skip_gram:
            queries = queries.mean(axis=0, keepdims=True) if mean else queries.sum(axis=0, keepdims=True)
        total += float(log_sigmoid(queries @ rows.T * turns).sum())
    return total
