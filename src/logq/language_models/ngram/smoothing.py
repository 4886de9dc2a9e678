"""Smoothing of n-gram counts: maximum likelihood, add-k, and interpolated modified Kneser-Ney."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from logq._arguments import ArgumentError
from logq._progress import Progress
from logq.language_models.ngram.backoff import BackoffTable, Floats, Floats32
from logq.language_models.ngram.ngram_counts import Ids64, NGramCounts

__all__ = ["STEPS", "Discounts", "additive", "adjusted_counts", "best_k", "estimate_discounts", "kneser_ney"]


def additive(counts: NGramCounts, k: float, bar: Progress | None = None) -> BackoffTable:
    """Return the table of add-k smoothing; k = 0 is maximum likelihood.

        P(w | h) = (c(h w) + k) / (c(h) + k V)

    h are the N - 1 words before w, or all before it in its line, including <s>. There is no backing off: after a
    history that the text lacks, P = 1 / V, and without smoothing (k = 0), where the formula is 0 / 0, P = 0.

    Args:
        counts: of the text.
        k: what is added to every count, at least 0.
        bar: advanced by the number of n-grams that are done.

    References:
        Lidstone, Note on the general case of the Bayes-Laplace formula for inductive or a posteriori probabilities,
        1920; Jurafsky and Martin, Speech and Language Processing, chapter 3.

    Example:
        >>> from logq.text import read_tokens
        >>> from logq.language_models.ngram.ngram_counts import count_ngrams
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
            # The history before the last word is complete if n = N, or if the n-gram begins where its line does.
            complete = 0 if n == order else counts.first_at_line_start(n)
            values = np.full(len(own), unseen)
            if n == 1:
                if order == 1:
                    values[:size] = np.log((own[:size] + k) / (own[:size].sum() + k * size))
                values[size] = -np.inf  # nothing is followed by <s>
            else:
                contexts = counts.contexts(n)[complete:]
                totals = _followed(counts, n - 1)
                values[complete:] = np.log((own[complete:] + k) / (totals[contexts] + k * size))
            log_probs.append(values.astype(np.float32))
            if n < order:
                weight = np.zeros(len(own))
                if k:
                    complete = 0 if n == order - 1 else counts.first_at_line_start(n)
                    weight[complete:] = np.log(k * size / (_followed(counts, n)[complete:] + k * size))
                weights.append(weight.astype(np.float32))
            if bar is not None:
                bar.advance(len(own))
    return BackoffTable(size, counts.keys, log_probs, weights)


