"""What makes two words a phrase: scores of pairs from their counts."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["SCORINGS", "THRESHOLDS", "PairCounts", "score_pairs"]

SCORINGS = ("default", "word2phrase", "npmi")
THRESHOLDS = {"default": 10.0, "word2phrase": 100.0, "npmi": 0.5}
"""What a score has to exceed, unless somebody says otherwise."""


class PairCounts(NamedTuple):
    """How often pairs occur, and their words.

    Attributes:
        pair: (K,) of each pair.
        first: (K,) of its first word.
        second: (K,) of its second word.
        num_types: different words and pairs together, connector words left aside.
        num_words: all words of the text, connector words too.
    """

    pair: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    num_types: int
    num_words: int


def score_pairs(scoring: str, counts: PairCounts, min_count: int) -> NDArray[np.float64]:
    """Return the score of each pair, float64.

        default:      (n_ab - min_count) / (n_a n_b) x types of words and pairs        (gensim's)
        word2phrase:  (n_ab - min_count) / (n_a n_b) x words of the text               (word2phrase.c's)
        npmi:         ln(p_ab / (p_a p_b)) / -ln p_ab, p = n / words of the text; -inf where n_ab < min_count

    Args:
        scoring: one of these names.
        counts: of K pairs.
        min_count: the discount of the first two, the smallest count of the third.

    References:
        Mikolov et al., Distributed Representations of Words and Phrases and their Compositionality, NIPS 2013,
        arXiv:1310.4546, Eq. 6, which leaves the factor out. Bouma, Normalized (Pointwise) Mutual Information in
        Collocation Extraction, GSCL 2009, Eq. 7.

    Example:
        >>> counts = PairCounts(np.array([9]), np.array([10]), np.array([20]), num_types=50, num_words=400)
        >>> [round(float(score_pairs(scoring, counts, min_count=5)[0]), 3) for scoring in SCORINGS]
        [1.0, 8.0, 0.762]
    """
    if scoring != "npmi":
        size = counts.num_types if scoring == "default" else counts.num_words
        product = counts.first.astype(np.float64) * counts.second
        return (counts.pair - min_count) / product * size
    scores = np.full(len(counts.pair), -np.inf)
    often = counts.pair >= min_count
    words = float(counts.num_words)
    p_ab, p_a, p_b = (n[often] / words for n in (counts.pair, counts.first, counts.second))
    # math.log, as numpy's differs from it in the last place: what stands at the threshold must not depend on that.
    scores[often] = [
        math.log(ratio) / -math.log(p) for ratio, p in zip((p_ab / (p_a * p_b)).tolist(), p_ab.tolist(), strict=True)
    ]
    return scores
