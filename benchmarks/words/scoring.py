"""Two questions to word vectors: do they rate pairs of words as people do, and do they solve analogies.

Plain numpy, here only until `logq.evaluation` answers both; nothing else of the benchmark knows how they are answered.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

BATCH = 1024


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows (V, D) with length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where each of n values stands, from 1; equal ones share the mean of their places."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The correlation of the ranks."""
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def similarity(
    rows: NDArray[np.float32], places: Mapping[str, int], pairs: Sequence[tuple[str, str, float]]
) -> tuple[float, int]:
    """Spearman's correlation of cosines of unit rows (V, D) with people's ratings, and how many pairs have vectors."""
    known = [(places[a], places[b], rating) for a, b, rating in pairs if a in places and b in places]
    first, second, ratings = (np.array(column) for column in zip(*known, strict=True))
    cosines = np.einsum("ij,ij->i", rows[first], rows[second]).astype(np.float64)
    return spearman(cosines, ratings.astype(np.float64)), len(known)


def analogies(
    rows: NDArray[np.float32], places: Mapping[str, int], questions: Sequence[tuple[str, str, str, str]]
) -> tuple[float, int]:
    """The share of "a is to b as c is to ?" whose nearest word to b - a + c is right, the three left out; 3CosAdd."""
    known = np.array([[places[w] for w in question] for question in questions if all(w in places for w in question)])
    right = 0
    for start in range(0, len(known), BATCH):
        a, b, c, answer = known[start : start + BATCH].T
        scores = (rows[b] - rows[a] + rows[c]) @ rows.T  # (batch, V)
        scores[np.arange(len(a))[:, None], np.stack([a, b, c], axis=1)] = -np.inf
        right += int((scores.argmax(axis=1) == answer).sum())
    return right / len(known), len(known)