def best_k(measure: Callable[[float], float], bar: Progress) -> float:
    """Return the k from 1e-5 to 10 with the lowest perplexity: every half decade is tried, then closer to the best.

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
"""The number of measurements of `best_k`."""


def _followed(counts: NGramCounts, n: int) -> Floats:
    """How often each n-gram is followed by a word: (N_n,); </s>, where it ends a line, is not."""
    return np.bincount(counts.contexts(n + 1), counts.counts[n], len(counts.counts[n - 1])).astype(np.float64)


Discounts: TypeAlias = tuple[float, float, float]
"""What is subtracted from a count of 1, of 2, and of 3 or more."""

_BLOCK = 1 << 20  # n-grams at a time, so that intermediate results take little memory


def kneser_ney(counts: NGramCounts, discounts: Sequence[Discounts], bar: Progress | None = None) -> BackoffTable:
    """Return the table of interpolated modified Kneser-Ney smoothing.

        P(w | h) = (c(h w) - D(c(h w))) / c(h .) + g(h) P(w | h without its first word)
        g(h) = (D1 n1(h .) + D2 n2(h .) + D3 n3+(h .)) / c(h .)

    c are `adjusted_counts`, D the discounts of the order of h w, n1(h .) the number of words with a count of 1 after h,
    and so on. Unigrams are interpolated with the uniform distribution 1 / V over all words, including </s> and <unk>.

    Equivalent to: `lmplz` of KenLM.

    Args:
        counts: of the text.
        discounts: one triple for each order 1 .. N.
        bar: advanced by the number of n-grams that are done.

    References:
        Chen and Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, Computer Speech and Language
        13, 1999, section 3; Heafield, Pouzyrevsky, Clark and Koehn, Scalable Modified Kneser-Ney Language Model
        Estimation, ACL 2013.

    Example:
        >>> from logq.text import read_tokens
        >>> from logq.language_models.ngram.ngram_counts import count_ngrams
        >>> with read_tokens([["a"], ["a"], ["b"]]) as tokens:  # </s> 0, a 1, b 2, <unk> 3
        ...     counts = count_ngrams(tokens, 1)
        >>> np.exp(kneser_ney(counts, [(0.5, 1.0, 1.5)]).log_probs[0])[:4].round(3)  # 6 tokens
        array([0.375, 0.292, 0.208, 0.125], dtype=float32)
    """
    size = counts.vocab_size
    log_probs: list[Floats32] = []
    weights: list[Floats32] = []
    below: Floats = np.full(1, 1 / size)  # P of the order before
    for n, triple in enumerate(discounts, 1):
        adjusted = adjusted_counts(counts, n)
        taken = np.array([0.0, *triple])
        totals, spare = np.zeros(len(below)), np.zeros(len(below))
        for part, contexts in _parts(counts, n):
            own = adjusted[part]
            first, last = contexts[0], contexts[-1] + 1
            totals[first:last] += np.bincount(contexts - first, own)
            spare[first:last] += np.bincount(contexts - first, taken[np.minimum(own, 3)])
        # Where nothing follows a context, all of P comes from the order below.
        weight = np.divide(spare, totals, out=np.ones(len(below)), where=totals > 0)
        probs, logs = np.empty(len(adjusted)), np.empty(len(adjusted), np.float32)
        for part, contexts in _parts(counts, n):
            own = adjusted[part]
            lower = 0 if n == 1 else counts.suffixes[n - 2][part]
            left = (own - taken[np.minimum(own, 3)]) / totals[contexts]
            probs[part] = left + weight[contexts] * below[lower]
            with np.errstate(divide="ignore"):
                logs[part] = np.log(probs[part])
            if bar is not None:
                bar.advance(len(own))
        log_probs.append(logs)
        if n == 1:
            logs[size] = -np.inf  # nothing is followed by <s>
        else:
            with np.errstate(divide="ignore"):
                weights.append(np.log(weight).astype(np.float32))
        below = probs
    return BackoffTable(size, counts.keys, log_probs, weights)


def _parts(counts: NGramCounts, n: int) -> Iterator[tuple[slice, Ids64]]:
    """Yield the n-grams of an order in blocks, and the positions of their contexts, which increase."""
    size = len(counts.counts[n - 1])
    for start in range(0, size, _BLOCK):
        part = slice(start, min(start + _BLOCK, size))
        if n == 1:
            yield part, np.zeros(part.stop - start, np.int64)
        else:
            yield part, counts.keys[n - 2][part] // (counts.vocab_size + 1)


def adjusted_counts(counts: NGramCounts, n: int) -> Ids64:
    """Return the adjusted counts of Kneser-Ney for the n-grams of an order: (N_n,).

        c(w_1 ... w_n) = how often it occurs                                 if n = N, or w_1 = <s>
                       = number of different words (or <s>) before it        otherwise

    <s> itself, which nothing predicts, has 0.
    """
    own = counts.counts[n - 1]
    if n < counts.order:
        before = np.bincount(counts.suffixes[n - 1], minlength=len(own))
        first = counts.first_at_line_start(n)
        own = np.concatenate([before[:first], own[first:]])
    elif n == 1:
        own = own.copy()
    if n == 1:
        own[counts.vocab_size] = 0
    return own


def estimate_discounts(adjusted: NDArray[np.int64], order: int, fallback: Sequence[float] | None = None) -> Discounts:
    """Return the discounts of an order, from the numbers of n-grams with adjusted counts 1 to 4.

        D_j = j - (j + 1) Y n_{j+1} / n_j  with Y = n_1 / (n_1 + 2 n_2),  j = 1, 2, 3+

    Args:
        adjusted: the adjusted counts of its n-grams.
        order: for the message.
        fallback: used where they cannot be estimated, because n_1, n_2 or n_3 is 0 or a D_j is not in [0, j].

    Raises:
        ArgumentError: they cannot be estimated, as happens with tiny or artificial texts, and there is no `fallback`.

    References:
        Chen and Goodman 1999, equation 26.

    Example:
        >>> counts = np.repeat([1, 2, 3, 4], [100, 30, 15, 8])
        >>> [round(value, 3) for value in estimate_discounts(counts, 2)]
        [0.625, 1.062, 1.667]
    """
    n = np.bincount(np.minimum(adjusted, 5), minlength=6)[1:5].tolist()
    problem = ""
    if 0 in n[:3]:
        problem = f"no {order}-gram has a count of {n.index(0) + 1}"
    else:
        y = n[0] / (n[0] + 2 * n[1])
        found = [j - (j + 1) * y * n[j] / n[j - 1] for j in (1, 2, 3)]
        wrong = [j for j, value in enumerate(found, 1) if not 0 <= value <= j]
        if not wrong:
            return found[0], found[1], found[2]
        problem = f"that of {order}-grams with a count of {wrong[0]} would be {found[wrong[0] - 1]:.3g}"
    if fallback is None:
        raise ArgumentError(
            "discount_fallback",
            f"three discounts, such as 0.5,1.0,1.5, as Kneser-Ney cannot estimate them from this text, where {problem}",
            hint="or lower the order, or use add_k smoothing",
        )
    return fallback[0], fallback[1], fallback[2]
