"""Relative frequencies, and k added to every count: the n-gram models that every course begins with."""

from collections.abc import Callable

import numpy as np

from logq.ngram.backoff import BackoffTable, Floats, Floats32
from logq.ngram.counts import NGramCounts
from logq.progress import Progress

__all__ = ["STEPS", "additive", "best_k"]


def additive(counts: NGramCounts, k: float, bar: Progress | None = None) -> BackoffTable:
    """Return the table of add-k smoothing; k = 0 is maximum likelihood.

        P(w | h) = (c(h w) + k) / (c(h) + k V)

    h are the N - 1 words before w, or all of its line, <s> among them. There is no backing off: a history that the text
    does not have gives 1 / V, and without smoothing (k = 0), where the formula is 0 / 0, 0.

    Args:
        counts: of the text.
        k: what every count is raised by, at least 0.
        bar: advanced by the number of n-grams that are done.

    References:
        Lidstone, Note on the general case of the Bayes-Laplace formula for inductive or a posteriori probabilities,
        1920; Jurafsky and Martin, Speech and Language Processing, chapter 3.

    Example:
        >>> from logq.data.text import read_tokens
        >>> from logq.ngram.counts import count_ngrams
        >>> with read_tokens([["a"], ["a"], ["b"]]) as tokens:  # </s> 0, a 1, b 2, <unk> 3
        ...     table = additive(count_ngrams(tokens, 2), 1.0)
        >>> np.exp(table.score_next([4])).round(3)  # (c + 1) / (3 + 4)
        array([0.143, 0.429, 0.286, 0.143])
    """
    size, order = counts.vocab_size, counts.order
    log_probs: list[Floats32] = []
    weights: list[Floats32] = []
    with np.errstate(divide="ignore", invalid="ignore"):
        unseen = np.log(1 / size) if k else -np.inf
        for n, own in enumerate(counts.counts, 1):
            # An n-gram has a whole history before its last word if n = N, or if it begins where its line does.
            whole = 0 if n == order else counts.first_at_line_start(n)
            values = np.full(len(own), unseen)
            if n == 1:
                if order == 1:
                    values[:size] = np.log((own[:size] + k) / (own[:size].sum() + k * size))
                values[size] = -np.inf  # nothing is followed by <s>
            else:
                contexts = counts.contexts(n)[whole:]
                totals = _followed(counts, n - 1)
                values[whole:] = np.log((own[whole:] + k) / (totals[contexts] + k * size))
            log_probs.append(values.astype(np.float32))
            if n < order:
                weight = np.zeros(len(own))
                if k:
                    whole = 0 if n == order - 1 else counts.first_at_line_start(n)
                    weight[whole:] = np.log(k * size / (_followed(counts, n)[whole:] + k * size))
                weights.append(weight.astype(np.float32))
            if bar is not None:
                bar.advance(len(own))
    return BackoffTable(size, counts.keys, log_probs, weights)


def best_k(measure: Callable[[float], float], bar: Progress) -> float:
    """Return the k of 1e-5 to 10 with the lowest perplexity: every half decade is tried, then closer to the best.

    Args:
        measure: the perplexity of a held-out text for a k.
        bar: advanced by 1 for each of STEPS measurements.
    """
    tried: dict[float, float] = {}
    step, around = 0.5, np.arange(-5.0, 1.1, 0.5).tolist()
    while True:
        for exponent in around:
            tried[exponent] = measure(10.0**exponent)
            bar.advance(1, k=10.0**exponent, perplexity=tried[exponent])
        best = min(tried, key=tried.__getitem__)
        step /= 2
        if step < 0.1:
            return 10.0**best
        around = [best - step, best + step]


STEPS = 17
"""How often `best_k` measures."""


def _followed(counts: NGramCounts, n: int) -> Floats:
    """How often each n-gram stands before a word: (N_n,); not how often it occurs, as </s> is followed by none."""
    return np.bincount(counts.contexts(n + 1), counts.counts[n], len(counts.counts[n - 1])).astype(np.float64)
